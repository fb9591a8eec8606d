#include "client_exchange.h"

#include <stdlib.h>

typedef struct body {
    client_source source; // first: what the call sees
    exchange_sink sink;
    exchange *x; // NULL: its body has ended or failed
    client_call *call;
    uint64_t limit;
} body;

static body *of_sink(exchange_sink *k)
{
    return (body *)(void *)((char *)k - offsetof(body, sink));
}

static void on_data(exchange_sink *k, const char *data, size_t size)
{
    client_call_body(of_sink(k)->call, data, size); // false: the call has closed this source
}

static void on_end(exchange_sink *k)
{
    body *b = of_sink(k);
    b->x = NULL;
    client_call_body_end(b->call); // last use of b
}

static void on_fail(exchange_sink *k, const char *code, const char *message)
{
    body *b = of_sink(k);
    b->x = NULL;
    client_call_body_fail(b->call, code, message); // last use of b
}

static void start(client_source *s, client_call *call)
{
    body *b = (body *)s;
    b->call = call;
    int rc = exchange_stream_body(b->x, b->limit, &b->sink);
    if (rc == 0)
        return;
    b->x = NULL;
    client_call_body_fail(call,
                          rc == UV_EFBIG   ? "too_large"
                          : rc == UV_EPIPE ? "client_closed"
                                           : "bad_request",
                          rc == UV_EFBIG   ? "the body is too large"
                          : rc == UV_EPIPE ? "the client has gone"
                                           : "the body was read before");
}

static void pause_body(client_source *s)
{
    body *b = (body *)s;
    if (b->x)
        exchange_pause_body(b->x);
}

static void resume_body(client_source *s)
{
    body *b = (body *)s;
    if (b->x)
        exchange_resume_body(b->x);
}

static void end(client_source *s)
{
    body *b = (body *)s;
    if (b->x && b->call) // started
        exchange_close_body(b->x);
    free(b);
}

client_source *client_exchange_new(exchange *x, uint64_t limit)
{
    body *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    const http1_head *head = exchange_head(x);
    b->source = (client_source){.start = start, .pause = pause_body, .resume = resume_body, .close = end, .size = 0};
    if (head)
        b->source.size = head->body == HTTP1_CHUNKED ? -1 : head->content_length < 0 ? 0 : head->content_length;
    b->sink = (exchange_sink){.on_data = on_data, .on_end = on_end, .on_fail = on_fail};
    b->x = x;
    b->limit = limit;
    return &b->source;
}
