--- moongate simulator: an embedded provider alone, as an upstream on its own address, for tests and development.
local address = require("gate.address")
local loader = require("gate.loader")
local log = require("gate.log")
local modules_of = require("gate.modules")
local common = require("gate.cli.common")
local process = require("rt.process")
local server_of = require("rt.server")

local M = {
  usage = "simulator [--listen HOST:PORT] [--plugin NAME] [option=value ...]",
  summary = "serve the embedded simulator as a strict upstream", options = { listen = "value", plugin = "value" },
  takes_arguments = true,
}

local DRAIN_MS = 1000

local function values_of(arguments)
  local raw = {}
  for _, argument in ipairs(arguments) do
    local name, value = argument:match("^([%w_]+)=(.*)$")
    if not name then
      return nil, "not an option: " .. argument .. " (the plugin's are written name=value)"
    end
    raw[name] = tonumber(value) or (value == "true") or (value ~= "false" and value)
  end
  return raw
end

function M.run(arguments, options)
  local bundle, problems = common.collect(options)
  if not bundle then
    return common.tell_problems(problems)
  end
  local raw, message = values_of(arguments)
  local listen = options.listen or "127.0.0.1:8788"
  if not raw or not address.listen(listen) then
    io.stderr:write("moongate simulator: ", message or ("--listen: not an address: " .. listen
      .. " (wants HOST:PORT, such as 127.0.0.1:8788)"), "\n")
    return 2
  end
  local provider, account
  provider, account, problems = loader.open_provider(modules_of.new(bundle.modules), options.plugin or "simulator", raw,
    "http://127.0.0.1") -- it only serves: where it is reached does not matter to it
  if not provider then
    return common.tell_problems(problems)
  end
  local server, err = server_of.listen({
    address = listen,
    handler = function(req)
      local ok, raised = xpcall(provider.serve, debug.traceback, req, account)
      if not ok then
        log.event("error", "simulator_raised", { message = tostring(raised) })
      end
    end,
  })
  if not server then
    io.stderr:write("moongate simulator: ", address.advise(err, "--listen"), "\n")
    return 1
  end
  io.stdout:write("simulator: http://", (listen:gsub(":%d+$", "")), ":", server:port(), "\n")
  io.stdout:flush()
  local signals = process.signals({ "TERM", "INT" })
  signals:wait()
  signals:close()
  server:close()
  server:drain(DRAIN_MS)
  return 0
end

return M
