// SHA-256 and HMAC-SHA-256 by the CPU's own instructions where it has them (x86 SHA extensions, ARMv8 crypto,
// both checked at run time), by Mbed TLS otherwise. No allocation, no failure, safe from any thread.
#ifndef MOONGATE_CORE_SHA256_H
#define MOONGATE_CORE_SHA256_H

#include "core/bytes.h"

#define SHA256_SIZE 32       // bytes of a digest
#define SHA256_BLOCK_SIZE 64 // bytes of a block

typedef struct sha256 {
    uint32_t state[8];
    uint64_t size;                    // bytes taken so far
    uint8_t block[SHA256_BLOCK_SIZE]; // the first size % 64 bytes wait here for a full block
} sha256;

void sha256_init(sha256 *h);
// Takes the next `size` bytes (0 allowed, data may then be NULL).
void sha256_update(sha256 *h, const void *data, size_t size);
// Writes the digest of all bytes taken. h must be initialised again before its next use.
void sha256_final(sha256 *h, uint8_t digest[SHA256_SIZE]);

// Writes the digest of data[0..size).
void sha256_of(const void *data, size_t size, uint8_t digest[SHA256_SIZE]);
// Writes the digest of the segments' concatenation.
void sha256_of_segments(const segment *parts, size_t count, uint8_t digest[SHA256_SIZE]);

// The digest of a shared object's text, which it keeps: the second call costs nothing. Good until it changes.
const uint8_t *sha256_of_bytes(bytes *b);
const uint8_t *sha256_of_output(output *o);

// A key's two block states, so that one HMAC of a short text costs its blocks and one more. Secret: whoever
// keeps one wipes it.
typedef struct hmac_sha256_key {
    uint32_t inner[8];
    uint32_t outer[8];
} hmac_sha256_key;

// Prepares a key of any length (longer than 64 bytes: hashed first, RFC 2104).
void hmac_sha256_prepare(hmac_sha256_key *key, const void *secret, size_t size);
// Writes the HMAC of data[0..size).
void hmac_sha256_of(const hmac_sha256_key *key, const void *data, size_t size, uint8_t mac[SHA256_SIZE]);

// How blocks are hashed in this process.
typedef enum sha256_engine { SHA256_PORTABLE, SHA256_X86, SHA256_ARM } sha256_engine;

// Name of the engine in use: "x86 sha", "arm sha2" or "mbedtls".
const char *sha256_engine_name(void);
// Chooses an engine; false (nothing changed): this CPU or build lacks it. For specs and benchmarks; the best one
// is chosen before main().
bool sha256_use(sha256_engine engine);

#endif
