--- moongate check: builds a generation without opening anything and tells every error at once.
local common = require("gate.cli.common")
local text = require("gate.text")

local M = { usage = "check [--config FILE]", summary = "check the configuration and its plugins, offline" }

function M.run(_, options)
  local generation, problems = common.build(options)
  if not generation then
    return common.tell_problems(problems)
  end
  for _, warning in ipairs(generation.warnings) do
    io.stderr:write("warning: ", warning, "\n")
  end
  io.stdout:write(("%s: ok (accounts: %s; plugins: %d; generation %s)\n"):format(
    common.config_path(options) or "no configuration", table.concat(text.sorted_keys(generation.app.accounts), ", "),
    #generation.plugins, generation.id))
  generation:teardown()
  return 0
end

return M
