// Errors as Lua sees them: nil, { code, message }. Codes are stable words; texts are for people.
#include "rt.h"

#include <stdarg.h>

int rt_fail(lua_State *L, const char *code, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    lua_pushnil(L);
    lua_createtable(L, 0, 2);
    lua_pushstring(L, code);
    lua_setfield(L, -2, "code");
    lua_pushstring(L, message);
    lua_setfield(L, -2, "message");
    return 2;
}

const char *rt_uv_code(int rc)
{
    switch (rc) {
    case UV_ECONNREFUSED:
        return "refused";
    case UV_ECONNRESET:
    case UV_EPIPE:
    case UV_ECONNABORTED:
        return "reset";
    case UV_ETIMEDOUT:
        return "timeout";
    case UV_EHOSTUNREACH:
    case UV_ENETUNREACH:
    case UV_ENETDOWN:
        return "unreachable";
    case UV_EADDRINUSE:
        return "address_in_use";
    case UV_EACCES:
    case UV_EPERM:
        return "not_permitted";
    case UV_ENOENT:
        return "not_found";
    case UV_EMFILE:
    case UV_ENFILE:
        return "too_many_files";
    case UV_ENOMEM:
    case UV_ENOBUFS:
        return "no_memory";
    case UV_ECANCELED:
        return "cancelled";
    case UV_EOF:
        return "closed";
    case UV_EAI_NONAME:
    case UV_EAI_NODATA:
    case UV_EAI_AGAIN:
    case UV_EAI_FAIL:
        return "dns";
    default:
        return "system";
    }
}

int rt_fail_uv(lua_State *L, int rc, const char *what, const char *detail)
{
    const char *gap = detail && *detail ? " " : "";
    return rt_fail(L, rt_uv_code(rc), "%s%s%s: %s", what, gap, detail ? detail : "", uv_strerror(rc));
}

int rt_true(lua_State *L)
{
    lua_pushboolean(L, 1);
    return 1;
}
