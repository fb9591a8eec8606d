--- moongate version
local M = { usage = "version", summary = "print the version" }

function M.run()
  io.stdout:write("moongate ", require("gate.version").VERSION, " (", jit.version, ", ", jit.os, " ", jit.arch, ")\n")
  return 0
end

return M
