// json_text: what the parts of the JSON code share about string text. Not for others.
#ifndef MOONGATE_CORE_JSON_TEXT_H
#define MOONGATE_CORE_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// First byte in [p, end) that is a quote, a backslash, a control character or not ASCII; else end.
// `floor` is the start of readable memory (p - floor bytes before p may be loaded).
const uint8_t *json_find_special(const uint8_t *p, const uint8_t *end, const uint8_t *floor);

// Walks over well-formed multi-byte sequences (as in RFC 3629) and returns the first ASCII byte behind
// them, or end. Malformed: NULL, and *bad is the first byte of the wrong sequence.
const uint8_t *json_skip_utf8(const uint8_t *p, const uint8_t *end, const uint8_t **bad);

// Value of four hexadecimal digits, or -1.
int json_hex4(const uint8_t *p);

// Reads one code point of a scanned string's inside, written as UTF-8 or as an escape.
uint32_t json_next_code_point(const uint8_t **p);
// Writes a code point as UTF-8 and returns its size.
size_t json_put_code_point(char *out, uint32_t code_point);

// Keyed hash (SipHash-1-3, key drawn once per process).
uint64_t json_hash(const char *data, size_t size);

// Offset (of the second key) of two equal keys in the object at index `object`; SIZE_MAX - 1: out of
// memory; SIZE_MAX: all keys differ.
struct json_nodes;
size_t json_find_duplicate(struct json_nodes *nodes, const char *data, uint32_t object);

#endif
