// rt.tcp: plain connections and listeners for tasks: the command line, specs, faulty peers. Optional TLS.
// Ownership: the loop owns a conn (and a listener) until its on_closed frees it; the userdata points at
// it and is NULL once closed. What arrives while nobody reads is kept in `incoming` up to a bound, then reading stops.
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dial.h"
#include "rt.h"
#include "stream.h"

#define CONN "rt.tcp.conn"
#define LISTENER "rt.tcp.listener"
#define INCOMING_BYTES ((size_t)256 * 1024)

typedef struct listener listener;

typedef struct conn {
    stream s;
    rt_wait reader; // read(), or the connect() that makes the conn
    rt_wait writer; // write() above the high water
    bytes *incoming;
    dial *dialing;
    tls_context *context; // until the handshake begins
    char *name;           // to verify
    listener *from;       // accepted there, and not taken yet
    struct conn *next;
    int error;
    bool is_ended, is_ready;
} conn;

struct listener {
    uv_tcp_t tcp;
    rt_wait acceptor;
    tls_context *context;
    conn *shaking;      // handshake under way
    conn *first, *last; // ready (or failed) and not taken yet
};

static void offer(conn *c);

// ---- results ----

static int fail_conn(lua_State *L, int rc, const char *what)
{
    if (rc <= TLS_EXPIRED)
        return rt_fail(L, "tls", "%s: %s (%s)", what, tls_error_text(rc), tls_error_name(rc));
    return rt_fail_uv(L, rc, what, "");
}

// Gives the reader what there is: data, then the end (nil), or the error. False: nothing yet.
static int push_incoming(conn *c, lua_State *L)
{
    if (c->incoming && c->incoming->size > 0) {
        lua_pushlstring(L, c->incoming->data, c->incoming->size);
        c->incoming->size = 0;
        stream_resume(&c->s);
        return 1;
    }
    if (c->error != 0)
        return fail_conn(L, c->error, "read");
    if (c->is_ended) {
        lua_pushnil(L);
        return 1;
    }
    return 0;
}

static void wake_reader(conn *c)
{
    if (!rt_waiting(&c->reader) || !c->is_ready)
        return;
    int count = push_incoming(c, c->reader.co);
    if (count > 0)
        rt_wake(&c->reader, count);
}

// ---- stream ----

static void on_data(stream *s, char *data, size_t size)
{
    conn *c = s->owner;
    if (!c->incoming)
        c->incoming = bytes_new(size);
    if (!c->incoming || !bytes_append(c->incoming, data, size))
        c->error = UV_ENOMEM;
    else if (c->incoming->size > INCOMING_BYTES)
        stream_pause(s);
    wake_reader(c);
}

static void on_end(stream *s)
{
    conn *c = s->owner;
    c->is_ended = true;
    wake_reader(c);
}

// The conn could not be made: who waits for it gets the error; there is no userdata yet.
static void fail_making(conn *c, int rc)
{
    c->error = rc;
    if (c->from) {
        offer(c);
        return;
    }
    stream_close(&c->s);
    if (rt_waiting(&c->reader))
        rt_wake(&c->reader, fail_conn(c->reader.co, rc, "connect"));
}

static void on_error(stream *s, int rc)
{
    conn *c = s->owner;
    c->error = rc;
    if (!c->is_ready) {
        fail_making(c, rc);
        return;
    }
    if (rt_waiting(&c->writer))
        rt_wake(&c->writer, fail_conn(c->writer.co, rc, "write"));
    wake_reader(c); // c is freed in a later turn at the earliest
}

static void on_drain(stream *s)
{
    conn *c = s->owner;
    if (rt_waiting(&c->writer))
        rt_wake(&c->writer, rt_true(c->writer.co));
}

static void on_closed(stream *s)
{
    conn *c = s->owner;
    bytes_drop(c->incoming);
    tls_context_drop(c->context);
    free(c->name);
    free(c);
}

static void push_conn(lua_State *L, conn *c)
{
    conn **slot = lua_newuserdata(L, sizeof(conn *));
    *slot = c;
    luaL_getmetatable(L, CONN);
    lua_setmetatable(L, -2);
}

static void on_ready(stream *s)
{
    conn *c = s->owner;
    c->is_ready = true;
    if (c->from) {
        offer(c);
        return;
    }
    push_conn(c->reader.co, c);
    rt_wake(&c->reader, 1);
}

static const stream_callbacks CALLBACKS = {.on_data = on_data,
                                           .on_end = on_end,
                                           .on_error = on_error,
                                           .on_drain = on_drain,
                                           .on_ready = on_ready,
                                           .on_closed = on_closed};

static conn *conn_new(bool is_unix)
{
    conn *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    if (is_unix)
        stream_init_pipe(&c->s, rt_loop(NULL), &CALLBACKS, c);
    else
        stream_init_tcp(&c->s, rt_loop(NULL), &CALLBACKS, c);
    return c;
}

// Begins TLS where it is wanted, else the conn is ready.
static void begin(conn *c)
{
    tls_session *session = NULL;
    if (!c->context) {
        on_ready(&c->s);
        return;
    }
    session = tls_session_new(c->context, c->name, NULL);
    int rc = session ? stream_start_tls(&c->s, session) : UV_ENOMEM;
    if (rc != 0)
        fail_making(c, rc);
}

// ---- connect ----

static void on_dialed(void *owner, int fd, int rc, bool is_dns)
{
    conn *c = owner;
    c->dialing = NULL;
    if (fd >= 0 && (rc = stream_open(&c->s, fd)) != 0)
        close(fd);
    if (rc != 0)
        fail_making(c, is_dns ? UV_EAI_NONAME : rc);
    else
        begin(c);
}

static void on_making_cancelled(rt_wait *w)
{
    conn *c = (conn *)(void *)((char *)w - offsetof(conn, reader));
    if (c->is_ready)
        return;     // a read(): the conn stays
    if (c->dialing) // else: the handshake
        dial_cancel(c->dialing);
    c->dialing = NULL;
    stream_close(&c->s);
}

static const char *field_text(lua_State *L, int index, const char *name)
{
    lua_getfield(L, index, name);
    const char *text = luaL_optstring(L, -1, NULL);
    lua_pop(L, 1); // still in the table
    return text;
}

// tcp.connect(host | "unix:path", port[, { ca_file = path, name = host to verify }]) -> conn | nil, err. With a
// table TLS is spoken, and the peer verified (err.code "tls").
static int l_connect(lua_State *L)
{
    const char *host = luaL_checkstring(L, 1);
    int port = (int)luaL_optinteger(L, 2, 0);
    bool is_unix = strncmp(host, DIAL_UNIX, sizeof(DIAL_UNIX) - 1) == 0;
    luaL_argcheck(L, is_unix || (port > 0 && port < 65536), 2, "port");
    rt_check_task(L);
    tls_context *context = NULL;
    const char *name = host;
    if (lua_istable(L, 3)) {
        char message[256];
        const char *ca_file = field_text(L, 3, "ca_file"), *given = field_text(L, 3, "name");
        name = given ? given : host;
        context = tls_client_context_new(ca_file, message, sizeof(message));
        if (!context)
            return rt_fail(L, "tls", "%s", message);
    }
    conn *c = conn_new(is_unix);
    if (!c) {
        tls_context_drop(context);
        return rt_fail(L, "no_memory", "connect");
    }
    c->context = context;
    c->name = strdup(name);
    c->dialing = c->name ? dial_start(rt_loop(L), host, port, on_dialed, c) : NULL;
    if (!c->dialing) {
        stream_close(&c->s);
        return rt_fail(L, "no_memory", "connect");
    }
    c->reader.on_cancel = on_making_cancelled;
    return rt_park(L, &c->reader);
}

// ---- conn ----

static conn *check_conn(lua_State *L)
{
    return *(conn **)luaL_checkudata(L, 1, CONN);
}

// conn:read() -> bytes as a string | nil at the end | nil, err
static int l_read(lua_State *L)
{
    conn *c = check_conn(L);
    if (!c)
        return rt_fail(L, "closed", "read: connection closed");
    if (rt_waiting(&c->reader))
        return luaL_error(L, "conn:read: another task already waits");
    int count = push_incoming(c, L);
    if (count > 0)
        return count;
    rt_check_task(L);
    rt_hold(L, &c->reader, 1);
    return rt_park(L, &c->reader);
}

// conn:write(string) -> true | nil, err. Waits while more than 256 KiB is on its way.
static int l_write(lua_State *L)
{
    conn *c = check_conn(L);
    segment part = {NULL, 0, NULL};
    part.data = luaL_checklstring(L, 2, &part.size);
    if (!c)
        return rt_fail(L, "closed", "write: connection closed");
    if (rt_waiting(&c->writer))
        return luaL_error(L, "conn:write: another task already waits");
    int rc = stream_write(&c->s, &part, 1);
    if (rc != 0)
        return fail_conn(L, rc, "write");
    if (!stream_is_full(&c->s))
        return rt_true(L);
    rt_check_task(L);
    rt_hold(L, &c->writer, 1);
    return rt_park(L, &c->writer);
}

// conn:shutdown() ends the sending half.
static int l_shutdown(lua_State *L)
{
    conn *c = check_conn(L);
    if (c)
        stream_shutdown(&c->s);
    return 0;
}

// Ends the waits of other tasks on a conn that closes. c is freed in a later turn of the loop.
static void end_waits(conn *c)
{
    if (rt_waiting(&c->reader))
        rt_wake(&c->reader, rt_fail(c->reader.co, "closed", "connection closed"));
    if (rt_waiting(&c->writer))
        rt_wake(&c->writer, rt_fail(c->writer.co, "closed", "connection closed"));
}

// conn:close() flushes what was written and closes; conn:reset() cuts the connection with RST.
static int l_close(lua_State *L)
{
    conn **slot = luaL_checkudata(L, 1, CONN), *c = *slot;
    *slot = NULL;
    if (!c)
        return 0;
    stream_close_flushed(&c->s);
    end_waits(c);
    return 0;
}

static int l_reset(lua_State *L)
{
    conn **slot = luaL_checkudata(L, 1, CONN), *c = *slot;
    *slot = NULL;
    if (!c)
        return 0;
    stream_reset(&c->s);
    end_waits(c);
    return 0;
}

static int l_conn_gc(lua_State *L)
{
    conn **slot = luaL_checkudata(L, 1, CONN), *c = *slot;
    *slot = NULL;
    if (c)
        stream_close(&c->s);
    return 0;
}

// conn:peer() -> "ip:port"
static int l_peer(lua_State *L)
{
    conn *c = check_conn(L);
    char text[64] = "";
    lua_pushstring(L, c ? stream_peer(&c->s, text, sizeof(text)) : "");
    return 1;
}

// conn:tls() -> version, is_resumed | nil
static int l_tls(lua_State *L)
{
    conn *c = check_conn(L);
    tls_session *session = c ? stream_tls_session(&c->s) : NULL;
    if (!session)
        return 0;
    lua_pushstring(L, tls_version(session));
    lua_pushboolean(L, tls_is_resumed(session));
    return 2;
}

// ---- listener ----

static void on_listener_closed(uv_handle_t *h)
{
    listener *l = h->data;
    tls_context_drop(l->context);
    free(l);
}

static void take_out(conn **list, conn *c)
{
    for (; *list; list = &(*list)->next) {
        if (*list == c) {
            *list = c->next;
            c->next = NULL;
            return;
        }
    }
}

// Pushes the accepted conn, or why it could not be made.
static int push_accepted(lua_State *L, conn *c)
{
    c->from = NULL;
    if (c->is_ready) {
        push_conn(L, c);
        return 1;
    }
    stream_close(&c->s);
    return fail_conn(L, c->error, "accept");
}

static void offer(conn *c)
{
    listener *l = c->from;
    take_out(&l->shaking, c);
    if (rt_waiting(&l->acceptor)) {
        rt_wake(&l->acceptor, push_accepted(l->acceptor.co, c));
        return;
    }
    if (l->first)
        l->last->next = c;
    else
        l->first = c;
    l->last = c;
}

static void on_connection(uv_stream_t *tcp, int rc)
{
    listener *l = tcp->data;
    conn *c = rc == 0 ? conn_new(false) : NULL;
    if (!c)
        return; // the client went away before it was accepted
    c->from = l;
    c->context = l->context ? tls_context_hold(l->context) : NULL;
    c->next = l->shaking;
    l->shaking = c;
    rc = stream_accept(&c->s, tcp);
    if (rc != 0)
        fail_making(c, rc);
    else
        begin(c);
}

// tcp.listen(address, port | 0[, { certificate = pem path, key = pem path }]) -> listener | nil, err
static int l_listen(lua_State *L)
{
    const char *host = luaL_checkstring(L, 1);
    int port = (int)luaL_optinteger(L, 2, 0);
    struct sockaddr_storage address;
    if (uv_ip4_addr(host, port, (struct sockaddr_in *)&address) != 0 &&
        uv_ip6_addr(host, port, (struct sockaddr_in6 *)&address) != 0)
        return luaL_argerror(L, 1, "an IP address");
    tls_context *context = NULL;
    if (lua_istable(L, 3)) {
        char message[256];
        const char *certificate = field_text(L, 3, "certificate"), *key = field_text(L, 3, "key");
        luaL_argcheck(L, certificate && key, 3, "certificate and key");
        context = tls_server_context_new(certificate, key, message, sizeof(message));
        if (!context)
            return rt_fail(L, "tls", "%s", message);
    }
    listener **slot = lua_newuserdata(L, sizeof(*slot));
    *slot = NULL;
    luaL_getmetatable(L, LISTENER);
    lua_setmetatable(L, -2);
    listener *l = calloc(1, sizeof(*l));
    if (!l) {
        tls_context_drop(context);
        return rt_fail(L, "no_memory", "listen");
    }
    uv_tcp_init(rt_loop(L), &l->tcp);
    l->tcp.data = l;
    l->context = context;
    int rc = uv_tcp_bind(&l->tcp, (struct sockaddr *)&address, 0);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&l->tcp, 128, on_connection);
    if (rc != 0) {
        uv_close((uv_handle_t *)&l->tcp, on_listener_closed);
        return rt_fail_uv(L, rc, "listen", host);
    }
    *slot = l;
    return 1;
}

static listener *check_listener(lua_State *L)
{
    return *(listener **)luaL_checkudata(L, 1, LISTENER);
}

// listener:accept() -> conn | nil, err. With TLS the handshake is done, or err.code is "tls".
static int l_accept(lua_State *L)
{
    listener *l = check_listener(L);
    rt_check_task(L);
    if (!l)
        return rt_fail(L, "closed", "accept: listener closed");
    if (rt_waiting(&l->acceptor))
        return luaL_error(L, "listener:accept: another task already waits");
    conn *c = l->first;
    if (c) {
        l->first = c->next;
        c->next = NULL;
        return push_accepted(L, c);
    }
    rt_hold(L, &l->acceptor, 1);
    return rt_park(L, &l->acceptor);
}

static int l_port(lua_State *L)
{
    listener *l = check_listener(L);
    struct sockaddr_storage address;
    int size = sizeof(address);
    if (!l || uv_tcp_getsockname(&l->tcp, (struct sockaddr *)&address, &size) != 0)
        return 0;
    lua_pushinteger(L, ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                                           : ((struct sockaddr_in *)&address)->sin_port));
    return 1;
}

static int l_listener_close(lua_State *L)
{
    listener **slot = luaL_checkudata(L, 1, LISTENER), *l = *slot;
    *slot = NULL;
    if (!l)
        return 0;
    for (int i = 0; i < 2; i++) {
        for (conn *c = i ? l->first : l->shaking, *next; c; c = next) {
            next = c->next;
            stream_close(&c->s);
        }
    }
    rt_wait *acceptor = &l->acceptor; // l lives until on_listener_closed(), in a later turn
    uv_close((uv_handle_t *)&l->tcp, on_listener_closed);
    if (rt_waiting(acceptor))
        rt_wake(acceptor, rt_fail(acceptor->co, "closed", "listener closed"));
    return 0;
}

static int open_tcp(lua_State *L)
{
    static const luaL_Reg conn_methods[] = {{"read", l_read},   {"write", l_write}, {"shutdown", l_shutdown},
                                            {"close", l_close}, {"reset", l_reset}, {"peer", l_peer},
                                            {"tls", l_tls},     {NULL, NULL}};
    static const luaL_Reg listener_methods[] = {
        {"accept", l_accept}, {"port", l_port}, {"close", l_listener_close}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"connect", l_connect}, {"listen", l_listen}, {NULL, NULL}};
    luaL_newmetatable(L, CONN);
    lua_newtable(L);
    luaL_register(L, NULL, conn_methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, l_conn_gc);
    lua_setfield(L, -2, "__gc");
    luaL_newmetatable(L, LISTENER);
    lua_newtable(L);
    luaL_register(L, NULL, listener_methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, l_listener_close);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
RT_MODULE("rt.tcp", open_tcp)
