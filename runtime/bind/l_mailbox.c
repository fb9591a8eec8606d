// rt.mailbox: values from anywhere to one task that waits for them.
// Ownership: the userdata is the mailbox; a task that waits holds it. What is put is given to the waiting task at
// the end of the turn, so that put() never runs another task inside itself.
#include "rt.h"

#include <stddef.h>
#include <string.h>

typedef struct mailbox {
    rt_wait waiter;
    rt_soon soon;
    int queue_ref; // table of values, [first, first + count)
    int first, count;
} mailbox;

static mailbox *check_mailbox(lua_State *L)
{
    return luaL_checkudata(L, 1, "rt.mailbox");
}

static void push_first(lua_State *L, mailbox *m)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, m->queue_ref);
    lua_rawgeti(L, -1, m->first);
    lua_pushnil(L);
    lua_rawseti(L, -3, m->first);
    lua_remove(L, -2);
    m->count--;
    m->first = m->count > 0 ? m->first + 1 : 1;
}

static void on_turn_end(rt_soon *soon)
{
    mailbox *m = (mailbox *)((char *)soon - offsetof(mailbox, soon));
    if (!rt_waiting(&m->waiter) || m->count == 0)
        return;
    push_first(m->waiter.co, m);
    rt_wake(&m->waiter, 1);
}

// mailbox.new() -> mailbox
static int l_new(lua_State *L)
{
    mailbox *m = lua_newuserdata(L, sizeof(*m));
    memset(m, 0, sizeof(*m));
    m->queue_ref = LUA_NOREF;
    m->first = 1;
    luaL_getmetatable(L, "rt.mailbox");
    lua_setmetatable(L, -2);
    lua_newtable(L);
    m->queue_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 1;
}

// mailbox:put(value). Any value but nil; never waits.
static int l_put(lua_State *L)
{
    mailbox *m = check_mailbox(L);
    luaL_argcheck(L, !lua_isnoneornil(L, 2), 2, "a value");
    lua_rawgeti(L, LUA_REGISTRYINDEX, m->queue_ref);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, m->first + m->count);
    m->count++;
    if (rt_waiting(&m->waiter))
        rt_soon_queue(&m->soon, on_turn_end);
    return 0;
}

// mailbox:take() -> value | nil, err (cancelled, timeout). One task at a time.
static int l_take(lua_State *L)
{
    mailbox *m = check_mailbox(L);
    rt_check_task(L);
    if (rt_waiting(&m->waiter))
        return luaL_error(L, "mailbox:take: another task already waits");
    if (m->count > 0) {
        push_first(L, m);
        return 1;
    }
    rt_hold(L, &m->waiter, 1);
    return rt_park(L, &m->waiter);
}

// mailbox:size() -> values that nobody took yet
static int l_size(lua_State *L)
{
    lua_pushinteger(L, check_mailbox(L)->count);
    return 1;
}

static int l_gc(lua_State *L)
{
    mailbox *m = check_mailbox(L);
    rt_soon_remove(&m->soon);
    luaL_unref(L, LUA_REGISTRYINDEX, m->queue_ref);
    m->queue_ref = LUA_NOREF;
    return 0;
}

static int open_mailbox(lua_State *L)
{
    static const luaL_Reg methods[] = {{"put", l_put}, {"take", l_take}, {"size", l_size}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"new", l_new}, {NULL, NULL}};
    luaL_newmetatable(L, "rt.mailbox");
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
RT_MODULE("rt.mailbox", open_mailbox)
