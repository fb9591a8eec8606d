// The listener: accepting, limits, drain, and the life of it all. Accepting stops by not taking the
// connection that libuv holds out: it then no longer polls the listener, so a full process does not spin.
#include "server.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include "server_internal.h"

enum {
    BACKLOG = 1024,
    REFUSED_OPEN = 16,     // connections over a limit that are open at a time, to get their 503
    ACCEPT_AGAIN_MS = 100, // after descriptors ran out
};

const server_limits server_default_limits = {
    .http = {.line_bytes = 16384,
             .head_bytes = 65535,
             .header_count = 100,
             .extension_bytes = 1024,
             .trailer_bytes = 8192,
             .interim_count = 10},
    .header_ms = 10000,
    .body_grace_ms = 10000,
    .body_rate_bytes = 1024,
    .idle_ms = 75000,
    .stall_ms = 60000,
    .linger_ms = 2000,
    .connections = 100000,
    .concurrency = 10000,
    .descriptor_reserve = 32,
    .pipeline_bytes = 65536,
};

static void on_connection(uv_stream_t *listener, int rc);

// ---- accepting

static void read_descriptor_limit(server *s)
{
    struct rlimit limit;
    s->descriptor_limit = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (uint64_t)limit.rlim_cur : 1024;
}

// Descriptors are given out lowest first: the number of a new one tells how many are in use, of whatever kind.
static bool is_short(server *s, int fd, uint64_t parts)
{
    uint64_t reserve = s->limits.descriptor_reserve;
    if (reserve > s->descriptor_limit / 4)
        reserve = s->descriptor_limit / 4;
    if (fd >= 0 && (uint64_t)fd + reserve / parts < s->descriptor_limit)
        return false;
    read_descriptor_limit(s); // it may have been raised since
    return fd < 0 || (uint64_t)fd + reserve / parts >= s->descriptor_limit;
}

static bool is_connection_short(server *s, connection *c)
{
    uv_os_fd_t fd;
    return uv_fileno(&c->stream.uv.handle, &fd) == 0 && is_short(s, fd, 1);
}

// Half of the reserve is for those who get their 503, the rest is not for us.
static bool is_reserve_half_gone(server *s)
{
    uv_os_fd_t fd;
    if (!s->is_short || uv_fileno(&s->listener.handle, &fd) != 0)
        return false;
    fd = fcntl(fd, F_DUPFD_CLOEXEC, 0); // what accept() would give
    if (fd >= 0)
        close(fd);
    return is_short(s, fd, 2);
}

static void on_accept_time(rt_timer *t);

static void accept_one(server *s)
{
    if (s->refused_open >= REFUSED_OPEN || is_reserve_half_gone(s)) {
        s->is_full = true; // the waiting connection stays with libuv until one has gone
        s->stats.is_paused = true;
        rt_timer_start(&s->accept_timer, ACCEPT_AGAIN_MS, on_accept_time);
        return;
    }
    s->is_full = s->stats.is_paused = false;
    connection *c = calloc(1, sizeof(*c));
    if (!c) {
        s->is_full = s->stats.is_paused = true;
        rt_timer_start(&s->accept_timer, ACCEPT_AGAIN_MS, on_accept_time);
        return;
    }
    c->server = s;
    http1_init(&c->parser, false, &s->limits.http);
    if (s->is_pipe)
        stream_init_pipe(&c->stream, rt_loop(NULL), &connection_callbacks, c);
    else
        stream_init_tcp(&c->stream, rt_loop(NULL), &connection_callbacks, c);
    c->link = &s->first;
    c->next = s->first;
    if (c->next)
        c->next->link = &c->next;
    s->first = c;
    s->stats.connections++;
    s->stats.connections_total++;
    int rc = stream_accept(&c->stream, &s->listener.stream);
    if (rc != 0) {
        connection_close(c, false);
        return;
    }
    c->since_ms = rt_now_ms();
    if (s->tls) {
        tls_session *session = tls_session_new(s->tls, NULL, NULL);
        if (!session || stream_start_tls(&c->stream, session) != 0) {
            connection_close(c, false);
            return;
        }
        c->is_shaking = true;
    }
    s->is_short = is_connection_short(s, c);
    if (s->is_short || s->stats.connections > s->limits.connections) {
        c->is_refused = true;
        s->refused_open++;
        connection_refuse(c, 503, "overloaded", s->is_short ? "too many files are open" : "too many connections");
        return;
    }
    connection_arm(c, s->tls ? s->limits.header_ms : s->limits.idle_ms);
}

static void on_accept_time(rt_timer *t)
{
    server *s = (server *)((char *)t - offsetof(server, accept_timer));
    if (s->is_full && s->is_listening)
        accept_one(s);
}

static void on_connection(uv_stream_t *listener, int rc)
{
    server *s = listener->data;
    if (rc != 0) {
        if (s->on->on_accept_error)
            s->on->on_accept_error(s, rc);
        return;
    }
    accept_one(s);
}

// ---- listening

static int bind_pipe(server *s, const server_options *o)
{
    int rc = uv_pipe_init(rt_loop(NULL), &s->listener.pipe, 0);
    s->is_listener_open = rc == 0;
    if (rc != 0 || o->fd >= 0)
        return rc != 0 ? rc : uv_pipe_open(&s->listener.pipe, o->fd);
    struct sockaddr_un address;
    if (strlen(o->path) >= sizeof(address.sun_path))
        return UV_ENAMETOOLONG;
    unlink(o->path); // what a dead process has left
    return uv_pipe_bind(&s->listener.pipe, o->path);
}

// "127.0.0.1:80", "[::1]:80"
static int parse_address(const char *text, struct sockaddr_storage *out)
{
    char host[64];
    const char *colon = strrchr(text, ':');
    if (!colon || colon == text || (size_t)(colon - text) >= sizeof(host))
        return UV_EINVAL;
    char *end;
    long port = strtol(colon + 1, &end, 10);
    if (end == colon + 1 || *end || port < 0 || port > 65535)
        return UV_EINVAL;
    bool is_v6 = text[0] == '[' && colon[-1] == ']';
    snprintf(host, sizeof(host), "%.*s", (int)(colon - text) - (is_v6 ? 2 : 0), text + (is_v6 ? 1 : 0));
    return is_v6 ? uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)out)
                 : uv_ip4_addr(host, (int)port, (struct sockaddr_in *)out);
}

static int bind_tcp(server *s, const server_options *o)
{
    struct sockaddr_storage address;
    int rc = o->fd >= 0 ? 0 : parse_address(o->address, &address);
    if (rc != 0)
        return rc;
    rc = uv_tcp_init(rt_loop(NULL), &s->listener.tcp);
    s->is_listener_open = rc == 0;
    if (rc != 0)
        return rc;
    return o->fd >= 0 ? uv_tcp_open(&s->listener.tcp, o->fd)
                      : uv_tcp_bind(&s->listener.tcp, (const struct sockaddr *)&address, 0);
}

static bool copy_exempt(server *s, const char *const *paths)
{
    size_t count = 0;
    while (paths && paths[count])
        count++;
    s->exempt = calloc(count + 1, sizeof(*s->exempt));
    for (size_t i = 0; s->exempt && i < count; i++)
        if (!(s->exempt[i] = strdup(paths[i])))
            return false;
    return s->exempt != NULL;
}

int server_listen(server **out, const server_options *o, const server_callbacks *on, char *error, size_t size)
{
    *out = NULL;
    server *s = calloc(1, sizeof(*s));
    if (!s)
        return UV_ENOMEM;
    s->on = on;
    s->owner = o->owner;
    s->limits = o->limits;
    s->is_pipe = o->fd >= 0 ? uv_guess_handle(o->fd) == UV_NAMED_PIPE : o->path != NULL;
    read_descriptor_limit(s);
    *error = '\0';
    int rc = copy_exempt(s, o->exempt) ? 0 : UV_ENOMEM;
    if (rc == 0 && o->certificate) {
        s->tls = tls_server_context_new(o->certificate, o->key, error, size);
        rc = s->tls ? 0 : UV_EINVAL;
    }
    if (rc == 0)
        rc = s->is_pipe ? bind_pipe(s, o) : bind_tcp(s, o);
    s->listener.handle.data = s;
    if (rc == 0)
        rc = uv_listen(&s->listener.stream, BACKLOG, on_connection);
    if (rc != 0) {
        if (*error == '\0')
            snprintf(error, size, "listen on %s: %s",
                     o->address ? o->address
                     : o->path  ? o->path
                                : "a descriptor",
                     uv_strerror(rc));
        server_free(s);
        return rc;
    }
    s->is_listening = true;
    *out = s;
    return 0;
}

int server_port(const server *s)
{
    struct sockaddr_storage address;
    int size = sizeof(address);
    if (s->is_pipe || !s->is_listening || uv_tcp_getsockname(&s->listener.tcp, (struct sockaddr *)&address, &size) != 0)
        return 0;
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

void *server_owner(const server *s)
{
    return s->owner;
}

const server_stats *server_get_stats(server *s)
{
    return &s->stats;
}

// ---- the end

static void free_when_over(server *s)
{
    if (!s->is_freed || s->is_listener_open || s->stats.connections > 0 || s->stats.exchanges > 0)
        return;
    for (char **path = s->exempt; path && *path; path++)
        free(*path);
    free(s->exempt);
    tls_context_drop(s->tls);
    free(s);
}

static void on_drain_time(rt_timer *t);

static void on_listener_closed(uv_handle_t *h)
{
    server *s = h->data;
    s->is_listener_open = false;
    free_when_over(s);
}

void server_close(server *s)
{
    rt_timer_stop(&s->accept_timer);
    s->is_listening = false;
    s->is_full = s->stats.is_paused = false;
    if (s->is_listener_open && !uv_is_closing(&s->listener.handle))
        uv_close(&s->listener.handle, on_listener_closed);
    if (!s->first && !s->is_freed && !s->is_drained)
        rt_timer_start(&s->drain_timer, 0, on_drain_time); // tells, from the loop
}

bool server_is_idle(const server *s)
{
    return !s->is_listening && s->stats.connections == 0;
}

static void drained(server *s)
{
    if (s->is_listening || s->is_drained || s->stats.connections > 0 || s->is_freed)
        return;
    s->is_drained = true;
    rt_timer_stop(&s->drain_timer);
    s->on->on_drained(s, s->cut);
}

void server_connection_closed(connection *c)
{
    server *s = c->server;
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    s->stats.connections--;
    if (c->is_refused)
        s->refused_open--;
    free(c);
    if (s->is_freed) {
        free_when_over(s);
        return;
    }
    if (s->is_full && s->is_listening)
        accept_one(s);
    drained(s);
}

static void on_drain_time(rt_timer *t)
{
    server *s = (server *)((char *)t - offsetof(server, drain_timer));
    // Connections leave the list only in on_closed(), later: the list stands still under this loop.
    for (connection *c = s->first; c; c = c->next) {
        s->cut += c->x != NULL;
        connection_lose(c, "draining");
    }
    drained(s);
}

static void close_if_idle(connection *c)
{
    if (c->state == CONNECTION_READING && http1_is_idle(&c->parser) && stream_pending(&c->stream) == 0)
        connection_close(c, false);
}

void server_drain(server *s, uint64_t limit_ms)
{
    server_close(s);
    if (s->is_draining || s->is_drained)
        return;
    s->is_draining = true;
    for (connection *c = s->first; c; c = c->next)
        close_if_idle(c);
    if (s->first)
        rt_timer_start(&s->drain_timer, limit_ms, on_drain_time);
}

void server_free(server *s)
{
    if (!s->is_freed) {
        s->is_freed = true;
        rt_timer_stop(&s->drain_timer);
        server_close(s);
        for (connection *c = s->first; c; c = c->next)
            connection_close(c, false);
    }
    free_when_over(s);
}
