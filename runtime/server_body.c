// The body of a request. Nothing is read ahead for a handler that has not asked: what came along waits in
// the connection's `rest`. A body with a length is read straight into its buffer (body_lend), anything else
// passes through the parser.
#include <stdlib.h>

#include "server_internal.h"

enum { FIRST_BYTES = 1 << 20 }; // a body gets no more room than this before it has shown as many bytes

#define CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

static void job_free(exchange *x)
{
    if (!x->job)
        return;
    bytes_drop(x->job->body);
    free(x->job);
    x->job = NULL;
}

void body_drop(exchange *x)
{
    job_free(x);
    x->sink = NULL;
    if (x->body_mode != BODY_UNREAD)
        x->body_mode = BODY_GIVEN_UP;
}

bool body_is_awaited(const exchange *x)
{
    return !x->body_done &&
           ((x->body_mode == BODY_WHOLE && x->job) || (x->body_mode == BODY_STREAMED && x->sink && !x->body_paused));
}

uint64_t body_due_ms(const exchange *x)
{
    if (!body_is_awaited(x))
        return UINT64_MAX;
    const server_limits *limits = &x->server->limits;
    uint64_t earned_ms = limits->body_rate_bytes ? x->body_size * 1000 / limits->body_rate_bytes : RT_MS_MAX / 2;
    return x->body_since_ms + limits->body_grace_ms + earned_ms;
}

// Ends a read under way, or a stream: the last thing its owner hears.
void body_fail(exchange *x, const char *code, const char *message)
{
    exchange_sink *sink = x->sink;
    x->keeps_alive = false; // what follows cannot be told from the rest of this body
    if (x->job) {
        exchange_on_body told = x->job->on_body;
        body_drop(x);
        told(x, NULL, code, message);
    } else {
        body_drop(x);
        if (sink)
            sink->on_fail(sink, code, message);
    }
}

static void job_finish(exchange *x)
{
    body_job *job = x->job;
    bytes *body = job->body;
    exchange_on_body told = job->on_body;
    if (job->is_hashing) {
        sha256_final(&job->hash, body->sha256);
        body->has_sha256 = true;
    }
    job->body = NULL;
    job_free(x);
    told(x, body, NULL, NULL);
}

// Adds what the parser found to the body. False: no room, or more than allowed; the owner was told.
static bool job_add(exchange *x, const char *data, size_t size)
{
    body_job *job = x->job;
    if (job->body->capacity - job->body->size < size) {
        // With a length known, the rest of it at once; bytes_append() doubles otherwise.
        uint64_t left = x->connection->parser.body_left + size;
        if (x->connection->parser.body == HTTP1_LENGTH && !bytes_reserve(job->body, (size_t)left)) {
            body_fail(x, "no_memory", "out of memory");
            return false;
        }
    }
    if (!bytes_append(job->body, data, size)) {
        body_fail(x, "no_memory", "out of memory");
        return false;
    }
    if (job->is_hashing)
        sha256_update(&job->hash, data, size);
    return true;
}

bool body_step(connection *c)
{
    exchange *x = c->x;
    exchange_sink *sink = x->sink;
    if (x->body_done && sink && !x->body_paused) { // there was none
        x->sink = NULL;
        sink->on_end(sink);
        return true;
    }
    if (c->rest_size == 0 || !body_is_awaited(x))
        return false;
    size_t used;
    enum http1_event event = http1_parse(&c->parser, c->rest, c->rest_size, &used);
    c->rest += used;
    c->rest_size -= used;
    if (event == HTTP1_ERROR) {
        const char *code = c->parser.status == 413 ? "too_large" : "bad_request";
        body_fail(x, code, c->parser.message);
        return c->x != x;
    }
    const char *part = c->parser.part;
    size_t size = event == HTTP1_BODY ? c->parser.part_size : 0;
    if (size > x->body_limit - x->body_size) {
        body_fail(x, "too_large", "the request's body is too large");
        return c->x != x;
    }
    x->body_size += size;
    // The last byte and the end are one event for the owner, so that he is woken once.
    size_t none;
    bool is_end = event == HTTP1_END || (event == HTTP1_BODY && http1_parse(&c->parser, NULL, 0, &none) == HTTP1_END);
    x->body_done = is_end;
    if (x->job) {
        if (size > 0 && !job_add(x, part, size))
            return c->x != x;
        if (is_end)
            job_finish(x);
        return true;
    }
    if (size > 0)
        sink->on_data(sink, part, size); // may close the body, end the exchange, lose the connection
    if (is_end && c->x == x && x->sink == sink) {
        x->sink = NULL;
        sink->on_end(sink);
    }
    return true;
}

// ---- straight into the buffer

char *body_lend(connection *c, size_t *capacity)
{
    exchange *x = c->x;
    if (!x->job || c->parser.body != HTTP1_LENGTH || x->body_done)
        return NULL;
    bytes *body = x->job->body;
    uint64_t left = c->parser.body_left;
    if (body->capacity == body->size && !bytes_reserve(body, (size_t)left))
        return NULL; // then the shared buffer, and job_add() tells
    size_t room = body->capacity - body->size;
    *capacity = room < left ? room : (size_t)left;
    return body->data + body->size;
}

bool body_is_lent(const connection *c, const char *data)
{
    return c->state == CONNECTION_BUSY && c->x->job && c->x->job->body->data &&
           data == c->x->job->body->data + c->x->job->body->size;
}

void body_arrived(connection *c, size_t size)
{
    exchange *x = c->x;
    body_job *job = x->job;
    if (job->is_hashing)
        sha256_update(&job->hash, job->body->data + job->body->size, size);
    job->body->size += size;
    x->body_size += size;
    if (http1_body_taken(&c->parser, size) == HTTP1_END) {
        x->body_done = true;
        job_finish(x);
    }
}

// ---- asking for it

int exchange_limit_body(exchange *x, uint64_t limit)
{
    connection *c = x->connection;
    if (x->body_mode != BODY_UNREAD || !c)
        return x->is_gone ? UV_EPIPE : UV_EALREADY;
    if (c->parser.body == HTTP1_LENGTH && c->parser.body_left > limit)
        return UV_EFBIG;
    if (limit < x->body_limit)
        x->body_limit = limit;
    return 0;
}

// Checks what both ways of reading share; 0, or a libuv error. Sends 100 Continue where it is waited for.
static int begin(exchange *x, uint64_t limit)
{
    connection *c = x->connection;
    int rc = exchange_limit_body(x, limit);
    if (rc != 0)
        return rc;
    x->body_size = 0;
    x->body_since_ms = rt_now_ms();
    if (x->expects_continue && !x->body_done && !x->is_started && c->rest_size == 0) {
        x->expects_continue = false;
        if (stream_write(&c->stream, &(segment){CONTINUE, sizeof(CONTINUE) - 1, NULL}, 1) != 0) {
            connection_close(c, false);
            return UV_EPIPE;
        }
    }
    x->expects_continue = false;
    if (!x->body_done)
        connection_arm(c, x->server->limits.body_grace_ms);
    return 0;
}

// The usual small body came with its head: takes it from there. NULL: it did not.
static bytes *take_ready(exchange *x, bool want_sha256)
{
    connection *c = x->connection;
    uint64_t size = x->body_done ? 0 : c->parser.body_left;
    if (!x->body_done && (c->parser.body != HTTP1_LENGTH || c->rest_size < size))
        return NULL;
    bytes *body = bytes_copy(c->rest, (size_t)size);
    if (!body)
        return NULL;
    if (want_sha256) {
        sha256_of(body->data, body->size, body->sha256);
        body->has_sha256 = true;
    }
    if (size > 0) {
        c->rest += size;
        c->rest_size -= (size_t)size;
        http1_body_taken(&c->parser, (size_t)size);
    }
    x->body_size = size;
    x->body_done = true;
    return body;
}

int exchange_read_body(exchange *x, uint64_t limit, bool want_sha256, exchange_on_body on_body, bytes **out)
{
    *out = NULL;
    int rc = begin(x, limit);
    if (rc != 0)
        return rc;
    connection *c = x->connection;
    x->body_mode = BODY_WHOLE;
    *out = take_ready(x, want_sha256);
    if (*out) {
        connection_settle(c);
        return 0;
    }
    uint64_t left = c->parser.body == HTTP1_LENGTH ? c->parser.body_left : 0;
    x->job = calloc(1, sizeof(*x->job));
    bytes *body = bytes_new(left < FIRST_BYTES ? (size_t)left : FIRST_BYTES);
    if (!x->job || !body) {
        bytes_drop(body);
        job_free(x);
        x->body_mode = BODY_GIVEN_UP;
        return UV_ENOMEM;
    }
    x->job->body = body;
    x->job->on_body = on_body;
    x->job->is_hashing = want_sha256;
    sha256_init(&x->job->hash);
    if (!c->is_running && c->rest_size > 0)
        connection_soon(c); // what came along is used by connection_run() otherwise
    return UV_EAGAIN;
}

void exchange_cancel_body(exchange *x)
{
    body_drop(x);
}

int exchange_stream_body(exchange *x, uint64_t limit, exchange_sink *k)
{
    int rc = begin(x, limit);
    if (rc != 0)
        return rc;
    x->body_mode = BODY_STREAMED;
    x->sink = k;
    x->body_paused = false;
    if (x->body_done || x->connection->rest_size > 0)
        connection_soon(x->connection);
    return 0;
}

void exchange_pause_body(exchange *x)
{
    if (x->body_paused || !x->connection || !x->sink)
        return;
    x->body_paused = true;
    x->paused_at_ms = rt_now_ms();
    connection_settle(x->connection);
}

void exchange_resume_body(exchange *x)
{
    if (!x->body_paused || !x->connection)
        return;
    x->body_paused = false;
    x->body_since_ms += rt_now_ms() - x->paused_at_ms; // the client was not asked for bytes meanwhile
    connection_arm(x->connection, x->server->limits.body_grace_ms);
    if (x->connection->rest_size > 0 && !x->connection->is_running)
        connection_soon(x->connection);
    connection_settle(x->connection);
}

void exchange_close_body(exchange *x)
{
    body_drop(x);
    if (x->connection)
        connection_settle(x->connection);
}

// The answer is about to be given: what is there of a body that nobody reads is dropped, so that the
// connection can go on where that was all of it.
void body_skip(exchange *x)
{
    connection *c = x->connection;
    if (x->body_mode != BODY_UNREAD && x->body_mode != BODY_GIVEN_UP)
        return;
    while (!x->body_done && c->rest_size > 0) {
        size_t used;
        enum http1_event event = http1_parse(&c->parser, c->rest, c->rest_size, &used);
        c->rest += used;
        c->rest_size -= used;
        if (event == HTTP1_BODY && http1_parse(&c->parser, NULL, 0, &used) == HTTP1_END)
            event = HTTP1_END;
        x->body_done = event == HTTP1_END;
        if (event == HTTP1_ERROR)
            return;
    }
}
