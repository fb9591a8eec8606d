// Tasks: pooled coroutines, park and wake, cancellation, one deadline, deferred functions.
// Ownership: rt_tasks.all owns every rt_task; its coroutine is anchored in the table THREADS under the
// task's slot, what it must keep alive while parked in HELD, its deferred functions in DEFERRED, its
// handle in HANDLES. The Lua side is bind/l_task.c.
#include "task.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// MAX_DEPTH: a task that starts or wakes a task inside itself, and so on, uses the C stack; deeper steps wait
// for the end of the turn. MAX_FAILED_WAITS: a cancelled task that loops on failing waits would stop the process.
enum { POOL_KEEPS = 512, DEFER_DEADLINE_MS = 10000, MAX_DEPTH = 100, MAX_FAILED_WAITS = 100 };

task_state rt_tasks;

static const char *const WAIT_OUTSIDE =
    "this call waits, and can be used only inside a task, not inside another coroutine";
static const char *const WAIT_IN_C =
    "this call waits, and cannot be used in a callback of table.sort or string.gsub, in a finalizer or while a "
    "module loads";

// ---- tables by slot ----

void rt_task_slot_set(int table_ref, int slot, lua_State *from)
{
    lua_rawgeti(from, LUA_REGISTRYINDEX, table_ref);
    lua_insert(from, -2);
    lua_rawseti(from, -2, slot);
    lua_pop(from, 1);
}

static void slot_clear(int table_ref, int slot)
{
    lua_pushnil(rt_tasks.L);
    rt_task_slot_set(table_ref, slot, rt_tasks.L);
}

// ---- making and ending ----

static rt_task *new_struct(void)
{
    if (rt_tasks.slot_count == rt_tasks.slot_capacity) {
        int capacity = rt_tasks.slot_capacity ? rt_tasks.slot_capacity * 2 : 64;
        rt_task **all = realloc(rt_tasks.all, (size_t)capacity * sizeof(*all));
        if (!all)
            return NULL;
        rt_tasks.all = all;
        rt_tasks.slot_capacity = capacity;
    }
    rt_task *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    rt_tasks.all[rt_tasks.slot_count] = t;
    t->slot = ++rt_tasks.slot_count;
    return t;
}

static void new_thread(rt_task *t)
{
    t->co = lua_newthread(rt_tasks.L);
    rt_task_slot_set(rt_tasks.threads_ref, t->slot, rt_tasks.L);
}

static void make_free(rt_task *t)
{
    lua_State *co = t->co;
    int slot = t->slot;
    uint32_t generation = t->generation;
    memset(t, 0, sizeof(*t));
    t->slot = slot;
    t->generation = generation + 1;
    if (co && rt_tasks.pooled_count < POOL_KEEPS) {
        t->co = co;
        t->next_free = rt_tasks.free;
        rt_tasks.free = t;
        rt_tasks.pooled_count++;
        return;
    }
    slot_clear(rt_tasks.threads_ref, slot);
    t->next_free = rt_tasks.bare;
    rt_tasks.bare = t;
}

rt_task *rt_task_make(lua_State *L, int count)
{
    rt_task *t = rt_tasks.free;
    if (t) {
        rt_tasks.free = t->next_free;
        rt_tasks.pooled_count--;
    } else if ((t = rt_tasks.bare)) {
        rt_tasks.bare = t->next_free;
    } else if (!(t = new_struct())) {
        luaL_error(L, "rt.task: out of memory");
    }
    t->next_free = NULL;
    if (!t->co)
        new_thread(t);
    if (!lua_checkstack(t->co, count + 8)) {
        make_free(t);
        luaL_error(L, "rt.task: too many arguments");
    }
    t->is_live = true;
    rt_tasks.live_count++;
    lua_xmove(L, t->co, count + 1);
    return t;
}

int rt_task_push_results(lua_State *L, const task_handle *h)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->results_ref);
    int at = lua_gettop(L);
    lua_getfield(L, at, "n");
    int count = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    luaL_checkstack(L, count + 4, "results of a task");
    for (int i = 1; i <= count; i++)
        lua_rawgeti(L, at, i);
    lua_remove(L, at);
    return count;
}

static void finish(rt_task *t)
{
    task_handle *h = t->handle;
    int slot = t->slot;
    rt_timer_stop(&t->deadline);
    slot_clear(rt_tasks.held_ref, slot);
    if (t->on_data_end)
        t->on_data_end(t->data);
    rt_tasks.live_count--;
    make_free(t);
    if (!h)
        return;
    h->task = NULL;
    slot_clear(rt_tasks.handles_ref, slot); // the joiner, where there is one, holds it
    if (!rt_waiting(&h->joiner))
        return;
    lua_State *co = h->joiner.co; // last use of h: the joiner runs now
    lua_pushboolean(co, h->ok);
    lua_rawgeti(co, LUA_REGISTRYINDEX, h->results_ref);
    lua_getfield(co, -1, "n");
    int count = (int)lua_tointeger(co, -1);
    lua_pop(co, 2);
    if (lua_checkstack(co, count + 8)) {
        rt_task_push_results(co, h);
    } else {
        lua_pushliteral(co, "task:join: too many results");
        lua_pushboolean(co, 0);
        lua_replace(co, -3);
        count = 1;
    }
    rt_wake(&h->joiner, count + 1);
}

// Pops the `count` values on top of the main state's stack into the handle's table of results.
static void keep_results(task_handle *h, int count)
{
    lua_State *L = rt_tasks.L;
    lua_createtable(L, count, 2);
    lua_insert(L, -1 - count);
    for (int i = count; i >= 1; i--)
        lua_rawseti(L, -1 - i, i);
    lua_pushinteger(L, count);
    lua_setfield(L, -2, "n");
    h->results_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

// [error -> error, text with traceback] on the main state's stack
static void push_trace(lua_State *co)
{
    lua_State *L = rt_tasks.L;
    char other[64];
    const char *message = NULL;
    if (lua_type(L, -1) == LUA_TTABLE) {
        lua_getfield(L, -1, "message");
        lua_remove(L, -2);
    }
    message = lua_tostring(L, -1);
    if (!message) {
        snprintf(other, sizeof(other), "(error object is a %s)", luaL_typename(L, -1));
        message = other;
    }
    luaL_traceback(L, co, message, 0);
    lua_remove(L, -2);
}

static void report_error(lua_State *co)
{
    push_trace(co);
    rt_report("task failed", lua_tostring(rt_tasks.L, -1));
    lua_pop(rt_tasks.L, 1);
}

// What the task's function returned or raised (on top of its stack) goes to the handle or the report.
static void keep_outcome(rt_task *t, int status)
{
    lua_State *L = rt_tasks.L;
    int count = status == 0 ? lua_gettop(t->co) : 1;
    t->ok = status == 0;
    if (!t->handle && t->ok)
        return;
    luaL_checkstack(L, count + 8, "results of a task");
    lua_xmove(t->co, L, count);
    if (!t->handle) {
        report_error(t->co);
        return;
    }
    t->handle->ok = t->ok;
    if (t->ok) {
        keep_results(t->handle, count);
        return;
    }
    lua_pushvalue(L, -1);
    push_trace(t->co);
    lua_insert(L, -2);
    keep_results(t->handle, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->handle->results_ref);
    lua_insert(L, -2);
    lua_setfield(L, -2, "trace");
    lua_pop(L, 1);
}

// Pushes the deferred function that was added last; false: none is left.
static bool push_deferred(rt_task *t)
{
    if (t->deferred == 0)
        return false;
    lua_rawgeti(t->co, LUA_REGISTRYINDEX, rt_tasks.deferred_ref);
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

void rt_task_set_deadline(rt_task *t, uint64_t delay_ms)
{
    rt_timer_start(&t->deadline, delay_ms, on_deadline);
}

// The coroutine has returned, or raised. True: a deferred function is on its stack, to be run next.
static bool has_more(rt_task *t, int status)
{
    if (!t->is_ending) {
        keep_outcome(t, status);
        t->is_ending = true;
    } else if (status != 0) {
        lua_xmove(t->co, rt_tasks.L, 1);
        report_error(t->co);
    }
    if (status != 0)
        new_thread(t); // an errored coroutine cannot run again
    lua_settop(t->co, 0);
    rt_timer_stop(&t->deadline);
    if (!push_deferred(t))
        return false;
    t->fail_code = NULL;
    t->failed_waits = 0;
    rt_task_set_deadline(t, DEFER_DEADLINE_MS);
    return true;
}

static int resume(rt_task *t, int count)
{
    rt_task *before = rt_tasks.current;
    rt_tasks.current = t;
    rt_tasks.depth++;
    int status = lua_resume(t->co, count);
    rt_tasks.depth--;
    rt_tasks.current = before;
    if (status == LUA_YIELD && !t->wait) {
        // coroutine.yield() in the task itself: nobody would ever resume it.
        lua_settop(t->co, 0);
        luaL_traceback(rt_tasks.L, t->co, "coroutine.yield in a task: use a call that waits", 0);
        new_thread(t);
        lua_xmove(rt_tasks.L, t->co, 1);
        status = LUA_ERRRUN;
    }
    return status;
}

static void on_ready(rt_soon *s)
{
    rt_task *t = (rt_task *)((char *)s - offsetof(rt_task, ready));
    rt_task_step(t, t->ready_count);
}

void rt_task_step(rt_task *t, int count)
{
    if (rt_tasks.depth >= MAX_DEPTH) {
        t->ready_count = count;
        rt_soon_queue(&t->ready, on_ready);
        return;
    }
    int status = resume(t, count);
    while (status != LUA_YIELD) {
        if (!has_more(t, status)) {
            finish(t);
            return;
        }
        status = resume(t, 0);
    }
}

rt_task *rt_task_spawn(lua_State *L, int count)
{
    rt_task *t = rt_task_make(L, count);
    uint32_t generation = t->generation;
    rt_task_step(t, count);
    return t->generation == generation ? t : NULL;
}

// ---- waiting ----

void rt_check_task(lua_State *L)
{
    if (!rt_tasks.current || rt_tasks.current->co != L)
        luaL_error(L, "%s", WAIT_OUTSIDE);
    if (!lua_isyieldable(L)) // a C function stands between: the wait would be entered, and never left
        luaL_error(L, "%s", WAIT_IN_C);
}

void rt_hold(lua_State *L, rt_wait *w, int index)
{
    (void)w;
    lua_pushvalue(L, index);
    rt_task_slot_set(rt_tasks.held_ref, rt_tasks.current->slot, L);
}

int rt_park(lua_State *L, rt_wait *w)
{
    rt_check_task(L);
    rt_task *t = rt_tasks.current;
    if (t->fail_code) {
        w->co = NULL;
        w->task = NULL;
        if (w->on_cancel)
            w->on_cancel(w);
        if (++t->failed_waits > MAX_FAILED_WAITS)
            return luaL_error(L, "the task has ended (%s), but goes on waiting", t->fail_code);
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
    rt_task_step(t, count);
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
    rt_task_step(t, rt_fail(co, code, "%s", strcmp(code, "timeout") == 0 ? "the deadline has passed" : code));
}

rt_task *rt_task_current(void)
{
    return rt_tasks.current;
}

uint64_t rt_task_deadline_ms(void)
{
    rt_task *t = rt_tasks.current;
    return t && t->deadline.link ? t->deadline.at_ms : 0;
}

void rt_task_set_data(rt_task *t, void *data, void (*on_end)(void *data))
{
    t->data = data;
    t->on_data_end = on_end;
}

int rt_task_count(void)
{
    return rt_tasks.live_count;
}

// ---- life ----

void rt_task_init(lua_State *L)
{
    rt_tasks.L = L;
    int *refs[] = {&rt_tasks.threads_ref, &rt_tasks.held_ref, &rt_tasks.deferred_ref, &rt_tasks.handles_ref};
    for (size_t i = 0; i < sizeof(refs) / sizeof(*refs); i++) {
        lua_newtable(L);
        *refs[i] = luaL_ref(L, LUA_REGISTRYINDEX);
    }
}

void rt_task_cancel_all(const char *code)
{
    for (int i = 0; i < rt_tasks.slot_count; i++)
        if (rt_tasks.all[i]->is_live)
            rt_task_cancel(rt_tasks.all[i], code);
}

// From here on no wait wakes a task any more: the Lua state is about to go.
void rt_task_abandon_all(void)
{
    for (int i = 0; i < rt_tasks.slot_count; i++) {
        rt_task *t = rt_tasks.all[i];
        rt_soon_remove(&t->ready);
        rt_timer_stop(&t->deadline);
        if (t->wait) {
            t->wait->co = NULL;
            t->wait->task = NULL;
            t->wait = NULL;
        }
    }
}

void rt_task_close(void)
{
    for (int i = 0; i < rt_tasks.slot_count; i++) {
        rt_task *t = rt_tasks.all[i];
        if (t->is_live && t->on_data_end)
            t->on_data_end(t->data);
        free(t);
    }
    free(rt_tasks.all);
    memset(&rt_tasks, 0, sizeof(rt_tasks));
}
