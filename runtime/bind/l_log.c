// rt.log: lines to a file or descriptor (log.h).
// Ownership: the userdata owns the writer until close() or the end of the process, which writes what is left.
#include "log.h"
#include "rt.h"

enum { CLOSE_MS = 200 };

static log_writer *check_log(lua_State *L)
{
    log_writer *log = *(log_writer **)luaL_checkudata(L, 1, "rt.log");
    if (!log)
        luaL_argerror(L, 1, "the log is closed");
    return log;
}

// log.open{ path = text, mode = 0640 } | log.open{ fd = number } -> log | nil, err
static int l_open(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_getfield(L, 1, "path");
    lua_getfield(L, 1, "fd");
    lua_getfield(L, 1, "mode");
    const char *path = luaL_optstring(L, 2, NULL);
    luaL_argcheck(L, path || lua_isnumber(L, 3), 1, "path or fd is missing");
    unsigned mode = (unsigned)luaL_optinteger(L, 4, 0640);
    log_writer **slot = lua_newuserdata(L, sizeof(*slot));
    *slot = NULL;
    luaL_getmetatable(L, "rt.log");
    lua_setmetatable(L, -2);
    int rc;
    *slot = path ? log_open_file(path, mode, &rc) : log_open_fd((int)lua_tointeger(L, 3), &rc);
    return *slot ? 1 : rt_fail_uv(L, rc, "log", path ? path : "descriptor");
}

// log:write(line) -> is_kept. False: the reader is too slow, the line was dropped and counted.
static int l_write(lua_State *L)
{
    size_t size;
    const char *line = luaL_checklstring(L, 2, &size);
    lua_pushboolean(L, log_append(check_log(L), line, size));
    return 1;
}

static int l_flush(lua_State *L)
{
    log_flush(check_log(L));
    return 0;
}

// log:reopen() -> true | nil, err (the old file is kept)
static int l_reopen(lua_State *L)
{
    int rc = log_reopen(check_log(L));
    return rc == 0 ? rt_true(L) : rt_fail_uv(L, rc, "log", "reopen");
}

// log:dropped() -> lines; log:pending() -> bytes
static int l_dropped(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)log_dropped(check_log(L)));
    return 1;
}

static int l_pending(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)log_pending(check_log(L)));
    return 1;
}

// log:pointer() -> lightuserdata, for bool log_append(void *log, const char *line, size_t size) by FFI
static int l_pointer(lua_State *L)
{
    lua_pushlightuserdata(L, check_log(L));
    return 1;
}

static int l_close(lua_State *L)
{
    log_writer **slot = luaL_checkudata(L, 1, "rt.log");
    if (*slot)
        log_close(*slot, CLOSE_MS);
    *slot = NULL;
    return 0;
}

// The writers are closed by the end of the process before the Lua state goes; a log that was forgotten while the
// process runs is closed here.
static bool is_process_ending;
static rt_closer closer;

static void on_process_end(void)
{
    is_process_ending = true;
}

static int l_gc(lua_State *L)
{
    return is_process_ending ? 0 : l_close(L);
}

static int open_log(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"write", l_write},     {"flush", l_flush},     {"reopen", l_reopen}, {"dropped", l_dropped},
        {"pending", l_pending}, {"pointer", l_pointer}, {"close", l_close},   {NULL, NULL}};
    static const luaL_Reg functions[] = {{"open", l_open}, {NULL, NULL}};
    rt_at_close(&closer, on_process_end);
    luaL_newmetatable(L, "rt.log");
    lua_pushcfunction(L, l_gc);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
RT_MODULE("rt.log", open_log)
