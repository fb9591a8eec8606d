// rt: what every binding shares: the loop, tasks that wait, timers, errors, modules. One Lua state and
// one loop per process, one thread (thread-pool jobs never see Lua).
//
// A task is a pooled coroutine. A call that waits registers an rt_wait and returns rt_park(); a loop
// callback later pushes the results on waiter.co and calls rt_wake() as its last act. A task that is
// cancelled, or whose deadline passes, is woken from its wait with nil, { code = "cancelled" | "timeout" |
// the code given }, and every later wait of it fails the same way until it ends; its deferred functions
// then run shielded, with a deadline of their own.
#ifndef MOONGATE_RT_H
#define MOONGATE_RT_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

// ---- loop and state ----
lua_State *rt_main(void);         // the process's Lua state
uv_loop_t *rt_loop(lua_State *L); // L may be NULL
uint64_t rt_now_ms(void);         // monotonic, as of this turn of the loop; no system call

// ---- errors: results for Lua ----
int rt_fail(lua_State *L, const char *code, const char *format, ...) __attribute__((format(printf, 3, 4)));
int rt_fail_uv(lua_State *L, int rc, const char *what, const char *detail);
const char *rt_uv_code(int rc); // libuv error -> stable code: "refused", "reset", "timeout", "unreachable", ...
int rt_true(lua_State *L);

// ---- tasks ----
typedef struct rt_task rt_task;
typedef struct rt_wait rt_wait;
struct rt_wait {
    lua_State *co; // the parked coroutine; NULL: nobody waits
    rt_task *task;
    // Called when the task is taken away from this wait (cancel, deadline): stop the operation or let it
    // go on unwatched. The wait is already empty; the callback must not wake it. May be NULL.
    void (*on_cancel)(rt_wait *w);
};

// Raises where a wait is not possible: outside a task, inside a coroutine that the task made itself, or inside a
// callback of a C function that cannot be left (table.sort, string.gsub, require). Before anything is started.
void rt_check_task(lua_State *L);
// Keeps the value at index alive at least until the wait is over.
void rt_hold(lua_State *L, rt_wait *w, int index);
// Must be the operand of return. Results are those that rt_wake() was given.
int rt_park(lua_State *L, rt_wait *w);
static inline bool rt_waiting(const rt_wait *w)
{
    return w->co != NULL;
}
// Resumes the task with the `count` values on top of w->co. The task runs inside this call: it is the
// caller's last act. (Where tasks wake each other a hundred deep, it runs at the end of this turn.)
void rt_wake(rt_wait *w, int count);

// Starts the function below `count` arguments on top of L as a task; it runs at once, until its first
// wait (where tasks start each other a hundred deep: at the end of this turn). Pops them. Returns the task, or NULL
// when it has already ended.
rt_task *rt_task_spawn(lua_State *L, int count);
// Wakes the task with nil, {code}; code is a literal. No-op for a task that is ending. Never for the running task
// itself.
void rt_task_cancel(rt_task *task, const char *code);
rt_task *rt_task_current(void);     // NULL outside tasks
uint64_t rt_task_deadline_ms(void); // of the current task, on rt_now_ms()'s clock; 0: none
void rt_task_set_data(rt_task *task, void *data, void (*on_end)(void *data)); // on_end: after the deferred functions
int rt_task_count(void);

// ---- timers: one coarse wheel (RT_TICK_MS), no system call, intrusive ----
enum { RT_TICK_MS = 32 };
#define RT_MS_MAX (UINT64_C(1) << 52) // longest delay
typedef struct rt_timer rt_timer;
struct rt_timer {
    rt_timer *next, **link; // link == NULL: not started
    uint64_t at_ms;
    void (*on_time)(rt_timer *t);
};
// (Re)starts t: on_time is called once, no earlier than delay_ms from now and about a tick late at most.
void rt_timer_start(rt_timer *t, uint64_t delay_ms, void (*on_time)(rt_timer *t));
void rt_timer_stop(rt_timer *t); // any number of times; t must be zeroed before its first use

// Calls fn once, when this turn of the loop has handled its I/O (after all callbacks, before polling again).
typedef struct rt_soon rt_soon;
struct rt_soon {
    rt_soon *next;
    bool is_queued;
    void (*on_turn_end)(rt_soon *s);
};
void rt_soon_queue(rt_soon *s, void (*on_turn_end)(rt_soon *s)); // no-op while queued
void rt_soon_remove(rt_soon *s);

// ---- values ----
// The C object a Lua value points at: lightuserdata, or an FFI pointer; NULL for nil or anything else.
// Check the object's tag (core/bytes.h, enum shared_tag) before use.
void *rt_pointer(lua_State *L, int index);
// The enum shared_tag of a pointer made by rt_pointer(), 0 for NULL.
uint32_t rt_tag(const void *shared);

// ---- modules: RT_MODULE("rt.task", open_task) makes require("rt.task") call open_task ----
typedef struct rt_module {
    const char *name;
    lua_CFunction open;
    struct rt_module *next;
} rt_module;
void rt_module_add(rt_module *m);
#define RT_MODULE(module_name, open_function)                                                                          \
    __attribute__((constructor)) static void rt_module_register(void)                                                  \
    {                                                                                                                  \
        static rt_module module = {module_name, open_function, NULL};                                                  \
        rt_module_add(&module);                                                                                        \
    }

// ---- life of the process (loop.c) ----
int rt_open(void); // makes loop and state; 0 or a libuv error
int rt_run(void);  // runs until rt_stop(), or until nothing can happen any more (exit status 70)
void rt_stop(int exit_status);
// Cancels all tasks and gives them CLOSE_MS to end, closes all handles and the state; returns the exit status.
int rt_close(void);
// Uncaught errors of tasks go here (default: standard error).
void rt_report(const char *what, const char *message);
// Calls fn when the process ends in order, after the last task and before the Lua state goes; last added first.
typedef struct rt_closer rt_closer;
struct rt_closer {
    rt_closer *next;
    void (*on_close)(void);
};
void rt_at_close(rt_closer *c, void (*on_close)(void)); // c is static; no-op when it is already there

// Internal to loop.c and task.c.
void rt_task_init(lua_State *L);
void rt_task_close(void);
void rt_task_cancel_all(const char *code);
void rt_task_abandon_all(void);
void rt_timer_init(uv_loop_t *loop);
void rt_timer_close(void);

#endif
