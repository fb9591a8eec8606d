// Timers of requests and connections: a hashed wheel of RT_TICK_MS slots. Starting and stopping is a few
// pointer writes, so that a deadline per wait costs nothing; one uv timer turns the wheel, and only while
// something is on it. A timer further away than one round stays in its slot until its time has come.
#include "rt.h"

enum { SLOTS = 1024 };

static struct {
    rt_timer *slots[SLOTS];
    uint64_t tick; // the last tick that was handled
    unsigned count;
    uv_timer_t turn;
    bool is_turning;
} wheel;

static void list_push(rt_timer **head, rt_timer *t)
{
    t->next = *head;
    t->link = head;
    if (t->next)
        t->next->link = &t->next;
    *head = t;
}

static void list_remove(rt_timer *t)
{
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    t->link = NULL;
}

static void on_turn(uv_timer_t *handle)
{
    (void)handle;
    uint64_t now_ms = rt_now_ms(), tick = now_ms / RT_TICK_MS;
    if (tick - wheel.tick > SLOTS)
        wheel.tick = tick - SLOTS; // the loop stood still for a round: every slot once is enough
    while (wheel.tick < tick) {
        wheel.tick++;
        rt_timer *due = wheel.slots[wheel.tick % SLOTS];
        wheel.slots[wheel.tick % SLOTS] = NULL;
        if (due)
            due->link = &due;
        while (due) { // callbacks may start and stop any timer, also those of this list
            rt_timer *t = due;
            list_remove(t);
            if (t->at_ms > now_ms) {
                uint64_t at = (t->at_ms + RT_TICK_MS - 1) / RT_TICK_MS;
                list_push(&wheel.slots[at % SLOTS], t);
                continue;
            }
            wheel.count--;
            t->on_time(t);
        }
    }
    if (wheel.count == 0 && wheel.is_turning) {
        uv_timer_stop(&wheel.turn);
        wheel.is_turning = false;
    }
}

void rt_timer_start(rt_timer *t, uint64_t delay_ms, void (*on_time)(rt_timer *t))
{
    rt_timer_stop(t);
    uint64_t now_ms = rt_now_ms();
    t->at_ms = now_ms + delay_ms;
    t->on_time = on_time;
    if (!wheel.is_turning) {
        wheel.tick = now_ms / RT_TICK_MS;
        uv_timer_start(&wheel.turn, on_turn, RT_TICK_MS, RT_TICK_MS);
        wheel.is_turning = true;
    }
    uint64_t at = (t->at_ms + RT_TICK_MS - 1) / RT_TICK_MS;
    if (at <= wheel.tick)
        at = wheel.tick + 1;
    list_push(&wheel.slots[at % SLOTS], t);
    wheel.count++;
}

void rt_timer_stop(rt_timer *t)
{
    if (!t->link)
        return;
    list_remove(t);
    wheel.count--;
}

void rt_timer_init(uv_loop_t *loop)
{
    uv_timer_init(loop, &wheel.turn);
    uv_unref((uv_handle_t *)&wheel.turn);
}

void rt_timer_close(void)
{
    wheel.is_turning = false;
    if (!uv_is_closing((uv_handle_t *)&wheel.turn))
        uv_close((uv_handle_t *)&wheel.turn, NULL);
}
