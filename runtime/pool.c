// pool: the origins of a client and their idle connections. The last one used is taken first, so that a quiet
// time leaves few connections; an idle one is read from all the time, so its end is noticed when it happens.
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client_internal.h"

enum { MAX_ORIGINS = 256 };

static uint32_t hash_of(const char *text, size_t size)
{
    uint32_t hash = 2166136261u; // FNV-1a; origins come from the configuration, not from clients
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (uint8_t)text[i]) * 16777619u;
    return hash;
}

// Takes "https://host[:port][/]" apart. False: it is something else.
static bool parse(origin *o)
{
    const char *at = o->name, *end = o->name + o->name_size;
    if (strncasecmp(at, "https://", 8) == 0) {
        o->is_tls = true;
        o->port = 443;
        at += 8;
    } else if (strncasecmp(at, "http://", 7) == 0) {
        o->port = 80;
        at += 7;
    } else {
        return false;
    }
    if (end > at && end[-1] == '/')
        end--;
    size_t size = (size_t)(end - at);
    if (!http1_is_host(at, size)) // also refuses user information, paths and lists
        return false;
    bool is_v6 = at[0] == '[';
    const char *colon = memrchr(at, ':', size);
    const char *host_end = is_v6 ? memchr(at, ']', size) : colon ? colon : end;
    if (colon && colon > host_end - (is_v6 ? 0 : 1)) {
        o->port = (int)strtol(colon + 1, NULL, 10);
        if (o->port == (o->is_tls ? 443 : 80))
            size = (size_t)(colon - at); // the default port is not named in host
    }
    o->host_header = strndup(at, size);
    at += is_v6 ? 1 : 0;
    o->host = strndup(at, (size_t)(host_end - at));
    return o->host && o->host_header && o->host[0] && o->port > 0 && o->port < 65536;
}

static void sweep(client *c)
{
    for (size_t i = 0; i < ORIGIN_BUCKETS; i++) {
        for (origin **link = &c->origins[i]; *link;) {
            origin *o = *link;
            if (o->open_count > 0) {
                link = &o->next;
                continue;
            }
            *link = o->next;
            c->origin_count--;
            origin_free(o);
        }
    }
}

origin *origin_get(client *c, const char *name, size_t size, client_error *error)
{
    uint32_t hash = hash_of(name, size);
    origin **bucket = &c->origins[hash % ORIGIN_BUCKETS];
    for (origin *o = *bucket; o; o = o->next)
        if (o->hash == hash && o->name_size == size && memcmp(o->name, name, size) == 0)
            return o;
    if (c->origin_count >= MAX_ORIGINS)
        sweep(c);
    origin *o = calloc(1, sizeof(*o) + size + 1);
    if (!o) {
        client_error_set(error, "no_memory", "out of memory");
        return NULL;
    }
    o->client = c;
    o->hash = hash;
    o->name_size = size;
    memcpy(o->name, name, size);
    if (memchr(name, '\0', size) || !parse(o)) {
        client_error_set(error, "bad_request", "origin is not \"http[s]://host[:port]\": %s", o->name);
        origin_free(o);
        return NULL;
    }
    const proxy *p = o->is_tls ? c->https_proxy : c->http_proxy;
    o->is_proxied = p && !proxy_is_excluded(c->no_proxy, o->host, o->port);
    o->next = *bucket;
    *bucket = o;
    c->origin_count++;
    return o;
}

const proxy *origin_proxy(const origin *o)
{
    if (!o->is_proxied)
        return NULL;
    return o->is_tls ? o->client->https_proxy : o->client->http_proxy;
}

void origin_free(origin *o)
{
    pool_close_all(o);
    tls_ticket_free(o->ticket);
    free(o->host);
    free(o->host_header);
    free(o);
}

static void on_idle_over(rt_timer *timer)
{
    peer_close((peer *)(void *)((char *)timer - offsetof(peer, idle_timer)));
}

void pool_put(peer *k)
{
    origin *o = k->origin;
    client *c = o->client;
    if (c->options.max_idle_per_origin == 0) {
        peer_close(k);
        return;
    }
    k->state = IDLE;
    k->previous = NULL;
    k->next = o->idle;
    if (k->next)
        k->next->previous = k;
    o->idle = k;
    o->idle_count++;
    c->stats.idle++;
    rt_timer_start(&k->idle_timer, c->options.idle_timeout_ms, on_idle_over);
    stream_resume(&k->s);
    if (o->idle_count > c->options.max_idle_per_origin) {
        peer *oldest = k;
        while (oldest->next)
            oldest = oldest->next;
        peer_close(oldest);
    }
}

void pool_remove(peer *k)
{
    origin *o = k->origin;
    if (k->previous)
        k->previous->next = k->next;
    else
        o->idle = k->next;
    if (k->next)
        k->next->previous = k->previous;
    k->next = k->previous = NULL;
    o->idle_count--;
    o->client->stats.idle--;
    rt_timer_stop(&k->idle_timer);
}

peer *pool_take(origin *o)
{
    peer *k = o->idle;
    if (k)
        pool_remove(k);
    return k;
}

void pool_close_all(origin *o)
{
    while (o->idle)
        peer_close(o->idle);
}
