// Compiles rt.program's specs, Lua tables, into core/program.h. Raises where a spec is wrong and says which
// rule; what was made so far then belongs to the program's userdata and goes with it.
#include "bind/l_program.h"

#include <math.h>
#include <string.h>

enum { MAX_STEPS = 16 };

// Where in the spec we are, for messages.
typedef struct place {
    program *program;
    int rule; // from 1; 0: outside of rules
} place;

static int fail(lua_State *L, const place *at, const char *what)
{
    if (at->rule)
        return luaL_error(L, "program.new: rule %d: %s", at->rule, what);
    return luaL_error(L, "program.new: %s", what);
}

// Raises where the table on top holds a string key that is not in known ("a b c").
static void check_fields(lua_State *L, const place *at, const char *known)
{
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            continue;
        const char *key = lua_tostring(L, -1), *found = strstr(known, key);
        size_t size = strlen(key);
        while (found && ((found > known && found[-1] != ' ') || (found[size] != ' ' && found[size] != 0)))
            found = strstr(found + 1, key);
        if (!found || size == 0) {
            lua_pushfstring(L, "unknown field '%s', known are: %s", key, known);
            fail(L, at, lua_tostring(L, -1));
        }
    }
}

// Pushes field `name` of the table on top, which must be a table or nil; false (nothing pushed): nil.
static bool get_list(lua_State *L, const place *at, const char *name)
{
    lua_getfield(L, -1, name);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return false;
    }
    if (!lua_istable(L, -1)) {
        lua_pushfstring(L, "'%s' must be a list", name);
        fail(L, at, lua_tostring(L, -1));
    }
    return true;
}

// Compiles the list on top, { "key", 1, ... }, and pops it.
static int take_path(lua_State *L, const place *at)
{
    json_step steps[MAX_STEPS];
    if (!lua_istable(L, -1))
        return fail(L, at, "a path must be a list of keys and positions");
    size_t count = lua_objlen(L, -1);
    if (count == 0 || count > MAX_STEPS)
        return fail(L, at, "a path must have 1 to 16 steps");
    luaL_checkstack(L, MAX_STEPS, "path");
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, -1 - (int)i, (int)i + 1); // stays, so that the key stays alive
        if (lua_type(L, -1) == LUA_TSTRING) {
            size_t size;
            steps[i].key = lua_tolstring(L, -1, &size);
            steps[i].size = (uint32_t)size;
        } else if (lua_type(L, -1) == LUA_TNUMBER && lua_tonumber(L, -1) >= 1 && lua_tonumber(L, -1) <= 1e9) {
            steps[i] = (json_step){.index = (uint32_t)lua_tonumber(L, -1) - 1};
        } else {
            return fail(L, at, "a step of a path must be a key or a position from 1");
        }
    }
    int path = program_add_path(at->program, steps, count);
    lua_pop(L, (int)count + 1);
    if (path < 0)
        return fail(L, at, "too many paths");
    return path;
}

static int take_path_field(lua_State *L, const place *at, const char *name)
{
    lua_getfield(L, -1, name);
    return take_path(L, at);
}

// The variable number on top (1 to 32) as the core counts it; pops it.
static int take_var(lua_State *L, const place *at)
{
    lua_Number n = lua_tonumber(L, -1);
    if (lua_type(L, -1) != LUA_TNUMBER || n < 1 || n > PROGRAM_VARS || n != floor(n))
        return fail(L, at, "a variable must be a number from 1 to 32");
    lua_pop(L, 1);
    return (int)n - 1;
}

static void take_condition(lua_State *L, const place *at)
{
    static const struct {
        const char *name;
        enum program_test test;
    } tests[] = {{"present", PROGRAM_PRESENT},  {"absent", PROGRAM_ABSENT},    {"string", PROGRAM_IS_STRING},
                 {"number", PROGRAM_IS_NUMBER}, {"object", PROGRAM_IS_OBJECT}, {"array", PROGRAM_IS_ARRAY}};
    if (!lua_istable(L, -1))
        fail(L, at, "a condition must be a table");
    check_fields(L, at, "path equals var is");
    int path = take_path_field(L, at, "path"), rc = -2;
    lua_getfield(L, -1, "equals");
    lua_getfield(L, -2, "var");
    lua_getfield(L, -3, "is");
    if (!lua_isnil(L, -3) + !lua_isnil(L, -2) + !lua_isnil(L, -1) != 1)
        fail(L, at, "a condition must have one of equals, var, is");
    if (lua_type(L, -3) == LUA_TSTRING) {
        size_t size;
        const char *literal = lua_tolstring(L, -3, &size);
        rc = program_add_when(at->program, path, PROGRAM_EQUALS, literal, size, 0);
    } else if (!lua_isnil(L, -2)) {
        lua_pushvalue(L, -2);
        rc = program_add_when(at->program, path, PROGRAM_VAR, NULL, 0, take_var(L, at));
    } else if (lua_type(L, -1) == LUA_TSTRING) {
        for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++) {
            if (strcmp(tests[i].name, lua_tostring(L, -1)) == 0)
                rc = program_add_when(at->program, path, tests[i].test, NULL, 0, 0);
        }
    }
    if (rc == -2)
        fail(L, at,
             "equals must be the raw JSON text of a value; is: present, absent, string, number, object or array");
    if (rc < 0)
        fail(L, at, "out of memory");
    lua_pop(L, 3);
}

static void take_piece(lua_State *L, const place *at)
{
    int rc = -1;
    if (lua_type(L, -1) == LUA_TSTRING) {
        size_t size;
        const char *literal = lua_tolstring(L, -1, &size);
        rc = program_add_text(at->program, literal, size);
    } else if (lua_istable(L, -1)) {
        check_fields(L, at, "var raw");
        lua_getfield(L, -1, "var");
        if (!lua_isnil(L, -1)) {
            rc = program_add_var(at->program, take_var(L, at));
        } else {
            lua_pop(L, 1);
            rc = program_add_raw(at->program, take_path_field(L, at, "raw"));
        }
    } else {
        fail(L, at, "a piece of emit must be a string, { var = n } or { raw = path }");
    }
    if (rc < 0)
        fail(L, at, program_is_pass(at->program) ? "a program that passes bytes cannot emit" : "too many pieces");
}

static void take_lift(lua_State *L, const place *at)
{
    static const char *const kinds[] = {"integer", "string", "raw"}; // in the order of enum program_kind
    if (!lua_istable(L, -1))
        fail(L, at, "a lift must be a table");
    check_fields(L, at, "path slot kind");
    int path = take_path_field(L, at, "path"), kind = -1;
    lua_getfield(L, -1, "slot");
    lua_getfield(L, -2, "kind");
    if (lua_type(L, -2) != LUA_TSTRING)
        fail(L, at, "a lift must name its slot");
    for (int i = 0; i < 3; i++) {
        if (lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), kinds[i]) == 0)
            kind = i;
    }
    if (kind < 0)
        fail(L, at, "the kind of a lift must be integer, string or raw");
    size_t size;
    const char *slot = lua_tolstring(L, -2, &size);
    if (program_add_lift(at->program, path, slot, size, (enum program_kind)kind) < 0)
        fail(L, at, "two lifts into one slot must be of one kind");
    lua_pop(L, 2);
}

// Runs take over each item of the list under `name` in the table on top.
static void take_list(lua_State *L, const place *at, const char *name, void (*take)(lua_State *, const place *))
{
    if (!get_list(L, at, name))
        return;
    size_t count = lua_objlen(L, -1);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, (int)i);
        take(L, at);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void take_rule(lua_State *L, const place *at)
{
    if (!lua_istable(L, -1))
        fail(L, at, "a rule must be a table");
    check_fields(L, at, "event when emit lift wake");
    lua_getfield(L, -1, "event");
    lua_getfield(L, -2, "wake");
    if (lua_type(L, -2) != LUA_TSTRING)
        fail(L, at, "a rule must name its event");
    size_t size;
    const char *event = lua_tolstring(L, -2, &size);
    if (program_add_rule(at->program, event, size, lua_toboolean(L, -1)) < 0)
        fail(L, at, "out of memory");
    lua_pop(L, 2);
    take_list(L, at, "when", take_condition);
    take_list(L, at, "emit", take_piece);
    take_list(L, at, "lift", take_lift);
}

static void take_wake(lua_State *L, const place *at)
{
    size_t size;
    const char *event = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &size) : NULL;
    if (!event || program_add_wake(at->program, event, size) < 0)
        fail(L, at, "wake_on must be a list of event names");
}

static void take_idle(lua_State *L, const place *at)
{
    size_t size;
    const char *event = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &size) : NULL;
    if (!event || program_add_idle(at->program, event, size) < 0)
        fail(L, at, "idle must be a list of event names");
}

int l_program_new(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    program **slot = lua_newuserdata(L, sizeof(*slot)); // [spec, ud]
    *slot = NULL;
    luaL_getmetatable(L, "rt.program");
    lua_setmetatable(L, -2);
    lua_insert(L, 1); // [ud, spec]
    place at = {0};
    check_fields(L, &at, "rules pass wake_on idle");
    lua_getfield(L, 2, "pass");
    *slot = program_new(lua_toboolean(L, -1) ? PROGRAM_PASS : PROGRAM_TRANSLATE);
    lua_pop(L, 1);
    if (!*slot)
        return luaL_error(L, "program.new: out of memory");
    at.program = *slot; // what is raised from here on leaves it to __gc
    if (get_list(L, &at, "rules")) {
        size_t count = lua_objlen(L, -1);
        for (size_t i = 1; i <= count; i++) {
            at.rule = (int)i;
            lua_rawgeti(L, -1, (int)i);
            take_rule(L, &at);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    at.rule = 0;
    take_list(L, &at, "wake_on", take_wake);
    lua_getfield(L, 2, "idle");
    if (lua_isnil(L, -1))
        program_add_idle(*slot, "ping", 4);
    lua_pop(L, 1);
    take_list(L, &at, "idle", take_idle);
    lua_settop(L, 1);
    return 1;
}
