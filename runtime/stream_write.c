// The writing half of a stream. Writes go to the socket at once (uv_try_write). Only what the socket does not take
// is kept, in a queue of segments that exists while it is needed; one uv_write() is under way at a time, and all that
// gathers behind it leaves in the next, so a slow reader costs few system calls and an idle stream no memory.
#include "stream_internal.h"

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

void stream_queue_close(stream *s)
{
    if (s->queue && s->queue->in_flight == 0)
        queue_free(s);
}

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
    char *buffer = stream_shared_buffer();
    if (buffer && uv_fileno(&s->uv.handle, &fd) == 0) {
        shutdown(fd, SHUT_WR);
        for (int i = 0; i < 4 && recv(fd, buffer, STREAM_READ_BUFFER_BYTES, MSG_DONTWAIT) > 0; i++) {
        }
    }
    stream_close(s);
}

// All that was accepted is written.
void stream_finish_flushed(stream *s)
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
        stream_finish_flushed(s);
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
