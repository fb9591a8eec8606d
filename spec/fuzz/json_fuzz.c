// The JSON document under random texts and edits. Input: a byte that says how many edit bytes follow, those
// bytes, then the text. What must hold: a text that scans is put out as the same bytes; after any edits the
// output scans again and says the same as the document; a text that does not scan has its error inside.
#include "core/json_document.h"
#include "core/json_survey.h"
#include "core/json_writer.h"

#include <stdlib.h>
#include <string.h>

#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

static const char *const values[] = {"1",    "\"x\"", "{}", "[]", "[1,[2 ],{\"a\" : 3}]", "{ \"a\":{\"b\" :[]} }",
                                     "null", "-1.5e3"};
static const char *const keys[] = {"a", "b", "model", "messages", "", "\n", "content", "c"};

static bytes *joined(json_document *d)
{
    output *o = json_document_output(d);
    MUST(o && o->size == json_document_size(d));
    bytes *b = bytes_new(o->size + 1);
    for (size_t i = 0; i < o->count; i++)
        bytes_append(b, o->segments[i].data, o->segments[i].size);
    MUST(b->size == o->size);
    return b;
}

// Walks two documents in step; both must say the same.
static void compare(json_document *a, uint32_t x, json_document *b, uint32_t y)
{
    json_value v, w;
    int type = json_document_read(a, x, &v);
    MUST(type == json_document_read(b, y, &w) && type >= 0);
    if (type == JSON_STRING || type == JSON_NUMBER)
        MUST(v.size == w.size && memcmp(v.text, w.text, v.size) == 0);
    if (type < JSON_ARRAY)
        return;
    MUST(json_document_count(a, x) == json_document_count(b, y));
    json_cursor c = {.container = x}, d = {.container = y};
    while (json_document_next(a, &c)) {
        MUST(json_document_next(b, &d));
        MUST(json_document_at(a, x, c.position - 1, NULL) == c.value);
        if (type == JSON_OBJECT)
            compare(a, c.key, b, d.key);
        compare(a, c.value, b, d.value);
    }
    MUST(!json_document_next(b, &d));
}

static void edit(json_document *d, const uint8_t *p)
{
    json_step path[3];
    size_t count = p[0] & 3;
    for (size_t i = 0; i < count; i++) {
        const char *key = keys[p[1 + i] & 7];
        path[i] = p[1 + i] & 8 ? (json_step){key, (uint32_t)strlen(key), 0} : (json_step){NULL, 0, p[1 + i] & 7};
    }
    const char *value = values[p[0] >> 4 & 7];
    switch (p[0] >> 2 & 3) {
    case 0:
        json_document_remove(d, path, count);
        break;
    case 1:
        json_document_insert(d, path, count, json_document_put_raw(d, value, strlen(value)));
        break;
    case 2:
        json_document_set(d, path, count, json_document_put_raw(d, value, strlen(value)));
        break;
    default: // a copy of what is there, into itself
        if (json_document_size(d) < 5000)
            json_document_set(d, path, count, json_document_put_node(d, d, JSON_ROOT));
    }
}

// What is told of the whole root at once is what walking it tells.
static void survey(json_document *d)
{
    static const json_row_query query = {
        .word_key = {"a", 1, 0}, .value_key = {"b", 1, 0}, .words = {{"x", 1, 0}}, .word_count = 1};
    json_rows seen;
    json_row rows[8];
    int64_t count = json_document_rows(d, JSON_ROOT, &query, &seen, rows, 8);
    MUST((count >= 0) == (json_document_type(d, JSON_ROOT) == JSON_ARRAY));
    for (int64_t i = 0; i < count; i++)
        MUST(json_document_at(d, JSON_ROOT, (uint32_t)i, NULL) == rows[i].element);
    json_names *names = json_names_new();
    json_members members;
    json_member list[8];
    uint32_t ids[8];
    uint8_t types[8];
    for (int i = 0; i < 8; i++)
        MUST(json_names_add(names, keys[i], strlen(keys[i]), i & 1) == i);
    if (json_document_members(d, JSON_ROOT, names, &members, list, 8, ids, types) == 0) {
        for (int i = 0; i < 8; i++) {
            json_step step = {keys[i], (uint32_t)strlen(keys[i]), 0};
            MUST(json_document_find(d, JSON_ROOT, &step, 1) == ids[i]);
        }
    }
    json_names_free(names);
}

static void check_document(json_document *d)
{
    survey(d);
    bytes *b = joined(d);
    json_error error;
    json_limits deep = {.max_depth = 4096};
    json_document *again = json_document_parse(b, &deep, &error);
    MUST(again);
    compare(d, JSON_ROOT, again, JSON_ROOT);
    json_document_drop(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t edits = data[0] & 31;
    if (size < 1 + edits * 4)
        edits = 0;
    const uint8_t *ops = data + 1;
    const char *text = (const char *)data + 1 + edits * 4;
    size -= 1 + edits * 4;
    json_error error = {NULL, SIZE_MAX};
    json_document *d = json_document_parse_copy(text, size, NULL, &error);
    if (!d) {
        MUST(error.message && error.offset <= size);
        return 0;
    }
    bytes *same = joined(d);
    MUST(same->size == size && memcmp(same->data, text, size) == 0);
    bytes_drop(same);
    json_document *fork = NULL;
    for (size_t i = 0; i < edits; i++) {
        edit(fork && ops[4 * i + 3] & 16 ? fork : d, ops + 4 * i);
        if (!fork && ops[4 * i + 3] & 32)
            fork = json_document_fork(d);
    }
    check_document(d);
    if (fork)
        check_document(fork);
    json_writer *w = json_writer_new(0);
    json_writer_node(w, d, JSON_ROOT);
    json_document *written = json_writer_document(w);
    MUST(written);
    compare(d, JSON_ROOT, written, JSON_ROOT);
    json_document_drop(written);
    json_writer_free(w);
    json_document_drop(d);
    json_document_drop(fork);
    return 0;
}
