#include "relay.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { GATHER_KEEP_BYTES = 256 * 1024 };

static program_scratch scratch; // of all streams: one thread

static void on_body(client_call *call, const char *data, size_t size);
static void on_end(client_call *call);
static void on_error(client_call *call);

static const client_callbacks callbacks = {.on_body = on_body, .on_end = on_end, .on_error = on_error};

relay *relay_new(client_call *call, program *p, void *owner, void (*on_ready)(relay *r, enum relay_result result))
{
    relay *r = zeroed(sizeof(*r));
    if (r && p && !(r->state = program_state_new(p, 0))) {
        free(r);
        r = NULL;
    }
    if (!r)
        return NULL;
    r->call = client_call_hold(call);
    r->owner = owner;
    r->on_ready = on_ready;
    r->no_content_ms = RELAY_NO_CONTENT_MS;
    r->content_at_ms = r->written_at_ms = rt_now_ms();
    client_call_fit(call);
    client_call_receive(call, &callbacks, r);
    return r;
}

static void stop_waiting(relay *r)
{
    if (r->is_draining)
        exchange_on_drain(r->client, NULL, NULL);
    rt_timer_stop(&r->timer);
    r->is_draining = false;
    r->want = RELAY_NOTHING;
    r->client = NULL;
}

static void fail(relay *r, const char *code, const char *message)
{
    if (r->code)
        return;
    r->code = code;
    free(r->message);
    r->message = strdup(message ? message : code);
    if (!r->is_ended)
        client_call_abort(r->call);
    r->is_ended = true;
}

void relay_close(relay *r)
{
    if (!r->is_ended)
        fail(r, "closed", "relay closed");
}

void relay_cancel(relay *r)
{
    stop_waiting(r);
    relay_close(r);
}

void relay_free(relay *r)
{
    if (!r)
        return;
    if (r->gone)
        *r->gone = true;
    rt_timer_stop(&r->timer);
    relay_close(r);
    client_call_drop(r->call);
    program_state_free(r->state);
    bytes_drop(r->kept);
    free(r->message);
    free((char *)r->ping_text);
    free(r);
}

bool relay_is_between(const relay *r)
{
    return r->state && !r->state->is_peeked && r->raw_size == 0 &&
           (!program_is_pass(r->state->program) || (!r->is_cut && sse_is_between(&r->state->reader)));
}

// ---- towards the client ----

static void send_failed(relay *r)
{
    fail(r, "client_closed", "the client has gone");
}

// What rules have written is gathered here, for all streams: it is empty whenever Lua runs.
static bytes *gathered;

static bytes *gather(void)
{
    if (!gathered)
        gathered = bytes_new(16 * 1024);
    return gathered;
}

// Sends what was gathered (and queued before it); `now`: in a system call of its own, else with what follows.
static void send_gathered(relay *r, bool now)
{
    bytes *out = gathered;
    if (out->size == 0)
        return;
    r->written_at_ms = rt_now_ms();
    int rc;
    if (now) {
        segment part = {.data = out->data, .size = out->size, .owner = out};
        rc = exchange_write(r->client, &part, 1);
    } else {
        rc = exchange_queue(r->client, out->data, out->size);
    }
    if (out->refs > 1 || out->capacity > GATHER_KEEP_BYTES) { // the socket still needs it; or a huge read
        bytes_drop(out);
        gathered = NULL;
    } else {
        out->size = 0;
    }
    if (rc != 0)
        send_failed(r);
}

static void forward_raw(relay *r)
{
    segment part = {.data = r->raw, .size = r->raw_size, .owner = NULL};
    r->raw_size = 0;
    r->copied_bytes += part.size;
    r->written_at_ms = rt_now_ms();
    if (exchange_write(r->client, &part, 1) != 0)
        send_failed(r);
}

int relay_emit(relay *r, exchange *x, const char *text, size_t size)
{
    r->written_at_ms = rt_now_ms();
    return exchange_queue(x, text, size);
}

// ---- what has come from upstream ----

static bool is_passing(const relay *r)
{
    return !r->state || program_is_pass(r->state->program);
}

static bool has_rest(const relay *r)
{
    return r->raw_size > 0 || (r->state && (r->state->is_peeked || sse_rest_size(&r->state->reader) > 0));
}

static enum relay_result fail_result(relay *r, enum program_result why)
{
    if (why == PROGRAM_TOO_LARGE)
        fail(r, "too_large", "an event of the upstream is larger than 8 MB");
    else
        fail(r, "no_memory", "out of memory in an event stream");
    return RELAY_FAIL;
}

// Uses what is there. RELAY_WAIT: all is used up.
static enum relay_result use(relay *r, enum relay_want want)
{
    enum program_result result = PROGRAM_MORE;
    if (want == RELAY_FIRST) {
        result = program_peek(r->state);
        if (result == PROGRAM_MORE && r->raw_size > RELAY_KEEP_BYTES)
            result = PROGRAM_TOO_LARGE;
    } else {
        if (r->raw_size > 0)
            forward_raw(r);
        if (r->state && !r->code) {
            bytes *out = gather();
            result = out ? program_next(r->state, &scratch, out) : PROGRAM_NO_MEMORY;
            if (out)
                send_gathered(r, result != PROGRAM_WAKE);
        }
    }
    if (r->state && r->state->events != r->seen_events) {
        r->seen_events = r->state->events;
        r->content_at_ms = rt_now_ms();
    }
    if (r->code)
        return RELAY_FAIL;
    if (result == PROGRAM_WAKE)
        return RELAY_EVENT;
    if (result != PROGRAM_MORE)
        return fail_result(r, result);
    return RELAY_WAIT;
}

// What stands at the end of all that has come.
static enum relay_result end_result(relay *r)
{
    if (r->code)
        return RELAY_FAIL;
    if (!r->is_ended)
        return RELAY_WAIT;
    if (r->end_code) {
        r->code = r->end_code;
        return RELAY_FAIL;
    }
    if (r->state && sse_end(&r->state->reader)) {
        r->is_cut = true; // the reader has forgotten it
        fail(r, "truncated", "the upstream's answer ended inside an event");
        return RELAY_FAIL;
    }
    return RELAY_END;
}

static void pause_call(relay *r)
{
    if (!r->is_paused && !r->is_ended)
        client_call_pause(r->call);
    r->is_paused = true;
}

static void resume_call(relay *r)
{
    if (!r->is_paused)
        return;
    r->is_paused = false;
    r->content_at_ms = rt_now_ms(); // its silence was ours
    if (!r->is_ended)
        client_call_resume(r->call);
}

static void drop_kept(relay *r)
{
    bytes_drop(r->kept);
    r->kept = NULL;
}

// One step: as far as the client takes it.
static enum relay_result step(relay *r, enum relay_want want)
{
    if (want != RELAY_FIRST && exchange_is_full(r->client)) {
        pause_call(r);
        return r->code ? RELAY_FAIL : RELAY_WAIT;
    }
    enum relay_result result = has_rest(r) ? use(r, want) : RELAY_WAIT;
    if (result != RELAY_WAIT)
        return result;
    if (!has_rest(r))
        drop_kept(r);
    result = end_result(r);
    if (result != RELAY_WAIT)
        return result;
    if (want != RELAY_FIRST && exchange_is_full(r->client))
        pause_call(r);
    else
        resume_call(r);
    return RELAY_WAIT;
}

// ---- waiting ----

static void on_time(rt_timer *timer);
static void on_drain(exchange *x, void *data);

static uint64_t due_ms(const relay *r)
{
    uint64_t due = r->content_at_ms + r->no_content_ms;
    if (r->ping_ms && r->want == RELAY_NEXT && r->written_at_ms + r->ping_ms < due)
        due = r->written_at_ms + r->ping_ms;
    return due;
}

static void start_timer(relay *r)
{
    uint64_t due = due_ms(r), now = rt_now_ms();
    rt_timer_start(&r->timer, due > now ? due - now : 0, on_time);
}

static enum relay_result begin(relay *r, exchange *x, enum relay_want want)
{
    r->client = x;
    if (client_call_is_closed(r->call))
        relay_close(r);
    enum relay_result result = step(r, want);
    if (result != RELAY_WAIT) {
        r->client = NULL;
        return result;
    }
    r->want = want;
    r->content_at_ms = rt_now_ms();
    if (r->state)
        start_timer(r);
    if (r->is_paused) {
        r->is_draining = true;
        exchange_on_drain(x, on_drain, r);
    }
    return RELAY_WAIT;
}

enum relay_result relay_first(relay *r, exchange *x)
{
    return begin(r, x, RELAY_FIRST);
}

enum relay_result relay_next(relay *r, exchange *x)
{
    return begin(r, x, RELAY_NEXT);
}

enum relay_result relay_copy(relay *r, exchange *x)
{
    return begin(r, x, RELAY_COPY);
}

// Goes on in a callback. The relay may be gone when it returns true.
static bool go_on(relay *r)
{
    enum relay_result result = step(r, r->want);
    if (result != RELAY_WAIT) {
        stop_waiting(r);
        r->on_ready(r, result);
        return true;
    }
    if (r->is_paused && !r->is_draining) {
        r->is_draining = true;
        exchange_on_drain(r->client, on_drain, r);
    }
    return false;
}

static void on_drain(exchange *x, void *data)
{
    relay *r = data;
    (void)x;
    r->is_draining = false;
    go_on(r);
}

static void on_time(rt_timer *timer)
{
    relay *r = (relay *)((char *)timer - offsetof(relay, timer));
    uint64_t now = rt_now_ms();
    if (r->is_paused) {
        r->content_at_ms = now; // it is the client who is slow; the server limits that
    } else if (now >= r->content_at_ms + r->no_content_ms) {
        fail(r, "timeout", "the upstream sent nothing but keep-alives for too long");
        go_on(r);
        return;
    }
    if (r->ping_ms && r->want == RELAY_NEXT && now >= r->written_at_ms + r->ping_ms) {
        if (relay_is_between(r) && !exchange_is_full(r->client)) {
            segment part = {.data = r->ping_text, .size = r->ping_size, .owner = NULL};
            if (exchange_write(r->client, &part, 1) != 0) {
                send_failed(r);
                go_on(r);
                return;
            }
        }
        r->written_at_ms = now;
    }
    start_timer(r);
}

bool relay_ping_every(relay *r, uint64_t interval_ms, const char *text, size_t size)
{
    char *copy = malloc(size ? size : 1);
    if (!copy)
        return false;
    memcpy(copy, text, size);
    free((char *)r->ping_text);
    r->ping_text = copy;
    r->ping_size = size;
    r->ping_ms = size ? interval_ms : 0;
    if (r->want != RELAY_NOTHING)
        start_timer(r);
    return true;
}

// ---- callbacks of the call ----

// Puts the bytes of a read behind what is kept; *data is then where they are.
static bool keep(relay *r, const char **data, size_t size)
{
    const char *before = r->kept ? r->kept->data : NULL;
    size_t before_size = r->kept ? r->kept->size : 0;
    if (!r->kept && !(r->kept = bytes_new(0)))
        return false;
    if (!bytes_append(r->kept, *data, size))
        return false;
    const char *after = r->kept->data;
    if (before && r->state)
        sse_move(&r->state->reader, &r->state->event, before, after, before_size);
    if (before && r->raw_size > 0)
        r->raw = after + (r->raw - before);
    *data = after + before_size;
    return true;
}

static void on_body(client_call *call, const char *data, size_t size)
{
    relay *r = client_call_owner(call);
    bool is_live = !r->kept; // the bytes are still only in the read buffer
    if (!is_live && !keep(r, &data, size)) {
        fail(r, "no_memory", "out of memory in an event stream");
    } else {
        if (r->state && sse_rest_size(&r->state->reader) > 0)
            sse_extend(&r->state->reader, size);
        else if (r->state)
            sse_feed(&r->state->reader, data, size);
        if (is_passing(r)) {
            r->raw = r->raw_size > 0 ? r->raw : data;
            r->raw_size += size;
        }
    }
    // A task that is woken here may end, and its relay with it: the sink then is detached from the call.
    bool is_gone = false;
    r->gone = &is_gone;
    if (r->want != RELAY_NOTHING)
        go_on(r);
    if (is_gone)
        return;
    r->gone = NULL;
    if (!has_rest(r))
        return;
    if (is_live) {
        const char *from = data;
        if (!keep(r, &data, size)) {
            fail(r, "no_memory", "out of memory in an event stream");
            return;
        }
        if (r->state)
            sse_move(&r->state->reader, &r->state->event, from, data, size);
        if (r->raw_size > 0)
            r->raw = data + (r->raw - from);
    }
    if (r->want != RELAY_FIRST)
        pause_call(r);
}

static void on_end(client_call *call)
{
    relay *r = client_call_owner(call);
    r->is_ended = true;
    if (r->want != RELAY_NOTHING)
        go_on(r);
}

static void on_error(client_call *call)
{
    relay *r = client_call_owner(call);
    const client_error *error = client_call_error(call);
    r->is_ended = true;
    if (!r->code) {
        r->end_code = error->code;
        r->phase = error->phase;
        free(r->message);
        r->message = strdup(error->message);
    }
    if (r->want != RELAY_NOTHING)
        go_on(r);
}
