// program: declarative rules over a stream of events whose data is JSON. Knows no vendor: event names,
// paths and texts come from the caller. It runs in C, so that a streamed event costs neither a Lua string
// nor a call into Lua unless a rule says so.
//
// A rule belongs to one event name. Its conditions look at values by path; the first rule of that name
// whose conditions hold is the one that acts: its pieces are written to the output, its lifts overwrite
// slots, and it may wake the caller. A rule whose piece asks for a value that is absent does not hold.
// What no rule takes wakes the caller in translating mode, and is left alone in pass mode (where the bytes
// go past the program untouched, and rules only lift and wake). JSON is parsed only for events whose name
// has a rule that looks into it, and strictly: a broken text goes through no rule and wakes the caller.
//
// Ownership: a program is built by one caller, then never changed, and counted by reference; each stream
// has a program_state; all streams of a thread share one program_scratch. Nothing is allocated per event,
// but for the growth of the output and for lifted texts.
#ifndef MOONGATE_CORE_PROGRAM_H
#define MOONGATE_CORE_PROGRAM_H

#include "core/bytes.h"
#include "core/json.h"
#include "core/sse.h"

enum {
    PROGRAM_VARS = 32,               // variables are numbered from 0 to 31
    PROGRAM_PATHS = 128,             // different paths of one program
    PROGRAM_PIECES = 32,             // pieces of one rule
    PROGRAM_SLOT_TEXT = 1024 * 1024, // larger texts are not lifted, in bytes
};

typedef struct program program;

enum program_mode { PROGRAM_TRANSLATE, PROGRAM_PASS };
enum program_kind { PROGRAM_INTEGER, PROGRAM_STRING, PROGRAM_RAW };

// What a condition asks of the value at its path.
enum program_test {
    PROGRAM_EQUALS,  // raw text is equal to the literal, byte by byte
    PROGRAM_VAR,     // raw text is equal to the variable (one that is not set equals nothing)
    PROGRAM_PRESENT, // is there and is not null
    PROGRAM_ABSENT,  // is missing or null
    PROGRAM_IS_STRING,
    PROGRAM_IS_NUMBER,
    PROGRAM_IS_OBJECT,
    PROGRAM_IS_ARRAY,
};

// Makes an empty program with one reference; NULL: out of memory.
program *program_new(enum program_mode mode);
program *program_hold(program *p);
void program_drop(program *p); // NULL is fine

// Building. Every text is copied. Each returns 0 or an index from 0, or -1: out of memory or over a limit.
int program_add_path(program *p, const json_step *steps, size_t count);
// Begins a rule for an event name; is_wake: the event is also the caller's. The calls below add to it.
int program_add_rule(program *p, const char *event, size_t size, bool is_wake);
int program_add_when(program *p, int path, enum program_test test, const char *literal, size_t size, int var);
int program_add_text(program *p, const char *text, size_t size);
int program_add_var(program *p, int var);
int program_add_raw(program *p, int path);
// Lifts the value at path into the slot of that name (made when it is new). Rules may share a slot; its
// kind must then be the same (-1).
int program_add_lift(program *p, int path, const char *slot, size_t size, enum program_kind kind);
// Events of this name wake the caller whatever the rules did.
int program_add_wake(program *p, const char *event, size_t size);
// Events of this name are no content (keep-alives): program_peek() skips them, they are not counted.
int program_add_idle(program *p, const char *event, size_t size);

bool program_is_pass(const program *p);
size_t program_slot_count(const program *p);
// Index of a slot by name, -1: the program has none.
int program_slot_index(const program *p, const char *name, size_t size);
const char *program_slot_name(const program *p, size_t index, size_t *size);

// A lifted value. is_set false: nothing was lifted yet.
typedef struct program_slot {
    bool is_set;
    enum program_kind kind;
    uint32_t size; // of text
    union {
        int64_t integer;
        char *text;
    };
} program_slot;

typedef struct program_var {
    char *text; // NULL: not set
    uint32_t size, capacity;
} program_var;

typedef struct program_state {
    sse_reader reader;
    program *program;
    program_var *vars; // as many as were needed
    int var_count;
    sse_event event;     // the one that woke the caller, or that was peeked at
    uint64_t events;     // not idle ones, all told
    uint32_t bad_events; // whose JSON was broken
    bool is_peeked;
    program_slot slots[];
} program_state;

// What all streams of a thread share: room for parsing one event. All zero is a valid empty one.
typedef struct program_scratch {
    json_nodes nodes;
    uint32_t found[PROGRAM_PATHS];
} program_scratch;

enum program_result {
    PROGRAM_MORE, // all that was fed is used
    PROGRAM_WAKE, // state->event is for the caller; its slices live until the next call
    PROGRAM_TOO_LARGE,
    PROGRAM_NO_MEMORY,
};

// Makes the state of one stream; limit_bytes bounds one event (0: SSE_LIMIT_BYTES). NULL: out of memory.
program_state *program_state_new(program *p, uint32_t limit_bytes);
void program_state_free(program_state *s); // NULL is fine
// Sets a variable; text is copied. false: out of memory, or no such variable.
bool program_set(program_state *s, int var, const char *text, size_t size);
// Feed with sse_feed(&s->reader, ...), then call until it is not PROGRAM_WAKE. Output is appended to out
// (may be NULL in pass mode).
enum program_result program_next(program_state *s, program_scratch *scratch, bytes *out);
// Looks for the first event that is not idle and leaves it in s->event for the next program_next(): PROGRAM_WAKE.
// Idle events before it are dropped.
enum program_result program_peek(program_state *s);
void program_scratch_free(program_scratch *scratch);

#endif
