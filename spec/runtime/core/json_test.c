// The scanner: what it accepts and refuses, where it says the error is, and that it stays linear.
#include "core/json.h"
#include "test.h"

static json_nodes nodes;

// Scans a copy that ends exactly at the end of its block, so that a sanitizer sees every byte too many.
static bool scan(const char *text, size_t size, const json_limits *limits, json_error *error)
{
    char *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, text, size);
    bool ok = json_scan(&nodes, copy, size, limits, error);
    free(copy);
    return ok;
}

#define TEXT(s) s, sizeof(s) - 1

static const struct {
    const char *text;
    size_t size;
} accepted[] = {
    {TEXT("null")},
    {TEXT(" true ")},
    {TEXT("\t\r\n false\n")},
    {TEXT("0")},
    {TEXT("-0")},
    {TEXT("-0.0e-0")},
    {TEXT("10")},
    {TEXT("1.5E+3")},
    {TEXT("123456789012345678901234567890")},
    {TEXT("1e99999999999")},
    {TEXT("\"\"")},
    {TEXT("\"\\u0000\"")},
    {TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83d\\uDe00\"")},
    {TEXT("\"\x7F\"")},
    {TEXT("\"\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\"")},
    {TEXT("\"\xEF\xBB\xBF\"")},
    {TEXT("[]")},
    {TEXT("[ ]")},
    {TEXT("{}")},
    {TEXT("{ }")},
    {TEXT("[[],{},\"\",0]")},
    {TEXT("{\"\":0,\"a\":{\"a\":{}},\"b\":[1 , 2]}")},
    {TEXT("{\"type\":1,\"tape\":2,\"tope\":3}")},
};

static const struct {
    const char *text;
    size_t size;
    size_t offset;
} refused[] = {
    {TEXT(""), 0},
    {TEXT("  "), 2},
    {TEXT("\xEF\xBB\xBF{}"), 0},
    {TEXT("nul"), 0},
    {TEXT("True"), 0},
    {TEXT("NaN"), 0},
    {TEXT("-"), 1},
    {TEXT("-Infinity"), 1},
    {TEXT("+1"), 0},
    {TEXT(".5"), 0},
    {TEXT("01"), 1},
    {TEXT("-01"), 2},
    {TEXT("1."), 2},
    {TEXT("1.e1"), 2},
    {TEXT("1e"), 2},
    {TEXT("1e+"), 3},
    {TEXT("0x10"), 1},
    {TEXT("1 2"), 2},
    {TEXT("{}{}"), 2},
    {TEXT("null\0"), 4},
    {TEXT("null\f"), 4},
    {TEXT("\"abc"), 4},
    {TEXT("\"a\nb\""), 2},
    {TEXT("\"\0\""), 1},
    {TEXT("\"\\x\""), 1},
    {TEXT("\"\\u12G4\""), 1},
    {TEXT("\"\\uD800\""), 1},
    {TEXT("\"\\uD800x\""), 1},
    {TEXT("\"\\uD800\\u0041\""), 1},
    {TEXT("\"ab\\uDC00\""), 3},
    {TEXT("\"\x80\""), 1},
    {TEXT("\"\xC0\x80\""), 1},
    {TEXT("\"\xC3\""), 1},
    {TEXT("\"a\xE0\x9F\xBF\""), 2},
    {TEXT("\"\xED\xA0\x80\""), 1},
    {TEXT("\"\xF0\x8F\xBF\xBF\""), 1},
    {TEXT("\"\xF4\x90\x80\x80\""), 1},
    {TEXT("\"\xF5\x80\x80\x80\""), 1},
    {TEXT("["), 1},
    {TEXT("[1"), 2},
    {TEXT("[1,"), 3},
    {TEXT("[1,]"), 3},
    {TEXT("[,1]"), 1},
    {TEXT("[1 2]"), 3},
    {TEXT("[1}"), 2},
    {TEXT("]"), 0},
    {TEXT("{"), 1},
    {TEXT("{]"), 1},
    {TEXT("{a:1}"), 1},
    {TEXT("{'a':1}"), 1},
    {TEXT("{\"a\"}"), 4},
    {TEXT("{\"a\":}"), 5},
    {TEXT("{\"a\":1,}"), 7},
    {TEXT("{\"a\":1 \"b\":2}"), 7},
    {TEXT("{\"a\" 1}"), 5},
    {TEXT("// c\n1"), 0},
    {TEXT("{\"a\":1,\"b\":2,\"a\":3}"), 13},
    {TEXT("{\"a\":1,\"\\u0061\":3}"), 7},
    {TEXT("{\"\\ud83d\\ude00\":1,\"\xF0\x9F\x98\x80\":3}"), 18},
    {TEXT("{\"\":1,\"\":3}"), 6},
};

static void test_tables(void)
{
    json_error error = {0};
    for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
        CHECK(scan(accepted[i].text, accepted[i].size, NULL, &error));
        CHECK(nodes.count > 0 && nodes.items[0].next == nodes.count);
    }
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        bool ok = scan(refused[i].text, refused[i].size, NULL, &error);
        CHECK(!ok && nodes.count == 0);
        if (ok || error.offset != refused[i].offset)
            fprintf(stderr, "row %zu: %s at %zu\n", i, error.message, error.offset);
        CHECK(error.offset == refused[i].offset);
    }
}

static const char chat[] =
    "{\"model\":\"claude-x\", \"stream\" : true,\"messages\":[{\"role\":\"user\",\"content\":\"H\\u00e9llo "
    "w\xC3\xB6rld, a long text that passes the first sixteen and sixty-four bytes of a block, so "
    "there\"},{\"role\":\"assistant\",\"content\":[]}],\"max_tokens\":1024,\"n\":-1.5e3,\"x\":null}";

// Every proper prefix of an object is refused, with an offset inside it.
static void test_truncation(void)
{
    json_error error;
    for (size_t size = 0; size < sizeof(chat) - 1; size++)
        CHECK(!scan(chat, size, NULL, &error) && error.offset <= size);
    CHECK(scan(chat, sizeof(chat) - 1, NULL, &error));
}

// A special byte is found at every position of strings of every length around the block sizes.
static void test_positions(void)
{
    char text[400];
    json_error error;
    for (size_t inside = 1; inside < 300; inside += inside < 150 ? 1 : 13) {
        memset(text, 'a', sizeof(text));
        text[0] = text[inside + 1] = '"';
        CHECK(scan(text, inside + 2, NULL, &error));
        for (size_t at = 1; at <= inside; at++) {
            text[at] = 0x1F;
            CHECK(!scan(text, inside + 2, NULL, &error) && error.offset == at);
            text[at] = (char)0x80;
            CHECK(!scan(text, inside + 2, NULL, &error) && error.offset == at);
            text[at] = '"';
            CHECK(!scan(text, inside + 2, NULL, &error) && error.offset == at + 1);
            text[at] = 'a';
        }
    }
}

static void test_paths(void)
{
    CHECK(json_scan(&nodes, TEXT(chat), NULL, NULL));
    json_step path[] = {{"messages", 8, 0}, {NULL, 0, 1}, {"role", 4, 0}};
    uint32_t found = json_find_path(&nodes, chat, 0, path, 3);
    CHECK(found != JSON_NONE && json_string_equals(&nodes.items[found], chat, "assistant", 9));
    size_t size = 0;
    const char *raw = json_node_raw(&nodes.items[found], chat, &size);
    CHECK(size == 11 && memcmp(raw, "\"assistant\"", 11) == 0);
    path[1].index = 2;
    CHECK(json_find_path(&nodes, chat, 0, path, 3) == JSON_NONE);
    CHECK(json_find_key(&nodes, chat, 0, "absent", 6) == JSON_NONE);
    CHECK(json_find_key(&nodes, chat, 1, "model", 5) == JSON_NONE);
    CHECK(json_node_count(&nodes.items[0]) == 6);

    static const char escaped[] = "{\"\\u006dodel\":1,\"a\\n\":2}";
    CHECK(json_scan(&nodes, TEXT(escaped), NULL, NULL));
    CHECK(json_find_key(&nodes, escaped, 0, "model", 5) == 2);
    CHECK(json_find_key(&nodes, escaped, 0, "a\n", 2) == 4);
    CHECK(json_find_key(&nodes, escaped, 0, "a", 1) == JSON_NONE);
}

static void test_limits(void)
{
    char text[200];
    json_error error;
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    CHECK(!scan(text, 130, NULL, &error) && error.offset == 64);
    CHECK(scan(text + 1, 128, NULL, &error));
    CHECK(scan(text, 130, &(json_limits){.max_depth = 65}, &error));
    CHECK(!scan(TEXT("[1,2]"), &(json_limits){.max_nodes = 2}, &error) && error.offset == 3);
    CHECK(scan(TEXT("[1,2]"), &(json_limits){.max_nodes = 3}, &error));
    CHECK(!scan(TEXT("[1,2]"), &(json_limits){.max_bytes = 4}, &error) && error.offset == 4);
}

static void test_many_keys(void)
{
    for (unsigned count = 10; count <= 20000; count = count < 40 ? count + 1 : count * 8) {
        char *text = malloc(count * 24 + 64), *p = text;
        *p++ = '{';
        for (unsigned i = 0; i < count; i++)
            p += sprintf(p, i % 5 == 4 ? "\"k\\u0065y%u\":%u," : "\"key%u\":%u,", i, i);
        char *end = p;
        p[-1] = '}';
        json_error error;
        CHECK(json_scan(&nodes, text, (size_t)(end - text), NULL, &error));
        CHECK(json_node_count(&nodes.items[0]) == count);
        end[-1] = ',';
        p += sprintf(p, "\"ke\\u00797\":1}");
        CHECK(!json_scan(&nodes, text, (size_t)(p - text), NULL, &error) && error.offset == (size_t)(end - text));
        free(text);
    }
}

static void test_append(void)
{
    static const char two[] = "[1,2] {\"a\":3}";
    json_error error;
    nodes.count = 0;
    CHECK(json_scan_append(&nodes, two, 0, 5, NULL, &error) == 0 && nodes.count == 3);
    CHECK(json_scan_append(&nodes, two, 6, 13, NULL, &error) == 3 && nodes.count == 6);
    uint32_t a = json_find_key(&nodes, two, 3, "a", 1);
    CHECK(a == 5 && nodes.items[a].start == 11 && nodes.items[a].end == 12);
    CHECK(json_scan_append(&nodes, two, 6, 12, NULL, &error) == JSON_NONE && nodes.count == 6 && error.offset == 6);
}

int main(void)
{
    test_tables();
    test_truncation();
    test_positions();
    test_paths();
    test_limits();
    test_many_keys();
    test_append();
    json_nodes_free(&nodes);
    return test_end();
}
