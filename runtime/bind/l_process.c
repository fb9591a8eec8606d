// rt.process: children, their end, and signals as waits.
// Ownership: the loop owns a child from spawn() until its process has ended and its handle is closed; a set of
// signals until it is closed. The userdata only points at them. A child outlives its userdata: it is reaped in
// any case.
#include "rt.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILES = 256 };

static const struct {
    const char *name;
    int number;
} signal_names[] = {{"TERM", SIGTERM}, {"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT}, {"KILL", SIGKILL},
                    {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"CHLD", SIGCHLD}, {"STOP", SIGSTOP}, {"CONT", SIGCONT},
                    {"ABRT", SIGABRT}, {"SEGV", SIGSEGV}, {"BUS", SIGBUS},   {"ALRM", SIGALRM}, {"PIPE", SIGPIPE},
                    {"FPE", SIGFPE},   {"ILL", SIGILL},   {"TRAP", SIGTRAP}, {"XCPU", SIGXCPU}, {"SYS", SIGSYS}};
enum { SIGNAL_NAMES = sizeof(signal_names) / sizeof(*signal_names) };

static int check_signal(lua_State *L, int index)
{
    if (lua_type(L, index) == LUA_TNUMBER)
        return (int)lua_tointeger(L, index);
    const char *name = luaL_checkstring(L, index);
    for (size_t i = 0; i < SIGNAL_NAMES; i++)
        if (strcmp(signal_names[i].name, name) == 0)
            return signal_names[i].number;
    return luaL_argerror(L, index, lua_pushfstring(L, "signal '%s' is not known", name));
}

static void push_signal(lua_State *L, int number)
{
    for (size_t i = 0; i < SIGNAL_NAMES; i++) {
        if (signal_names[i].number == number) {
            lua_pushstring(L, signal_names[i].name);
            return;
        }
    }
    lua_pushfstring(L, "%d", number);
}

// ---- children ----

typedef struct child child;

// The userdata: what is left of a child that has ended.
typedef struct child_box {
    child *child; // NULL: ended
    int pid;
    bool has_ended;
    int64_t status;
    int signal;
} child_box;

struct child {
    uv_process_t process; // process.data points back here
    rt_wait waiter;
    child_box *box; // NULL: collected
    child *next, **link;
};

static child *children; // that still run
static rt_closer closer;

static void on_child_closed(uv_handle_t *h)
{
    free(h->data);
}

static void child_close(child *c)
{
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    uv_close((uv_handle_t *)&c->process, on_child_closed); // frees c later, from the loop
}

// The process ends: its children go on, unwatched.
static void on_process_end(void)
{
    while (children)
        child_close(children);
}

static int push_end(lua_State *L, int64_t status, int number)
{
    lua_createtable(L, 0, 2);
    if (number) {
        push_signal(L, number);
        lua_setfield(L, -2, "signal");
    } else {
        lua_pushinteger(L, (lua_Integer)status);
        lua_setfield(L, -2, "status");
    }
    return 1;
}

static void on_exit_(uv_process_t *process, int64_t status, int number)
{
    child *c = process->data;
    if (c->box)
        *c->box = (child_box){NULL, c->box->pid, true, status, number};
    child_close(c);
    if (rt_waiting(&c->waiter))
        rt_wake(&c->waiter, push_end(c->waiter.co, status, number));
}

// Reads field `name` of the table at 1, a list of strings, into a NULL-ended array anchored on the stack.
static char **check_strings(lua_State *L, const char *name, const char *first)
{
    lua_getfield(L, 1, name);
    luaL_checktype(L, -1, LUA_TTABLE);
    size_t count = lua_objlen(L, -1), at = 0;
    char **list = lua_newuserdata(L, (count + 2) * sizeof(*list)); // [strings, array]
    if (first)
        list[at++] = (char *)first;
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, -2, (int)i);
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "process.spawn: %s[%d] is not a string", name, (int)i);
        list[at++] = (char *)lua_tostring(L, -1); // the table keeps it alive
        lua_pop(L, 1);
    }
    list[at] = NULL;
    return list;
}

// files = { [0] = what, what, ... }: "inherit" (the same number), "ignore", or a descriptor
static int check_files(lua_State *L, uv_stdio_container_t *files)
{
    for (int i = 0; i < 3; i++)
        files[i] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = i};
    lua_getfield(L, 1, "files");
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return 3;
    }
    luaL_checktype(L, -1, LUA_TTABLE);
    int count = (int)lua_objlen(L, -1) + 1;
    if (count > MAX_FILES)
        luaL_error(L, "process.spawn: more than %d files", MAX_FILES);
    for (int i = 0; i < count; i++) {
        lua_rawgeti(L, -1, i);
        const char *word = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
        if (lua_type(L, -1) == LUA_TNUMBER)
            files[i] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = (int)lua_tointeger(L, -1)};
        else if (lua_isnil(L, -1) || (word && strcmp(word, "ignore") == 0))
            files[i] = (uv_stdio_container_t){.flags = UV_IGNORE};
        else if (word && strcmp(word, "inherit") == 0)
            files[i] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = i};
        else
            luaL_error(L, "process.spawn: files[%d] must be a descriptor, \"inherit\" or \"ignore\"", i);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return count < 3 ? 3 : count;
}

// process.spawn{ args, env, files, file, folder } -> child | nil, err. file is this program unless given; env
// is a list of "NAME=text" (nil: this process's).
static int l_spawn(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    uv_stdio_container_t files[MAX_FILES];
    uv_process_options_t options = {.exit_cb = on_exit_, .file = "/proc/self/exe", .stdio = files};
    options.stdio_count = check_files(L, files);
    lua_getfield(L, 1, "file");
    bool is_self = lua_isnil(L, -1);
    if (!is_self)
        options.file = luaL_checkstring(L, -1);
    options.args = check_strings(L, "args", is_self ? "moongate" : options.file);
    lua_getfield(L, 1, "env");
    if (!lua_isnil(L, -1))
        options.env = check_strings(L, "env", NULL);
    lua_getfield(L, 1, "folder");
    options.cwd = luaL_optstring(L, -1, NULL);
    child_box *box = lua_newuserdata(L, sizeof(*box));
    memset(box, 0, sizeof(*box));
    luaL_getmetatable(L, "rt.child");
    lua_setmetatable(L, -2);
    child *c = calloc(1, sizeof(*c));
    if (!c)
        return rt_fail(L, "no_memory", "spawn");
    c->process.data = c;
    int rc = uv_spawn(rt_loop(L), &c->process, &options);
    if (rc < 0) {
        uv_close((uv_handle_t *)&c->process, on_child_closed);
        return rt_fail_uv(L, rc, "spawn", options.file);
    }
    rt_at_close(&closer, on_process_end);
    c->next = children;
    c->link = &children;
    if (children)
        children->link = &c->next;
    children = c;
    box->child = c;
    box->pid = c->process.pid;
    c->box = box;
    return 1;
}

static child_box *check_child(lua_State *L)
{
    return luaL_checkudata(L, 1, "rt.child");
}

static int l_child_pid(lua_State *L)
{
    lua_pushinteger(L, check_child(L)->pid);
    return 1;
}

// child:wait() -> { status = n } | { signal = "KILL" } | nil, err (cancelled, timeout)
static int l_child_wait(lua_State *L)
{
    child_box *box = check_child(L);
    if (box->has_ended)
        return push_end(L, box->status, box->signal);
    rt_check_task(L);
    if (rt_waiting(&box->child->waiter))
        return luaL_error(L, "child:wait: another task already waits");
    rt_hold(L, &box->child->waiter, 1);
    return rt_park(L, &box->child->waiter);
}

// child:kill(signal) -> true | nil, err (closed: it has ended)
static int l_child_kill(lua_State *L)
{
    child_box *box = check_child(L);
    int number = check_signal(L, 2);
    if (box->has_ended)
        return rt_fail(L, "closed", "the process has ended");
    int rc = uv_process_kill(&box->child->process, number);
    return rc == 0 ? rt_true(L) : rt_fail_uv(L, rc, "kill", "child");
}

static int l_child_gc(lua_State *L)
{
    child_box *box = check_child(L);
    if (box->child)
        box->child->box = NULL; // it is reaped all the same
    box->child = NULL;
    return 0;
}

// process.kill(pid, signal) -> true | nil, err. Signal 0 only asks whether the process is there.
static int l_kill(lua_State *L)
{
    lua_Integer pid = luaL_checkinteger(L, 1);
    luaL_argcheck(L, pid > 0, 1, "a process id"); // 0 and below mean groups
    if (kill((pid_t)pid, check_signal(L, 2)) != 0)
        return rt_fail_uv(L, -errno, "kill", lua_tostring(L, 1));
    return rt_true(L);
}

// ---- signals ----

typedef struct watched {
    uv_signal_t signal; // signal.data points at the set
    bool has_come;
} watched;

typedef struct signal_set {
    rt_wait waiter;
    int open_count; // handles that are not closed yet
    int count;
    watched list[];
} signal_set;

static void on_signal_closed(uv_handle_t *h)
{
    signal_set *s = h->data;
    if (--s->open_count == 0)
        free(s);
}

static void signals_close(signal_set **slot)
{
    signal_set *s = *slot;
    *slot = NULL;
    for (int i = 0; s && i < s->count; i++)
        uv_close((uv_handle_t *)&s->list[i].signal, on_signal_closed);
}

static void on_signal(uv_signal_t *handle, int number)
{
    signal_set *s = handle->data;
    if (!rt_waiting(&s->waiter)) {
        ((watched *)(void *)handle)->has_come = true;
        return;
    }
    push_signal(s->waiter.co, number);
    rt_wake(&s->waiter, 1);
}

// process.signals{ "TERM", ... } -> signals | nil, err. From now on these do not end the process.
static int l_signals(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    int count = (int)lua_objlen(L, 1), numbers[SIGNAL_NAMES];
    luaL_argcheck(L, count > 0 && count <= SIGNAL_NAMES, 1, "a list of signals");
    for (int i = 0; i < count; i++) {
        lua_rawgeti(L, 1, i + 1);
        numbers[i] = check_signal(L, -1);
        lua_pop(L, 1);
    }
    signal_set **slot = lua_newuserdata(L, sizeof(*slot));
    *slot = NULL;
    luaL_getmetatable(L, "rt.signals");
    lua_setmetatable(L, -2);
    signal_set *s = calloc(1, sizeof(*s) + (size_t)count * sizeof(watched));
    if (!s)
        return rt_fail(L, "no_memory", "signals");
    *slot = s;
    s->count = s->open_count = count;
    int rc = 0;
    for (int i = 0; i < count; i++) {
        uv_signal_init(rt_loop(L), &s->list[i].signal);
        s->list[i].signal.data = s;
        int one = uv_signal_start(&s->list[i].signal, on_signal, numbers[i]);
        rc = rc < 0 ? rc : one;
    }
    if (rc < 0) {
        signals_close(slot);
        return rt_fail_uv(L, rc, "signals", "watch");
    }
    return 1;
}

// signals:wait() -> name | nil, err. One that came while nobody waited is told at once.
static int l_signals_wait(lua_State *L)
{
    signal_set *s = *(signal_set **)luaL_checkudata(L, 1, "rt.signals");
    rt_check_task(L);
    if (!s)
        return rt_fail(L, "closed", "signals closed");
    for (int i = 0; i < s->count; i++) {
        if (!s->list[i].has_come)
            continue;
        s->list[i].has_come = false;
        push_signal(L, s->list[i].signal.signum);
        return 1;
    }
    if (rt_waiting(&s->waiter))
        return luaL_error(L, "signals:wait: another task already waits");
    rt_hold(L, &s->waiter, 1);
    return rt_park(L, &s->waiter);
}

// signals:close(): the signals have their usual effect again. Must not be called while a task waits.
static int l_signals_close(lua_State *L)
{
    signal_set **slot = luaL_checkudata(L, 1, "rt.signals");
    if (*slot && rt_waiting(&(*slot)->waiter))
        return luaL_error(L, "signals:close: a task waits; cancel it first");
    signals_close(slot);
    return 0;
}

static int l_signals_gc(lua_State *L)
{
    signals_close(luaL_checkudata(L, 1, "rt.signals"));
    return 0;
}

// process.ignore_signals{ "INT", ... }
static int l_ignore_signals(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    for (int i = 1; i <= (int)lua_objlen(L, 1); i++) {
        lua_rawgeti(L, 1, i);
        signal(check_signal(L, -1), SIG_IGN);
        lua_pop(L, 1);
    }
    return 0;
}

static void new_class(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc)
{
    luaL_newmetatable(L, name);
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

static int open_process(lua_State *L)
{
    static const luaL_Reg child_methods[] = {
        {"pid", l_child_pid}, {"wait", l_child_wait}, {"kill", l_child_kill}, {NULL, NULL}};
    static const luaL_Reg signal_methods[] = {{"wait", l_signals_wait}, {"close", l_signals_close}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"spawn", l_spawn},
                                         {"kill", l_kill},
                                         {"signals", l_signals},
                                         {"ignore_signals", l_ignore_signals},
                                         {NULL, NULL}};
    new_class(L, "rt.child", child_methods, l_child_gc);
    new_class(L, "rt.signals", signal_methods, l_signals_gc);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
RT_MODULE("rt.process", open_process)
