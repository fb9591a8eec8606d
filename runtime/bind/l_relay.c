// rt.relay: a task's hold on a stream that flows from an upstream call to a server exchange.
// Ownership: the userdata owns the relay; its environment keeps req and call alive. The task waits in
// first(), next() and copy(); cancelled there (its client has gone), it leaves the upstream closed.
#include "bind/l_program.h"
#include "relay.h"
#include "rt.h"

#include <stddef.h>
#include <string.h>

typedef struct holder {
    relay *relay;
    rt_wait waiter;
    enum relay_want want; // of the last wait
} holder;

static holder *check(lua_State *L)
{
    return luaL_checkudata(L, 1, "rt.relay");
}

static int push_result(lua_State *L, holder *h, enum relay_want want, enum relay_result result)
{
    relay *r = h->relay;
    switch (result) {
    case RELAY_EVENT:
        if (want == RELAY_NEXT)
            lua_pushliteral(L, "event");
        lua_pushlstring(L, r->state->event.name, r->state->event.name_size);
        lua_pushlstring(L, r->state->event.data, r->state->event.data_size);
        return want == RELAY_NEXT ? 3 : 2;
    case RELAY_END:
        if (want == RELAY_NEXT)
            lua_pushliteral(L, "end");
        else if (want == RELAY_COPY)
            lua_pushnumber(L, (lua_Number)r->copied_bytes);
        else
            return rt_fail(L, "truncated", "the upstream's answer ended without an event");
        return 1;
    default:
        rt_fail(L, r->code, "%s", r->message ? r->message : r->code);
        if (r->phase) {
            lua_pushstring(L, r->phase);
            lua_setfield(L, -2, "phase");
        }
        return 2;
    }
}

static void on_ready(relay *r, enum relay_result result)
{
    holder *h = r->owner;
    if (rt_waiting(&h->waiter)) // last use of the relay: the task runs inside rt_wake()
        rt_wake(&h->waiter, push_result(h->waiter.co, h, h->want, result));
}

static void on_cancel(rt_wait *w)
{
    holder *h = (holder *)((char *)w - offsetof(holder, waiter));
    relay_cancel(h->relay);
}

// Makes the userdata: [req, call, ...] -> [req, call, ..., ud]
static holder *make(lua_State *L, program *p)
{
    if (!exchange_check(L, 1))
        luaL_error(L, "relay: the request is over");
    client_call *call = client_call_check(L, 2);
    if (!call)
        luaL_error(L, "relay: the call is closed");
    holder *h = lua_newuserdata(L, sizeof(*h));
    memset(h, 0, sizeof(*h));
    luaL_getmetatable(L, "rt.relay");
    lua_setmetatable(L, -2);
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, 2);
    lua_setfenv(L, -2);
    h->waiter.on_cancel = on_cancel;
    h->relay = relay_new(call, p, h, on_ready);
    return h;
}

// relay.new(req, call, program) -> relay | nil, err (no_memory)
static int l_new(lua_State *L)
{
    holder *h = make(L, l_program_check(L, 3));
    return h->relay ? 1 : rt_fail(L, "no_memory", "relay");
}

// The exchange of the relay at 1; NULL: its task is over.
static exchange *client_of(lua_State *L, int index)
{
    lua_getfenv(L, index);
    lua_rawgeti(L, -1, 1);
    exchange *x = exchange_check(L, -1);
    lua_pop(L, 2);
    return x;
}

static int wait_for(lua_State *L, int index, holder *h, enum relay_want want)
{
    rt_check_task(L);
    exchange *x = client_of(L, index);
    if (!x || exchange_is_gone(x)) {
        relay_close(h->relay);
        return rt_fail(L, "client_closed", "the client has gone");
    }
    if (rt_waiting(&h->waiter))
        return luaL_error(L, "relay: another task already waits");
    if (h->relay->code)
        return push_result(L, h, want, RELAY_FAIL);
    if (want != RELAY_FIRST && !exchange_is_started(x))
        return luaL_error(L, "relay: call req:start() first");
    h->want = want;
    enum relay_result result = want == RELAY_FIRST  ? relay_first(h->relay, x)
                               : want == RELAY_NEXT ? relay_next(h->relay, x)
                                                    : relay_copy(h->relay, x);
    if (result != RELAY_WAIT)
        return push_result(L, h, want, result);
    rt_hold(L, &h->waiter, index);
    return rt_park(L, &h->waiter);
}

// relay:first() -> name, data | nil, err
static int l_first(lua_State *L)
{
    return wait_for(L, 1, check(L), RELAY_FIRST);
}

// relay:next() -> "event", name, data | "end" | nil, err
static int l_next(lua_State *L)
{
    return wait_for(L, 1, check(L), RELAY_NEXT);
}

// relay.copy(req, call) -> bytes | nil, err
static int l_copy(lua_State *L)
{
    rt_check_task(L);
    holder *h = make(L, NULL);
    if (!h->relay)
        return rt_fail(L, "no_memory", "relay");
    return wait_for(L, lua_gettop(L), h, RELAY_COPY);
}

// relay:emit(text) -> true | nil, err (client_closed)
static int l_emit(lua_State *L)
{
    holder *h = check(L);
    size_t size;
    const char *text = luaL_checklstring(L, 2, &size);
    exchange *x = client_of(L, 1);
    int rc = x ? relay_emit(h->relay, x, text, size) : UV_EPIPE;
    if (rc == UV_EPIPE)
        return rt_fail(L, "client_closed", "the client has gone");
    return rc == 0 ? rt_true(L) : rt_fail_uv(L, rc, "relay:emit", NULL);
}

// relay:set(n, text)
static int l_set(lua_State *L)
{
    return l_program_set(L, check(L)->relay->state, 2);
}

// relay:slot(name) -> number | string | nil
static int l_slot(lua_State *L)
{
    return l_program_slot(L, check(L)->relay->state, 2);
}

// relay:ping_every(ms, text)
static int l_ping_every(lua_State *L)
{
    holder *h = check(L);
    lua_Number ms = luaL_checknumber(L, 2);
    size_t size;
    const char *text = luaL_checklstring(L, 3, &size);
    luaL_argcheck(L, ms >= 0 && ms <= 86400e3, 2, "milliseconds, up to a day");
    if (!relay_ping_every(h->relay, (uint64_t)ms, text, size))
        return rt_fail(L, "no_memory", "relay:ping_every");
    return rt_true(L);
}

// relay:no_content_after(ms): the limit of a stream that sends only keep-alives
static int l_no_content_after(lua_State *L)
{
    lua_Number ms = luaL_checknumber(L, 2);
    luaL_argcheck(L, ms >= 1 && ms <= 86400e3, 2, "milliseconds, up to a day");
    check(L)->relay->no_content_ms = (uint64_t)ms;
    return 0;
}

// relay:is_between() -> boolean: no event is half sent to the client
static int l_is_between(lua_State *L)
{
    lua_pushboolean(L, relay_is_between(check(L)->relay));
    return 1;
}

// relay:bad_events() -> how many events had broken JSON
static int l_bad_events(lua_State *L)
{
    lua_pushinteger(L, check(L)->relay->state->bad_events);
    return 1;
}

// relay:close(). Closes the upstream call; slots stay readable.
static int l_close(lua_State *L)
{
    relay_close(check(L)->relay);
    return 0;
}

static int l_gc(lua_State *L)
{
    holder *h = check(L);
    relay_free(h->relay);
    h->relay = NULL;
    return 0;
}

static int open_relay(lua_State *L)
{
    static const luaL_Reg methods[] = {{"first", l_first},
                                       {"next", l_next},
                                       {"emit", l_emit},
                                       {"set", l_set},
                                       {"slot", l_slot},
                                       {"ping_every", l_ping_every},
                                       {"no_content_after", l_no_content_after},
                                       {"is_between", l_is_between},
                                       {"bad_events", l_bad_events},
                                       {"close", l_close},
                                       {NULL, NULL}};
    static const luaL_Reg functions[] = {{"new", l_new}, {"copy", l_copy}, {"program", l_program_new}, {NULL, NULL}};
    luaL_newmetatable(L, "rt.relay");
    lua_pushcfunction(L, l_gc);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
RT_MODULE("rt.relay", open_relay)
