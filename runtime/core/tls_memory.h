// tls_memory: the allocator under Mbed TLS. The static libraries are linked with their calloc and free
// redirected here (runtime/build/deps.sh), so that the two 16 KiB record buffers of a connection lie on
// pages of their own: only the pages that were touched count, and a connection that carries small records
// touches one page of each. Everything else goes to libc. Any thread.
#ifndef MOONGATE_CORE_TLS_MEMORY_H
#define MOONGATE_CORE_TLS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

// As calloc() and free(). tls_free() also takes what libc's own allocator gave.
void *tls_calloc(size_t count, size_t size);
void tls_free(void *p);

// Gives the pages of a block behind the first `keep` bytes back to the system; they read as zeros from
// then on. For blocks that have pages of their own; no-op for others.
void tls_memory_trim(void *p, size_t keep);

// Blocks with pages of their own that are in use now (for tests and leak checks).
size_t tls_memory_blocks(void);

#endif
