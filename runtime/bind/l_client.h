// What l_client.c and l_client_send.c share.
#ifndef MOONGATE_BIND_CLIENT_H
#define MOONGATE_BIND_CLIENT_H

#include "client.h"
#include "rt.h"

#define CLIENT "rt.client"
#define CALL "rt.client.call"

// A call as Lua holds it. Before the head arrives nobody but the waiting task knows of it.
typedef struct answer {
    client_call *call;
    rt_wait waiter; // send(), read() or read_body()
    bytes *body;    // read_body(): what has arrived; read(): what its reader did not get
    uint64_t limit; // of read_body(), in bytes
} answer;

// The request being read from a Lua table. One for the process: used up before anything can wait or raise again.
typedef struct send_scratch {
    client_request request;
    client_header headers[SIGV4_HEADERS_MAX];
    segment part;
    client_error error;
    int body_index; // of a `req` on the stack, 0: none
    uint64_t body_limit;
} send_scratch;

// Reads the table at index 2. Raises for what breaks the contract. Everything it points at is kept by that table.
send_scratch *send_read_request(lua_State *L);
// Makes the source of a streamed body. False: no memory.
bool send_make_source(lua_State *L, send_scratch *s);

#endif
