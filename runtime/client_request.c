// Building what is sent. The request is kept beside the call as one block (method, target, headers), because it may
// have to be written a second time, and freed once an answer has begun; the head's text is made anew each time, in a
// buffer that all calls share, because its signature holds the time.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "client_internal.h"

#define USER_AGENT "moongate"
#define MAX_HEADERS SIGV4_HEADERS_MAX

static bytes *shared_head; // empty between uses
static rt_closer head_closer;

void client_error_set(client_error *e, const char *code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    memset(e, 0, sizeof(*e));
    e->code = code;
    vsnprintf(e->message, sizeof(e->message), format, arguments);
    va_end(arguments);
}

static inline bool is_name(const client_header *h, const char *name, size_t size)
{
    return h->name_size == size && strncasecmp(h->name, name, size) == 0;
}

// Framing and connection handling are the client's own (RFC 9110 7.6.1); so are answers it could not decode.
static bool is_own(const client_header *h)
{
#define IS(literal) is_name(h, literal, sizeof(literal) - 1)
    return IS("connection") || IS("content-length") || IS("expect") || IS("keep-alive") || IS("te") || IS("trailer") ||
           IS("upgrade") || IS("transfer-encoding") || IS("proxy-connection") || IS("proxy-authorization");
#undef IS
}

static char *keep(char **at, const char *text, size_t size)
{
    char *copy = *at;
    memcpy(copy, text, size);
    *at += size;
    return copy;
}

static void put_header(client_call *call, const char *name, const char *value)
{
    call->headers[call->header_count++] = (client_header){name, strlen(name), value, strlen(value)};
}

static bool keep_body(client_call *call, const client_request *r)
{
    size_t copied = 0;
    call->source = r->source;
    call->has_source = r->source != NULL;
    call->is_body_unsigned = r->is_body_unsigned;
    if (r->body_sha256) {
        memcpy(call->body_sha256, r->body_sha256, sizeof(call->body_sha256));
        call->has_body_sha256 = true;
    }
    if (r->document) {
        call->document = output_hold(r->document);
        call->body_size = r->document->size;
        return true;
    }
    for (size_t i = 0; i < r->part_count; i++) {
        call->body_size += r->parts[i].size;
        copied += r->parts[i].owner ? 0 : r->parts[i].size;
    }
    if (r->part_count == 0)
        return true;
    bytes *copies = copied > 0 ? bytes_new(copied) : NULL;
    call->parts = malloc(r->part_count * sizeof(*call->parts));
    if (!call->parts || (copied > 0 && !copies)) {
        bytes_drop(copies);
        return false;
    }
    for (size_t i = 0; i < r->part_count; i++) {
        segment part = r->parts[i];
        if (!part.owner && part.size > 0) {
            part.data = copies->data + copies->size;
            memcpy(copies->data + copies->size, r->parts[i].data, part.size);
            copies->size += part.size;
            part.owner = copies;
        }
        if (part.owner)
            bytes_hold(part.owner);
        call->parts[call->part_count++] = part;
    }
    bytes_drop(copies);
    return true;
}

void call_free_request(client_call *call)
{
    for (size_t i = 0; i < call->part_count; i++)
        bytes_drop(call->parts[i].owner);
    free(call->parts);
    call->parts = NULL;
    call->part_count = 0;
    free(call->request);
    call->request = NULL;
    call->headers = NULL;
    call->header_count = 0;
    call->method = call->target = NULL;
    call->method_size = call->target_size = 0;
    output_drop(call->document);
    call->document = NULL;
    sigv4_signer_drop(call->signer);
    call->signer = NULL;
}

client_call *call_new(client *c, const client_request *r, client_error *error)
{
    size_t text = r->method_size + r->target_size;
    bool has_host = false, has_encoding = false, has_agent = false;
    for (size_t i = 0; i < r->header_count; i++)
        text += r->headers[i].name_size + r->headers[i].value_size;
    if (r->header_count > MAX_HEADERS - 4) {
        client_error_set(error, "bad_request", "more than %d headers", MAX_HEADERS - 4);
        goto fail;
    }
    size_t headers = (r->header_count + 3) * sizeof(client_header);
    client_call *call = zeroed(sizeof(*call));
    if (!call || !(call->request = malloc(headers + text)) || !keep_body(call, r)) {
        free(call ? call->request : NULL);
        free(call);
        client_error_set(error, "no_memory", "out of memory");
        goto fail;
    }
    call->headers = call->request;
    char *at = (char *)call->request + headers;
    call->method = keep(&at, r->method, r->method_size);
    call->method_size = r->method_size;
    call->target = keep(&at, r->target, r->target_size);
    call->target_size = r->target_size;
    for (size_t i = 0; i < r->header_count; i++) {
        const client_header *h = &r->headers[i];
        if (is_own(h) || (r->signer && sigv4_signer_owns(r->signer, (sigv4_text){h->name, h->name_size})))
            continue;
        has_host |= is_name(h, "host", 4);
        has_encoding |= is_name(h, "accept-encoding", 15);
        has_agent |= is_name(h, "user-agent", 10);
        call->headers[call->header_count++] = (client_header){keep(&at, h->name, h->name_size), h->name_size,
                                                              keep(&at, h->value, h->value_size), h->value_size};
    }
    call->client = client_hold(c);
    call->origin = origin_get(c, r->origin, r->origin_size, error);
    if (!call->origin) {
        client_drop(c);
        call_free_request(call);
        free(call);
        goto fail;
    }
    if (!has_host)
        put_header(call, "host", call->origin->host_header);
    if (!has_encoding)
        put_header(call, "accept-encoding", "identity");
    if (!has_agent)
        put_header(call, "user-agent", USER_AGENT);
    call->signer = r->signer ? sigv4_signer_hold(r->signer) : NULL;
    call->clock_offset_s = r->clock_offset_s;
    return call;

fail:
    if (r->source)
        r->source->close(r->source);
    return NULL;
}

static bool put_signature(client_call *call, bytes *head, const char **code, const char **message)
{
    sigv4_header headers[MAX_HEADERS];
    for (size_t i = 0; i < call->header_count; i++) {
        const client_header *h = &call->headers[i];
        headers[i] = (sigv4_header){{h->name, h->name_size}, {h->value, h->value_size}};
    }
    sigv4_request r = {
        .method = {call->method, call->method_size},
        .target = {call->target, call->target_size},
        .headers = headers,
        .header_count = call->header_count,
        .body_sha256 = call->has_body_sha256 ? call->body_sha256 : NULL,
        .body = call->document ? call->document->segments : call->parts,
        .body_count = call->document ? call->document->count : call->part_count,
        .is_body_unsigned = call->is_body_unsigned || (call->source && !call->has_body_sha256),
        .time_s = time(NULL),
        .clock_offset_s = call->clock_offset_s,
    };
    size_t room = sigv4_room(call->signer, headers, call->header_count), size = 0;
    if (!bytes_reserve(head, room)) {
        *code = "no_memory";
        *message = "out of memory";
        return false;
    }
    enum sigv4_error e = sigv4_sign(call->signer, &r, head->data + head->size, room, &size);
    if (e != SIGV4_OK) {
        *code = sigv4_error_code(e);
        *message = sigv4_error_text(e);
        return false;
    }
    head->size += size;
    return true;
}

static bool put_line(client_call *call, bytes *head)
{
    const proxy *p = call->origin->is_tls ? NULL : origin_proxy(call->origin);
    if (!p)
        return http1_put_request(head, call->method, call->method_size, call->target, call->target_size);
    // Plain http through a proxy: the target in absolute form (RFC 9112 3.2.2).
    return http1_is_token(call->method, call->method_size) && http1_is_target(call->target, call->target_size) &&
           bytes_append(head, call->method, call->method_size) && bytes_append(head, " http://", 8) &&
           bytes_append(head, call->origin->host_header, strlen(call->origin->host_header)) &&
           bytes_append(head, call->target, call->target_size) && bytes_append(head, " HTTP/1.1\r\n", 11) &&
           (!p->authorization ||
            http1_put_header(head, "proxy-authorization", 19, p->authorization, strlen(p->authorization)));
}

static bool put_framing(const client_call *call, bytes *head)
{
    if (call->source && call->source->size < 0)
        return http1_put_header(head, "transfer-encoding", 17, "chunked", 7);
    uint64_t size = call->source ? (uint64_t)call->source->size : call->body_size;
    bool is_bodiless = (call->method_size == 3 && memcmp(call->method, "GET", 3) == 0) ||
                       (call->method_size == 4 && memcmp(call->method, "HEAD", 4) == 0);
    return (size == 0 && is_bodiless) || http1_put_length(head, size);
}

static bool build(client_call *call, bytes *head, const char **code, const char **message)
{
    *code = "bad_request";
    *message = "method or target cannot be sent";
    if (!put_line(call, head))
        return false;
    *message = "a header cannot be sent";
    for (size_t i = 0; i < call->header_count; i++) {
        const client_header *h = &call->headers[i];
        if (!http1_put_header(head, h->name, h->name_size, h->value, h->value_size))
            return false;
    }
    return put_framing(call, head) && (!call->signer || put_signature(call, head, code, message)) &&
           http1_put_end(head);
}

static void free_shared_head(void)
{
    bytes_drop(shared_head);
    shared_head = NULL;
}

static bool build_shared(client_call *call, const char **code, const char **message)
{
    if (!shared_head) {
        shared_head = bytes_new(4096);
        rt_at_close(&head_closer, free_shared_head);
    }
    *code = "no_memory";
    *message = "out of memory";
    if (!shared_head)
        return false;
    shared_head->size = 0;
    return build(call, shared_head, code, message);
}

bool call_check_request(client_call *call, const char **code, const char **message)
{
    return build_shared(call, code, message);
}

int call_write_request(client_call *call, stream *s, const char **code, const char **message)
{
    enum { FEW = 15 };
    segment few[1 + FEW];
    const segment *body = call->document ? call->document->segments : call->parts;
    size_t count = call->document ? call->document->count : call->part_count;
    if (!build_shared(call, code, message))
        return 1;
    segment *parts = count <= FEW ? few : malloc((count + 1) * sizeof(*parts));
    if (!parts)
        return UV_ENOMEM;
    parts[0] = (segment){shared_head->data, shared_head->size, NULL}; // no owner: the stream copies what it keeps
    if (count > 0)
        memcpy(parts + 1, body, count * sizeof(*parts));
    int rc = stream_write(s, parts, count + 1);
    if (parts != few)
        free(parts);
    return rc;
}
