// rt.client: HTTP requests from tasks. A client's userdata holds a reference on the C client; a call's userdata owns
// an answer, which owns the C call. Results that wait are pushed by the callbacks below, which run in the loop.
#include <stdlib.h>
#include <string.h>

#include "bind/l_client.h"

static void fail_answer(answer *a);

// ---- errors ----

static int push_error(lua_State *L, const client_error *e)
{
    rt_fail(L, e->code, "%s", e->message);
    if (e->phase) {
        lua_pushstring(L, e->phase);
        lua_setfield(L, -2, "phase");
    }
    if (e->reason) {
        lua_pushstring(L, e->reason);
        lua_setfield(L, -2, "reason");
    }
    if (e->is_sent) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, "sent");
    }
    return 2;
}

// ---- client ----

static uint64_t option_ms(lua_State *L, const char *name, uint64_t otherwise)
{
    lua_getfield(L, 1, name);
    lua_Number ms = luaL_optnumber(L, -1, (lua_Number)otherwise);
    luaL_argcheck(L, ms >= 0 && ms < (lua_Number)RT_MS_MAX, 1, name);
    lua_pop(L, 1);
    return (uint64_t)ms;
}

static const char *option_text(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    const char *text = luaL_optstring(L, -1, NULL);
    lua_pop(L, 1); // still in the table
    return text;
}

// client.new{ ... } -> client | nil, err (bad_request: the proxy's address)
static int l_new(lua_State *L)
{
    char *message; // not an array on this stack: what follows may raise
    client_options o = client_default_options;
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    o.timeouts.connect_ms = option_ms(L, "connect_timeout_ms", o.timeouts.connect_ms);
    o.timeouts.first_byte_ms = option_ms(L, "first_byte_timeout_ms", o.timeouts.first_byte_ms);
    o.timeouts.between_bytes_ms = option_ms(L, "between_bytes_timeout_ms", o.timeouts.between_bytes_ms);
    o.timeouts.total_ms = option_ms(L, "total_timeout_ms", o.timeouts.total_ms);
    o.idle_timeout_ms = option_ms(L, "idle_timeout_ms", o.idle_timeout_ms);
    o.max_idle_per_origin = (uint32_t)option_ms(L, "max_idle_per_origin", o.max_idle_per_origin);
    o.max_response_head_bytes = (uint32_t)option_ms(L, "max_response_head_bytes", o.max_response_head_bytes);
    o.ca_file = option_text(L, "ca_file");
    o.proxy = option_text(L, "proxy");
    client **slot = lua_newuserdata(L, sizeof(client *));
    *slot = NULL;
    luaL_getmetatable(L, CLIENT);
    lua_setmetatable(L, -2);
    message = lua_newuserdata(L, 256);
    *slot = client_new(&o, message, 256);
    if (!*slot)
        return rt_fail(L, "bad_request", "%s", message);
    lua_pop(L, 1);
    return 1;
}

// client:close() closes idle connections once no call is under way. Also done by the collector.
static int l_client_close(lua_State *L)
{
    client **slot = luaL_checkudata(L, 1, CLIENT), *c = *slot;
    *slot = NULL;
    client_drop(c);
    return 0;
}

static void set_count(lua_State *L, const char *name, uint64_t count)
{
    lua_pushnumber(L, (lua_Number)count);
    lua_setfield(L, -2, name);
}

// client:stats() -> { calls, connects, reuses, retries, resumptions, idle, open }
static int l_stats(lua_State *L)
{
    client *c = *(client **)luaL_checkudata(L, 1, CLIENT);
    client_stats s = {0};
    if (c)
        s = client_get_stats(c);
    lua_createtable(L, 0, 7);
    set_count(L, "calls", s.calls);
    set_count(L, "connects", s.connects);
    set_count(L, "reuses", s.reuses);
    set_count(L, "retries", s.retries);
    set_count(L, "resumptions", s.resumptions);
    set_count(L, "idle", s.idle);
    set_count(L, "open", s.open);
    return 1;
}

// ---- send ----

static void push_call(lua_State *L, answer *a)
{
    answer **slot = lua_newuserdata(L, sizeof(answer *));
    *slot = a;
    luaL_getmetatable(L, CALL);
    lua_setmetatable(L, -2);
}

static void answer_free(answer *a)
{
    client_call *call = a->call;
    a->call = NULL;
    if (call)
        client_call_close(call);
    bytes_drop(a->body);
    free(a);
}

static void on_head(client_call *call)
{
    answer *a = client_call_owner(call);
    push_call(a->waiter.co, a);
    rt_wake(&a->waiter, 1);
}

static void on_send_error(client_call *call)
{
    answer *a = client_call_owner(call);
    rt_wait waiter = a->waiter;
    int count = push_error(waiter.co, client_call_error(call));
    answer_free(a);
    rt_wake(&waiter, count);
}

static void on_send_cancel(rt_wait *w)
{
    answer_free((answer *)(void *)((char *)w - offsetof(answer, waiter)));
}

static const client_callbacks SENDING = {.on_head = on_head, .on_error = on_send_error};

// client:send{ ... } -> call | nil, err. Waits for the answer's head.
static int l_send(lua_State *L)
{
    client *c = *(client **)luaL_checkudata(L, 1, CLIENT);
    luaL_checktype(L, 2, LUA_TTABLE);
    rt_check_task(L);
    if (!c)
        return rt_fail(L, "closed", "client:send: client closed");
    send_scratch *scratch = send_read_request(L); // raises for what is wrong with it; owns nothing
    answer *a = zeroed(sizeof(*a));
    if (!a || !send_make_source(L, scratch)) {
        free(a);
        return rt_fail(L, "no_memory", "client:send");
    }
    a->call = client_send(c, &scratch->request, &SENDING, a, &scratch->error);
    if (!a->call) {
        free(a);
        return push_error(L, &scratch->error);
    }
    a->waiter.on_cancel = on_send_cancel;
    return rt_park(L, &a->waiter);
}

// ---- call ----

static answer *check(lua_State *L)
{
    return *(answer **)luaL_checkudata(L, 1, CALL);
}

client_call *client_call_check(lua_State *L, int index)
{
    answer *a = *(answer **)luaL_checkudata(L, index, CALL);
    return a ? a->call : NULL;
}

static int l_status(lua_State *L)
{
    answer *a = check(L);
    lua_pushinteger(L, a ? client_call_status(a->call) : 0);
    return 1;
}

static const http1_head *head_of(lua_State *L)
{
    answer *a = check(L);
    return a ? client_call_head(a->call) : NULL;
}

// call:header("lower-name") -> value | nil; several are joined by ", "
static int l_header(lua_State *L)
{
    const http1_head *h = head_of(L);
    size_t size;
    const char *name = luaL_checklstring(L, 2, &size);
    int i = h ? http1_find(h, name, size, 0) : -1;
    if (i < 0)
        return 0;
    const http1_header *value = http1_header_at(h, i);
    lua_pushlstring(L, http1_text(h, value->value_at), value->value_size);
    while ((i = http1_find(h, name, size, i + 1)) >= 0) {
        value = http1_header_at(h, i);
        lua_pushliteral(L, ", ");
        lua_pushlstring(L, http1_text(h, value->value_at), value->value_size);
        lua_concat(L, 3);
    }
    return 1;
}

// call:headers() -> { { name, value }, ... } in the order of the answer
static int l_headers(lua_State *L)
{
    const http1_head *h = head_of(L);
    lua_createtable(L, h ? h->count : 0, 0);
    for (int i = 0; h && i < h->count; i++) {
        const http1_header *header = http1_header_at(h, i);
        lua_createtable(L, 2, 0);
        lua_pushlstring(L, http1_text(h, header->name_at), header->name_size);
        lua_rawseti(L, -2, 1);
        lua_pushlstring(L, http1_text(h, header->value_at), header->value_size);
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

// call:forget_head(): frees what the answer's head holds, for answers that run long
static int l_forget_head(lua_State *L)
{
    answer *a = check(L);
    if (a)
        client_call_drop_head(a->call);
    return 0;
}

static int l_http_minor(lua_State *L)
{
    const http1_head *h = head_of(L);
    lua_pushinteger(L, h ? h->minor : 1);
    return 1;
}

static int l_is_reused(lua_State *L)
{
    answer *a = check(L);
    lua_pushboolean(L, a && client_call_is_reused(a->call));
    return 1;
}

static int l_call_close(lua_State *L)
{
    answer **slot = luaL_checkudata(L, 1, CALL), *a = *slot;
    *slot = NULL;
    if (!a)
        return 0;
    rt_wait waiter = a->waiter;
    answer_free(a);
    if (rt_waiting(&waiter)) // another task reads
        rt_wake(&waiter, rt_fail(waiter.co, "closed", "call closed"));
    return 0;
}

// ---- bodies ----

static void on_read_cancel(rt_wait *w)
{
    answer *a = (answer *)(void *)((char *)w - offsetof(answer, waiter));
    client_call_pause(a->call);
    client_call_abort(a->call); // the upstream stops now, not when the collector comes
}

static void fail_answer(answer *a)
{
    if (rt_waiting(&a->waiter))
        rt_wake(&a->waiter, push_error(a->waiter.co, client_call_error(a->call)));
}

static void on_error(client_call *call)
{
    fail_answer(client_call_owner(call));
}

// A body of known length is read into its place; others grow.
static char *on_lend(client_call *call, size_t wanted, size_t *capacity)
{
    answer *a = client_call_owner(call);
    if (!a->body || !bytes_reserve(a->body, wanted))
        return NULL;
    *capacity = a->body->capacity - a->body->size;
    return a->body->data + a->body->size;
}

static void on_whole_body(client_call *call, const char *data, size_t size)
{
    answer *a = client_call_owner(call);
    if (a->body && data == a->body->data + a->body->size) { // lent
        a->body->size += size;
        return;
    }
    if (!a->body)
        a->body = bytes_new(size);
    if (!a->body || a->body->size + size > a->limit || !bytes_append(a->body, data, size)) {
        bool is_large = a->body && a->body->size + size > a->limit;
        rt_wait *waiter = &a->waiter;
        client_call_abort(call);
        if (rt_waiting(waiter))
            rt_wake(waiter, rt_fail(waiter->co, is_large ? "too_large" : "no_memory", "call:read_body: %s",
                                    is_large ? "the answer is larger than the limit" : "out of memory"));
    }
}

static int push_body(lua_State *L, answer *a)
{
    bytes *body = a->body ? a->body : bytes_new(0);
    a->body = NULL;
    if (!body)
        return rt_fail(L, "no_memory", "call:read_body");
    lua_pushlightuserdata(L, body);
    lua_pushnumber(L, (lua_Number)body->size);
    return 2;
}

static void on_whole_end(client_call *call)
{
    answer *a = client_call_owner(call);
    if (rt_waiting(&a->waiter))
        rt_wake(&a->waiter, push_body(a->waiter.co, a));
}

static const client_callbacks WHOLE = {
    .on_body = on_whole_body, .on_end = on_whole_end, .on_error = on_error, .lend = on_lend};

// call:read_body(limit_bytes) -> bytes* (lightuserdata, a reference of the caller's), size | nil, err
static int l_read_body(lua_State *L)
{
    answer *a = check(L);
    lua_Number limit = luaL_checknumber(L, 2);
    luaL_argcheck(L, limit >= 0, 2, "bytes");
    if (!a)
        return rt_fail(L, "closed", "call:read_body: call closed");
    if (rt_waiting(&a->waiter))
        return luaL_error(L, "call:read_body: another task already waits");
    bytes *taken = client_call_take(a->call);
    if (taken) {
        bytes_drop(a->body);
        a->body = taken;
    }
    a->limit = limit < 9e15 ? (uint64_t)limit : UINT64_MAX;
    int64_t left = client_call_body_left(a->call);
    if ((a->body ? a->body->size : 0) + (left > 0 ? (uint64_t)left : 0) > a->limit) {
        client_call_abort(a->call);
        return rt_fail(L, "too_large", "call:read_body: the answer is larger than the limit");
    }
    if (client_call_error(a->call))
        return push_error(L, client_call_error(a->call));
    if (client_call_is_ended(a->call))
        return push_body(L, a);
    rt_check_task(L);
    if (left > 0 && !a->body)
        a->body = bytes_new((size_t)left);
    a->waiter.on_cancel = on_read_cancel;
    client_call_receive(a->call, &WHOLE, a);
    rt_hold(L, &a->waiter, 1);
    return rt_park(L, &a->waiter);
}

static void on_chunk(client_call *call, const char *data, size_t size)
{
    answer *a = client_call_owner(call);
    client_call_pause(call);
    if (rt_waiting(&a->waiter)) {
        lua_pushlstring(a->waiter.co, data, size);
        rt_wake(&a->waiter, 1);
    } else if (a->body || (a->body = bytes_new(size))) { // its reader was cancelled
        bytes_append(a->body, data, size);
    }
}

static void on_chunk_end(client_call *call)
{
    answer *a = client_call_owner(call);
    if (!rt_waiting(&a->waiter))
        return;
    lua_pushnil(a->waiter.co);
    rt_wake(&a->waiter, 1);
}

static const client_callbacks CHUNKS = {.on_body = on_chunk, .on_end = on_chunk_end, .on_error = on_error};

// call:read() -> what has arrived of the body, as a string | nil at its end | nil, err
static int l_read(lua_State *L)
{
    answer *a = check(L);
    if (!a)
        return rt_fail(L, "closed", "call:read: call closed");
    if (rt_waiting(&a->waiter))
        return luaL_error(L, "call:read: another task already waits");
    bytes *taken = a->body ? a->body : client_call_take(a->call);
    a->body = NULL;
    if (taken) {
        lua_pushlstring(L, taken->data, taken->size);
        bytes_drop(taken);
        return 1;
    }
    if (client_call_error(a->call))
        return push_error(L, client_call_error(a->call));
    if (client_call_is_ended(a->call)) {
        lua_pushnil(L);
        return 1;
    }
    rt_check_task(L);
    a->waiter.on_cancel = on_read_cancel;
    client_call_receive(a->call, &CHUNKS, a);
    rt_hold(L, &a->waiter, 1);
    return rt_park(L, &a->waiter);
}

static void add_class(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc)
{
    luaL_newmetatable(L, name);
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}

static int open_client(lua_State *L)
{
    static const luaL_Reg client_methods[] = {
        {"send", l_send}, {"stats", l_stats}, {"close", l_client_close}, {NULL, NULL}};
    static const luaL_Reg call_methods[] = {
        {"status", l_status},           {"header", l_header}, {"headers", l_headers},     {"http_minor", l_http_minor},
        {"is_reused", l_is_reused},     {"read", l_read},     {"read_body", l_read_body}, {"close", l_call_close},
        {"forget_head", l_forget_head}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"new", l_new}, {NULL, NULL}};
    add_class(L, CLIENT, client_methods, l_client_close);
    add_class(L, CALL, call_methods, l_call_close);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
RT_MODULE("rt.client", open_client)
