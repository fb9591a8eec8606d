// The document's life, and reading it.
#include "json_document.h"
#include "json_inside.h"
#include "json_text.h"

#include <stdlib.h>
#include <string.h>

// Nodes for so many bytes of text are made room for at once; growing by doubling does the rest.
enum { BYTES_PER_NODE = 16, MAX_FIRST_NODES = 1024 };

// A written document was well-formed when it was written; nesting of spliced parts may add up.
static const json_limits written_limits = {.max_depth = 1024, .max_nodes = 1 << 28};

static void source_drop(json_source *s)
{
    if (!s || --s->refs > 0)
        return;
    bytes_drop(s->bytes);
    json_nodes_free(&s->nodes);
    free(s);
}

static void forget_places(json_document *d)
{
    for (int i = 0; i < JSON_PLACES; i++)
        d->places[i].container = JSON_NONE;
}

static json_document *document_new(bytes *data)
{
    json_document *d = data ? zeroed(sizeof(*d)) : NULL;
    json_source *s = d ? zeroed(sizeof(*s)) : NULL;
    if (!s) {
        free(d);
        bytes_drop(data);
        return NULL;
    }
    *s = (json_source){.refs = 1, .bytes = data};
    d->refs = 1;
    d->base = s;
    forget_places(d);
    return d;
}

static bool source_scan(json_source *s, const json_limits *limits, json_error *error)
{
    size_t room = s->bytes->size / BYTES_PER_NODE + 8;
    if (room > MAX_FIRST_NODES)
        room = MAX_FIRST_NODES;
    if (!s->nodes.items) {
        s->nodes.items = malloc(room * sizeof(json_node));
        s->nodes.capacity = s->nodes.items ? (uint32_t)room : 0;
    }
    bool ok = json_scan(&s->nodes, s->bytes->data, s->bytes->size, limits, error);
    free(s->nodes.table); // scratch of the duplicate check; base is scanned only once
    free(s->nodes.text);
    s->nodes.table = NULL;
    s->nodes.text = NULL;
    s->nodes.table_capacity = s->nodes.text_capacity = 0;
    return ok;
}

json_document *json_document_parse(bytes *data, const json_limits *limits, json_error *error)
{
    json_document *d = document_new(data);
    if (!d) {
        *error = (json_error){.message = "out of memory"};
        return NULL;
    }
    if (!source_scan(d->base, limits, error)) {
        json_document_drop(d);
        return NULL;
    }
    return d;
}

json_document *json_document_parse_copy(const char *text, size_t size, const json_limits *limits, json_error *error)
{
    if (limits && limits->max_bytes > 0 && size > limits->max_bytes) { // not worth a copy
        *error = (json_error){.message = "text is too large", .offset = limits->max_bytes};
        return NULL;
    }
    return json_document_parse(bytes_copy(text, size), limits, error);
}

json_document *json_document_lazy(bytes *data)
{
    return document_new(data);
}

json_document *json_document_fork(const json_document *d)
{
    if (d->is_freed)
        return NULL;
    json_document *f = zeroed(sizeof(*f));
    if (!f)
        return NULL;
    f->refs = 1;
    forget_places(f);
    f->base = d->base;
    f->base->refs++;
    f->root = d->root;
    if (d->root == 0) // never edited
        return f;
    f->patch = d->patch;
    if (f->patch)
        f->patch->refs++;
    f->list_count = f->list_room = d->list_count;
    f->cell_count = f->cell_room = d->cell_count;
    f->map_room = d->map_room;
    f->lists = malloc((f->list_room + 1) * sizeof(*f->lists));
    f->cells = malloc((f->cell_room + 1) * sizeof(*f->cells));
    f->map = malloc((f->map_room + 1) * sizeof(*f->map));
    if (!f->lists || !f->cells || !f->map) {
        json_document_drop(f);
        return NULL;
    }
    if (d->lists) // the root may have been replaced as a whole, without any list
        memcpy(f->lists, d->lists, f->list_count * sizeof(*f->lists));
    if (d->cells)
        memcpy(f->cells, d->cells, f->cell_count * sizeof(*f->cells));
    if (d->map)
        memcpy(f->map, d->map, f->map_room * sizeof(*f->map));
    return f;
}

void json_document_free(json_document *d)
{
    if (d->is_freed)
        return;
    source_drop(d->base);
    source_drop(d->patch);
    free(d->lists);
    free(d->cells);
    free(d->map);
    bytes_drop(d->scratch);
    output_drop(d->finished);
    for (uint32_t i = 0; i < d->retired_count; i++)
        output_drop(d->retired[i]);
    free(d->retired);
    *d = (json_document){.refs = d->refs, .is_freed = true};
}

json_document *json_document_hold(json_document *d)
{
    d->refs++;
    return d;
}

void json_document_drop(json_document *d)
{
    if (!d || --d->refs > 0)
        return;
    json_document_free(d);
    free(d);
}

bool json_ready(json_document *d)
{
    if (d->is_freed)
        return false;
    return d->base->nodes.count > 0 || source_scan(d->base, &written_limits, &d->error);
}

uint32_t json_resolve(const json_document *d, uint32_t id)
{
    if (id == JSON_ROOT)
        return d->root;
    if (d->list_count == 0 || json_is_list(id))
        return id;
    if (d->map_room == 0) {
        for (uint32_t i = 0; i < d->list_count; i++) {
            if (d->lists[i].origin == id)
                return IN_LISTS | i;
        }
        return id;
    }
    for (uint32_t slot = id * 0x9E3779B1u;; slot++) {
        uint32_t found = d->map[slot & (d->map_room - 1)];
        if (found == 0)
            return id;
        if (d->lists[found - 1].origin == id)
            return IN_LISTS | (found - 1);
    }
}

static uint32_t list_child(json_document *d, uint32_t id, const json_step *step, uint32_t *entry)
{
    const json_list *l = json_list_at(d, id);
    bool is_object = json_node_type(json_node_at(d, id)) == JSON_OBJECT;
    if (is_object != (step->key != NULL))
        return JSON_NONE;
    uint32_t i = is_object ? 0 : step->index;
    for (; is_object && i < l->count; i++) {
        uint32_t key = json_entry(d, l, i)[0];
        if (json_string_equals(json_node_at(d, key), json_data_of(d, key), step->key, step->size))
            break;
    }
    if (entry)
        *entry = i;
    return i < l->count ? json_entry(d, l, i)[1] : JSON_NONE;
}

// The child at position of a container that was not edited; of an object, the key.
static uint32_t source_child(json_document *d, uint32_t id, uint32_t position, size_t level)
{
    struct json_place *place = &d->places[level % JSON_PLACES];
    const json_node *items = json_source_of(d, id)->nodes.items;
    uint32_t own = id & ~SPACE_MASK, at = 0, child = own + 1;
    uint32_t is_object = json_node_type(&items[own]) == JSON_OBJECT;
    if (place->container == id && place->position <= position) {
        at = place->position;
        child = place->node;
    }
    for (; at < position; at++)
        child = items[child + is_object].next;
    *place = (struct json_place){id, position, child};
    return child | (id & SPACE_MASK);
}

uint32_t json_child(json_document *d, uint32_t id, const json_step *step, size_t level, uint32_t *entry)
{
    if (json_is_list(id))
        return list_child(d, id, step, entry);
    const json_source *s = json_source_of(d, id);
    if (!step->key) {
        const json_node *node = &s->nodes.items[id & ~SPACE_MASK];
        bool is_there = json_node_type(node) == JSON_ARRAY && step->index < json_node_count(node);
        return is_there ? source_child(d, id, step->index, level) : JSON_NONE;
    }
    uint32_t found = json_find_key(&s->nodes, s->bytes->data, id & ~SPACE_MASK, step->key, step->size);
    return found == JSON_NONE ? JSON_NONE : found | (id & SPACE_MASK);
}

uint32_t json_document_find(json_document *d, uint32_t from, const json_step *path, size_t count)
{
    if (!json_ready(d))
        return JSON_NONE;
    uint32_t id = json_resolve(d, from);
    for (size_t i = 0; i < count && id != JSON_NONE; i++)
        id = json_child(d, id, &path[i], i, NULL);
    return id;
}

static int value_missing(json_document *d, json_value *out)
{
    out->id = JSON_NONE;
    out->type = d->is_freed ? JSON_FREED : d->base->nodes.count == 0 ? JSON_BAD_VALUE : JSON_MISSING;
    return out->type;
}

// Room for size bytes of text that lives until the next call.
static char *scratch_room(json_document *d, size_t size)
{
    if (!d->scratch && !(d->scratch = bytes_new(0)))
        return NULL;
    d->scratch->size = 0;
    return bytes_reserve(d->scratch, size) ? d->scratch->data : NULL;
}

static int read_value(json_document *d, uint32_t id, json_value *out)
{
    if (id == JSON_NONE)
        return value_missing(d, out);
    const json_node *node = json_node_at(d, id);
    out->id = id;
    out->type = (int32_t)json_node_type(node);
    if (out->type != JSON_STRING && out->type != JSON_NUMBER)
        return out->type;
    out->text = json_data_of(d, id) + node->start;
    out->size = node->end - node->start;
    if (out->type == JSON_NUMBER) {
        out->is_exact = json_read_number(out->text, out->size, &out->number);
        return out->type;
    }
    out->text++;
    out->size -= 2;
    if (node->info & JSON_ESCAPED) {
        char *room = scratch_room(d, out->size);
        if (!room)
            return out->type = JSON_NO_MEMORY;
        out->size = json_unescape(room, out->text, out->size);
        out->text = room;
    }
    return out->type;
}

int json_document_get(json_document *d, uint32_t from, const json_step *path, size_t count, json_value *out)
{
    return read_value(d, json_document_find(d, from, path, count), out);
}

int json_document_get_key(json_document *d, uint32_t from, const char *key, size_t size, json_value *out)
{
    json_step step = {.key = key, .size = (uint32_t)size};
    return read_value(d, json_document_find(d, from, &step, 1), out);
}

int json_document_read(json_document *d, uint32_t id, json_value *out)
{
    return read_value(d, json_document_find(d, id, NULL, 0), out);
}

int json_document_prefix(json_document *d, uint32_t id, size_t limit, json_value *out)
{
    id = json_document_find(d, id, NULL, 0);
    if (id == JSON_NONE || !(json_node_at(d, id)->info & JSON_ESCAPED)) {
        if (read_value(d, id, out) == JSON_STRING && out->size > limit)
            out->size = limit;
        return out->type;
    }
    const json_node *node = json_node_at(d, id);
    const uint8_t *p = (const uint8_t *)json_data_of(d, id) + node->start + 1;
    const uint8_t *end = p + (node->end - node->start - 2);
    size_t room_size = limit < (size_t)(end - p) ? limit : (size_t)(end - p);
    char *room = scratch_room(d, room_size + 4);
    *out = (json_value){.text = room, .id = id, .type = room ? JSON_STRING : JSON_NO_MEMORY};
    while (room && p < end) {
        size_t n = json_put_code_point(room + out->size, json_next_code_point(&p));
        if (out->size + n > limit)
            break;
        out->size += n;
    }
    return out->type;
}

int json_document_type(json_document *d, uint32_t id)
{
    id = json_document_find(d, id, NULL, 0);
    return id == JSON_NONE ? (d->is_freed ? JSON_FREED : JSON_MISSING) : (int)json_node_type(json_node_at(d, id));
}

int64_t json_document_count(json_document *d, uint32_t id)
{
    id = json_document_find(d, id, NULL, 0);
    if (id == JSON_NONE || json_node_type(json_node_at(d, id)) < JSON_ARRAY)
        return -1;
    return json_is_list(id) ? json_list_at(d, id)->count : json_node_count(json_node_at(d, id));
}

uint32_t json_document_at(json_document *d, uint32_t container, uint32_t position, uint32_t *key)
{
    uint32_t id = json_document_find(d, container, NULL, 0);
    if (id == JSON_NONE)
        return JSON_NONE;
    const json_node *node = json_node_at(d, id);
    if (json_is_list(id)) {
        const json_list *l = json_list_at(d, id);
        if (position >= l->count)
            return JSON_NONE;
        if (key)
            *key = json_entry(d, l, position)[0];
        return json_entry(d, l, position)[1];
    }
    if (json_node_type(node) < JSON_ARRAY || position >= json_node_count(node))
        return JSON_NONE;
    uint32_t child = source_child(d, id, position, 0);
    if (key)
        *key = child;
    return json_node_type(node) == JSON_OBJECT ? child + 1 : child;
}

bool json_document_next(json_document *d, json_cursor *cursor)
{
    uint32_t id = json_document_find(d, cursor->container, NULL, 0);
    if (id == JSON_NONE)
        return false;
    const json_node *node = json_node_at(d, id);
    if (json_is_list(id)) {
        const json_list *l = json_list_at(d, id);
        if (cursor->position >= l->count)
            return false;
        cursor->key = json_entry(d, l, cursor->position)[0];
        cursor->value = json_entry(d, l, cursor->position++)[1];
        return true;
    }
    if (json_node_type(node) < JSON_ARRAY || cursor->position >= json_node_count(node))
        return false;
    uint32_t space = id & SPACE_MASK;
    uint32_t child = cursor->position == 0 ? (id & ~SPACE_MASK) + 1 : json_node_at(d, cursor->value)->next;
    cursor->position++;
    cursor->key = child | space;
    cursor->value = (json_node_type(node) == JSON_OBJECT ? child + 1 : child) | space;
    return true;
}

const json_error *json_document_error(const json_document *d)
{
    return &d->error;
}

uint32_t json_document_failed_step(const json_document *d)
{
    return d->failed_step;
}

void json_handle_release(json_handle *h)
{
    json_document_drop(h->document);
    h->document = NULL;
}
