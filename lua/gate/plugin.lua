--- What a plugin may ask of the kernel: `local gate = require("gate.plugin")`. Each plugin gets its own copy,
--- whose log lines carry its name. Waiting calls (sleep) work in every hook but on_event.
local address = require("gate.address")
local bit = require("bit")
local crypto = require("rt.crypto")
local errors = require("gate.errors")
local ffi = require("ffi")
local ids = require("gate.ids")
local keyring = require("rt.keyring")
local log = require("gate.log")
local secret = require("gate.secret")
local sigv4 = require("rt.sigv4")
local task = require("rt.task")
local time = require("rt.time")

ffi.cdef("long time(long *);") -- time_t is long where LuaJIT and this gateway run

local M = {}

local Reply = {}
Reply.__index = Reply

--- An answer that ends the request here.
---@param status integer
---@param headers string[]? Flat: name, value, name, value.
---@param body (string|gate.json.Doc)?
---@return gate.Reply
function M.reply(status, headers, body)
  if type(status) ~= "number" or status < 200 or status > 599 then
    error("gate.reply: status must be 200 to 599", 2)
  end
  return setmetatable({ status = status, headers = headers, body = body }, Reply)
end

--- Is this what gate.reply made?
function M.is_reply(value)
  return getmetatable(value) == Reply
end

--- Refuses: `return gate.fail("bad_request", "max_tokens is missing")`. A format is applied when arguments follow.
---@param code string See gate.errors.
---@param format string
---@return nil
---@return gate.Err
function M.fail(code, format, ...)
  return nil, errors.new(code, format, ...)
end

--- A SigV4 signer; the secret is kept in C, secrets may be handles or texts.
---@param options { access_key_id: any, secret_access_key: any, session_token: any, region: string, service: string }
---@return rt.sigv4.Signer?
---@return gate.Err?
function M.signer(options)
  local plain = {}
  for key, value in pairs(options) do
    plain[key] = secret.is(value) and value:reveal() or value
  end
  return sigv4.signer(plain)
end

--- A hash ring of client keys, held in C.
function M.keyring()
  return keyring.new()
end

M.sha256_hex = crypto.sha256_hex
M.hmac_sha256 = crypto.hmac_sha256
M.equal = crypto.equal
M.random_hex = crypto.random_hex
M.base64_encode, M.base64_decode = crypto.base64_encode, crypto.base64_decode
M.base64url_encode, M.base64url_decode = crypto.base64url_encode, crypto.base64url_decode
M.new_id = ids.new
M.now_ms, M.monotonic_ms = time.now_ms, time.monotonic_ms
--- Whole seconds since 1970. Compiled with the code around it, as now_ms() is not.
---@return integer
function M.now_s()
  return (tonumber(ffi.C.time(nil)))
end
M.is_secret = secret.is
M.parse_url = address.url
M.parse_target = address.target
M.tohex = bit.tohex

local no_waiting_in -- name of the hook that runs now and may not wait

--- Kernel: from now on a wait raises and names this hook; nil: waiting is fine again.
---@param hook string?
function M.forbid_waiting(hook)
  no_waiting_in = hook
end

--- Waits.
---@param ms number
---@return true? ok
---@return gate.Err? err client_closed, timeout: the request is over.
function M.sleep(ms)
  if no_waiting_in then
    error(no_waiting_in .. " may not wait: it runs between two events of a stream", 2)
  end
  return time.sleep(ms)
end

--- Milliseconds until the request's deadline; nil when there is none.
M.remaining_ms = task.remaining

--- Writes a log line. Never a secret, never a prompt.
---@param level "debug"|"info"|"warn"|"error"
---@param event string
---@param fields table<string, any>?
function M.log(level, event, fields)
  log.event(level, event, fields)
end

--- The copy that one plugin sees.
---@param name string
---@return table
function M.for_plugin(name)
  local own = {}
  for key, value in pairs(M) do
    own[key] = value
  end
  own.for_plugin, own.forbid_waiting = nil, nil
  own.log = function(level, event, fields)
    log.event(level, event, fields, name)
  end
  return own
end

return M
