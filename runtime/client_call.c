// A call's life: limits, failure, the transparent retry, and handing the answer on. What happens inside a function of
// client.h is told at the end of the loop's turn (rt_soon); what arrives is told as it arrives.
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client_internal.h"

static void on_time(rt_timer *timer);

void call_release(client_call *call)
{
    if (--call->refs > 0)
        return;
    client *c = call->client;
    call_free_request(call);
    http1_head_free(call->head);
    bytes_drop(call->pending);
    free(call->error);
    free(call);
    client_drop(c);
}

void call_close_source(client_call *call)
{
    client_source *source = call->source;
    call->is_source_open = false;
    call->source = NULL;
    if (source)
        source->close(source);
}

// Takes the call off its connection, which is closed unless it is whole.
static void detach(client_call *call)
{
    peer *k = call->connection;
    call->connection = NULL;
    if (!k)
        return;
    k->call = NULL;
    peer_close(k);
}

// ---- limits ----

// The limit of the present phase, 0: none.
static uint64_t phase_limit(const client_call *call, const char **phase)
{
    switch (call->state) {
    case CONNECTING:
        *phase = "connect";
        return call->limits.connect_ms;
    case WAITING:
        *phase = "first_byte";
        // While the request is still leaving, what counts is that it does.
        if (!call->is_body_sent || (call->connection && stream_pending(&call->connection->s) > 0)) {
            *phase = "between_bytes";
            return call->limits.between_bytes_ms;
        }
        return call->limits.first_byte_ms;
    case RECEIVING:
        *phase = "between_bytes";
        // Waiting for the consumer is not the upstream's fault.
        return call->is_paused || !call->is_receiving ? 0 : call->limits.between_bytes_ms;
    default:
        *phase = NULL;
        return 0;
    }
}

static void start_timer(client_call *call)
{
    const char *phase;
    uint64_t now = rt_now_ms(), limit = phase_limit(call, &phase), wait = UINT64_MAX;
    if (limit > 0)
        wait = call->phase_ms + limit > now ? call->phase_ms + limit - now : 0;
    if (call->limits.total_ms > 0 && call->started_ms + call->limits.total_ms < now + wait)
        wait = call->started_ms + call->limits.total_ms > now ? call->started_ms + call->limits.total_ms - now : 0;
    if (wait != UINT64_MAX)
        rt_timer_start(&call->timer, wait, on_time);
}

// The timer is not restarted at every byte: it looks, when it fires, how long ago the last progress was.
static void on_time(rt_timer *timer)
{
    client_call *call = (client_call *)(void *)((char *)timer - offsetof(client_call, timer));
    const char *phase;
    uint64_t now = rt_now_ms(), limit = phase_limit(call, &phase);
    size_t pending = call->connection ? stream_pending(&call->connection->s) : 0;
    if (call->limits.total_ms > 0 && now >= call->started_ms + call->limits.total_ms) {
        call_fail(call, "timeout", "total", "the call took longer than %" PRIu64 " ms", call->limits.total_ms);
        return;
    }
    if (call->state == WAITING && pending != call->pending_out) { // the request moves on
        call->pending_out = pending;
        call->phase_ms = now;
    }
    if (limit > 0 && now >= call->phase_ms + limit) {
        call_fail(call, "timeout", phase, "nothing from %s within %" PRIu64 " ms (%s)", call->origin->name, limit,
                  phase);
        return;
    }
    start_timer(call);
}

void call_phase(client_call *call, enum call_state state)
{
    call->state = state;
    call->phase_ms = rt_now_ms();
    start_timer(call);
}

// ---- failure ----

static void on_soon(rt_soon *soon)
{
    call_tell((client_call *)(void *)((char *)soon - offsetof(client_call, soon)));
}

void call_fail(client_call *call, const char *code, const char *phase, const char *format, ...)
{
    if (call->state == ENDED || call->state == FAILED)
        return;
    const char *reason = NULL;
    peer *k = call->connection;
    client_error *e = call->error = calloc(1, sizeof(*e)); // NULL: told as no_memory
    if (e) {
        va_list arguments;
        va_start(arguments, format);
        e->code = code;
        e->phase = phase;
        e->is_sent = call->is_sent;
        vsnprintf(e->message, sizeof(e->message), format, arguments);
        va_end(arguments);
        if (strcmp(code, "tls") == 0 && k && k->s.error <= TLS_EXPIRED)
            reason = tls_error_name(k->s.error);
        e->reason = reason;
    }
    call->state = FAILED;
    rt_timer_stop(&call->timer);
    detach(call);
    call_close_source(call);
    rt_soon_queue(&call->soon, on_soon);
}

void call_broken(client_call *call, const char *code, const char *message)
{
    bool is_replayable = !call->has_source || (call->source && !call->is_source_open);
    if (call->is_reused && !call->is_retried && !call->is_answered && is_replayable && call->state == WAITING) {
        // The kept connection had died, maybe before the request reached anybody: once more, on a new one.
        call->is_retried = true;
        call->is_reused = false;
        call->client->stats.retries++;
        detach(call);
        call_phase(call, CONNECTING);
        if (peer_open(call))
            return;
        code = "no_memory";
        message = "out of memory";
    }
    call_fail(call, code, NULL, "%s: %s", call->origin->name, message);
}

// ---- the answer ----

// Hands on what is there and was not told yet.
void call_tell(client_call *call)
{
    call_hold(call);
    if (!call->is_closed && call->head && !call->is_head_told) {
        call->is_head_told = true;
        if (call->on->on_head)
            call->on->on_head(call);
    }
    if (!call->is_closed && call->is_receiving && !call->is_paused && call->pending) {
        bytes *pending = call->pending;
        call->pending = NULL;
        call->on->on_body(call, pending->data, pending->size);
        bytes_drop(pending);
    }
    bool may_end = !call->is_closed && !call->is_end_told && !call->pending;
    if (may_end && call->state == FAILED && (call->is_receiving || !call->is_head_told)) {
        call->is_end_told = true;
        call->on->on_error(call);
    } else if (may_end && call->state == ENDED && call->is_receiving && !call->is_paused) {
        call->is_end_told = true;
        call->on->on_end(call);
    } else if (!call->is_closed && call->connection && call->is_receiving && !call->is_paused) {
        stream_resume(&call->connection->s);
    }
    call_release(call);
}

void call_got_head(client_call *call, http1_head *head)
{
    call->head = head;
    call->status = head->status;
    call_free_request(call); // cannot be sent again any more; what is still leaving is held by the stream
    call_phase(call, RECEIVING);
}

void call_got_body(client_call *call, const char *data, size_t size)
{
    if (call->is_receiving && !call->is_paused && !call->pending) {
        call->on->on_body(call, data, size);
        return;
    }
    if (!call->pending)
        call->pending = bytes_new(size);
    if (!call->pending || !bytes_append(call->pending, data, size))
        call_fail(call, "no_memory", NULL, "out of memory");
}

// ---- client.h ----

client_call *client_send(client *c, const client_request *r, const client_callbacks *on, void *owner,
                         client_error *error)
{
    client_call *call = call_new(c, r, error);
    if (!call)
        return NULL;
    call->refs = 1;
    call->on = on;
    call->owner = owner;
    const client_timeouts *d = &c->options.timeouts, *t = &r->timeouts;
    call->limits.connect_ms = t->connect_ms ? t->connect_ms : d->connect_ms;
    call->limits.first_byte_ms = t->first_byte_ms ? t->first_byte_ms : d->first_byte_ms;
    call->limits.between_bytes_ms = t->between_bytes_ms ? t->between_bytes_ms : d->between_bytes_ms;
    call->limits.total_ms = t->total_ms ? t->total_ms : d->total_ms;
    call->started_ms = rt_now_ms();
    c->stats.calls++;
    peer *k = pool_take(call->origin);
    if (k) {
        call->is_reused = true;
        c->stats.reuses++;
        peer_use(k, call);
    } else {
        const char *code, *message;
        call_phase(call, CONNECTING);
        if (!call_check_request(call, &code, &message))
            call_fail(call, code, NULL, "%s: %s", call->origin->name, message);
        else if (!peer_open(call))
            call_fail(call, "no_memory", NULL, "out of memory");
    }
    if (call->state == FAILED && !call->is_sent && call->error) { // it could not even be built: told here
        *error = *call->error;
        client_call_close(call);
        return NULL;
    }
    return call;
}

void client_call_close(client_call *call)
{
    if (call->is_closed)
        return;
    call->is_closed = true;
    rt_timer_stop(&call->timer);
    rt_soon_remove(&call->soon);
    detach(call);
    call_close_source(call);
    call_release(call);
}

void client_call_abort(client_call *call)
{
    call_fail(call, "closed", NULL, "the call was given up");
    rt_soon_remove(&call->soon);
    call->is_end_told = call->is_head_told = true;
    bytes_drop(call->pending);
    call->pending = NULL;
}

client_call *client_call_hold(client_call *call)
{
    call_hold(call);
    return call;
}

void client_call_drop(client_call *call)
{
    call_release(call);
}

bool client_call_is_closed(const client_call *call)
{
    return call->is_closed;
}

void *client_call_owner(const client_call *call)
{
    return call->owner;
}

void client_call_fit(client_call *call)
{
    http1_head_fit(&call->head);
}

const http1_head *client_call_head(const client_call *call)
{
    return call->head;
}

void client_call_drop_head(client_call *call)
{
    if (!call->is_head_told)
        return;
    http1_head_free(call->head);
    call->head = NULL;
}

int client_call_status(const client_call *call)
{
    return call->status;
}

bool client_call_is_reused(const client_call *call)
{
    return call->is_reused;
}

const client_error *client_call_error(const client_call *call)
{
    static const client_error no_memory = {.code = "no_memory", .message = "out of memory"};
    return call->state != FAILED ? NULL : call->error ? call->error : &no_memory;
}

bool client_call_is_ended(const client_call *call)
{
    return call->state == ENDED;
}

void client_call_receive(client_call *call, const client_callbacks *on, void *owner)
{
    call->on = on;
    call->owner = owner;
    call->is_receiving = true;
    call->is_end_told = false;
    client_call_resume(call);
    if (call->state == RECEIVING)
        call_phase(call, RECEIVING);
}

void client_call_pause(client_call *call)
{
    call->is_paused = true;
    if (call->connection)
        stream_pause(&call->connection->s);
}

void client_call_resume(client_call *call)
{
    call->is_paused = false;
    if (call->pending || call->state == ENDED || call->state == FAILED)
        rt_soon_queue(&call->soon, on_soon);
    else if (call->connection)
        stream_resume(&call->connection->s);
    if (call->state == RECEIVING)
        call_phase(call, RECEIVING);
}

bytes *client_call_take(client_call *call)
{
    bytes *pending = call->pending;
    call->pending = NULL;
    return pending;
}

int64_t client_call_body_left(const client_call *call)
{
    const peer *k = call->connection;
    return k && call->state == RECEIVING && k->parser.body == HTTP1_LENGTH ? (int64_t)k->parser.body_left : -1;
}

// ---- bodies that are produced while they are sent ----

static bool write_source(client_call *call, const segment *parts, size_t count)
{
    peer *k = call->connection;
    call->phase_ms = rt_now_ms();
    int rc = stream_write(&k->s, parts, count);
    if (rc != 0) { // the peer takes no more; perhaps it has answered already: that is still read
        call_close_source(call);
        k->keeps_alive = false;
        return false;
    }
    if (stream_is_full(&k->s) && call->is_source_open)
        call->source->pause(call->source);
    return true;
}

static bool is_wanted(const client_call *call)
{
    return call->connection && call->is_source_open;
}

bool client_call_body(client_call *call, const char *data, size_t size)
{
    char prefix[HTTP1_CHUNK_PREFIX_BYTES];
    if (!is_wanted(call))
        return false;
    if (size == 0)
        return true;
    call->source_sent += size;
    if (call->source->size < 0) {
        segment parts[3] = {{prefix, http1_chunk_prefix(prefix, size), NULL}, {data, size, NULL}, {"\r\n", 2, NULL}};
        return write_source(call, parts, 3);
    }
    if (call->source_sent > (uint64_t)call->source->size) {
        call_fail(call, "bad_request", NULL, "the body is longer than its content-length");
        return false;
    }
    segment part = {data, size, NULL};
    return write_source(call, &part, 1);
}

bool client_call_body_end(client_call *call)
{
    if (!is_wanted(call))
        return false;
    if (call->source->size >= 0 && call->source_sent < (uint64_t)call->source->size) {
        call_fail(call, "bad_request", NULL, "the body is shorter than its content-length");
        return false;
    }
    segment last = {HTTP1_LAST_CHUNK, sizeof(HTTP1_LAST_CHUNK) - 1, NULL};
    if (call->source->size < 0 && !write_source(call, &last, 1))
        return false;
    call->is_body_sent = true;
    call_close_source(call);
    if (call->state == WAITING)
        call_phase(call, WAITING);
    return true;
}

void client_call_body_fail(client_call *call, const char *code, const char *message)
{
    call_fail(call, code, NULL, "%s", message);
}
