--- First Lua of the process: a worker that a supervisor started, or the command line.
local control = require("gate.control")
local system = require("rt.system")

if system.getenv(control.VARIABLE) then
  local options, err = control.become_worker()
  if not options then
    io.stderr:write("moongate: ", err.message, "\n")
    return 70
  end
  return require("gate.worker").main(options)
end
return require("gate.cli").main({ ... })
