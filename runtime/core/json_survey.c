#include "json_survey.h"
#include "json_inside.h"
#include "json_text.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_SLOTS = 512 }; // four times JSON_NAMES: hardly a collision

typedef struct name {
    char *text;
    uint32_t size;
    bool is_common;
} name;

struct json_names {
    uint32_t count;
    name items[JSON_NAMES];
    uint8_t slots[NAME_SLOTS]; // number + 1; 0: free
};

// Where a name begins to be looked for. Names are few and chosen by the program: this tells them apart well enough,
// and a client's key that falls among them costs a few comparisons at most.
static uint32_t slot_of(const char *text, size_t size)
{
    uint32_t hash = (uint32_t)size * 0x9E3779B1u;
    if (size > 0)
        hash ^= ((uint32_t)(uint8_t)text[0] << 16 | (uint32_t)(uint8_t)text[size / 2] << 8 | (uint8_t)text[size - 1]) *
                0x85EBCA6Bu;
    return hash >> 23;
}

json_names *json_names_new(void)
{
    return calloc(1, sizeof(json_names));
}

void json_names_free(json_names *n)
{
    if (!n)
        return;
    for (uint32_t i = 0; i < n->count; i++)
        free(n->items[i].text);
    free(n);
}

static int find_name(const json_names *n, const char *text, size_t size)
{
    for (uint32_t slot = slot_of(text, size);; slot = (slot + 1) % NAME_SLOTS) {
        int at = n->slots[slot];
        if (at == 0)
            return -1;
        if (n->items[at - 1].size == size && memcmp(n->items[at - 1].text, text, size) == 0)
            return at - 1;
    }
}

int json_names_add(json_names *n, const char *text, size_t size, bool is_common)
{
    if (n->count == JSON_NAMES || size > JSON_NAME_SIZE || find_name(n, text, size) >= 0)
        return -1;
    char *copy = malloc(size + 1);
    if (!copy)
        return -1;
    memcpy(copy, text, size);
    n->items[n->count] = (name){copy, (uint32_t)size, is_common};
    uint32_t slot = slot_of(text, size);
    while (n->slots[slot] != 0)
        slot = (slot + 1) % NAME_SLOTS;
    n->slots[slot] = (uint8_t)(n->count + 1);
    return (int)n->count++;
}

// The number of a key's name, however the key is written.
static int name_of_key(json_document *d, uint32_t key, const json_names *names)
{
    const json_node *node = json_node_at(d, key);
    const char *raw = json_data_of(d, key) + node->start + 1;
    size_t size = node->end - node->start - 2;
    if (!(node->info & JSON_ESCAPED))
        return find_name(names, raw, size);
    char decoded[6 * JSON_NAME_SIZE]; // an escape is six bytes at most for one
    return size <= sizeof(decoded) ? find_name(names, decoded, json_unescape(decoded, raw, size)) : -1;
}

int json_document_members(json_document *d, uint32_t object, const json_names *names, json_members *out,
                          json_member *list, uint32_t room, uint32_t *values, uint8_t *types)
{
    json_cursor at = {.container = json_document_find(d, object, NULL, 0)};
    *out = (json_members){0};
    memset(values, 0xFF, names->count * sizeof(*values));
    memset(types, JSON_ABSENT, names->count);
    if (at.container == JSON_NONE)
        return d->is_freed ? JSON_FREED : JSON_MISSING;
    if (json_node_type(json_node_at(d, at.container)) != JSON_OBJECT)
        return JSON_MISSING;
    out->count = (uint32_t)json_document_count(d, at.container);
    out->uncommon = out->count;
    while (json_document_next(d, &at)) {
        int found = name_of_key(d, at.key, names);
        uint32_t type = json_node_type(json_node_at(d, at.value));
        if (at.position <= room)
            list[at.position - 1] = (json_member){found, at.key, at.value, type};
        if (found >= 0) {
            values[found] = at.value;
            types[found] = (uint8_t)type;
        }
        if (out->uncommon == out->count && (found < 0 || !names->items[found].is_common))
            out->uncommon = at.position - 1;
    }
    return 0;
}

static bool is_white(uint32_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_blank(const json_node *node, const char *data)
{
    const uint8_t *p = (const uint8_t *)data + node->start + 1, *end = (const uint8_t *)data + node->end - 1;
    while (p < end) {
        if (*p != '\\' ? !is_white(*p++) : !is_white(json_next_code_point(&p)))
            return false;
    }
    return true;
}

bool json_document_is_blank(json_document *d, uint32_t id)
{
    id = json_document_find(d, id, NULL, 0);
    return id != JSON_NONE && json_node_type(json_node_at(d, id)) == JSON_STRING &&
           is_blank(json_node_at(d, id), json_data_of(d, id));
}

static int word_of(json_document *d, uint32_t id, const json_row_query *query)
{
    const json_node *node = json_node_at(d, id);
    if (json_node_type(node) != JSON_STRING)
        return -1;
    for (uint32_t i = 0; i < query->word_count; i++) {
        if (json_string_equals(node, json_data_of(d, id), query->words[i].key, query->words[i].size))
            return (int)i;
    }
    return -1;
}

static bool is_key(json_document *d, uint32_t key, const json_step *wanted)
{
    return json_string_equals(json_node_at(d, key), json_data_of(d, key), wanted->key, wanted->size);
}

static json_row row_of(json_document *d, uint32_t element, const json_row_query *query)
{
    json_row row = {.element = element, .value = JSON_NONE, .word = -1, .type = JSON_ABSENT};
    json_cursor at = {.container = element};
    if (json_node_type(json_node_at(d, element)) != JSON_OBJECT)
        return row;
    while (json_document_next(d, &at)) {
        if (is_key(d, at.key, &query->word_key)) {
            row.word = (int8_t)word_of(d, at.value, query);
        } else if (is_key(d, at.key, &query->value_key)) {
            row.value = at.value;
            row.type = (uint8_t)json_node_type(json_node_at(d, at.value));
        }
    }
    row.is_common = at.position == 2 && row.word >= 0 && row.type == JSON_STRING &&
                    !is_blank(json_node_at(d, row.value), json_data_of(d, row.value));
    return row;
}

int64_t json_document_rows(json_document *d, uint32_t array, const json_row_query *query, json_rows *out,
                           json_row *rows, uint32_t room)
{
    json_cursor at = {.container = json_document_find(d, array, NULL, 0)};
    *out = (json_rows){0};
    if (at.container == JSON_NONE)
        return d->is_freed ? JSON_FREED : JSON_MISSING;
    if (json_node_type(json_node_at(d, at.container)) != JSON_ARRAY)
        return JSON_MISSING;
    out->count = out->uncommon = out->repeated = (uint32_t)json_document_count(d, at.container);
    while (at.position < room && json_document_next(d, &at)) {
        json_row *row = &rows[at.position - 1];
        *row = row_of(d, at.value, query);
        if (!row->is_common && out->uncommon == out->count)
            out->uncommon = at.position - 1;
        if (row->word < 0)
            continue;
        out->words[row->word]++;
        if (at.position > 1 && row->word == row[-1].word && out->repeated == out->count)
            out->repeated = at.position - 1;
    }
    return at.position;
}
