// SigV4: the vectors of the wire notes (computed with @smithy/signature-v4 5.7.5; A is also in AWS's published suite),
// canonical forms, what must change a signature and what must not, limits, days, credentials.
// Random requests against the vendor's signer: spec/clients/sigv4_spec.lua.
#include "test.h"

#include "core/sigv4.h"

#define TEXT(literal) ((sigv4_text){(literal), sizeof(literal) - 1})
#define HEADER(name, value)                                                                                            \
    {                                                                                                                  \
        TEXT(name), TEXT(value)                                                                                        \
    }
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

enum { T_2015 = 1440938160, T_2026 = 1795305600 }; // 2015-08-30T12:36:00Z, 2026-11-22T00:00:00Z

static sigv4_text text_of(const char *text)
{
    return (sigv4_text){text, strlen(text)};
}

static sigv4_signer *make(const char *region, const char *service, const char *token, bool adds_content_sha256)
{
    sigv4_signer *s;
    const char *field;
    sigv4_credentials c = {TEXT("AKIDEXAMPLE"), TEXT("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
                           text_of(token),      text_of(region),
                           text_of(service),    adds_content_sha256};
    CHECK(sigv4_signer_new(&s, &c, &field) == SIGV4_OK);
    return s;
}

static sigv4_request request_of(const char *method, const char *target, const sigv4_header *headers, size_t count,
                                const segment *body)
{
    return (sigv4_request){text_of(method), text_of(target), headers, count, NULL, body, 1, false, T_2026, 0};
}

// Signs into a terminated text; "" after an error, which goes to *error.
static const char *sign(sigv4_signer *s, const sigv4_request *request, enum sigv4_error *error)
{
    static char out[8192];
    size_t size = 0, room = sigv4_room(s, request->headers, request->header_count);
    char *exact = malloc(room); // exactly what is promised to do, so that the sanitizer sees one byte more
    *error = sigv4_sign(s, request, exact, room, &size);
    CHECK(*error != SIGV4_OK || (size > 0 && size <= room));
    memcpy(out, exact, *error == SIGV4_OK ? size : 0);
    out[*error == SIGV4_OK ? size : 0] = '\0';
    free(exact);
    return out;
}

// The hex of the signature; good for the next three calls.
static const char *signature(sigv4_signer *s, const sigv4_request *request)
{
    static char copy[4][80];
    static int turn;
    enum sigv4_error error;
    const char *mark = strstr(sign(s, request, &error), "Signature=");
    char *out = copy[turn++ % 4];
    snprintf(out, sizeof(copy[0]), "%.64s", mark ? mark + 10 : "none");
    return out;
}

static void check_canonical(const char *method, const char *target, const sigv4_header *headers, size_t count,
                            const char *payload_hash, const char *want_names, const char *want_hash)
{
    sigv4_picks picks = {0};
    uint8_t digest[SHA256_SIZE];
    char names[512], text[65];
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        CHECK(sigv4_pick_add(&picks, &headers[i]) == SIGV4_OK);
    CHECK(sigv4_canonical_hash(text_of(method), text_of(target), &picks, text_of(payload_hash), names, sizeof(names),
                               &size, digest) == SIGV4_OK);
    names[size] = '\0';
    for (int i = 0; i < SHA256_SIZE; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    CHECK_TEXT(names, want_names);
    CHECK_TEXT(text, want_hash);
}

#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void test_vector_a(void)
{
    sigv4_signer *s = make("us-east-1", "service", "", false);
    sigv4_header headers[] = {HEADER("Host", "example.amazonaws.com"), HEADER("X-Amz-Date", "20150830T123600Z")};
    sigv4_request r = request_of("GET", "/", headers, 1, &(segment){NULL, 0, NULL});
    r.time_s = T_2015;
    check_canonical("GET", "/", headers, 2, EMPTY_HASH, "host;x-amz-date",
                    "bb579772317eb040ac9ed261061d46c1f17a8133879d6129b6e1c25292927e63");
    CHECK_TEXT(signature(s, &r), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
    enum sigv4_error error;
    CHECK_TEXT(sign(s, &r, &error),
               "x-amz-date: 20150830T123600Z\r\n"
               "authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
               "SignedHeaders=host;x-amz-date, "
               "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31\r\n");
    sigv4_signer_drop(s);
}

#define CLAUDE_HOST "aws-external-anthropic.us-west-2.api.aws"
#define CLAUDE_BODY                                                                                                    \
    "{\"model\":\"claude-sonnet-4-6\",\"max_tokens\":16,\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}"
#define CLAUDE_BODY_HASH "10af2eaff3ae6ad0975713623f6d8f2f78232eb1e76c03508cbaa53d4deb854a"
#define TOKEN "FwoGZXIvYXdzEXAMPLE/+=="

static const sigv4_header claude_headers[] = {
    HEADER("host", CLAUDE_HOST),
    HEADER("content-type", "application/json"),
    HEADER("anthropic-version", "2023-06-01"),
    HEADER("anthropic-workspace-id", "wrkspc_01AbCdEf23GhIj"),
    HEADER("x-amz-content-sha256", CLAUDE_BODY_HASH),
    HEADER("x-amz-date", "20261122T000000Z"),
    HEADER("x-amz-security-token", TOKEN),
};
static const segment claude_body = {CLAUDE_BODY, sizeof(CLAUDE_BODY) - 1, NULL};

static void test_vectors_b_c(void)
{
    static const char b[] = "3ec336254f4a90b64410f881d8721f7ecf3e4c7e259f576267c6a0caa2d5a327";
    static const char c[] = "69d4d3d6e7d52dbce6402bee4e128f250f76cf0d25e46c5ee196b79e79d668ac";
    const char *names = "anthropic-version;anthropic-workspace-id;content-type;host;x-amz-content-sha256;x-amz-date";
    sigv4_request r = request_of("POST", "/v1/messages", claude_headers, 4, &claude_body);
    check_canonical("POST", "/v1/messages", claude_headers, 6, CLAUDE_BODY_HASH, names,
                    "0ab880cf0aaf9343c1b08f2216320739032533b96bdbec264933584a7e1c462b");
    sigv4_signer *s = make("us-west-2", "aws-external-anthropic", "", true);
    CHECK_TEXT(signature(s, &r), b);
    // The same from segments, from a known digest, and with the caller's own header.
    segment parts[] = {{CLAUDE_BODY, 7, NULL}, {NULL, 0, NULL}, {CLAUDE_BODY + 7, sizeof(CLAUDE_BODY) - 8, NULL}};
    r.body = parts;
    r.body_count = 3;
    CHECK_TEXT(signature(s, &r), b);
    uint8_t digest[SHA256_SIZE];
    sha256_of(CLAUDE_BODY, sizeof(CLAUDE_BODY) - 1, digest);
    r.body_sha256 = digest;
    r.body_count = 0;
    CHECK_TEXT(signature(s, &r), b);
    r.body_sha256 = NULL;
    r.header_count = 5;
    CHECK_TEXT(signature(s, &r), b);
    enum sigv4_error error;
    CHECK(strstr(sign(s, &r, &error), "x-amz-content-sha256:") == NULL); // is there already
    // Headers that the signer writes itself do not disturb, whatever the caller put there.
    r.header_count = 6;
    CHECK_TEXT(signature(s, &r), b);
    sigv4_signer_drop(s);

    s = make("us-west-2", "aws-external-anthropic", TOKEN, true);
    r = request_of("POST", "/v1/messages", claude_headers, 4, &claude_body);
    check_canonical("POST", "/v1/messages", claude_headers, 7, CLAUDE_BODY_HASH,
                    "anthropic-version;anthropic-workspace-id;content-type;host;x-amz-content-sha256;x-amz-date;"
                    "x-amz-security-token",
                    "65e4724e8c7cbe6ad9213963eb91840085e8f38dab7cde78383c2fd272ccfc07");
    CHECK_TEXT(signature(s, &r), c);
    CHECK(strstr(sign(s, &r, &error), "x-amz-security-token: " TOKEN "\r\n") != NULL);
    CHECK(sigv4_signer_owns(s, TEXT("X-Amz-Security-Token")) && sigv4_signer_owns(s, TEXT("Date")));
    CHECK(sigv4_signer_owns(s, TEXT("authorization")) && sigv4_signer_owns(s, TEXT("x-amz-date")));
    CHECK(!sigv4_signer_owns(s, TEXT("host")) && !sigv4_signer_owns(s, TEXT("x-amz-content-sha256")));
    sigv4_signer_drop(s);
}

static void test_vector_d(void)
{
    static const sigv4_header headers[] = {
        HEADER("anthropic-version", "2023-06-01"),
        HEADER("anthropic-workspace-id", "wrkspc_01AbCdEf23GhIj"),
        HEADER("host", CLAUDE_HOST),
        HEADER("x-amz-content-sha256", EMPTY_HASH),
        HEADER("x-amz-date", "20261122T000000Z"),
    };
    static const char *const targets[] = {
        "/v1/models?limit=20&after_id=claude%20opus%2F4&lifecycle=retired&lifecycle=active",
        "/v1/models?after_id=claude+opus/4&lifecycle=active&lifecycle=retired&limit=20",
        "/v1/models?&lifecycle=%61ctive&limit=%320&&lifecycle=retired&after%5fid=claude+opus%2f4&",
    };
    sigv4_signer *s = make("us-west-2", "aws-external-anthropic", "", true);
    for (size_t i = 0; i < COUNT(targets); i++) {
        sigv4_request r = request_of("GET", targets[i], headers, 3, &(segment){NULL, 0, NULL});
        check_canonical("GET", targets[i], headers, 5, EMPTY_HASH,
                        "anthropic-version;anthropic-workspace-id;host;x-amz-content-sha256;x-amz-date",
                        "7f42acc1dcb5c70fa4c4db6ca8836f0469177182c9ceea981c6a29836519f9ca");
        CHECK_TEXT(signature(s, &r), "02af668a7dc68aa23f5096fcfcd66c6b612075f74fde15f13969787145e56bca");
    }
    sigv4_signer_drop(s);
}

static void test_vectors_e_f(void)
{
#define BEDROCK_PATH "/model/us.anthropic.claude-sonnet-4-5-20250929-v1"
#define BODY_HASH "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    static const sigv4_header headers[] = {
        HEADER("Content-Type", "application/json"),
        HEADER("Host", "bedrock-runtime.us-east-1.amazonaws.com"),
        HEADER("X-Amz-Content-Sha256", BODY_HASH),
        HEADER("X-Amz-Date", "20261122T000000Z"),
    };
    const char *names = "content-type;host;x-amz-content-sha256;x-amz-date";
    sigv4_signer *s = make("us-east-1", "bedrock", "", true);
    segment body = {"{}", 2, NULL};
    sigv4_request r = request_of("POST", BEDROCK_PATH ":0/invoke", headers, 2, &body);
    check_canonical("POST", BEDROCK_PATH ":0/invoke", headers, 4, BODY_HASH, names,
                    "0c1caf8fd0b43408206b9bfe7557102d75fe832ea1fd7b023696f4e741283157");
    CHECK_TEXT(signature(s, &r), "efb92b2c47fe6749bbe1ad38cca84744a77896bceb16f2cfef3587a172d1d4f7");
    r.target = TEXT(BEDROCK_PATH "%3A0/invoke");
    check_canonical("POST", BEDROCK_PATH "%3A0/invoke", headers, 4, BODY_HASH, names,
                    "d9228c9a8fac06087234925fb9f6824e0ff5775e3d62cc2c21483c9c998fdf70");
    CHECK_TEXT(signature(s, &r), "234012d0e2b7c7923b3c59fbded482b6d4d96714018b47723896475efb9d0ff0");
    sigv4_signer_drop(s);
}

static void test_vector_g(void)
{
#define STS_BODY                                                                                                       \
    "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fgw&"                      \
    "RoleSessionName=gw-1&DurationSeconds=3600"
    static const sigv4_header headers[] = {
        HEADER("x-test", "  a   b  "),
        HEADER("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"),
        HEADER("host", "sts.us-east-1.amazonaws.com"),
        HEADER("x-amz-date", "20261122T000000Z"),
    };
    sigv4_signer *s = make("us-east-1", "sts", "", false);
    segment body = {STS_BODY, sizeof(STS_BODY) - 1, NULL};
    sigv4_request r = request_of("POST", "/", headers, 3, &body);
    check_canonical("POST", "/", headers, 4, "47b6f4c78a99210b9265279b56d19b724c9d5702d574871bac809750dfc65135",
                    "content-type;host;x-amz-date;x-test",
                    "300fd1b9f171f8731c15dd3c261b18501e34e9f1fa057262b82b01d45f336ae9");
    CHECK_TEXT(signature(s, &r), "d1e34480ad6a02fabce23a725b0c828cfd9a282e4e344a98d24d5a21c723fa34");
    enum sigv4_error error;
    CHECK(strstr(sign(s, &r, &error), "sha256:") == NULL);
    sigv4_signer_drop(s);
}

// Two targets have one canonical path exactly when their signatures are equal.
static void test_paths(void)
{
    static const struct {
        const char *sent, *normal;
    } same[] = {
        {"", "/"},
        {"//", "/"},
        {"/.", "/"},
        {"/..", "/"},
        {"/./", "/"},
        {"/../", "/"},
        {"/a/..", "/"},
        {"/a/../", "/"},
        {"/a/b/..", "/a"},
        {"/a/b/../", "/a/"},
        {"/a/./b", "/a/b"},
        {"/a//b", "/a/b"},
        {"//a", "/a"},
        {"/a/.", "/a"},
        {"/a/./", "/a/"},
        {"/../../a", "/a"},
        {"/a/b/../../c", "/c"},
        {"/a/../../../b", "/b"},
        {"/a//", "/a/"},
        {"a", "/a"},
        {"a/", "/a/"},
        {"/a/b/c/../../d/", "/a/d/"},
    };
    static const char *const different[] = {
        "/",       "/a",   "/a/",    "/a/b", "/...", "/.a",  "/a..", "/%2e", "/%2E", "/a%2Fb", "/a%2fb", "/\xc3\xbc",
        "/%C3%BC", "/a b", "/a%20b", "/a+b", "/a;b", "/a=b", "/a~b", "/A",   "/a:b", "/a%3Ab", "/a*b",   "/a#b"};
    sigv4_signer *s = make("us-east-1", "service", "", false);
    sigv4_header host = HEADER("host", "h");
    segment body = {NULL, 0, NULL};
    for (size_t i = 0; i < COUNT(same); i++) {
        sigv4_request sent = request_of("GET", same[i].sent, &host, 1, &body);
        sigv4_request normal = request_of("GET", same[i].normal, &host, 1, &body);
        CHECK_TEXT(signature(s, &sent), signature(s, &normal));
    }
    for (size_t i = 0; i < COUNT(different); i++) {
        for (size_t k = 0; k < i; k++) {
            sigv4_request a = request_of("GET", different[i], &host, 1, &body);
            sigv4_request b = request_of("GET", different[k], &host, 1, &body);
            CHECK(strcmp(signature(s, &a), signature(s, &b)) != 0);
        }
    }
    sigv4_signer_drop(s);
}

static void test_queries(void)
{
    static const struct {
        const char *sent, *canonical;
    } cases[] = {
        {"", ""},
        {"&&", ""},
        {"b=2&a=1", "a=1&b=2"},
        {"a", "a="},
        {"a=", "a="},
        {"=v", "=v"},
        {"a=b=c", "a=b%3Dc"},
        {"a=x+y%2B", "a=x%20y%2B"},
        {"a=%7E*", "a=~%2A"},
        {"ids[]=x", "ids%5B%5D=x"},
        {"a=%zz%4", "a=%25zz%254"},
        {"a=%", "a=%25"},
        {"a=2&a=1&a=10", "a=1&a=10&a=2"},
        {"a-=1&a=2", "a=2&a-=1"}, // by key, not by line
        {"ab=1&a=z", "a=z&ab=1"},
        {"A=1&a=1&_=1&0=1&~=1&%25=1&%80=1", "%25=1&%80=1&0=1&A=1&_=1&a=1&~=1"}, // by encoded key
        {"a=%c3%bc&a=u", "a=%C3%BC&a=u"},
        {"a%3d=1&a=0", "a=0&a%3D=1"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t need = 3 * strlen(cases[i].sent) + 1, size = 0;
        char *out = malloc(need + 1);
        CHECK(sigv4_canonical_query(text_of(cases[i].sent), out, need, &size) == SIGV4_OK);
        out[size] = '\0';
        CHECK_TEXT(out, cases[i].canonical);
        free(out);
        // Canonical of canonical is itself, and too small a buffer is an error, not an overflow.
        out = malloc(need + 1);
        CHECK(sigv4_canonical_query(text_of(cases[i].canonical), out, need + 1, &size) == SIGV4_OK ||
              strlen(cases[i].canonical) > strlen(cases[i].sent));
        free(out);
        for (size_t room = 0; room < strlen(cases[i].canonical); room++) {
            out = malloc(room + 1);
            CHECK(sigv4_canonical_query(text_of(cases[i].sent), out, room, &size) == SIGV4_NO_ROOM);
            free(out);
        }
    }
}

static void test_headers(void)
{
    sigv4_signer *s = make("us-west-2", "aws-external-anthropic", "", true);
    sigv4_request r = request_of("POST", "/v1/messages", claude_headers, 4, &claude_body);
    char plain[80];
    strcpy(plain, signature(s, &r));

    // Order and case of names, and what is never signed, change nothing.
    static const sigv4_header other[] = {
        HEADER("ANTHROPIC-Workspace-Id", "wrkspc_01AbCdEf23GhIj"),
        HEADER("User-Agent", "x"),
        HEADER("content-length", "92"),
        HEADER("Anthropic-Version", "\t 2023-06-01\r\n"),
        HEADER("Proxy-Authorization", "x"),
        HEADER("sec-fetch-mode", "x"),
        HEADER("Date", "x"),
        HEADER("Content-Type", "application/json"),
        HEADER("authorization", "x"),
        HEADER("connection", "close"),
        HEADER("HOST", CLAUDE_HOST),
        HEADER("te", "trailers"),
        HEADER("transfer-encoding", "chunked"),
        HEADER("accept-encoding", "identity"),
        HEADER("traceparent", "x"),
        HEADER("x-amzn-trace-id", "x"),
    };
    r.headers = other;
    r.header_count = COUNT(other);
    CHECK_TEXT(signature(s, &r), plain);

    // Everything else that is signed changes it.
    for (size_t i = 0; i < 4; i++) {
        sigv4_header changed[4];
        memcpy(changed, claude_headers, sizeof(changed));
        changed[i].value = TEXT("other");
        r.headers = changed;
        r.header_count = 4;
        CHECK(strcmp(signature(s, &r), plain) != 0);
    }
    r = request_of("PUT", "/v1/messages", claude_headers, 4, &claude_body);
    CHECK(strcmp(signature(s, &r), plain) != 0);
    r = request_of("POST", "/v1/messages", claude_headers, 4, &claude_body);
    r.is_body_unsigned = true;
    CHECK(strcmp(signature(s, &r), plain) != 0);
    enum sigv4_error error;
    CHECK(strstr(sign(s, &r, &error), "x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n") != NULL);

    // A repeated name is one line, its values in order.
    static const sigv4_header twice[] = {HEADER("b", "1"), HEADER("host", "h"), HEADER("B", "2")};
    static const sigv4_header once[] = {HEADER("b", "1,2"), HEADER("host", "h")};
    static const sigv4_header swapped[] = {HEADER("b", "2"), HEADER("host", "h"), HEADER("b", "1")};
    sigv4_request x = request_of("GET", "/", twice, 3, &claude_body), y = request_of("GET", "/", once, 2, &claude_body);
    sigv4_request z = request_of("GET", "/", swapped, 3, &claude_body);
    CHECK_TEXT(signature(s, &x), signature(s, &y));
    CHECK(strcmp(signature(s, &x), signature(s, &z)) != 0);

    static const sigv4_header bad[][2] = {{HEADER("", "v"), HEADER("host", "h")},
                                          {HEADER("a b", "v"), HEADER("host", "h")},
                                          {HEADER("a;b", "v"), HEADER("host", "h")},
                                          {HEADER("a\n", "v"), HEADER("host", "h")},
                                          {HEADER("\xc3\xbc", "v"), HEADER("host", "h")}};
    for (size_t i = 0; i < COUNT(bad); i++) {
        x = request_of("GET", "/", bad[i], 2, &claude_body);
        sign(s, &x, &error);
        CHECK(error == SIGV4_BAD_HEADER);
    }
    x = request_of("GET", "/", claude_headers + 1, 3, &claude_body);
    sign(s, &x, &error);
    CHECK(error == SIGV4_NO_HOST);
    sigv4_signer_drop(s);
}

static void test_limits(void)
{
    sigv4_signer *s = make("us-east-1", "service", TOKEN, true);
    enum sigv4_error error;
    static sigv4_header many[SIGV4_HEADERS_MAX + 1];
    for (size_t i = 0; i < COUNT(many); i++)
        many[i] = (sigv4_header)HEADER("host", "h");
    sigv4_request r = request_of("GET", "/", many, SIGV4_HEADERS_MAX - 3, &claude_body);
    sign(s, &r, &error);
    CHECK(error == SIGV4_OK);
    for (size_t more = 0; more < 4; more++) {
        r.header_count = SIGV4_HEADERS_MAX - 2 + more;
        sign(s, &r, &error);
        CHECK(error == SIGV4_TOO_LARGE);
    }

    char target[3 * SIGV4_ODD_PATH_MAX_BYTES];
    r.header_count = 1;
    size_t size = 0;
    for (int i = 0; i < SIGV4_PAIRS_MAX; i++)
        size += (size_t)snprintf(target + size, sizeof(target) - size, "%ck=%d", i == 0 ? '?' : '&', i);
    r.target = (sigv4_text){target, size};
    sign(s, &r, &error);
    CHECK(error == SIGV4_OK);
    memcpy(target + size, "&k", 2);
    r.target.size += 2;
    sign(s, &r, &error);
    CHECK(error == SIGV4_TOO_LARGE);

    memset(target, 'a', sizeof(target));
    target[0] = '/';
    r.target.size = sizeof(target); // long is fine
    sign(s, &r, &error);
    CHECK(error == SIGV4_OK);
    memcpy(target, "/../", 4); // long and odd is not
    sign(s, &r, &error);
    CHECK(error == SIGV4_TOO_LARGE);
    r.target.size = SIGV4_ODD_PATH_MAX_BYTES;
    sign(s, &r, &error);
    CHECK(error == SIGV4_OK);

    // Any smaller buffer is refused or suffices; never overrun (the sanitizer watches).
    r = request_of("POST", "/v1/messages", claude_headers, 4, &claude_body);
    size_t room = sigv4_room(s, r.headers, r.header_count), smallest = room;
    for (size_t i = 0; i <= room; i++) {
        char *out = malloc(i ? i : 1);
        size_t written = 0;
        error = sigv4_sign(s, &r, out, i, &written);
        CHECK(error == SIGV4_NO_ROOM || (error == SIGV4_OK && written <= i));
        if (error == SIGV4_OK && i < smallest)
            smallest = i;
        CHECK(error == SIGV4_OK || i < smallest);
        free(out);
    }
    sigv4_signer_drop(s);
}

static void test_time(void)
{
    sigv4_signer *s = make("us-east-1", "service", "", false);
    sigv4_header host = HEADER("host", "h");
    segment body = {NULL, 0, NULL};
    sigv4_request r = request_of("GET", "/", &host, 1, &body);
    enum sigv4_error error;
    static const struct {
        int64_t time_s, offset_s;
        const char *line;
    } times[] = {
        {T_2026, 0, "x-amz-date: 20261122T000000Z\r\n"},
        {T_2026 - 1, 0, "x-amz-date: 20261121T235959Z\r\n"},
        {T_2026 - 1, 1, "x-amz-date: 20261122T000000Z\r\n"},
        {T_2026, -301, "x-amz-date: 20261121T235459Z\r\n"},
        {0, 0, "x-amz-date: 19700101T000000Z\r\n"},
        {951782400, 0, "x-amz-date: 20000229T000000Z\r\n"},
        {253402300799, 0, "x-amz-date: 99991231T235959Z\r\n"},
    };
    for (size_t i = 0; i < COUNT(times); i++) {
        r.time_s = times[i].time_s;
        r.clock_offset_s = times[i].offset_s;
        CHECK(strncmp(sign(s, &r, &error), times[i].line, strlen(times[i].line)) == 0);
        // A signer that has signed on other days signs as a new one does.
        sigv4_signer *fresh = make("us-east-1", "service", "", false);
        CHECK_TEXT(signature(s, &r), signature(fresh, &r));
        sigv4_signer_drop(fresh);
    }
    static const int64_t bad[][2] = {{-1, 0}, {0, -1}, {253402300800, 0}, {INT64_MAX, 1}, {INT64_MIN, -1}};
    for (size_t i = 0; i < COUNT(bad); i++) {
        r.time_s = bad[i][0];
        r.clock_offset_s = bad[i][1];
        sign(s, &r, &error);
        CHECK(error == SIGV4_BAD_TIME);
    }
    sigv4_signer_drop(s);
}

static void test_credentials(void)
{
    const sigv4_credentials good = {TEXT(" AKIDEXAMPLE\n"),
                                    TEXT("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY\r\n"),
                                    TEXT(""),
                                    TEXT("us-east-1"),
                                    TEXT("service"),
                                    false};
    sigv4_signer *s, *plain = make("us-east-1", "service", "", false);
    const char *field;
    sigv4_header host = HEADER("host", "h");
    sigv4_request r = request_of("GET", "/", &host, 1, &(segment){NULL, 0, NULL});
    CHECK(sigv4_signer_new(&s, &good, &field) == SIGV4_OK);
    CHECK_TEXT(signature(s, &r), signature(plain, &r)); // line ends of a file are not part of a secret
    CHECK(sigv4_signer_hold(s) == s);
    sigv4_signer_drop(s);
    CHECK_TEXT(signature(s, &r), signature(plain, &r)); // one reference is left
    sigv4_signer_drop(s);
    sigv4_signer_drop(plain);
    sigv4_signer_drop(NULL);

    static const char *const fields[] = {"access_key_id", "secret_access_key", "session_token", "region", "service"};
    static const char *const values[] = {"", " ", "a b", "a\r\nx: y", "a\x7f", "\xc3\xbc", "a/b", "a,b"};
    for (size_t i = 0; i < COUNT(fields); i++) {
        for (size_t k = 0; k < COUNT(values); k++) {
            sigv4_credentials c = good;
            (&c.access_key_id)[i] = text_of(values[k]);
            bool is_allowed = (i == 2 && k < 2) || ((i == 1 || i == 2) && k >= 6);
            field = "";
            enum sigv4_error error = sigv4_signer_new(&s, &c, &field);
            CHECK((error == SIGV4_OK) == is_allowed && (s != NULL) == is_allowed);
            CHECK(is_allowed || (error == SIGV4_BAD_CREDENTIAL && strcmp(field, fields[i]) == 0));
            sigv4_signer_drop(s);
        }
    }
    for (int error = SIGV4_OK; error <= SIGV4_BAD_CREDENTIAL; error++)
        CHECK(sigv4_error_code(error) && sigv4_error_text(error));
}

int main(void)
{
    test_vector_a();
    test_vectors_b_c();
    test_vector_d();
    test_vectors_e_f();
    test_vector_g();
    test_paths();
    test_queries();
    test_headers();
    test_limits();
    test_time();
    test_credentials();
    return test_end();
}
