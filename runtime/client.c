// Settings and life of a client. Its pool is in pool.c, its connections in client_peer.c, its calls in
// client_call.c.
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client_internal.h"

const client_options client_default_options = {
    .timeouts = {.connect_ms = 5000, .first_byte_ms = 600000, .between_bytes_ms = 90000, .total_ms = 3600000},
    .max_idle_per_origin = 128,
    .idle_timeout_ms = 50000, // below the 60 s after which common load balancers close
    .max_response_head_bytes = 65535,
};

static const char *environment(const char *upper, const char *lower)
{
    const char *value = getenv(lower);
    if (!value || !*value)
        value = upper ? getenv(upper) : NULL;
    return value && *value ? value : NULL;
}

// Where a web server runs programs (CGI), HTTP_PROXY comes from a client's header (CVE-2016-5385).
static bool take_proxies(client *c, char *message, size_t size)
{
    const char *text = c->options.proxy;
    bool is_environment = text && strcmp(text, "env") == 0;
    const char *https = is_environment ? environment("HTTPS_PROXY", "https_proxy") : text;
    const char *http =
        is_environment ? environment(getenv("REQUEST_METHOD") ? NULL : "HTTP_PROXY", "http_proxy") : text;
    const char *none = is_environment ? environment("NO_PROXY", "no_proxy") : NULL;
    bool https_ok, http_ok;
    c->https_proxy = proxy_parse(https, &https_ok);
    c->http_proxy = proxy_parse(http, &http_ok);
    c->no_proxy = none ? strdup(none) : NULL;
    c->options.proxy = NULL;
    if (https_ok && http_ok && (!none || c->no_proxy))
        return true;
    // Without the address: it may hold a password.
    snprintf(message, size, "%s is not \"http://[user:password@]host:port\"",
             !is_environment ? "proxy"
             : https_ok      ? "http_proxy"
                             : "HTTPS_PROXY");
    return false;
}

client *client_new(const client_options *options, char *message, size_t message_size)
{
    client *c = calloc(1, sizeof(*c));
    if (!c) {
        snprintf(message, message_size, "out of memory");
        return NULL;
    }
    c->refs = 1;
    c->options = *options;
    c->limits = http1_default_limits;
    if (options->max_response_head_bytes > 0 && options->max_response_head_bytes < 65535)
        c->limits.head_bytes = options->max_response_head_bytes;
    c->trust = trust_hold(options->ca_file);
    c->options.ca_file = NULL;
    if (!c->trust)
        snprintf(message, message_size, "out of memory");
    if (!c->trust || !take_proxies(c, message, message_size)) {
        client_drop(c);
        return NULL;
    }
    return c;
}

client *client_hold(client *c)
{
    c->refs++;
    return c;
}

void client_drop(client *c)
{
    if (!c || --c->refs > 0)
        return;
    for (size_t i = 0; i < ORIGIN_BUCKETS; i++) {
        for (origin *o = c->origins[i], *next; o; o = next) {
            next = o->next;
            origin_free(o);
        }
    }
    trust_drop(c->trust);
    proxy_free(c->https_proxy);
    proxy_free(c->http_proxy);
    free(c->no_proxy);
    free(c);
}

client_stats client_get_stats(const client *c)
{
    return c->stats;
}
