// json_text: what the parts of the JSON code share about string text. Not for others.
#ifndef MOONGATE_CORE_JSON_TEXT_H
#define MOONGATE_CORE_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__SSE2__)
#include <emmintrin.h>

// Bits of the special bytes among 16. One signed comparison finds control characters and non-ASCII.
static inline uint32_t json_special_mask(const uint8_t *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
    __m128i slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
    __m128i other = _mm_cmplt_epi8(v, _mm_set1_epi8(0x20));
    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, slash), other));
}
#endif

// First byte in [p, end) that is a quote, a backslash, a control character or not ASCII; else end.
// `floor` is the start of readable memory (p - floor bytes before p may be loaded).
const uint8_t *json_find_special(const uint8_t *p, const uint8_t *end, const uint8_t *floor);
// The same, for strings that are mostly short: the first block is looked at in place.
static inline const uint8_t *json_find_special_near(const uint8_t *p, const uint8_t *end, const uint8_t *floor)
{
#if defined(__SSE2__)
    if (end - p >= 16) {
        uint32_t mask = json_special_mask(p);
        if (mask != 0)
            return p + __builtin_ctz(mask);
        p += 16;
    }
#endif
    return json_find_special(p, end, floor);
}

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
