// json: strict RFC 8259 + UTF-8 scanner over bytes that it never touches. One pass makes a flat array of
// spans ("nodes"); what nobody asks for is never decoded. This header is the light entry, for C code that
// looks into many small texts; the editable document on top of it is in json_document.h.
//
// An object's members are pairs of nodes: key, then value. A container's children follow it directly;
// `next` leads past a whole subtree. Raw text of a node is data[start..end), strings with their quotes.
#ifndef MOONGATE_CORE_JSON_H
#define MOONGATE_CORE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum json_type { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

// No such node.
#define JSON_NONE UINT32_MAX

typedef struct json_node {
    uint32_t start; // offset of the first byte
    uint32_t end;   // offset past the last byte
    uint32_t next;  // index of the node that follows this one and all inside it
    uint32_t info;  // bits 0-2 json_type, bit 3 JSON_ESCAPED, bits 4-31 number of children
} json_node;

#define JSON_ESCAPED 8u // a string that holds at least one backslash

// A reusable node array; all zero is a valid empty one. It grows when a text needs it and is kept between
// texts, so that scanning many small texts allocates nothing after the first few.
typedef struct json_nodes {
    json_node *items;
    uint32_t count;
    uint32_t capacity;
    uint32_t *table; // scratch for the duplicate check of objects with many keys
    uint32_t table_capacity;
    char *text; // scratch for keys written with escapes
    uint32_t text_capacity;
} json_nodes;

// What is refused. 0 in any field means its default.
typedef struct json_limits {
    uint32_t max_depth; // containers inside each other; default 64
    uint32_t max_nodes; // values and keys; default 4,194,304 (64 MiB of nodes)
    size_t max_bytes;   // default and upper bound 1 GiB
} json_limits;

typedef struct json_error {
    const char *message; // static text, for a person
    size_t offset;       // of the first byte that is wrong
} json_error;

// Scans data[0..size), which must hold exactly one JSON value with optional white space around it. Fills
// nodes from index 0 (node 0 is the root) and returns true; or returns false, sets *error and leaves nodes
// empty. Refused: anything outside RFC 8259, invalid UTF-8, a byte order mark, lone surrogates, duplicate
// keys (compared after decoding escapes), what is over a limit. limits may be NULL. Time is linear in size.
bool json_scan(json_nodes *nodes, const char *data, size_t size, const json_limits *limits, json_error *error);

// The same for data[from..to), appended behind the nodes that are there; offsets stay relative to data.
// Returns the index of the new root, or JSON_NONE with *error set and nodes as they were.
uint32_t json_scan_append(json_nodes *nodes, const char *data, size_t from, size_t to, const json_limits *limits,
                          json_error *error);

// Only looks whether data[0..size) is exactly one JSON value, nested at most 256 deep.
bool json_check(const char *data, size_t size, json_error *error);

// Gives back the memory; nodes is then a valid empty array.
void json_nodes_free(json_nodes *nodes);

static inline enum json_type json_node_type(const json_node *node)
{
    return (enum json_type)(node->info & 7u);
}

// Number of elements of an array, or members of an object.
static inline uint32_t json_node_count(const json_node *node)
{
    return node->info >> 4;
}

static inline const char *json_node_raw(const json_node *node, const char *data, size_t *size)
{
    *size = node->end - node->start;
    return data + node->start;
}

// One step of a path: a key (key != NULL), or an index from 0.
typedef struct json_step {
    const char *key; // decoded UTF-8, not terminated
    uint32_t size;
    uint32_t index;
} json_step;

// Index of the value under a key of the object at index `object`; JSON_NONE: absent, or not an object.
uint32_t json_find_key(const json_nodes *nodes, const char *data, uint32_t object, const char *key, size_t size);
// Index of the element at position (from 0) of an array; JSON_NONE: absent, or not an array.
uint32_t json_find_index(const json_nodes *nodes, uint32_t array, uint32_t position);
// Follows a path from node `from`; JSON_NONE: it leads nowhere.
uint32_t json_find_path(const json_nodes *nodes, const char *data, uint32_t from, const json_step *path, size_t count);

// Is the string node's decoded text equal to text[0..size)?
bool json_string_equals(const json_node *node, const char *data, const char *text, size_t size);
// Decodes the escapes of a scanned string's inside (no quotes). out needs room for size bytes, no more is
// ever written; returns the number of bytes written. out may not overlap raw.
size_t json_unescape(char *out, const char *raw, size_t size);

#endif
