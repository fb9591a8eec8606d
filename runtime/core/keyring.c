// Open addressing with linear probing over slots of eight bytes, at most half full; the keys stand in an array in
// order of adding, their records one behind the other. A slot keeps 32 bits of the digest, so a look-up touches one
// line of slots, one key and its record, whatever the number of keys. Digests are evenly spread already; the seed
// keeps anyone who can choose keys from choosing where they fall.
#include "core/keyring.h"

#include "core/random.h"

#include <stdlib.h>
#include <string.h>

typedef struct slot {
    uint32_t entry; // index + 1; 0: free
    uint32_t tag;   // of the digest
} slot;

typedef struct entry {
    uint8_t digest[SHA256_SIZE];
    uint32_t record_at, record_size;
} entry;

struct keyring {
    uint64_t seed;
    bool is_sealed;
    uint32_t count, capacity;
    uint32_t slot_count; // power of two
    slot *slots;
    entry *entries;
    char *records;
    size_t records_size, records_capacity;
};

enum { FIRST_CAPACITY = 16 };

static uint64_t place(const keyring *k, const uint8_t digest[SHA256_SIZE])
{
    uint64_t word;
    memcpy(&word, digest, sizeof(word));
    word = (word ^ k->seed) * 0x9e3779b97f4a7c15; // odd: no two words meet
    return word ^ word >> 32;
}

static uint32_t tag_of(const uint8_t digest[SHA256_SIZE])
{
    uint32_t tag;
    memcpy(&tag, digest + 8, sizeof(tag)); // other bytes than those that choose the place
    return tag;
}

keyring *keyring_new(void)
{
    keyring *k = calloc(1, sizeof(*k));
    if (k)
        random_bytes(&k->seed, sizeof(k->seed));
    return k;
}

void keyring_free(keyring *k)
{
    if (!k)
        return;
    free(k->slots);
    free(k->entries);
    free(k->records);
    free(k);
}

// The slot of this digest, or the free one where it would stand. There is always a free one.
static slot *find_slot(const keyring *k, const uint8_t digest[SHA256_SIZE])
{
    uint32_t tag = tag_of(digest), mask = k->slot_count - 1;
    for (uint32_t at = (uint32_t)place(k, digest) & mask;; at = (at + 1) & mask) {
        slot *s = &k->slots[at];
        if (s->entry == 0)
            return s;
        if (s->tag == tag && equal_in_constant_time(k->entries[s->entry - 1].digest, digest, SHA256_SIZE))
            return s;
    }
}

static bool grow_keys(keyring *k)
{
    uint32_t capacity = k->capacity ? k->capacity * 2 : FIRST_CAPACITY;
    entry *entries = realloc(k->entries, capacity * sizeof(*entries));
    if (!entries)
        return false;
    k->entries = entries;
    slot *slots = calloc((size_t)capacity * 2, sizeof(*slots));
    if (!slots)
        return false;
    free(k->slots);
    k->slots = slots;
    k->slot_count = capacity * 2;
    k->capacity = capacity;
    for (uint32_t i = 0; i < k->count; i++)
        *find_slot(k, entries[i].digest) = (slot){i + 1, tag_of(entries[i].digest)};
    return true;
}

static bool reserve_records(keyring *k, size_t more)
{
    size_t wanted = k->records_size + more;
    if (wanted <= k->records_capacity)
        return true;
    size_t capacity = k->records_capacity * 2 > wanted ? k->records_capacity * 2 : wanted;
    char *records = realloc(k->records, capacity);
    if (!records)
        return false;
    k->records = records;
    k->records_capacity = capacity;
    return true;
}

enum keyring_error keyring_add(keyring *k, const uint8_t digest[SHA256_SIZE], const void *record, size_t size)
{
    if (k->is_sealed)
        return KEYRING_SEALED;
    if (k->count >= INT32_MAX / 2 || size > UINT32_MAX - k->records_size)
        return KEYRING_TOO_LARGE;
    if ((k->count == k->capacity && !grow_keys(k)) || !reserve_records(k, size))
        return KEYRING_NO_MEMORY;
    slot *s = find_slot(k, digest);
    if (s->entry != 0)
        return KEYRING_DUPLICATE;
    entry *e = &k->entries[k->count++];
    memcpy(e->digest, digest, SHA256_SIZE);
    e->record_at = (uint32_t)k->records_size;
    e->record_size = (uint32_t)size;
    if (size > 0)
        memcpy(k->records + k->records_size, record, size);
    k->records_size += size;
    *s = (slot){k->count, tag_of(digest)};
    return KEYRING_OK;
}

void keyring_seal(keyring *k)
{
    if (k->is_sealed)
        return;
    k->is_sealed = true;
    if (k->count > 0 && k->count < k->capacity) {
        entry *entries = realloc(k->entries, k->count * sizeof(*entries));
        if (entries) {
            k->entries = entries;
            k->capacity = k->count;
        }
    }
    if (k->records_size > 0 && k->records_size < k->records_capacity) {
        char *records = realloc(k->records, k->records_size);
        if (records) {
            k->records = records;
            k->records_capacity = k->records_size;
        }
    }
}

int64_t keyring_find(keyring *k, const void *presented, size_t size)
{
    uint8_t digest[SHA256_SIZE];
    keyring_seal(k);
    sha256_of(presented, size, digest);
    if (k->count == 0)
        return -1;
    const slot *s = find_slot(k, digest);
    // A wrong key is compared too, with some key, so that it takes as long as a right one.
    const entry *e = &k->entries[s->entry ? s->entry - 1 : place(k, digest) % k->count];
    bool is_equal = equal_in_constant_time(e->digest, digest, SHA256_SIZE);
    return is_equal ? (int64_t)s->entry - 1 : -1;
}

const void *keyring_record(const keyring *k, int64_t index, size_t *size)
{
    const entry *e = &k->entries[index];
    *size = e->record_size;
    return e->record_size > 0 ? k->records + e->record_at : "";
}

size_t keyring_count(const keyring *k)
{
    return k->count;
}

size_t keyring_memory(const keyring *k)
{
    return sizeof(*k) + k->slot_count * sizeof(slot) + k->capacity * sizeof(entry) + k->records_capacity;
}
