// rt.pipe: lines of text over a Unix stream socket that is open already: the control channel between
// supervisor and worker.
// Ownership: the loop owns a pipe from open() until on_closed() frees it. The userdata only points at it, and
// is NULL once closed.
#include "core/bytes.h"
#include "rt.h"
#include "stream.h"

#include <stdlib.h>
#include <string.h>

enum { LINE_LIMIT_BYTES = 64 << 20, UNREAD_BYTES = 1 << 20 };

typedef struct line_pipe {
    stream stream;
    rt_wait reader, writer; // at most one task each
    bytes *in;
    size_t begin, scanned; // unread: in->data[begin, in->size), of which [begin, scanned) holds no newline
    bool is_ended;
    int error; // of the stream, 0: none
} line_pipe;

static void on_closed(stream *s)
{
    line_pipe *p = s->owner;
    bytes_drop(p->in);
    free(p);
}

static int fail_error(lua_State *L, int rc)
{
    return rt_fail(L, rt_uv_code(rc), "pipe: %s", stream_error_text(rc));
}

// Pushes the next line, or returns 0: there is none yet.
static int push_line(lua_State *L, line_pipe *p)
{
    char *data = p->in->data;
    char *newline = p->scanned < p->in->size ? memchr(data + p->scanned, '\n', p->in->size - p->scanned) : NULL;
    if (!newline) {
        p->scanned = p->in->size;
        return 0;
    }
    lua_pushlstring(L, data + p->begin, (size_t)(newline - data) - p->begin);
    p->begin = p->scanned = (size_t)(newline - data) + 1;
    if (p->begin == p->in->size) {
        p->begin = p->scanned = p->in->size = 0;
    } else if (p->begin > p->in->size / 2) {
        memmove(data, data + p->begin, p->in->size - p->begin);
        p->in->size -= p->begin;
        p->begin = p->scanned = 0;
    }
    return 1;
}

// What a reader gets now: results pushed, or 0: it has to wait.
static int push_outcome(lua_State *L, line_pipe *p)
{
    int count = push_line(L, p);
    if (count > 0)
        return count;
    if (p->in->size - p->begin > LINE_LIMIT_BYTES)
        return rt_fail(L, "too_large", "pipe: a line of more than %d bytes", LINE_LIMIT_BYTES);
    if (p->error)
        return fail_error(L, p->error);
    if (!p->is_ended)
        return 0;
    lua_pushnil(L);
    return 1;
}

static void tell_reader(line_pipe *p)
{
    if (!rt_waiting(&p->reader))
        return;
    int count = push_outcome(p->reader.co, p);
    if (count > 0) // last use of p
        rt_wake(&p->reader, count);
}

static void on_data(stream *s, char *data, size_t size)
{
    line_pipe *p = s->owner;
    if (!bytes_append(p->in, data, size)) {
        p->error = UV_ENOMEM;
        stream_pause(s);
    } else if (p->in->size - p->begin > UNREAD_BYTES && !rt_waiting(&p->reader)) {
        stream_pause(s);
    }
    tell_reader(p);
}

static void on_end(stream *s)
{
    line_pipe *p = s->owner;
    p->is_ended = true;
    tell_reader(p);
}

static void on_error(stream *s, int rc)
{
    line_pipe *p = s->owner;
    p->error = rc;
    if (rt_waiting(&p->writer)) // the task runs here and may close p, which lives until the loop says on_closed()
        rt_wake(&p->writer, fail_error(p->writer.co, rc));
    tell_reader(p);
}

static void on_drain(stream *s)
{
    line_pipe *p = s->owner;
    if (rt_waiting(&p->writer))
        rt_wake(&p->writer, rt_true(p->writer.co));
}

// pipe.open(fd) -> pipe | nil, err. Takes the descriptor over, also when it fails.
static int l_open(lua_State *L)
{
    static const stream_callbacks on = {
        .on_data = on_data, .on_end = on_end, .on_error = on_error, .on_drain = on_drain, .on_closed = on_closed};
    int fd = (int)luaL_checkinteger(L, 1);
    line_pipe **slot = lua_newuserdata(L, sizeof(*slot));
    *slot = NULL;
    luaL_getmetatable(L, "rt.pipe");
    lua_setmetatable(L, -2);
    line_pipe *p = calloc(1, sizeof(*p));
    if (p)
        p->in = bytes_new(0);
    if (!p || !p->in) {
        free(p);
        return rt_fail(L, "no_memory", "pipe");
    }
    stream_init_pipe(&p->stream, rt_loop(L), &on, p);
    *slot = p;
    int rc = stream_open(&p->stream, fd);
    if (rc < 0) {
        *slot = NULL;
        close(fd); // stream_open() takes it only on success
        stream_close(&p->stream);
        return rt_fail_uv(L, rc, "pipe", "open");
    }
    return 1;
}

static line_pipe *check_pipe(lua_State *L)
{
    return *(line_pipe **)luaL_checkudata(L, 1, "rt.pipe");
}

// pipe:read_line() -> line without its newline | nil (end) | nil, err (reset, too_large, closed, cancelled, timeout)
static int l_read_line(lua_State *L)
{
    line_pipe *p = check_pipe(L);
    rt_check_task(L);
    if (!p)
        return rt_fail(L, "closed", "pipe closed");
    if (rt_waiting(&p->reader))
        return luaL_error(L, "pipe:read_line: another task already waits");
    int count = push_outcome(L, p);
    if (count > 0)
        return count;
    stream_resume(&p->stream);
    rt_hold(L, &p->reader, 1);
    return rt_park(L, &p->reader);
}

// pipe:write(text) -> true | nil, err. Waits while much is unread on the other side.
static int l_write(lua_State *L)
{
    line_pipe *p = check_pipe(L);
    segment part = {0};
    part.data = luaL_checklstring(L, 2, &part.size);
    rt_check_task(L);
    if (!p)
        return rt_fail(L, "closed", "pipe closed");
    if (rt_waiting(&p->writer))
        return luaL_error(L, "pipe:write: another task already waits");
    int rc = stream_write(&p->stream, &part, 1);
    if (rc < 0)
        return fail_error(L, rc);
    if (!stream_is_full(&p->stream))
        return rt_true(L);
    rt_hold(L, &p->writer, 1);
    return rt_park(L, &p->writer);
}

// pipe:send(text) -> true | nil, err. As write(), but never waits: what the other side does not read stays in memory.
static int l_send(lua_State *L)
{
    line_pipe *p = check_pipe(L);
    segment part = {0};
    part.data = luaL_checklstring(L, 2, &part.size);
    if (!p)
        return rt_fail(L, "closed", "pipe closed");
    int rc = stream_write(&p->stream, &part, 1);
    return rc < 0 ? fail_error(L, rc) : rt_true(L);
}

static void pipe_close(line_pipe **slot)
{
    line_pipe *p = *slot;
    *slot = NULL;
    if (p)
        stream_close(&p->stream);
}

// pipe:close(): any number of times. Tasks that wait get `closed`.
static int l_close(lua_State *L)
{
    line_pipe **slot = luaL_checkudata(L, 1, "rt.pipe");
    line_pipe *p = *slot;
    pipe_close(slot);
    if (p && rt_waiting(&p->writer))
        rt_wake(&p->writer, rt_fail(p->writer.co, "closed", "pipe closed"));
    if (p && rt_waiting(&p->reader))
        rt_wake(&p->reader, rt_fail(p->reader.co, "closed", "pipe closed"));
    return 0;
}

static int l_gc(lua_State *L)
{
    pipe_close(luaL_checkudata(L, 1, "rt.pipe"));
    return 0;
}

static int open_pipe(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"read_line", l_read_line}, {"write", l_write}, {"send", l_send}, {"close", l_close}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"open", l_open}, {NULL, NULL}};
    luaL_newmetatable(L, "rt.pipe");
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
RT_MODULE("rt.pipe", open_pipe)
