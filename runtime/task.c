// Tasks: pooled coroutines, park and wake, cancellation, one deadline, deferred functions.
// Ownership: the task list owns every rt_task; its coroutine is anchored in the table THREADS under the
// task's slot, what it must keep alive while parked in HELD, its deferred functions in DEFERRED. A Lua
// handle (rt.task) points at the task until that ends, and keeps its results from then on.
#include "rt.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POOL_KEEPS = 512, DEFER_DEADLINE_MS = 10000 };

typedef struct handle {
    rt_task *task; // NULL: ended
    bool ok;
    bool is_joined;  // somebody has seen how it ended
    int results_ref; // table of results, with n; LUA_NOREF while running
    rt_wait joiner;
} handle;

struct rt_task {
    rt_task *next_free;
    lua_State *co;
    int slot;
    uint32_t generation; // counts the uses of this struct
    bool is_ending;      // its deferred functions run
    int deferred;        // how many functions wait in DEFERRED[slot]
    bool ok;
    rt_wait *wait;         // parked here; NULL: running
    const char *fail_code; // set: every wait fails with it
    rt_timer deadline;
    handle *handle;
    void *data;
    void (*on_data_end)(void *data);
};

static struct {
    lua_State *L;
    rt_task *current;
    rt_task *free;
    int free_count, live_count, slot_count;
    int threads_ref, held_ref, deferred_ref, handles_ref;
} tasks;

static const char *const WAIT_OUTSIDE =
    "this call waits, and can be used only inside a task, not inside another coroutine";

static void task_step(rt_task *t, int count);

// ---- tables by slot ----

static void slot_set(int table_ref, int slot, lua_State *from) // pops the value on top of `from`
{
    lua_rawgeti(from, LUA_REGISTRYINDEX, table_ref);
    lua_insert(from, -2);
    lua_rawseti(from, -2, slot);
    lua_pop(from, 1);
}

static void slot_clear(int table_ref, int slot)
{
    lua_pushnil(tasks.L);
    slot_set(table_ref, slot, tasks.L);
}

// ---- making and ending ----

static rt_task *task_new(void)
{
    rt_task *t = tasks.free;
    if (t) {
        tasks.free = t->next_free;
        tasks.free_count--;
    } else {
        t = calloc(1, sizeof(*t));
        if (!t)
            return NULL;
        t->slot = ++tasks.slot_count;
    }
    if (!t->co) {
        t->co = lua_newthread(tasks.L);
        slot_set(tasks.threads_ref, t->slot, tasks.L);
    }
    t->next_free = NULL;
    tasks.live_count++;
    return t;
}

static void task_free(rt_task *t)
{
    rt_timer_stop(&t->deadline);
    tasks.live_count--;
    if (!t->co || tasks.free_count >= POOL_KEEPS) { // the slot stays with the struct; the thread goes
        slot_clear(tasks.threads_ref, t->slot);
        t->co = NULL;
    }
    lua_State *co = t->co;
    int slot = t->slot;
    uint32_t generation = t->generation;
    memset(t, 0, sizeof(*t));
    t->co = co;
    t->slot = slot;
    t->generation = generation + 1;
    t->next_free = tasks.free;
    tasks.free = t;
    tasks.free_count++;
}

static void finish(rt_task *t)
{
    handle *h = t->handle;
    int slot = t->slot;
    slot_clear(tasks.held_ref, slot);
    if (t->on_data_end)
        t->on_data_end(t->data);
    task_free(t);
    if (!h)
        return;
    slot_clear(tasks.handles_ref, slot);
    h->task = NULL;
    if (rt_waiting(&h->joiner)) { // last use of h: the joiner runs now
        lua_State *co = h->joiner.co;
        lua_pushboolean(co, h->ok);
        lua_rawgeti(co, LUA_REGISTRYINDEX, h->results_ref);
        lua_getfield(co, -1, "n");
        int count = (int)lua_tointeger(co, -1);
        lua_pop(co, 1);
        int at = lua_gettop(co);
        for (int i = 1; i <= count; i++)
            lua_rawgeti(co, at, i);
        lua_remove(co, at);
        rt_wake(&h->joiner, count + 1);
    }
}

static void keep_results(rt_task *t, int count)
{
    handle *h = t->handle;
    if (!h)
        return;
    lua_createtable(t->co, count, 1);
    for (int i = 1; i <= count; i++) {
        lua_pushvalue(t->co, -1 - count + i - 1);
        lua_rawseti(t->co, -2, i);
    }
    lua_pushinteger(t->co, count);
    lua_setfield(t->co, -2, "n");
    h->results_ref = luaL_ref(t->co, LUA_REGISTRYINDEX);
    h->ok = t->ok;
}

static void report_error(rt_task *t)
{
    if (t->handle) // join() tells
        return;
    const char *message = lua_tostring(t->co, -1);
    char other[64];
    if (!message) {
        snprintf(other, sizeof(other), "(error object is a %s)", luaL_typename(t->co, -1));
        message = other;
    }
    luaL_traceback(tasks.L, t->co, message, 0);
    rt_report("task failed", lua_tostring(tasks.L, -1));
    lua_pop(tasks.L, 1);
}

// An errored coroutine cannot run again.
static void replace_thread(rt_task *t)
{
    t->co = lua_newthread(tasks.L);
    slot_set(tasks.threads_ref, t->slot, tasks.L);
}

// Pushes the deferred function that was added last; false: none is left.
static bool push_deferred(rt_task *t)
{
    if (t->deferred == 0)
        return false;
    lua_rawgeti(t->co, LUA_REGISTRYINDEX, tasks.deferred_ref);
    lua_rawgeti(t->co, -1, t->slot);
    lua_rawgeti(t->co, -1, t->deferred);
    lua_pushnil(t->co);
    lua_rawseti(t->co, -3, t->deferred--);
    lua_insert(t->co, -3);
    lua_pop(t->co, 2);
    return true;
}

static void on_deadline(rt_timer *timer)
{
    rt_task *t = (rt_task *)((char *)timer - offsetof(rt_task, deadline));
    rt_task_cancel(t, "timeout");
}

// The coroutine has returned, or raised; what it left is on its stack.
static void task_returned(rt_task *t, int status)
{
    if (!t->is_ending) {
        t->ok = status == 0;
        if (t->ok) {
            keep_results(t, lua_gettop(t->co));
        } else {
            report_error(t);
            keep_results(t, 1);
        }
        t->is_ending = true;
    } else if (status != 0) {
        report_error(t);
    }
    if (status != 0)
        replace_thread(t);
    lua_settop(t->co, 0);
    if (push_deferred(t)) {
        t->fail_code = NULL;
        rt_timer_start(&t->deadline, DEFER_DEADLINE_MS, on_deadline);
        task_step(t, 0);
        return;
    }
    finish(t);
}

static void task_step(rt_task *t, int count)
{
    rt_task *before = tasks.current;
    tasks.current = t;
    int status = lua_resume(t->co, count);
    tasks.current = before;
    if (status == LUA_YIELD) {
        if (t->wait)
            return;
        // coroutine.yield() in the task itself: nobody would ever resume it.
        lua_settop(t->co, 0);
        replace_thread(t);
        lua_pushliteral(t->co, "coroutine.yield in a task: use a call that waits");
        status = LUA_ERRRUN;
    }
    task_returned(t, status);
}

rt_task *rt_task_spawn(lua_State *L, int count)
{
    rt_task *t = task_new();
    if (!t)
        luaL_error(L, "rt.task: out of memory");
    if (!lua_checkstack(t->co, count + 8)) {
        task_free(t);
        luaL_error(L, "rt.task: too many arguments");
    }
    lua_xmove(L, t->co, count + 1);
    uint32_t generation = t->generation;
    task_step(t, count);
    return t->generation == generation ? t : NULL;
}

// ---- waiting ----

void rt_check_task(lua_State *L)
{
    if (!tasks.current || tasks.current->co != L)
        luaL_error(L, "%s", WAIT_OUTSIDE);
}

void rt_hold(lua_State *L, rt_wait *w, int index)
{
    (void)w;
    lua_pushvalue(L, index);
    slot_set(tasks.held_ref, tasks.current->slot, L);
}

int rt_park(lua_State *L, rt_wait *w)
{
    rt_task *t = tasks.current;
    if (!t || t->co != L)
        return luaL_error(L, "%s", WAIT_OUTSIDE);
    if (t->fail_code) {
        w->co = NULL;
        if (w->on_cancel)
            w->on_cancel(w);
        return rt_fail(L, t->fail_code, "%s", t->fail_code);
    }
    w->co = L;
    w->task = t;
    t->wait = w;
    return lua_yield(L, 0);
}

void rt_wake(rt_wait *w, int count)
{
    rt_task *t = w->task;
    w->co = NULL;
    w->task = NULL;
    t->wait = NULL;
    task_step(t, count);
}

void rt_task_cancel(rt_task *t, const char *code)
{
    if (t->is_ending && strcmp(code, "timeout") != 0)
        return; // deferred functions run to their own deadline
    if (t->fail_code)
        return;
    t->fail_code = code;
    rt_wait *w = t->wait;
    if (!w)
        return; // it runs right now: its next wait fails
    lua_State *co = w->co;
    void (*on_cancel)(rt_wait *) = w->on_cancel;
    w->co = NULL;
    w->task = NULL;
    t->wait = NULL;
    if (on_cancel)
        on_cancel(w);
    task_step(t, rt_fail(co, code, "%s", strcmp(code, "timeout") == 0 ? "the deadline has passed" : code));
}

rt_task *rt_task_current(void)
{
    return tasks.current;
}

uint64_t rt_task_deadline_ms(void)
{
    return tasks.current && tasks.current->deadline.link ? tasks.current->deadline.at_ms : 0;
}

void rt_task_set_data(rt_task *t, void *data, void (*on_end)(void *data))
{
    t->data = data;
    t->on_data_end = on_end;
}

int rt_task_count(void)
{
    return tasks.live_count;
}

// ---- Lua: rt.task ----

static handle *check_handle(lua_State *L)
{
    return luaL_checkudata(L, 1, "rt.task");
}

// task.spawn(fn, ...) -> task. fn starts at once and runs until its first wait.
static int l_spawn(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    int count = lua_gettop(L) - 1;
    handle *h = lua_newuserdata(L, sizeof(*h)); // [fn, ..., ud]
    memset(h, 0, sizeof(*h));
    h->results_ref = LUA_NOREF;
    luaL_getmetatable(L, "rt.task");
    lua_setmetatable(L, -2);
    lua_insert(L, 1); // [ud, fn, ...]
    rt_task *t = task_new();
    if (!t)
        return luaL_error(L, "rt.task: out of memory");
    if (!lua_checkstack(t->co, count + 8)) {
        task_free(t);
        return luaL_error(L, "rt.task: too many arguments");
    }
    t->handle = h;
    h->task = t;
    lua_pushvalue(L, 1); // the task writes its results there at its end
    slot_set(tasks.handles_ref, t->slot, L);
    lua_xmove(L, t->co, count + 1);
    task_step(t, count);
    return 1;
}

// task:cancel([code]) -> true. Wakes the task with nil, { code = "cancelled" }.
static int l_cancel(lua_State *L)
{
    handle *h = check_handle(L);
    const char *code = luaL_optstring(L, 2, "cancelled");
    static const char *const codes[] = {"cancelled", "timeout", "client_closed", "draining"};
    for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
        if (strcmp(code, codes[i]) != 0)
            continue;
        if (h->task == tasks.current && h->task)
            return luaL_error(L, "task:cancel: a task cannot cancel itself");
        if (h->task)
            rt_task_cancel(h->task, codes[i]);
        return rt_true(L);
    }
    return luaL_argerror(L, 2, "cancelled, timeout, client_closed or draining");
}

// task:join() -> true, results... | false, error
static int l_join(lua_State *L)
{
    handle *h = check_handle(L);
    h->is_joined = true;
    if (!h->task) {
        lua_settop(L, 1);
        lua_pushboolean(L, h->ok);
        lua_rawgeti(L, LUA_REGISTRYINDEX, h->results_ref);
        lua_getfield(L, -1, "n");
        int count = (int)lua_tointeger(L, -1);
        lua_pop(L, 1);
        luaL_checkstack(L, count, "task:join");
        for (int i = 1; i <= count; i++)
            lua_rawgeti(L, 3, i);
        lua_remove(L, 3);
        return count + 1;
    }
    rt_check_task(L);
    if (h->task == tasks.current)
        return luaL_error(L, "task:join: a task cannot wait for itself");
    if (rt_waiting(&h->joiner))
        return luaL_error(L, "task:join: another task already waits");
    rt_hold(L, &h->joiner, 1);
    return rt_park(L, &h->joiner);
}

static int l_is_done(lua_State *L)
{
    lua_pushboolean(L, check_handle(L)->task == NULL);
    return 1;
}

static int l_handle_gc(lua_State *L)
{
    handle *h = luaL_checkudata(L, 1, "rt.task");
    if (!h->ok && !h->is_joined && !h->task) { // nobody will ever hear of it otherwise
        lua_rawgeti(L, LUA_REGISTRYINDEX, h->results_ref);
        lua_rawgeti(L, -1, 1);
        rt_report("task failed", lua_isstring(L, -1) ? lua_tostring(L, -1) : luaL_typename(L, -1));
        lua_pop(L, 2);
    }
    luaL_unref(L, LUA_REGISTRYINDEX, h->results_ref);
    h->results_ref = LUA_NOREF;
    if (h->task)
        h->task->handle = NULL; // only when the state is closed
    return 0;
}

static rt_task *check_current(lua_State *L)
{
    if (!tasks.current)
        luaL_error(L, "rt.task: only inside a task");
    return tasks.current;
}

// task.deadline(ms | nil): from now on, waits of this task fail with `timeout` once ms have passed.
static int l_deadline(lua_State *L)
{
    rt_task *t = check_current(L);
    if (t->fail_code && strcmp(t->fail_code, "timeout") == 0)
        t->fail_code = NULL;
    if (lua_isnoneornil(L, 1)) {
        rt_timer_stop(&t->deadline);
        return 0;
    }
    lua_Number ms = luaL_checknumber(L, 1);
    luaL_argcheck(L, ms >= 0, 1, "milliseconds from now");
    rt_timer_start(&t->deadline, (uint64_t)ms, on_deadline);
    return 0;
}

// task.remaining() -> ms until the deadline | nil
static int l_remaining(lua_State *L)
{
    rt_task *t = check_current(L);
    if (!t->deadline.link)
        return 0;
    uint64_t now_ms = rt_now_ms();
    lua_pushnumber(L, t->deadline.at_ms > now_ms ? (lua_Number)(t->deadline.at_ms - now_ms) : 0);
    return 1;
}

// task.defer(fn): fn runs when the task ends, last first, also after an error or a cancel. It may wait.
static int l_defer(lua_State *L)
{
    rt_task *t = check_current(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, tasks.deferred_ref);
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

static int l_count(lua_State *L)
{
    lua_pushinteger(L, tasks.live_count);
    return 1;
}

static int l_is_task(lua_State *L)
{
    lua_pushboolean(L, tasks.current && tasks.current->co == L);
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

void rt_task_init(lua_State *L)
{
    tasks.L = L;
    lua_newtable(L);
    tasks.threads_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    tasks.held_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    tasks.deferred_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    tasks.handles_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

void rt_task_close(void)
{
    while (tasks.free) {
        rt_task *t = tasks.free;
        tasks.free = t->next_free;
        free(t);
    }
    memset(&tasks, 0, sizeof(tasks));
}
