// Look-up in scanned nodes: keys, positions, paths; and the check that an object's keys differ.
#include "json.h"
#include "json_text.h"

#include <stdlib.h>
#include <string.h>

enum { PAIRWISE_KEYS = 16 }; // up to here comparing all pairs beats a hash table

static bool equal_decoded(const char *a, size_t a_size, const char *b, size_t b_size)
{
    const uint8_t *p = (const uint8_t *)a, *p_end = p + a_size, *q = (const uint8_t *)b, *q_end = q + b_size;
    while (p < p_end && q < q_end) {
        if (json_next_code_point(&p) != json_next_code_point(&q))
            return false;
    }
    return p == p_end && q == q_end;
}

bool json_string_equals(const json_node *node, const char *data, const char *text, size_t size)
{
    const char *raw = data + node->start + 1;
    size_t raw_size = node->end - node->start - 2;
    if (!(node->info & JSON_ESCAPED))
        return raw_size == size && memcmp(raw, text, size) == 0;
    // text is plain, raw is not: walk raw and compare the UTF-8 of each code point
    const uint8_t *p = (const uint8_t *)raw, *end = p + raw_size;
    size_t at = 0;
    while (p < end) {
        char utf8[4];
        size_t n = json_put_code_point(utf8, json_next_code_point(&p));
        if (size - at < n || memcmp(text + at, utf8, n) != 0)
            return false;
        at += n;
    }
    return at == size;
}

uint32_t json_find_key(const json_nodes *nodes, const char *data, uint32_t object, const char *key, size_t size)
{
    const json_node *items = nodes->items;
    if (json_node_type(&items[object]) != JSON_OBJECT)
        return JSON_NONE;
    uint32_t end = items[object].next;
    for (uint32_t k = object + 1; k < end; k = items[k + 1].next) {
        size_t raw_size = items[k].end - items[k].start - 2;
        if (!(items[k].info & JSON_ESCAPED)) {
            if (raw_size == size && memcmp(data + items[k].start + 1, key, size) == 0)
                return k + 1;
        } else if (raw_size > size && json_string_equals(&items[k], data, key, size)) {
            return k + 1;
        }
    }
    return JSON_NONE;
}

uint32_t json_find_index(const json_nodes *nodes, uint32_t array, uint32_t position)
{
    const json_node *items = nodes->items;
    if (json_node_type(&items[array]) != JSON_ARRAY || position >= json_node_count(&items[array]))
        return JSON_NONE;
    uint32_t element = array + 1;
    while (position-- > 0)
        element = items[element].next;
    return element;
}

uint32_t json_find_path(const json_nodes *nodes, const char *data, uint32_t from, const json_step *path, size_t count)
{
    for (size_t i = 0; i < count && from != JSON_NONE; i++) {
        if (path[i].key)
            from = json_find_key(nodes, data, from, path[i].key, path[i].size);
        else
            from = json_find_index(nodes, from, path[i].index);
    }
    return from;
}

static bool equal_keys(const json_node *a, const json_node *b, const char *data)
{
    const char *p = data + a->start + 1, *q = data + b->start + 1;
    size_t p_size = a->end - a->start - 2, q_size = b->end - b->start - 2;
    if ((a->info | b->info) & JSON_ESCAPED)
        return equal_decoded(p, p_size, q, q_size);
    return p_size == q_size && memcmp(p, q, p_size) == 0;
}

static size_t find_duplicate_pairwise(const json_node *items, const char *data, uint32_t object)
{
    uint32_t marks[PAIRWISE_KEYS], keys[PAIRWISE_KEYS], count = 0;
    for (uint32_t k = object + 1; k < items[object].next; k = items[k + 1].next) {
        const json_node *key = &items[k];
        // Size, first and last byte tell most keys apart (an empty key: its quotes).
        uint32_t mark =
            (key->end - key->start) << 16 | (uint32_t)(uint8_t)data[key->start + 1] << 8 | (uint8_t)data[key->end - 2];
        for (uint32_t i = 0; i < count; i++) {
            if (marks[i] == mark && equal_keys(&items[keys[i]], key, data))
                return key->start;
        }
        marks[count] = mark;
        keys[count++] = k;
    }
    return SIZE_MAX;
}

static bool grow_scratch(void **block, uint32_t *capacity, size_t wanted, size_t item_size)
{
    if (wanted <= *capacity)
        return true;
    void *larger = realloc(*block, wanted * item_size);
    if (!larger)
        return false;
    *block = larger;
    *capacity = (uint32_t)wanted;
    return true;
}

// The table holds, for each slot, the upper half of the hash and the index of the key node (0: free).
static size_t find_duplicate_hashed(json_nodes *nodes, const char *data, uint32_t object)
{
    const json_node *items = nodes->items;
    size_t slots = 32;
    while (slots < 2 * (size_t)json_node_count(&items[object]))
        slots *= 2;
    if (!grow_scratch((void **)&nodes->table, &nodes->table_capacity, slots * 2, sizeof(uint32_t)))
        return SIZE_MAX - 1;
    uint32_t *table = nodes->table;
    memset(table, 0, slots * 2 * sizeof(uint32_t));
    for (uint32_t k = object + 1; k < items[object].next; k = items[k + 1].next) {
        const json_node *key = &items[k];
        const char *text = data + key->start + 1;
        size_t size = key->end - key->start - 2;
        if (key->info & JSON_ESCAPED) {
            if (!grow_scratch((void **)&nodes->text, &nodes->text_capacity, size, 1))
                return SIZE_MAX - 1;
            size = json_unescape(nodes->text, text, size);
            text = nodes->text;
        }
        uint64_t hash = json_hash(text, size);
        uint32_t mark = (uint32_t)(hash >> 32);
        size_t slot = hash & (slots - 1);
        for (; table[slot * 2 + 1] != 0; slot = (slot + 1) & (slots - 1)) {
            if (table[slot * 2] == mark && equal_keys(&items[table[slot * 2 + 1]], key, data))
                return key->start;
        }
        table[slot * 2] = mark;
        table[slot * 2 + 1] = k;
    }
    return SIZE_MAX;
}

size_t json_find_duplicate(json_nodes *nodes, const char *data, uint32_t object)
{
    const json_node *items = nodes->items;
    uint32_t count = json_node_count(&items[object]);
    bool any_escaped = false;
    for (uint32_t k = object + 1; k < items[object].next; k = items[k + 1].next)
        any_escaped |= (items[k].info & JSON_ESCAPED) != 0;
    if (count <= PAIRWISE_KEYS && !any_escaped)
        return find_duplicate_pairwise(items, data, object);
    return find_duplicate_hashed(nodes, data, object);
}
