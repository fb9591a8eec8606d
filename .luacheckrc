-- luacheck's rules for this tree; `make lint-lua` runs it.
std = "luajit"
max_line_length = 140
-- A hook keeps its full signature, `_` in front or not.
unused_args = false
files["spec"].std = "luajit+busted"
files["spec"].max_line_length = 200 -- a table of cases reads best with a case on a line
files["lua/meta"].ignore = { "2", "6" } -- types only, never run
-- gate.lua and its includes: the sandbox gives them these.
files["**/gate.lua"].globals = { "env", "secret", "include" }
files["examples/**/gate.lua"].globals = { "env", "secret", "include" }
files["lua/gate/sandbox.lua"].ignore = { "122" } -- it takes string.dump away
exclude_files = { "spec/clients/node_modules" }
