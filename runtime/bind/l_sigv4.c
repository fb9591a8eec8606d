// rt.sigv4: AWS request signing. The userdata holds one reference to a signer; whoever signs later holds its own.
#include "bind/l_sigv4.h"

#include "bind/l_crypto.h"
#include "core/base64.h"
#include "rt.h"

#include <math.h>
#include <string.h>
#include <time.h>

sigv4_signer *l_sigv4_check(lua_State *L, int index)
{
    return *(sigv4_signer **)luaL_checkudata(L, index, "rt.sigv4.signer");
}

// ---- reading options; values found are left on the stack, so that their texts stay ----

static sigv4_text field_text(lua_State *L, int table, const char *name, bool is_required)
{
    sigv4_text text = {"", 0};
    lua_getfield(L, table, name);
    if (lua_isnil(L, -1) && !is_required)
        return text;
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "%s: string expected, got %s", name, luaL_typename(L, -1));
    text.data = lua_tolstring(L, -1, &text.size);
    return text;
}

// sigv4.signer{ access_key_id=, secret_access_key=, session_token=, region=, service=, content_sha256= }
//   -> signer | nil, err (bad_credential)
static int l_signer(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    sigv4_credentials credentials = {
        .access_key_id = field_text(L, 1, "access_key_id", true),
        .secret_access_key = field_text(L, 1, "secret_access_key", true),
        .session_token = field_text(L, 1, "session_token", false),
        .region = field_text(L, 1, "region", true),
        .service = field_text(L, 1, "service", true),
    };
    lua_getfield(L, 1, "content_sha256");
    credentials.adds_content_sha256 = lua_isnil(L, -1) || lua_toboolean(L, -1);
    sigv4_signer **slot = lua_newuserdata(L, sizeof(*slot));
    *slot = NULL;
    luaL_getmetatable(L, "rt.sigv4.signer");
    lua_setmetatable(L, -2);
    const char *field;
    enum sigv4_error error = sigv4_signer_new(slot, &credentials, &field);
    if (error == SIGV4_OK)
        return 1;
    // Never the value: it is a secret, or stands where one was meant to.
    return rt_fail(L, sigv4_error_code(error), "%s: %s", field, sigv4_error_text(error));
}

// signer:close(): drops the secret now (if no call holds it), any number of times
static int l_close(lua_State *L)
{
    sigv4_signer **slot = luaL_checkudata(L, 1, "rt.sigv4.signer");
    sigv4_signer_drop(*slot);
    *slot = NULL;
    return 0;
}

static size_t read_headers(lua_State *L, int index, sigv4_header headers[SIGV4_HEADERS_MAX])
{
    size_t count = lua_objlen(L, index);
    if (count % 2 != 0)
        luaL_error(L, "headers: a list of name, value, name, value expected");
    if (count / 2 > SIGV4_HEADERS_MAX)
        luaL_error(L, "headers: more than %d", SIGV4_HEADERS_MAX);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, index, (int)i + 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "headers[%d]: string expected, got %s", (int)i + 1, luaL_typename(L, -1));
        sigv4_text *text = i % 2 == 0 ? &headers[i / 2].name : &headers[i / 2].value;
        text->data = lua_tolstring(L, -1, &text->size); // the list keeps it
        lua_pop(L, 1);
    }
    return count / 2;
}

static int64_t field_seconds(lua_State *L, int table, const char *name, int64_t missing)
{
    lua_getfield(L, table, name);
    int64_t seconds = missing;
    if (!lua_isnil(L, -1)) {
        lua_Number n = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : NAN;
        if (!(fabs(n) < 1e15))
            luaL_error(L, "%s: seconds expected", name);
        seconds = (int64_t)floor(n);
    }
    lua_pop(L, 1);
    return seconds;
}

static void read_body(lua_State *L, int table, sigv4_request *request, uint8_t digest[SHA256_SIZE])
{
    sigv4_text declared = field_text(L, table, "content_sha256", false);
    request->body_sha256 = digest;
    if (declared.size > 0) {
        request->is_body_unsigned = declared.size == 16 && memcmp(declared.data, "UNSIGNED-PAYLOAD", 16) == 0;
        if (!request->is_body_unsigned &&
            (declared.size != 2 * SHA256_SIZE || !hex_decode(declared.data, declared.size, digest)))
            luaL_error(L, "content_sha256: 64 hexadecimal digits or UNSIGNED-PAYLOAD expected");
        return;
    }
    lua_getfield(L, table, "body");
    if (lua_isnil(L, -1))
        sha256_of(NULL, 0, digest);
    else if (!l_crypto_digest(L, lua_gettop(L), digest))
        luaL_error(L, "body: string, bytes or output expected");
    lua_pop(L, 1);
}

// Pushes a flat list of the header lines in text[0..size), each "name: value\r\n".
static void push_lines(lua_State *L, const char *text, size_t size)
{
    const char *end = text + size;
    lua_createtable(L, 8, 0);
    for (int i = 1; text < end; i += 2) {
        const char *colon = memchr(text, ':', (size_t)(end - text));
        const char *line_end = memchr(colon, '\r', (size_t)(end - colon));
        lua_pushlstring(L, text, (size_t)(colon - text));
        lua_rawseti(L, -2, i);
        lua_pushlstring(L, colon + 2, (size_t)(line_end - colon - 2));
        lua_rawseti(L, -2, i + 1);
        text = line_end + 2;
    }
}

// signer:sign{ method=, target=, headers=, body= | content_sha256=, time_s=, clock_offset_s= }
//   -> flat list of headers to add | nil, err (closed, bad_header, too_large, bad_time)
static int l_sign(lua_State *L)
{
    sigv4_signer *s = l_sigv4_check(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    sigv4_header headers[SIGV4_HEADERS_MAX];
    uint8_t digest[SHA256_SIZE];
    sigv4_request request = {.method = field_text(L, 2, "method", true), .target = field_text(L, 2, "target", true)};
    lua_getfield(L, 2, "headers");
    luaL_argcheck(L, lua_istable(L, -1), 2, "headers: list expected");
    request.headers = headers;
    request.header_count = read_headers(L, lua_gettop(L), headers);
    read_body(L, 2, &request, digest);
    request.time_s = field_seconds(L, 2, "time_s", time(NULL));
    request.clock_offset_s = field_seconds(L, 2, "clock_offset_s", 0);
    if (!s)
        return rt_fail(L, "closed", "signer closed");
    size_t room = sigv4_room(s, headers, request.header_count), size;
    char *out = lua_newuserdata(L, room);
    enum sigv4_error error = sigv4_sign(s, &request, out, room, &size);
    if (error != SIGV4_OK)
        return rt_fail(L, sigv4_error_code(error), "signing: %s", sigv4_error_text(error));
    push_lines(L, out, size);
    return 1;
}

// sigv4.canonical_query(query) -> the form to send | nil, err (too_large)
static int l_canonical_query(lua_State *L)
{
    sigv4_text query;
    query.data = luaL_checklstring(L, 1, &query.size);
    size_t room = 3 * query.size + 1, size;
    char *out = lua_newuserdata(L, room);
    enum sigv4_error error = sigv4_canonical_query(query, out, room, &size);
    if (error != SIGV4_OK)
        return rt_fail(L, sigv4_error_code(error), "query: %s", sigv4_error_text(error));
    lua_pushlstring(L, out, size);
    return 1;
}

static int open_sigv4(lua_State *L)
{
    static const luaL_Reg methods[] = {{"sign", l_sign}, {"close", l_close}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"signer", l_signer}, {"canonical_query", l_canonical_query}, {NULL, NULL}};
    luaL_newmetatable(L, "rt.sigv4.signer");
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, l_close);
    lua_setfield(L, -2, "__gc");
    lua_pushliteral(L, "rt.sigv4.signer");
    lua_setfield(L, -2, "__metatable");
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
RT_MODULE("rt.sigv4", open_sigv4)
