// rt.server: HTTP/1.1 servers whose handlers are tasks.
// Ownership: the userdata of a server is anchored in the registry until its last connection has gone after
// close() or drain(), or until the process ends.
#include <string.h>

#include "bind/l_server.h"

typedef struct listener {
    server *server; // NULL: over
    server_stats last;
    int self_ref, handler_ref, refuse_ref, error_ref;
    int results_ref; // what on_refuse returned last, kept alive
    int cut;
    rt_wait drainer;
    struct listener *next, **link;
} listener;

static listener *listeners;

static void listener_remove(listener *l)
{
    *l->link = l->next;
    if (l->next)
        l->next->link = l->link;
    l->last = *server_get_stats(l->server);
    server_free(l->server);
    l->server = NULL;
}

static void on_close(void)
{
    // Servers first: their exchanges are gone then, and releasing them answers nobody.
    for (listener *l = listeners; l; l = listeners)
        listener_remove(l);
    request_close_all();
}

// ---- what the server calls

static void on_request(server *s, exchange *x)
{
    listener *l = server_owner(s);
    request_begin(rt_main(), l->handler_ref, x);
}

static int protected_refuse(lua_State *L)
{
    server_refusal *r = lua_touserdata(L, 1);
    listener *l = lua_touserdata(L, 2);
    lua_settop(L, 0);
    lua_rawgeti(L, LUA_REGISTRYINDEX, l->results_ref);
    lua_rawgeti(L, LUA_REGISTRYINDEX, l->refuse_ref);
    lua_pushinteger(L, r->status);
    lua_pushstring(L, r->code);
    lua_pushstring(L, r->message);
    if (r->path)
        lua_pushlstring(L, r->path, r->path_size);
    else
        lua_pushnil(L);
    lua_call(L, 4, 2); // [results, headers, body]
    lua_pushvalue(L, 2);
    lua_rawseti(L, 1, 1);
    lua_pushvalue(L, 3);
    lua_rawseti(L, 1, 2);
    r->header_count = headers_check(L, 2, &r->headers);
    if (lua_type(L, 3) == LUA_TSTRING)
        r->body = lua_tolstring(L, 3, &r->body_size);
    return 0;
}

static void on_refuse(server *s, server_refusal *r)
{
    listener *l = server_owner(s);
    lua_State *L = rt_main();
    if (l->refuse_ref == LUA_NOREF)
        return;
    lua_pushcfunction(L, protected_refuse);
    lua_pushlightuserdata(L, r);
    lua_pushlightuserdata(L, l);
    if (lua_pcall(L, 2, 0, 0) == 0)
        return;
    rt_report("on_refuse", lua_tostring(L, -1) ? lua_tostring(L, -1) : "error without text");
    lua_pop(L, 1);
    r->header_count = 0;
    r->body = NULL;
}

static void on_accept_error(server *s, int rc)
{
    listener *l = server_owner(s);
    lua_State *L = rt_main();
    if (l->error_ref == LUA_NOREF) {
        rt_report("accept", uv_strerror(rc));
        return;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, l->error_ref);
    rt_fail_uv(L, rc, "accept", "");
    lua_remove(L, -2);
    if (lua_pcall(L, 1, 0, 0) != 0) {
        rt_report("on_error", lua_tostring(L, -1) ? lua_tostring(L, -1) : "error without text");
        lua_pop(L, 1);
    }
}

static void on_drained(server *s, int cut)
{
    listener *l = server_owner(s);
    lua_State *L = rt_main();
    listener_remove(l);
    int *refs[] = {&l->handler_ref, &l->refuse_ref, &l->error_ref, &l->results_ref};
    for (size_t i = 0; i < sizeof(refs) / sizeof(*refs); i++) {
        luaL_unref(L, LUA_REGISTRYINDEX, *refs[i]);
        *refs[i] = LUA_NOREF;
    }
    l->cut = cut;
    luaL_unref(L, LUA_REGISTRYINDEX, l->self_ref);
    if (!rt_waiting(&l->drainer))
        return;
    lua_State *co = l->drainer.co; // the drainer's stack holds the userdata
    lua_pushboolean(co, 1);
    lua_pushinteger(co, cut);
    rt_wake(&l->drainer, 2);
}

static const server_callbacks callbacks = {
    .on_request = on_request,
    .on_gone = request_gone,
    .on_refuse = on_refuse,
    .on_accept_error = on_accept_error,
    .on_drained = on_drained,
};

// ---- server.listen

static void read_limits(lua_State *L, int index, server_limits *limits)
{
    const struct {
        const char *name;
        uint32_t *value;
        uint32_t most;
    } fields[] = {
        {"line_bytes", &limits->http.line_bytes, 65535},
        {"head_bytes", &limits->http.head_bytes, 65535},
        {"header_count", &limits->http.header_count, 1000},
        {"extension_bytes", &limits->http.extension_bytes, 65535},
        {"trailer_bytes", &limits->http.trailer_bytes, 65535},
        {"header_ms", &limits->header_ms, UINT32_MAX},
        {"body_grace_ms", &limits->body_grace_ms, UINT32_MAX},
        {"body_rate_bytes", &limits->body_rate_bytes, UINT32_MAX},
        {"idle_ms", &limits->idle_ms, UINT32_MAX},
        {"stall_ms", &limits->stall_ms, UINT32_MAX},
        {"linger_ms", &limits->linger_ms, UINT32_MAX},
        {"connections", &limits->connections, UINT32_MAX},
        {"concurrency", &limits->concurrency, UINT32_MAX},
        {"descriptor_reserve", &limits->descriptor_reserve, UINT32_MAX},
        {"pipeline_bytes", &limits->pipeline_bytes, 1u << 24},
    };
    *limits = server_default_limits;
    if (lua_isnoneornil(L, index))
        return;
    luaL_checktype(L, index, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, index)) {
        size_t i = 0, count = sizeof(fields) / sizeof(*fields);
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        while (i < count && strcmp(fields[i].name, name) != 0)
            i++;
        lua_Number value = lua_tonumber(L, -1);
        if (i == count || !lua_isnumber(L, -1) || value < 0 || value > fields[i].most)
            luaL_error(L, "server.listen: limits.%s: %s", name, i == count ? "unknown" : "a number out of its range");
        *fields[i].value = (uint32_t)value;
        lua_pop(L, 1);
    }
}

static const char *text_field(lua_State *L, int table, const char *name)
{
    lua_getfield(L, table, name); // stays on the stack, so that the text lives
    if (!lua_isnil(L, -1) && lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "server.listen: %s must be a string", name);
    return lua_tostring(L, -1);
}

static int function_field(lua_State *L, const char *name, bool is_needed)
{
    lua_getfield(L, 1, name);
    if (lua_isnil(L, -1) && !is_needed) {
        lua_pop(L, 1);
        return LUA_NOREF;
    }
    if (!lua_isfunction(L, -1))
        luaL_error(L, "server.listen: %s must be a function", name);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

// server.listen{ fd=|address=|path=, handler=, limits=, tls=, exempt=, on_refuse=, on_error= } -> server | nil, err
static int l_listen(lua_State *L)
{
    static rt_closer closer;
    enum { MAX_EXEMPT = 32 };
    const char *exempt[MAX_EXEMPT + 1] = {NULL};
    server_options o = {.fd = -1};
    char error[256];
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    o.address = text_field(L, 1, "address");
    o.path = text_field(L, 1, "path");
    lua_getfield(L, 1, "fd");
    if (!lua_isnil(L, -1))
        o.fd = luaL_checkint(L, -1);
    luaL_argcheck(L, (o.address != NULL) + (o.path != NULL) + (o.fd >= 0) == 1, 1, "one of fd, address and path");
    lua_getfield(L, 1, "limits");
    read_limits(L, lua_gettop(L), &o.limits);
    lua_getfield(L, 1, "tls");
    if (lua_istable(L, -1)) {
        int tls = lua_gettop(L);
        o.certificate = text_field(L, tls, "certificate");
        o.key = text_field(L, tls, "key");
        luaL_argcheck(L, o.certificate && o.key, 1, "tls: certificate and key");
    }
    lua_getfield(L, 1, "exempt");
    for (int i = 1; lua_istable(L, -1) && i <= MAX_EXEMPT; i++) {
        lua_rawgeti(L, -1, i); // the table holds the text
        exempt[i - 1] = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    o.exempt = exempt;
    luaL_checkstack(L, 10, "server.listen");
    listener *l = lua_newuserdata(L, sizeof(*l)); // [..., ud]
    memset(l, 0, sizeof(*l));
    int ud = lua_gettop(L);
    l->handler_ref = function_field(L, "handler", true);
    l->refuse_ref = function_field(L, "on_refuse", false);
    l->error_ref = function_field(L, "on_error", false);
    lua_newtable(L);
    l->results_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    luaL_getmetatable(L, "rt.server");
    lua_setmetatable(L, ud);
    o.owner = l;
    int rc = server_listen(&l->server, &o, &callbacks, error, sizeof(error));
    if (rc != 0) {
        int refs[] = {l->handler_ref, l->refuse_ref, l->error_ref, l->results_ref};
        for (size_t i = 0; i < sizeof(refs) / sizeof(*refs); i++)
            luaL_unref(L, LUA_REGISTRYINDEX, refs[i]);
        return rt_fail(L, rc == UV_EINVAL ? "bad_config" : rt_uv_code(rc), "%s", error);
    }
    rt_at_close(&closer, on_close);
    l->link = &listeners;
    l->next = listeners;
    if (l->next)
        l->next->link = &l->next;
    listeners = l;
    lua_pushvalue(L, ud);
    l->self_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_settop(L, ud);
    return 1;
}

// ---- methods

static listener *check_listener(lua_State *L)
{
    return luaL_checkudata(L, 1, "rt.server");
}

// server:port() -> port | nil (Unix socket, or closed)
static int l_port(lua_State *L)
{
    listener *l = check_listener(L);
    int port = l->server ? server_port(l->server) : 0;
    if (port == 0)
        return 0;
    lua_pushinteger(L, port);
    return 1;
}

// server:close(): stops accepting; connections go on
static int l_close(lua_State *L)
{
    listener *l = check_listener(L);
    if (l->server)
        server_close(l->server);
    return 0;
}

// server:drain(limit_ms) -> true, number of exchanges that were cut at the limit
static int l_drain(lua_State *L)
{
    listener *l = check_listener(L);
    lua_Number limit_ms = luaL_checknumber(L, 2);
    luaL_argcheck(L, limit_ms >= 0 && limit_ms <= 1e12, 2, "milliseconds");
    rt_check_task(L);
    if (rt_waiting(&l->drainer))
        return luaL_error(L, "server:drain: another task already waits");
    if (!l->server) {
        lua_pushboolean(L, 1);
        lua_pushinteger(L, l->cut);
        return 2;
    }
    server_drain(l->server, (uint64_t)limit_ms);
    rt_hold(L, &l->drainer, 1);
    return rt_park(L, &l->drainer);
}

// server:stats() -> { connections=, requests=, ..._total= }
static int l_stats(lua_State *L)
{
    listener *l = check_listener(L);
    const server_stats *s = l->server ? server_get_stats(l->server) : &l->last;
    const struct {
        const char *name;
        uint64_t value;
    } fields[] = {
        {"connections", s->connections},
        {"requests", s->exchanges},
        {"connections_total", s->connections_total},
        {"requests_total", s->requests_total},
        {"refused_total", s->refused_total},
        {"shed_total", s->shed_total},
        {"timeouts_total", s->timeouts_total},
    };
    lua_createtable(L, 0, 8);
    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
        lua_pushnumber(L, (lua_Number)fields[i].value);
        lua_setfield(L, -2, fields[i].name);
    }
    lua_pushboolean(L, s->is_paused);
    lua_setfield(L, -2, "is_paused");
    return 1;
}

static int open_server(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"port", l_port}, {"close", l_close}, {"drain", l_drain}, {"stats", l_stats}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"listen", l_listen}, {NULL, NULL}};
    request_open(L);
    luaL_newmetatable(L, "rt.server");
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
RT_MODULE("rt.server", open_server)
