// SHA-256: the padding and buffering here, the compression of whole blocks behind one function pointer that a
// constructor sets to the fastest one this CPU has. Every engine gives the same digests
// (spec/runtime/core/sha256_test.c).
#include "core/sha256.h"

#define MBEDTLS_ALLOW_PRIVATE_ACCESS
#include <mbedtls/sha256.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#elif defined(__aarch64__)
#if defined(__clang__) && !defined(__ARM_FEATURE_SHA2)
// Clang before 16 declares the intrinsics only where every function may use them: let it, for this header.
#define __ARM_FEATURE_SHA2 1
#define __ARM_FEATURE_CRYPTO 1
#pragma clang attribute push(__attribute__((target("crypto"))), apply_to = function)
#include <arm_neon.h>
#pragma clang attribute pop
#else
#include <arm_neon.h>
#endif
#include <sys/auxv.h>
#ifndef HWCAP_SHA2
#define HWCAP_SHA2 (1 << 6)
#endif
#endif

static const uint32_t initial_state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                          0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

#if defined(__x86_64__) || defined(__aarch64__)
static const uint32_t round_constants[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
#endif

// Mbed TLS's own compression: the contexts' state words are the same eight, so blocks can be lent to it.
static void compress_portable(uint32_t state[8], const uint8_t *data, size_t blocks)
{
    mbedtls_sha256_context c;
    mbedtls_sha256_init(&c);
    memcpy(c.state, state, sizeof(c.state));
    for (; blocks > 0; blocks--, data += SHA256_BLOCK_SIZE)
        mbedtls_internal_sha256_process(&c, data);
    memcpy(state, c.state, sizeof(c.state));
    mbedtls_sha256_free(&c); // wipes
}

#if defined(__x86_64__)

// Four rounds with the message words in w; the constants' index is the first of the four rounds.
#define ROUNDS(w, first)                                                                                               \
    do {                                                                                                               \
        __m128i sum = _mm_add_epi32(w, _mm_load_si128((const __m128i *)&round_constants[first]));                      \
        cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);                                                                 \
        abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));                                        \
    } while (0)
// The next four message words, into a, from the sixteen before them (a oldest, d newest).
#define EXTEND(a, b, c, d)                                                                                             \
    a = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(a, b), _mm_alignr_epi8(d, c, 4)), d)

// The instructions keep the state as two vectors, ABEF and CDGH. Source: Intel, "Intel SHA Extensions" (2013).
__attribute__((target("sha,sse4.1,ssse3"))) static void compress_x86(uint32_t state[8], const uint8_t *data,
                                                                     size_t blocks)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)&state[0]), 0xb1);
    __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)&state[4]), 0x1b);
    __m128i abef = _mm_alignr_epi8(cdab, efgh, 8);
    __m128i cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);

    for (; blocks > 0; blocks--, data += SHA256_BLOCK_SIZE) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i w0 = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)data), swap);
        __m128i w1 = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 16)), swap);
        __m128i w2 = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 32)), swap);
        __m128i w3 = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 48)), swap);
        ROUNDS(w0, 0);
        ROUNDS(w1, 4);
        ROUNDS(w2, 8);
        ROUNDS(w3, 12);
#pragma GCC unroll 3
        for (int first = 16; first < 64; first += 16) {
            EXTEND(w0, w1, w2, w3);
            ROUNDS(w0, first);
            EXTEND(w1, w2, w3, w0);
            ROUNDS(w1, first + 4);
            EXTEND(w2, w3, w0, w1);
            ROUNDS(w2, first + 8);
            EXTEND(w3, w0, w1, w2);
            ROUNDS(w3, first + 12);
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }

    __m128i feba = _mm_shuffle_epi32(abef, 0x1b);
    __m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)&state[0], _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)&state[4], _mm_alignr_epi8(dchg, feba, 8));
}

static bool cpu_has_x86(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSSE3) || !(c & bit_SSE4_1))
        return false;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

#elif defined(__aarch64__)

#ifdef __clang__
#define ARM_TARGET __attribute__((target("crypto")))
#else
#define ARM_TARGET __attribute__((target("+crypto")))
#endif

#define ROUNDS(w, first)                                                                                               \
    do {                                                                                                               \
        uint32x4_t sum = vaddq_u32(w, vld1q_u32(&round_constants[first]));                                             \
        uint32x4_t abcd_now = abcd;                                                                                    \
        abcd = vsha256hq_u32(abcd, efgh, sum);                                                                         \
        efgh = vsha256h2q_u32(efgh, abcd_now, sum);                                                                    \
    } while (0)
#define EXTEND(a, b, c, d) a = vsha256su1q_u32(vsha256su0q_u32(a, b), c, d)

// Source: Arm, "Arm C Language Extensions", SHA256 intrinsics.
ARM_TARGET static void compress_arm(uint32_t state[8], const uint8_t *data, size_t blocks)
{
    uint32x4_t abcd = vld1q_u32(&state[0]), efgh = vld1q_u32(&state[4]);
    for (; blocks > 0; blocks--, data += SHA256_BLOCK_SIZE) {
        const uint32x4_t abcd_before = abcd, efgh_before = efgh;
        uint32x4_t w0 = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(data)));
        uint32x4_t w1 = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(data + 16)));
        uint32x4_t w2 = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(data + 32)));
        uint32x4_t w3 = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(data + 48)));
        ROUNDS(w0, 0);
        ROUNDS(w1, 4);
        ROUNDS(w2, 8);
        ROUNDS(w3, 12);
        for (int first = 16; first < 64; first += 16) {
            EXTEND(w0, w1, w2, w3);
            ROUNDS(w0, first);
            EXTEND(w1, w2, w3, w0);
            ROUNDS(w1, first + 4);
            EXTEND(w2, w3, w0, w1);
            ROUNDS(w2, first + 8);
            EXTEND(w3, w0, w1, w2);
            ROUNDS(w3, first + 12);
        }
        abcd = vaddq_u32(abcd, abcd_before);
        efgh = vaddq_u32(efgh, efgh_before);
    }
    vst1q_u32(&state[0], abcd);
    vst1q_u32(&state[4], efgh);
}

static bool cpu_has_arm(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_SHA2) != 0;
}

#endif

static void (*compress)(uint32_t state[8], const uint8_t *data, size_t blocks) = compress_portable;
static sha256_engine engine_now = SHA256_PORTABLE;

bool sha256_use(sha256_engine engine)
{
#if defined(__x86_64__)
    if (engine == SHA256_X86 && cpu_has_x86()) {
        compress = compress_x86;
        engine_now = engine;
        return true;
    }
#elif defined(__aarch64__)
    if (engine == SHA256_ARM && cpu_has_arm()) {
        compress = compress_arm;
        engine_now = engine;
        return true;
    }
#endif
    if (engine != SHA256_PORTABLE)
        return false;
    compress = compress_portable;
    engine_now = engine;
    return true;
}

// Before main(), so that no thread ever sees the choice change.
__attribute__((constructor)) static void choose_engine(void)
{
    if (!sha256_use(SHA256_X86))
        sha256_use(SHA256_ARM);
}

const char *sha256_engine_name(void)
{
    static const char *const names[] = {"mbedtls", "x86 sha", "arm sha2"};
    return names[engine_now];
}

static void put_word(uint8_t *at, uint32_t word)
{
    word = __builtin_bswap32(word);
    memcpy(at, &word, sizeof(word));
}

static void put_state(const uint32_t state[8], uint8_t digest[SHA256_SIZE])
{
    for (int i = 0; i < 8; i++)
        put_word(digest + 4 * i, state[i]);
}

void sha256_init(sha256 *h)
{
    memcpy(h->state, initial_state, sizeof(h->state));
    h->size = 0;
}

void sha256_update(sha256 *h, const void *data, size_t size)
{
    const uint8_t *p = data;
    size_t used = h->size % SHA256_BLOCK_SIZE;
    if (size == 0)
        return;
    h->size += size;
    if (used > 0) {
        size_t room = SHA256_BLOCK_SIZE - used;
        size_t part = size < room ? size : room;
        memcpy(h->block + used, p, part);
        if (part < room)
            return;
        compress(h->state, h->block, 1);
        p += part;
        size -= part;
    }
    size_t blocks = size / SHA256_BLOCK_SIZE;
    if (blocks > 0)
        compress(h->state, p, blocks);
    p += blocks * SHA256_BLOCK_SIZE;
    memcpy(h->block, p, size % SHA256_BLOCK_SIZE);
}

void sha256_final(sha256 *h, uint8_t digest[SHA256_SIZE])
{
    // The rest, 0x80, zeros and the length in bits: one block, or two where the length does not fit.
    uint8_t tail[2 * SHA256_BLOCK_SIZE];
    size_t used = h->size % SHA256_BLOCK_SIZE;
    size_t blocks = used < SHA256_BLOCK_SIZE - 8 ? 1 : 2;
    size_t end = blocks * SHA256_BLOCK_SIZE;
    memcpy(tail, h->block, used);
    tail[used] = 0x80;
    memset(tail + used + 1, 0, end - used - 1 - 8);
    put_word(tail + end - 8, (uint32_t)(h->size >> 29));
    put_word(tail + end - 4, (uint32_t)(h->size << 3));
    compress(h->state, tail, blocks);
    put_state(h->state, digest);
}

void sha256_of(const void *data, size_t size, uint8_t digest[SHA256_SIZE])
{
    sha256 h;
    sha256_init(&h);
    sha256_update(&h, data, size);
    sha256_final(&h, digest);
}

void sha256_of_segments(const segment *parts, size_t count, uint8_t digest[SHA256_SIZE])
{
    sha256 h;
    sha256_init(&h);
    for (size_t i = 0; i < count; i++)
        sha256_update(&h, parts[i].data, parts[i].size);
    sha256_final(&h, digest);
}

const uint8_t *sha256_of_bytes(bytes *b)
{
    if (!b->has_sha256) {
        sha256_of(b->data, b->size, b->sha256);
        b->has_sha256 = true;
    }
    return b->sha256;
}

const uint8_t *sha256_of_output(output *o)
{
    if (!o->has_sha256) {
        sha256_of_segments(o->segments, o->count, o->sha256);
        o->has_sha256 = true;
    }
    return o->sha256;
}

void hmac_sha256_prepare(hmac_sha256_key *key, const void *secret, size_t size)
{
    uint8_t block[SHA256_BLOCK_SIZE] = {0};
    if (size > sizeof(block))
        sha256_of(secret, size, block);
    else if (size > 0)
        memcpy(block, secret, size);
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] ^= 0x36;
    memcpy(key->inner, initial_state, sizeof(key->inner));
    compress(key->inner, block, 1);
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] ^= 0x36 ^ 0x5c;
    memcpy(key->outer, initial_state, sizeof(key->outer));
    compress(key->outer, block, 1);
    explicit_bzero(block, sizeof(block));
}

void hmac_sha256_of(const hmac_sha256_key *key, const void *data, size_t size, uint8_t mac[SHA256_SIZE])
{
    sha256 h;
    memcpy(h.state, key->inner, sizeof(h.state));
    h.size = SHA256_BLOCK_SIZE; // the key's block is hashed already
    sha256_update(&h, data, size);
    sha256_final(&h, mac);
    memcpy(h.state, key->outer, sizeof(h.state));
    h.size = SHA256_BLOCK_SIZE;
    sha256_update(&h, mac, SHA256_SIZE);
    sha256_final(&h, mac);
}
