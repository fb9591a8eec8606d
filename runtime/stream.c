// Writes go to the socket at once (uv_try_write). Only what the socket does not take is kept, in a queue of
// segments that exists while it is needed; one uv_write() is under way at a time, and all that gathers
// behind it leaves in the next, so a slow reader costs few system calls and an idle stream no memory.
// Half-close and reset are done on the descriptor: libuv's requests for them would cost memory per stream.
#include "stream_internal.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define COPY_BLOCK_BYTES ((size_t)16 * 1024)
#define MAX_PARTS_PER_CALL 1024 // IOV_MAX

typedef struct stream_queue {
    uv_write_t request;
    segment *parts; // [0, in_flight): given to libuv; the rest waits. Each part has an owner.
    size_t count, capacity, in_flight;
    size_t waiting_bytes; // of the parts behind in_flight
    bytes *copies;        // block that takes the copies of ownerless parts; the parts hold references too
} stream_queue;

static void queue_flush(stream *s);
static void finish_flushed(stream *s);

// One loop in the process, so one buffer: no read is under way while another one's callback runs.
static char *shared_buffer(void)
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

static void queue_free(stream *s)
{
    stream_queue *q = s->queue;
    s->queue = NULL;
    for (size_t i = 0; i < q->count; i++)
        bytes_drop(q->parts[i].owner);
    bytes_drop(q->copies);
    free(q->parts);
    free(q);
}

void stream_close(stream *s)
{
    if (s->is_closing)
        return;
    s->is_closing = true;
    if (s->queue && s->queue->in_flight == 0)
        queue_free(s);
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
        base = shared_buffer();
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

// --- writing

static size_t queue_pending(const stream *s)
{
    return s->queue ? s->queue->waiting_bytes + uv_stream_get_write_queue_size(&s->uv.stream) : 0;
}

static bool queue_append(stream_queue *q, const char *data, size_t size, bytes *owner)
{
    if (q->count == q->capacity) {
        size_t capacity = q->capacity ? q->capacity * 2 : 8;
        segment *parts = realloc(q->parts, capacity * sizeof(*parts));
        if (!parts)
            return false;
        q->parts = parts;
        q->capacity = capacity;
    }
    q->parts[q->count++] = (segment){data, size, bytes_hold(owner)};
    q->waiting_bytes += size;
    return true;
}

static bool queue_copy(stream_queue *q, const char *data, size_t size)
{
    if (!q->copies || q->copies->capacity - q->copies->size < size) {
        bytes *block = bytes_new(size > COPY_BLOCK_BYTES ? size : COPY_BLOCK_BYTES);
        if (!block)
            return false;
        bytes_drop(q->copies);
        q->copies = block;
    }
    char *copy = q->copies->data + q->copies->size;
    segment *last = q->count > q->in_flight ? &q->parts[q->count - 1] : NULL;
    memcpy(copy, data, size); // within capacity: the block never moves under a write
    if (last && last->data + last->size == copy) {
        last->size += size;
        q->waiting_bytes += size;
    } else if (!queue_append(q, copy, size, q->copies)) {
        return false;
    }
    q->copies->size += size;
    return true;
}

// Keeps parts[0..count) behind what already waits, without the first `skip` bytes.
static int queue_keep(stream *s, const segment *parts, size_t count, size_t skip)
{
    if (!s->queue && !(s->queue = calloc(1, sizeof(*s->queue))))
        return UV_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        const char *data = parts[i].data + skip;
        size_t size = parts[i].size - skip;
        skip = 0;
        if (size == 0)
            continue;
        bool is_kept =
            parts[i].owner ? queue_append(s->queue, data, size, parts[i].owner) : queue_copy(s->queue, data, size);
        if (!is_kept)
            return UV_ENOMEM;
    }
    return 0;
}

// Closing a socket while bytes of the peer wait unread sends RST, which can destroy what was just written
// before the peer reads it. So these bytes (TLS tickets, mostly) are taken off first.
static void close_gently(stream *s)
{
    uv_os_fd_t fd;
    char *buffer = shared_buffer();
    if (buffer && uv_fileno(&s->uv.handle, &fd) == 0) {
        shutdown(fd, SHUT_WR);
        for (int i = 0; i < 4 && recv(fd, buffer, STREAM_READ_BUFFER_BYTES, MSG_DONTWAIT) > 0; i++) {
        }
    }
    stream_close(s);
}

// All that was accepted is written.
static void finish_flushed(stream *s)
{
    uv_os_fd_t fd;
    if (s->tls && (s->is_close_wanted || s->is_shutting) && !s->error && !stream_tls_end(s))
        return; // comes back once the closing message is written
    if (s->is_close_wanted)
        close_gently(s);
    else if (s->is_shutting && uv_fileno(&s->uv.handle, &fd) == 0)
        shutdown(fd, SHUT_WR); // fails only where the peer is gone, which reading tells
}

static void on_uv_write(uv_write_t *request, int rc)
{
    stream *s = request->data;
    stream_queue *q = s->queue;
    for (size_t i = 0; i < q->in_flight; i++)
        bytes_drop(q->parts[i].owner);
    q->count -= q->in_flight;
    memmove(q->parts, q->parts + q->in_flight, q->count * sizeof(*q->parts));
    q->in_flight = 0;
    if (rc != 0 || s->is_closing) {
        queue_free(s);
        s->error = rc;
        // What the peer said before it went (an early refusal) may still be there to read; then its end is read.
        if (!s->is_reading || !stream_wants_data(s) || s->is_close_wanted || (rc != UV_EPIPE && rc != UV_ECONNRESET))
            stream_break(s, rc);
        return;
    }
    if (q->count > 0)
        queue_flush(s); // leaves an error in s->error
    else
        queue_free(s);
    if (!s->queue && s->tls && !s->error)
        stream_tls_flushed(s); // may queue more
    if (s->error) {
        stream_break(s, s->error);
        return;
    }
    if (!s->queue)
        finish_flushed(s);
    if (s->is_full && !s->is_closing && stream_pending(s) <= STREAM_LOW_WATER_BYTES) {
        s->is_full = false;
        if (s->on->on_drain)
            s->on->on_drain(s);
    }
}

// Hands all that waits to libuv, which tries to write at once and then when the socket can take more.
static void queue_flush(stream *s)
{
    stream_queue *q = s->queue;
    uv_buf_t bufs[MAX_PARTS_PER_CALL];
    size_t count = q->count < MAX_PARTS_PER_CALL ? q->count : MAX_PARTS_PER_CALL;
    for (size_t i = 0; i < count; i++) {
        bufs[i].base = (char *)q->parts[i].data;
        bufs[i].len = q->parts[i].size;
        q->waiting_bytes -= q->parts[i].size;
    }
    q->in_flight = count;
    q->request.data = s;
    int rc = uv_write(&q->request, &s->uv.stream, bufs, (unsigned int)count, on_uv_write);
    if (rc != 0) {
        q->in_flight = 0;
        s->error = rc;
        queue_free(s);
    }
}

int stream_write(stream *s, const segment *parts, size_t count)
{
    if (s->error)
        return s->error;
    if (s->is_closing || s->is_shutting || s->is_close_wanted)
        return UV_EPIPE;
    int rc = s->tls ? stream_tls_write(s, parts, count) : stream_write_wire(s, parts, count);
    if (stream_pending(s) > STREAM_HIGH_WATER_BYTES)
        s->is_full = true;
    return rc;
}

int stream_queue_wire(stream *s, bytes *b)
{
    bool is_first = !s->queue;
    if ((!s->queue && !(s->queue = calloc(1, sizeof(*s->queue)))) || !queue_append(s->queue, b->data, b->size, b))
        s->error = UV_ENOMEM;
    s->bytes_out += b->size;
    bytes_drop(b);
    if (is_first && s->queue && !s->error)
        queue_flush(s);
    return s->error;
}

int stream_write_wire(stream *s, const segment *parts, size_t count)
{
    uv_buf_t bufs[MAX_PARTS_PER_CALL];
    size_t next = 0, skip = 0; // first part not wholly written, and how much of it was
    while (!s->queue && next < count) {
        unsigned int filled = 0;
        size_t wanted = 0, end = next;
        for (; end < count && filled < MAX_PARTS_PER_CALL; end++) {
            if (parts[end].size == 0)
                continue;
            bufs[filled].base = (char *)parts[end].data;
            bufs[filled++].len = parts[end].size;
            wanted += parts[end].size;
        }
        if (filled == 0)
            return 0;
        int written = uv_try_write(&s->uv.stream, bufs, filled);
        if (written < 0 && written != UV_EAGAIN) {
            s->error = written;
            return written;
        }
        size_t taken = written > 0 ? (size_t)written : 0;
        s->bytes_out += wanted;
        if (taken == wanted) {
            next = end;
            continue;
        }
        s->bytes_out -= wanted;
        s->bytes_out += taken;
        for (skip = taken; skip >= parts[next].size; next++)
            skip -= parts[next].size;
        break;
    }
    if (next == count)
        return 0;
    bool is_first = !s->queue;
    size_t before = queue_pending(s);
    int rc = queue_keep(s, parts + next, count - next, skip);
    if (rc != 0) { // part of the message is lost: the stream cannot be used any more
        s->error = rc;
        return rc;
    }
    s->bytes_out += queue_pending(s) - before;
    if (is_first && s->queue->in_flight == 0)
        queue_flush(s);
    return s->error;
}

size_t stream_pending(const stream *s)
{
    return queue_pending(s) + (s->tls ? stream_tls_pending(s) : 0);
}

bool stream_is_full(stream *s)
{
    return s->is_full;
}

// --- ending

void stream_shutdown(stream *s)
{
    if (s->is_shutting || s->is_closing)
        return;
    s->is_shutting = true;
    if (!s->queue && !stream_tls_is_waiting(s))
        finish_flushed(s);
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
        finish_flushed(s);
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
