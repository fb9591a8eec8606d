// cjson: lua-cjson for configuration, administration and plugins' own data; never for a client's or a
// provider's body (gate.json is for those).
#include "rt.h"

int luaopen_cjson(lua_State *L);

RT_MODULE("cjson", luaopen_cjson)
