// What l_tcp.c (connections) and l_tcp_listen.c (listeners) share.
#ifndef MOONGATE_BIND_TCP_H
#define MOONGATE_BIND_TCP_H

#include "dial.h"
#include "rt.h"
#include "stream.h"

#define CONN "rt.tcp.conn"
#define LISTENER "rt.tcp.listener"
#define INCOMING_BYTES ((size_t)256 * 1024)

typedef struct tcp_listener tcp_listener;

typedef struct tcp_conn {
    stream s;
    rt_wait reader; // read(), or the connect() that makes the conn
    rt_wait writer; // write() above the high water
    bytes *incoming;
    dial *dialing;
    tls_context *context; // until the handshake begins
    char *name;           // to verify
    tcp_listener *from;   // accepted there, and not taken yet
    struct tcp_conn *next;
    int error;
    bool is_ended, is_ready;
} tcp_conn;

struct tcp_listener {
    uv_tcp_t tcp;
    rt_wait acceptor;
    tls_context *context;
    tcp_conn *shaking;      // handshake under way
    tcp_conn *first, *last; // ready (or failed) and not taken yet
};

// nil, err for a libuv or TLS error.
int tcp_fail(lua_State *L, int rc, const char *what);
tcp_conn *tcp_conn_new(bool is_unix); // NULL: no memory
// The conn has its socket: begins TLS where it is wanted, else it is ready.
void tcp_begin(tcp_conn *c);
// The conn could not be made: who waits for it gets the error; there is no userdata yet.
void tcp_fail_making(tcp_conn *c, int rc);
void tcp_push_conn(lua_State *L, tcp_conn *c);
// Text of a table's field, or NULL; kept by the table.
const char *tcp_field_text(lua_State *L, int index, const char *name);

// An accepted conn is ready, or has failed: it goes to whoever accepts.
void tcp_offer(tcp_conn *c);
int l_tcp_listen(lua_State *L);
void tcp_add_listener_class(lua_State *L);

#endif
