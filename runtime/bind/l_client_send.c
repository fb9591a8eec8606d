// client:send{...}: from a Lua table to a client_request. Nothing is copied here and nothing owned: the table keeps
// the strings until client_send() has taken what it needs.
#include <string.h>

#include "bind/l_client.h"
#include "bind/l_sigv4.h"
#include "client_exchange.h"

#define TABLE 2

static send_scratch scratch;

static const char *text(lua_State *L, const char *name, size_t *size, bool is_needed)
{
    lua_getfield(L, TABLE, name);
    const char *value = lua_tolstring(L, -1, size);
    if (!value && (is_needed || !lua_isnil(L, -1)))
        luaL_error(L, "client:send: %s must be a string", name);
    lua_pop(L, 1); // still in the table
    return value;
}

static uint64_t milliseconds(lua_State *L, const char *name)
{
    lua_getfield(L, TABLE, name);
    lua_Number ms = lua_tonumber(L, -1);
    if (!lua_isnil(L, -1) && (!lua_isnumber(L, -1) || !(ms >= 0 && ms < (lua_Number)RT_MS_MAX)))
        luaL_error(L, "client:send: %s must be a number of milliseconds", name);
    lua_pop(L, 1);
    return ms > 0 && ms < 1 ? 1 : (uint64_t)ms;
}

static void read_headers(lua_State *L)
{
    lua_getfield(L, TABLE, "headers");
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return;
    }
    luaL_checktype(L, -1, LUA_TTABLE);
    int count = (int)lua_objlen(L, -1);
    if (count % 2 != 0 || count / 2 > SIGV4_HEADERS_MAX)
        luaL_error(L, "client:send: headers are name, value, name, value, ..., at most %d of them", SIGV4_HEADERS_MAX);
    for (int i = 0; i < count; i += 2) {
        client_header *h = &scratch.headers[i / 2];
        lua_rawgeti(L, -1, i + 1);
        lua_rawgeti(L, -2, i + 2);
        if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "client:send: header %d: name and value must be strings", i / 2 + 1);
        h->name = lua_tolstring(L, -2, &h->name_size);
        h->value = lua_tolstring(L, -1, &h->value_size);
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
    scratch.request.headers = scratch.headers;
    scratch.request.header_count = (size_t)count / 2;
}

// string | bytes* | output* | req (streamed) | nil. Leaves the value on the stack.
static void read_body(lua_State *L)
{
    client_request *r = &scratch.request;
    lua_getfield(L, TABLE, "body");
    int type = lua_type(L, -1);
    if (type == LUA_TNIL)
        return;
    if (type == LUA_TSTRING) {
        scratch.part.data = lua_tolstring(L, -1, &scratch.part.size);
        r->parts = &scratch.part;
        r->part_count = 1;
        return;
    }
    if (type == LUA_TUSERDATA && exchange_test(L, -1)) {
        scratch.body_index = lua_gettop(L);
        return;
    }
    void *shared = rt_pointer(L, -1);
    uint32_t tag = rt_tag(shared);
    if (tag == SHARED_BYTES) {
        bytes *b = shared;
        scratch.part = (segment){b->data, b->size, b};
        r->parts = &scratch.part;
        r->part_count = 1;
        r->body_sha256 = b->has_sha256 ? b->sha256 : NULL;
    } else if (tag == SHARED_OUTPUT) {
        output *o = shared;
        r->document = o;
        r->body_sha256 = o->has_sha256 ? o->sha256 : NULL;
    } else {
        luaL_error(L, "client:send: body must be a string, a buffer, a document's output or a request");
    }
}

static void read_signing(lua_State *L)
{
    client_request *r = &scratch.request;
    lua_getfield(L, TABLE, "sign");
    if (!lua_isnil(L, -1)) {
        r->signer = l_sigv4_check(L, lua_gettop(L));
        if (!r->signer)
            luaL_error(L, "client:send: the signer is closed");
    }
    lua_pop(L, 1);
    if (!r->signer)
        return;
    lua_getfield(L, TABLE, "content_sha256");
    if (!lua_isnil(L, -1)) {
        const char *value = lua_tostring(L, -1);
        if (!value || strcmp(value, "UNSIGNED-PAYLOAD") != 0)
            luaL_error(L, "client:send: content_sha256 can only be \"UNSIGNED-PAYLOAD\"");
        r->is_body_unsigned = true;
    }
    lua_getfield(L, TABLE, "clock_offset_s");
    r->clock_offset_s = (int64_t)lua_tonumber(L, -1);
    lua_pop(L, 2);
}

send_scratch *send_read_request(lua_State *L)
{
    client_request *r = &scratch.request;
    memset(r, 0, sizeof(*r));
    scratch.part = (segment){NULL, 0, NULL};
    scratch.body_index = 0;
    r->origin = text(L, "origin", &r->origin_size, true);
    r->method = text(L, "method", &r->method_size, true);
    r->target = text(L, "target", &r->target_size, true);
    read_headers(L);
    read_signing(L);
    r->timeouts.connect_ms = milliseconds(L, "connect_timeout_ms");
    r->timeouts.first_byte_ms = milliseconds(L, "first_byte_timeout_ms");
    r->timeouts.between_bytes_ms = milliseconds(L, "between_bytes_timeout_ms");
    r->timeouts.total_ms = milliseconds(L, "total_timeout_ms");
    lua_getfield(L, TABLE, "body_limit_bytes");
    scratch.body_limit = lua_isnil(L, -1) ? UINT64_MAX : (uint64_t)luaL_checknumber(L, -1);
    lua_pop(L, 1);
    read_body(L);
    return &scratch;
}

bool send_make_source(lua_State *L, send_scratch *s)
{
    if (s->body_index == 0)
        return true;
    s->request.source = client_exchange_new(exchange_test(L, s->body_index), s->body_limit);
    return s->request.source != NULL;
}
