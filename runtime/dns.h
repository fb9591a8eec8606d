// dns: addresses of a host name, asked on the thread pool (uv_getaddrinfo), with a short cache that also
// joins questions under way. Both families; order as RFC 8305 wants it for happy eyeballs: the system's
// order (RFC 6724), families alternating.
#ifndef MOONGATE_DNS_H
#define MOONGATE_DNS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <uv.h>

enum { DNS_MAX_ADDRESSES = 8, DNS_FRESH_MS = 30000, DNS_STALE_MS = 600000 };

typedef union dns_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} dns_address;

// One question; embedded by whoever asks. Zero-initialised at first.
typedef struct dns_query dns_query;
struct dns_query {
    dns_query *next, **link;                  // of those that wait for the same answer
    dns_address addresses[DNS_MAX_ADDRESSES]; // ports are 0
    int count;
    int rc; // 0, or a libuv error (UV_EAI_*)
    void (*on_done)(dns_query *q);
};

// Asks. Returns true when the answer is there at once (literal, cache, or an error): on_done() is not called then.
// Else on_done() comes from the loop. An answer up to 10 minutes old serves where asking anew fails.
bool dns_ask(dns_query *q, uv_loop_t *loop, const char *host);
void dns_cancel(dns_query *q); // any time; on_done() does not come any more
// Forgets a host whose addresses do not work, so that the next question is asked anew.
void dns_forget(const char *host);
// Frees the cache; questions under way are left alone. For the end of the process.
void dns_clear(void);

#endif
