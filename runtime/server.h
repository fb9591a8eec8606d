// server: HTTP/1.1 for many connections. A listener makes connections, a connection reads one request
// after the other (core/http1.h), an exchange is one request with its answer. This interface is for C:
// the binding (bind/l_server.c), the relay and the client use it; it knows nothing of Lua.
// Ownership: a server owns its connections; an exchange lives until exchange_release() by whoever took it
// in on_request(), and survives its connection: every function here may still be called then.
// Callbacks come from the loop, one at a time; none is made from inside a function of this page, except
// where its comment says so.
#ifndef MOONGATE_SERVER_H
#define MOONGATE_SERVER_H

#include <lua.h>
#include <uv.h>

#include "core/bytes.h"
#include "core/http1.h"

typedef struct server server;
typedef struct exchange exchange;

typedef struct server_limits {
    http1_limits http;
    uint32_t header_ms;          // from the first byte of a head to its end
    uint32_t body_grace_ms;      // before the body's rate counts
    uint32_t body_rate_bytes;    // per second, at least, after that
    uint32_t idle_ms;            // between requests, and before the first
    uint32_t stall_ms;           // the client takes no byte of its answer
    uint32_t linger_ms;          // how long a closing connection still reads, so that the answer is not lost
    uint32_t connections;        // above: 503 and close
    uint32_t concurrency;        // running exchanges; above: 503 with retry-after, at once
    uint32_t descriptor_reserve; // descriptors left for the rest of the process; fewer: 503 and close
    uint32_t pipeline_bytes;     // bytes read ahead of their use; above: reading stops
} server_limits;

extern const server_limits server_default_limits;

typedef struct server_header {
    const char *name;
    size_t name_size;
    const char *value;
    size_t value_size;
} server_header;

// What the server answers by itself, before and after on_refuse() shaped it.
typedef struct server_refusal {
    int status;
    const char *code, *message;
    const char *path; // NULL: not known
    size_t path_size;
    const server_header *headers; // from on_refuse()
    size_t header_count;
    const char *body; // NULL: the default, a small JSON object
    size_t body_size;
} server_refusal;

typedef struct server_callbacks {
    // A request's head is complete. The receiver owns x until exchange_release(); it may answer at once.
    void (*on_request)(server *s, exchange *x);
    // The client has gone ("client_closed"), takes nothing ("stalled"), or drain() ran out of time
    // ("draining"), before the answer was finished. Last of x's callbacks.
    void (*on_gone)(exchange *x, const char *code);
    // May set headers and body (valid until the next call). May be NULL.
    void (*on_refuse)(server *s, server_refusal *r);
    void (*on_accept_error)(server *s, int rc); // may be NULL
    // After server_close() or server_drain(): the last connection has gone. cut: exchanges that were cut.
    void (*on_drained)(server *s, int cut);
} server_callbacks;

typedef struct server_stats {
    uint64_t connections_total, requests_total, refused_total, shed_total, timeouts_total;
    uint32_t connections, exchanges;
    bool is_paused; // descriptors ran out: accepting waits
} server_stats;

// ---- server ----
// Exactly one of fd (>= 0), path and address is used; address is "127.0.0.1:8787", "[::]:0". The limits
// are copied. Returns 0 and sets *out, or a libuv error. exempt: paths that are never shed, ended by NULL.
typedef struct server_options {
    int fd;
    const char *address, *path;
    const char *certificate, *key; // PEM files; NULL: plain
    server_limits limits;
    const char *const *exempt;
    void *owner;
} server_options;
int server_listen(server **out, const server_options *options, const server_callbacks *on, char *error, size_t size);
void *server_owner(const server *s);
int server_port(const server *s); // 0 for a Unix socket
const server_stats *server_get_stats(server *s);
void server_close(server *s); // stops accepting; connections go on
// Stops accepting, closes idle connections, lets exchanges finish with "connection: close"; after limit_ms
// what is left is cut. on_drained() tells, never from inside this call.
void server_drain(server *s, uint64_t limit_ms);
bool server_is_idle(const server *s); // no listener, no connection
// Cuts everything and frees the server once its handles are closed. No callback is made any more.
void server_free(server *s);

// ---- request ----
// NULL after exchange_drop_head(). Offsets are in the head's block.
const http1_head *exchange_head(const exchange *x);
// Frees what the head holds (about 1 KB), for exchanges that run long.
void exchange_drop_head(exchange *x);
const char *exchange_peer(const exchange *x, char *text, size_t size); // "ip:port"; empty once it has gone
bool exchange_is_gone(const exchange *x);
void exchange_set_data(exchange *x, void *data);
void *exchange_data(const exchange *x);
server *exchange_server(const exchange *x);

// ---- request body: read whole, or streamed; the first call decides ----
// Reads the whole body into one buffer, hashed as it arrives where want_sha256. Sets *out (a reference of
// the caller's) and returns 0 when all is there; returns UV_EAGAIN when it is not: on_body() tells later,
// with the buffer (a reference) or NULL and a code. Returns UV_EFBIG at once when the body is larger than limit,
// UV_EALREADY when it was read before, UV_EPIPE when the client has gone, UV_ENOMEM.
typedef void (*exchange_on_body)(exchange *x, bytes *body, const char *code, const char *message);
int exchange_read_body(exchange *x, uint64_t limit, bool want_sha256, exchange_on_body on_body, bytes **out);
// Gives up a read under way; on_body() does not come any more.
void exchange_cancel_body(exchange *x);

// Who receives a streamed body. Codes of on_fail: too_large, timeout, bad_request. When the client goes, or once
// the answer is finished, the sink is forgotten; the task hears of a client that has gone (on_gone).
typedef struct exchange_sink exchange_sink;
struct exchange_sink {
    void (*on_data)(exchange_sink *k, const char *data, size_t size); // valid during the call
    void (*on_end)(exchange_sink *k);
    void (*on_fail)(exchange_sink *k, const char *code, const char *message);
};
// Sets the limit ahead of exchange_stream_body(). UV_EFBIG at once when the length given is larger.
int exchange_limit_body(exchange *x, uint64_t limit);
// Lets the body flow to k, within the smaller of limit and what exchange_limit_body() said. Data comes from the loop
// only, never inside this call, and stops between exchange_pause_body() and exchange_resume_body(): the client then
// feels the back-pressure. After on_end or on_fail the sink is forgotten. 0, UV_EFBIG, UV_EALREADY, UV_EPIPE as above.
int exchange_stream_body(exchange *x, uint64_t limit, exchange_sink *k);
void exchange_pause_body(exchange *x);
void exchange_resume_body(exchange *x);
void exchange_close_body(exchange *x); // the sink goes away; the rest of the body is not read

// ---- answer ----
// All of these return 0, UV_EPIPE when the client has gone, UV_EINVAL for a header that cannot be
// sent (nothing was sent then), UV_EALREADY for a second answer, UV_ENOMEM.
// content-length, transfer-encoding, date and connection are the server's: the caller's are skipped
// (but for "connection: close", which is obeyed).
// The whole answer: head and body leave in one system call. parts with an owner are not copied.
int exchange_respond(exchange *x, int status, const server_header *headers, size_t count, const segment *parts,
                     size_t part_count);
// Begins an answer of unknown length (chunked; HTTP/1.0: ended by closing). Nothing is sent before the first write.
int exchange_start(exchange *x, int status, const server_header *headers, size_t count);
// Sends parts, framed as one chunk, with all that was queued, in one system call. Empty parts send the head only.
int exchange_write(exchange *x, const segment *parts, size_t count);
// Copies data; it leaves with the next exchange_write() or at the end of this turn of the loop.
int exchange_queue(exchange *x, const char *data, size_t size);
// Sends what is queued and ends the answer. The connection takes the next request.
int exchange_finish(exchange *x);
// Cuts the connection so that the client sees a broken answer. Any time, any number of times.
void exchange_abort(exchange *x);
size_t exchange_pending(const exchange *x); // bytes that the kernel has not taken yet
bool exchange_is_full(const exchange *x);   // stop writing until on_drain
// Called once when no longer full. NULL: nobody.
void exchange_on_drain(exchange *x, void (*on_drain)(exchange *x, void *data), void *data);
bool exchange_is_started(const exchange *x);
bool exchange_is_finished(const exchange *x);
uint64_t exchange_bytes_out(const exchange *x); // head, framing and body handed to the connection
int exchange_status(const exchange *x);         // 0: none yet
// Ends the caller's part. An unanswered exchange is answered 500, a started one is aborted; a sink that still
// waits for the body is told (on_fail, from inside this call).
void exchange_release(exchange *x);

// ---- for other bindings (bind/l_server.c) ----
// The exchange behind a `req` of Lua; raises for anything else. NULL: its task is over.
exchange *exchange_check(lua_State *L, int index);
// The same without raising: NULL for anything else.
exchange *exchange_test(lua_State *L, int index);

#endif
