// Exchanges: made by a connection, freed by who handles them; structs are pooled.
#include <stdlib.h>
#include <string.h>

#include "server_internal.h"

enum { MAX_POOLED = 256 };

static exchange *pool;
static int pooled;

exchange *exchange_new(connection *c)
{
    exchange *x = pool;
    if (x) {
        pool = x->next_free;
        pooled--;
    } else {
        x = malloc(sizeof(*x));
        if (!x)
            return NULL;
    }
    memset(x, 0, sizeof(*x));
    x->connection = c;
    x->server = c->server;
    x->head = http1_take_head(&c->parser);
    x->is_head = x->head->method_size == 4 && memcmp(x->head->block, "HEAD", 4) == 0;
    x->minor = x->head->minor;
    x->keeps_alive = x->head->keeps_alive;
    x->expects_continue = x->head->expects_continue;
    x->body_limit = UINT64_MAX;
    x->body_done = x->head->body == HTTP1_NO_BODY;
    c->x = x;
    c->server->stats.exchanges++;
    return x;
}

static void exchange_free(exchange *x)
{
    body_drop(x);
    http1_head_free(x->head);
    bytes_drop(x->head_out);
    bytes_drop(x->queued);
    x->server->stats.exchanges--;
    if (pooled >= MAX_POOLED) {
        free(x);
        return;
    }
    memset(x, 0, sizeof(*x));
    x->next_free = pool;
    pool = x;
    pooled++;
}

void exchange_release(exchange *x)
{
    if (x->connection && !x->is_finished) {
        if (x->is_started)
            exchange_abort(x);
        else
            exchange_refuse(x, 500, "internal", "the request could not be handled");
    }
    server *s = x->server;
    if (x->sink)
        body_fail(x, "client_closed", "the request is over");
    exchange_free(x);
    if (s->is_freed)
        server_free(s);
}

// ---- what can be asked

size_t exchange_pending(const exchange *x)
{
    size_t pending = x->queued ? x->queued->size : 0;
    return x->connection ? pending + stream_pending(&x->connection->stream) : 0;
}

bool exchange_is_full(const exchange *x)
{
    return x->connection && stream_is_full(&x->connection->stream);
}

void exchange_on_drain(exchange *x, void (*on_drain)(exchange *x, void *data), void *data)
{
    x->on_drain = on_drain;
    x->drain_data = data;
}

const http1_head *exchange_head(const exchange *x)
{
    return x->head;
}

void exchange_drop_head(exchange *x)
{
    http1_head_free(x->head);
    x->head = NULL;
}

const char *exchange_peer(const exchange *x, char *text, size_t size)
{
    text[0] = '\0';
    return x->connection ? stream_peer(&x->connection->stream, text, size) : text;
}

bool exchange_is_gone(const exchange *x)
{
    return x->is_gone;
}

bool exchange_is_started(const exchange *x)
{
    return x->is_started;
}

bool exchange_is_finished(const exchange *x)
{
    return x->is_finished;
}

uint64_t exchange_bytes_out(const exchange *x)
{
    return x->bytes_out;
}

int exchange_status(const exchange *x)
{
    return x->status;
}

void exchange_set_data(exchange *x, void *data)
{
    x->data = data;
}

void *exchange_data(const exchange *x)
{
    return x->data;
}

server *exchange_server(const exchange *x)
{
    return x->server;
}
