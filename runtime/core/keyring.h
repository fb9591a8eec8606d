// Client keys, off the Lua heap: a table from the SHA-256 of a key to a record. The keys themselves are never kept.
// Built once, then read by every task until its owner frees it. One thread.
#ifndef MOONGATE_CORE_KEYRING_H
#define MOONGATE_CORE_KEYRING_H

#include "core/sha256.h"

typedef struct keyring keyring;

enum keyring_error {
    KEYRING_OK,
    KEYRING_DUPLICATE, // a key with this digest is there already
    KEYRING_SEALED,    // a look-up has happened: the ring is immutable
    KEYRING_TOO_LARGE, // more than 2^30 - 1 keys or 4 GiB of records
    KEYRING_NO_MEMORY
};

keyring *keyring_new(void); // NULL: out of memory
void keyring_free(keyring *k);

// Adds the digest of a key with its record, which is copied. An error changes nothing.
enum keyring_error keyring_add(keyring *k, const uint8_t digest[SHA256_SIZE], const void *record, size_t size);

// Makes the ring immutable and gives spare memory back. keyring_find() does it too.
void keyring_seal(keyring *k);

// Finds a key as a client presented it: index from 0 in order of adding, -1 when it is none. The time depends
// neither on the number of keys nor on how much of a digest agrees.
int64_t keyring_find(keyring *k, const void *presented, size_t size);

// The record of an index that keyring_find() gave.
const void *keyring_record(const keyring *k, int64_t index, size_t *size);

size_t keyring_count(const keyring *k);
// Bytes of memory in use.
size_t keyring_memory(const keyring *k);

#endif
