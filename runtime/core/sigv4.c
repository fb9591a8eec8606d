#include "core/sigv4.h"

#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SCOPE_END "/aws4_request"
#define ALGORITHM "AWS4-HMAC-SHA256"

enum { DATE_SIZE = 8, TIME_SIZE = 16, HASH_TEXT_SIZE = 2 * SHA256_SIZE };

// Everything, texts included, is in one mapping of its own.
struct sigv4_signer {
    uint32_t refs;
    size_t mapping_size;
    bool adds_content_sha256;
    sigv4_text access_key_id, secret, session_token, region, service; // secret begins with "AWS4"
    int64_t day;          // since 1970, of key and the two texts below; -1: none yet
    int64_t second;       // of time; -1: none yet
    hmac_sha256_key key;  // the signing key of this day, region and service
    char time[TIME_SIZE]; // 20261122T000000Z
    // "authorization: AWS4-HMAC-SHA256 Credential=AKID/20261122/region/service/aws4_request, SignedHeaders="
    char *authorization;
    size_t authorization_size;
    // "AWS4-HMAC-SHA256\n<time>\n<scope>\n", and room for the hash
    char *to_sign;
    size_t to_sign_size; // without the hash
};

static void put(char **at, const char *data, size_t size)
{
    memcpy(*at, data, size);
    *at += size;
}

static void put_literal(char **at, const char *text)
{
    put(at, text, strlen(text));
}

static void put_hex(char **at, const uint8_t *data, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    char *p = *at;
    for (size_t i = 0; i < size; i++) {
        *p++ = digits[data[i] >> 4];
        *p++ = digits[data[i] & 15];
    }
    *at = p;
}

// ---- credentials ----

static sigv4_text trim(sigv4_text text)
{
    while (text.size > 0 && memchr(" \t\r\n", text.data[0], 4))
        text.data++, text.size--;
    while (text.size > 0 && memchr(" \t\r\n", text.data[text.size - 1], 4))
        text.size--;
    return text;
}

// Printable ASCII without blanks, and without what separates parts of the scope where `refused` says so.
static bool is_sendable(sigv4_text text, const char *refused)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~' || strchr(refused, text.data[i]))
            return false;
    }
    return text.size > 0;
}

static sigv4_text keep(char **at, sigv4_text text)
{
    sigv4_text kept = {*at, text.size};
    if (text.size > 0)
        put(at, text.data, text.size);
    return kept;
}

enum sigv4_error sigv4_signer_new(sigv4_signer **out, const sigv4_credentials *credentials, const char **field)
{
    sigv4_text id = trim(credentials->access_key_id), secret = trim(credentials->secret_access_key);
    sigv4_text token = trim(credentials->session_token);
    sigv4_text region = credentials->region, service = credentials->service;
    *out = NULL;
    *field = !is_sendable(id, "/,")                      ? "access_key_id"
             : !is_sendable(secret, "")                  ? "secret_access_key"
             : token.size > 0 && !is_sendable(token, "") ? "session_token"
             : !is_sendable(region, "/,")                ? "region"
             : !is_sendable(service, "/,")               ? "service"
                                                         : NULL;
    if (*field)
        return SIGV4_BAD_CREDENTIAL;

    size_t scope_size = DATE_SIZE + 1 + region.size + 1 + service.size + strlen(SCOPE_END);
    size_t authorization_size =
        strlen("authorization: " ALGORITHM " Credential=, SignedHeaders=") + id.size + 1 + scope_size;
    size_t to_sign_size = strlen(ALGORITHM) + 1 + TIME_SIZE + 1 + scope_size + 1;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t size = sizeof(sigv4_signer) + id.size + 4 + secret.size + token.size + region.size + service.size +
                  authorization_size + to_sign_size + HASH_TEXT_SIZE;
    size = (size + page - 1) / page * page;
    sigv4_signer *s = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED) {
        *field = "memory";
        return SIGV4_BAD_CREDENTIAL;
    }
    // Both are a second fence: a system that refuses them (RLIMIT_MEMLOCK) still gets a working signer.
    (void)!mlock(s, size);
    (void)!madvise(s, size, MADV_DONTDUMP);

    char *at = (char *)(s + 1);
    s->refs = 1;
    s->mapping_size = size;
    s->adds_content_sha256 = credentials->adds_content_sha256;
    s->access_key_id = keep(&at, id);
    s->secret = (sigv4_text){at, 4 + secret.size};
    put_literal(&at, "AWS4");
    keep(&at, secret);
    s->session_token = keep(&at, token);
    s->region = keep(&at, region);
    s->service = keep(&at, service);
    s->authorization = at;
    s->authorization_size = authorization_size;
    s->to_sign = at + authorization_size;
    s->to_sign_size = to_sign_size;
    s->day = s->second = -1;
    *out = s;
    return SIGV4_OK;
}

sigv4_signer *sigv4_signer_hold(sigv4_signer *s)
{
    s->refs++;
    return s;
}

void sigv4_signer_drop(sigv4_signer *s)
{
    if (!s || --s->refs > 0)
        return;
    size_t size = s->mapping_size;
    explicit_bzero(s, size);
    munmap(s, size); // unlocks too
}

bool sigv4_signer_owns(const sigv4_signer *s, sigv4_text name)
{
    switch (name.size) {
    case 4:
        return sigv4_name_is(name, "date");
    case 10:
        return sigv4_name_is(name, "x-amz-date");
    case 13:
        return sigv4_name_is(name, "authorization");
    case 20:
        return s->session_token.size > 0 && sigv4_name_is(name, "x-amz-security-token");
    default:
        return false;
    }
}

// ---- what lasts a second, and a day ----

static void put_scope(const sigv4_signer *s, char **at)
{
    put(at, s->time, DATE_SIZE);
    put_literal(at, "/");
    put(at, s->region.data, s->region.size);
    put_literal(at, "/");
    put(at, s->service.data, s->service.size);
    put_literal(at, SCOPE_END);
}

static void derive_key(sigv4_signer *s)
{
    uint8_t k[SHA256_SIZE];
    hmac_sha256_prepare(&s->key, s->secret.data, s->secret.size);
    hmac_sha256_of(&s->key, s->time, DATE_SIZE, k);
    hmac_sha256_prepare(&s->key, k, sizeof(k));
    hmac_sha256_of(&s->key, s->region.data, s->region.size, k);
    hmac_sha256_prepare(&s->key, k, sizeof(k));
    hmac_sha256_of(&s->key, s->service.data, s->service.size, k);
    hmac_sha256_prepare(&s->key, k, sizeof(k));
    hmac_sha256_of(&s->key, &SCOPE_END[1], strlen(SCOPE_END) - 1, k);
    hmac_sha256_prepare(&s->key, k, sizeof(k));
    explicit_bzero(k, sizeof(k));
}

static void put_digits(char *at, int value, int count)
{
    for (at += count; count > 0; count--, value /= 10)
        *--at = (char)('0' + value % 10);
}

static enum sigv4_error set_time(sigv4_signer *s, int64_t second)
{
    static const int64_t END_OF_9999 = 253402300800;
    if (second == s->second)
        return SIGV4_OK;
    if (second < 0 || second >= END_OF_9999)
        return SIGV4_BAD_TIME;
    time_t t = (time_t)second;
    struct tm utc;
    gmtime_r(&t, &utc);
    put_digits(s->time, utc.tm_year + 1900, 4);
    put_digits(s->time + 4, utc.tm_mon + 1, 2);
    put_digits(s->time + 6, utc.tm_mday, 2);
    s->time[8] = 'T';
    put_digits(s->time + 9, utc.tm_hour, 2);
    put_digits(s->time + 11, utc.tm_min, 2);
    put_digits(s->time + 13, utc.tm_sec, 2);
    s->time[15] = 'Z';
    s->second = second;
    if (second / 86400 != s->day) {
        s->day = second / 86400;
        derive_key(s);
        char *at = s->authorization;
        put_literal(&at, "authorization: " ALGORITHM " Credential=");
        put(&at, s->access_key_id.data, s->access_key_id.size);
        put_literal(&at, "/");
        put_scope(s, &at);
        put_literal(&at, ", SignedHeaders=");
    }
    char *at = s->to_sign;
    put_literal(&at, ALGORITHM "\n");
    put(&at, s->time, TIME_SIZE);
    put_literal(&at, "\n");
    put_scope(s, &at);
    put_literal(&at, "\n");
    return SIGV4_OK;
}

// ---- signing ----

static void put_line(char **at, sigv4_header header)
{
    put(at, header.name.data, header.name.size);
    put_literal(at, ": ");
    put(at, header.value.data, header.value.size);
    put_literal(at, "\r\n");
}

#define TEXT(literal)                                                                                                  \
    (sigv4_text)                                                                                                       \
    {                                                                                                                  \
        literal, sizeof(literal) - 1                                                                                   \
    }
#define DATE_LINE_MAX sizeof("x-amz-date: 20261122T000000Z\r\n")
#define HASH_LINE_MAX (sizeof("x-amz-content-sha256: \r\n") + HASH_TEXT_SIZE)
#define TOKEN_LINE_MAX sizeof("x-amz-security-token: \r\n") // and the token
#define NAMES_MAX sizeof("x-amz-date;x-amz-content-sha256;x-amz-security-token;")
#define SIGNATURE_MAX (sizeof(", Signature=\r\n") + HASH_TEXT_SIZE)

size_t sigv4_room(const sigv4_signer *s, const sigv4_header *headers, size_t header_count)
{
    size_t room = DATE_LINE_MAX + HASH_LINE_MAX + TOKEN_LINE_MAX + s->session_token.size + s->authorization_size +
                  NAMES_MAX + SIGNATURE_MAX;
    for (size_t i = 0; i < header_count; i++)
        room += headers[i].name.size + 1;
    return room;
}

static sigv4_text payload_hash_text(const sigv4_request *request, char text[HASH_TEXT_SIZE])
{
    uint8_t digest[SHA256_SIZE];
    if (request->is_body_unsigned)
        return TEXT("UNSIGNED-PAYLOAD");
    if (!request->body_sha256)
        sha256_of_segments(request->body, request->body_count, digest);
    put_hex(&(char *){text}, request->body_sha256 ? request->body_sha256 : digest, SHA256_SIZE);
    return (sigv4_text){text, HASH_TEXT_SIZE};
}

enum sigv4_error sigv4_sign(sigv4_signer *s, const sigv4_request *request, char *out, size_t room, size_t *size)
{
    // Of the own lines only the token's may be long. All else is checked by sigv4_canonical_hash() as it writes.
    size_t fixed =
        DATE_LINE_MAX + HASH_LINE_MAX + TOKEN_LINE_MAX + s->session_token.size + s->authorization_size + SIGNATURE_MAX;
    if (room < fixed)
        return SIGV4_NO_ROOM;
    int64_t second;
    if (__builtin_add_overflow(request->time_s, request->clock_offset_s, &second))
        return SIGV4_BAD_TIME;
    enum sigv4_error error = set_time(s, second);
    if (error != SIGV4_OK)
        return error;

    sigv4_picks picks;
    picks.count = 0;
    const sigv4_header *given_hash = NULL;
    bool has_host = false;
    for (size_t i = 0; i < request->header_count; i++) {
        const sigv4_header *header = &request->headers[i];
        if (sigv4_is_unsignable(header->name) || sigv4_signer_owns(s, header->name))
            continue;
        error = sigv4_pick_add(&picks, header);
        if (error != SIGV4_OK)
            return error;
        if (sigv4_name_is(header->name, "host"))
            has_host = true;
        else if (sigv4_name_is(header->name, "x-amz-content-sha256"))
            given_hash = header;
    }
    if (!has_host)
        return SIGV4_NO_HOST;

    char *at = out, hash_text[HASH_TEXT_SIZE];
    sigv4_text payload_hash = given_hash ? trim(given_hash->value) : payload_hash_text(request, hash_text);
    sigv4_header own[] = {
        {TEXT("x-amz-date"), {s->time, TIME_SIZE}},
        {TEXT("x-amz-content-sha256"), payload_hash},
        {TEXT("x-amz-security-token"), s->session_token},
    };
    const bool is_own_sent[] = {true, s->adds_content_sha256 && !given_hash, s->session_token.size > 0};
    for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++) {
        if (!is_own_sent[i])
            continue;
        put_line(&at, own[i]);
        error = sigv4_pick_add(&picks, &own[i]);
        if (error != SIGV4_OK)
            return error;
    }
    put(&at, s->authorization, s->authorization_size);

    uint8_t digest[SHA256_SIZE];
    size_t names_size;
    error = sigv4_canonical_hash(request->method, request->target, &picks, payload_hash, at,
                                 room - (size_t)(at - out) - SIGNATURE_MAX, &names_size, digest);
    if (error != SIGV4_OK)
        return error;
    at += names_size;
    put_hex(&(char *){s->to_sign + s->to_sign_size}, digest, sizeof(digest));
    hmac_sha256_of(&s->key, s->to_sign, s->to_sign_size + HASH_TEXT_SIZE, digest);
    put_literal(&at, ", Signature=");
    put_hex(&at, digest, sizeof(digest));
    put_literal(&at, "\r\n");
    *size = (size_t)(at - out);
    return SIGV4_OK;
}

// ---- errors ----

static const struct {
    const char *code, *text;
} errors[] = {
    [SIGV4_OK] = {"ok", "signed"},
    [SIGV4_NO_ROOM] = {"too_large", "the signed headers do not fit the buffer"},
    [SIGV4_BAD_HEADER] = {"bad_header", "a header name is empty or not a token"},
    [SIGV4_TOO_LARGE] = {"too_large",
                         "too many headers or query parameters to sign, or a path with dot segments that is too long"},
    [SIGV4_NO_HOST] = {"bad_header", "the host header is missing"},
    [SIGV4_BAD_TIME] = {"bad_time", "the time is outside the years 1970 to 9999"},
    [SIGV4_BAD_CREDENTIAL] = {"bad_credential", "a credential is empty or holds bytes that cannot be sent"},
};

const char *sigv4_error_code(enum sigv4_error error)
{
    return errors[error].code;
}

const char *sigv4_error_text(enum sigv4_error error)
{
    return errors[error].text;
}
