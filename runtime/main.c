// moongate: finds its Lua files, opens the runtime and runs the command line as the first task.
//   moongate --script FILE args...   runs FILE instead (specs and tools); internal
#include "rt.h"

#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Where lua/ and plugins/ are: beside build/ in a checkout, else under PREFIX/share/moongate.
static int find_home(char *home, size_t size)
{
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (length < 0)
        return -1;
    self[length] = '\0';
    char *slash = strrchr(self, '/');
    if (slash)
        *slash = '\0';
    static const char *const places[] = {"%s/..", "%s/../share/moongate", "/usr/share/moongate"};
    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
        char probe[PATH_MAX * 2], path[PATH_MAX];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(path, sizeof(path), places[i], self);
#pragma GCC diagnostic pop
        snprintf(probe, sizeof(probe), "%s/lua/gate", path);
        char *real = access(probe, R_OK) == 0 ? realpath(path, NULL) : NULL;
        if (!real)
            continue;
        snprintf(home, size, "%s", real);
        free(real);
        return 0;
    }
    return -1;
}

// [ -> chunk, arguments... ]; returns their count, or -1 with a message on the stack.
static int push_program(lua_State *L, const char *home, int argc, char **argv)
{
    char file[PATH_MAX + 32];
    int first = 1;
    luaL_checkstack(L, argc + 8, "arguments");
    if (argc > 2 && strcmp(argv[1], "--script") == 0) {
        snprintf(file, sizeof(file), "%s", argv[2]);
        first = 3;
    } else {
        snprintf(file, sizeof(file), "%s/lua/gate/main.lua", home);
    }
    lua_createtable(L, argc, 0);
    for (int i = first; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i - first + 1);
    }
    lua_pushstring(L, file);
    lua_rawseti(L, -2, 0);
    lua_setglobal(L, "arg");
    if (luaL_loadfile(L, file) != 0)
        return -1;
    for (int i = first; i < argc; i++)
        lua_pushstring(L, argv[i]);
    return argc - first;
}

// stop(exit_status | nil, error text | nil): the program has ended.
static int l_stop(lua_State *L)
{
    if (lua_isstring(L, 2))
        rt_report("error", lua_tostring(L, 2));
    rt_stop((int)lua_tointeger(L, 1));
    return 0;
}

// Runs the chunk below `count` arguments as the first task; the process ends when it returns.
static int run_program(lua_State *L, int count)
{
    static const char wrapper[] = "local program, stop = ...\n"
                                  "return function(...)\n"
                                  "  local ok, status = xpcall(program, debug.traceback, ...)\n"
                                  "  if ok then stop(tonumber(status) or 0) else stop(70, tostring(status)) end\n"
                                  "end\n";
    int at = lua_gettop(L) - count; // the program
    if (luaL_loadbuffer(L, wrapper, sizeof(wrapper) - 1, "=moongate") != 0)
        return 70;
    lua_pushvalue(L, at);
    lua_pushcfunction(L, l_stop);
    lua_call(L, 2, 1);
    lua_replace(L, at);
    rt_task_spawn(L, count);
    return rt_run();
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    mallopt(M_ARENA_MAX, 2); // a heap of its own for each thread of the pool would only lie idle
    char home[PATH_MAX];
    if (find_home(home, sizeof(home)) != 0) {
        fputs("moongate: cannot find lua/gate beside the program or under its share/moongate\n", stderr);
        return 70;
    }
    argv = uv_setup_args(argc, argv);
    if (rt_open() != 0) {
        fputs("moongate: cannot start\n", stderr);
        return 70;
    }
    lua_State *L = rt_main();
    lua_pushstring(L, home);
    lua_setfield(L, LUA_REGISTRYINDEX, "rt.home");
    lua_getglobal(L, "package");
    lua_pushfstring(L, "%s/lua/?.lua;%s/lua/?/init.lua;%s/?.lua;%s/?/init.lua;%s", home, home, home, home,
                    getenv("MOONGATE_LUA_PATH") ? getenv("MOONGATE_LUA_PATH") : "");
    lua_setfield(L, -2, "path");
    lua_pushstring(L, getenv("MOONGATE_LUA_CPATH") ? getenv("MOONGATE_LUA_CPATH") : "");
    lua_setfield(L, -2, "cpath");
    lua_pop(L, 1);
    int count = push_program(L, home, argc, argv);
    if (count < 0) {
        fprintf(stderr, "moongate: %s\n", lua_tostring(L, -1));
        rt_stop(70);
        return rt_close();
    }
    run_program(L, count);
    return rt_close();
}
