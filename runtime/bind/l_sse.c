// rt.sse: server-sent events for Lua code that has a whole text, or gets one in pieces: specs, tools, the
// simulator. Streams of the gateway itself go through rt.relay, without Lua.
#include "core/sse.h"
#include "rt.h"

#include <stdlib.h>
#include <string.h>

static int fail_read(lua_State *L, enum sse_result why)
{
    if (why == SSE_TOO_LARGE)
        return rt_fail(L, "too_large", "an event is larger than the limit");
    return rt_fail(L, "no_memory", "event stream");
}

// sse.reader([limit_bytes]) -> reader
static int l_reader(lua_State *L)
{
    lua_Integer limit = luaL_optinteger(L, 1, SSE_LIMIT_BYTES);
    luaL_argcheck(L, limit > 0 && limit <= SSE_LIMIT_BYTES, 1, "limit in bytes, at most 8 MB");
    sse_reader *r = lua_newuserdata(L, sizeof(*r)); // [.., ud]
    sse_init(r, (uint32_t)limit);
    luaL_getmetatable(L, "rt.sse");
    lua_setmetatable(L, -2);
    return 1;
}

static sse_reader *check_reader(lua_State *L)
{
    return luaL_checkudata(L, 1, "rt.sse");
}

static void push_event(lua_State *L, const sse_event *event)
{
    lua_createtable(L, 0, 2);
    lua_pushlstring(L, event->name, event->name_size);
    lua_setfield(L, -2, "name");
    lua_pushlstring(L, event->data, event->data_size);
    lua_setfield(L, -2, "data");
    if (event->id) {
        lua_pushlstring(L, event->id, event->id_size);
        lua_setfield(L, -2, "id");
    }
    if (event->retry_ms >= 0) {
        lua_pushnumber(L, (lua_Number)event->retry_ms);
        lua_setfield(L, -2, "retry_ms");
    }
}

// reader:feed(text) -> { event, ... } | nil, err (too_large)
static int l_feed(lua_State *L)
{
    sse_reader *r = check_reader(L);
    size_t size;
    const char *text = luaL_checklstring(L, 2, &size); // lives on the stack until all of it is read
    lua_newtable(L);                                   // [reader, text, events]
    sse_feed(r, text, size);
    sse_event event;
    enum sse_result result;
    int count = 0;
    while ((result = sse_next(r, &event)) == SSE_EVENT) {
        push_event(L, &event);
        lua_rawseti(L, -2, ++count);
    }
    return result == SSE_MORE ? 1 : fail_read(L, result);
}

// reader:finish() -> true | nil, err (truncated). The reader can be used for another stream then.
static int l_finish(lua_State *L)
{
    sse_reader *r = check_reader(L);
    uint32_t limit = r->limit_bytes;
    bool is_cut = sse_end(r);
    sse_init(r, limit);
    return is_cut ? rt_fail(L, "truncated", "the stream ended inside an event") : rt_true(L);
}

static int l_gc(lua_State *L)
{
    sse_free(check_reader(L));
    return 0;
}

// sse.encode(name | nil, data) -> string, one frame
static int l_encode(lua_State *L)
{
    size_t name_size, data_size;
    const char *name = luaL_optlstring(L, 1, "", &name_size);
    const char *data = luaL_checklstring(L, 2, &data_size);
    luaL_argcheck(L, !memchr(name, '\n', name_size) && !memchr(name, '\r', name_size), 1, "a name without line ends");
    bytes *out = bytes_new(0);
    if (!out || !sse_write(out, name, name_size, data, data_size)) {
        bytes_drop(out);
        return rt_fail(L, "no_memory", "event of %zu bytes", data_size);
    }
    lua_pushlstring(L, out->data, out->size);
    bytes_drop(out);
    return 1;
}

static int open_sse(lua_State *L)
{
    static const luaL_Reg methods[] = {{"feed", l_feed}, {"finish", l_finish}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"reader", l_reader}, {"encode", l_encode}, {NULL, NULL}};
    luaL_newmetatable(L, "rt.sse");
    lua_pushcfunction(L, l_gc);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    lua_setfield(L, -2, "__index");
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
RT_MODULE("rt.sse", open_sse)
