// rt.allow: which headers of an upstream's answer go on to the client: an allow-list of names, compiled once and
// applied in one call for each answer.
// Ownership: the userdata holds copies of the names.
#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "rt.h"

#define ALLOW "rt.allow"
enum { ALLOW_NAMES = 64 };

typedef struct allow_name {
    char *text;
    size_t size;
    bool is_prefix;
} allow_name;

typedef struct allow {
    int count, denied_count;
    allow_name names[ALLOW_NAMES];
    allow_name denied[ALLOW_NAMES];
} allow;

static int l_gc(lua_State *L)
{
    allow *a = luaL_checkudata(L, 1, ALLOW);
    for (int i = 0; i < a->count; i++)
        free(a->names[i].text);
    for (int i = 0; i < a->denied_count; i++)
        free(a->denied[i].text);
    a->count = a->denied_count = 0;
    return 0;
}

// Appends the strings of the list at index.
static void read_names(lua_State *L, int index, allow_name *names, int *count)
{
    size_t length = lua_objlen(L, index);
    luaL_argcheck(L, length <= ALLOW_NAMES, index, "too many names");
    for (size_t i = 1; i <= length; i++) {
        lua_rawgeti(L, index, (int)i);
        size_t size;
        const char *text = luaL_checklstring(L, -1, &size);
        luaL_argcheck(L, size > 0, index, "an empty name");
        char *copy = malloc(size);
        if (!copy)
            luaL_error(L, "not enough memory");
        memcpy(copy, text, size);
        bool is_prefix = text[size - 1] == '*';
        names[(*count)++] = (allow_name){copy, is_prefix ? size - 1 : size, is_prefix};
        lua_pop(L, 1);
    }
}

// allow.new(names, denied) -> allow. Names in lower case; "*" at the end stands for the rest. What is denied is
// never taken, also when a prefix has it.
static int l_new(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    allow *a = lua_newuserdata(L, sizeof(*a));
    memset(a, 0, sizeof(*a));
    luaL_getmetatable(L, ALLOW);
    lua_setmetatable(L, -2);
    read_names(L, 1, a->names, &a->count);
    read_names(L, 2, a->denied, &a->denied_count);
    return 1;
}

static bool has(const allow_name *names, int count, const char *name, size_t size)
{
    for (int i = 0; i < count; i++) {
        const allow_name *n = &names[i];
        if ((n->is_prefix ? size >= n->size : size == n->size) && memcmp(n->text, name, n->size) == 0)
            return true;
    }
    return false;
}

static bool is_name(const char *name, size_t size, const char *want)
{
    return size == strlen(want) && memcmp(name, want, size) == 0;
}

// allow:copy(call, out, count) -> count, content-type | nil, content-encoding | nil. Appends name, value, ... of what
// is allowed to the list `out`, which holds `count` values.
static int l_copy(lua_State *L)
{
    allow *a = luaL_checkudata(L, 1, ALLOW);
    client_call *call = client_call_check(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    int count = (int)luaL_checkinteger(L, 4);
    lua_settop(L, 4);
    lua_pushnil(L); // [5] content-type
    lua_pushnil(L); // [6] content-encoding
    const http1_head *h = call ? client_call_head(call) : NULL;
    for (int i = 0; h && i < h->count; i++) {
        const http1_header *header = http1_header_at(h, i);
        const char *name = http1_text(h, header->name_at);
        size_t size = header->name_size;
        int special = is_name(name, size, "content-type") ? 5 : is_name(name, size, "content-encoding") ? 6 : 0;
        if (special && lua_isnil(L, special)) {
            lua_pushlstring(L, http1_text(h, header->value_at), header->value_size);
            lua_replace(L, special);
        }
        if (!has(a->names, a->count, name, size) || has(a->denied, a->denied_count, name, size))
            continue;
        lua_pushlstring(L, name, size);
        lua_rawseti(L, 3, ++count);
        lua_pushlstring(L, http1_text(h, header->value_at), header->value_size);
        lua_rawseti(L, 3, ++count);
    }
    lua_pushinteger(L, count);
    lua_replace(L, 4);
    lua_settop(L, 6);
    return 3;
}

static int open_allow(lua_State *L)
{
    static const luaL_Reg methods[] = {{"copy", l_copy}, {"__gc", l_gc}, {NULL, NULL}};
    luaL_newmetatable(L, ALLOW);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    luaL_register(L, NULL, methods);
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushcfunction(L, l_new);
    lua_setfield(L, -2, "new");
    return 1;
}
RT_MODULE("rt.allow", open_allow)
