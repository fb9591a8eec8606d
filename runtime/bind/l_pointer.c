// rt.pointer: a light userdata as an FFI pointer. A trace cannot convert one (LuaJIT: not yet implemented on 64 bits),
// so an FFI call that is given one is interpreted, and what calls it is not compiled. Through here it is.
#include "rt.h"

// pointer.store(slot, light): slot is cdata whose first member is a pointer, which becomes light's address.
static int l_store(lua_State *L)
{
    void **slot = (void **)(uintptr_t)lua_topointer(L, 1);
    luaL_argcheck(L, slot != NULL && lua_type(L, 1) == 10, 1, "cdata expected");
    luaL_checktype(L, 2, LUA_TLIGHTUSERDATA);
    *slot = lua_touserdata(L, 2);
    return 0;
}

static int open_pointer(lua_State *L)
{
    static const luaL_Reg functions[] = {{"store", l_store}, {NULL, NULL}};
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
RT_MODULE("rt.pointer", open_pointer)
