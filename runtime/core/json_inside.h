// What the parts of json_document share. Not for others.
#ifndef MOONGATE_CORE_JSON_INSIDE_H
#define MOONGATE_CORE_JSON_INSIDE_H

#include "json_document.h"
#include "json_writer.h"

// The upper two bits of an id say what the rest is an index into.
#define SPACE_MASK 0xC0000000u
#define IN_BASE 0x00000000u
#define IN_PATCH 0x40000000u
#define IN_LISTS 0x80000000u

// A step of this many edited containers inside each other is a runaway program, not a request.
enum { JSON_MAX_PATH = 128 };

static inline bool json_is_list(uint32_t id)
{
    return (id & SPACE_MASK) == IN_LISTS;
}

static inline json_list *json_list_at(const json_document *d, uint32_t id)
{
    return &d->lists[id & ~SPACE_MASK];
}

static inline json_source *json_source_of(const json_document *d, uint32_t id)
{
    return (id & SPACE_MASK) == IN_PATCH ? d->patch : d->base;
}

// The node behind an id in base or patch; of an edited container, the node it was made from.
static inline const json_node *json_node_at(const json_document *d, uint32_t id)
{
    if (json_is_list(id))
        id = json_list_at(d, id)->origin;
    return &json_source_of(d, id)->nodes.items[id & ~SPACE_MASK];
}

static inline const char *json_data_of(const json_document *d, uint32_t id)
{
    if (json_is_list(id))
        id = json_list_at(d, id)->origin;
    return json_source_of(d, id)->bytes->data;
}

// Entry i of an edited container: [0] slot, [1] value. The slot of a member is its key's id; of an element
// the original element's id, or JSON_NONE for one that was added.
static inline uint32_t *json_entry(const json_document *d, const json_list *l, uint32_t i)
{
    return &d->cells[l->first + 2 * (size_t)i];
}

// Values of base that take the place of one value in a text of the patch, which only holds their place.
typedef struct json_reference {
    uint32_t at;    // offset of the place in the text
    uint32_t first; // id
    uint32_t count; // so many neighbours; more than one only in an array
} json_reference;

// The text of a form without its holes; piece i ends at ends[i].
struct json_form {
    uint32_t count;  // holes; there is one piece more
    uint32_t ends[]; // of the pieces in the text behind
};

static inline const char *json_form_text(const json_form *f)
{
    return (const char *)&f->ends[f->count + 1];
}

// Spans of base from this size on are referenced; below, copying costs less than another segment or edit.
enum { JSON_REFERENCE_SIZE = 4096 };

// Makes text[0..size) the content, with references (in the order of their offsets) in their places. false: d->error.
bool json_assemble(json_document *d, const char *text, size_t size, const json_reference *references, size_t count);
// Makes sure that base is scanned; false: d->error says why not.
bool json_ready(json_document *d);
// The present id of a value: an edited container instead of what it was made from.
uint32_t json_resolve(const json_document *d, uint32_t id);
// One step down from a resolved id; level is its number in the path. In an edited container, *entry (may be
// NULL) becomes the position.
uint32_t json_child(json_document *d, uint32_t id, const json_step *step, size_t level, uint32_t *entry);
// Before an edit: puts aside what was made from the present content. false: out of memory.
bool json_changing(json_document *d);

// Appends text[0..size) as the inside of a JSON string. false: *bad is NULL for out of memory, else the
// first byte that is not UTF-8; out is as before. *escaped tells whether a backslash was written.
bool json_escape(bytes *out, const char *text, size_t size, bool *escaped, const char **bad);

// Shortest text that reads back as the same double; integers below 1e17 without an exponent. number is
// finite. Returns its size (at most 31).
size_t json_format_number(char out[32], double number);
// Reads a scanned number; false: no double stands for exactly this decimal number (*number is then not set).
// Exactly means: the shortest text of the double is the same number.
bool json_read_number(const char *raw, size_t size, double *number);

#endif
