// rt.system: this process and the machine under it: listening sockets, descriptors, environment, limits, the
// service manager. Nothing here waits.
#include "process.h"
#include "rt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

static lua_Integer option_integer(lua_State *L, int index, const char *name)
{
    if (!lua_istable(L, index))
        return 0;
    lua_getfield(L, index, name);
    lua_Integer value = lua_isboolean(L, -1) ? lua_toboolean(L, -1) : luaL_optinteger(L, -1, 0);
    lua_pop(L, 1);
    return value;
}

// system.listen(address[, { backlog, shared_port, exclusive, mode }]) -> fd, bound address | nil, err
// (address_in_use, not_permitted, dns, bad_address)
static int l_listen(lua_State *L)
{
    const char *address = luaL_checkstring(L, 1);
    char bound[ADDRESS_BYTES];
    listen_options options = {
        .backlog = (int)option_integer(L, 2, "backlog"),
        .is_shared_port = option_integer(L, 2, "shared_port") != 0,
        .is_exclusive = option_integer(L, 2, "exclusive") != 0,
        .mode = (unsigned)option_integer(L, 2, "mode"),
    };
    int fd = process_listen(address, &options, bound);
    if (fd == UV_EINVAL)
        return rt_fail(L, "bad_address", "listen %s: want host:port, [ip6]:port or unix:path", address);
    if (fd < 0)
        return rt_fail_uv(L, fd, "listen", address);
    lua_pushinteger(L, fd);
    lua_pushstring(L, bound);
    return 2;
}

// system.socketpair() -> fd, fd | nil, err. Both close on exec; process.spawn{files} hands one on.
static int l_socketpair(lua_State *L)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return rt_fail_uv(L, -errno, "system", "socketpair");
    lua_pushinteger(L, fds[0]);
    lua_pushinteger(L, fds[1]);
    return 2;
}

// system.close(fd) -> true | nil, err
static int l_close(lua_State *L)
{
    if (close((int)luaL_checkinteger(L, 1)) != 0)
        return rt_fail_uv(L, -errno, "system", "close");
    return rt_true(L);
}

// system.close_on_exec(fd): an inherited descriptor must not be inherited further.
static int l_close_on_exec(lua_State *L)
{
    if (fcntl((int)luaL_checkinteger(L, 1), F_SETFD, FD_CLOEXEC) != 0)
        return rt_fail_uv(L, -errno, "system", "close_on_exec");
    return rt_true(L);
}

// system.getenv(name) -> text | nil; setenv(name, text); unsetenv(name); clearenv(); environment() -> { name = text }
static int l_getenv(lua_State *L)
{
    lua_pushstring(L, getenv(luaL_checkstring(L, 1)));
    return 1;
}

static int l_setenv(lua_State *L)
{
    if (setenv(luaL_checkstring(L, 1), luaL_checkstring(L, 2), 1) != 0)
        return rt_fail_uv(L, -errno, "setenv", lua_tostring(L, 1));
    return rt_true(L);
}

static int l_unsetenv(lua_State *L)
{
    unsetenv(luaL_checkstring(L, 1));
    return rt_true(L);
}

static int l_clearenv(lua_State *L)
{
    clearenv();
    return rt_true(L);
}

static int l_environment(lua_State *L)
{
    lua_newtable(L);
    for (char **at = environ; at && *at; at++) {
        const char *equals = strchr(*at, '=');
        if (!equals || equals == *at)
            continue;
        lua_pushlstring(L, *at, (size_t)(equals - *at));
        lua_pushstring(L, equals + 1);
        lua_rawset(L, -3);
    }
    return 1;
}

// system.cpu_count() -> how many CPUs this process may use (affinity, control group)
static int l_cpu_count(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)uv_available_parallelism());
    return 1;
}

// system.notify(state) -> is_sent | nil, err: sd_notify(3), without its library
static int l_notify(lua_State *L)
{
    int rc = process_notify(luaL_checkstring(L, 1));
    if (rc < 0)
        return rt_fail_uv(L, rc, "notify", getenv("NOTIFY_SOCKET"));
    lua_pushboolean(L, rc == 1);
    return 1;
}

// system.protect_memory() -> true | nil, err: no core files, no ptrace by the same user
static int l_protect_memory(lua_State *L)
{
    int rc = process_protect_memory();
    return rc == 0 ? rt_true(L) : rt_fail_uv(L, rc, "system", "protect_memory");
}

// system.raise_file_limit() -> number of descriptors allowed | nil, err
static int l_raise_file_limit(lua_State *L)
{
    int64_t limit = process_raise_file_limit();
    if (limit < 0)
        return rt_fail_uv(L, (int)limit, "system", "raise_file_limit");
    lua_pushnumber(L, (lua_Number)limit);
    return 1;
}

// system.umask(mode) -> the mode before
static int l_umask(lua_State *L)
{
    lua_pushinteger(L, umask((mode_t)luaL_checkinteger(L, 1) & 0777));
    return 1;
}

// system.end_with_parent(parent_pid, grace_s) -> is_parent_there | nil, err. See process_end_with_parent().
static int l_end_with_parent(lua_State *L)
{
    int rc = process_end_with_parent((int)luaL_checkinteger(L, 1), (unsigned)luaL_checkinteger(L, 2));
    if (rc < 0)
        return rt_fail_uv(L, rc, "system", "end_with_parent");
    lua_pushboolean(L, rc == 0);
    return 1;
}

// system.memory([pid]) -> rss_bytes, pss_bytes (0: it may not be read)
static int l_memory(lua_State *L)
{
    uint64_t rss_bytes, pss_bytes;
    process_memory((int)luaL_optinteger(L, 1, 0), &rss_bytes, &pss_bytes);
    lua_pushnumber(L, (lua_Number)rss_bytes);
    lua_pushnumber(L, (lua_Number)pss_bytes);
    return 2;
}

static int l_pid(lua_State *L)
{
    lua_pushinteger(L, getpid());
    return 1;
}

static int l_parent_pid(lua_State *L)
{
    lua_pushinteger(L, getppid());
    return 1;
}

// system.home() -> the folder that holds lua/ and plugins/
static int l_home(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, "rt.home");
    return 1;
}

static int open_system(lua_State *L)
{
    static const luaL_Reg functions[] = {{"listen", l_listen},
                                         {"socketpair", l_socketpair},
                                         {"close", l_close},
                                         {"close_on_exec", l_close_on_exec},
                                         {"getenv", l_getenv},
                                         {"setenv", l_setenv},
                                         {"unsetenv", l_unsetenv},
                                         {"clearenv", l_clearenv},
                                         {"environment", l_environment},
                                         {"cpu_count", l_cpu_count},
                                         {"notify", l_notify},
                                         {"protect_memory", l_protect_memory},
                                         {"raise_file_limit", l_raise_file_limit},
                                         {"umask", l_umask},
                                         {"end_with_parent", l_end_with_parent},
                                         {"memory", l_memory},
                                         {"pid", l_pid},
                                         {"parent_pid", l_parent_pid},
                                         {"home", l_home},
                                         {NULL, NULL}};
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
RT_MODULE("rt.system", open_system)
