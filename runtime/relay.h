// relay: joins the answer of an upstream call (client.h) with a server exchange (server.h). As an event
// stream it runs a program (core/program.h) over what comes, in the loop and without Lua; whoever waits is
// called only for events that the program hands out. As a copy it moves any body.
//
// One upstream read leaves in one system call: translated text is gathered for it, passed bytes go straight
// from the read buffer to the socket, and only what the socket does not take is copied. When the client is
// slow the upstream is paused until the socket has drained; it is also paused, and the rest of the read
// kept, while nobody waits here for the next event.
//
// Ownership: the caller owns the relay, holds call and exchange alive, and frees the relay first. The relay
// touches the exchange only inside relay_next(), relay_emit() and while it waits (from a RELAY_WAIT until
// on_ready() or relay_cancel()).
#ifndef MOONGATE_RELAY_H
#define MOONGATE_RELAY_H

#include "client.h"
#include "core/program.h"
#include "rt.h"
#include "server.h"

enum {
    RELAY_KEEP_BYTES = SSE_LIMIT_BYTES + 1024 * 1024, // passed bytes held back by relay_first(), at most
    RELAY_NO_CONTENT_MS = 5 * 60 * 1000,              // nothing but keep-alives for so long: error
};

enum relay_want { RELAY_NOTHING, RELAY_FIRST, RELAY_NEXT, RELAY_COPY };

enum relay_result {
    RELAY_WAIT,  // on_ready() will tell
    RELAY_EVENT, // r->state->event is the caller's until the next call
    RELAY_END,   // the upstream's answer is over, cleanly
    RELAY_FAIL,  // r->code and r->message say why; stays so
};

typedef struct relay relay;
struct relay {
    exchange *client;     // while waiting, else NULL
    client_call *call;    // a reference
    program_state *state; // NULL: a copy
    bytes *kept;          // upstream bytes that could not be used at once
    const char *raw;      // pass mode and copy: what is not forwarded yet, in kept or in the running read
    size_t raw_size;
    const char *code;     // of an error that the caller was told, or is told next; static text
    const char *end_code; // how the upstream broke; told once all that came before is used
    const char *phase;    // of a timeout of the call: see client.h; else NULL
    char *message;
    void *owner;
    const char *ping_text;
    size_t ping_size;
    uint64_t ping_ms; // 0: no keep-alive
    uint64_t no_content_ms;
    uint64_t content_at_ms, written_at_ms;
    uint64_t seen_events;
    uint64_t copied_bytes; // of bodies and passed streams
    rt_timer timer;
    void (*on_ready)(relay *r, enum relay_result result); // the relay's last act in a callback: may free it
    bool *gone;                                           // set: tells a callback below us that the relay was freed
    enum relay_want want;
    bool is_ended, is_paused, is_draining;
    bool is_cut; // the upstream's answer ended inside an event
};

// Begins to receive the body of call. p NULL: an opaque body. NULL: out of memory.
relay *relay_new(client_call *call, program *p, void *owner, void (*on_ready)(relay *r, enum relay_result result));
void relay_free(relay *r); // closes the call if it is not over; never touches the exchange; NULL is fine
// Looks for the first event that is no keep-alive and leaves it for relay_next(). Nothing is forwarded.
enum relay_result relay_first(relay *r, exchange *x);
// Goes on to the next event that is the caller's, forwarding what comes before it.
enum relay_result relay_next(relay *r, exchange *x);
// Forwards everything until the end.
enum relay_result relay_copy(relay *r, exchange *x);
// Queues text for the client; it leaves with what comes next, at the latest at the end of this turn.
// 0 or what exchange_queue() returns.
int relay_emit(relay *r, exchange *x, const char *text, size_t size);
// Sends text (copied) whenever nothing was sent for interval_ms, between two events. 0: never.
bool relay_ping_every(relay *r, uint64_t interval_ms, const char *text, size_t size);
// The waiting caller has gone: closes the call. on_ready() does not come any more.
void relay_cancel(relay *r);
// Closes the call; what follows is RELAY_FAIL "closed".
void relay_close(relay *r);
// True where a frame may be put into the client's stream: no event is half sent.
bool relay_is_between(const relay *r);

#endif
