--- What several commands share: which configuration, building a generation without opening anything, talking
--- to the admin socket of a running gateway.
local bundle_of = require("gate.bundle")
local cjson = require("cjson")
local fs = require("rt.fs")
local system = require("rt.system")
local tcp = require("rt.tcp")

local M = {}

local DEFAULT_CONFIG = "gate.lua"

--- The configuration's path; nil: there is none, defaults serve.
---@param options { config: string? }
---@return string?
function M.config_path(options)
  return options.config or (fs.stat(DEFAULT_CONFIG) and DEFAULT_CONFIG) or nil
end

--- Collects a bundle, without a running gateway.
---@param options { config: string? }
---@param is_check boolean? Collect also what has errors.
---@return table? bundle
---@return table config_or_problems
function M.collect(options, is_check)
  return bundle_of.collect({
    config_path = M.config_path(options), home = system.home(), env = system.getenv, is_check = is_check,
  })
end

--- Builds a generation offline: nothing is opened, nobody is asked.
---@param options { config: string? }
---@return table? generation
---@return table problems
function M.build(options)
  local bundle, problems = M.collect(options, true)
  if not bundle then
    return nil, problems
  end
  return require("gate.loader").build(bundle, { -- loaded here: `run` never builds, and starts without it
    env = system.getenv, number = 0, compile_program = require("rt.program").new,
    embed = function()
      return "http://127.0.0.1:1", function() end
    end,
  })
end

--- Writes all problems and how many there are.
---@return integer exit_status
function M.tell_problems(problems)
  io.stderr:write(problems:report(), "\n")
  io.stderr:write(("%d error%s\n"):format(problems:count(), problems:count() == 1 and "" or "s"))
  return 1
end

-- Status and body of an HTTP/1.1 answer that ended with its connection.
local function parse_answer(answer)
  local status = tonumber(answer:match("^HTTP/1%.%d (%d%d%d)"))
  local head, body = answer:match("^(.-)\r\n\r\n(.*)$")
  if not status or not head then
    return nil
  end
  return status, body
end

--- Asks the running gateway.
---@param options { config: string?, socket: string? }
---@param method string
---@param path string
---@return table? value The JSON of the answer.
---@return integer|string status Or the message.
function M.admin(options, method, path)
  local socket = options.socket
  if not socket then
    local bundle, config = M.collect(options)
    if not bundle then
      return nil, "the configuration cannot be read, so the admin socket is not known (--socket FILE names it):\n"
        .. config:report()
    end
    socket = config.admin.socket
  end
  local conn, err = tcp.connect("unix:" .. socket)
  if not conn then
    return nil, ("no gateway answers on %s: %s\nstart one with `moongate run`, or name the socket of the one that runs: --socket FILE")
      :format(socket, err.message)
  end
  conn:write(method .. " " .. path .. " HTTP/1.1\r\nhost: admin\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
  local parts = {}
  while true do
    local chunk = conn:read()
    if not chunk then
      break
    end
    parts[#parts + 1] = chunk
  end
  conn:close()
  local status, body = parse_answer(table.concat(parts))
  local ok, value = pcall(cjson.decode, body or "")
  if not status or not ok then
    return nil, "the gateway on " .. socket .. " gave no answer"
  end
  return value, status
end

return M
