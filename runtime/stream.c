// Making, reading and ending a stream; stream_write.c writes, stream_tls.c puts TLS on it.
// Half-close and reset are done on the descriptor: libuv's requests for them would cost memory per stream.
#include "stream_internal.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

// One loop in the process, so one buffer: no read is under way while another one's callback runs.
char *stream_shared_buffer(void)
{
    static char *buffer;
    if (!buffer)
        buffer = malloc(STREAM_READ_BUFFER_BYTES); // pages count only once touched
    return buffer;
}

static void on_uv_closed(uv_handle_t *h)
{
    stream *s = h->data;
    assert(!s->queue); // libuv has ended the write request before
    if (!s->tls || stream_tls_close(s))
        stream_wire_closed(s);
}

void stream_wire_closed(stream *s)
{
    s->on->on_closed(s);
}

void stream_close(stream *s)
{
    if (s->is_closing)
        return;
    s->is_closing = true;
    stream_queue_close(s);
    uv_close(&s->uv.handle, on_uv_closed);
}

void stream_reset(stream *s)
{
    uv_os_fd_t fd;
    if (!s->is_closing && uv_fileno(&s->uv.handle, &fd) == 0) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
    stream_close(s);
}

void stream_break(stream *s, int rc)
{
    if (s->is_broken || s->is_closing)
        return;
    s->is_broken = true;
    s->error = rc;
    if (s->is_close_wanted)
        stream_close(s);
    else
        s->on->on_error(s, rc);
}

// --- reading

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    stream *s = h->data;
    size_t capacity = 0;
    *buf = uv_buf_init(NULL, 0);
    if (!stream_wants_data(s))
        return; // on_read() gets UV_ENOBUFS and stops the reading: the pause has become worth a system call
    char *base = s->on->lend && !s->tls ? s->on->lend(s, &capacity) : NULL;
    if (!base) {
        base = stream_shared_buffer();
        capacity = base ? STREAM_READ_BUFFER_BYTES : 0;
    }
    buf->base = base; // not uv_buf_init: it narrows the size
    buf->len = capacity;
}

static void on_read(uv_stream_t *h, ssize_t size, const uv_buf_t *buf)
{
    stream *s = h->data;
    if (size > 0) {
        s->bytes_in += (uint64_t)size;
        if (s->tls)
            stream_tls_read(s, buf->base, (size_t)size);
        else
            s->on->on_data(s, buf->base, (size_t)size);
        return;
    }
    if (size == 0) // nothing to read after all
        return;
    if (size == UV_ENOBUFS && !stream_wants_data(s)) {
        uv_read_stop(h);
        s->is_reading = false;
        return;
    }
    uv_read_stop(h);
    s->is_reading = false;
    if (size != UV_EOF) {
        stream_break(s, (int)size);
        return;
    }
    if (s->is_broken || s->is_ended)
        return;
    if (s->tls) {
        stream_tls_read_end(s);
        return;
    }
    s->is_ended = true;
    s->on->on_end(s);
}

bool stream_wants_data(const stream *s)
{
    return !s->is_paused && !(s->tls && stream_tls_is_behind(s));
}

int stream_read_start(stream *s)
{
    if (s->is_reading || !stream_wants_data(s) || s->is_ended || s->is_closing || s->is_broken)
        return 0;
    int rc = uv_read_start(&s->uv.stream, on_alloc, on_read);
    s->is_reading = rc == 0;
    return rc;
}

void stream_pause(stream *s)
{
    s->is_paused = true;
}

void stream_resume(stream *s)
{
    if (s->is_close_wanted)
        return;
    s->is_paused = false;
    if (s->tls)
        stream_tls_resume(s); // what was decrypted or received already comes first
    else
        stream_read_start(s);
}

// --- making

static void init(stream *s, const stream_callbacks *on, void *owner)
{
    memset(s, 0, sizeof(*s));
    s->on = on;
    s->owner = owner;
}

void stream_init_tcp(stream *s, uv_loop_t *loop, const stream_callbacks *on, void *owner)
{
    init(s, on, owner);
    uv_tcp_init(loop, &s->uv.tcp);
    s->uv.handle.data = s;
}

void stream_init_pipe(stream *s, uv_loop_t *loop, const stream_callbacks *on, void *owner)
{
    init(s, on, owner);
    uv_pipe_init(loop, &s->uv.pipe, 0);
    s->uv.handle.data = s;
}

static int begin(stream *s)
{
    if (s->uv.handle.type == UV_TCP)
        uv_tcp_nodelay(&s->uv.tcp, 1);
    return stream_read_start(s);
}

int stream_accept(stream *s, uv_stream_t *listener)
{
    int rc = uv_accept(listener, &s->uv.stream);
    return rc == 0 ? begin(s) : rc;
}

int stream_open(stream *s, int fd)
{
    int rc = s->uv.handle.type == UV_TCP ? uv_tcp_open(&s->uv.tcp, fd) : uv_pipe_open(&s->uv.pipe, fd);
    return rc == 0 ? begin(s) : rc;
}

// --- ending

void stream_shutdown(stream *s)
{
    if (s->is_shutting || s->is_closing)
        return;
    s->is_shutting = true;
    if (!s->queue && !stream_tls_is_waiting(s))
        stream_finish_flushed(s);
}

void stream_close_flushed(stream *s)
{
    if (s->is_closing)
        return;
    s->is_close_wanted = true;
    stream_pause(s);
    if (s->error || stream_tls_is_busy(s))
        stream_close(s);
    else if (!s->queue && !stream_tls_is_waiting(s))
        stream_finish_flushed(s);
}

// --- texts

const char *stream_peer(const stream *s, char *text, size_t size)
{
    struct sockaddr_storage address;
    int length = sizeof(address);
    char ip[INET6_ADDRSTRLEN] = "";
    text[0] = '\0';
    if (s->uv.handle.type != UV_TCP) {
        snprintf(text, size, "unix");
        return text;
    }
    if (uv_tcp_getpeername(&s->uv.tcp, (struct sockaddr *)&address, &length) != 0)
        return text;
    if (address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)&address;
        uv_ip6_name(a, ip, sizeof(ip));
        snprintf(text, size, "[%s]:%u", ip, ntohs(a->sin6_port));
    } else {
        const struct sockaddr_in *a = (const struct sockaddr_in *)&address;
        uv_ip4_name(a, ip, sizeof(ip));
        snprintf(text, size, "%s:%u", ip, ntohs(a->sin_port));
    }
    return text;
}

const char *stream_error_text(int rc)
{
    return rc <= TLS_EXPIRED ? tls_error_text(rc) : uv_strerror(rc);
}
