#include "core/random.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

enum { POOL_SIZE = 4000, SMALL = 256 };

// In a mapping of its own, so that a forked child gets it zeroed (`left` too) instead of the parent's bytes.
typedef struct pool {
    size_t left; // data[0..left) is unused
    uint8_t data[POOL_SIZE];
} pool;

static void read_kernel(uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t got = getrandom(data, size, 0);
        if (got < 0) {
            if (errno == EINTR)
                continue;
            abort(); // no kernel that libuv runs on lacks it; ids and keys that are not random are worse than none
        }
        data += got;
        size -= (size_t)got;
    }
}

static pool *open_pool(void) // NULL: do without
{
    pool *p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (madvise(p, sizeof(*p), MADV_WIPEONFORK) != 0) {
        munmap(p, sizeof(*p));
        return NULL;
    }
    (void)!madvise(p, sizeof(*p), MADV_DONTDUMP);
    return p;
}

void random_bytes(void *data, size_t size)
{
    static pool *p;
    static bool is_tried;
    if (!is_tried) {
        is_tried = true;
        p = open_pool();
    }
    if (!p || size > SMALL) {
        read_kernel(data, size);
        return;
    }
    if (p->left < size) {
        read_kernel(p->data, sizeof(p->data));
        p->left = sizeof(p->data);
    }
    p->left -= size;
    if (size > 0)
        memcpy(data, p->data + p->left, size);
    explicit_bzero(p->data + p->left, size);
}

bool equal_in_constant_time(const void *a, const void *b, size_t size)
{
    const uint8_t *x = a, *y = b;
    uint64_t difference = 0;
    for (; size >= sizeof(uint64_t); size -= sizeof(uint64_t), x += sizeof(uint64_t), y += sizeof(uint64_t)) {
        uint64_t u, v;
        memcpy(&u, x, sizeof(u));
        memcpy(&v, y, sizeof(v));
        difference |= u ^ v;
        __asm__ volatile("" : "+r"(difference)); // the compiler may not look inside, and so not stop early
    }
    for (; size > 0; size--) {
        difference |= (uint64_t)(*x++ ^ *y++);
        __asm__ volatile("" : "+r"(difference));
    }
    return difference == 0;
}
