// req: one request as its handler sees it. The userdata is the request's state: anchored in the registry until
// the handler's task has ended, empty (x == NULL) from then on.
#include <stdlib.h>
#include <string.h>

#include "bind/l_server.h"

enum { MAX_HEADERS = 256, QUEUE_BYTES = 16384 };

typedef struct request request;
struct request {
    exchange *x;
    rt_task *task; // NULL during the task's first step
    rt_wait waiter;
    exchange_sink sink; // of req:read()
    request *next, **link;
    int ref;
    bool is_reading, has_ended;
    const char *fail_code, *fail_message; // of the streamed body
};

static request *requests;

// ---- life

static void on_task_end(void *data)
{
    request *r = data;
    exchange *x = r->x;
    r->x = NULL;
    *r->link = r->next;
    if (r->next)
        r->next->link = r->link;
    luaL_unref(rt_main(), LUA_REGISTRYINDEX, r->ref);
    exchange_release(x); // answers 500 where the handler has not answered
}

void request_close_all(void)
{
    while (requests) {
        request *r = requests;
        requests = r->next;
        if (r->task)
            rt_task_set_data(r->task, NULL, NULL);
        exchange_release(r->x);
        r->x = NULL;
    }
}

typedef struct start {
    exchange *x;
    int handler_ref;
    bool is_begun;
} start;

static int protected_begin(lua_State *L)
{
    start *s = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->handler_ref); // [handler]
    request *r = lua_newuserdata(L, sizeof(*r));       // [handler, req]
    memset(r, 0, sizeof(*r));
    luaL_getmetatable(L, "rt.request");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    r->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    r->x = s->x;
    exchange_set_data(s->x, r);
    r->link = &requests;
    r->next = requests;
    if (r->next)
        r->next->link = &r->next;
    requests = r;
    s->is_begun = true;
    rt_task *task = rt_task_spawn(L, 1); // runs until its first wait
    if (task) {
        r->task = task;
        rt_task_set_data(task, r, on_task_end);
    } else {
        on_task_end(r);
    }
    return 0;
}

void request_begin(lua_State *L, int handler_ref, exchange *x)
{
    start s = {x, handler_ref, false};
    if (lua_cpcall(L, protected_begin, &s) == 0)
        return;
    rt_report("request", lua_tostring(L, -1)); // no memory for a task
    lua_pop(L, 1);
    if (s.is_begun) {
        on_task_end(exchange_data(x));
    } else {
        exchange_release(x); // answers 500
    }
}

void request_gone(exchange *x, const char *code)
{
    request *r = exchange_data(x);
    if (r && r->task)
        rt_task_cancel(r->task, code); // last use of r
}

// ---- arguments and results

static request *check_request(lua_State *L)
{
    return luaL_checkudata(L, 1, "rt.request");
}

static exchange *check_live(lua_State *L)
{
    request *r = check_request(L);
    if (!r->x)
        luaL_error(L, "req: its handler has returned");
    return r->x;
}

exchange *exchange_check(lua_State *L, int index)
{
    return ((request *)luaL_checkudata(L, index, "rt.request"))->x;
}

exchange *exchange_test(lua_State *L, int index)
{
    request *r = lua_touserdata(L, index);
    if (!r || lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index))
        return NULL;
    luaL_getmetatable(L, "rt.request");
    bool is_request = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return is_request ? r->x : NULL;
}

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

static const char *text_at(lua_State *L, int index, size_t *size, bool *is_left)
{
    int type = lua_type(L, index);
    if (type != LUA_TSTRING && type != LUA_TNUMBER)
        luaL_error(L, "headers: names and values must be strings, got %s", luaL_typename(L, index));
    *is_left = type == LUA_TNUMBER; // its text lives only on the stack
    return lua_tolstring(L, index, size);
}

size_t headers_check(lua_State *L, int index, const server_header **out)
{
    static server_header list[MAX_HEADERS];
    *out = list;
    if (lua_isnoneornil(L, index))
        return 0;
    luaL_checktype(L, index, LUA_TTABLE);
    size_t size = lua_objlen(L, index);
    if (size % 2 != 0 || size / 2 > MAX_HEADERS)
        luaL_error(L, "headers: a flat list of at most %d names and values", MAX_HEADERS);
    for (size_t i = 0; i < size / 2; i++) {
        server_header *h = &list[i];
        bool name_left, value_left;
        luaL_checkstack(L, 4, "headers");
        lua_rawgeti(L, index, (int)(2 * i + 1));
        h->name = text_at(L, -1, &h->name_size, &name_left);
        if (!name_left)
            lua_pop(L, 1);
        lua_rawgeti(L, index, (int)(2 * i + 2));
        h->value = text_at(L, -1, &h->value_size, &value_left);
        if (!value_left)
            lua_pop(L, 1);
    }
    return size / 2;
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

// ---- the request

static const http1_head *check_head(lua_State *L)
{
    const http1_head *h = exchange_head(check_live(L));
    if (!h)
        luaL_error(L, "req: its head was forgotten");
    return h;
}

// req:head() -> method, path, query | nil, minor version. Path and query are raw, as sent.
static int l_head(lua_State *L)
{
    const http1_head *h = check_head(L);
    const char *target = h->block + h->target_at;
    lua_pushlstring(L, h->block, h->method_size);
    lua_pushlstring(L, target, h->path_size);
    if (h->path_size < h->target_size)
        lua_pushlstring(L, target + h->path_size + 1, (size_t)(h->target_size - h->path_size - 1));
    else
        lua_pushnil(L);
    lua_pushinteger(L, h->minor);
    return 4;
}

// req:header(lower_case_name) -> value | nil; of several, all, joined by ", "
static int l_header(lua_State *L)
{
    size_t size;
    const http1_head *h = check_head(L);
    const char *name = luaL_checklstring(L, 2, &size);
    int i = http1_find(h, name, size, 0);
    if (i < 0)
        return 0;
    int count = 0;
    for (; i >= 0; i = http1_find(h, name, size, i + 1)) {
        const http1_header *r = http1_header_at(h, i);
        luaL_checkstack(L, 2, "header");
        if (count++ > 0)
            lua_pushliteral(L, ", ");
        lua_pushlstring(L, http1_text(h, r->value_at), r->value_size);
    }
    if (count > 1)
        lua_concat(L, 2 * count - 1);
    return 1;
}

// req:headers() -> { { lower_case_name, value }, ... } in the order sent
static int l_headers(lua_State *L)
{
    const http1_head *h = check_head(L);
    lua_createtable(L, h->count, 0);
    for (int i = 0; i < h->count; i++) {
        const http1_header *r = http1_header_at(h, i);
        lua_createtable(L, 2, 0);
        lua_pushlstring(L, http1_text(h, r->name_at), r->name_size);
        lua_rawseti(L, -2, 1);
        lua_pushlstring(L, http1_text(h, r->value_at), r->value_size);
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

// req:forget_head(): frees what the head holds, for answers that run long
static int l_forget_head(lua_State *L)
{
    exchange_drop_head(check_live(L));
    return 0;
}

// req:content_length() -> bytes | nil (chunked, or none given)
static int l_content_length(lua_State *L)
{
    const http1_head *h = check_head(L);
    if (h->content_length < 0)
        return 0;
    lua_pushnumber(L, (lua_Number)h->content_length);
    return 1;
}

static int l_peer(lua_State *L)
{
    char text[80];
    lua_pushstring(L, exchange_peer(check_live(L), text, sizeof(text)));
    return 1;
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
    exchange *x = check_live(L);
    request *r = check_request(L);
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
    int rc = exchange_limit_body(check_live(L), check_limit(L));
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
    exchange *x = check_live(L);
    request *r = check_request(L);
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
    exchange *x = check_live(L);
    int status = luaL_checkint(L, 2);
    const segment *parts = check_parts(L, 4, &one, &part_count);
    size_t count = headers_check(L, 3, &headers);
    return push_result(L, exchange_respond(x, status, headers, count, parts, part_count), "req:respond");
}

// req:start(status, headers) -> true | nil, err
static int l_start(lua_State *L)
{
    const server_header *headers;
    exchange *x = check_live(L);
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
    exchange *x = check_live(L);
    request *r = check_request(L);
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
    return push_result(L, exchange_finish(check_live(L)), "req:finish");
}

static int l_abort(lua_State *L)
{
    exchange_abort(check_live(L));
    return 0;
}

static int l_is_started(lua_State *L)
{
    lua_pushboolean(L, exchange_is_started(check_live(L)));
    return 1;
}

static int l_bytes_out(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)exchange_bytes_out(check_live(L)));
    return 1;
}

// req:status() -> status of the answer | nil
static int l_status(lua_State *L)
{
    int status = exchange_status(check_live(L));
    if (status == 0)
        return 0;
    lua_pushinteger(L, status);
    return 1;
}

void request_open(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"head", l_head},
        {"header", l_header},
        {"headers", l_headers},
        {"forget_head", l_forget_head},
        {"content_length", l_content_length},
        {"peer", l_peer},
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
    luaL_newmetatable(L, "rt.request");
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
