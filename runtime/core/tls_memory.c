// Arenas of equal slots. A slot takes one record buffer (16 KiB of payload and up to 2 KiB around it, by
// Mbed TLS 3.6's ssl_misc.h) in whole pages. Freed slots lose their pages at once, so a slot is all zeros
// whenever it is handed out and calloc() costs no memset that would touch it.
#include "tls_memory.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLOT_MIN_BYTES ((size_t)8 * 1024) // smaller blocks waste too much of their last page
#define SLOT_BYTES ((size_t)20 * 1024)
#define ARENA_SLOTS ((size_t)3264) // 64 MB of address space, not of memory
#define ARENA_BYTES (SLOT_BYTES * ARENA_SLOTS)
#define MAX_ARENAS 64

typedef struct arena {
    char *base;
    uint16_t free_slots[ARENA_SLOTS]; // stack of freed slots; slots from `fresh` on were never used
    size_t free_count, fresh;
} arena;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static arena *arenas[MAX_ARENAS];
static size_t arena_count, blocks;

static arena *arena_of(const void *p)
{
    for (size_t i = 0; i < arena_count; i++)
        if ((const char *)p >= arenas[i]->base && (const char *)p < arenas[i]->base + ARENA_BYTES)
            return arenas[i];
    return NULL;
}

static arena *arena_with_room(void)
{
    for (size_t i = arena_count; i > 0; i--)
        if (arenas[i - 1]->free_count > 0 || arenas[i - 1]->fresh < ARENA_SLOTS)
            return arenas[i - 1];
    if (arena_count == MAX_ARENAS)
        return NULL;
    // calloc: its pages, too, are touched only as slots are freed.
    arena *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->base = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (a->base == MAP_FAILED) {
        free(a);
        return NULL;
    }
    madvise(a->base, ARENA_BYTES, MADV_NOHUGEPAGE); // a huge page would make 100 idle connections resident
    madvise(a->base, ARENA_BYTES, MADV_DONTDUMP);   // plaintext and keys have no place in a core file
    arenas[arena_count++] = a;
    return a;
}

void *tls_calloc(size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    if (total < SLOT_MIN_BYTES || total > SLOT_BYTES)
        return calloc(count, size);
    pthread_mutex_lock(&lock);
    arena *a = arena_with_room();
    char *p = NULL;
    if (a) {
        size_t slot = a->free_count > 0 ? a->free_slots[--a->free_count] : a->fresh++;
        p = a->base + slot * SLOT_BYTES;
        blocks++;
    }
    pthread_mutex_unlock(&lock);
    return p ? p : calloc(count, size);
}

void tls_free(void *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&lock);
    arena *a = arena_of(p);
    if (a) {
        madvise(p, SLOT_BYTES, MADV_DONTNEED);
        a->free_slots[a->free_count++] = (uint16_t)((size_t)((char *)p - a->base) / SLOT_BYTES);
        blocks--;
    }
    pthread_mutex_unlock(&lock);
    if (!a)
        free(p);
}

void tls_memory_trim(void *p, size_t keep)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t kept = (keep + page - 1) / page * page;
    pthread_mutex_lock(&lock);
    bool is_slot = arena_of(p) != NULL;
    pthread_mutex_unlock(&lock);
    if (is_slot && kept < SLOT_BYTES)
        madvise((char *)p + kept, SLOT_BYTES - kept, MADV_DONTNEED);
}

size_t tls_memory_blocks(void)
{
    pthread_mutex_lock(&lock);
    size_t count = blocks;
    pthread_mutex_unlock(&lock);
    return count;
}
