--- moongate drain: the running gateway takes no new request, finishes the running ones and ends.
local common = require("gate.cli.common")

local M = {
  usage = "drain [--config FILE] [--socket FILE]", summary = "finish running requests, then stop",
  options = { socket = "value" },
}

function M.run(_, options)
  local value, message = common.admin(options, "POST", "/drain")
  if not value then
    io.stderr:write("moongate drain: ", message, "\n")
    return 3
  end
  io.stdout:write("draining\n")
  return 0
end

return M
