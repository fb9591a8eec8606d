--- moongate run: the gateway. Without a configuration it serves what the environment offers, or the embedded
--- simulator, and says how to talk to it.
local admin = require("gate.admin")
local bundle_of = require("gate.bundle")
local common = require("gate.cli.common")
local fs = require("rt.fs")
local keys = require("gate.cli.keys")
local log = require("gate.log")
local log_output = require("gate.log_output")
local server_of = require("rt.server")
local supervisor_of = require("gate.supervisor")
local system = require("rt.system")
local version = require("gate.version")

local M = { usage = "run [--config FILE]", summary = "serve" }

local ADMIN_SOCKET_MODE = tonumber("600", 8)
local SERVE_CLOSE_MS = 200

-- The public address as a client writes it.
local function url_of(entry, bound)
  if bound:sub(1, 5) == "unix:" then
    return bound
  end
  local port = bound:match(":(%d+)$")
  local host = entry.host
  if host == "0.0.0.0" or host == "::" then
    host = "127.0.0.1"
  elseif host:find(":", 1, true) then
    host = "[" .. host .. "]"
  end
  return (entry.tls and "https://" or "http://") .. host .. ":" .. port
end

-- An example request, from plugins/defaults.lua: the kernel knows no model.
local function example_of(bundle)
  local defaults = require("gate.modules").new(bundle.modules):load("plugins.defaults")
  return type(defaults) == "table" and defaults.example or nil
end

local function tell(config, addresses, key, bundle)
  local urls = {}
  for i, entry in ipairs(config.listen) do
    urls[i] = url_of(entry, addresses[i])
  end
  io.stdout:write("moongate ", version.VERSION, " serves at ", table.concat(urls, ", "), "\n")
  if key then
    local request = example_of(bundle)
    io.stdout:write("key, for this run only: ", key, "\n")
    if request then
      io.stdout:write("try:\n  curl ", urls[1], request.path, " -H 'authorization: Bearer ", key,
        "' -H 'content-type: application/json' \\\n    -d '", request.body, "'\n")
    end
  end
  io.stdout:flush()
end

-- What an operator is told of a command's outcome.
local function report_of(supervisor, result)
  if not result then
    return { ok = false, report = "the gateway is ending" }
  end
  return {
    ok = result.ok, report = result.report, number = result.number, ms = result.ms,
    generation = supervisor:status().generation,
  }
end

local function tell_no_admin(path, err)
  log.event("error", "admin_socket", {
    path = path, message = err.message,
    advice = "`moongate status`, `reload` and `drain` do not reach this gateway, signals HUP and TERM do; set `admin.socket` in gate.lua",
  })
end

-- Opens the admin socket; what was left by a gateway that was killed is taken away first.
local function serve_admin(supervisor, config)
  local path = config.admin.socket
  local folder = path:match("^(.*)/[^/]*$")
  if folder and folder ~= "" then
    local ok, err = fs.mkdir(folder)
    if not ok then
      tell_no_admin(path, err)
      return nil
    end
  end
  local fd, err = system.listen("unix:" .. path, { mode = ADMIN_SOCKET_MODE })
  local server
  if fd then
    server, err = server_of.listen({ fd = fd, handler = admin.handler({
      status = function()
        return supervisor:status()
      end,
      reload = function()
        return report_of(supervisor, supervisor:command("reload"))
      end,
      drain = function()
        return report_of(supervisor, supervisor:command("drain"))
      end,
    }) })
  end
  if not server then
    tell_no_admin(path, err)
    return nil
  end
  return function()
    server:close()
    server:drain(SERVE_CLOSE_MS)
    fs.unlink(path)
  end
end

function M.run(_, options)
  local config_path = common.config_path(options)
  local key, hash, last_bundle
  if not config_path then
    key, hash = keys.make()
  end
  local status = supervisor_of.run({
    worker_args = {},
    version = version.VERSION,
    collect = function()
      local bundle, config = bundle_of.collect({
        config_path = config_path, home = system.home(), env = system.getenv, quickstart_sha256 = hash,
      })
      if bundle then
        last_bundle = bundle
        log_output.open(config)
      end
      return bundle, config
    end,
    on_ready = function(config, addresses)
      tell(config, addresses, key, last_bundle)
    end,
    serve_admin = serve_admin,
  })
  log_output.close()
  return status
end

return M
