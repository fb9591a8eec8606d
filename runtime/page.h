// page: memory that a worker shares with the supervisor, so that the supervisor can tell what a worker does
// that no longer answers. One writer (the worker), no lock: every field that changes is one aligned store.
// Ownership: the file descriptor of a page is passed to the worker at its start; each side maps and unmaps
// for itself, and the memory goes with the last of them.
#ifndef MOONGATE_PAGE_H
#define MOONGATE_PAGE_H

#include <stdint.h>
#include <uv.h>

enum { PAGE_LABELS = 240, PAGE_LABEL_BYTES = 64, PAGE_MAGIC = 0x4d475031 };

// In this order in shared_page.counters. gate reaches them by FFI, see PAGE_CDEF.
#define PAGE_COUNTERS(X)                                                                                               \
    X(requests_total)                                                                                                  \
    X(requests_in_flight)                                                                                              \
    X(generation)                                                                                                      \
    X(connections)                                                                                                     \
    X(log_dropped)                                                                                                     \
    X(plugin_errors)                                                                                                   \
    X(spare_6)                                                                                                         \
    X(spare_7)

#define PAGE_COUNTER_FIELD(name) uint64_t name;

typedef struct shared_page {
    uint32_t magic;
    uint32_t crumb;        // index into labels of what runs now; 0: the kernel itself
    uint64_t heartbeat_ms; // CLOCK_MONOTONIC
    PAGE_COUNTERS(PAGE_COUNTER_FIELD)
    uint32_t label_count;
    uint32_t unused;
    char labels[PAGE_LABELS][PAGE_LABEL_BYTES]; // "plugin on_request"; [0] stays empty
} shared_page;

// Makes the memory; fd gets a descriptor that closes on exec. NULL: a libuv error in *rc.
shared_page *page_create(int *fd, int *rc);
// Maps the page behind fd. NULL: a libuv error in *rc (UV_EINVAL: it is not a page).
shared_page *page_map(int fd, int *rc);
void page_unmap(shared_page *p);
// Index of a label, which is added when it is new. 0: no room is left.
uint32_t page_label(shared_page *p, const char *text);
// Copies what runs now into text; "" when it is the kernel. Safe against a writer that has gone mad.
void page_crumb(const shared_page *p, char *text, size_t size);
// Beats every interval_ms while the loop of this process turns. The timer does not keep the loop alive.
void page_beat(shared_page *p, uv_timer_t *timer, uint64_t interval_ms);
uint64_t page_now_ms(void);

#endif
