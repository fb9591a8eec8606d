// rt.program: rules over event streams (core/program.h), made from Lua tables. rt.relay runs them between
// sockets; here they also run over text, for specs and for tools.
#include "bind/l_program.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static program_scratch scratch; // of all runs: one thread

program *l_program_check(lua_State *L, int index)
{
    return *(program **)luaL_checkudata(L, index, "rt.program");
}

static int l_program_gc(lua_State *L)
{
    program **slot = luaL_checkudata(L, 1, "rt.program");
    program_drop(*slot);
    *slot = NULL;
    return 0;
}

// program:slots() -> { name, ... }
static int l_slots(lua_State *L)
{
    const program *p = l_program_check(L, 1);
    lua_newtable(L);
    for (size_t i = 0; i < program_slot_count(p); i++) {
        size_t size;
        const char *name = program_slot_name(p, i, &size);
        lua_pushlstring(L, name, size);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

// ---- variables and slots ----

int l_program_set(lua_State *L, program_state *s, int index)
{
    lua_Number var = luaL_checknumber(L, index);
    size_t size;
    const char *text = luaL_checklstring(L, index + 1, &size);
    luaL_argcheck(L, var >= 1 && var <= PROGRAM_VARS && var == floor(var), index, "variable from 1 to 32");
    if (!program_set(s, (int)var - 1, text, size))
        return luaL_error(L, "rt.program: out of memory");
    return 0;
}

int l_program_slot(lua_State *L, const program_state *s, int index)
{
    size_t size;
    const char *name = luaL_checklstring(L, index, &size);
    int at = program_slot_index(s->program, name, size);
    if (at < 0)
        return luaL_error(L, "the program has no slot '%s'", name);
    const program_slot *slot = &s->slots[at];
    if (!slot->is_set)
        lua_pushnil(L);
    else if (slot->kind == PROGRAM_INTEGER)
        lua_pushnumber(L, (lua_Number)slot->integer);
    else
        lua_pushlstring(L, slot->text, slot->size);
    return 1;
}

// ---- a program over text: what plugin specs run ----

typedef struct text_run {
    program_state *state;
    bytes *out;
    char *fed; // copy of what was fed and is not read yet
} text_run;

// program:run() -> run
static int l_run(lua_State *L)
{
    program *p = l_program_check(L, 1);
    text_run *r = lua_newuserdata(L, sizeof(*r)); // [program, ud]
    memset(r, 0, sizeof(*r));
    luaL_getmetatable(L, "rt.program.run");
    lua_setmetatable(L, -2);
    r->state = program_state_new(p, 0);
    r->out = bytes_new(0);
    if (!r->state || !r->out)
        return luaL_error(L, "rt.program: out of memory");
    return 1;
}

static text_run *check_run(lua_State *L)
{
    return luaL_checkudata(L, 1, "rt.program.run");
}

static int l_run_gc(lua_State *L)
{
    text_run *r = check_run(L);
    program_state_free(r->state);
    bytes_drop(r->out);
    free(r->fed);
    memset(r, 0, sizeof(*r));
    return 0;
}

// run:feed(text). What was fed before must be read: next() has returned nil.
static int l_run_feed(lua_State *L)
{
    text_run *r = check_run(L);
    size_t size;
    const char *text = luaL_checklstring(L, 2, &size);
    if (r->fed)
        return luaL_error(L, "run:feed: call next() until it returns nil first");
    r->fed = malloc(size ? size : 1);
    if (!r->fed)
        return luaL_error(L, "rt.program: out of memory");
    memcpy(r->fed, text, size);
    sse_feed(&r->state->reader, r->fed, size);
    return 0;
}

// run:next() -> name, data | nil: all that was fed is used | nil, err (too_large)
static int l_run_next(lua_State *L)
{
    text_run *r = check_run(L);
    enum program_result result = program_next(r->state, &scratch, r->out);
    if (result == PROGRAM_WAKE) {
        lua_pushlstring(L, r->state->event.name, r->state->event.name_size);
        lua_pushlstring(L, r->state->event.data, r->state->event.data_size);
        return 2;
    }
    free(r->fed);
    r->fed = NULL;
    sse_feed(&r->state->reader, "", 0);
    if (result == PROGRAM_MORE) {
        lua_pushnil(L);
        return 1;
    }
    return rt_fail(L, result == PROGRAM_TOO_LARGE ? "too_large" : "no_memory", "event stream");
}

// run:output() -> what the rules have written since the last call
static int l_run_output(lua_State *L)
{
    text_run *r = check_run(L);
    lua_pushlstring(L, r->out->data ? r->out->data : "", r->out->size);
    r->out->size = 0;
    return 1;
}

static int l_run_set(lua_State *L)
{
    return l_program_set(L, check_run(L)->state, 2);
}

static int l_run_slot(lua_State *L)
{
    return l_program_slot(L, check_run(L)->state, 2);
}

// run:bad_events() -> how many events had broken JSON
static int l_run_bad_events(lua_State *L)
{
    lua_pushinteger(L, check_run(L)->state->bad_events);
    return 1;
}

static void make_class(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc)
{
    luaL_newmetatable(L, name);
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

static int open_program(lua_State *L)
{
    static const luaL_Reg program_methods[] = {{"slots", l_slots}, {"run", l_run}, {NULL, NULL}};
    static const luaL_Reg run_methods[] = {{"feed", l_run_feed}, {"next", l_run_next},
                                           {"set", l_run_set},   {"output", l_run_output},
                                           {"slot", l_run_slot}, {"bad_events", l_run_bad_events},
                                           {NULL, NULL}};
    static const luaL_Reg functions[] = {{"new", l_program_new}, {NULL, NULL}};
    make_class(L, "rt.program", program_methods, l_program_gc);
    make_class(L, "rt.program.run", run_methods, l_run_gc);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
RT_MODULE("rt.program", open_program)
