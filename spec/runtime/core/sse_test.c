// The SSE reader against a list of streams, each read whole, cut in two at every byte, and byte by byte,
// with each of the three line ends; and the writer against the reader.
#include "core/sse.h"
#include "test.h"

static char got[1 << 16];

static void note(const sse_event *event)
{
    size_t used = strlen(got);
    snprintf(got + used, sizeof(got) - used, "[%.*s|%.*s", (int)event->name_size, event->name, (int)event->data_size,
             event->data);
    used = strlen(got);
    if (event->id)
        snprintf(got + used, sizeof(got) - used, "|id=%.*s", (int)event->id_size, event->id);
    used = strlen(got);
    if (event->retry_ms >= 0)
        snprintf(got + used, sizeof(got) - used, "|retry=%lld", (long long)event->retry_ms);
    strcat(got, "]");
}

// Feeds data from memory of exactly its size, so that the sanitizer sees every read beyond it.
static enum sse_result feed(sse_reader *r, const char *data, size_t size)
{
    char *read = malloc(size ? size : 1);
    memcpy(read, data, size);
    sse_feed(r, read, size);
    sse_event event;
    enum sse_result result;
    while ((result = sse_next(r, &event)) == SSE_EVENT)
        note(&event);
    memset(read, '#', size);
    free(read);
    return result;
}

static void end(sse_reader *r)
{
    if (sse_end(r))
        strcat(got, "cut");
    sse_free(r);
}

static void check_cuts(const char *stream, size_t size, const char *want)
{
    sse_reader r;
    for (size_t cut = 0; cut <= size; cut++) {
        sse_init(&r, 0);
        got[0] = 0;
        CHECK(feed(&r, stream, cut) == SSE_MORE);
        CHECK(feed(&r, stream + cut, size - cut) == SSE_MORE);
        end(&r);
        CHECK_TEXT(got, want);
    }
    for (size_t step = 1; step <= 7; step++) {
        sse_init(&r, 0);
        got[0] = 0;
        for (size_t at = 0; at < size; at += step)
            CHECK(feed(&r, stream + at, size - at < step ? size - at : step) == SSE_MORE);
        end(&r);
        CHECK_TEXT(got, want);
    }
}

// The stream is written with LF; it is read with LF, CRLF and CR.
static void check(const char *stream, const char *want)
{
    char text[4096];
    for (int kind = 0; kind < 3; kind++) {
        size_t used = 0;
        for (const char *at = stream; *at; at++) {
            if (*at != '\n') {
                text[used++] = *at;
                continue;
            }
            if (kind != 0)
                text[used++] = '\r';
            if (kind != 2)
                text[used++] = '\n';
        }
        check_cuts(text, used, want);
    }
}

static void test_streams(void)
{
    check("", "");
    check("event: a\ndata: {\"x\":1}\n\n", "[a|{\"x\":1}]");
    check("event: a\ndata: 1\n\nevent: b\ndata: 2\n\n", "[a|1][b|2]");
    check("data:no space\n\n", "[message|no space]");
    check("data:  two spaces\n\n", "[message| two spaces]");
    check("data: a\ndata: b\n\n", "[message|a\nb]");
    check("data: a\nevent: e\ndata\ndata: c\nid: 7\n\ndata: d\n\n", "[e|a\n\nc|id=7][message|d]");
    check("data\n\n", "[message|]");
    check("data\ndata\n\n", "[message|\n]");
    check("data:\n\n", "[message|]");
    check("event: nothing\n\ndata: x\n\n", "[message|x]");
    check(": comment\n\n: more\ndata: x\n: inside\n\n", "[message|x]");
    check(":\n:\n:\n", "");
    check("\n\n\ndata: x\n\n\n\n", "[message|x]");
    check("\xEF\xBB\xBF"
          "data: x\n\n",
          "[message|x]");
    check("\xEF\xBB\xBF\ndata: x\n\n", "[message|x]");
    check("\xEF\xBB\xBF: c\ndata: x\n\n", "[message|x]");
    check("data: 1\n\n\xEF\xBB\xBF"
          "data: 2\n\ndata: 3\n\n",
          "[message|1][message|3]");
    check(": c\n\xEF\xBB\xBF"
          "data: 2\n\ndata: 3\n\n",
          "[message|3]");
    check("datax: 1\ndat: 2\nDATA: 3\n data: 4\ndata: 5\n\n", "[message|5]");
    check("event: a\nevent: b\nevent\nevent: c\ndata: 1\n\n", "[c|1]");
    check("event: a\nevent\ndata: 1\n\n", "[message|1]");
    check("retry: 1500\nid\ndata: 1\n\nretry: 1x\ndata: 2\n\n", "[message|1|id=|retry=1500][message|2]");
    check("data: f\xC3\xBCr \xF0\x9F\x98\x80 \xE2\x80\xA8\n\n", "[message|f\xC3\xBCr \xF0\x9F\x98\x80 \xE2\x80\xA8]");
    check("data: whole\n\ndata: cut", "[message|whole]cut");
    check("data: whole\n\ndata: cut\n", "[message|whole]cut");
    check("data: whole\n\n: only a comment\n", "[message|whole]");
    check("data: a: b: c\n\n", "[message|a: b: c]");
    check_cuts("id: a\0b\ndata: x\n\n", 17, "[message|x]");
    check_cuts("data: a\r\ndata: b\rdata: c\n\r\n", 27, "[message|a\nb\nc]");
    check_cuts("data: a\n\rdata: b\r\n\r", 19, "[message|a][message|b]");
}

static void test_no_copy(void)
{
    const char *stream = "event: a\ndata: 1\n\nevent: b\ndata: 2\n\nda";
    sse_reader r;
    sse_event event;
    sse_init(&r, 0);
    CHECK(sse_is_between(&r));
    sse_feed(&r, stream, strlen(stream));
    CHECK(sse_next(&r, &event) == SSE_EVENT);
    CHECK(event.data == stream + 15 && event.name == stream + 7);
    CHECK(!sse_is_between(&r));
    CHECK(sse_rest_size(&r) == 20);

    char *moved = strdup(stream); // as a relay does it when its task waits elsewhere
    sse_move(&r, &event, stream, moved, strlen(stream));
    CHECK(event.data == moved + 15 && event.name == moved + 7);
    CHECK(sse_next(&r, &event) == SSE_EVENT);
    CHECK(event.data == moved + 33);
    CHECK(r.own == NULL);
    CHECK(sse_next(&r, &event) == SSE_MORE);
    free(moved);
    CHECK(r.own != NULL && !sse_is_between(&r));

    sse_feed(&r, "ta: 3\n\n", 7);
    CHECK(sse_next(&r, &event) == SSE_EVENT);
    CHECK(event.data_size == 1 && event.data[0] == '3');
    CHECK(sse_is_between(&r));
    CHECK(sse_next(&r, &event) == SSE_MORE);
    CHECK(r.own == NULL); // nothing is kept between events
    CHECK(!sse_end(&r));
}

static void test_limit(void)
{
    sse_reader r;
    sse_event event;
    sse_init(&r, 20);
    const char *fits = "data: 3456789012345\n\n", *over = "data: 34567890123456\n\n";
    sse_feed(&r, fits, strlen(fits));
    CHECK(sse_next(&r, &event) == SSE_EVENT);
    CHECK(sse_next(&r, &event) == SSE_MORE);
    sse_feed(&r, over, strlen(over));
    CHECK(sse_next(&r, &event) == SSE_TOO_LARGE);
    CHECK(sse_next(&r, &event) == SSE_TOO_LARGE);
    sse_free(&r);

    sse_init(&r, 20); // an endless line
    for (int i = 0; i < 20; i++) {
        sse_feed(&r, "x", 1);
        CHECK(sse_next(&r, &event) == SSE_MORE);
    }
    sse_feed(&r, "x", 1);
    CHECK(sse_next(&r, &event) == SSE_TOO_LARGE);
    CHECK(r.own == NULL);

    sse_init(&r, 20); // comments are not kept, so they never reach the limit
    for (int i = 0; i < 100; i++) {
        sse_feed(&r, ": pi", 4);
        CHECK(sse_next(&r, &event) == SSE_MORE);
        sse_feed(&r, "ng\n", 3);
        CHECK(sse_next(&r, &event) == SSE_MORE);
    }
    CHECK(!sse_end(&r));
}

static void test_large(void)
{
    enum { SIZE = 5 * 1024 * 1024 }; // one 5 MB event in reads of 64 KB
    char *stream = malloc(SIZE + 16);
    memset(stream, 'x', SIZE + 16);
    memcpy(stream, "data: ", 6);
    memcpy(stream + SIZE, "\n\n", 2);
    sse_reader r;
    sse_event event = {0};
    sse_init(&r, 0);
    size_t events = 0;
    for (size_t at = 0; at < SIZE + 2; at += 65536) {
        size_t size = SIZE + 2 - at < 65536 ? SIZE + 2 - at : 65536;
        sse_feed(&r, stream + at, size);
        while (sse_next(&r, &event) == SSE_EVENT) {
            events++;
            CHECK(event.data_size == SIZE - 6 && memcmp(event.data, stream + 6, SIZE - 6) == 0);
        }
    }
    CHECK(events == 1);
    sse_free(&r);
    free(stream);
}

static void test_write(void)
{
    bytes *out = bytes_new(0);
    CHECK(sse_write(out, "a", 1, "1", 1));
    CHECK(sse_write(out, "", 0, "l1\nl2\r\nl3\rl4", 13));
    CHECK(sse_write(out, "e", 1, "", 0));
    CHECK(sse_write(out, "e", 1, "x\n", 2));
    size_t size = out->size;
    CHECK(!sse_write(out, "a\nb", 3, "1", 1));
    CHECK(!sse_write(out, "a\rb", 3, "1", 1));
    CHECK(out->size == size);
    check_cuts(out->data, out->size, "[a|1][message|l1\nl2\nl3\nl4][e|][e|x\n]");
    bytes_drop(out);
}

int main(void)
{
    test_streams();
    test_no_copy();
    test_limit();
    test_large();
    test_write();
    return test_end();
}
