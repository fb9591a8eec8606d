// rt.task: starting, joining, cancelling tasks; their deadline and deferred functions.
#include "task.h"

#include <string.h>

static task_handle *check_handle(lua_State *L)
{
    return luaL_checkudata(L, 1, "rt.task");
}

// task.spawn(fn, ...) -> task. fn starts at once and runs until its first wait.
static int l_spawn(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    int count = lua_gettop(L) - 1;
    task_handle *h = lua_newuserdata(L, sizeof(*h)); // [fn, ..., ud]
    memset(h, 0, sizeof(*h));
    h->results_ref = LUA_NOREF;
    luaL_getmetatable(L, "rt.task");
    lua_setmetatable(L, -2);
    lua_insert(L, 1); // [ud, fn, ...]
    rt_task *t = rt_task_make(L, count);
    t->handle = h;
    h->task = t;
    lua_pushvalue(L, 1); // the task writes its results there at its end
    rt_task_slot_set(rt_tasks.handles_ref, t->slot, L);
    rt_task_step(t, count);
    return 1;
}

// task:cancel([code]) -> true. Wakes the task with nil, { code = "cancelled" }; nothing happens to one that has ended.
static int l_cancel(lua_State *L)
{
    task_handle *h = check_handle(L);
    const char *code = luaL_optstring(L, 2, "cancelled");
    static const char *const codes[] = {"cancelled", "timeout", "client_closed", "draining"};
    for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
        if (strcmp(code, codes[i]) != 0)
            continue;
        if (h->task && h->task == rt_tasks.current)
            return luaL_error(L, "task:cancel: a task cannot cancel itself");
        if (h->task)
            rt_task_cancel(h->task, codes[i]);
        return rt_true(L);
    }
    return luaL_argerror(L, 2, "cancelled, timeout, client_closed or draining");
}

// task:join() -> true, results... | false, error | nil, err (cancelled, timeout: of the one that waits)
static int l_join(lua_State *L)
{
    task_handle *h = check_handle(L);
    if (!h->task) {
        h->is_joined = true;
        lua_pushboolean(L, h->ok);
        return 1 + rt_task_push_results(L, h);
    }
    rt_check_task(L);
    if (h->task == rt_tasks.current)
        return luaL_error(L, "task:join: a task cannot wait for itself");
    if (rt_waiting(&h->joiner))
        return luaL_error(L, "task:join: another task already waits");
    h->is_joined = true;
    rt_hold(L, &h->joiner, 1);
    return rt_park(L, &h->joiner);
}

// task:is_done() -> boolean
static int l_is_done(lua_State *L)
{
    lua_pushboolean(L, check_handle(L)->task == NULL);
    return 1;
}

static int l_handle_gc(lua_State *L)
{
    task_handle *h = luaL_checkudata(L, 1, "rt.task");
    if (h->results_ref != LUA_NOREF) {
        if (!h->ok && !h->is_joined) { // nobody will ever hear of it otherwise
            lua_rawgeti(L, LUA_REGISTRYINDEX, h->results_ref);
            lua_getfield(L, -1, "trace");
            rt_report("task failed", lua_tostring(L, -1));
            lua_pop(L, 2);
        }
        luaL_unref(L, LUA_REGISTRYINDEX, h->results_ref);
        h->results_ref = LUA_NOREF;
    }
    if (h->task) // only when the state is closed: a running task holds its handle
        h->task->handle = NULL;
    h->task = NULL;
    return 0;
}

static rt_task *check_current(lua_State *L)
{
    if (!rt_tasks.current)
        luaL_error(L, "rt.task: only inside a task");
    return rt_tasks.current;
}

// task.deadline(ms | nil): from now on, waits of this task fail with `timeout` once ms have passed.
static int l_deadline(lua_State *L)
{
    rt_task *t = check_current(L);
    lua_Number ms = luaL_optnumber(L, 1, 0);
    luaL_argcheck(L, ms >= 0, 1, "milliseconds from now");
    if (t->fail_code && strcmp(t->fail_code, "timeout") == 0)
        t->fail_code = NULL;
    if (lua_isnoneornil(L, 1))
        rt_timer_stop(&t->deadline);
    else
        rt_task_set_deadline(t, ms < RT_MS_MAX ? (uint64_t)ms : RT_MS_MAX);
    return 0;
}

// task.remaining() -> ms until the deadline | nil
static int l_remaining(lua_State *L)
{
    rt_task *t = check_current(L);
    if (!t->deadline.link) {
        if (!t->fail_code || strcmp(t->fail_code, "timeout") != 0)
            return 0;
        lua_pushnumber(L, 0); // it has passed
        return 1;
    }
    uint64_t now_ms = rt_now_ms();
    lua_pushnumber(L, t->deadline.at_ms > now_ms ? (lua_Number)(t->deadline.at_ms - now_ms) : 0);
    return 1;
}

// task.defer(fn): fn runs when the task ends, last first, also after an error or a cancel. It may wait, for 10 s
// at most. An error in it is reported and does not change the task's result.
static int l_defer(lua_State *L)
{
    rt_task *t = check_current(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt_tasks.deferred_ref);
    lua_rawgeti(L, 2, t->slot);
    if (lua_isnil(L, 3)) {
        lua_pop(L, 1);
        lua_createtable(L, 2, 0);
        lua_pushvalue(L, 3);
        lua_rawseti(L, 2, t->slot);
    }
    lua_pushvalue(L, 1);
    lua_rawseti(L, 3, ++t->deferred);
    return 0;
}

// task.count() -> live tasks, the calling one included
static int l_count(lua_State *L)
{
    lua_pushinteger(L, rt_tasks.live_count);
    return 1;
}

// task.is_task() -> boolean: a call that waits can be used here
static int l_is_task(lua_State *L)
{
    lua_pushboolean(L, rt_tasks.current && rt_tasks.current->co == L && lua_isyieldable(L));
    return 1;
}

static int open_task(lua_State *L)
{
    static const luaL_Reg methods[] = {{"cancel", l_cancel}, {"join", l_join}, {"is_done", l_is_done}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"spawn", l_spawn}, {"deadline", l_deadline}, {"remaining", l_remaining},
                                         {"defer", l_defer}, {"count", l_count},       {"is_task", l_is_task},
                                         {NULL, NULL}};
    luaL_newmetatable(L, "rt.task");
    lua_pushcfunction(L, l_handle_gc);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
RT_MODULE("rt.task", open_task)
