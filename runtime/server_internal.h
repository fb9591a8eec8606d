// server_internal: what the server*.c files and its binding share.
//   server.c           listener, limits, drain, life
//   server_connection.c reading, pipelining, deadlines, refusals, lingering
//   server_body.c      request bodies, whole or streamed
//   server_answer.c     heads, chunks, gathered writes
//   server_exchange.c   life of an exchange, what can be asked of it
#ifndef MOONGATE_SERVER_INTERNAL_H
#define MOONGATE_SERVER_INTERNAL_H

#include "core/sha256.h"
#include "rt.h"
#include "server.h"
#include "stream.h"

typedef struct connection connection;

struct server {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } listener;
    const server_callbacks *on;
    void *owner;
    server_limits limits;
    char **exempt;    // copied, ended by NULL
    tls_context *tls; // NULL: plain
    server_stats stats;
    connection *first;
    rt_timer drain_timer, accept_timer;
    uint32_t refused_open; // connections that only get their 503
    uint64_t descriptor_limit;
    int cut; // connections cut at the end of a drain
    bool is_pipe, is_listening, is_listener_open, is_draining, is_drained, is_freed;
    bool is_full;  // a connection waits in libuv's hands
    bool is_short; // of descriptors, at the last look
};

enum connection_state {
    CONNECTION_READING,   // between requests, or within a head
    CONNECTION_BUSY,      // has an exchange
    CONNECTION_LINGERING, // all is answered; reads on so that the client can read the answer
    CONNECTION_CLOSED,    // waits for on_closed()
};

struct connection {
    stream stream; // first
    http1 parser;
    server *server;
    connection *next, **link;
    exchange *x; // CONNECTION_BUSY
    rt_timer timer;
    rt_soon soon; // to go on with `rest` at the end of this turn, or to send what is queued
    bytes *inbox; // holds `rest` between reads
    char *rest;   // bytes read and not used: in the inbox, or in the read buffer during on_data()
    size_t rest_size;
    uint64_t since_ms;       // reading: since the first byte, or since idle; lingering: since
    uint64_t stall_since_ms; // with is_stalling: no byte was taken since
    uint64_t stall_taken;    // bytes the kernel had taken then
    uint32_t lingered_bytes;
    uint8_t state;
    bool is_stalling, is_running, is_refused;
    bool is_shaking; // the TLS handshake is under way: nothing may be written
};

// A body being read whole.
typedef struct body_job {
    bytes *body;
    exchange_on_body on_body;
    sha256 hash;
    bool is_hashing;
} body_job;

enum body_mode { BODY_UNREAD, BODY_WHOLE, BODY_STREAMED, BODY_GIVEN_UP };

struct exchange {
    connection *connection; // NULL: answered, or gone
    server *server;
    http1_head *head;
    void *data;
    void (*on_drain)(exchange *x, void *data);
    void *drain_data;
    body_job *job;       // BODY_WHOLE and not complete
    exchange_sink *sink; // BODY_STREAMED and not over
    uint64_t body_limit, body_size;
    uint64_t body_since_ms; // the body's rate is counted from here
    uint64_t paused_at_ms;
    bytes *head_out; // started, head not sent yet
    bytes *queued;   // body of the answer, waits for a write or the end of the turn
    uint64_t bytes_out;
    exchange *next_free;
    int status;
    uint8_t body_mode, minor;
    bool body_done, body_paused, expects_continue;
    bool is_head, keeps_alive, is_chunked, is_bodyless, is_started, is_finished, is_gone;
};

// ---- server_connection.c
extern const stream_callbacks connection_callbacks;
void connection_run(connection *c);    // uses `rest` as far as it goes
void connection_settle(connection *c); // keeps what is left, pauses or resumes reading
void connection_arm(connection *c, uint64_t delay_ms);
void connection_watch_stall(connection *c);            // after each write
void connection_answered(connection *c);               // the exchange has its whole answer: next request, or the end
void connection_lose(connection *c, const char *code); // broken: tells the exchange, closes
void connection_close(connection *c, bool with_reset); // without telling
void connection_refuse(connection *c, int status, const char *code, const char *message);
void connection_soon(connection *c);
// Sends a refusal as the answer of x (which must be unanswered).
void exchange_refuse(exchange *x, int status, const char *code, const char *message);

// ---- server_body.c
// Uses bytes of c->rest for the body of c->x; false: nothing more can be done now.
bool body_step(connection *c);
// on_data() into a buffer that body_lend() gave.
void body_arrived(connection *c, size_t size);
char *body_lend(connection *c, size_t *capacity);
bool body_is_lent(const connection *c, const char *data);
bool body_is_awaited(const exchange *x);
uint64_t body_due_ms(const exchange *x); // when its rate is too low
void body_fail(exchange *x, const char *code, const char *message);
void body_skip(exchange *x); // drops what is there of an unread body
void body_drop(exchange *x);

// ---- server_answer.c
bytes *answer_scratch(void);    // empty; valid until the next call
void answer_flush(exchange *x); // what is queued
exchange *exchange_new(connection *c);
// Writes a refusal's head and body into out; false: out of memory.
bool answer_put_refusal(bytes *out, server *s, server_refusal *r, bool keeps_alive, bool is_head);

// ---- server.c
void server_connection_closed(connection *c);

#endif
