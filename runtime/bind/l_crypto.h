// What other bindings use of rt.crypto.
#ifndef MOONGATE_BIND_CRYPTO_H
#define MOONGATE_BIND_CRYPTO_H

#include "core/sha256.h"

#include <lua.h>

// Writes the SHA-256 of the value at index: a string, or a pointer to bytes or output (which keep the digest). False:
// something else.
bool l_crypto_digest(lua_State *L, int index, uint8_t digest[SHA256_SIZE]);

#endif
