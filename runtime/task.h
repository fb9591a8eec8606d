// What task.c and bind/l_task.c share. Nobody else looks into a task.
#ifndef MOONGATE_TASK_H
#define MOONGATE_TASK_H

#include "rt.h"

// A Lua handle (rt.task). It points at the task until that ends, and keeps its results from then on.
typedef struct task_handle {
    rt_task *task; // NULL: ended
    bool ok;
    bool is_joined;  // somebody has asked how it ended
    int results_ref; // table of results, with n and (after an error) trace; LUA_NOREF while running
    rt_wait joiner;
} task_handle;

struct rt_task {
    rt_task *next_free;
    lua_State *co;
    int slot;
    uint32_t generation; // counts the uses of this struct
    bool is_live, is_ending /* its deferred functions run */, ok;
    int deferred;          // how many functions wait in DEFERRED[slot]
    rt_wait *wait;         // parked here; NULL: running, or ready
    const char *fail_code; // set: every wait fails with it
    unsigned failed_waits; // how many did
    rt_soon ready;         // queued: the next step was put off, because tasks nest too deep
    int ready_count;       // values on top of co for that step
    rt_timer deadline;
    task_handle *handle;
    void *data;
    void (*on_data_end)(void *data);
};

typedef struct task_state {
    lua_State *L;
    rt_task *current;
    rt_task *free, *bare; // structs that keep their coroutine, and those that gave it up
    int pooled_count, live_count;
    rt_task **all; // by slot - 1
    int slot_count, slot_capacity;
    int depth; // tasks that run inside each other right now
    int threads_ref, held_ref, deferred_ref, handles_ref;
} task_state;

extern task_state rt_tasks;

// Takes a task from the pool for the function below `count` arguments on top of L; pops them. Not started.
// Raises when there is no memory.
rt_task *rt_task_make(lua_State *L, int count);
void rt_task_step(rt_task *t, int count);
void rt_task_set_deadline(rt_task *t, uint64_t delay_ms);
// table[slot] = the value on top of `from`, which is popped.
void rt_task_slot_set(int table_ref, int slot, lua_State *from);
// Pushes the results that a handle keeps; returns their count.
int rt_task_push_results(lua_State *L, const task_handle *h);

#endif
