// rt.crypto: hashes, random bytes, comparing secrets, base64 and hexadecimal. Nothing here waits.
#include "bind/l_crypto.h"

#include "core/base64.h"
#include "core/random.h"
#include "rt.h"

#include <string.h>

enum { RANDOM_MAX_BYTES = 1 << 20 };

bool l_crypto_digest(lua_State *L, int index, uint8_t digest[SHA256_SIZE])
{
    size_t size;
    if (lua_type(L, index) == LUA_TSTRING) {
        const char *text = lua_tolstring(L, index, &size);
        sha256_of(text, size, digest);
        return true;
    }
    void *shared = rt_pointer(L, index);
    switch (rt_tag(shared)) {
    case SHARED_BYTES:
        memcpy(digest, sha256_of_bytes(shared), SHA256_SIZE);
        return true;
    case SHARED_OUTPUT:
        memcpy(digest, sha256_of_output(shared), SHA256_SIZE);
        return true;
    default:
        return false;
    }
}

static void check_digest(lua_State *L, uint8_t digest[SHA256_SIZE])
{
    luaL_argcheck(L, l_crypto_digest(L, 1, digest), 1, "string, bytes or output expected");
}

static void push_hex(lua_State *L, const uint8_t *data, size_t size)
{
    char *text = lua_newuserdata(L, 2 * size + 1);
    hex_encode(data, size, text);
    lua_pushlstring(L, text, 2 * size);
}

// crypto.sha256(text | bytes | output) -> 32 bytes
static int l_sha256(lua_State *L)
{
    uint8_t digest[SHA256_SIZE];
    check_digest(L, digest);
    lua_pushlstring(L, (const char *)digest, sizeof(digest));
    return 1;
}

// crypto.sha256_hex(text | bytes | output) -> 64 digits
static int l_sha256_hex(lua_State *L)
{
    uint8_t digest[SHA256_SIZE];
    char text[2 * SHA256_SIZE];
    check_digest(L, digest);
    hex_encode(digest, sizeof(digest), text);
    lua_pushlstring(L, text, sizeof(text));
    return 1;
}

// crypto.hmac_sha256(key, text) -> 32 bytes
static int l_hmac_sha256(lua_State *L)
{
    size_t secret_size, size;
    const char *secret = luaL_checklstring(L, 1, &secret_size);
    const char *text = luaL_checklstring(L, 2, &size);
    hmac_sha256_key key;
    uint8_t mac[SHA256_SIZE];
    hmac_sha256_prepare(&key, secret, secret_size);
    hmac_sha256_of(&key, text, size, mac);
    explicit_bzero(&key, sizeof(key));
    lua_pushlstring(L, (const char *)mac, sizeof(mac));
    return 1;
}

static uint8_t *check_random(lua_State *L, size_t *size) // pushes the buffer
{
    lua_Number wanted = luaL_checknumber(L, 1);
    luaL_argcheck(L, wanted >= 0 && wanted <= RANDOM_MAX_BYTES && wanted == (lua_Number)(size_t)wanted, 1,
                  "0 to 1048576 bytes");
    *size = (size_t)wanted;
    uint8_t *data = lua_newuserdata(L, *size + 1);
    random_bytes(data, *size);
    return data;
}

// crypto.random_bytes(count) -> string
static int l_random_bytes(lua_State *L)
{
    size_t size;
    const uint8_t *data = check_random(L, &size);
    lua_pushlstring(L, (const char *)data, size);
    return 1;
}

// crypto.random_hex(count) -> 2 * count digits
static int l_random_hex(lua_State *L)
{
    size_t size;
    const uint8_t *data = check_random(L, &size);
    push_hex(L, data, size);
    return 1;
}

// crypto.equal(a, b) -> boolean; the time tells nothing but the sizes
static int l_equal(lua_State *L)
{
    size_t a_size, b_size;
    const char *a = luaL_checklstring(L, 1, &a_size);
    const char *b = luaL_checklstring(L, 2, &b_size);
    lua_pushboolean(L, a_size == b_size && equal_in_constant_time(a, b, a_size));
    return 1;
}

static int encode(lua_State *L, base64_form form)
{
    size_t size;
    const char *data = luaL_checklstring(L, 1, &size);
    size_t text_size = base64_encoded_size(form, size);
    char *text = lua_newuserdata(L, text_size + 1);
    base64_encode(form, data, size, text);
    lua_pushlstring(L, text, text_size);
    return 1;
}

static int decode(lua_State *L, base64_form form)
{
    size_t size, data_size;
    const char *text = luaL_checklstring(L, 1, &size);
    char *data = lua_newuserdata(L, base64_decoded_room(size) + 1);
    if (!base64_decode(form, text, size, data, &data_size))
        return rt_fail(L, "bad_base64", "not base64%s", form == BASE64_URL ? "url" : "");
    lua_pushlstring(L, data, data_size);
    return 1;
}

// crypto.base64_encode(bytes) -> text      crypto.base64_decode(text) -> bytes | nil, err (bad_base64)
static int l_base64_encode(lua_State *L)
{
    return encode(L, BASE64_STANDARD);
}

static int l_base64_decode(lua_State *L)
{
    return decode(L, BASE64_STANDARD);
}

// The same in the URL alphabet, without padding.
static int l_base64url_encode(lua_State *L)
{
    return encode(L, BASE64_URL);
}

static int l_base64url_decode(lua_State *L)
{
    return decode(L, BASE64_URL);
}

// crypto.hex_encode(bytes) -> text
static int l_hex_encode(lua_State *L)
{
    size_t size;
    const char *data = luaL_checklstring(L, 1, &size);
    push_hex(L, (const uint8_t *)data, size);
    return 1;
}

// crypto.hex_decode(text) -> bytes | nil, err (bad_hex)
static int l_hex_decode(lua_State *L)
{
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    char *data = lua_newuserdata(L, size / 2 + 1);
    if (!hex_decode(text, size, data))
        return rt_fail(L, "bad_hex", "not an even number of hexadecimal digits");
    lua_pushlstring(L, data, size / 2);
    return 1;
}

static int open_crypto(lua_State *L)
{
    static const luaL_Reg functions[] = {{"sha256", l_sha256},
                                         {"sha256_hex", l_sha256_hex},
                                         {"hmac_sha256", l_hmac_sha256},
                                         {"random_bytes", l_random_bytes},
                                         {"random_hex", l_random_hex},
                                         {"equal", l_equal},
                                         {"base64_encode", l_base64_encode},
                                         {"base64_decode", l_base64_decode},
                                         {"base64url_encode", l_base64url_encode},
                                         {"base64url_decode", l_base64url_decode},
                                         {"hex_encode", l_hex_encode},
                                         {"hex_decode", l_hex_decode},
                                         {NULL, NULL}};
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
RT_MODULE("rt.crypto", open_crypto)
