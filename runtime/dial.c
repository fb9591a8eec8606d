// The sockets are plain descriptors watched by uv_poll_t, so that the winner can be handed to any handle.
#include "dial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "rt.h"

typedef struct attempt {
    uv_poll_t poll;
    dial *d; // NULL: given up
    struct attempt *next;
    int fd;
} attempt;

struct dial {
    uv_loop_t *loop;
    dial_on_done on_done;
    void *owner;
    dns_query query;
    attempt *attempts; // under way
    rt_timer stagger;
    rt_soon soon; // for outcomes that are known inside dial_start()
    int port, next_address;
    int rc; // of the last failure
    bool is_dns;
    char host[];
};

static void try_next(dial *d);

static void on_attempt_closed(uv_handle_t *h)
{
    free(h->data);
}

static void give_up(attempt *a)
{
    uv_poll_stop(&a->poll);
    if (a->fd >= 0)
        close(a->fd);
    uv_close((uv_handle_t *)&a->poll, on_attempt_closed);
}

void dial_cancel(dial *d)
{
    dns_cancel(&d->query);
    rt_timer_stop(&d->stagger);
    rt_soon_remove(&d->soon);
    for (attempt *a = d->attempts, *next; a; a = next) {
        next = a->next;
        give_up(a);
    }
    free(d);
}

static void finish(dial *d, int fd, int rc)
{
    dial_on_done on_done = d->on_done;
    void *owner = d->owner;
    bool is_dns = d->is_dns;
    if (fd < 0 && !is_dns)
        dns_forget(d->host);
    dial_cancel(d);
    on_done(owner, fd, rc, is_dns);
}

static void on_connected(dial *d, attempt *a)
{
    int fd = a->fd;
    a->fd = -1;
    uv_poll_stop(&a->poll);
    finish(d, fd, 0);
}

static void on_poll(uv_poll_t *poll, int rc, int events)
{
    attempt *a = poll->data;
    dial *d = a->d;
    (void)events;
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (error == 0 && rc == 0) {
        on_connected(d, a);
        return;
    }
    d->rc = error != 0 ? uv_translate_sys_error(error) : rc; // libuv says EBADF for any failed connect
    for (attempt **link = &d->attempts; *link; link = &(*link)->next) {
        if (*link == a) {
            *link = a->next;
            break;
        }
    }
    give_up(a);
    try_next(d); // last use of d
}

static void on_stagger(rt_timer *timer)
{
    try_next((dial *)(void *)((char *)timer - offsetof(dial, stagger)));
}

// Starts one connection. True: it is under way.
static bool start(dial *d, const struct sockaddr *address, socklen_t size)
{
    attempt *a = calloc(1, sizeof(*a));
    int fd = a ? socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) : -1;
    int error = 0;
    if (fd < 0)
        error = a ? errno : ENOMEM;
    else if (connect(fd, address, size) != 0 && errno != EINPROGRESS)
        error = errno;
    int rc = error != 0 ? uv_translate_sys_error(error) : uv_poll_init_socket(d->loop, &a->poll, fd);
    if (rc != 0) {
        d->rc = rc;
        if (fd >= 0)
            close(fd);
        free(a);
        return false;
    }
    a->poll.data = a;
    a->fd = fd;
    a->d = d;
    a->next = d->attempts;
    d->attempts = a;
    uv_poll_start(&a->poll, UV_WRITABLE, on_poll);
    return true;
}

// Goes on with the next address; with none left and nothing under way the dial has failed.
static void try_next(dial *d)
{
    while (d->next_address < d->query.count) {
        dns_address *address = &d->query.addresses[d->next_address++];
        bool is_v6 = address->any.sa_family == AF_INET6;
        if (is_v6)
            address->v6.sin6_port = htons((uint16_t)d->port);
        else
            address->v4.sin_port = htons((uint16_t)d->port);
        if (start(d, &address->any, is_v6 ? sizeof(address->v6) : sizeof(address->v4))) {
            if (d->next_address < d->query.count)
                rt_timer_start(&d->stagger, DIAL_STAGGER_MS, on_stagger);
            return;
        }
    }
    if (!d->attempts)
        finish(d, -1, d->rc);
}

static void begin(dial *d)
{
    if (d->query.rc != 0) {
        d->is_dns = true;
        finish(d, -1, d->query.rc);
        return;
    }
    try_next(d);
}

static void on_resolved(dns_query *q)
{
    begin((dial *)(void *)((char *)q - offsetof(dial, query)));
}

static void on_turn_end(rt_soon *soon)
{
    dial *d = (dial *)(void *)((char *)soon - offsetof(dial, soon));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t prefix = sizeof(DIAL_UNIX) - 1;
    if (strncmp(d->host, DIAL_UNIX, prefix) != 0) {
        begin(d);
        return;
    }
    size_t size = strlen(d->host + prefix);
    if (size == 0 || size >= sizeof(address.sun_path)) {
        finish(d, -1, UV_ENAMETOOLONG);
        return;
    }
    memcpy(address.sun_path, d->host + prefix, size);
    if (!start(d, (struct sockaddr *)&address, sizeof(address)))
        finish(d, -1, d->rc);
}

dial *dial_start(uv_loop_t *loop, const char *host, int port, dial_on_done on_done, void *owner)
{
    size_t size = strlen(host) + 1;
    dial *d = calloc(1, sizeof(*d) + size);
    if (!d)
        return NULL;
    d->loop = loop;
    d->on_done = on_done;
    d->owner = owner;
    d->port = port;
    d->rc = UV_EADDRNOTAVAIL;
    d->query.on_done = on_resolved;
    memcpy(d->host, host, size);
    if (strncmp(host, DIAL_UNIX, sizeof(DIAL_UNIX) - 1) == 0 || dns_ask(&d->query, loop, host))
        rt_soon_queue(&d->soon, on_turn_end); // no callback from inside this function
    return d;
}
