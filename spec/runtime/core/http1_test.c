// http1: every message is read whole, cut at each byte, and byte by byte; the story told must be the same.
#include "core/http1.h"
#include "http1_cases.h"
#include "test.h"

typedef struct story {
    char text[70000];
    size_t size;
} story;

static void tell(story *s, const char *text, size_t size)
{
    if (s->size + size < sizeof(s->text)) {
        memcpy(s->text + s->size, text, size);
        s->size += size;
    }
    s->text[s->size] = 0;
}

static void tell_text(story *s, const char *text)
{
    tell(s, text, strlen(text));
}

static void tell_head(story *s, const http1_head *h, bool is_response)
{
    char line[64];
    if (is_response) {
        snprintf(line, sizeof(line), "%d", h->status);
        tell_text(s, line);
    } else {
        tell(s, h->block, h->method_size);
        tell_text(s, " ");
        tell(s, h->block + h->target_at, h->target_size);
    }
    static const char *const bodies[] = {"none", "length", "chunked", "close"};
    snprintf(line, sizeof(line), " 1.%d %s%s%s", h->minor, bodies[h->body], h->keeps_alive ? " keep" : "",
             h->expects_continue ? " expect" : "");
    tell_text(s, line);
    for (int i = 0; i < h->count; i++) {
        const http1_header *r = http1_header_at(h, i);
        tell_text(s, "|");
        tell(s, http1_text(h, r->name_at), r->name_size);
        tell_text(s, "=");
        tell(s, http1_text(h, r->value_at), r->value_size);
    }
}

// Feeds one piece; false when the story is over. Copies the piece so that over-reads are seen.
static bool feed(http1 *p, story *s, bool *in_body, const char *data, size_t size)
{
    char *copy = malloc(size ? size : 1);
    memcpy(copy, data, size);
    size_t at = 0;
    bool goes_on = true;
    for (;;) {
        size_t used;
        enum http1_event event = http1_parse(p, copy + at, size - at, &used);
        at += used;
        if (event == HTTP1_HEAD) {
            tell_head(s, p->head, p->is_response);
        } else if (event == HTTP1_BODY) {
            if (!*in_body)
                tell_text(s, "/");
            *in_body = true;
            tell(s, p->part, p->part_size);
        } else if (event == HTTP1_ERROR) {
            char line[64];
            s->size = 0; // how much was told before the fault was seen may differ
            snprintf(line, sizeof(line), "%d %s", p->status, p->code);
            tell_text(s, line);
            goes_on = false;
            break;
        } else if (event == HTTP1_END) {
            tell_text(s, ";");
            *in_body = false;
            http1_next(p);
            if (p->is_response) {
                tell_text(s, at < size ? " junk" : "");
                goes_on = at == size;
                break;
            }
            if (at == size)
                break;
        } else {
            break;
        }
    }
    free(copy);
    return goes_on;
}

static void read_cut(story *s, bool is_response, bool is_head, const char *data, size_t size, size_t cut, bool bytewise)
{
    http1 p;
    bool in_body = false;
    s->size = 0;
    s->text[0] = 0;
    http1_init(&p, is_response, NULL);
    http1_answer_to_head(&p, is_head);
    bool goes_on = true;
    if (bytewise) {
        for (size_t i = 0; i < size && goes_on; i++)
            goes_on = feed(&p, s, &in_body, data + i, 1);
    } else {
        goes_on = feed(&p, s, &in_body, data, cut);
        if (goes_on && cut < size)
            goes_on = feed(&p, s, &in_body, data + cut, size - cut);
    }
    if (goes_on) {
        enum http1_event event = http1_eof(&p);
        if (event == HTTP1_END)
            tell_text(s, ";");
        else if (event == HTTP1_ERROR) {
            s->size = 0;
            tell_text(s, p.code);
        }
    }
    http1_free(&p);
}

static void check_case(const http1_case *c, bool is_response)
{
    static story whole, cut;
    size_t size = c->size;
    read_cut(&whole, is_response, c->is_head, c->text, size, size, false);
    if (strcmp(whole.text, c->want) != 0)
        fprintf(stderr, "case: %s\n", c->text);
    CHECK_TEXT(whole.text, c->want);
    for (size_t i = 0; i < size; i++) {
        read_cut(&cut, is_response, c->is_head, c->text, size, i, false);
        // Junk behind a response may come in the next read: then the connection is idle, and its owner sees it.
        if (strcmp(cut.text, whole.text) != 0 && !strstr(whole.text, " junk")) {
            fprintf(stderr, "cut at %zu: %s\n", i, c->text);
            CHECK_TEXT(cut.text, whole.text);
        }
    }
    read_cut(&cut, is_response, c->is_head, c->text, size, 0, true);
    if (!strstr(whole.text, " junk"))
        CHECK_TEXT(cut.text, whole.text);
}

// ---- messages too large to write down

static char *big(size_t *size, const char *start, const char *repeat, size_t times, const char *end)
{
    size_t a = strlen(start), b = strlen(repeat), c = strlen(end);
    char *text = malloc(a + b * times + c + 1);
    memcpy(text, start, a);
    for (size_t i = 0; i < times; i++)
        memcpy(text + a + b * i, repeat, b);
    memcpy(text + a + b * times, end, c + 1);
    *size = a + b * times + c;
    return text;
}

static void check_big(bool is_response, const char *start, const char *repeat, size_t times, const char *end,
                      const char *want)
{
    static story s;
    size_t size;
    char *text = big(&size, start, repeat, times, end);
    read_cut(&s, is_response, false, text, size, size, false);
    if (strncmp(s.text, want, strlen(want)) != 0)
        CHECK_TEXT(s.text, want);
    CHECK(strncmp(s.text, want, strlen(want)) == 0);
    read_cut(&s, is_response, false, text, size, size / 2, false);
    CHECK(strncmp(s.text, want, strlen(want)) == 0);
    read_cut(&s, is_response, false, text, size, 0, true);
    CHECK(strncmp(s.text, want, strlen(want)) == 0);
    free(text);
}

static void test_limits(void)
{
    check_big(false, "GET /", "a", 16300, " HTTP/1.1\r\nHost: a\r\n\r\n", "GET /aaaa");
    check_big(false, "GET /", "a", 16384, " HTTP/1.1\r\nHost: a\r\n\r\n", "414 uri_too_long");
    check_big(false, "GET /", "a", 1 << 20, " HTTP/1.1\r\nHost: a\r\n\r\n", "414 uri_too_long");
    check_big(false, "GET / HTTP/1.1\r\nHost: a\r\nX: ", "b", 60000, "\r\n\r\n", "GET / 1.1 none keep|host=a|x=bbb");
    check_big(false, "GET / HTTP/1.1\r\nHost: a\r\nX: ", "b", 65536, "\r\n\r\n", "431 headers_too_large");
    check_big(false, "GET / HTTP/1.1\r\nHost: a\r\nX:", " ", 65536, "\r\n\r\n", "431 headers_too_large");
    check_big(false, "GET / HTTP/1.1\r\nHost: a\r\nX: ", "b", 4 << 20, "\r\n\r\n", "431 headers_too_large");
    check_big(false, "GET / HTTP/1.1\r\nHost: a\r\n", "X: b\r\n", 99, "\r\n", "GET / 1.1 none keep|host=a|x=b");
    check_big(false, "GET / HTTP/1.1\r\nHost: a\r\n", "X: b\r\n", 100, "\r\n", "431 headers_too_large");
    check_big(false, "GET / HTTP/1.1\r\nHost: a\r\n", "X: b\r\n", 20000, "\r\n", "431 headers_too_large");
    check_big(false, "", "\r\n", 3, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 bad_request");
#define CHUNKED "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    check_big(false, CHUNKED "1", ";a=b", 200, "\r\nx\r\n0\r\n\r\n", "POST / 1.1 chunked keep");
    check_big(false, CHUNKED "1", ";a=b", 400, "\r\nx\r\n0\r\n\r\n", "413 too_large");
    check_big(false, CHUNKED "1;a=\"", "b", 2000, "\"\r\nx\r\n0\r\n\r\n", "413 too_large");
    check_big(false, CHUNKED, "1;abcdefgh\r\nx\r\n", 200, "0\r\n\r\n", "413 too_large");
    check_big(false, CHUNKED "1\r\nx\r\n0\r\n", "X: y\r\n", 1000, "\r\n", "POST / 1.1 chunked keep");
    check_big(false, CHUNKED "1\r\nx\r\n0\r\n", "X: y\r\n", 20000, "\r\n", "431 headers_too_large");
    check_big(false, CHUNKED "1\r\nx\r\n0\r\nX: ", "y", 1 << 20, "\r\n\r\n", "431 headers_too_large");
    check_big(false, CHUNKED, "0", 1 << 20, "1\r\nx\r\n0\r\n\r\n", "431 headers_too_large");
    check_big(true, "HTTP/1.1 200 OK\r\nX: ", "b", 300000, "\r\n\r\n", "502 bad_response");
    check_big(true, "HTTP/1.1 200 OK\r\n", "X: b\r\n", 5000, "\r\n", "502 bad_response");
    check_big(true, "HTTP/1.1 200 ", "O", 20000, "\r\n\r\n", "502 bad_response");
    check_big(true, "", "HTTP/1.1 102 Processing\r\n\r\n", 10, "HTTP/1.1 204 No\r\n\r\n", "204 1.1 none keep;");
    check_big(true, "", "HTTP/1.1 102 Processing\r\n\r\n", 11, "HTTP/1.1 204 No\r\n\r\n", "502 bad_response");
}

// Each octet in a header value, a header name and the target: which are let in is written down here.
static void test_octets(void)
{
    static story s;
    for (int c = 0; c < 256; c++) {
        char text[128];
        int size = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\nX: b_b\r\n\r\n");
        char *spot = strchr(text, '_');
        *spot = (char)c;
        read_cut(&s, false, false, text, (size_t)size, (size_t)size, false);
        bool is_value = c == '\t' || (c >= 0x20 && c != 0x7f);
        CHECK((strncmp(s.text, "GET /", 5) == 0) == is_value);
        CHECK(is_value || strncmp(s.text, "400", 3) == 0);
        char value[3] = {'b', (char)c, 'b'};
        CHECK(http1_is_value(value, 3) == is_value);

        size = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\nX_x: b\r\n\r\n");
        *strchr(text, '_') = (char)c;
        read_cut(&s, false, false, text, (size_t)size, (size_t)size, false);
        char one = (char)c;
        bool is_name = http1_is_token(&one, 1) || c == ':'; // "X:x: b" is the header X
        CHECK((strncmp(s.text, "GET /", 5) == 0) == is_name);

        size = snprintf(text, sizeof(text), "GET /_x HTTP/1.1\r\nHost: a\r\n\r\n");
        *strchr(text, '_') = (char)c;
        read_cut(&s, false, false, text, (size_t)size, (size_t)size, false);
        bool is_target = c > 0x20 && c < 0x7f && c != '#';
        CHECK((strncmp(s.text, "GET /", 5) == 0) == is_target);
    }
}

static void test_head(void)
{
    http1 p;
    size_t used;
    const char *text = "GET /a/b?c=d&e HTTP/1.1\r\nHost: a\r\nConnection: Foo , cLoSe\r\nX-A: 1\r\nx-a: 2\r\n\r\n";
    http1_init(&p, false, NULL);
    CHECK(http1_is_idle(&p));
    CHECK(http1_parse(&p, text, strlen(text), &used) == HTTP1_HEAD);
    CHECK(!http1_is_idle(&p));
    CHECK(p.head->path_size == 4 && p.head->target_size == 10);
    int first = http1_find(p.head, "x-a", 3, 0);
    CHECK(first == 2 && http1_find(p.head, "x-a", 3, first + 1) == 3 && http1_find(p.head, "x-a", 3, 4) == -1);
    CHECK(http1_find(p.head, "x-b", 3, 0) == -1);
    CHECK(http1_has_token(p.head, "connection", "close") && http1_has_token(p.head, "connection", "foo"));
    CHECK(!http1_has_token(p.head, "connection", "keep-alive") && !p.head->keeps_alive);
    http1_head *taken = http1_take_head(&p);
    CHECK(taken && !p.head && http1_parse(&p, "", 0, &used) == HTTP1_END);
    uint32_t before = taken->capacity;
    http1_head_fit(&taken);
    CHECK(taken->capacity < before && http1_find(taken, "x-a", 3, first + 1) == 3);
    CHECK(strncmp(http1_text(taken, http1_header_at(taken, 2)->value_at), "1", 1) == 0);
    before = taken->capacity;
    http1_head_fit(&taken);
    CHECK(taken->capacity == before);
    http1_head_free(taken);
    http1_next(&p);

    // A body read past the parser, the head long gone.
    text = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc";
    CHECK(http1_parse(&p, text, strlen(text), &used) == HTTP1_HEAD && p.body_left == 10);
    http1_drop_head(&p);
    CHECK(http1_parse(&p, text + used, strlen(text) - used, &used) == HTTP1_BODY && used == 3 && p.body_left == 7);
    CHECK(http1_in_body(&p) && http1_body_taken(&p, 6) == HTTP1_MORE && http1_body_taken(&p, 1) == HTTP1_END);
    CHECK(http1_parse(&p, "", 0, &used) == HTTP1_END && http1_eof(&p) == HTTP1_MORE);
    http1_free(&p);
    CHECK(sizeof(http1) <= 192);
}

static void test_writers(void)
{
    bytes *out = bytes_new(0);
    CHECK(http1_put_status(out, 200) && http1_put_header(out, "a", 1, "b", 1) && http1_put_length(out, 12));
    CHECK(http1_put_date(out, 784111777) && http1_put_end(out) && bytes_append(out, "", 1));
    CHECK_TEXT(out->data,
               "HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 12\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n");
    size_t before = out->size;
    CHECK(!http1_put_header(out, "a b", 3, "c", 1) && !http1_put_header(out, "", 0, "c", 1));
    CHECK(!http1_put_header(out, "a", 1, "b\r\nc: d", 7) && !http1_put_header(out, "a", 1, "b\nc", 3));
    CHECK(!http1_put_header(out, "a", 1, "b\0c", 3) && !http1_put_header(out, "a:", 2, "b", 1));
    CHECK(!http1_put_request(out, "GET", 3, "/ HTTP/1.1\r\nX: y", 16) && !http1_put_request(out, "GE T", 4, "/", 1));
    CHECK(!http1_put_request(out, "GET", 3, "http://a/", 9) && !http1_put_status(out, 99) &&
          !http1_put_status(out, 600));
    CHECK(out->size == before);
    out->size = 0;
    CHECK(http1_put_length(out, UINT64_MAX) && http1_put_length(out, 0) && http1_put_status(out, 404) &&
          bytes_append(out, "", 1));
    CHECK_TEXT(out->data, "content-length: 18446744073709551615\r\ncontent-length: 0\r\nHTTP/1.1 404 Not Found\r\n");
    out->size = 0;
    CHECK(http1_put_request(out, "POST", 4, "/v1?x", 5) && http1_put_end(out) && bytes_append(out, "", 1));
    CHECK_TEXT(out->data, "POST /v1?x HTTP/1.1\r\n\r\n");
    bytes_drop(out);

    char prefix[HTTP1_CHUNK_PREFIX_BYTES + 1];
    size_t sizes[] = {1, 15, 16, 255, 4096, SIZE_MAX};
    const char *want[] = {"1\r\n", "f\r\n", "10\r\n", "ff\r\n", "1000\r\n", "ffffffffffffffff\r\n"};
    for (size_t i = 0; i < 6; i++) {
        prefix[http1_chunk_prefix(prefix, sizes[i])] = 0;
        CHECK_TEXT(prefix, want[i]);
    }
}

int main(void)
{
    for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++)
        check_case(&requests[i], false);
    for (size_t i = 0; i < sizeof(responses) / sizeof(*responses); i++)
        check_case(&responses[i], true);
    test_limits();
    test_octets();
    test_head();
    test_writers();
    return test_end();
}
