// bytes: a reference-counted byte buffer that documents, signer, server and client share, so that a
// body exists once in memory. One thread. segment: a borrowed slice of bytes (or of static text).
// Ownership: bytes_new() gives one reference; every further holder takes its own with bytes_hold() and
// gives it back with bytes_drop(). Only a sole holder may append (the data may move).
#ifndef MOONGATE_CORE_BYTES_H
#define MOONGATE_CORE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// What a pointer handed from Lua to C points at. Every shared object begins with its tag.
enum shared_tag { SHARED_BYTES = 0x42595445, SHARED_OUTPUT = 0x4f555450 };

typedef struct bytes {
    uint32_t tag; // SHARED_BYTES
    uint32_t refs;
    size_t size;
    size_t capacity;
    char *data;
    bool has_sha256; // sha256 holds the digest of data[0..size)
    uint8_t sha256[32];
} bytes;

typedef struct segment {
    const char *data;
    size_t size;
    bytes *owner; // NULL: static text, or text whose owner the receiver must copy
} segment;

// A finished document: what is sent, in order. The segments' owners are held by the output.
typedef struct output {
    uint32_t tag; // SHARED_OUTPUT
    uint32_t refs;
    size_t size; // sum of all segments, in bytes
    size_t count;
    bool has_sha256;
    uint8_t sha256[32];
    segment segments[];
} output;

// Memory of size bytes, all zero; NULL: out of memory. Not calloc(): glibc's goes past the per-thread cache, which
// what is made for each request should come from.
static inline void *zeroed(size_t size)
{
    void *memory = malloc(size);
    if (memory)
        memset(memory, 0, size);
    return memory;
}

// Makes an empty buffer with room for capacity bytes (0 allowed); NULL: out of memory.
bytes *bytes_new(size_t capacity);
// Makes a buffer that holds a copy of data[0..size).
bytes *bytes_copy(const char *data, size_t size);
bytes *bytes_hold(bytes *b);
void bytes_drop(bytes *b); // NULL is fine
// Makes room for `more` further bytes, at least doubling; false: out of memory, nothing changed.
bool bytes_reserve(bytes *b, size_t more);
bool bytes_append_grow(bytes *b, const char *data, size_t size); // bytes_append() where room must be made

// Appends a copy. Heads are put together from dozens of small pieces: the common case is a copy and no call.
static inline bool bytes_append(bytes *b, const char *data, size_t size)
{
    if (size > b->capacity - b->size)
        return bytes_append_grow(b, data, size);
    if (size > 0)
        memcpy(b->data + b->size, data, size);
    b->size += size;
    b->has_sha256 = false;
    return true;
}
// Gives back the room beyond size where that is worth a move.
void bytes_trim(bytes *b);

// Makes an output of count segments; takes over the references in parts[i].owner. NULL: out of memory
// (the references are then still the caller's).
output *output_new(const segment *parts, size_t count);
output *output_hold(output *o);
void output_drop(output *o);

#endif
