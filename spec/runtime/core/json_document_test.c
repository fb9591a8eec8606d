// The editable document: reading, every position of a comma, edits inside edits, forks, and random edits
// compared with a naive tree.
#include "core/json_document.h"
#include "test.h"

static const char *last_text; // of output_text(), freed by the next call

// The document's output as one text.
static const char *output_text(json_document *d)
{
    static char *text;
    output *o = json_document_output(d);
    if (!o)
        return NULL;
    CHECK(o->size == json_document_size(d));
    free(text);
    text = malloc(o->size + 1);
    size_t at = 0;
    for (size_t i = 0; i < o->count; i++) {
        memcpy(text + at, o->segments[i].data, o->segments[i].size);
        at += o->segments[i].size;
    }
    CHECK(at == o->size);
    text[at] = 0;
    return last_text = text;
}

static json_document *parse(const char *text)
{
    json_error error = {0};
    json_document *d = json_document_parse_copy(text, strlen(text), NULL, &error);
    CHECK(d != NULL);
    return d;
}

#define KEY(k)                                                                                                         \
    {                                                                                                                  \
        k, sizeof(k) - 1, 0                                                                                            \
    }
#define INDEX(i)                                                                                                       \
    {                                                                                                                  \
        NULL, 0, i                                                                                                     \
    }
#define PATH(...) ((json_step[]){__VA_ARGS__}), sizeof((json_step[]){__VA_ARGS__}) / sizeof(json_step)

static uint32_t raw(json_document *d, const char *text)
{
    return json_document_put_raw(d, text, strlen(text));
}

static void test_reading(void)
{
    json_document *d = parse(" {\"a\":\"x\\ny\",\"b\":[1,2.5,9007199254740993,true,null],\"c\":{}} ");
    json_value v;
    CHECK(json_document_get_key(d, JSON_ROOT, "a", 1, &v) == JSON_STRING && v.size == 3 && !memcmp(v.text, "x\ny", 3));
    CHECK(json_document_get(d, JSON_ROOT, PATH(KEY("b"), INDEX(1)), &v) == JSON_NUMBER && v.is_exact &&
          v.number == 2.5);
    CHECK(json_document_get(d, JSON_ROOT, PATH(KEY("b"), INDEX(2)), &v) == JSON_NUMBER && !v.is_exact && v.size == 16);
    CHECK(json_document_get(d, JSON_ROOT, PATH(KEY("b"), INDEX(4)), &v) == JSON_NULL);
    CHECK(json_document_get(d, JSON_ROOT, PATH(KEY("b"), INDEX(5)), &v) == JSON_MISSING);
    CHECK(json_document_get(d, JSON_ROOT, PATH(KEY("a"), KEY("x")), &v) == JSON_MISSING);
    uint32_t b = json_document_find(d, JSON_ROOT, PATH(KEY("b")));
    CHECK(json_document_count(d, b) == 5 && json_document_count(d, JSON_ROOT) == 3);
    CHECK(json_document_type(d, b) == JSON_ARRAY);
    json_cursor c = {.container = JSON_ROOT};
    int seen = 0;
    while (json_document_next(d, &c))
        seen += json_document_type(d, c.value);
    CHECK(seen == JSON_STRING + JSON_ARRAY + JSON_OBJECT && c.position == 3);
    CHECK_TEXT(output_text(d), " {\"a\":\"x\\ny\",\"b\":[1,2.5,9007199254740993,true,null],\"c\":{}} ");
    output *o = json_document_output(d);
    CHECK(o->count == 1 && o->segments[0].owner == d->base->bytes);
    json_document_free(d);
    CHECK(json_document_get_key(d, JSON_ROOT, "a", 1, &v) == JSON_FREED && json_document_output(d) == NULL);
    CHECK(json_document_set_string(d, "a", 1, "b", 1) == JSON_FREED && json_document_fork(d) == NULL);
    json_document_drop(d);
}

static void check_edit(const char *before, int what, const json_step *path, size_t count, const char *value,
                       const char *after)
{
    json_document *d = parse(before);
    int result = what == 's'   ? json_document_set(d, path, count, raw(d, value))
                 : what == 'i' ? json_document_insert(d, path, count, raw(d, value))
                               : json_document_remove(d, path, count);
    CHECK(result == 0);
    CHECK_TEXT(output_text(d), after);
    json_document_drop(d);
}

static void test_commas(void)
{
    check_edit("{}", 's', PATH(KEY("a")), "1", "{\"a\":1}");
    check_edit(" { } ", 's', PATH(KEY("a")), "1", " {\"a\":1} ");
    check_edit("{ \"a\" : 1 , \"b\" : 2 }", 's', PATH(KEY("a")), "[]", "{ \"a\" : [] , \"b\" : 2 }");
    check_edit("{ \"a\" : 1 , \"b\" : 2 }", 's', PATH(KEY("b")), "[]", "{ \"a\" : 1 , \"b\" : [] }");
    check_edit("{ \"a\" : 1 , \"b\" : 2 }", 's', PATH(KEY("c")), "3", "{ \"a\" : 1 , \"b\" : 2,\"c\":3}");
    check_edit("{ \"a\" : 1 , \"b\" : 2 , \"c\":3 }", 'r', PATH(KEY("a")), NULL, "{\"b\" : 2 , \"c\":3 }");
    check_edit("{ \"a\" : 1 , \"b\" : 2 , \"c\":3 }", 'r', PATH(KEY("b")), NULL, "{ \"a\" : 1,\"c\":3 }");
    check_edit("{ \"a\" : 1 , \"b\" : 2 , \"c\":3 }", 'r', PATH(KEY("c")), NULL, "{ \"a\" : 1 , \"b\" : 2}");
    check_edit("{\"a\":1}", 'r', PATH(KEY("a")), NULL, "{}");
    check_edit("[1, 2, 3]", 's', PATH(INDEX(1)), "\"x\"", "[1, \"x\", 3]");
    check_edit("[1, 2, 3]", 's', PATH(INDEX(3)), "4", "[1, 2, 3,4]");
    check_edit("[1, 2, 3]", 'i', PATH(INDEX(0)), "0", "[0,1, 2, 3]");
    check_edit("[1, 2, 3]", 'i', PATH(INDEX(1)), "0", "[1,0,2, 3]");
    check_edit("[1, 2, 3]", 'i', PATH(INDEX(3)), "0", "[1, 2, 3,0]");
    check_edit("[]", 'i', PATH(INDEX(0)), "0", "[0]");
    check_edit("[1]", 'r', PATH(INDEX(0)), NULL, "[]");
    check_edit(" [1] ", 's', NULL, 0, "{\"new\":true}", "{\"new\":true}");
    check_edit("{\"a\":{\"b\":[1,{\"c\":2}]},\"z\":0}", 's', PATH(KEY("a"), KEY("b"), INDEX(1), KEY("c")), "3",
               "{\"a\":{\"b\":[1,{\"c\":3}]},\"z\":0}");
    check_edit("{\"z\":0}", 's', PATH(KEY("a"), KEY("b"), KEY("c")), "3", "{\"z\":0,\"a\":{\"b\":{\"c\":3}}}");
    check_edit("{\"\\u0061\":0}", 's', PATH(KEY("a")), "3", "{\"\\u0061\":3}");
}

static void test_refusals(void)
{
    json_document *d = parse("{\"a\":[1],\"s\":\"x\"}");
    uint32_t one = raw(d, "1");
    CHECK(json_document_set(d, PATH(KEY("a"), KEY("b")), one) == JSON_BAD_PATH && d->failed_step == 1);
    CHECK(json_document_set(d, PATH(KEY("a"), INDEX(2)), one) == JSON_BAD_PATH && d->failed_step == 1);
    CHECK(json_document_set(d, PATH(KEY("s"), KEY("b")), one) == JSON_BAD_PATH);
    CHECK(json_document_set(d, PATH(KEY("new"), INDEX(0)), one) == JSON_BAD_PATH);
    CHECK(json_document_set(d, PATH(INDEX(0)), one) == JSON_BAD_PATH && d->failed_step == 0);
    CHECK(json_document_insert(d, PATH(KEY("a"), INDEX(2)), one) == JSON_BAD_PATH);
    CHECK(json_document_insert(d, PATH(KEY("b")), one) == JSON_BAD_PATH);
    CHECK(json_document_insert(d, PATH(KEY("b"), INDEX(0)), one) == JSON_BAD_PATH);
    CHECK(json_document_remove(d, PATH(KEY("b"))) == JSON_MISSING);
    CHECK(json_document_remove(d, PATH(KEY("a"), INDEX(1))) == JSON_MISSING);
    CHECK(json_document_remove(d, PATH(KEY("s"), INDEX(1))) == JSON_MISSING);
    CHECK(raw(d, "[1") == JSON_NONE && d->error.offset == 2);
    CHECK(raw(d, "1 1") == JSON_NONE && raw(d, "") == JSON_NONE && raw(d, "{\"a\":1,\"a\":1}") == JSON_NONE);
    CHECK(json_document_put_string(d, "ab\xFF", 3) == JSON_NONE && d->error.offset == 2);
    CHECK(json_document_put_number(d, 1.0 / 0.0) == JSON_NONE);
    CHECK(json_document_set(d, PATH(KEY("a")), JSON_NONE) == JSON_BAD_VALUE);
    CHECK(json_document_insert(d, PATH(KEY("a"), INDEX(0)), JSON_NONE) == JSON_BAD_VALUE);
    CHECK_TEXT(output_text(d), "{\"a\":[1],\"s\":\"x\"}");
    json_document_drop(d);
}

static void test_inside_edited(void)
{
    json_document *d = parse("{\"a\":[1],\"b\":2}");
    json_value v;
    uint32_t old = json_document_find(d, JSON_ROOT, PATH(KEY("a")));
    CHECK(json_document_set(d, PATH(KEY("a"), INDEX(0)), raw(d, "{ \"x\" : [ ] }")) == 0);
    CHECK(json_document_count(d, json_document_find(d, old, PATH(INDEX(0)))) == 1); // the old id sees it
    CHECK(json_document_set(d, PATH(KEY("a"), INDEX(0), KEY("x"), INDEX(0)), raw(d, "5")) == 0);
    CHECK(json_document_insert(d, PATH(KEY("a"), INDEX(0)), raw(d, "0")) == 0);
    CHECK(json_document_get(d, JSON_ROOT, PATH(KEY("a"), INDEX(1), KEY("x"), INDEX(0)), &v) == JSON_NUMBER);
    CHECK(v.number == 5);
    CHECK_TEXT(output_text(d), "{\"a\":[0,{ \"x\" : [5] }],\"b\":2}");
    json_document *f = json_document_fork(d);
    CHECK(json_document_remove(f, PATH(KEY("a"), INDEX(1), KEY("x"))) == 0);
    CHECK(json_document_set_string(f, "b", 1, "\"\n", 2) == 0);
    CHECK(json_document_set_string(d, "b", 1, "old", 3) == 0);
    CHECK_TEXT(output_text(f), "{\"a\":[0,{}],\"b\":\"\\\"\\n\"}");
    CHECK_TEXT(output_text(d), "{\"a\":[0,{ \"x\" : [5] }],\"b\":\"old\"}");
    json_document_drop(d);
    size_t size;
    const char *bytes_of_a = json_document_raw(f, json_document_find(f, JSON_ROOT, PATH(KEY("a"))), &size);
    CHECK(size == 6 && memcmp(bytes_of_a, "[0,{}]", 6) == 0);
    CHECK(json_document_set(f, PATH(KEY("c")), json_document_put_node(f, f, JSON_ROOT)) == 0);
    CHECK_TEXT(output_text(f), "{\"a\":[0,{}],\"b\":\"\\\"\\n\",\"c\":{\"a\":[0,{}],\"b\":\"\\\"\\n\"}}");
    json_document_drop(f);
}

static void test_big_spans(void)
{
    size_t size = 100000;
    char *text = malloc(size + 100);
    int head = sprintf(text, "{\"model\":\"m\",\"data\":\"");
    memset(text + head, 'A', size);
    sprintf(text + head + size, "\",\"z\":0}");
    json_document *d = parse(text);
    CHECK(json_document_set_string(d, "model", 5, "other", 5) == 0);
    output *o = json_document_output(d);
    CHECK(o->count == 2 && o->segments[1].owner == d->base->bytes && o->segments[0].size < 50);
    CHECK(json_document_output(d) == o);
    CHECK(json_document_set_string(d, "z", 1, "y", 1) == 0 && json_document_output(d)->size == o->size + 2);
    output_hold(o);
    json_document_drop(d); // who holds the output needs no document
    CHECK(memcmp(o->segments[0].data, "{\"model\":\"other\"", 16) == 0);
    CHECK(memcmp(o->segments[1].data + o->segments[1].size - 8, "\",\"z\":0}", 8) == 0);
    output_drop(o);
    free(text);
}

static void test_numbers(void)
{
    static const struct {
        const char *text;
        int is_exact;
    } rows[] = {{"0", 1},
                {"-0", 1},
                {"0.7", 1},
                {"1.0", 1},
                {"1e2", 1},
                {"9007199254740992", 1},
                {"9007199254740993", 0},
                {"12345678901234567", 0},
                {"12345678901234568", 1},
                {"0.30000000000000004", 1},
                {"0.1000000000000000055511151231257827", 0},
                {"1e22", 1},
                {"1e23", 1},
                {"1e308", 1},
                {"1e309", 0},
                {"1e99999999999", 0},
                {"1e-99999999999", 0},
                {"0e99999999999", 1},
                {"123456789012345678901234567890", 0},
                {"100000000000000000000", 1},
                {"1.7976931348623157e308", 1},
                {"2.2250738585072014e-308", 1}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_document *d = parse(rows[i].text);
        json_value v;
        CHECK(json_document_read(d, JSON_ROOT, &v) == JSON_NUMBER);
        if (v.is_exact != rows[i].is_exact)
            fprintf(stderr, "number %s\n", rows[i].text);
        CHECK(v.is_exact == rows[i].is_exact && (!v.is_exact || v.number == strtod(rows[i].text, NULL)));
        if (v.is_exact) { // and back
            json_document *other = parse("0");
            CHECK(json_document_set(other, NULL, 0, json_document_put_number(other, v.number)) == 0);
            CHECK(strtod(output_text(other), NULL) == v.number);
            json_document_drop(other);
        }
        json_document_drop(d);
    }
}

// --- Random edits against a naive tree.

typedef struct tree {
    int type;
    char *text; // of a scalar; of a key when it stands in keys
    struct tree **children;
    char **keys;
    size_t count;
} tree;

static uint64_t random_state = 88172645463325252u;

static uint32_t random_below(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 11) % limit);
}

static tree *tree_build(const json_nodes *n, const char *data, uint32_t at)
{
    const json_node *node = &n->items[at];
    tree *t = calloc(1, sizeof(*t));
    t->type = (int)json_node_type(node);
    if (t->type < JSON_ARRAY) {
        t->text = strndup(data + node->start, node->end - node->start);
        return t;
    }
    t->children = calloc(200, sizeof(*t->children));
    t->keys = calloc(200, sizeof(*t->keys));
    for (uint32_t c = at + 1; c < node->next; c = n->items[c].next) {
        if (t->type == JSON_OBJECT) {
            t->keys[t->count] = strndup(data + n->items[c].start, n->items[c].end - n->items[c].start);
            c++;
        }
        t->children[t->count++] = tree_build(n, data, c);
    }
    return t;
}

static tree *tree_parse(const char *text)
{
    json_nodes n = {0};
    CHECK(json_scan(&n, text, strlen(text), NULL, NULL));
    tree *t = tree_build(&n, text, 0);
    json_nodes_free(&n);
    return t;
}

static void tree_free(tree *t)
{
    for (size_t i = 0; i < t->count; i++) {
        tree_free(t->children[i]);
        free(t->keys[i]);
    }
    free(t->children);
    free(t->keys);
    free(t->text);
    free(t);
}

static void tree_write(const tree *t, bytes *out)
{
    if (t->type < JSON_ARRAY) {
        bytes_append(out, t->text, strlen(t->text));
        return;
    }
    bytes_append(out, t->type == JSON_OBJECT ? "{" : "[", 1);
    for (size_t i = 0; i < t->count; i++) {
        if (i > 0)
            bytes_append(out, ",", 1);
        if (t->type == JSON_OBJECT) {
            bytes_append(out, t->keys[i], strlen(t->keys[i]));
            bytes_append(out, ":", 1);
        }
        tree_write(t->children[i], out);
    }
    bytes_append(out, t->type == JSON_OBJECT ? "}" : "]", 1);
}

static char *tree_text(const tree *t)
{
    bytes *b = bytes_new(64);
    tree_write(t, b);
    bytes_append(b, "", 1);
    char *text = strdup(b->data);
    bytes_drop(b);
    return text;
}

static const char *const values[] = {
    "1", "\"str\"", "{}", "[]", "[1, [2 ], {\"a\" : 3}]", "{\"a\":{\"b\" :[]}, \"c\":1}", "null", "{ \"k1\":[0]}"};
static const char *const bases[] = {
    "{\"a\":{\"b\":[1, 2,{\"c\":3}], \"d\" : \"x\"}, \"k1\":[ ], \"k2\" :{ }}",
    "[[1,2],[ {\"a\":1 , \"b\":2 , \"c\":[3]} ]]",
    "  { \"messages\" : [ {\"role\":\"user\"} , {\"role\":\"x\"} ] , \"a\" : 1 }\n",
};
static const char *const key_names[] = {"a", "b", "c", "d", "k1", "k2", "messages", "role"};

// One random edit on both; the path is chosen in the tree.
static void random_edit(json_document *d, tree *t)
{
    json_step path[16];
    size_t count = 0;
    tree *at = t;
    for (;;) {
        bool stop = random_below(3) == 0 || count == 14;
        if (at->type < JSON_ARRAY)
            return;
        uint32_t position = random_below((uint32_t)at->count + 1);
        const char *name = key_names[random_below(8)];
        if (at->type == JSON_OBJECT) {
            for (position = 0; position < at->count; position++) {
                if (strlen(at->keys[position]) == strlen(name) + 2 &&
                    !strncmp(at->keys[position] + 1, name, strlen(name)))
                    break;
            }
            path[count++] = (json_step){name, (uint32_t)strlen(name), 0};
        } else {
            path[count++] = (json_step){NULL, 0, position};
        }
        bool exists = position < at->count;
        if (exists && !stop) {
            at = at->children[position];
            continue;
        }
        if (at->count > 150)
            return;
        const char *value = values[random_below(8)];
        uint32_t what = random_below(4);
        if (what == 0) {
            CHECK(json_document_remove(d, path, count) == (exists ? 0 : JSON_MISSING));
            if (!exists)
                return;
            tree_free(at->children[position]);
            free(at->keys[position]);
            memmove(&at->children[position], &at->children[position + 1], (at->count - position) * sizeof(void *));
            memmove(&at->keys[position], &at->keys[position + 1], (at->count - position) * sizeof(void *));
            at->count--;
        } else if (what == 1 && at->type == JSON_ARRAY) {
            CHECK(json_document_insert(d, path, count, raw(d, value)) == 0);
            memmove(&at->children[position + 1], &at->children[position], (at->count - position) * sizeof(void *));
            at->children[position] = tree_parse(value);
            at->keys[at->count++] = NULL;
        } else {
            CHECK(json_document_set(d, path, count, raw(d, value)) == 0);
            if (exists) {
                tree_free(at->children[position]);
            } else {
                if (at->type == JSON_OBJECT) {
                    at->keys[position] = malloc(strlen(name) + 3);
                    sprintf(at->keys[position], "\"%s\"", name);
                }
                at->count++;
            }
            at->children[position] = tree_parse(value);
        }
        return;
    }
}

// No string in this test holds white space.
static void strip_space(char *text)
{
    char *out = text;
    for (char *p = text; *p; p++) {
        if (!strchr(" \t\r\n", *p))
            *out++ = *p;
    }
    *out = 0;
}

static void check_same(json_document *d, const tree *t)
{
    char *want = tree_text(t), *got = strdup(output_text(d));
    json_nodes n = {0};
    CHECK(json_scan(&n, got, strlen(got), NULL, NULL));
    json_nodes_free(&n);
    strip_space(got);
    CHECK_TEXT(got, want);
    size_t size;
    const char *whole = json_document_raw(d, JSON_ROOT, &size);
    char *copy = strndup(whole, size);
    strip_space(copy);
    CHECK_TEXT(copy, want);
    free(copy);
    free(got);
    free(want);
}

static void test_random_edits(void)
{
    for (int round = 0; round < 600; round++) {
        const char *base = bases[round % 3];
        json_document *d[3] = {parse(base)};
        tree *t[3] = {tree_parse(base)};
        int forks = 1;
        for (int step = 0; step < 30; step++) {
            int which = (int)random_below((uint32_t)forks);
            random_edit(d[which], t[which]);
            if (forks < 3 && random_below(10) == 0) {
                char *text = tree_text(t[which]);
                t[forks] = tree_parse(text);
                d[forks++] = json_document_fork(d[which]);
                free(text);
            }
            if (step % 5 == 4) {
                for (int i = 0; i < forks; i++)
                    check_same(d[i], t[i]);
            }
        }
        for (int i = 0; i < forks; i++) {
            json_document_drop(d[i]);
            tree_free(t[i]);
        }
    }
}

int main(void)
{
    test_reading();
    test_commas();
    test_refusals();
    test_inside_edited();
    test_big_spans();
    test_numbers();
    test_random_edits();
    free((void *)(uintptr_t)last_text);
    return test_end();
}
