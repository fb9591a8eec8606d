--- The command line. Each command is a file in cli/: `run(arguments, options) -> exit status`, `usage`, `summary`.
--- Exit status: 0 done, 1 refused (the configuration has errors, the reload failed), 2 wrong usage,
--- 3 no gateway answers.
local text = require("gate.text")

local M = {}

M.COMMANDS = { "run", "check", "reload", "status", "drain", "models", "keys", "simulator", "version" }

local USAGE_WIDTH = 42

local function help(out)
  out:write("moongate: a gateway for Claude that is programmed in Lua\n\nusage: moongate COMMAND\n\n")
  for _, name in ipairs(M.COMMANDS) do
    local command = require("gate.cli." .. name)
    local gap = #command.usage > USAGE_WIDTH and "\n" .. (" "):rep(USAGE_WIDTH + 3) or " "
    out:write(("  %-" .. USAGE_WIDTH .. "s%s%s\n"):format(command.usage, gap, command.summary))
  end
  out:write("\n--config FILE says which gate.lua (default: ./gate.lua, if there is one).\n")
end

--- Splits arguments: `--name value`, `--name=value` for the names listed, flags, the rest.
---@param arguments string[]
---@param known table<string, "value"|"flag">
---@return table? options
---@return string[]|string rest Or the message.
function M.parse(arguments, known)
  local options, rest, i = {}, {}, 1
  while i <= #arguments do
    local argument = arguments[i]
    local name, value = argument:match("^%-%-([%w-]+)=(.*)$")
    name = name or argument:match("^%-%-([%w-]+)$")
    if argument == "--" then
      for k = i + 1, #arguments do
        rest[#rest + 1] = arguments[k]
      end
      break
    elseif not name then
      rest[#rest + 1] = argument
    elseif known[name] == "flag" and not value then
      options[name] = true
    elseif known[name] == "value" then
      if not value then
        i = i + 1
        value = arguments[i]
      end
      if not value then
        return nil, "--" .. name .. " needs a value"
      end
      options[name] = value
    else
      local meant = text.closest(name, text.sorted_keys(known))
      return nil, "unknown option --" .. name .. (meant and (" (did you mean --" .. meant .. "?)") or "")
    end
    i = i + 1
  end
  return options, rest
end

--- Runs the command line.
---@param arguments string[]
---@return integer exit_status
function M.main(arguments)
  local name = arguments[1]
  if not name or name == "help" or name == "--help" or name == "-h" then
    help(io.stdout)
    return name and 0 or 2
  elseif name == "--version" then
    name = "version"
  end
  local is_known = false
  for _, known in ipairs(M.COMMANDS) do
    is_known = is_known or known == name
  end
  if not is_known then
    local meant = text.closest(name, M.COMMANDS)
    io.stderr:write("moongate: unknown command ", name, meant and (" (did you mean " .. meant .. "?)") or "",
      "; `moongate help` lists them\n")
    return 2
  end
  local command = require("gate.cli." .. name)
  local own = {}
  for i = 2, #arguments do
    own[#own + 1] = arguments[i]
  end
  local known = { config = "value", help = "flag" }
  for option, kind in pairs(command.options or {}) do
    known[option] = kind
  end
  local options, rest = M.parse(own, known)
  if own[1] == "-h" or options and options.help then
    io.stdout:write("usage: moongate ", command.usage, "\n\n", command.summary, "\n")
    return 0
  end
  if options and rest[1] and not command.takes_arguments then
    local is_file = rest[1]:find("%.lua$") and known.config
    options, rest = nil, "takes no argument, got " .. rest[1] .. (is_file and " (did you mean --config " .. rest[1] .. "?)" or "")
  end
  if not options then
    io.stderr:write("moongate ", name, ": ", rest, "\nusage: moongate ", command.usage, "\n")
    return 2
  end
  return command.run(rest, options) or 0
end

return M
