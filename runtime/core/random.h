// Random bytes of the kernel, and comparing secrets.
#ifndef MOONGATE_CORE_RANDOM_H
#define MOONGATE_CORE_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Fills data[0..size) with bytes fit for keys. Small requests are served from a pool that is wiped as it is used and
// that a forked child finds empty, so an id of 16 bytes costs no system call. Never fails. One thread.
void random_bytes(void *data, size_t size);

// Are the `size` bytes equal? Takes the same time wherever they differ.
bool equal_in_constant_time(const void *a, const void *b, size_t size);

#endif
