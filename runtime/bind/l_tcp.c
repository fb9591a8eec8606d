// rt.tcp: plain connections and listeners for tasks: the command line, specs, faulty peers. Optional TLS.
// Ownership: the loop owns a conn (and a listener) until its on_closed frees it; the userdata points at
// it and is NULL once closed. What arrives while nobody reads is kept in `incoming` up to a bound, then reading stops.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bind/l_tcp.h"

// ---- results ----

int tcp_fail(lua_State *L, int rc, const char *what)
{
    if (rc <= TLS_EXPIRED)
        return rt_fail(L, "tls", "%s: %s (%s)", what, tls_error_text(rc), tls_error_name(rc));
    return rt_fail_uv(L, rc, what, "");
}

// Gives the reader what there is: data, then the end (nil), or the error. False: nothing yet.
static int push_incoming(tcp_conn *c, lua_State *L)
{
    if (c->incoming && c->incoming->size > 0) {
        lua_pushlstring(L, c->incoming->data, c->incoming->size);
        c->incoming->size = 0;
        stream_resume(&c->s);
        return 1;
    }
    if (c->error != 0)
        return tcp_fail(L, c->error, "read");
    if (c->is_ended) {
        lua_pushnil(L);
        return 1;
    }
    return 0;
}

static void wake_reader(tcp_conn *c)
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
    tcp_conn *c = s->owner;
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
    tcp_conn *c = s->owner;
    c->is_ended = true;
    // A write that failed with a reset leaves it to reading to tell (stream.c), which may find only the end.
    if (s->error && rt_waiting(&c->writer))
        rt_wake(&c->writer, tcp_fail(c->writer.co, s->error, "write"));
    wake_reader(c);
}

// The conn could not be made: who waits for it gets the error; there is no userdata yet.
void tcp_fail_making(tcp_conn *c, int rc)
{
    c->error = rc;
    if (c->from) {
        tcp_offer(c);
        return;
    }
    stream_close(&c->s);
    if (rt_waiting(&c->reader))
        rt_wake(&c->reader, tcp_fail(c->reader.co, rc, "connect"));
}

static void on_error(stream *s, int rc)
{
    tcp_conn *c = s->owner;
    c->error = rc;
    if (!c->is_ready) {
        tcp_fail_making(c, rc);
        return;
    }
    if (rt_waiting(&c->writer))
        rt_wake(&c->writer, tcp_fail(c->writer.co, rc, "write"));
    wake_reader(c); // c is freed in a later turn at the earliest
}

static void on_drain(stream *s)
{
    tcp_conn *c = s->owner;
    if (rt_waiting(&c->writer))
        rt_wake(&c->writer, rt_true(c->writer.co));
}

static void on_closed(stream *s)
{
    tcp_conn *c = s->owner;
    bytes_drop(c->incoming);
    tls_context_drop(c->context);
    free(c->name);
    free(c);
}

void tcp_push_conn(lua_State *L, tcp_conn *c)
{
    tcp_conn **slot = lua_newuserdata(L, sizeof(tcp_conn *));
    *slot = c;
    luaL_getmetatable(L, CONN);
    lua_setmetatable(L, -2);
}

static void on_ready(stream *s)
{
    tcp_conn *c = s->owner;
    c->is_ready = true;
    if (c->from) {
        tcp_offer(c);
        return;
    }
    tcp_push_conn(c->reader.co, c);
    rt_wake(&c->reader, 1);
}

static const stream_callbacks CALLBACKS = {.on_data = on_data,
                                           .on_end = on_end,
                                           .on_error = on_error,
                                           .on_drain = on_drain,
                                           .on_ready = on_ready,
                                           .on_closed = on_closed};

tcp_conn *tcp_conn_new(bool is_unix)
{
    tcp_conn *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    if (is_unix)
        stream_init_pipe(&c->s, rt_loop(NULL), &CALLBACKS, c);
    else
        stream_init_tcp(&c->s, rt_loop(NULL), &CALLBACKS, c);
    return c;
}

// Begins TLS where it is wanted, else the conn is ready.
void tcp_begin(tcp_conn *c)
{
    tls_session *session = NULL;
    if (!c->context) {
        on_ready(&c->s);
        return;
    }
    session = tls_session_new(c->context, c->name, NULL);
    int rc = session ? stream_start_tls(&c->s, session) : UV_ENOMEM;
    if (rc != 0)
        tcp_fail_making(c, rc);
}

// ---- connect ----

static void on_dialed(void *owner, int fd, int rc, bool is_dns)
{
    tcp_conn *c = owner;
    c->dialing = NULL;
    if (fd >= 0 && (rc = stream_open(&c->s, fd)) != 0)
        close(fd);
    if (rc != 0)
        tcp_fail_making(c, is_dns ? UV_EAI_NONAME : rc);
    else
        tcp_begin(c);
}

static void on_making_cancelled(rt_wait *w)
{
    tcp_conn *c = (tcp_conn *)(void *)((char *)w - offsetof(tcp_conn, reader));
    if (c->is_ready)
        return;     // a read(): the conn stays
    if (c->dialing) // else: the handshake
        dial_cancel(c->dialing);
    c->dialing = NULL;
    stream_close(&c->s);
}

const char *tcp_field_text(lua_State *L, int index, const char *name)
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
        const char *ca_file = tcp_field_text(L, 3, "ca_file"), *given = tcp_field_text(L, 3, "name");
        name = given ? given : host;
        context = tls_client_context_new(ca_file, message, sizeof(message));
        if (!context)
            return rt_fail(L, "tls", "%s", message);
    }
    tcp_conn *c = tcp_conn_new(is_unix);
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

static tcp_conn *check_conn(lua_State *L)
{
    return *(tcp_conn **)luaL_checkudata(L, 1, CONN);
}

// conn:read() -> bytes as a string | nil at the end | nil, err
static int l_read(lua_State *L)
{
    tcp_conn *c = check_conn(L);
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
    tcp_conn *c = check_conn(L);
    segment part = {NULL, 0, NULL};
    part.data = luaL_checklstring(L, 2, &part.size);
    if (!c)
        return rt_fail(L, "closed", "write: connection closed");
    if (rt_waiting(&c->writer))
        return luaL_error(L, "conn:write: another task already waits");
    int rc = stream_write(&c->s, &part, 1);
    if (rc != 0)
        return tcp_fail(L, rc, "write");
    if (!stream_is_full(&c->s))
        return rt_true(L);
    rt_check_task(L);
    rt_hold(L, &c->writer, 1);
    return rt_park(L, &c->writer);
}

// conn:shutdown() ends the sending half.
static int l_shutdown(lua_State *L)
{
    tcp_conn *c = check_conn(L);
    if (c)
        stream_shutdown(&c->s);
    return 0;
}

// Ends the waits of other tasks on a conn that closes. c is freed in a later turn of the loop.
static void end_waits(tcp_conn *c)
{
    if (rt_waiting(&c->reader))
        rt_wake(&c->reader, rt_fail(c->reader.co, "closed", "connection closed"));
    if (rt_waiting(&c->writer))
        rt_wake(&c->writer, rt_fail(c->writer.co, "closed", "connection closed"));
}

// conn:close() flushes what was written and closes; conn:reset() cuts the connection with RST.
static int l_close(lua_State *L)
{
    tcp_conn **slot = luaL_checkudata(L, 1, CONN), *c = *slot;
    *slot = NULL;
    if (!c)
        return 0;
    stream_close_flushed(&c->s);
    end_waits(c);
    return 0;
}

static int l_reset(lua_State *L)
{
    tcp_conn **slot = luaL_checkudata(L, 1, CONN), *c = *slot;
    *slot = NULL;
    if (!c)
        return 0;
    stream_reset(&c->s);
    end_waits(c);
    return 0;
}

static int l_conn_gc(lua_State *L)
{
    tcp_conn **slot = luaL_checkudata(L, 1, CONN), *c = *slot;
    *slot = NULL;
    if (c)
        stream_close(&c->s);
    return 0;
}

// conn:peer() -> "ip:port"
static int l_peer(lua_State *L)
{
    tcp_conn *c = check_conn(L);
    char text[64] = "";
    lua_pushstring(L, c ? stream_peer(&c->s, text, sizeof(text)) : "");
    return 1;
}

// conn:tls() -> version, is_resumed | nil
static int l_tls(lua_State *L)
{
    tcp_conn *c = check_conn(L);
    tls_session *session = c ? stream_tls_session(&c->s) : NULL;
    if (!session)
        return 0;
    lua_pushstring(L, tls_version(session));
    lua_pushboolean(L, tls_is_resumed(session));
    return 2;
}

static int open_tcp(lua_State *L)
{
    static const luaL_Reg conn_methods[] = {{"read", l_read},   {"write", l_write}, {"shutdown", l_shutdown},
                                            {"close", l_close}, {"reset", l_reset}, {"peer", l_peer},
                                            {"tls", l_tls},     {NULL, NULL}};
    static const luaL_Reg functions[] = {{"connect", l_connect}, {"listen", l_tcp_listen}, {NULL, NULL}};
    luaL_newmetatable(L, CONN);
    lua_newtable(L);
    luaL_register(L, NULL, conn_methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, l_conn_gc);
    lua_setfield(L, -2, "__gc");
    tcp_add_listener_class(L);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
RT_MODULE("rt.tcp", open_tcp)
