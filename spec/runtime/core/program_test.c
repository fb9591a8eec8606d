// The rules engine: translating and tapping a stream whole, cut at every byte and byte by byte; each
// condition, piece and lift; what must not go through a rule; the limits of building.
#include "programs.h"
#include "test.h"

static program_scratch scratch;
static char log_text[1 << 16]; // names (and broken data) of the events that woke us

// Runs data through s in reads of at most `step` bytes, each in memory of exactly its size.
static enum program_result run(program_state *s, const char *data, size_t size, size_t step, bytes *out)
{
    enum program_result result = PROGRAM_MORE;
    for (size_t from = 0; from < size; from += step) {
        size_t n = size - from < step ? size - from : step;
        char *read = malloc(n);
        memcpy(read, data + from, n);
        sse_feed(&s->reader, read, n);
        while ((result = program_next(s, &scratch, out)) == PROGRAM_WAKE) {
            size_t used = strlen(log_text);
            snprintf(log_text + used, sizeof(log_text) - used, "%.*s ", (int)s->event.name_size, s->event.name);
        }
        free(read);
        if (result != PROGRAM_MORE)
            break;
    }
    return result;
}

static const char *slot_text(program_state *s, const char *name)
{
    static char copy[4096];
    int index = program_slot_index(s->program, name, strlen(name));
    if (index < 0 || !s->slots[index].is_set)
        return NULL;
    if (s->slots[index].kind == PROGRAM_INTEGER)
        snprintf(copy, sizeof(copy), "%lld", (long long)s->slots[index].integer);
    else
        snprintf(copy, sizeof(copy), "%.*s", (int)s->slots[index].size, s->slots[index].text);
    return copy;
}

// Translates the stream with p and compares output and wakes, for every cut and for small steps.
static void check_program(program *p, const char *stream, const char *want_out, const char *want_log)
{
    size_t size = strlen(stream);
    for (size_t cut = 0; cut < size + 5; cut++) {
        program_state *s = program_state_new(p, 0);
        bytes *out = bytes_new(0);
        program_set(s, 0, "data: {\"choices\":[{\"delta\":", 27);
        program_set(s, 1, "3", 1);
        program_set(s, 2, "0", 1);
        log_text[0] = 0;
        if (cut < size) {
            CHECK(run(s, stream, cut, size, out) == PROGRAM_MORE);
            CHECK(run(s, stream + cut, size - cut, size, out) == PROGRAM_MORE);
        } else {
            CHECK(run(s, stream, size, cut - size + 1, out) == PROGRAM_MORE);
        }
        bytes_append(out, "", 1);
        CHECK_TEXT(out->data, want_out);
        CHECK_TEXT(log_text, want_log);
        bytes_drop(out);
        program_state_free(s);
    }
}

static void test_translate(void)
{
    program *p = chat_program();
    check_program(
        p,
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\"}}\n\n"
        "event: ping\ndata: {\"type\": \"ping\"}\n\n"
        "event: content_block_delta\r\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_"
        "delta\",\"text\":\"f\xC3\xBCr \\u2028 \\\"q\\\" \xF0\x9F\x98\x80\"}}\r\n\r\n"
        "event: content_block_delta\ndata: "
        "{\"index\":1,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}}\n\n"
        "event: content_block_delta\ndata: {\"index\":3,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":"
        "\"\"}}\n\n"
        "event: content_block_delta\ndata: {\"index\":3,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":"
        "\"{\\\"a\\\":1\"}}\n\n"
        "event: content_block_delta\ndata: {\"index\":4,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":"
        "\"{}\"}}\n\n"
        "event: content_block_stop\ndata: {\"index\":3}\n\n"
        "event: new_kind\ndata: {}\n\n"
        "event: message_delta\ndata: {\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":5}}\n\n",
        ": ping\n\n"
        "data: {\"choices\":[{\"delta\":{\"content\":\"f\xC3\xBCr \\u2028 \\\"q\\\" \xF0\x9F\x98\x80\"}}]}\n\n"
        "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n"
        "data: "
        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\\\":1\"}}]}}]"
        "}\n\n",
        "message_start content_block_delta new_kind message_delta ");
    // Broken, incomplete or strange data goes through no rule.
    check_program(p, "event: content_block_delta\ndata: {\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}\n\n", "",
                  "content_block_delta ");
    check_program(p, "event: content_block_delta\ndata: {\"delta\":{\"type\":\"text_delta\"}}\n\n", "",
                  "content_block_delta ");
    check_program(p, "event: content_block_delta\ndata: {\"delta\":{\"type\":\"text_delta\",\"text\":\"\xFF\"}}\n\n",
                  "", "content_block_delta ");
    check_program(p, "event: content_block_delta\ndata: [1]\n\ndata: {}\n\n", "", "content_block_delta message ");
    program_drop(p);
}

static void test_tap(void)
{
    program *p = tap_program();
    const char *stream =
        "event: message_start\ndata: "
        "{\"message\":{\"id\":\"msg_\\u00e4\",\"usage\":{\"input_tokens\":25,\"output_tokens\":"
        "1,\"cache_read_input_tokens\":7}}}\n\n"
        "event: ping\ndata: broken, but no rule looks\n\n"
        "event: content_block_delta\ndata: also broken\n\n"
        "event: message_delta\ndata: {\"delta\":{\"stop_reason\":null},\"usage\":{\"output_tokens\":10}}\n\n"
        "event: message_delta\ndata: {\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":15,\"input_"
        "tokens\":null,\"cache_read_input_tokens\":9}}\n\n"
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n";
    for (size_t step = 1; step <= strlen(stream); step += step < 9 ? 1 : 50) {
        program_state *s = program_state_new(p, 0);
        log_text[0] = 0;
        CHECK(run(s, stream, strlen(stream), step, NULL) == PROGRAM_MORE);
        CHECK_TEXT(log_text, "");
        CHECK_TEXT(slot_text(s, "id"), "msg_\xC3\xA4");
        CHECK_TEXT(slot_text(s, "input_tokens"), "25");
        CHECK_TEXT(slot_text(s, "output_tokens"), "15");
        CHECK_TEXT(slot_text(s, "cache_read_input_tokens"), "9");
        CHECK(slot_text(s, "cache_creation_input_tokens") == NULL);
        CHECK_TEXT(slot_text(s, "stop_reason"), "tool_use");
        CHECK_TEXT(slot_text(s, "error"), "busy");
        CHECK_TEXT(slot_text(s, "error_raw"), "{\"type\":\"overloaded_error\",\"message\":\"busy\"}");
        CHECK(slot_text(s, "no such slot") == NULL);
        CHECK(s->events == 5 && s->bad_events == 0);
        program_state_free(s);
    }
    program_state *s = program_state_new(p, 0);
    log_text[0] = 0;
    const char *broken = "event: message_delta\ndata: {\"usage\":{\"output_tokens\":99}\n\n";
    CHECK(run(s, broken, strlen(broken), 1000, NULL) == PROGRAM_MORE);
    CHECK_TEXT(log_text, "message_delta ");
    CHECK(s->bad_events == 1 && slot_text(s, "output_tokens") == NULL);
    program_state_free(s);
    program_drop(p);
}

static void test_integers(void)
{
    static const char *const numbers[][2] = {
        {"0", "0"},
        {"-0", "0"},
        {"-7", "-7"},
        {"9223372036854775807", "9223372036854775807"},
        {"9223372036854775808", "9223372036854775807"},
        {"99999999999999999999999999", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"-99999999999999999999999999", "-9223372036854775808"},
        {"1.9", "1"},
        {"-1.9", "-1"},
        {"1e3", "1000"},
        {"1e99999999999", "9223372036854775807"},
        {"-1E400", "-9223372036854775808"},
        {"12.000000000000000000000000000000000000000000000000000000000000000000", NULL},
        {"null", NULL},
        {"\"5\"", NULL},
        {"{}", NULL},
        {"true", NULL},
    };
    program *p = program_new(PROGRAM_PASS);
    rule(p, "e");
    lift(p, "n", "n", PROGRAM_INTEGER);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        char event[256];
        snprintf(event, sizeof(event), "event: e\ndata: {\"n\":%s}\n\n", numbers[i][0]);
        program_state *s = program_state_new(p, 0);
        CHECK(run(s, event, strlen(event), 999, NULL) == PROGRAM_MORE);
        if (numbers[i][1])
            CHECK_TEXT(slot_text(s, "n"), numbers[i][1]);
        else
            CHECK(slot_text(s, "n") == NULL);
        program_state_free(s);
    }
    program_drop(p);
}

static void test_conditions(void)
{
    static const struct {
        enum program_test test;
        const char *yes, *no;
    } cases[] = {
        {PROGRAM_PRESENT, "{\"a\":0}", "{\"a\":null}"},    {PROGRAM_PRESENT, "{\"a\":\"\"}", "{}"},
        {PROGRAM_ABSENT, "{}", "{\"a\":false}"},           {PROGRAM_ABSENT, "{\"a\":null}", "{\"a\":[]}"},
        {PROGRAM_IS_STRING, "{\"a\":\"x\"}", "{\"a\":1}"}, {PROGRAM_IS_NUMBER, "{\"a\":1}", "{\"a\":\"1\"}"},
        {PROGRAM_IS_OBJECT, "{\"a\":{}}", "{\"a\":[]}"},   {PROGRAM_IS_ARRAY, "{\"a\":[]}", "{\"a\":{}}"},
        {PROGRAM_EQUALS, "{\"a\": 1.0 }", "{\"a\":1.00}"}, {PROGRAM_EQUALS, "{\"\\u0061\":1.0}", "{\"b\":1.0}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        program *p = program_new(PROGRAM_TRANSLATE);
        rule(p, "e");
        CHECK(program_add_when(p, at(p, "a"), cases[i].test, "1.0", 3, 0) == 0);
        text(p, "yes");
        rule(p, "e");
        text(p, "no");
        for (int yes = 0; yes < 2; yes++) {
            char event[256];
            snprintf(event, sizeof(event), "event: e\ndata: %s\n\n", yes ? cases[i].yes : cases[i].no);
            program_state *s = program_state_new(p, 0);
            bytes *out = bytes_new(0);
            CHECK(run(s, event, strlen(event), 999, out) == PROGRAM_MORE);
            bytes_append(out, "", 1);
            CHECK_TEXT(out->data, yes ? "yes" : "no");
            bytes_drop(out);
            program_state_free(s);
        }
        program_drop(p);
    }
}

// Variables may change between two events of one read, and not be there at all.
static void test_vars(void)
{
    program *p = program_new(PROGRAM_TRANSLATE);
    rule(p, "e");
    when_var(p, "i", 5);
    program_add_var(p, 6), raw(p, "list.#1"), text(p, "|");
    program_add_wake(p, "e", 1);
    const char *stream = "event: e\ndata: {\"i\":1,\"list\":[0,{\ndata: \"a\" :\r\ndata: \"b\"}]}\n\n"
                         "event: e\ndata: {\"i\":2,\"list\":[0,\"two\"]}\n\n"
                         "event: e\ndata: {\"i\":2,\"list\":[0]}\n\n";
    program_state *s = program_state_new(p, 0);
    bytes *out = bytes_new(0);
    CHECK(!program_set(s, PROGRAM_VARS, "x", 1));
    CHECK(!program_set(s, -1, "x", 1));
    sse_feed(&s->reader, stream, strlen(stream));
    CHECK(program_next(s, &scratch, out) == PROGRAM_WAKE); // var 5 is not set: the rule did not hold
    CHECK(out->size == 0);
    sse_feed(&s->reader, stream, strlen(stream));
    CHECK(program_set(s, 5, "1", 1));
    CHECK(program_next(s, &scratch, out) == PROGRAM_WAKE);
    CHECK(program_set(s, 5, "2", 1) && program_set(s, 6, "a rather long text", 18) && program_set(s, 6, "v", 1));
    CHECK(program_next(s, &scratch, out) == PROGRAM_WAKE);
    CHECK(program_next(s, &scratch, out) == PROGRAM_WAKE); // no element 1: the rule does not hold
    CHECK(program_next(s, &scratch, out) == PROGRAM_MORE);
    bytes_append(out, "", 1);
    CHECK_TEXT(out->data, "{ \"a\" : \"b\"}|v\"two\"|"); // line ends of the object are gone
    bytes_drop(out);
    program_state_free(s);
    program_drop(p);
}

static void test_peek(void)
{
    program *p = chat_program();
    const char *stream = "event: ping\ndata: {}\n\n"
                         "event: message_delta\ndata: {\"delta\":{\"stop_reason\":\"x\"}}\n\nevent: ping\ndata: {}\n\n";
    program_state *s = program_state_new(p, 0);
    bytes *out = bytes_new(0);
    sse_feed(&s->reader, stream, 30);
    CHECK(program_peek(s) == PROGRAM_MORE);
    sse_feed(&s->reader, stream + 30, strlen(stream) - 30);
    CHECK(program_peek(s) == PROGRAM_WAKE);
    CHECK(program_peek(s) == PROGRAM_WAKE);
    CHECK(s->event.name_size == 13 && memcmp(s->event.name, "message_delta", 13) == 0);
    CHECK(slot_text(s, "stop_reason") == NULL);
    CHECK(program_next(s, &scratch, out) == PROGRAM_WAKE);
    CHECK_TEXT(slot_text(s, "stop_reason"), "x");
    CHECK(program_next(s, &scratch, out) == PROGRAM_MORE);
    CHECK(out->size == 8); // the ping behind it; the one before was dropped
    CHECK(s->events == 1);
    bytes_drop(out);
    program_state_free(s);

    s = program_state_new(p, 32);
    sse_feed(&s->reader, stream + 23, 60);
    CHECK(program_peek(s) == PROGRAM_TOO_LARGE);
    CHECK(program_next(s, &scratch, NULL) == PROGRAM_TOO_LARGE);
    program_state_free(s);
    program_drop(p);
}

static void test_build(void)
{
    program *p = program_new(PROGRAM_PASS);
    CHECK(text(p, "x") == -1); // no rule yet
    CHECK(rule(p, "a") == 0);
    CHECK(text(p, "x") == -1); // pass mode writes nothing of its own
    CHECK(lift(p, "x", "slot", PROGRAM_STRING) == 0);
    CHECK(lift(p, "y", "slot", PROGRAM_STRING) == 0);
    CHECK(lift(p, "y", "slot", PROGRAM_RAW) == -1);
    CHECK(program_add_lift(p, 99, "slot", 4, PROGRAM_RAW) == -1);
    CHECK(program_add_when(p, at(p, "x"), PROGRAM_VAR, NULL, 0, PROGRAM_VARS) == -1);
    CHECK(at(p, "x") == 0 && at(p, "y") == 1 && at(p, "x.y") == 2 && at(p, "") == 3 && at(p, "#1") == 4);
    CHECK(program_slot_count(p) == 1);
    size_t size;
    CHECK(memcmp(program_slot_name(p, 0, &size), "slot", 4) == 0 && size == 4);
    char name[2] = "a";
    for (int i = 0; i < 200; i++) {
        name[0] = (char)('A' + i % 50);
        CHECK(rule(p, name) == i + 1);
    }
    program_hold(p);
    program_drop(p);
    program_drop(p);
    p = program_new(PROGRAM_TRANSLATE);
    rule(p, "a");
    int added = 0;
    while (added < 1000 && text(p, "x") == 0)
        added++;
    CHECK(added == PROGRAM_PIECES);
    program_drop(p);
}

int main(void)
{
    test_translate();
    test_tap();
    test_integers();
    test_conditions();
    test_vars();
    test_peek();
    test_build();
    program_scratch_free(&scratch);
    return test_end();
}
