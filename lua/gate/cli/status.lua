--- moongate status: what the running gateway does, as JSON.
local common = require("gate.cli.common")
local json = require("gate.json")

local M = {
  usage = "status [--config FILE] [--socket FILE]",
  summary = "show workers, generation and counters of the running gateway",
  options = { socket = "value" },
}

function M.run(_, options)
  local value, message = common.admin(options, "GET", "/status")
  if not value then
    io.stderr:write("moongate status: ", message, "\n")
    return 3
  end
  io.stdout:write(json.encode(value), "\n")
  return 0
end

return M
