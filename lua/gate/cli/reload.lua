--- moongate reload: the running gateway builds a new generation and goes over to it, or says why not.
local common = require("gate.cli.common")

local M = {
  usage = "reload [--config FILE] [--socket FILE]",
  summary = "load configuration and plugins anew, without a dropped request",
  options = { socket = "value" },
}

function M.run(_, options)
  local report, status = common.admin(options, "POST", "/reload")
  if not report then
    io.stderr:write("moongate reload: ", status, "\n")
    return 3
  elseif status ~= 200 then
    io.stderr:write(tostring(report.report or (report.error and report.error.message) or "refused"),
      "\nnothing was changed\n")
    return 1
  end
  io.stdout:write("reloaded: generation ", tostring(report.generation), "\n")
  return 0
end

return M
