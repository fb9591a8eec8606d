// Output: walks the edited containers and copies everything between the edits.
#include "json_inside.h"

#include <stdlib.h>
#include <string.h>

enum { REFERENCE_SIZE = JSON_REFERENCE_SIZE, FEW_PARTS = 8 };

typedef struct part {
    size_t from; // offset in base, or in the gathered bytes
    size_t size;
    bool is_base;
} part;

typedef struct sink {
    const json_document *d;
    bytes *gathered;
    size_t reference_size; // SIZE_MAX: gather everything
    const char *pending;   // a run of text not written yet
    size_t pending_size;
    bool pending_is_base;
    bool only_count;
    bool failed;
    size_t total;
    part *parts;
    size_t count, room;
    bool is_few; // parts is the caller's array
} sink;

static void add_part(sink *s, part p)
{
    part *last = s->count > 0 ? &s->parts[s->count - 1] : NULL;
    if (last && !last->is_base && !p.is_base) {
        last->size += p.size;
        return;
    }
    if (s->count == s->room) {
        size_t room = s->room * 2;
        part *parts = realloc(s->is_few ? NULL : s->parts, room * sizeof(*parts));
        if (!parts) {
            s->failed = true;
            return;
        }
        if (s->is_few)
            memcpy(parts, s->parts, s->count * sizeof(*parts));
        s->is_few = false;
        s->parts = parts;
        s->room = room;
    }
    s->parts[s->count++] = p;
}

static void flush(sink *s)
{
    if (s->pending_size == 0)
        return;
    s->total += s->pending_size;
    if (s->only_count) {
        s->pending_size = 0;
        return;
    }
    if (s->pending_is_base && s->pending_size >= s->reference_size) {
        add_part(s, (part){(size_t)(s->pending - s->d->base->bytes->data), s->pending_size, true});
    } else {
        size_t from = s->gathered->size;
        if (!bytes_append(s->gathered, s->pending, s->pending_size))
            s->failed = true;
        else if (s->reference_size != SIZE_MAX)
            add_part(s, (part){from, s->pending_size, false});
    }
    s->pending_size = 0;
}

// Adds text of the source that holds `id`; neighbouring pieces become one run.
static void emit(sink *s, const char *text, size_t size, bool is_base)
{
    if (s->pending_size > 0 && s->pending_is_base == is_base && s->pending + s->pending_size == text) {
        s->pending_size += size;
        return;
    }
    flush(s);
    s->pending = text;
    s->pending_size = size;
    s->pending_is_base = is_base;
}

static void emit_value(sink *s, uint32_t id);

// The source of the container: spans of it are named by offset.
typedef struct origin {
    const char *data;
    const json_node *items;
    uint32_t space;
    uint32_t first, behind; // indices of its nodes: first child, and the one behind the last
} origin;

static bool is_own_slot(const origin *o, uint32_t slot)
{
    uint32_t index = slot & ~SPACE_MASK;
    return (slot & SPACE_MASK) == o->space && index >= o->first && index < o->behind;
}

static void emit_span(sink *s, const origin *o, uint32_t from, uint32_t to)
{
    emit(s, o->data + from, to - from, o->space == IN_BASE);
}

// The comma between two values that were not neighbours before; where a comma stands between them in base, it is
// that one, so that they become one run.
static void emit_comma(sink *s, uint32_t before, uint32_t value)
{
    const json_document *d = s->d;
    if ((before & SPACE_MASK) == IN_BASE && (value & SPACE_MASK) == IN_BASE) {
        const char *comma = d->base->bytes->data + d->base->nodes.items[before].end;
        if (d->base->nodes.items[before].end + 1 == d->base->nodes.items[value].start && *comma == ',') {
            emit(s, comma, 1, true);
            return;
        }
    }
    emit(s, ",", 1, false);
}

static void emit_list(sink *s, uint32_t id)
{
    const json_document *d = s->d;
    const json_list *l = json_list_at(d, id);
    const json_node *node = json_node_at(d, id);
    bool is_object = json_node_type(node) == JSON_OBJECT;
    uint32_t index = l->origin & ~SPACE_MASK;
    origin o = {.data = json_data_of(d, id),
                .items = json_source_of(d, l->origin)->nodes.items,
                .space = l->origin & SPACE_MASK,
                .first = index + 1,
                .behind = node->next};
    // `follows` is the node that continues the original text, and `at` the offset where it left off.
    uint32_t follows = o.first, at = node->start + 1;
    emit_span(s, &o, node->start, node->start + 1);
    for (uint32_t i = 0; i < l->count; i++) {
        const uint32_t *entry = json_entry(d, l, i);
        uint32_t slot = entry[0], value = entry[1];
        bool is_own = is_own_slot(&o, slot);
        uint32_t own = slot & ~SPACE_MASK; // first node of the original member or element
        if (is_own && own == follows)
            emit_span(s, &o, at, o.items[own].start); // white space, and the comma unless it is the first
        else if (i > 0 && !is_object)
            emit_comma(s, json_entry(d, l, i - 1)[1], value);
        else if (i > 0)
            emit(s, ",", 1, false);
        if (is_object) {
            const json_node *key = json_node_at(d, slot);
            emit(s, json_data_of(d, slot) + key->start, key->end - key->start, (slot & SPACE_MASK) == IN_BASE);
            if (is_own)
                emit_span(s, &o, key->end, o.items[own + 1].start);
            else
                emit(s, ":", 1, false);
        }
        emit_value(s, value);
        follows = JSON_NONE;
        if (is_own) {
            uint32_t original = is_object ? own + 1 : own;
            follows = o.items[original].next;
            at = o.items[original].end;
        }
    }
    if (follows == o.behind)
        emit_span(s, &o, at, node->end);
    else
        emit_span(s, &o, node->end - 1, node->end);
}

static void emit_value(sink *s, uint32_t id)
{
    if (json_is_list(id)) {
        emit_list(s, id);
        return;
    }
    const json_node *node = json_node_at(s->d, id);
    emit(s, json_data_of(s->d, id) + node->start, node->end - node->start, (id & SPACE_MASK) == IN_BASE);
}

// Emits the whole document, with the white space around its original root.
static void emit_document(sink *s)
{
    const json_document *d = s->d;
    uint32_t root = d->root;
    bool is_original = root == 0 || (json_is_list(root) && json_list_at(d, root)->origin == 0);
    const bytes *b = d->base->bytes;
    if (is_original)
        emit(s, b->data, d->base->nodes.items[0].start, true);
    emit_value(s, root);
    if (is_original)
        emit(s, b->data + d->base->nodes.items[0].end, b->size - d->base->nodes.items[0].end, true);
    flush(s);
}

const char *json_document_raw(json_document *d, uint32_t id, size_t *size)
{
    id = json_document_find(d, id, NULL, 0);
    if (id == JSON_NONE)
        return NULL;
    if (!json_is_list(id))
        return json_node_raw(json_node_at(d, id), json_data_of(d, id), size);
    if (!d->scratch && !(d->scratch = bytes_new(0)))
        return NULL;
    d->scratch->size = 0;
    sink s = {.d = d, .gathered = d->scratch, .reference_size = SIZE_MAX};
    emit_value(&s, id);
    flush(&s);
    *size = d->scratch->size;
    return s.failed ? NULL : d->scratch->data;
}

const char *json_document_text(json_document *d, size_t *size)
{
    if (d->is_freed)
        return NULL;
    if (d->root == 0) {
        *size = d->base->bytes->size;
        return d->base->bytes->data;
    }
    if (!d->scratch && !(d->scratch = bytes_new(0)))
        return NULL;
    d->scratch->size = 0;
    sink s = {.d = d, .gathered = d->scratch, .reference_size = SIZE_MAX};
    emit_document(&s);
    *size = d->scratch->size;
    return s.failed ? NULL : d->scratch->data;
}

static output *output_whole(json_document *d)
{
    segment whole = {d->base->bytes->data, d->base->bytes->size, bytes_hold(d->base->bytes)};
    output *o = output_new(&whole, 1);
    if (!o)
        bytes_drop(whole.owner);
    return o;
}

static output *output_parts(json_document *d)
{
    size_t room = d->base->bytes->size < 4 * REFERENCE_SIZE ? d->base->bytes->size : REFERENCE_SIZE;
    part few_parts[FEW_PARTS];
    segment few_segments[FEW_PARTS], *segments = few_segments;
    sink s = {.d = d, .reference_size = REFERENCE_SIZE, .parts = few_parts, .room = FEW_PARTS, .is_few = true};
    output *o = NULL;
    s.gathered = bytes_new(room + (d->patch ? d->patch->bytes->size % (4 * REFERENCE_SIZE) : 0) + 64);
    if (!s.gathered)
        return NULL;
    emit_document(&s);
    if (!s.is_few)
        segments = malloc(s.count * sizeof(*segments));
    if (!s.failed && segments) {
        for (size_t i = 0; i < s.count; i++) {
            bytes *owner = s.parts[i].is_base ? d->base->bytes : s.gathered;
            segments[i] = (segment){owner->data + s.parts[i].from, s.parts[i].size, bytes_hold(owner)};
        }
        o = output_new(segments, s.count);
        for (size_t i = 0; !o && i < s.count; i++)
            bytes_drop(segments[i].owner);
    }
    if (!s.is_few) {
        free(segments);
        free(s.parts);
    }
    bytes_drop(s.gathered);
    return o;
}

output *json_document_output(json_document *d)
{
    if (d->is_freed)
        return NULL;
    if (!d->finished)
        d->finished = d->root == 0 ? output_whole(d) : output_parts(d);
    return d->finished;
}

size_t json_document_size(json_document *d)
{
    if (d->is_freed)
        return 0;
    if (d->root == 0)
        return d->base->bytes->size;
    sink s = {.d = d, .only_count = true};
    emit_document(&s);
    return s.total;
}
