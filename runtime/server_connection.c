// A connection reads requests one after the other. What was read and is not yet of use stays in `rest`:
// during on_data() in the shared read buffer, between reads in the inbox, which exists only then. An idle
// connection is this struct and nothing else.
#include <stdlib.h>
#include <string.h>

#include "server_internal.h"

enum { LINGER_BYTES = 64 << 20 }; // how much a closing connection still takes in: an upload that was refused, say

static void on_timer(rt_timer *t);

static connection *of_stream(stream *s)
{
    return s->owner;
}

void connection_arm(connection *c, uint64_t delay_ms)
{
    if (!c->timer.link || c->timer.at_ms > rt_now_ms() + delay_ms)
        rt_timer_start(&c->timer, delay_ms, on_timer);
}

void connection_close(connection *c, bool with_reset)
{
    if (c->state == CONNECTION_CLOSED)
        return;
    c->state = CONNECTION_CLOSED;
    rt_timer_stop(&c->timer);
    rt_soon_remove(&c->soon);
    c->rest_size = 0;
    if (c->x) {
        c->x->connection = NULL;
        c->x->is_gone = true;
        c->x = NULL;
    }
    if (with_reset)
        stream_reset(&c->stream);
    else
        stream_close(&c->stream);
}

void connection_lose(connection *c, const char *code)
{
    exchange *x = c->x;
    server *s = c->server;
    connection_close(c, x && strcmp(code, "client_closed") != 0);
    if (x && !s->is_freed)
        s->on->on_gone(x, code); // runs the task: last use of x
}

// Everything is answered: half-closes, and reads on for a while. Closing with unread bytes in the kernel
// would send RST, which takes the answer away from the client.
static void linger(connection *c)
{
    c->state = CONNECTION_LINGERING;
    c->since_ms = rt_now_ms();
    c->rest_size = 0;
    http1_free(&c->parser);
    stream_shutdown(&c->stream);
    stream_resume(&c->stream);
    connection_arm(c, c->server->limits.linger_ms);
    connection_watch_stall(c);
}

void connection_answered(connection *c)
{
    exchange *x = c->x;
    bool keeps = x->keeps_alive && x->body_done && !c->server->is_draining;
    x->is_finished = true;
    x->connection = NULL;
    c->x = NULL;
    if (!keeps) {
        linger(c);
        connection_settle(c);
        return;
    }
    http1_next(&c->parser);
    stream_trim(&c->stream);
    c->state = CONNECTION_READING;
    c->since_ms = rt_now_ms();
    connection_arm(c, c->server->limits.idle_ms);
    if (c->is_running)
        return; // connection_run() goes on with what is behind
    if (c->rest_size > 0)
        connection_soon(c);
    connection_settle(c);
}

// ---- refusals

void exchange_refuse(exchange *x, int status, const char *code, const char *message)
{
    connection *c = x->connection;
    if (!c || x->is_started)
        return;
    body_skip(x);
    server_refusal r = {.status = status, .code = code, .message = message};
    if (x->head) {
        r.path = x->head->block + x->head->target_at;
        r.path_size = x->head->path_size;
    }
    x->keeps_alive = x->keeps_alive && x->body_done && !c->server->is_draining;
    bytes *out = answer_scratch();
    if (!out || !answer_put_refusal(out, c->server, &r, x->keeps_alive, x->is_head)) {
        connection_close(c, true);
        return;
    }
    x->is_started = true;
    x->status = status;
    x->bytes_out = out->size;
    if (stream_write(&c->stream, &(segment){out->data, out->size, NULL}, 1) != 0) {
        connection_close(c, false);
        return;
    }
    connection_answered(c);
    connection_watch_stall(c);
}

// Before there is an exchange: the answer, and the end of the connection.
void connection_refuse(connection *c, int status, const char *code, const char *message)
{
    server_refusal r = {.status = status, .code = code, .message = message};
    const http1_head *h = c->parser.head;
    if (h && h->target_size > 0) {
        r.path = h->block + h->target_at;
        r.path_size = h->path_size;
    }
    c->server->stats.refused_total++;
    if (c->is_shaking) {
        connection_close(c, false);
        return;
    }
    bytes *out = answer_scratch();
    if (!out || !answer_put_refusal(out, c->server, &r, false, false) ||
        stream_write(&c->stream, &(segment){out->data, out->size, NULL}, 1) != 0) {
        connection_close(c, false);
        return;
    }
    linger(c);
}

static bool is_exempt(const server *s, const http1_head *h)
{
    for (char **path = s->exempt; path && *path; path++)
        if (strlen(*path) == h->path_size && memcmp(*path, h->block + h->target_at, h->path_size) == 0)
            return true;
    return false;
}

// ---- reading

// Reads on in a head. False: no more can be done with what is there.
static bool read_head(connection *c)
{
    size_t used;
    bool was_idle = http1_is_idle(&c->parser);
    enum http1_event event = http1_parse(&c->parser, c->rest, c->rest_size, &used);
    c->rest += used;
    c->rest_size -= used;
    if (event == HTTP1_MORE) {
        if (was_idle && !http1_is_idle(&c->parser)) {
            c->since_ms = rt_now_ms();
            connection_arm(c, c->server->limits.header_ms);
        }
        return false;
    }
    if (event == HTTP1_ERROR) {
        connection_refuse(c, c->parser.status, c->parser.code, c->parser.message);
        return false;
    }
    server *s = c->server;
    exchange *x = exchange_new(c);
    if (!x) {
        connection_refuse(c, 503, "no_memory", "out of memory");
        return false;
    }
    c->state = CONNECTION_BUSY;
    s->stats.requests_total++;
    if (s->stats.exchanges > s->limits.concurrency && !is_exempt(s, x->head)) {
        s->stats.shed_total++;
        exchange_refuse(x, 503, "overloaded", "the gateway is busy; try again in a moment");
        exchange_release(x);
        return c->state == CONNECTION_READING;
    }
    s->on->on_request(s, x); // may end the exchange, or the connection
    return true;
}

void connection_run(connection *c)
{
    if (c->is_running)
        return;
    c->is_running = true;
    for (;;) {
        if (c->state == CONNECTION_READING ? c->rest_size == 0 || !read_head(c)
                                           : c->state != CONNECTION_BUSY || !body_step(c))
            break;
    }
    c->is_running = false;
}

void connection_settle(connection *c)
{
    if (c->is_running)
        return;
    bytes *inbox = c->inbox;
    if (c->rest_size == 0) {
        bytes_drop(inbox);
        c->inbox = NULL;
    } else if (!inbox || c->rest < inbox->data || c->rest >= inbox->data + inbox->size) {
        c->inbox = bytes_copy(c->rest, c->rest_size);
        bytes_drop(inbox);
        if (!c->inbox) {
            connection_lose(c, "client_closed");
            return;
        }
        c->rest = c->inbox->data;
    }
    if (c->state == CONNECTION_CLOSED)
        return;
    bool is_held = c->state == CONNECTION_BUSY && c->x->body_mode == BODY_STREAMED && c->x->body_paused;
    bool wants_pause = c->rest_size > c->server->limits.pipeline_bytes || is_held;
    if (wants_pause != c->stream.is_paused) {
        if (wants_pause)
            stream_pause(&c->stream);
        else
            stream_resume(&c->stream);
    }
}

static void on_soon(rt_soon *s)
{
    connection *c = (connection *)((char *)s - offsetof(connection, soon));
    if (c->x)
        answer_flush(c->x);
    connection_run(c);
    connection_settle(c);
}

void connection_soon(connection *c)
{
    rt_soon_queue(&c->soon, on_soon);
}

static void on_data(stream *s, char *data, size_t size)
{
    connection *c = of_stream(s);
    if (c->state == CONNECTION_LINGERING) {
        c->lingered_bytes += (uint32_t)size;
        if (c->lingered_bytes > LINGER_BYTES)
            connection_close(c, false);
        return;
    }
    if (c->state == CONNECTION_CLOSED)
        return;
    if (body_is_lent(c, data)) {
        body_arrived(c, size);
        connection_settle(c);
        return;
    }
    if (c->rest_size == 0) {
        c->rest = data;
        c->rest_size = size;
    } else {
        if (c->rest != c->inbox->data) { // make room in front before growing
            memmove(c->inbox->data, c->rest, c->rest_size);
            c->rest = c->inbox->data;
        }
        c->inbox->size = c->rest_size;
        if (!bytes_append(c->inbox, data, size)) {
            connection_lose(c, "client_closed");
            return;
        }
        c->rest = c->inbox->data;
        c->rest_size += size;
    }
    connection_run(c);
    connection_settle(c);
}

static char *on_lend(stream *s, size_t *capacity)
{
    connection *c = of_stream(s);
    return c->state == CONNECTION_BUSY && c->rest_size == 0 ? body_lend(c, capacity) : NULL;
}

// A client that closes, or half-closes, has given up what it asked for.
static void on_end(stream *s)
{
    connection *c = of_stream(s);
    if (c->x || stream_pending(s) == 0) {
        connection_lose(c, "client_closed");
        return;
    }
    c->state = CONNECTION_LINGERING; // a whole answer is on its way to a client that has closed its side
    c->rest_size = 0;
    connection_settle(c);
    stream_close_flushed(s);
}

static void on_error(stream *s, int rc)
{
    (void)rc;
    connection_lose(of_stream(s), "client_closed");
}

static void on_ready(stream *s)
{
    connection *c = of_stream(s);
    c->is_shaking = false;
    c->since_ms = rt_now_ms();
    connection_arm(c, c->server->limits.idle_ms);
}

static void on_drain(stream *s)
{
    exchange *x = of_stream(s)->x;
    if (!x || !x->on_drain)
        return;
    void (*told)(exchange *, void *) = x->on_drain;
    x->on_drain = NULL;
    told(x, x->drain_data);
}

static void on_closed(stream *s)
{
    connection *c = of_stream(s);
    rt_timer_stop(&c->timer);
    rt_soon_remove(&c->soon);
    http1_free(&c->parser);
    bytes_drop(c->inbox);
    server_connection_closed(c);
}

const stream_callbacks connection_callbacks = {
    .on_data = on_data,
    .on_end = on_end,
    .on_error = on_error,
    .on_drain = on_drain,
    .on_ready = on_ready,
    .lend = on_lend,
    .on_closed = on_closed,
};

// ---- deadlines: one timer, started again only when it has run out

void connection_watch_stall(connection *c)
{
    if (c->is_stalling || c->state == CONNECTION_CLOSED || stream_pending(&c->stream) == 0)
        return;
    c->is_stalling = true;
    c->stall_since_ms = rt_now_ms();
    c->stall_taken = c->stream.bytes_out - stream_pending(&c->stream);
    connection_arm(c, c->server->limits.stall_ms);
}

// When this connection has to be looked at for its writes; UINT64_MAX: nothing is pending.
static uint64_t stall_due_ms(connection *c)
{
    size_t pending = stream_pending(&c->stream);
    if (pending == 0) {
        c->is_stalling = false;
        return UINT64_MAX;
    }
    uint64_t taken = c->stream.bytes_out - pending;
    if (!c->is_stalling || taken != c->stall_taken) {
        c->is_stalling = true;
        c->stall_taken = taken;
        c->stall_since_ms = rt_now_ms();
    }
    return c->stall_since_ms + c->server->limits.stall_ms;
}

static void on_timer(rt_timer *t)
{
    connection *c = (connection *)((char *)t - offsetof(connection, timer));
    const server_limits *limits = &c->server->limits;
    uint64_t now_ms = rt_now_ms(), due_ms = UINT64_MAX;
    uint64_t stall_ms = stall_due_ms(c);
    bool is_idle;
    if (stall_ms <= now_ms) {
        c->server->stats.timeouts_total++;
        if (c->x)
            connection_lose(c, "stalled");
        else
            connection_close(c, true);
        return;
    }
    switch ((enum connection_state)c->state) {
    case CONNECTION_READING:
        is_idle = http1_is_idle(&c->parser) && !c->is_shaking;
        due_ms = c->since_ms + (is_idle ? limits->idle_ms : limits->header_ms);
        if (due_ms > now_ms)
            break;
        c->server->stats.timeouts_total++;
        if (is_idle)
            connection_close(c, false);
        else
            connection_refuse(c, 408, "timeout", "the request's head did not arrive in time");
        return;
    case CONNECTION_BUSY:
        due_ms = body_due_ms(c->x);
        if (due_ms > now_ms)
            break;
        c->server->stats.timeouts_total++;
        body_fail(c->x, "timeout", "the request's body arrives too slowly");
        connection_settle(c);
        return;
    case CONNECTION_LINGERING:
        if (stall_ms != UINT64_MAX)
            c->since_ms = now_ms; // the answer is still on its way
        due_ms = c->since_ms + limits->linger_ms;
        if (due_ms > now_ms)
            break;
        connection_close(c, false);
        return;
    case CONNECTION_CLOSED:
        return;
    }
    if (stall_ms < due_ms)
        due_ms = stall_ms;
    if (due_ms != UINT64_MAX)
        rt_timer_start(&c->timer, due_ms - now_ms, on_timer);
}
