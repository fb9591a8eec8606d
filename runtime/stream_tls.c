// TLS on a stream. Reading: bytes of the wire lie in the shared read buffer and are decrypted into a second
// shared buffer, or into the owner's lent one; only what a paused owner leaves over is kept. Writing: a batch
// of plaintext is encrypted into a shared buffer that goes to the socket at once; plaintext behind that waits
// as references and is encrypted batch by batch as the socket takes it, one batch a turn of the loop, so a
// large body neither stands in memory twice nor holds up other streams (4 MB of AES-GCM take 13 ms).
// While the thread pool has the session (is_busy) nothing here touches it, and the wire is not read.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "rt.h"
#include "stream_internal.h"

#define BATCH_BYTES ((size_t)128 * 1024)       // plaintext encrypted at once
#define PLAIN_BUFFER_BYTES ((size_t)64 * 1024) // of the shared buffer that is decrypted into
#define RECORD_BYTES ((size_t)16 * 1024)
#define SMALL_READ_BYTES 4096 // after a read up to this the record buffers are trimmed

typedef struct stream_tls {
    tls_session *session;
    char *held; // bytes of the wire that are not decrypted yet, [held_at, held_size)
    size_t held_at, held_size;
    segment *plain; // plaintext that waits, each part with an owner
    size_t plain_count, plain_at, plain_bytes;
    rt_soon soon;
    stream *stream;
    bool is_busy, is_ready, is_handle_closed;
    bool has_more; // the session holds decrypted bytes that nobody took yet
} stream_tls;

typedef struct handshake_job {
    uv_work_t request;
    stream *s;
    tls_session *session;
    char *data;
    tls_input in;
    tls_output out;
    int result;
} handshake_job;

// Empty between uses: each user sends or copies what it appended before it returns.
static tls_output shared_wire;
static char *shared_plain;
static char staging[RECORD_BYTES];

static void deliver(stream *s, tls_input *in);

bool stream_tls_is_busy(const stream *s)
{
    return s->tls && s->tls->is_busy;
}

bool stream_tls_is_behind(const stream *s)
{
    return s->tls->is_busy || s->tls->held || s->tls->has_more;
}

bool stream_tls_is_waiting(const stream *s)
{
    return s->tls && s->tls->plain_bytes > 0;
}

tls_session *stream_tls_session(const stream *s)
{
    return s->tls ? s->tls->session : NULL;
}

size_t stream_tls_pending(const stream *s)
{
    return s->tls->plain_bytes;
}

void stream_trim(stream *s)
{
    if (s->tls && !s->tls->is_busy)
        tls_session_trim(s->tls->session);
}

static int send_wire(stream *s)
{
    if (shared_wire.size == 0)
        return 0;
    segment part = {shared_wire.data, shared_wire.size, NULL};
    int rc = stream_write_wire(s, &part, 1);
    shared_wire.size = 0;
    return rc;
}

// --- handshake

static int start_job(stream *s, const char *data, size_t size);

static void on_job(uv_work_t *request)
{
    handshake_job *job = request->data;
    job->result = tls_handshake(job->session, &job->in, &job->out);
}

static bool hold(stream_tls *t, const char *data, size_t size)
{
    char *copy = malloc(size > 0 ? size : 1);
    if (!copy)
        return false;
    memcpy(copy, data, size);
    free(t->held);
    t->held = copy;
    t->held_at = 0;
    t->held_size = size;
    return true;
}

static void finish_job(stream *s, handshake_job *job)
{
    stream_tls *t = s->tls;
    segment answer = {job->out.data, job->out.size, NULL};
    int rc = job->out.size > 0 ? stream_write_wire(s, &answer, 1) : 0;
    if (job->result < 0)
        rc = job->result; // the alert is on its way, or lost with the connection
    else if (rc == 0 && job->in.size > 0 && !hold(t, job->in.data, job->in.size))
        rc = UV_ENOMEM;
    if (rc != 0) {
        stream_break(s, rc);
        return;
    }
    if (job->result == TLS_MORE) {
        stream_read_start(s);
        return;
    }
    t->is_ready = true;
    if (t->held)
        rt_soon_queue(&t->soon, t->soon.on_turn_end);
    else
        stream_read_start(s);
    if (s->on->on_ready)
        s->on->on_ready(s);
}

static void after_job(uv_work_t *request, int status)
{
    handshake_job *job = request->data;
    stream *s = job->s;
    (void)status; // never cancelled
    s->tls->is_busy = false;
    if (s->tls->is_handle_closed) {
        stream_tls_close(s);
        stream_wire_closed(s);
    } else if (!s->is_closing && !s->is_broken) {
        finish_job(s, job);
    }
    free(job->data);
    tls_output_free(&job->out);
    free(job);
}

static int start_job(stream *s, const char *data, size_t size)
{
    handshake_job *job = calloc(1, sizeof(*job));
    if (!job)
        return UV_ENOMEM;
    job->request.data = job;
    job->s = s;
    job->session = s->tls->session;
    if (size > 0 && !(job->data = malloc(size))) {
        free(job);
        return UV_ENOMEM;
    }
    if (size > 0)
        memcpy(job->data, data, size);
    job->in = (tls_input){job->data, size};
    int rc = uv_queue_work(s->uv.handle.loop, &job->request, on_job, after_job);
    if (rc != 0) {
        free(job->data);
        free(job);
        return rc;
    }
    s->tls->is_busy = true;
    return 0;
}

static void on_turn_end(rt_soon *soon)
{
    stream_tls *t = (stream_tls *)(void *)((char *)soon - offsetof(stream_tls, soon));
    stream *s = t->stream;
    if (s->is_closing || s->is_broken || s->is_paused)
        return;
    char *held = t->held;
    tls_input in = {held ? held + t->held_at : NULL, t->held_size - t->held_at};
    t->held = NULL; // deliver() holds a copy of what is left over again
    t->held_at = t->held_size = 0;
    t->has_more = false;
    deliver(s, &in);
    free(held);
}

int stream_start_tls(stream *s, tls_session *session)
{
    stream_tls *t = calloc(1, sizeof(*t));
    if (!t) {
        tls_session_free(session);
        return UV_ENOMEM;
    }
    t->session = session;
    t->stream = s;
    t->soon.on_turn_end = on_turn_end;
    s->tls = t;
    return tls_is_client(session) ? start_job(s, NULL, 0) : 0;
}

// --- reading

static void end_reading(stream *s, int result)
{
    if (result != TLS_END) {
        stream_break(s, result);
        return;
    }
    s->is_ended = true;
    if (s->is_reading)
        uv_read_stop(&s->uv.stream);
    s->is_reading = false;
    s->on->on_end(s);
}

// Decrypts and hands on until the input is used up, or the owner pauses or closes. Last use of s by the caller.
static void deliver(stream *s, tls_input *in)
{
    stream_tls *t = s->tls;
    size_t total = in->size;
    if (!shared_plain && !(shared_plain = malloc(PLAIN_BUFFER_BYTES))) {
        stream_break(s, UV_ENOMEM);
        return;
    }
    for (;;) {
        if (s->is_paused) {
            t->has_more = true; // perhaps: the session cannot tell before it is asked
            if (in->size > 0 && !hold(t, in->data, in->size))
                stream_break(s, UV_ENOMEM);
            return;
        }
        size_t capacity = PLAIN_BUFFER_BYTES;
        char *buffer = s->on->lend ? s->on->lend(s, &capacity) : NULL;
        if (!buffer) {
            buffer = shared_plain;
            capacity = PLAIN_BUFFER_BYTES;
        }
        int result = tls_read(t->session, in, buffer, capacity, &shared_wire);
        if (send_wire(s) != 0 && result >= 0)
            result = s->error;
        if (result <= 0) {
            if (total <= SMALL_READ_BYTES)
                tls_session_trim(t->session);
            if (result < 0)
                end_reading(s, result);
            else
                stream_read_start(s);
            return;
        }
        s->on->on_data(s, buffer, (size_t)result);
        if (s->is_closing || s->is_broken)
            return;
    }
}

void stream_tls_read(stream *s, char *data, size_t size)
{
    if (s->tls->is_ready) {
        tls_input in = {data, size};
        deliver(s, &in);
        return;
    }
    int rc = start_job(s, data, size);
    if (rc != 0)
        stream_break(s, rc);
}

void stream_tls_read_end(stream *s)
{
    stream_break(s, s->tls->is_ready ? TLS_TRUNCATED : UV_ECONNRESET);
}

void stream_tls_resume(stream *s)
{
    stream_tls *t = s->tls;
    if (t->held || t->has_more)
        rt_soon_queue(&t->soon, t->soon.on_turn_end);
    else
        stream_read_start(s);
}

// --- writing

// Encrypts plaintext from parts[*at], *skip on, at most BATCH_BYTES, into out; moves both on. Small
// parts are gathered, so that they share records.
static int encrypt_batch(stream_tls *t, const segment *parts, size_t count, size_t *at, size_t *skip, tls_output *out)
{
    size_t batch = 0, staged = 0;
    int rc = 0;
    while (rc == 0 && *at < count && batch < BATCH_BYTES) {
        const char *data = parts[*at].data + *skip;
        size_t size = parts[*at].size - *skip, room = RECORD_BYTES - staged;
        if (staged == 0 && size >= RECORD_BYTES) { // whole records need no copy
            size = RECORD_BYTES;
            rc = tls_write(t->session, data, size, out);
        } else {
            size = size < room ? size : room;
            if (size > 0)
                memcpy(staging + staged, data, size);
            staged += size;
        }
        batch += size;
        *skip += size;
        if (*skip == parts[*at].size) {
            *skip = 0;
            ++*at;
        }
        if (rc == 0 && staged > 0 && (staged == RECORD_BYTES || *at == count || batch >= BATCH_BYTES)) {
            rc = tls_write(t->session, staging, staged, out);
            staged = 0;
        }
    }
    return rc;
}

// Keeps plaintext behind what waits: by reference where it has an owner, else in one copy.
static int keep_plain(stream_tls *t, const segment *parts, size_t count, size_t skip)
{
    size_t copied = 0;
    for (size_t i = 0; i < count; i++)
        copied += parts[i].owner ? 0 : parts[i].size;
    segment *plain = realloc(t->plain, (t->plain_count + count) * sizeof(*plain));
    bytes *copies = copied > 0 ? bytes_new(copied) : NULL;
    if (plain)
        t->plain = plain;
    if (!plain || (copied > 0 && !copies)) {
        bytes_drop(copies);
        return UV_ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        segment part = {parts[i].data + skip, parts[i].size - skip, parts[i].owner};
        skip = 0;
        if (part.size == 0)
            continue;
        if (!part.owner) {
            char *copy = copies->data + copies->size;
            memcpy(copy, part.data, part.size);
            copies->size += part.size;
            part.data = copy;
            part.owner = copies;
        }
        bytes_hold(part.owner);
        t->plain[t->plain_count++] = part;
        t->plain_bytes += part.size;
    }
    bytes_drop(copies);
    return 0;
}

static void drop_plain(stream_tls *t)
{
    for (size_t i = t->plain_at; i < t->plain_count; i++)
        bytes_drop(t->plain[i].owner);
    free(t->plain);
    t->plain = NULL;
    t->plain_count = t->plain_at = t->plain_bytes = 0;
}

// Encrypts the next batch of what waits and gives it to the wire.
static int send_waiting(stream *s)
{
    stream_tls *t = s->tls;
    size_t before = t->plain_at, skip = 0;
    tls_output out = {0};
    int rc = encrypt_batch(t, t->plain, t->plain_count, &t->plain_at, &skip, &out);
    bytes *b = rc == 0 ? bytes_new(0) : NULL;
    if (!b) {
        tls_output_free(&out);
        t->plain_at = before;
        return rc != 0 ? rc : UV_ENOMEM;
    }
    for (size_t i = before; i < t->plain_at; i++) {
        t->plain_bytes -= t->plain[i].size;
        bytes_drop(t->plain[i].owner);
    }
    if (skip > 0) {
        t->plain[t->plain_at].data += skip;
        t->plain[t->plain_at].size -= skip;
        t->plain_bytes -= skip;
    }
    if (t->plain_at == t->plain_count)
        drop_plain(t);
    b->data = out.data; // the encrypted batch changes its owner, not its place
    b->size = out.size;
    b->capacity = out.capacity;
    return stream_queue_wire(s, b);
}

int stream_tls_write(stream *s, const segment *parts, size_t count)
{
    stream_tls *t = s->tls;
    if (!t->is_ready)
        return UV_ENOTCONN;
    size_t at = 0, skip = 0;
    int rc = 0;
    if (!s->queue && t->plain_bytes == 0) {
        rc = encrypt_batch(t, parts, count, &at, &skip, &shared_wire);
        if (rc == 0)
            rc = send_wire(s);
        shared_wire.size = 0;
        if (at == count && !s->queue && rc == 0)
            return 0; // the trim waits for a moment of quiet
    }
    if (rc == 0 && at < count)
        rc = keep_plain(t, parts + at, count - at, skip);
    if (rc == 0 && !s->queue && t->plain_bytes > 0)
        rc = send_waiting(s); // through the queue: what follows comes in later turns of the loop
    if (rc != 0)
        s->error = rc;
    return rc;
}

void stream_tls_flushed(stream *s)
{
    int rc = s->tls->plain_bytes > 0 ? send_waiting(s) : 0;
    if (rc != 0)
        s->error = rc;
    else if (!s->queue)
        tls_session_trim(s->tls->session);
}

// --- ending

bool stream_tls_end(stream *s)
{
    stream_tls *t = s->tls;
    if (t->is_ready) {
        tls_end(t->session, &shared_wire);
        send_wire(s); // an error ends the stream like the FIN that follows
    }
    return s->queue == NULL;
}

bool stream_tls_close(stream *s)
{
    stream_tls *t = s->tls;
    t->is_handle_closed = true;
    if (t->is_busy)
        return false;
    rt_soon_remove(&t->soon);
    drop_plain(t);
    free(t->held);
    tls_session_free(t->session);
    free(t);
    s->tls = NULL;
    return true;
}
