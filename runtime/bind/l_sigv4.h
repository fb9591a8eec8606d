// What rt.client uses of rt.sigv4.
#ifndef MOONGATE_BIND_SIGV4_H
#define MOONGATE_BIND_SIGV4_H

#include "core/sigv4.h"

#include <lua.h>

// The signer at index, borrowed: hold it (sigv4_signer_hold) for longer than the value is on the stack. NULL: it has
// been closed. Raises when the value is not a signer.
sigv4_signer *l_sigv4_check(lua_State *L, int index);

#endif
