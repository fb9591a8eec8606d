// Objects and arrays in one look: what is told of every shape, also after edits and in a freed document.
#include "core/json_survey.h"
#include "core/json_writer.h"
#include "test.h"

#define TEXT(s) s, sizeof(s) - 1

static json_document *parse(const char *text)
{
    json_error error = {0};
    json_document *d = json_document_parse_copy(text, strlen(text), NULL, &error);
    CHECK(d != NULL);
    return d;
}

static void test_names(void)
{
    json_names *n = json_names_new();
    CHECK(json_names_add(n, TEXT("a"), true) == 0);
    CHECK(json_names_add(n, TEXT(""), false) == 1);
    CHECK(json_names_add(n, TEXT("a"), true) == -1);
    char text[300] = {0};
    for (int i = 2; i < JSON_NAMES; i++)
        CHECK(json_names_add(n, text, (size_t)snprintf(text, sizeof(text), "name%d", i), false) == i);
    CHECK(json_names_add(n, TEXT("one more"), false) == -1);
    json_names_free(n);
    n = json_names_new();
    CHECK(json_names_add(n, text, JSON_NAME_SIZE + 1, false) == -1);
    json_names_free(n);
    json_names_free(NULL);
}

static void test_members(void)
{
    json_names *n = json_names_new();
    json_names_add(n, TEXT("model"), true);
    json_names_add(n, TEXT("n"), false);
    json_names_add(n, TEXT("caf\xC3\xA9"), true);
    json_members seen;
    json_member list[4];
    uint32_t ids[3];
    uint8_t types[3];
    json_value v;

    json_document *d = parse("{\"mod\\u0065l\":\"x\",\"caf\\u00e9\":{\"n\":1},\"n\":null,\"o\":[]}");
    CHECK(json_document_members(d, JSON_ROOT, n, &seen, list, 4, ids, types) == 0);
    CHECK(seen.count == 4 && seen.uncommon == 2);
    CHECK(list[0].name == 0 && list[0].type == JSON_STRING && list[1].name == 2 && list[2].name == 1 &&
          list[3].name == -1);
    CHECK(list[3].type == JSON_ARRAY && json_document_read(d, list[3].key, &v) == JSON_STRING && v.size == 1);
    CHECK(types[0] == JSON_STRING && types[1] == JSON_NULL && types[2] == JSON_OBJECT);
    CHECK(json_document_read(d, ids[0], &v) == JSON_STRING && v.text[0] == 'x');
    uint32_t inner = ids[2];
    CHECK(json_document_members(d, inner, n, &seen, list, 4, ids, types) == 0);
    CHECK(seen.count == 1 && seen.uncommon == 0 && ids[0] == JSON_NONE && types[0] == JSON_ABSENT &&
          types[1] == JSON_NUMBER);
    CHECK(json_document_members(d, ids[1], n, &seen, list, 4, ids, types) == JSON_MISSING);
    CHECK(seen.count == 0 && ids[1] == JSON_NONE && types[1] == JSON_ABSENT);

    // After an edit, and with less room than members.
    json_step path = {"n", 1, 0};
    CHECK(json_document_remove(d, &path, 1) == 0);
    CHECK(json_document_set_string(d, TEXT("new"), TEXT("y")) == 0);
    CHECK(json_document_members(d, JSON_ROOT, n, &seen, list, 1, ids, types) == 0);
    CHECK(seen.count == 4 && seen.uncommon == 2 && ids[1] == JSON_NONE && types[2] == JSON_OBJECT);
    json_document_free(d);
    CHECK(json_document_members(d, JSON_ROOT, n, &seen, list, 1, ids, types) == JSON_FREED);
    json_document_drop(d);
    json_names_free(n);
}

static const json_row_query query = {
    .word_key = {"role", 4, 0},
    .value_key = {"content", 7, 0},
    .words = {{"user", 4, 0}, {"assistant", 9, 0}},
    .word_count = 2,
};

static void test_rows(void)
{
    json_rows seen;
    json_row rows[16];
    json_document *d = parse("[{\"role\":\"user\",\"content\":\"a\"},"
                             "{\"content\" : \"\\u0020b\", \"rol\\u0065\":\"assist\\u0061nt\"},"
                             "{\"role\":\"user\",\"content\":\" \\n\\u000b\\t\\r\\f \"},"
                             "{\"role\":\"user\",\"content\":\"a\",\"name\":null},"
                             "{\"role\":\"system\",\"content\":\"a\"},"
                             "{\"role\":\"user\",\"content\":[]},"
                             "{\"role\":\"user\"},{\"content\":\"a\"},{\"role\":5,\"content\":\"a\"},5,{},"
                             "{\"role\":\"user\",\"name\":\"a\"}]");
    CHECK(json_document_rows(d, JSON_ROOT, &query, &seen, rows, 16) == 12);
    CHECK(seen.count == 12 && seen.uncommon == 2 && seen.repeated == 3);
    CHECK(seen.words[0] == 6 && seen.words[1] == 1 && seen.words[2] == 0);
    CHECK(rows[0].is_common && rows[0].word == 0 && rows[0].type == JSON_STRING && rows[0].mark == 0);
    CHECK(rows[1].is_common && rows[1].word == 1);
    CHECK(!rows[2].is_common && rows[2].word == 0 && rows[2].type == JSON_STRING);
    CHECK(!rows[3].is_common && rows[3].type == JSON_STRING);
    CHECK(!rows[4].is_common && rows[4].word == -1);
    CHECK(!rows[5].is_common && rows[5].type == JSON_ARRAY);
    CHECK(!rows[6].is_common && rows[6].value == JSON_NONE && rows[6].type == JSON_ABSENT);
    CHECK(!rows[7].is_common && rows[7].word == -1 && rows[7].type == JSON_STRING);
    CHECK(!rows[8].is_common && rows[8].word == -1);
    CHECK(!rows[9].is_common && !rows[10].is_common && !rows[11].is_common);
    CHECK(json_document_is_blank(d, rows[2].value) && !json_document_is_blank(d, rows[1].value));
    CHECK(!json_document_is_blank(d, rows[5].value));

    CHECK(json_document_rows(d, JSON_ROOT, &query, &seen, rows, 2) == 2);
    CHECK(seen.count == 12 && seen.uncommon == 12 && seen.repeated == 12 && seen.words[0] == 1);
    CHECK(json_document_rows(d, rows[0].value, &query, &seen, rows, 2) == JSON_MISSING);

    // An edited element is told as it stands.
    json_step path[2] = {{NULL, 0, 0}, {"content", 7, 0}};
    CHECK(json_document_set(d, path, 2, json_document_put_string(d, TEXT(" "))) == 0);
    CHECK(json_document_rows(d, JSON_ROOT, &query, &seen, rows, 16) == 12);
    CHECK(seen.uncommon == 0 && rows[0].word == 0 && json_document_is_blank(d, rows[0].value));
    json_document_free(d);
    CHECK(json_document_rows(d, JSON_ROOT, &query, &seen, rows, 16) == JSON_FREED);
    CHECK(!json_document_is_blank(d, JSON_ROOT));
    json_document_drop(d);
}

int main(void)
{
    test_names();
    test_members();
    test_rows();
    return test_end();
}
