// What the files of the client share (client.c, client_call.c, client_peer.c, client_request.c, client_trust.c,
// pool.c, proxy.c); nobody else includes it.
#ifndef MOONGATE_CLIENT_INTERNAL_H
#define MOONGATE_CLIENT_INTERNAL_H

#include "client.h"
#include "dial.h"
#include "rt.h"
#include "stream.h"

typedef struct peer peer;
typedef struct origin origin;
typedef struct trust trust;

// ---- proxy.c ----
typedef struct proxy {
    char *host;
    int port;
    char *authorization; // "Basic ..." or NULL
} proxy;
// NULL: understood as "no proxy"; *ok false: not understood. text: "http://[user:password@]host[:port]".
proxy *proxy_parse(const char *text, bool *ok);
void proxy_free(proxy *p);
// True where the list (as in NO_PROXY) names host[:port].
bool proxy_is_excluded(const char *list, const char *host, int port);

// ---- client_trust.c: TLS contexts, loaded on the thread pool, shared by clients with the same ca_file ----
typedef struct trust_waiter trust_waiter;
struct trust_waiter {
    trust_waiter *next, **link;
    void (*on_trust)(trust_waiter *w); // loaded, or failed: see trust_context()
};
trust *trust_hold(const char *ca_file); // NULL: the system's. Result NULL: no memory
void trust_drop(trust *t);
// True: loaded or failed already. Else w->on_trust() comes from the loop.
bool trust_wait(trust *t, trust_waiter *w);
void trust_cancel(trust_waiter *w);
tls_context *trust_context(trust *t, const char **message); // NULL: failed, *message tells why

// ---- a client and its origins (client.c, pool.c) ----
enum { ORIGIN_BUCKETS = 64 };

struct origin {
    origin *next; // in its bucket
    client *client;
    char *host; // without brackets
    int port;
    bool is_tls, is_proxied;
    char *host_header;
    peer *idle; // most recent first
    uint32_t idle_count, open_count;
    tls_ticket *ticket;
    uint32_t hash;
    size_t name_size;
    char name[]; // as in the request
};

struct client {
    size_t refs;
    client_options options;
    http1_limits limits;
    trust *trust;
    bool is_env_proxy;
    proxy *https_proxy, *http_proxy;
    char *no_proxy;
    origin *origins[ORIGIN_BUCKETS];
    uint32_t origin_count;
    client_stats stats;
};

// Finds or makes the origin. NULL: error is set.
origin *origin_get(client *c, const char *name, size_t size, client_error *error);
void origin_free(origin *o);
const proxy *origin_proxy(const origin *o); // NULL: direct
// Takes the most recently used idle connection, or NULL.
peer *pool_take(origin *o);
// Puts a connection into the pool, or closes it where the pool is full.
void pool_put(peer *k);
void pool_remove(peer *k); // an idle one that dies
void pool_close_all(origin *o);

// ---- connection (client_peer.c) ----
enum peer_state { DIALING, TRUSTING, TUNNELLING, SHAKING, IDLE, BUSY, GONE };

struct peer {
    stream s;
    origin *origin;        // NULL: closing
    client_call *call;     // NULL while idle, and when the call went away
    peer *next, *previous; // in the pool
    rt_timer idle_timer;
    http1 parser;
    dial *dialing;
    trust_waiter trusting;
    enum peer_state state;
    bool keeps_alive; // the answer's head said so
    char *lent;       // where the read under way goes, of the call's receiver
};

// Opens a connection for the call; its outcome comes later. False: no memory.
bool peer_open(client_call *call);
// Sends the call's request on an idle (or just opened) connection.
void peer_use(peer *k, client_call *call);
void peer_close(peer *k);

// ---- calls (client_call.c) ----
enum call_state { CONNECTING, WAITING /* for the head */, RECEIVING, ENDED, FAILED };

struct client_call {
    size_t refs; // the owner, and who is in the middle of a callback
    client *client;
    origin *origin;
    peer *connection;
    const client_callbacks *on;
    void *owner;
    rt_timer timer;
    rt_soon soon;                  // tells what is known
    uint64_t started_ms, phase_ms; // phase_ms: the last progress
    client_timeouts limits;
    http1_head *head;
    bytes *pending; // of the body: arrived, not handed on
    client_error *error;
    enum call_state state;
    int status;
    size_t pending_out; // at the last look of the timer
    bool is_closed, is_paused, is_receiving, is_reused, is_retried, is_answered, is_sent, is_body_sent;
    bool is_head_told, is_end_told;
    // the request
    sigv4_signer *signer;
    int64_t clock_offset_s;
    client_source *source; // NULL: none, or closed
    bool has_source, is_source_open /* started and wanted */;
    uint64_t source_sent; // bytes
    bool is_body_unsigned, has_body_sha256;
    uint8_t body_sha256[32];
    output *document;
    segment *parts; // body; each with an owner
    size_t part_count, body_size;
    void *request; // the block that the following point into; NULL once an answer has begun
    const char *method, *target;
    size_t method_size, target_size;
    client_header *headers;
    size_t header_count;
};

static inline void call_hold(client_call *call)
{
    call->refs++;
}
void call_release(client_call *call);
void call_phase(client_call *call, enum call_state state); // and restarts its clock
void call_fail(client_call *call, const char *code, const char *phase, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
// The connection broke: a transparent retry where that is right, else the call fails.
void call_broken(client_call *call, const char *code, const char *message);
void call_got_head(client_call *call, http1_head *head);
void call_got_body(client_call *call, const char *data, size_t size);
void call_tell(client_call *call); // hands on what there is; last use of call unless it is held
void call_close_source(client_call *call);

// ---- request (client_request.c) ----
// Copies the request into a new call. NULL: error is set.
client_call *call_new(client *c, const client_request *request, client_error *error);
void call_free_request(client_call *call);
// Writes head and body. 0 or a libuv error; or 1: it cannot be built, *code and *message tell.
// Only builds it, to find out early. False: *code and *message tell.
bool call_check_request(client_call *call, const char **code, const char **message);
int call_write_request(client_call *call, stream *s, const char **code, const char **message);
void client_error_set(client_error *e, const char *code, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
