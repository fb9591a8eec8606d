// One connection to an origin: dial, CONNECT through a proxy, TLS, then requests one after the other. It belongs to
// its pool while idle and to one call while busy; its memory is the loop's until on_closed.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "client_internal.h"

static const stream_callbacks STREAM_CALLBACKS;

static const char *code_of(int rc)
{
    if (rc <= TLS_EXPIRED)
        return "tls";
    return rc == UV_ECONNRESET || rc == UV_EPIPE ? "reset" : rc == UV_EOF ? "closed" : "reset";
}

void peer_close(peer *k)
{
    if (k->state == GONE)
        return;
    bool is_idle = k->state == IDLE;
    if (is_idle)
        pool_remove(k);
    k->state = GONE;
    k->origin->open_count--;
    k->origin->client->stats.open--;
    k->origin = NULL;
    k->call = NULL;
    if (k->dialing)
        dial_cancel(k->dialing);
    k->dialing = NULL;
    trust_cancel(&k->trusting);
    if (is_idle && !k->s.is_ended && !k->s.is_broken)
        stream_close_flushed(&k->s); // says goodbye where there is TLS
    else
        stream_close(&k->s);
}

static void on_closed(stream *s)
{
    peer *k = s->owner;
    http1_free(&k->parser);
    free(k);
}

// ---- opening ----

static void fail_opening(peer *k, const char *code, const char *message)
{
    client_call *call = k->call;
    call_fail(call, code, NULL, "%s: %s", call->origin->name, message);
}

static void begin_request(peer *k)
{
    client_call *call = k->call;
    k->call = NULL;
    peer_use(k, call);
}

static void begin_tls(peer *k)
{
    origin *o = k->origin;
    const char *message;
    tls_context *context = trust_context(o->client->trust, &message);
    if (!context) {
        fail_opening(k, "tls", message);
        return;
    }
    if (o->ticket && !tls_ticket_is_fresh(o->ticket)) {
        tls_ticket_free(o->ticket);
        o->ticket = NULL;
    }
    k->state = SHAKING;
    tls_session *session = tls_session_new(context, o->host, o->ticket);
    if (!session || stream_start_tls(&k->s, session) != 0)
        fail_opening(k, "no_memory", "out of memory");
}

static void on_trust(trust_waiter *w)
{
    begin_tls((peer *)(void *)((char *)w - offsetof(peer, trusting)));
}

static void secure(peer *k)
{
    if (!k->origin->is_tls) {
        begin_request(k);
        return;
    }
    k->state = TRUSTING;
    k->trusting.on_trust = on_trust;
    if (trust_wait(k->origin->client->trust, &k->trusting))
        begin_tls(k);
}

static void begin_tunnel(peer *k)
{
    const proxy *p = origin_proxy(k->origin);
    char text[1024];
    bool is_v6 = strchr(k->origin->host, ':') != NULL;
    const char *open = is_v6 ? "[" : "", *close = is_v6 ? "]" : "", *host = k->origin->host;
    int port = k->origin->port;
    int size = snprintf(text, sizeof(text), "CONNECT %s%s%s:%d HTTP/1.1\r\nhost: %s%s%s:%d\r\n%s%s%s\r\n", open, host,
                        close, port, open, host, close, port, p->authorization ? "proxy-authorization: " : "",
                        p->authorization ? p->authorization : "", p->authorization ? "\r\n" : "");
    if (size >= (int)sizeof(text)) {
        fail_opening(k, "proxy", "host name or credentials are too long");
        return;
    }
    segment part = {text, (size_t)size, NULL};
    k->state = TUNNELLING;
    http1_answer_to_head(&k->parser, true); // an answer to CONNECT has no body where it succeeds
    int rc = stream_write(&k->s, &part, 1);
    if (rc != 0)
        fail_opening(k, "proxy", stream_error_text(rc));
}

static void on_dialed(void *owner, int fd, int rc, bool is_dns)
{
    peer *k = owner;
    k->dialing = NULL;
    if (fd >= 0 && (rc = stream_open(&k->s, fd)) != 0)
        close(fd);
    if (rc != 0)
        fail_opening(k, is_dns ? "dns" : "connect", stream_error_text(rc));
    else if (k->origin->is_tls && origin_proxy(k->origin))
        begin_tunnel(k);
    else
        secure(k);
}

bool peer_open(client_call *call)
{
    origin *o = call->origin;
    const proxy *p = origin_proxy(o);
    peer *k = calloc(1, sizeof(*k));
    if (!k)
        return false;
    k->dialing = dial_start(rt_loop(NULL), p ? p->host : o->host, p ? p->port : o->port, on_dialed, k);
    if (!k->dialing) {
        free(k);
        return false;
    }
    stream_init_tcp(&k->s, rt_loop(NULL), &STREAM_CALLBACKS, k);
    http1_init(&k->parser, true, &o->client->limits);
    k->origin = o;
    k->call = call;
    k->state = DIALING;
    call->connection = k;
    o->open_count++;
    o->client->stats.open++;
    o->client->stats.connects++;
    return true;
}

static void on_ready(stream *s)
{
    peer *k = s->owner;
    if (k->state != SHAKING)
        return;
    if (tls_is_resumed(stream_tls_session(s)))
        k->origin->client->stats.resumptions++;
    begin_request(k);
}

// TLS 1.3 sends tickets with the first bytes of data, 1.2 with the handshake.
static void keep_ticket(peer *k)
{
    tls_session *session = stream_tls_session(&k->s);
    tls_ticket *ticket = session && k->origin ? tls_take_ticket(session) : NULL;
    if (!ticket)
        return;
    tls_ticket_free(k->origin->ticket);
    k->origin->ticket = ticket;
}

// ---- requests ----

void peer_use(peer *k, client_call *call)
{
    const char *code, *message;
    k->call = call;
    k->state = BUSY;
    call->connection = k;
    http1_next(&k->parser);
    http1_answer_to_head(&k->parser, call->method_size == 4 && memcmp(call->method, "HEAD", 4) == 0);
    k->keeps_alive = false;
    call->state = WAITING;
    int rc = call_write_request(call, &k->s, &code, &message);
    if (rc == 1) { // nothing was written: the connection is as good as before
        k->call = NULL;
        call->connection = NULL;
        pool_put(k);
        call_fail(call, code, NULL, "%s: %s", call->origin->name, message);
        return;
    }
    if (rc != 0) {
        call_broken(call, code_of(rc), stream_error_text(rc));
        return;
    }
    call->is_sent = true;
    call->is_body_sent = !call->source;
    call->pending_out = stream_pending(&k->s);
    call_phase(call, WAITING);
    stream_resume(&k->s);
    if (call->source) {
        call->is_source_open = true;
        call->source->start(call->source, call);
    }
}

static bool is_identity(const http1_head *h)
{
    for (int i = -1; (i = http1_find(h, "content-encoding", 16, i + 1)) >= 0;) {
        const http1_header *value = http1_header_at(h, i);
        if (value->value_size != 0 &&
            (value->value_size != 8 || strncasecmp(http1_text(h, value->value_at), "identity", 8) != 0))
            return false;
    }
    return true;
}

// The answer is complete. The connection goes back to the pool if nothing is left over on it.
static void end_answer(peer *k, client_call *call, bool is_clean)
{
    bool is_whole = is_clean && k->keeps_alive && call->is_body_sent && stream_pending(&k->s) == 0 && !k->s.error &&
                    !k->s.is_ended && !k->s.is_broken;
    call->connection = NULL;
    k->call = NULL;
    call_close_source(call);
    call->state = ENDED;
    rt_timer_stop(&call->timer);
    if (is_whole) {
        http1_next(&k->parser);
        pool_put(k);
    } else {
        peer_close(k);
    }
}

static void on_tunnel_data(peer *k, const char *data, size_t size)
{
    size_t used = 0;
    char message[64];
    enum http1_event event = http1_parse(&k->parser, data, size, &used);
    if (event == HTTP1_MORE)
        return;
    int status = event == HTTP1_HEAD ? k->parser.head->status : 0;
    if (status < 200 || status > 299) {
        snprintf(message, sizeof(message), "the proxy answered CONNECT with status %d", status);
        fail_opening(k, "proxy", event == HTTP1_HEAD ? message : k->parser.message);
    } else if (used < size) {
        fail_opening(k, "proxy", "bytes of the proxy behind its answer to CONNECT");
    } else {
        http1_next(&k->parser);
        secure(k);
    }
}

// Reads the answer as far as it is there. The chunks of one read are joined where they lie, so that the body is told
// once. Callbacks may close the call, and with it the connection.
static void read_answer(peer *k, client_call *call, char *data, size_t size)
{
    enum http1_event event;
    char *body = data;
    size_t at = 0, body_size = 0;
    do {
        size_t used = 0;
        event = http1_parse(&k->parser, data + at, size - at, &used);
        if (event == HTTP1_HEAD) {
            k->keeps_alive = k->parser.head->keeps_alive;
            if (!is_identity(k->parser.head)) {
                call_fail(call, "bad_response", NULL, "%s: the answer has a content-encoding nobody asked for",
                          call->origin->name);
                return;
            }
            call_got_head(call, http1_take_head(&k->parser));
        } else if (event == HTTP1_BODY) {
            char *part = data + (k->parser.part - data);
            if (body_size == 0)
                body = part;
            else
                memmove(body + body_size, part, k->parser.part_size);
            body_size += k->parser.part_size;
        }
        at += used;
    } while (event == HTTP1_HEAD || event == HTTP1_BODY);
    if (body_size > 0)
        call_got_body(call, body, body_size);
    if (k->call != call)
        return;
    if (event == HTTP1_END)
        end_answer(k, call, at == size); // bytes behind the answer: nobody asked for them
    else if (event == HTTP1_ERROR)
        call_fail(call, strcmp(k->parser.code, "truncated") == 0 ? "closed" : "bad_response", NULL, "%s: %s",
                  call->origin->name, k->parser.message);
}

static void on_data(stream *s, char *data, size_t size)
{
    peer *k = s->owner;
    client_call *call = k->call;
    if (k->state == TUNNELLING) {
        on_tunnel_data(k, data, size);
        return;
    }
    if (k->state != BUSY || !call) { // bytes that answer nothing
        peer_close(k);
        return;
    }
    call_hold(call);
    if (!call->is_answered)
        keep_ticket(k); // now, not at the end: a stream may run for an hour
    call->is_answered = true;
    call->phase_ms = rt_now_ms();
    if (k->lent && data == k->lent) {
        bool is_end = http1_body_taken(&k->parser, size) == HTTP1_END;
        call_got_body(call, data, size);
        if (is_end && k->call == call)
            end_answer(k, call, true);
    } else {
        read_answer(k, call, data, size);
    }
    k->lent = NULL;
    bool has_news = (call->head && !call->is_head_told) || call->state == ENDED;
    if (k->call == call && call->state == RECEIVING && !call->is_receiving)
        stream_pause(s); // until somebody wants the body
    if (has_news)
        call_tell(call);
    call_release(call);
}

static char *on_lend(stream *s, size_t *capacity)
{
    enum { WORTH_IT_BYTES = 32 * 1024 }; // below, a copy costs less than the empty read that follows a full one
    peer *k = s->owner;
    client_call *call = k->call;
    k->lent = NULL;
    if (k->state != BUSY || !call || !call->is_receiving || !call->on->lend || call->pending ||
        k->parser.body != HTTP1_LENGTH || !http1_in_body(&k->parser) || k->parser.body_left < WORTH_IT_BYTES)
        return NULL;
    size_t left = k->parser.body_left < SIZE_MAX ? (size_t)k->parser.body_left : SIZE_MAX;
    k->lent = call->on->lend(call, left, capacity);
    if (k->lent && *capacity > left)
        *capacity = left;
    return k->lent;
}

static void on_end(stream *s)
{
    peer *k = s->owner;
    client_call *call = k->call;
    if (!call || k->state == IDLE) {
        peer_close(k);
        return;
    }
    if (k->state != BUSY) {
        fail_opening(k, k->state == TUNNELLING ? "proxy" : "closed", "the connection was closed");
        return;
    }
    call_hold(call);
    enum http1_event event = http1_eof(&k->parser);
    if (event == HTTP1_END)
        end_answer(k, call, false);
    else if (call->is_answered)
        call_fail(call, "closed", NULL, "%s: the connection was closed in the middle of the answer",
                  call->origin->name);
    else
        call_broken(call, "closed", "the connection was closed before an answer");
    if (call->state == ENDED)
        call_tell(call);
    call_release(call);
}

static void on_error(stream *s, int rc)
{
    peer *k = s->owner;
    client_call *call = k->call;
    char text[256] = "";
    if (!call || k->state == IDLE) {
        peer_close(k);
        return;
    }
    if (rc == TLS_TRUNCATED && k->state == BUSY && k->parser.body != HTTP1_UNTIL_CLOSE) {
        on_end(s); // many servers close so; where the length is known it makes no difference
        return;
    }
    if (k->state == BUSY) {
        call_broken(call, code_of(rc), stream_error_text(rc));
        return;
    }
    if (rc <= TLS_EXPIRED && stream_tls_session(s))
        tls_certificate_text(stream_tls_session(s), text, sizeof(text));
    fail_opening(k,
                 k->state == TUNNELLING ? "proxy"
                 : k->state == SHAKING  ? "tls"
                                        : "connect",
                 text[0] ? text : stream_error_text(rc));
}

static void on_drain(stream *s)
{
    peer *k = s->owner;
    client_call *call = k->call;
    if (!call)
        return;
    call->phase_ms = rt_now_ms();
    if (call->is_source_open)
        call->source->resume(call->source);
}

static const stream_callbacks STREAM_CALLBACKS = {
    .on_data = on_data,
    .on_end = on_end,
    .on_error = on_error,
    .on_drain = on_drain,
    .on_ready = on_ready,
    .lend = on_lend,
    .on_closed = on_closed,
};
