// rt.keyring: client keys in C memory. The userdata owns the ring.
#include "core/base64.h"
#include "core/keyring.h"
#include "rt.h"

#include <string.h>

static keyring *check_ring(lua_State *L)
{
    return *(keyring **)luaL_checkudata(L, 1, "rt.keyring");
}

// keyring.new() -> ring | nil, err (no_memory)
static int l_new(lua_State *L)
{
    keyring **slot = lua_newuserdata(L, sizeof(*slot));
    *slot = NULL;
    luaL_getmetatable(L, "rt.keyring");
    lua_setmetatable(L, -2);
    *slot = keyring_new();
    return *slot ? 1 : rt_fail(L, "no_memory", "keyring");
}

static int l_gc(lua_State *L)
{
    keyring **slot = lua_touserdata(L, 1);
    keyring_free(*slot);
    *slot = NULL;
    return 0;
}

static bool read_digest(const char *text, size_t size, uint8_t digest[SHA256_SIZE])
{
    if (size == SHA256_SIZE) {
        memcpy(digest, text, size);
        return true;
    }
    return size == 2 * SHA256_SIZE && hex_decode(text, size, digest);
}

static int fail(lua_State *L, enum keyring_error error)
{
    switch (error) {
    case KEYRING_DUPLICATE:
        return rt_fail(L, "duplicate", "two client keys have the same sha256");
    case KEYRING_SEALED:
        return rt_fail(L, "sealed", "the keyring is in use and cannot change");
    case KEYRING_TOO_LARGE:
        return rt_fail(L, "too_large", "the keyring is full");
    default:
        return rt_fail(L, "no_memory", "keyring");
    }
}

// ring:add(sha256, record) -> true | nil, err (bad_key, duplicate, sealed, too_large, no_memory)
// sha256: 64 hexadecimal digits or 32 bytes. record: any text, "" when left out.
static int l_add(lua_State *L)
{
    keyring *k = check_ring(L);
    size_t text_size, record_size;
    const char *text = luaL_checklstring(L, 2, &text_size);
    const char *record = luaL_optlstring(L, 3, "", &record_size);
    uint8_t digest[SHA256_SIZE];
    if (!read_digest(text, text_size, digest))
        return rt_fail(L, "bad_key", "sha256 of a client key: 64 hexadecimal digits expected");
    enum keyring_error error = keyring_add(k, digest, record, record_size);
    return error == KEYRING_OK ? rt_true(L) : fail(L, error);
}

// ring:add_lines(text) -> count | nil, err (as add, with the line's number)
// Each line: 64 hexadecimal digits, then, after one blank, the record. Empty lines and "#" lines are left out. The
// lines before a bad one are in the ring.
static int l_add_lines(lua_State *L)
{
    keyring *k = check_ring(L);
    size_t size;
    const char *p = luaL_checklstring(L, 2, &size), *end = p + size;
    int added = 0;
    for (int line = 1; p < end; line++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        const char *next = stop ? stop + 1 : end;
        size_t length = (size_t)((stop ? stop : end) - p);
        if (length > 0 && p[length - 1] == '\r')
            length--;
        if (length > 0 && p[0] != '#') {
            uint8_t digest[SHA256_SIZE];
            const size_t digits = 2 * SHA256_SIZE;
            if (length < digits || !hex_decode(p, digits, digest) || (length > digits && p[digits] != ' '))
                return rt_fail(L, "bad_key", "line %d: 64 hexadecimal digits, a blank and a record expected", line);
            size_t skip = length > digits ? digits + 1 : digits;
            enum keyring_error error = keyring_add(k, digest, p + skip, length - skip);
            if (error == KEYRING_DUPLICATE)
                return rt_fail(L, "duplicate", "line %d: this sha256 is in the keyring already", line);
            if (error != KEYRING_OK)
                return fail(L, error);
            added++;
        }
        p = next;
    }
    lua_pushinteger(L, added);
    return 1;
}

static int push_record(lua_State *L, const keyring *k, int64_t index)
{
    size_t size;
    const char *record = keyring_record(k, index, &size);
    lua_pushlstring(L, record, size);
    return 1;
}

// ring:find(presented key) -> index from 1, record | nil. Seals the ring.
static int l_find(lua_State *L)
{
    keyring *k = check_ring(L);
    size_t size;
    const char *presented = luaL_checklstring(L, 2, &size);
    int64_t index = keyring_find(k, presented, size);
    if (index < 0) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, (lua_Integer)index + 1);
    return 1 + push_record(L, k, index);
}

// ring:index_of(presented key) -> index from 1 | nil. As find, but makes no string.
static int l_index_of(lua_State *L)
{
    keyring *k = check_ring(L);
    size_t size;
    const char *presented = luaL_checklstring(L, 2, &size);
    int64_t index = keyring_find(k, presented, size);
    if (index < 0) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, (lua_Integer)index + 1);
    return 1;
}

// ring:record(index) -> record
static int l_record(lua_State *L)
{
    keyring *k = check_ring(L);
    lua_Integer index = luaL_checkinteger(L, 2);
    luaL_argcheck(L, index >= 1 && (size_t)index <= keyring_count(k), 2, "index out of range");
    return push_record(L, k, index - 1);
}

// ring:count() -> number of keys
static int l_count(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)keyring_count(check_ring(L)));
    return 1;
}

// ring:seal(): no more keys from here on
static int l_seal(lua_State *L)
{
    keyring_seal(check_ring(L));
    return 0;
}

// ring:memory_bytes() -> bytes of C memory
static int l_memory_bytes(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)keyring_memory(check_ring(L)));
    return 1;
}

static int open_keyring(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"add", l_add},       {"add_lines", l_add_lines}, {"find", l_find}, {"index_of", l_index_of},
        {"record", l_record}, {"count", l_count},         {"seal", l_seal}, {"memory_bytes", l_memory_bytes},
        {NULL, NULL}};
    luaL_newmetatable(L, "rt.keyring");
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, l_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushliteral(L, "rt.keyring");
    lua_setfield(L, -2, "__metatable");
    lua_newtable(L);
    lua_pushcfunction(L, l_new);
    lua_setfield(L, -2, "new");
    return 1;
}
RT_MODULE("rt.keyring", open_keyring)
