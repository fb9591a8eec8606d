// req: one request as its handler sees it: its life and its head; body and answer are in l_request_io.c. The userdata
// is the request's state: anchored in the registry until the handler's task has ended, empty (x == NULL) from then on.
#include <stdlib.h>
#include <string.h>

#include "bind/l_server.h"

enum { MAX_HEADERS = 256 };

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

request *request_check(lua_State *L)
{
    return luaL_checkudata(L, 1, "rt.request");
}

exchange *request_live(lua_State *L)
{
    request *r = request_check(L);
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

// ---- the request

static const http1_head *check_head(lua_State *L)
{
    const http1_head *h = exchange_head(request_live(L));
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
    exchange_drop_head(request_live(L));
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
    lua_pushstring(L, exchange_peer(request_live(L), text, sizeof(text)));
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
        {NULL, NULL},
    };
    luaL_newmetatable(L, "rt.request");
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    luaL_register(L, NULL, request_io_methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
