// dial: connects to a host by name or address, or to a Unix socket, trying the addresses of both families as
// RFC 8305 says (happy eyeballs): the next one starts 250 ms after the last, or at once when that failed; the first
// connection wins, the others are closed.
#ifndef MOONGATE_DIAL_H
#define MOONGATE_DIAL_H

#include "dns.h"

#define DIAL_STAGGER_MS 250
#define DIAL_UNIX "unix:" // a host that begins so is the path of a Unix socket

typedef struct dial dial;

// Told once, from the loop: fd >= 0 is a connected, non-blocking descriptor, now the receiver's; else fd is -1 and
// rc a libuv error (is_dns: the name could not be resolved). The dial is freed after the callback.
typedef void (*dial_on_done)(void *owner, int fd, int rc, bool is_dns);

// Starts. The time limit is the caller's affair. NULL: no memory.
dial *dial_start(uv_loop_t *loop, const char *host, int port, dial_on_done on_done, void *owner);
void dial_cancel(dial *d); // closes all; on_done does not come

#endif
