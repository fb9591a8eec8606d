// The process: one loop, one Lua state, what runs at the end of each turn, and the way out.
#include "rt.h"

#include "core/bytes.h"

#include <lualib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CLOSE_MS = 1000, EXIT_STUCK = 70 };

static struct {
    uv_loop_t loop;
    lua_State *L;
    uv_check_t turn_end;    // runs right after polling, once all I/O callbacks of the turn are done
    uv_idle_t hurry;        // active while something is queued: polling then does not block
    rt_soon *first, **last; // for the end of this turn
    rt_soon *running;       // what is left of the list that runs now
    rt_closer *closers;
    int exit_status;
    bool is_stopping;
} process;

static rt_module *modules;

lua_State *rt_main(void)
{
    return process.L;
}

uv_loop_t *rt_loop(lua_State *L)
{
    (void)L;
    return &process.loop;
}

uint64_t rt_now_ms(void)
{
    return uv_now(&process.loop);
}

void rt_report(const char *what, const char *message)
{
    fprintf(stderr, "moongate: %s: %s\n", what, message);
}

void rt_module_add(rt_module *m)
{
    m->next = modules;
    modules = m;
}

// ---- end of turn ----

static void on_turn_end(uv_check_t *check)
{
    (void)check;
    // What queues itself anew while these run waits for the next turn, which then does not block.
    process.running = process.first;
    process.first = NULL;
    process.last = &process.first;
    while (process.running) { // a callback may remove any other one
        rt_soon *s = process.running;
        process.running = s->next;
        s->is_queued = false;
        s->next = NULL;
        s->on_turn_end(s);
    }
    if (!process.first) {
        uv_check_stop(&process.turn_end);
        uv_idle_stop(&process.hurry);
    }
}

static void on_hurry(uv_idle_t *idle)
{
    (void)idle;
}

void rt_soon_queue(rt_soon *s, void (*on_turn_end_)(rt_soon *s))
{
    if (s->is_queued)
        return;
    s->is_queued = true;
    s->on_turn_end = on_turn_end_;
    s->next = NULL;
    *process.last = s;
    process.last = &s->next;
    if (!uv_is_active((uv_handle_t *)&process.turn_end)) {
        uv_check_start(&process.turn_end, on_turn_end);
        uv_idle_start(&process.hurry, on_hurry);
    }
}

void rt_soon_remove(rt_soon *s)
{
    if (!s->is_queued)
        return;
    s->is_queued = false;
    for (rt_soon **at = &process.running; *at; at = &(*at)->next) {
        if (*at == s) {
            *at = s->next;
            return;
        }
    }
    for (rt_soon **at = &process.first; *at; at = &(*at)->next) {
        if (*at != s)
            continue;
        *at = s->next;
        if (!*at)
            process.last = at;
        return;
    }
}

// ---- values ----

void *rt_pointer(lua_State *L, int index)
{
    int type = lua_type(L, index);
    if (type == LUA_TLIGHTUSERDATA)
        return lua_touserdata(L, index);
    if (type == 10) // LuaJIT's cdata; its payload is the pointer itself
        return *(void *const *)lua_topointer(L, index);
    return NULL;
}

uint32_t rt_tag(const void *shared)
{
    uint32_t tag = 0;
    if (shared)
        memcpy(&tag, shared, sizeof(tag));
    return tag;
}

// ---- life ----

int rt_open(void)
{
    int rc = uv_loop_init(&process.loop);
    if (rc < 0)
        return rc;
    process.last = &process.first;
    uv_check_init(&process.loop, &process.turn_end);
    uv_idle_init(&process.loop, &process.hurry);
    rt_timer_init(&process.loop);
    process.L = luaL_newstate();
    if (!process.L)
        return UV_ENOMEM;
    luaL_openlibs(process.L);
    lua_getglobal(process.L, "package");
    lua_getfield(process.L, -1, "preload");
    for (rt_module *m = modules; m; m = m->next) {
        lua_pushcfunction(process.L, m->open);
        lua_setfield(process.L, -2, m->name);
    }
    lua_pop(process.L, 2);
    rt_task_init(process.L);
    return 0;
}

int rt_run(void)
{
    while (!process.is_stopping) {
        if (uv_run(&process.loop, UV_RUN_ONCE) || process.is_stopping)
            continue;
        rt_report("stopped", rt_task_count() > 0 ? "every task waits, and nothing is left that could wake one"
                                                 : "nothing is left to do");
        rt_stop(EXIT_STUCK);
    }
    return process.exit_status;
}

void rt_stop(int exit_status)
{
    if (process.is_stopping) // the first one decides; tasks that end with the process may say it, too
        return;
    process.exit_status = exit_status;
    process.is_stopping = true;
    uv_stop(&process.loop);
}

void rt_at_close(rt_closer *c, void (*on_close)(void))
{
    for (rt_closer *at = process.closers; at; at = at->next)
        if (at == c)
            return;
    c->on_close = on_close;
    c->next = process.closers;
    process.closers = c;
}

static void close_handle(uv_handle_t *handle, void *data)
{
    (void)data;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void on_time_up(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static void on_limit_closed(uv_handle_t *h)
{
    h->data = NULL;
}

// Turns the loop until no task is left (or, with only_handles, no handle), for CLOSE_MS at most.
static void run_out(bool only_handles)
{
    uv_timer_t limit;
    bool is_up = false;
    uv_timer_init(&process.loop, &limit);
    limit.data = &is_up;
    uv_timer_start(&limit, on_time_up, CLOSE_MS, 0);
    uv_unref((uv_handle_t *)&limit);
    while (!is_up && (only_handles || rt_task_count() > 0) && uv_run(&process.loop, UV_RUN_ONCE)) {
    }
    uv_close((uv_handle_t *)&limit, on_limit_closed);
    while (limit.data) // it is on this stack; uv_stop() makes a turn end early
        uv_run(&process.loop, UV_RUN_NOWAIT);
}

int rt_close(void)
{
    if (rt_task_count() > 0) {
        rt_task_cancel_all("cancelled");
        run_out(false);
    }
    rt_task_abandon_all();
    while (process.closers) {
        rt_closer *c = process.closers;
        process.closers = c->next;
        c->on_close();
    }
    // Finalizers close what they own, which needs the loop; what is left then is closed here.
    if (process.L)
        lua_close(process.L);
    process.L = NULL;
    rt_task_close();
    uv_run(&process.loop, UV_RUN_NOWAIT);
    rt_timer_close();
    uv_walk(&process.loop, close_handle, NULL);
    run_out(true);
    if (uv_loop_close(&process.loop) == UV_EBUSY) {
        // A job on the thread pool hangs (a name server that does not answer); exit() would wait for its thread.
        fflush(NULL);
        _exit(process.exit_status);
    }
    return process.exit_status;
}
