// Answers. A whole answer leaves as one writev of head and body. A started one keeps its head until the
// first bytes of the body are there; what is queued during a turn of the loop leaves as one chunk.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "server_internal.h"

enum { SPARE_QUEUE_BYTES = 16 * 1024 };

// Text is queued and sent within a turn of the loop: one buffer goes from exchange to exchange, and a quiet stream
// holds none.
static bytes *spare_queue;

bytes *answer_scratch(void)
{
    static bytes *scratch; // one thread, and no write outlives its call with it
    if (!scratch)
        scratch = bytes_new(4096);
    if (scratch)
        scratch->size = 0;
    return scratch;
}

// Room for count segments, valid until the next call.
static segment *scratch_parts(size_t count)
{
    static segment *parts;
    static size_t capacity;
    if (count > capacity) {
        segment *grown = realloc(parts, count * 2 * sizeof(*parts));
        if (!grown)
            return NULL;
        parts = grown;
        capacity = count * 2;
    }
    return parts;
}

// ---- heads

static bool is_named(const server_header *h, const char *name, size_t size)
{
    return h->name_size == size && strncasecmp(h->name, name, size) == 0;
}

// Headers that say how this message is framed, or that are for one hop: never the handler's business.
static bool is_ours(const server_header *h)
{
    switch (h->name_size) {
    case 2:
        return is_named(h, "te", 2);
    case 4:
        return is_named(h, "date", 4);
    case 7:
        return is_named(h, "trailer", 7) || is_named(h, "upgrade", 7);
    case 10:
        return is_named(h, "connection", 10) || is_named(h, "keep-alive", 10);
    case 14:
        return is_named(h, "content-length", 14);
    case 16:
        return is_named(h, "proxy-connection", 16);
    case 17:
        return is_named(h, "transfer-encoding", 17);
    default:
        return false;
    }
}

static bool asks_close(const server_header *h)
{
    return is_named(h, "connection", 10) && h->value_size == 5 && strncasecmp(h->value, "close", 5) == 0;
}

// The end of every head.
static bool put_rest(bytes *out, bool keeps_alive, int minor)
{
    static const char close[] = "connection: close\r\n", keep[] = "connection: keep-alive\r\n";
    return http1_put_date(out, time(NULL)) && (keeps_alive || bytes_append(out, close, sizeof(close) - 1)) &&
           (!keeps_alive || minor > 0 || bytes_append(out, keep, sizeof(keep) - 1)) && http1_put_end(out);
}

// Writes the head of x's answer. length < 0: unknown. 0, UV_EINVAL or UV_ENOMEM; out may then hold a part.
static int put_head(exchange *x, bytes *out, int status, const server_header *headers, size_t count, int64_t length)
{
    if (status < 200 || !http1_put_status(out, status))
        return UV_EINVAL;
    for (size_t i = 0; i < count; i++) {
        const server_header *h = &headers[i];
        if (is_ours(h)) {
            x->keeps_alive = x->keeps_alive && !asks_close(h);
            continue;
        }
        if (!http1_put_header(out, h->name, h->name_size, h->value, h->value_size))
            return UV_EINVAL;
    }
    x->is_bodyless = x->is_head || status == 204 || status == 304;
    x->is_chunked = length < 0 && x->minor > 0 && status != 204 && status != 304;
    if (length < 0 && x->minor == 0)
        x->keeps_alive = false; // the end of the body is the end of the connection
    body_skip(x);
    x->keeps_alive = x->keeps_alive && x->body_done && !x->server->is_draining;
    bool ok = true;
    if (x->is_chunked)
        ok = http1_put_header(out, "transfer-encoding", 17, "chunked", 7);
    else if (length >= 0 && status != 204 && status != 304)
        ok = http1_put_length(out, (uint64_t)length);
    return ok && put_rest(out, x->keeps_alive, x->minor) ? 0 : UV_ENOMEM;
}

bool answer_put_refusal(bytes *out, server *s, server_refusal *r, bool keeps_alive, bool is_head)
{
    char body[512];
    if (s->on->on_refuse && !s->is_freed)
        s->on->on_refuse(s, r);
    if (!r->body) {
        int size =
            snprintf(body, sizeof(body), "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}", r->code, r->message);
        r->body = body;
        r->body_size = (size_t)size < sizeof(body) ? (size_t)size : sizeof(body) - 1;
    }
    bool has_type = false, has_retry = false, ok = http1_put_status(out, r->status);
    for (size_t i = 0; i < r->header_count && ok; i++) {
        const server_header *h = &r->headers[i];
        has_type |= is_named(h, "content-type", 12);
        has_retry |= is_named(h, "retry-after", 11);
        if (!is_ours(h)) // one that cannot be sent is left out
            http1_put_header(out, h->name, h->name_size, h->value, h->value_size);
    }
    if (!has_type)
        ok = ok && http1_put_header(out, "content-type", 12, "application/json", 16);
    if (r->status == 503 && !has_retry)
        ok = ok && http1_put_header(out, "retry-after", 11, "1", 1);
    if (r->status == 405)
        ok = ok && http1_put_header(out, "allow", 5, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS", 44);
    ok = ok && http1_put_length(out, r->body_size) && put_rest(out, keeps_alive, 1);
    return ok && (is_head || bytes_append(out, r->body, r->body_size));
}

// ---- whole answers

static int check_unanswered(const exchange *x)
{
    if (x->is_gone)
        return UV_EPIPE;
    return x->is_started || x->is_finished || !x->connection ? UV_EALREADY : 0;
}

// All writes of an answer end here. 0 or UV_EPIPE.
static int send_parts(exchange *x, const segment *parts, size_t count)
{
    connection *c = x->connection;
    for (size_t i = 0; i < count; i++)
        x->bytes_out += parts[i].size;
    if (stream_write(&c->stream, parts, count) != 0) {
        connection_close(c, false);
        return UV_EPIPE;
    }
    connection_watch_stall(c);
    return 0;
}

int exchange_respond(exchange *x, int status, const server_header *headers, size_t count, const segment *parts,
                     size_t part_count)
{
    int rc = check_unanswered(x);
    if (rc != 0)
        return rc;
    bytes *out = answer_scratch();
    segment *list = scratch_parts(part_count + 1);
    if (!out || !list)
        return UV_ENOMEM;
    size_t size = 0;
    for (size_t i = 0; i < part_count; i++)
        size += parts[i].size;
    rc = put_head(x, out, status, headers, count, (int64_t)size);
    if (rc != 0)
        return rc;
    list[0] = (segment){out->data, out->size, NULL};
    size_t list_count = 1;
    for (size_t i = 0; i < part_count && !x->is_bodyless; i++)
        list[list_count++] = parts[i];
    x->is_started = true;
    x->status = status;
    connection *c = x->connection;
    rc = send_parts(x, list, list_count);
    if (rc == 0)
        connection_answered(c);
    return rc;
}

// ---- answers in pieces

int exchange_start(exchange *x, int status, const server_header *headers, size_t count)
{
    int rc = check_unanswered(x);
    if (rc != 0)
        return rc;
    bytes *out = answer_scratch();
    if (!out)
        return UV_ENOMEM;
    rc = put_head(x, out, status, headers, count, -1);
    if (rc != 0)
        return rc;
    x->head_out = bytes_copy(out->data, out->size);
    if (!x->head_out)
        return UV_ENOMEM;
    x->is_started = true;
    x->status = status;
    http1_head_fit(&x->head); // a stream may take long
    return 0;
}

static int check_started(const exchange *x)
{
    if (x->is_gone)
        return UV_EPIPE;
    return x->is_started && !x->is_finished && x->connection ? 0 : UV_EALREADY;
}

// Sends head, what is queued and parts, and the end of the answer, whatever of these there is.
static int send_all(exchange *x, const segment *parts, size_t count, bool is_end)
{
    char prefix[HTTP1_CHUNK_PREFIX_BYTES];
    segment *list = scratch_parts(count + 5);
    if (!list)
        return UV_ENOMEM;
    size_t size = x->queued && !x->is_bodyless ? x->queued->size : 0, at = 0;
    for (size_t i = 0; i < count && !x->is_bodyless; i++)
        size += parts[i].size;
    if (x->head_out)
        list[at++] = (segment){x->head_out->data, x->head_out->size, NULL};
    if (size > 0) {
        if (x->is_chunked)
            list[at++] = (segment){prefix, http1_chunk_prefix(prefix, size), NULL};
        if (x->queued)
            list[at++] = (segment){x->queued->data, x->queued->size, NULL};
        for (size_t i = 0; i < count; i++)
            list[at++] = parts[i];
    }
    if (x->is_chunked && !x->is_bodyless) {
        if (is_end && size > 0)
            list[at++] = (segment){"\r\n" HTTP1_LAST_CHUNK, 2 + sizeof(HTTP1_LAST_CHUNK) - 1, NULL};
        else if (is_end)
            list[at++] = (segment){HTTP1_LAST_CHUNK, sizeof(HTTP1_LAST_CHUNK) - 1, NULL};
        else if (size > 0)
            list[at++] = (segment){"\r\n", 2, NULL};
    }
    int rc = at > 0 ? send_parts(x, list, at) : 0;
    bytes_drop(x->head_out);
    x->head_out = NULL;
    if (x->queued) {
        if (!spare_queue && x->queued->capacity <= SPARE_QUEUE_BYTES) {
            spare_queue = x->queued;
            spare_queue->size = 0;
        } else {
            bytes_drop(x->queued);
        }
        x->queued = NULL;
    }
    return rc;
}

int exchange_write(exchange *x, const segment *parts, size_t count)
{
    int rc = check_started(x);
    return rc != 0 ? rc : send_all(x, parts, count, false);
}

int exchange_queue(exchange *x, const char *data, size_t size)
{
    int rc = check_started(x);
    if (rc != 0)
        return rc;
    if (x->is_bodyless)
        return 0;
    if (!x->queued) {
        x->queued = spare_queue ? spare_queue : bytes_new(0);
        spare_queue = NULL;
    }
    if (!x->queued)
        return UV_ENOMEM;
    if (!bytes_append(x->queued, data, size))
        return UV_ENOMEM;
    if (x->queued->size >= STREAM_LOW_WATER_BYTES)
        return send_all(x, NULL, 0, false);
    connection_soon(x->connection);
    return 0;
}

void answer_flush(exchange *x)
{
    connection *c = x->connection;
    if (!x->queued || x->queued->size == 0 || !c)
        return;
    if (send_all(x, NULL, 0, false) != 0 && !x->server->is_freed)
        x->server->on->on_gone(x, "client_closed");
}

int exchange_finish(exchange *x)
{
    int rc = check_started(x);
    if (rc != 0)
        return rc;
    connection *c = x->connection;
    rc = send_all(x, NULL, 0, true);
    if (rc == 0)
        connection_answered(c);
    return rc;
}

void exchange_abort(exchange *x)
{
    if (x->connection)
        connection_close(x->connection, true);
}
