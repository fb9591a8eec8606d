// req: reading the request's body and writing the answer. Life and head are in l_request.c.
#include "bind/l_server.h"

enum { QUEUE_BYTES = 16384 }; // texts up to this are copied, to leave with others of the same turn

// Results for the rc of an exchange_ function.
static int push_result(lua_State *L, int rc, const char *what)
{
    switch (rc) {
    case 0:
        return rt_true(L);
    case UV_EPIPE:
        return rt_fail(L, "client_closed", "%s: the client has gone", what);
    case UV_EINVAL:
        return rt_fail(L, "bad_header", "%s: a status or header that cannot be sent", what);
    case UV_EFBIG:
        return rt_fail(L, "too_large", "the request's body is larger than the limit");
    case UV_ENOMEM:
        return rt_fail(L, "no_memory", "%s: out of memory", what);
    default:
        return luaL_error(L, "%s: not possible now (%s)", what,
                          rc == UV_EALREADY ? "answered, not started, or read before" : uv_strerror(rc));
    }
}

// The body at index: nil, a string, or a pointer to bytes or to an output. *one is room for a single segment.
static const segment *check_parts(lua_State *L, int index, segment *one, size_t *count)
{
    *count = 0;
    if (lua_isnoneornil(L, index))
        return one;
    if (lua_type(L, index) == LUA_TSTRING) {
        *count = 1;
        one->owner = NULL;
        one->data = lua_tolstring(L, index, &one->size);
        return one;
    }
    void *shared = rt_pointer(L, index);
    if (rt_tag(shared) == SHARED_BYTES) {
        bytes *b = shared;
        *count = 1;
        *one = (segment){b->data, b->size, b};
        return one;
    }
    if (rt_tag(shared) != SHARED_OUTPUT)
        luaL_argerror(L, index, "string, bytes or output expected");
    output *o = shared;
    *count = o->count;
    return o->segments;
}

// ---- its body

static int push_body(lua_State *L, bytes *body)
{
    lua_pushlightuserdata(L, body);
    lua_pushnumber(L, (lua_Number)body->size);
    return 2;
}

static void on_body(exchange *x, bytes *body, const char *code, const char *message)
{
    request *r = exchange_data(x);
    if (!rt_waiting(&r->waiter)) {
        bytes_drop(body);
        return;
    }
    lua_State *co = r->waiter.co;
    rt_wake(&r->waiter, body ? push_body(co, body) : rt_fail(co, code, "%s", message));
}

static void on_body_cancel(rt_wait *w)
{
    request *r = (request *)((char *)w - offsetof(request, waiter));
    exchange_cancel_body(r->x);
}

static uint64_t check_limit(lua_State *L)
{
    lua_Number limit = luaL_checknumber(L, 2);
    luaL_argcheck(L, limit >= 0 && limit <= 1e15, 2, "limit in bytes");
    return (uint64_t)limit;
}

// req:read_body(limit_bytes, want_sha256) -> bytes (lightuserdata; the caller owns a reference), size | nil, err
static int l_read_body(lua_State *L)
{
    exchange *x = request_live(L);
    request *r = request_check(L);
    uint64_t limit = check_limit(L);
    rt_check_task(L);
    bytes *body;
    int rc = exchange_read_body(x, limit, lua_toboolean(L, 3), on_body, &body);
    if (rc == 0)
        return push_body(L, body);
    if (rc != UV_EAGAIN)
        return push_result(L, rc, "req:read_body");
    r->waiter.on_cancel = on_body_cancel;
    return rt_park(L, &r->waiter);
}

// req:body_reader(limit_bytes) -> req | nil, err (too_large). Pass req as `body` to client:send.
static int l_body_reader(lua_State *L)
{
    int rc = exchange_limit_body(request_live(L), check_limit(L));
    if (rc != 0)
        return push_result(L, rc, "req:body_reader");
    lua_settop(L, 1);
    return 1;
}

static request *of_sink(exchange_sink *k)
{
    return (request *)((char *)k - offsetof(request, sink));
}

static void on_sink_data(exchange_sink *k, const char *data, size_t size)
{
    request *r = of_sink(k);
    exchange_pause_body(r->x); // until it is asked for more
    lua_pushlstring(r->waiter.co, data, size);
    rt_wake(&r->waiter, 1);
}

static void on_sink_end(exchange_sink *k)
{
    request *r = of_sink(k);
    r->has_ended = true;
    if (rt_waiting(&r->waiter)) {
        lua_pushnil(r->waiter.co);
        rt_wake(&r->waiter, 1);
    }
}

static void on_sink_fail(exchange_sink *k, const char *code, const char *message)
{
    request *r = of_sink(k);
    r->fail_code = code;
    r->fail_message = message;
    if (rt_waiting(&r->waiter))
        rt_wake(&r->waiter, rt_fail(r->waiter.co, code, "%s", message));
}

static void on_read_cancel(rt_wait *w)
{
    request *r = (request *)((char *)w - offsetof(request, waiter));
    exchange_close_body(r->x);
}

// req:read() -> next piece of the body | nil (its end) | nil, err. After req:body_reader(limit) or by itself.
static int l_read(lua_State *L)
{
    exchange *x = request_live(L);
    request *r = request_check(L);
    rt_check_task(L);
    if (r->fail_code)
        return rt_fail(L, r->fail_code, "%s", r->fail_message);
    if (r->has_ended)
        return 0;
    if (!r->is_reading) {
        r->sink = (exchange_sink){on_sink_data, on_sink_end, on_sink_fail};
        int rc = exchange_stream_body(x, UINT64_MAX, &r->sink);
        if (rc != 0)
            return push_result(L, rc, "req:read");
        r->is_reading = true;
    } else {
        exchange_resume_body(x);
    }
    r->waiter.on_cancel = on_read_cancel;
    return rt_park(L, &r->waiter);
}

// ---- the answer

// req:respond(status, headers, body) -> true | nil, err. The body is borrowed.
static int l_respond(lua_State *L)
{
    segment one;
    size_t part_count;
    const server_header *headers;
    exchange *x = request_live(L);
    int status = luaL_checkint(L, 2);
    const segment *parts = check_parts(L, 4, &one, &part_count);
    size_t count = headers_check(L, 3, &headers);
    return push_result(L, exchange_respond(x, status, headers, count, parts, part_count), "req:respond");
}

// req:start(status, headers) -> true | nil, err
static int l_start(lua_State *L)
{
    const server_header *headers;
    exchange *x = request_live(L);
    int status = luaL_checkint(L, 2);
    size_t count = headers_check(L, 3, &headers);
    return push_result(L, exchange_start(x, status, headers, count), "req:start");
}

static void on_drain(exchange *x, void *data)
{
    request *r = data;
    (void)x;
    if (rt_waiting(&r->waiter))
        rt_wake(&r->waiter, rt_true(r->waiter.co));
}

static void on_drain_cancel(rt_wait *w)
{
    request *r = (request *)((char *)w - offsetof(request, waiter));
    exchange_on_drain(r->x, NULL, NULL);
}

// req:write(text | bytes | output) -> true | nil, err (client_closed, stalled). Small texts of one turn of the
// loop leave together. Waits while too much is pending.
static int l_write(lua_State *L)
{
    segment one;
    size_t count;
    exchange *x = request_live(L);
    request *r = request_check(L);
    const segment *parts = check_parts(L, 2, &one, &count);
    rt_check_task(L);
    bool is_small = count == 1 && !one.owner && parts == &one && one.size < QUEUE_BYTES;
    int rc = is_small ? exchange_queue(x, one.data, one.size) : exchange_write(x, parts, count);
    if (rc != 0 || !exchange_is_full(x))
        return push_result(L, rc, "req:write");
    exchange_on_drain(x, on_drain, r);
    r->waiter.on_cancel = on_drain_cancel;
    return rt_park(L, &r->waiter);
}

// req:finish() -> true | nil, err
static int l_finish(lua_State *L)
{
    return push_result(L, exchange_finish(request_live(L)), "req:finish");
}

static int l_abort(lua_State *L)
{
    exchange_abort(request_live(L));
    return 0;
}

static int l_is_started(lua_State *L)
{
    lua_pushboolean(L, exchange_is_started(request_live(L)));
    return 1;
}

static int l_bytes_out(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)exchange_bytes_out(request_live(L)));
    return 1;
}

// req:status() -> status of the answer | nil
static int l_status(lua_State *L)
{
    int status = exchange_status(request_live(L));
    if (status == 0)
        return 0;
    lua_pushinteger(L, status);
    return 1;
}

const luaL_Reg request_io_methods[] = {
    {"read_body", l_read_body},
    {"body_reader", l_body_reader},
    {"read", l_read},
    {"respond", l_respond},
    {"start", l_start},
    {"write", l_write},
    {"finish", l_finish},
    {"abort", l_abort},
    {"is_started", l_is_started},
    {"bytes_out", l_bytes_out},
    {"status", l_status},
    {NULL, NULL},
};
