// l_server: what l_server.c (rt.server: listening) and l_request.c, l_request_io.c (its requests) share.
#ifndef MOONGATE_L_SERVER_H
#define MOONGATE_L_SERVER_H

#include "rt.h"
#include "server.h"

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

// The request at index 1; raises for anything else. request_live(): its exchange; raises once the task has ended.
request *request_check(lua_State *L);
exchange *request_live(lua_State *L);
extern const luaL_Reg request_io_methods[];

// Registers the metatable "rt.request".
void request_open(lua_State *L);
// Runs handler (a registry reference) as a task for x.
void request_begin(lua_State *L, int handler_ref, exchange *x);
// on_gone of the server's callbacks.
void request_gone(exchange *x, const char *code);
// Before the Lua state goes: no request may look at its exchange any more.
void request_close_all(void);

// Reads a flat table { name, value, name, value, ... } at index. The texts live as long as the table, or as
// the stack where numbers were given. Raises for anything else. *out is valid until the next call.
size_t headers_check(lua_State *L, int index, const server_header **out);

#endif
