#include "dns.h"

#include <stdlib.h>
#include <string.h>

#include "rt.h"

enum { MAX_ENTRIES = 256 };

typedef struct entry {
    struct entry *next;
    uv_getaddrinfo_t request;
    dns_query *waiting;
    dns_address addresses[DNS_MAX_ADDRESSES];
    int count; // 0: nothing known
    uint64_t got_at_ms;
    bool is_asking, is_telling, is_forgotten;
    char host[];
} entry;

static entry *entries;
static int entry_count;

static int literal(dns_query *q, const char *host)
{
    if (uv_ip4_addr(host, 0, &q->addresses[0].v4) == 0 || uv_ip6_addr(host, 0, &q->addresses[0].v6) == 0)
        return q->count = 1;
    return 0;
}

static entry *find(const char *host)
{
    for (entry *e = entries; e; e = e->next)
        if (strcmp(e->host, host) == 0)
            return e;
    return NULL;
}

static void remove_entry(entry *gone)
{
    for (entry **link = &entries; *link; link = &(*link)->next) {
        if (*link == gone) {
            *link = gone->next;
            entry_count--;
            free(gone);
            return;
        }
    }
}

// Drops what is too old to be of use; with `all`, everything that is not being asked.
static void sweep(bool all)
{
    for (entry *e = entries, *next; e; e = next) {
        next = e->next;
        if (!e->is_asking && !e->is_telling && (all || rt_now_ms() - e->got_at_ms > DNS_STALE_MS))
            remove_entry(e);
    }
}

static void give(dns_query *q, const entry *e, int rc)
{
    q->rc = rc;
    q->count = rc == 0 ? e->count : 0;
    memcpy(q->addresses, e->addresses, sizeof(q->addresses));
}

void dns_cancel(dns_query *q)
{
    if (!q->link)
        return;
    *q->link = q->next;
    if (q->next)
        q->next->link = q->link;
    q->link = NULL;
    q->next = NULL;
}

// Takes the list's addresses, the families alternating, beginning with the first one's.
static void keep(entry *e, const struct addrinfo *list)
{
    const struct addrinfo *next[2] = {list, list}; // [0]: the first address's family, [1]: the other
    int family = list->ai_family;
    e->count = 0;
    for (int turn = 0; e->count < DNS_MAX_ADDRESSES && (next[0] || next[1]); turn ^= 1) {
        const struct addrinfo **at = &next[turn];
        while (*at && (((*at)->ai_family == family) != (turn == 0) ||
                       ((*at)->ai_family != AF_INET && (*at)->ai_family != AF_INET6)))
            *at = (*at)->ai_next;
        if (!*at)
            continue;
        memcpy(&e->addresses[e->count++], (*at)->ai_addr, (*at)->ai_addrlen);
        *at = (*at)->ai_next;
    }
}

static void on_answer(uv_getaddrinfo_t *request, int rc, struct addrinfo *list)
{
    entry *e = request->data;
    e->is_asking = false;
    if (rc == 0 && list) {
        keep(e, list);
        e->got_at_ms = rt_now_ms();
    }
    uv_freeaddrinfo(list);
    if (rc == 0 && e->count == 0)
        rc = UV_EAI_NODATA;
    if (rc != 0 && e->count > 0 && rt_now_ms() - e->got_at_ms <= DNS_STALE_MS)
        rc = 0; // an old answer beats none
    // A callback may ask again, forget the host, or end others that wait here.
    dns_query *waiting = e->waiting;
    e->waiting = NULL;
    if (waiting)
        waiting->link = &waiting;
    e->is_telling = true;
    while (waiting) {
        dns_query *q = waiting;
        dns_cancel(q);
        give(q, e, rc);
        q->on_done(q);
    }
    e->is_telling = false;
    if (!e->is_asking && (rc != 0 || e->is_forgotten))
        remove_entry(e); // errors are not kept: the next question asks anew
}

bool dns_ask(dns_query *q, uv_loop_t *loop, const char *host)
{
    q->count = 0;
    q->rc = 0;
    if (literal(q, host))
        return true;
    entry *e = find(host);
    if (e && !e->is_asking && e->count > 0 && rt_now_ms() - e->got_at_ms <= DNS_FRESH_MS) {
        give(q, e, 0);
        return true;
    }
    if (!e) {
        if (entry_count >= MAX_ENTRIES)
            sweep(true);
        size_t size = strlen(host) + 1;
        e = calloc(1, sizeof(*e) + size);
        if (!e) {
            q->rc = UV_ENOMEM;
            return true;
        }
        memcpy(e->host, host, size);
        e->request.data = e;
        e->next = entries;
        entries = e;
        entry_count++;
    }
    if (!e->is_asking) {
        struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
        q->rc = uv_getaddrinfo(loop, &e->request, on_answer, host, NULL, &hints);
        if (q->rc != 0) {
            if (e->count == 0 && !e->is_telling)
                remove_entry(e);
            return true;
        }
        e->is_asking = true;
        e->is_forgotten = false;
    }
    q->next = e->waiting;
    q->link = &e->waiting;
    if (q->next)
        q->next->link = &q->next;
    e->waiting = q;
    return false;
}

void dns_forget(const char *host)
{
    entry *e = find(host);
    if (!e)
        return;
    if (e->is_asking || e->is_telling)
        e->is_forgotten = true;
    else
        remove_entry(e);
}

void dns_clear(void)
{
    sweep(true);
}
