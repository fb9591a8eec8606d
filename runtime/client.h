// client: HTTP/1.1 requests to upstreams, for C (bind/l_client.c, the relay). A client holds settings and a pool of
// kept-alive connections per origin; a call is one request with its answer. Redirects are never followed.
// Ownership: clients are reference-counted (a call holds one). A call is its maker's until client_call_close(),
// which also cuts what is still under way. Callbacks come from the loop, never from inside a function of this page;
// each may close the call. One thread.
#ifndef MOONGATE_CLIENT_H
#define MOONGATE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lua.h>

#include "core/bytes.h"
#include "core/http1.h"
#include "core/sigv4.h"

typedef struct client client;
typedef struct client_call client_call;

// In ms. 0: the client's value, in a request; no limit, in a client.
typedef struct client_timeouts {
    uint64_t connect_ms;       // name, TCP, proxy and TLS together
    uint64_t first_byte_ms;    // from the last byte that left to the first that came
    uint64_t between_bytes_ms; // of the answer, and of the request while the peer takes nothing
    uint64_t total_ms;
} client_timeouts;

typedef struct client_options {
    client_timeouts timeouts;
    uint32_t max_idle_per_origin;
    uint64_t idle_timeout_ms;
    uint32_t max_response_head_bytes; // at most 65535
    const char *ca_file;              // PEM; NULL: the system's trust store
    const char *proxy; // NULL: none; "env": HTTPS_PROXY, HTTP_PROXY, NO_PROXY; or "http://[user:password@]host:port"
} client_options;

extern const client_options client_default_options;

typedef struct client_header {
    const char *name;
    size_t name_size;
    const char *value;
    size_t value_size;
} client_header;

// A request body that is produced while it is sent. start() is called once the head has left; the source then calls
// client_call_body() and, at the end, client_call_body_end(), from loop callbacks, and stops between pause() and
// resume(). close() is the last call, made exactly once: after the end, when the body is not wanted any more, and when
// client_send() fails.
typedef struct client_source client_source;
struct client_source {
    void (*start)(client_source *s, client_call *call);
    void (*pause)(client_source *s);
    void (*resume)(client_source *s);
    void (*close)(client_source *s);
    int64_t size; // bytes, or -1: not known (sent chunked)
};

// All is copied or referenced by client_send().
typedef struct client_request {
    const char *origin; // "https://host[:port]" or "http://..."
    size_t origin_size;
    const char *method;
    size_t method_size;
    const char *target; // path and query as sent
    size_t target_size;
    const client_header *headers; // host, content-length, accept-encoding, user-agent are added where they are missing;
    size_t header_count;          // framing and hop-by-hop ones are the client's: the caller's are left out
    const segment *parts;         // the body: parts with an owner are referenced, others copied; or
    size_t part_count;
    output *document; // the body as a document, referenced; or
    client_source *source;
    const uint8_t *body_sha256; // of the body, where it is known
    bool is_body_unsigned;      // signed with UNSIGNED-PAYLOAD
    sigv4_signer *signer;       // referenced; NULL: not signed
    int64_t clock_offset_s;     // see sigv4.h
    client_timeouts timeouts;
} client_request;

// Why a call failed. code: dns, connect, tls, timeout, reset, closed, bad_response, too_large, bad_request, no_memory,
// proxy.
typedef struct client_error {
    const char *code;
    const char *phase;  // of a timeout: connect, first_byte, between_bytes, total; else NULL
    const char *reason; // of tls: expired, wrong_name, ... (core/tls.h); else NULL
    bool is_sent;       // bytes of the request had left
    char message[256];
} client_error;

typedef struct client_callbacks {
    void (*on_head)(client_call *call); // the answer's head is there
    // Of the body, after client_call_receive(): once per read, chunks joined. data is valid during the call.
    void (*on_body)(client_call *call, const char *data, size_t size);
    void (*on_end)(client_call *call);
    void (*on_error)(client_call *call); // see client_call_error(); before the head, or after client_call_receive()
    // Room for body bytes of a known length, to be read into directly (on_body then gets that pointer), or NULL.
    char *(*lend)(client_call *call, size_t wanted, size_t *capacity);
} client_callbacks;

// NULL with a text in message: the proxy's address is not understood.
client *client_new(const client_options *options, char *message, size_t message_size);
client *client_hold(client *c);
void client_drop(client *c); // with the last reference its idle connections close

typedef struct client_stats {
    uint64_t calls, connects, reuses, retries, resumptions; // since the start
    uint32_t idle, open;                                    // connections now
} client_stats;
client_stats client_get_stats(const client *c);

// Starts a call. It takes over request->source. NULL: error tells why (bad_request, no_memory, or what the signer
// says); nothing was sent then.
client_call *client_send(client *c, const client_request *request, const client_callbacks *on, void *owner,
                         client_error *error);
// Ends the owner's part. What is not finished is cut: the upstream sees the connection close at once.
void client_call_close(client_call *call);

// Cuts what is not finished, as client_call_close() does, but keeps the call: it has then failed ("closed"), and no
// callback comes any more.
void client_call_abort(client_call *call);

// For who must know the call after its owner may have closed it (the relay): keeps the memory.
client_call *client_call_hold(client_call *call);
void client_call_drop(client_call *call);
bool client_call_is_closed(const client_call *call);

void *client_call_owner(const client_call *call);
// From on_head on; NULL before, and after client_call_drop_head().
const http1_head *client_call_head(const client_call *call);
// The answer may take long: its head keeps no more memory than it needs. It moves.
void client_call_fit(client_call *call);
void client_call_drop_head(client_call *call); // gives its memory back (about 1 KB)
int client_call_status(const client_call *call);
bool client_call_is_reused(const client_call *call);
const client_error *client_call_error(const client_call *call); // NULL: none
bool client_call_is_ended(const client_call *call); // the whole answer has arrived (and may wait to be taken)

// Lets the body flow to (new) callbacks: on_body, then on_end or on_error. Before this nothing is read beyond what
// came with the head.
void client_call_receive(client_call *call, const client_callbacks *on, void *owner);
// Stops and restarts the body. A pause that is over before more bytes arrive costs nothing.
void client_call_pause(client_call *call);
void client_call_resume(client_call *call);
// Takes what has arrived and was not handed on yet: a reference for the caller, or NULL. No callback comes for it.
bytes *client_call_take(client_call *call);
// Bytes of a body of known length that are still to come, else -1.
int64_t client_call_body_left(const client_call *call);

// For a client_source only. False: the call has failed or is closed, and wants no more.
bool client_call_body(client_call *call, const char *data, size_t size);
bool client_call_body_end(client_call *call);
// The source cannot go on: the call fails with this code and text.
void client_call_body_fail(client_call *call, const char *code, const char *message);

// ---- for other bindings (bind/l_client.c) ----
// The call behind a `call` of Lua, borrowed: keep the Lua value alive as long. Raises for anything else. NULL: closed.
client_call *client_call_check(lua_State *L, int index);

#endif
