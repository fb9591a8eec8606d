// rt.time: clocks, and a task's sleep.
#include "rt.h"

#include <stdlib.h>
#include <time.h>

typedef struct nap {
    uv_timer_t timer; // timer.data points back; freed by on_nap_closed()
    rt_wait waiter;
} nap;

static void on_nap_closed(uv_handle_t *h)
{
    free(h->data);
}

static void on_nap_over(uv_timer_t *timer)
{
    nap *n = timer->data;
    rt_wait waiter = n->waiter;
    uv_close((uv_handle_t *)timer, on_nap_closed);
    if (rt_waiting(&waiter))
        rt_wake(&waiter, rt_true(waiter.co));
}

static void on_nap_cancel(rt_wait *w)
{
    nap *n = (nap *)((char *)w - offsetof(nap, waiter));
    uv_close((uv_handle_t *)&n->timer, on_nap_closed);
}

// time.sleep(ms) -> true | nil, err (cancelled, timeout)
static int l_sleep(lua_State *L)
{
    lua_Number ms = luaL_checknumber(L, 1);
    luaL_argcheck(L, ms >= 0, 1, "milliseconds");
    rt_check_task(L);
    nap *n = calloc(1, sizeof(*n));
    if (!n)
        return rt_fail(L, "no_memory", "sleep");
    uv_timer_init(rt_loop(L), &n->timer);
    n->timer.data = n;
    n->waiter.on_cancel = on_nap_cancel;
    uv_timer_start(&n->timer, on_nap_over, ms < RT_MS_MAX ? (uint64_t)ms : RT_MS_MAX, 0);
    return rt_park(L, &n->waiter);
}

// time.now_ms() -> milliseconds since 1970-01-01T00:00:00Z
static int l_now_ms(lua_State *L)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    lua_pushnumber(L, (lua_Number)now.tv_sec * 1e3 + (lua_Number)(now.tv_nsec / 1000000));
    return 1;
}

// time.monotonic_ms() -> milliseconds, with fraction, on a clock that never steps
static int l_monotonic_ms(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)uv_hrtime() / 1e6);
    return 1;
}

// time.loop_ms() -> milliseconds on the same clock as of this turn of the loop; no system call
static int l_loop_ms(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)rt_now_ms());
    return 1;
}

static int open_time(lua_State *L)
{
    static const luaL_Reg functions[] = {{"sleep", l_sleep},
                                         {"now_ms", l_now_ms},
                                         {"monotonic_ms", l_monotonic_ms},
                                         {"loop_ms", l_loop_ms},
                                         {NULL, NULL}};
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
RT_MODULE("rt.time", open_time)
