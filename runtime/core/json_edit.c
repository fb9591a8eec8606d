// Edits: new values into the patch, and entries of edited containers.
#include "json_inside.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FEW_LISTS = 8 }; // up to here, looking at all of them is faster than a hash table

// Nesting inside one new value; the plugin that made it may splice a client's value of depth 64.
static const json_limits value_limits = {.max_depth = 256, .max_nodes = 1 << 28};

static uint32_t put_failed(json_document *d, const char *message, size_t offset)
{
    d->error = (json_error){.message = message, .offset = offset};
    return JSON_NONE;
}

static bool patch_ready(json_document *d)
{
    if (!json_ready(d)) {
        if (d->is_freed)
            d->error = (json_error){.message = "the document was freed"};
        return false;
    }
    if (d->patch)
        return true;
    json_source *s = zeroed(sizeof(*s));
    if (s && !(s->bytes = bytes_new(256))) {
        free(s);
        s = NULL;
    }
    if (!s) {
        d->error = (json_error){.message = "out of memory"};
        return false;
    }
    s->refs = 1;
    d->patch = s;
    return true;
}

// Makes a node for the string that was appended to the patch from offset start on.
static uint32_t patch_string_node(json_document *d, size_t start, bool is_escaped)
{
    json_nodes *nodes = &d->patch->nodes;
    if (nodes->count == nodes->capacity) {
        uint32_t room = nodes->capacity > 0 ? nodes->capacity * 2 : 8;
        json_node *items = realloc(nodes->items, room * sizeof(*items));
        if (!items)
            return JSON_NONE;
        nodes->items = items;
        nodes->capacity = room;
    }
    nodes->items[nodes->count] = (json_node){.start = (uint32_t)start,
                                             .end = (uint32_t)d->patch->bytes->size,
                                             .next = nodes->count + 1,
                                             .info = JSON_STRING | (is_escaped ? JSON_ESCAPED : 0)};
    return IN_PATCH | nodes->count++;
}

uint32_t json_document_put_string(json_document *d, const char *text, size_t size)
{
    if (!patch_ready(d))
        return JSON_NONE;
    bytes *b = d->patch->bytes;
    size_t start = b->size;
    bool is_escaped = false;
    const char *bad = NULL;
    if (size > (1u << 30) - start) // offsets are 32 bits wide; an escape takes up to 6 bytes, checked below
        return put_failed(d, "value is too large", 0);
    bool ok = bytes_append(b, "\"", 1) && json_escape(b, text, size, &is_escaped, &bad) && bytes_append(b, "\"", 1);
    uint32_t id = ok && b->size <= 1u << 30 ? patch_string_node(d, start, is_escaped) : JSON_NONE;
    if (id != JSON_NONE)
        return id;
    b->size = start;
    if (bad)
        return put_failed(d, "invalid UTF-8", (size_t)(bad - text));
    return put_failed(d, ok ? "value is too large" : "out of memory", 0);
}

uint32_t json_document_put_raw(json_document *d, const char *text, size_t size)
{
    if (!patch_ready(d))
        return JSON_NONE;
    bytes *b = d->patch->bytes;
    size_t start = b->size;
    if (!bytes_append(b, text, size))
        return put_failed(d, "out of memory", 0);
    uint32_t root = json_scan_append(&d->patch->nodes, b->data, start, b->size, &value_limits, &d->error);
    if (root == JSON_NONE) {
        b->size = start;
        return JSON_NONE;
    }
    return IN_PATCH | root;
}

uint32_t json_document_put_number(json_document *d, double number)
{
    char text[32];
    if (!isfinite(number))
        return put_failed(d, "number is not finite", 0);
    return json_document_put_raw(d, text, json_format_number(text, number));
}

uint32_t json_document_put_node(json_document *d, json_document *from, uint32_t id)
{
    size_t size;
    const char *raw = json_document_raw(from, id, &size);
    if (!raw)
        return put_failed(d, from->is_freed ? "the document was freed" : "out of memory", 0);
    if (d->patch && raw >= d->patch->bytes->data && raw < d->patch->bytes->data + d->patch->bytes->size) {
        // a value of the own patch, which may move while it grows
        size_t at = (size_t)(raw - d->patch->bytes->data);
        if (!bytes_reserve(d->patch->bytes, size))
            return put_failed(d, "out of memory", 0);
        raw = d->patch->bytes->data + at;
    }
    return json_document_put_raw(d, raw, size);
}

bool json_changing(json_document *d)
{
    if (!d->finished)
        return true;
    output **retired = realloc(d->retired, (d->retired_count + 1) * sizeof(*retired));
    if (!retired)
        return false;
    d->retired = retired;
    d->retired[d->retired_count++] = d->finished;
    d->finished = NULL;
    return true;
}

static bool map_add(json_document *d, uint32_t list)
{
    if (list < FEW_LISTS)
        return true;
    if (2 * (d->list_count + 1) > d->map_room) {
        uint32_t room = d->map_room > 0 ? d->map_room * 2 : 4 * FEW_LISTS;
        uint32_t *map = calloc(room, sizeof(*map));
        if (!map)
            return false;
        free(d->map);
        d->map = map;
        d->map_room = room;
        for (uint32_t i = 0; i < list; i++) {
            uint32_t slot = d->lists[i].origin * 0x9E3779B1u;
            while (map[slot & (room - 1)] != 0)
                slot++;
            map[slot & (room - 1)] = i + 1;
        }
    }
    uint32_t slot = d->lists[list].origin * 0x9E3779B1u;
    while (d->map[slot & (d->map_room - 1)] != 0)
        slot++;
    d->map[slot & (d->map_room - 1)] = list + 1;
    return true;
}

// Index of the first of `entries` new cells pairs at the end; UINT32_MAX: out of memory.
static uint32_t take_cells(json_document *d, uint32_t entries)
{
    if (d->cell_room - d->cell_count < 2 * entries) {
        uint64_t room = (uint64_t)d->cell_room * 2 + 2 * (uint64_t)entries;
        uint32_t *cells = room < UINT32_MAX ? realloc(d->cells, room * sizeof(*cells)) : NULL;
        if (!cells)
            return UINT32_MAX;
        d->cells = cells;
        d->cell_room = (uint32_t)room;
    }
    uint32_t first = d->cell_count;
    d->cell_count += 2 * entries;
    return first;
}

// Makes an edited container of a container in base or patch. JSON_NONE: out of memory.
static uint32_t open_container(json_document *d, uint32_t id)
{
    if (json_is_list(id))
        return id;
    const json_node *node = json_node_at(d, id), *items = json_source_of(d, id)->nodes.items;
    uint32_t space = id & SPACE_MASK, count = json_node_count(node);
    bool is_object = json_node_type(node) == JSON_OBJECT;
    if (d->list_count == d->list_room) {
        uint32_t room = d->list_room > 0 ? d->list_room * 2 : 4;
        json_list *lists = realloc(d->lists, room * sizeof(*lists));
        if (!lists)
            return JSON_NONE;
        d->lists = lists;
        d->list_room = room;
    }
    uint32_t room = count + 4, first = take_cells(d, room);
    if (first == UINT32_MAX)
        return JSON_NONE;
    d->lists[d->list_count] = (json_list){.origin = id, .first = first, .count = count, .room = room};
    if (!map_add(d, d->list_count)) {
        d->cell_count = first;
        return JSON_NONE;
    }
    uint32_t *cell = &d->cells[first];
    uint32_t child = (id & ~SPACE_MASK) + 1;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t value = is_object ? child + 1 : child;
        *cell++ = child | space;
        *cell++ = value | space;
        child = items[value].next;
    }
    return IN_LISTS | d->list_count++;
}

// Makes room for one more entry at position. NULL: out of memory.
static uint32_t *add_entry(json_document *d, uint32_t list, uint32_t position)
{
    json_list *l = json_list_at(d, list);
    if (l->count == l->room) {
        uint32_t first = take_cells(d, l->room * 2);
        if (first == UINT32_MAX)
            return NULL;
        memcpy(&d->cells[first], &d->cells[l->first], 2 * (size_t)l->count * sizeof(*d->cells));
        l->first = first;
        l->room *= 2;
    }
    uint32_t *entry = json_entry(d, l, position);
    memmove(entry + 2, entry, 2 * (size_t)(l->count - position) * sizeof(*entry));
    l->count++;
    return entry;
}

static int append_member(json_document *d, uint32_t list, const json_step *step, uint32_t value)
{
    uint32_t key = json_document_put_string(d, step->key, step->size);
    if (key == JSON_NONE)
        return strcmp(d->error.message, "out of memory") == 0 ? JSON_NO_MEMORY : JSON_BAD_VALUE;
    uint32_t *entry = add_entry(d, list, json_list_at(d, list)->count);
    if (!entry)
        return JSON_NO_MEMORY;
    entry[0] = key;
    entry[1] = value;
    return 0;
}

static int bad_path(json_document *d, size_t step)
{
    d->failed_step = (uint32_t)step;
    return JSON_BAD_PATH;
}

static bool step_fits(const json_document *d, uint32_t id, const json_step *step)
{
    return json_node_type(json_node_at(d, id)) == (step->key ? JSON_OBJECT : JSON_ARRAY);
}

// Checks without a change that the path can be walked up to its last step, and that this one fits. *made is
// the number of steps that exist; behind them only keys follow.
static int check_path(json_document *d, const json_step *path, size_t count, bool may_make, size_t *made)
{
    if (!json_ready(d))
        return d->is_freed ? JSON_FREED : JSON_BAD_VALUE;
    if (count > JSON_MAX_PATH)
        return bad_path(d, JSON_MAX_PATH);
    uint32_t id = d->root;
    for (size_t i = 0; i < count; i++) {
        if (!step_fits(d, id, &path[i]))
            return bad_path(d, i);
        *made = i;
        if (i + 1 == count)
            break;
        id = json_child(d, id, &path[i], i, NULL);
        if (id != JSON_NONE)
            continue;
        if (!path[i].key)
            return bad_path(d, i);
        for (size_t k = i + 1; may_make && k < count; k++) {
            if (!path[k].key)
                return bad_path(d, k);
        }
        return may_make ? 0 : JSON_MISSING;
    }
    return 0;
}

// Opens the containers along path[0..count), which exist, and returns the innermost one.
static uint32_t open_path(json_document *d, const json_step *path, size_t count)
{
    uint32_t list = json_changing(d) ? open_container(d, d->root) : JSON_NONE;
    if (list == JSON_NONE)
        return JSON_NONE;
    d->root = list;
    for (size_t i = 0; i < count; i++) {
        uint32_t entry, child = open_container(d, json_child(d, list, &path[i], i, &entry));
        if (child == JSON_NONE)
            return JSON_NONE;
        // Look up again: opening may have moved the cells and the lists.
        json_child(d, list, &path[i], i, &entry);
        json_entry(d, json_list_at(d, list), entry)[1] = child;
        list = child;
    }
    return list;
}

int json_document_set(json_document *d, const json_step *path, size_t count, uint32_t value)
{
    size_t made = 0;
    int failure = check_path(d, path, count, true, &made);
    if (failure != 0)
        return failure;
    if (value == JSON_NONE) // d->error says why it could not be put
        return JSON_BAD_VALUE;
    if (count == 0) {
        if (!json_changing(d))
            return JSON_NO_MEMORY;
        d->root = value;
        return 0;
    }
    if (!path[made].key) { // then made is the last step
        uint32_t parent = json_document_find(d, JSON_ROOT, path, made);
        if (path[made].index > json_document_count(d, parent))
            return bad_path(d, made);
    }
    for (size_t k = count - 1; k > made; k--) { // objects that are missing on the way, from the inside
        uint32_t empty = json_document_put_raw(d, "{}", 2);
        uint32_t around = empty == JSON_NONE ? JSON_NONE : open_container(d, empty);
        if (around == JSON_NONE)
            return JSON_NO_MEMORY;
        failure = append_member(d, around, &path[k], value);
        if (failure != 0)
            return failure;
        value = around;
    }
    uint32_t list = open_path(d, path, made);
    if (list == JSON_NONE)
        return JSON_NO_MEMORY;
    uint32_t position, old = json_child(d, list, &path[made], made, &position);
    if (old != JSON_NONE) {
        json_entry(d, json_list_at(d, list), position)[1] = value;
        return 0;
    }
    if (path[made].key)
        return append_member(d, list, &path[made], value);
    uint32_t *added = add_entry(d, list, json_list_at(d, list)->count);
    if (!added)
        return JSON_NO_MEMORY;
    added[0] = JSON_NONE;
    added[1] = value;
    return 0;
}

int json_document_set_string(json_document *d, const char *key, size_t key_size, const char *text, size_t size)
{
    json_step step = {.key = key, .size = (uint32_t)key_size};
    uint32_t value = json_document_put_string(d, text, size);
    if (value == JSON_NONE)
        return d->is_freed ? JSON_FREED : JSON_BAD_VALUE;
    return json_document_set(d, &step, 1, value);
}

int json_document_insert(json_document *d, const json_step *path, size_t count, uint32_t value)
{
    size_t made = 0;
    int failure = count == 0 ? bad_path(d, 0) : check_path(d, path, count, false, &made);
    if (failure != 0)
        return failure == JSON_MISSING ? bad_path(d, made) : failure;
    if (value == JSON_NONE)
        return JSON_BAD_VALUE;
    uint32_t parent = json_document_find(d, JSON_ROOT, path, made);
    if (path[made].key || path[made].index > json_document_count(d, parent))
        return bad_path(d, made);
    uint32_t list = open_path(d, path, made);
    uint32_t *entry = list == JSON_NONE ? NULL : add_entry(d, list, path[made].index);
    if (!entry)
        return JSON_NO_MEMORY;
    entry[0] = JSON_NONE;
    entry[1] = value;
    return 0;
}

int json_document_remove(json_document *d, const json_step *path, size_t count)
{
    size_t made = 0;
    int failure = count == 0 ? bad_path(d, 0) : check_path(d, path, count, false, &made);
    if (failure == JSON_BAD_PATH && count > 0)
        return JSON_MISSING; // nothing can be where the path does not fit
    if (failure != 0)
        return failure;
    if (json_document_find(d, JSON_ROOT, path, count) == JSON_NONE)
        return JSON_MISSING;
    uint32_t list = open_path(d, path, made), position;
    if (list == JSON_NONE)
        return JSON_NO_MEMORY;
    json_child(d, list, &path[made], made, &position);
    json_list *l = json_list_at(d, list);
    uint32_t *entry = json_entry(d, l, position);
    memmove(entry, entry + 2, 2 * (size_t)(l->count - position - 1) * sizeof(*entry));
    l->count--;
    return 0;
}

// The neighbours of a reference behind its first value, as entries behind `position`. false: out of memory.
static bool add_neighbours(json_document *d, uint32_t list, uint32_t position, const json_reference *r)
{
    json_list *l = json_list_at(d, list);
    uint32_t more = r->count - 1;
    if (l->room - l->count < more) {
        uint32_t room = l->count + more + 4, first = take_cells(d, room);
        if (first == UINT32_MAX)
            return false;
        memcpy(&d->cells[first], &d->cells[l->first], 2 * (size_t)l->count * sizeof(*d->cells));
        l->first = first;
        l->room = room;
    }
    uint32_t *entry = json_entry(d, l, position + 1);
    memmove(entry + 2 * (size_t)more, entry, 2 * (size_t)(l->count - position - 1) * sizeof(*entry));
    l->count += more;
    for (uint32_t i = 0, id = r->first; i < more; i++) {
        id = json_node_at(d, id)->next;
        *entry++ = JSON_NONE;
        *entry++ = id;
    }
    return true;
}

typedef struct places {
    const json_reference *next, *end;
    size_t from; // of the text in the patch
} places;

// Opens the container `id` of the patch and puts the references in their places inside it. JSON_NONE: out of memory.
static uint32_t place_inside(json_document *d, uint32_t id, places *p)
{
    uint32_t list = open_container(d, id);
    if (list == JSON_NONE)
        return JSON_NONE;
    size_t end = json_node_at(d, id)->end;
    for (uint32_t i = 0; p->next < p->end && p->from + p->next->at < end; i++) {
        uint32_t value = json_entry(d, json_list_at(d, list), i)[1];
        const json_node *node = json_node_at(d, value);
        size_t at = p->from + p->next->at;
        if (at >= node->end)
            continue;
        if (at > node->start) {
            value = place_inside(d, value, p);
            if (value == JSON_NONE)
                return JSON_NONE;
            json_entry(d, json_list_at(d, list), i)[1] = value;
            continue;
        }
        json_entry(d, json_list_at(d, list), i)[1] = p->next->first;
        if (!add_neighbours(d, list, i, p->next))
            return JSON_NONE;
        i += p->next->count - 1;
        p->next++;
    }
    return list;
}

bool json_assemble(json_document *d, const char *text, size_t size, const json_reference *references, size_t count)
{
    uint32_t root = json_document_put_raw(d, text, size);
    if (root == JSON_NONE)
        return false;
    places p = {.next = references, .end = references + count, .from = d->patch->bytes->size - size};
    if (count > 0)
        root = references[0].at == 0 ? references[0].first : place_inside(d, root, &p);
    if (root == JSON_NONE) {
        put_failed(d, "out of memory", 0);
        return false;
    }
    d->root = root;
    return true;
}
