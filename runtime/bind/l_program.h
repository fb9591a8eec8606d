// rt.program for other bindings (l_relay.c): programs made from tables, variables, slots.
#ifndef MOONGATE_BIND_L_PROGRAM_H
#define MOONGATE_BIND_L_PROGRAM_H

#include "core/program.h"
#include "rt.h"

// program.new(spec) -> program. Raises on a spec that is wrong, with the place in it.
int l_program_new(lua_State *L);
// The program of the userdata at index; raises.
program *l_program_check(lua_State *L, int index);
// Sets variable (number at index) to the text or number at index + 1; raises on wrong arguments.
int l_program_set(lua_State *L, program_state *s, int index);
// Pushes the slot named by the string at index: number, string or nil; raises on an unknown name.
int l_program_slot(lua_State *L, const program_state *s, int index);

#endif
