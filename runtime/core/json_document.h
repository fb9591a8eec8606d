// json_document: a JSON text that is read and edited without rewriting it. The client's bytes stay as they
// are; edits live beside them, and output copies every untouched span byte for byte.
//
// How it works. A document reads two sources: `base`, the bytes it was parsed from (shared by all forks,
// never changed), and `patch`, an append-only buffer with the values that edits brought in (shared by forks
// too: they only append). Every value has an id: a node of base, a node of patch, or an edited container.
// An edited container is a list of (slot, value) entries: slot says which original member or element it
// stands for, so that the bytes between untouched neighbours can be copied. Editing a container edits the
// containers around it as well; whatever is not reached that way is untouched by construction.
//
// Ids stay valid for the life of the document, also when the container they name is edited later.
// One thread. Nothing here raises or aborts: out of memory is a result.
#ifndef MOONGATE_CORE_JSON_DOCUMENT_H
#define MOONGATE_CORE_JSON_DOCUMENT_H

#include "bytes.h"
#include "json.h"

// As `from`: the whole document, whatever edits made of it.
#define JSON_ROOT (UINT32_MAX - 1)

// Results beside the json_type of a value.
enum json_failure {
    JSON_MISSING = -1,   // the path leads nowhere
    JSON_FREED = -2,     // the document was freed
    JSON_NO_MEMORY = -3, // nothing changed
    JSON_BAD_PATH = -4,  // a step does not fit what is there (see json_document.failed_step); nothing changed
    JSON_BAD_VALUE = -5, // the new value is not valid JSON or UTF-8 (see json_document.error); nothing changed
};

enum { JSON_PLACES = 4 };

typedef struct json_source {
    uint32_t refs;
    bytes *bytes;
    json_nodes nodes; // of base: empty until the first read
} json_source;

// A container that was edited. Its entries are pairs in json_document.cells.
typedef struct json_list {
    uint32_t origin; // the container's id in base or patch
    uint32_t first;  // index of its first cell
    uint32_t count;  // entries
    uint32_t room;   // entries that fit
} json_list;

typedef struct json_document {
    uint32_t refs; // the owner, and every handle given out for a value inside
    bool is_freed;
    uint32_t failed_step; // after JSON_BAD_PATH: index of the step
    uint32_t root;
    json_error error; // after JSON_BAD_VALUE, or when a written document does not scan
    json_source *base;
    json_source *patch;
    json_list *lists;
    uint32_t list_count, list_room;
    uint32_t *cells; // (slot, value) pairs
    uint32_t cell_count, cell_room;
    uint32_t *map; // hash table from origin to list index + 1, once there are many lists
    uint32_t map_room;
    struct json_place {
        uint32_t container, position, node;
    } places[JSON_PLACES]; // where the last look-ups by position ended, by level of the path
    bytes *scratch;        // the last decoded or joined text
    output *finished;      // the present content as output, once asked for
    output **retired;      // what was lent before later edits
    uint32_t retired_count;
} json_document;

// A value that was read. text lives until the next call on the document.
typedef struct json_value {
    const char *text; // string: decoded; number: as written
    size_t size;
    double number; // number, if is_exact
    uint32_t id;
    int32_t type;  // json_type or json_failure
    bool is_exact; // the double stands for exactly the number that was written
} json_value;

// Parses data; takes over the caller's reference to it, also on failure. NULL: *error says what and where.
json_document *json_document_parse(bytes *data, const json_limits *limits, json_error *error);
// The same for a copy of text[0..size).
json_document *json_document_parse_copy(const char *text, size_t size, const json_limits *limits, json_error *error);
// A document over bytes known to be well-formed, scanned on first read. Takes over the reference.
json_document *json_document_lazy(bytes *data);
// A document with the same content and its own edits from here on. NULL: out of memory, or freed.
json_document *json_document_fork(const json_document *d);
// Gives back all content; the document stays a valid, freed one until its last reference is dropped.
void json_document_free(json_document *d);
json_document *json_document_hold(json_document *d);
void json_document_drop(json_document *d); // NULL is fine

// --- Reading. `from` is JSON_ROOT or the id of a value of this document.

// Id of the value at the end of a path; JSON_NONE: it leads nowhere (or the document is freed).
uint32_t json_document_find(json_document *d, uint32_t from, const json_step *path, size_t count);
// Reads the value at the end of a path into *out. Returns out->type.
int json_document_get(json_document *d, uint32_t from, const json_step *path, size_t count, json_value *out);
int json_document_get_key(json_document *d, uint32_t from, const char *key, size_t size, json_value *out);
// Reads a value by id.
int json_document_read(json_document *d, uint32_t id, json_value *out);
// Number of elements or members; -1: not a container.
int64_t json_document_count(json_document *d, uint32_t id);
// Id of the element or member value at position (from 0); for members *key becomes the key's id. Asked for in
// order, also in nested loops over paths, this takes constant time. JSON_NONE: no such position.
uint32_t json_document_at(json_document *d, uint32_t container, uint32_t position, uint32_t *key);
// Walks over a container in order, each step in constant time, also while the document is edited.
typedef struct json_cursor {
    uint32_t container; // set by the caller
    uint32_t position;  // set to 0 by the caller; then the number of children seen
    uint32_t key;       // of a member
    uint32_t value;
} json_cursor;
bool json_document_next(json_document *d, json_cursor *cursor);
int json_document_type(json_document *d, uint32_t id);
// Reads at most `limit` bytes of a string's decoded text; the rest is not looked at. Returns out->type.
int json_document_prefix(json_document *d, uint32_t id, size_t limit, json_value *out);
// The bytes of a value as they would be sent. NULL: out of memory or freed. They live until the next call.
const char *json_document_raw(json_document *d, uint32_t id, size_t *size);

// --- Editing: first put the new value into the document, then set or insert it once. All return its id,
// or JSON_NONE with d->error set (message "out of memory" for that).

uint32_t json_document_put_string(json_document *d, const char *text, size_t size);
uint32_t json_document_put_raw(json_document *d, const char *text, size_t size); // exactly one JSON value
uint32_t json_document_put_number(json_document *d, double number);              // finite
// A copy of the bytes of another (or the same) document's value.
uint32_t json_document_put_node(json_document *d, json_document *from, uint32_t id);

// Sets the value at the end of a path: replaces it, or appends a missing last key or the element just behind
// the last. Missing objects on the way are made where both the step and the next one are keys. An empty path
// sets the root. Returns 0 or a json_failure.
int json_document_set(json_document *d, const json_step *path, size_t count, uint32_t value);
int json_document_set_string(json_document *d, const char *key, size_t key_size, const char *text, size_t size);
// Inserts before the array element that the last step names (or behind the last element).
int json_document_insert(json_document *d, const json_step *path, size_t count, uint32_t value);
// Removes a member or element. 0: removed; JSON_MISSING: it was not there.
int json_document_remove(json_document *d, const json_step *path, size_t count);

// --- Output

// What is to be sent; without edits it is the parsed buffer itself. Big untouched spans are referenced,
// small ones gathered. It is lent: the document keeps it until it is freed, whatever edits come; who needs
// it longer takes a reference (output_hold). NULL: out of memory or freed.
output *json_document_output(json_document *d);
// The whole output as one text, which lives until the next call. NULL: out of memory or freed.
const char *json_document_text(json_document *d, size_t *size);
// Size of the output in bytes; 0: freed.
size_t json_document_size(json_document *d);

// --- For callers to whom the struct is opaque (LuaJIT's FFI).

const json_error *json_document_error(const json_document *d);
uint32_t json_document_failed_step(const json_document *d);
// A value that somebody keeps; it holds the document (not its content: that may be freed before).
typedef struct json_handle {
    json_document *document;
    uint32_t id;
} json_handle;
void json_handle_release(json_handle *h);

#endif
