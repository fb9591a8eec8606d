// String text: finding the bytes that matter, UTF-8, escapes, and the duplicate check of keys.
#include "json_text.h"
#include "json.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__SSE2__)
#include <immintrin.h>

__attribute__((target("avx2"))) static inline __m256i special_32(const uint8_t *p)
{
    __m256i v = _mm256_loadu_si256((const __m256i *)p);
    __m256i quote = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('"'));
    __m256i slash = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\\'));
    __m256i other = _mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), v);
    return _mm256_or_si256(_mm256_or_si256(quote, slash), other);
}

// Skips whole blocks of 128 bytes that hold nothing special.
__attribute__((target("avx2"))) static const uint8_t *skip_plain_avx2(const uint8_t *p, const uint8_t *end)
{
    for (; end - p >= 128; p += 128) {
        __m256i found = _mm256_or_si256(_mm256_or_si256(special_32(p), special_32(p + 32)),
                                        _mm256_or_si256(special_32(p + 64), special_32(p + 96)));
        if (_mm256_movemask_epi8(found) != 0)
            break;
    }
    return p;
}

static const uint8_t *find_special_long(const uint8_t *p, const uint8_t *end, const uint8_t *floor)
{
    if (end - p >= 256 && __builtin_cpu_supports("avx2"))
        p = skip_plain_avx2(p, end);
    for (; end - p >= 16; p += 16) {
        uint32_t mask = json_special_mask(p);
        if (mask != 0)
            return p + __builtin_ctz(mask);
    }
    if (p == end)
        return end;
    size_t left = (size_t)(end - p);
    if (end - floor >= 16) { // look at the last 16 bytes again, and leave out those before p
        uint32_t mask = json_special_mask(end - 16) >> (16 - left);
        return mask != 0 ? p + __builtin_ctz(mask) : end;
    }
    while (p < end && *p != '"' && *p != '\\' && *p >= 0x20 && *p < 0x80)
        p++;
    return p;
}

const uint8_t *json_find_special(const uint8_t *p, const uint8_t *end, const uint8_t *floor)
{
    for (int i = 0; i < 4 && end - p >= 16; i++, p += 16) {
        uint32_t mask = json_special_mask(p);
        if (mask != 0)
            return p + __builtin_ctz(mask);
    }
    return find_special_long(p, end, floor);
}

#else

// A bit in each byte of v that is zero; exact for the lowest one, and "none" is exact.
static inline uint64_t zero_bytes(uint64_t v)
{
    return (v - 0x0101010101010101u) & ~v & 0x8080808080808080u;
}

const uint8_t *json_find_special(const uint8_t *p, const uint8_t *end, const uint8_t *floor)
{
    (void)floor;
    for (; end - p >= 8; p += 8) {
        uint64_t v;
        memcpy(&v, p, 8);
        uint64_t control = (v - 0x2020202020202020u) & ~v & 0x8080808080808080u;
        uint64_t high = v & 0x8080808080808080u;
        if ((control | high | zero_bytes(v ^ 0x2222222222222222u) | zero_bytes(v ^ 0x5C5C5C5C5C5C5C5Cu)) != 0)
            break;
    }
    while (p < end && *p != '"' && *p != '\\' && *p >= 0x20 && *p < 0x80)
        p++;
    return p;
}

#endif

static inline bool is_tail(uint8_t c)
{
    return (c & 0xC0) == 0x80;
}

const uint8_t *json_skip_utf8(const uint8_t *p, const uint8_t *end, const uint8_t **bad)
{
    while (p < end && *p >= 0x80) {
        size_t left = (size_t)(end - p);
        uint8_t c = *p;
        if (c < 0xE0) {
            if (c < 0xC2 || left < 2 || !is_tail(p[1]))
                goto malformed;
            p += 2;
        } else if (c < 0xF0) {
            if (left < 3 || !is_tail(p[1]) || !is_tail(p[2]))
                goto malformed;
            if ((c == 0xE0 && p[1] < 0xA0) || (c == 0xED && p[1] > 0x9F)) // overlong; surrogate
                goto malformed;
            p += 3;
        } else {
            if (c > 0xF4 || left < 4 || !is_tail(p[1]) || !is_tail(p[2]) || !is_tail(p[3]))
                goto malformed;
            if ((c == 0xF0 && p[1] < 0x90) || (c == 0xF4 && p[1] > 0x8F)) // overlong; above U+10FFFF
                goto malformed;
            p += 4;
        }
    }
    return p;
malformed:
    *bad = p;
    return NULL;
}

int json_hex4(const uint8_t *p)
{
    int value = 0;
    for (int i = 0; i < 4; i++) {
        int c = p[i], lower = c | 0x20;
        if (c >= '0' && c <= '9')
            value = value << 4 | (c - '0');
        else if (lower >= 'a' && lower <= 'f')
            value = value << 4 | (lower - 'a' + 10);
        else
            return -1;
    }
    return value;
}

uint32_t json_next_code_point(const uint8_t **at)
{
    const uint8_t *p = *at;
    uint32_t c = *p;
    if (c == '\\') {
        *at = p + 2;
        switch (p[1]) {
        case 'b':
            return '\b';
        case 'f':
            return '\f';
        case 'n':
            return '\n';
        case 'r':
            return '\r';
        case 't':
            return '\t';
        case 'u':
            break;
        default: // " \ /
            return p[1];
        }
        uint32_t unit = (uint32_t)json_hex4(p + 2);
        *at = p + 6;
        if (unit < 0xD800 || unit > 0xDFFF)
            return unit;
        *at = p + 12;
        return 0x10000 + ((unit - 0xD800) << 10) + ((uint32_t)json_hex4(p + 8) - 0xDC00);
    }
    if (c < 0x80) {
        *at = p + 1;
        return c;
    }
    if (c < 0xE0) {
        *at = p + 2;
        return (c & 0x1F) << 6 | (p[1] & 0x3Fu);
    }
    if (c < 0xF0) {
        *at = p + 3;
        return (c & 0x0F) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
    }
    *at = p + 4;
    return (c & 0x07) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu);
}

size_t json_put_code_point(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

size_t json_unescape(char *out, const char *raw, size_t size)
{
    const uint8_t *p = (const uint8_t *)raw, *end = p + size;
    size_t written = 0;
    while (p < end) {
        const uint8_t *slash = memchr(p, '\\', (size_t)(end - p));
        size_t plain = (size_t)((slash ? slash : end) - p);
        memcpy(out + written, p, plain);
        written += plain;
        p += plain;
        while (p < end && *p == '\\')
            written += json_put_code_point(out + written, json_next_code_point(&p));
    }
    return written;
}

// SipHash-1-3 (Aumasson, Bernstein), so that nobody can choose keys that collide.
#define ROTATE(x, b) ((x) << (b) | (x) >> (64 - (b)))

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = ROTATE(v[1], 13) ^ v[0];
    v[0] = ROTATE(v[0], 32);
    v[2] += v[3];
    v[3] = ROTATE(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = ROTATE(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = ROTATE(v[1], 17) ^ v[2];
    v[2] = ROTATE(v[2], 32);
}

uint64_t json_hash(const char *data, size_t size)
{
    static uint64_t secret[2];
    if (secret[0] == 0 && getentropy(secret, sizeof(secret)) != 0)
        secret[0] = (uint64_t)(uintptr_t)&secret; // no entropy source: at least the load address
    secret[0] |= 1;
    uint64_t v[4] = {secret[0] ^ 0x736f6d6570736575u, secret[1] ^ 0x646f72616e646f6du, secret[0] ^ 0x6c7967656e657261u,
                     secret[1] ^ 0x7465646279746573u};
    uint64_t word, tail = (uint64_t)size << 56;
    for (; size >= 8; data += 8, size -= 8) {
        memcpy(&word, data, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    for (size_t i = 0; i < size; i++)
        tail |= (uint64_t)(uint8_t)data[i] << (8 * i);
    v[3] ^= tail;
    sip_round(v);
    v[0] ^= tail;
    v[2] ^= 0xFF;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
