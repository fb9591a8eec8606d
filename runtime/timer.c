// Timers of requests and connections: a hashed wheel of RT_TICK_MS slots. Starting and stopping is a few
// pointer writes, so that a deadline per wait costs nothing. One uv timer is set to the next slot that holds
// something: an idle process does not wake up. A timer further away than one round stays in its slot until
// its time has come.
#include "rt.h"

#include <string.h>

enum { SLOTS = 1024, WORD_BITS = 64 };

static struct {
    rt_timer *slots[SLOTS];
    uint64_t used[SLOTS / WORD_BITS]; // bit: the slot may hold something (cleared when it is looked at)
    uint64_t tick;                    // the last tick that was handled
    uint64_t armed_tick;              // when `turn` fires; 0: not set
    uv_timer_t turn;
    bool is_handling;
} wheel;

static void on_turn(uv_timer_t *handle);

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

static void slot_push(uint64_t tick, rt_timer *t)
{
    unsigned slot = tick % SLOTS;
    wheel.used[slot / WORD_BITS] |= UINT64_C(1) << slot % WORD_BITS;
    list_push(&wheel.slots[slot], t);
}

static void arm(uint64_t tick)
{
    uint64_t at_ms = tick * RT_TICK_MS, now_ms = rt_now_ms();
    wheel.armed_tick = tick;
    uv_timer_start(&wheel.turn, on_turn, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

// Sets the uv timer to the next slot in use; a round is looked through by words.
static void arm_next(void)
{
    uint64_t tick = wheel.tick + 1;
    for (unsigned looked = 0; looked < SLOTS;) {
        unsigned slot = tick % SLOTS, bit = slot % WORD_BITS;
        uint64_t word = wheel.used[slot / WORD_BITS] >> bit;
        unsigned step = word ? (unsigned)__builtin_ctzll(word) : WORD_BITS - bit;
        tick += step;
        looked += step;
        if (word && looked < SLOTS) {
            arm(tick);
            return;
        }
    }
    wheel.armed_tick = 0;
}

static void handle_slot(uint64_t now_ms)
{
    unsigned slot = wheel.tick % SLOTS;
    rt_timer *due = wheel.slots[slot];
    wheel.slots[slot] = NULL;
    wheel.used[slot / WORD_BITS] &= ~(UINT64_C(1) << slot % WORD_BITS);
    if (due)
        due->link = &due;
    while (due) { // callbacks may start and stop any timer, also those of this list
        rt_timer *t = due;
        list_remove(t);
        if (t->at_ms > now_ms)
            slot_push((t->at_ms + RT_TICK_MS - 1) / RT_TICK_MS, t);
        else
            t->on_time(t);
    }
}

static void on_turn(uv_timer_t *handle)
{
    (void)handle;
    uint64_t now_ms = rt_now_ms(), tick = now_ms / RT_TICK_MS;
    wheel.is_handling = true;
    if (tick - wheel.tick > SLOTS)
        wheel.tick = tick - SLOTS; // nothing was due for a round, or the loop stood still: every slot once is enough
    while (wheel.tick < tick) {
        wheel.tick++;
        unsigned slot = wheel.tick % SLOTS;
        if (wheel.used[slot / WORD_BITS] >> slot % WORD_BITS & 1)
            handle_slot(now_ms);
    }
    wheel.is_handling = false;
    arm_next();
}

void rt_timer_start(rt_timer *t, uint64_t delay_ms, void (*on_time)(rt_timer *t))
{
    rt_timer_stop(t);
    uint64_t now_ms = rt_now_ms();
    t->at_ms = now_ms + delay_ms;
    t->on_time = on_time;
    if (!wheel.is_handling) { // nothing is in use before armed_tick: those slots need no look
        uint64_t now_tick = now_ms / RT_TICK_MS;
        bool is_due = wheel.armed_tick != 0 && wheel.armed_tick <= now_tick;
        wheel.tick = is_due ? wheel.armed_tick - 1 : now_tick;
    }
    uint64_t tick = (t->at_ms + RT_TICK_MS - 1) / RT_TICK_MS;
    if (tick <= wheel.tick)
        tick = wheel.tick + 1;
    slot_push(tick, t);
    // Beyond one round the slot comes up earlier; the timer is then put off.
    if (tick - wheel.tick > SLOTS)
        tick = wheel.tick + 1 + (tick - wheel.tick - 1) % SLOTS;
    if (!wheel.is_handling && (wheel.armed_tick == 0 || tick < wheel.armed_tick))
        arm(tick);
}

void rt_timer_stop(rt_timer *t)
{
    if (t->link)
        list_remove(t); // the wheel may turn once in vain
}

void rt_timer_init(uv_loop_t *loop)
{
    memset(&wheel, 0, sizeof(wheel));
    uv_timer_init(loop, &wheel.turn);
}

void rt_timer_close(void)
{
    if (!uv_is_closing((uv_handle_t *)&wheel.turn))
        uv_close((uv_handle_t *)&wheel.turn, NULL);
}
