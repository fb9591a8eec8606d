// Listeners of rt.tcp. Every connection is accepted, and its TLS handshake done, as it comes; accept() takes them in
// the order in which they became ready.
#include <netinet/in.h>
#include <stdlib.h>

#include "bind/l_tcp.h"

static void on_listener_closed(uv_handle_t *h)
{
    tcp_listener *l = h->data;
    tls_context_drop(l->context);
    free(l);
}

static void take_out(tcp_conn **list, tcp_conn *c)
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
static int push_accepted(lua_State *L, tcp_conn *c)
{
    c->from = NULL;
    if (c->is_ready) {
        tcp_push_conn(L, c);
        return 1;
    }
    stream_close(&c->s);
    return tcp_fail(L, c->error, "accept");
}

void tcp_offer(tcp_conn *c)
{
    tcp_listener *l = c->from;
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
    tcp_listener *l = tcp->data;
    tcp_conn *c = rc == 0 ? tcp_conn_new(false) : NULL;
    if (!c)
        return; // the client went away before it was accepted
    c->from = l;
    c->context = l->context ? tls_context_hold(l->context) : NULL;
    c->next = l->shaking;
    l->shaking = c;
    rc = stream_accept(&c->s, tcp);
    if (rc != 0)
        tcp_fail_making(c, rc);
    else
        tcp_begin(c);
}

// tcp.listen(address, port | 0[, { certificate = pem path, key = pem path }]) -> listener | nil, err
int l_tcp_listen(lua_State *L)
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
        const char *certificate = tcp_field_text(L, 3, "certificate"), *key = tcp_field_text(L, 3, "key");
        luaL_argcheck(L, certificate && key, 3, "certificate and key");
        context = tls_server_context_new(certificate, key, message, sizeof(message));
        if (!context)
            return rt_fail(L, "tls", "%s", message);
    }
    tcp_listener **slot = lua_newuserdata(L, sizeof(*slot));
    *slot = NULL;
    luaL_getmetatable(L, LISTENER);
    lua_setmetatable(L, -2);
    tcp_listener *l = calloc(1, sizeof(*l));
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

static tcp_listener *check_listener(lua_State *L)
{
    return *(tcp_listener **)luaL_checkudata(L, 1, LISTENER);
}

// listener:accept() -> conn | nil, err. With TLS the handshake is done, or err.code is "tls".
static int l_accept(lua_State *L)
{
    tcp_listener *l = check_listener(L);
    rt_check_task(L);
    if (!l)
        return rt_fail(L, "closed", "accept: listener closed");
    if (rt_waiting(&l->acceptor))
        return luaL_error(L, "listener:accept: another task already waits");
    tcp_conn *c = l->first;
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
    tcp_listener *l = check_listener(L);
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
    tcp_listener **slot = luaL_checkudata(L, 1, LISTENER), *l = *slot;
    *slot = NULL;
    if (!l)
        return 0;
    for (int i = 0; i < 2; i++) {
        for (tcp_conn *c = i ? l->first : l->shaking, *next; c; c = next) {
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

void tcp_add_listener_class(lua_State *L)
{
    static const luaL_Reg listener_methods[] = {
        {"accept", l_accept}, {"port", l_port}, {"close", l_listener_close}, {NULL, NULL}};
    luaL_newmetatable(L, LISTENER);
    lua_newtable(L);
    luaL_register(L, NULL, listener_methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, l_listener_close);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}
