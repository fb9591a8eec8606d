--- The way to upstreams: one rt.client per set of options in a worker (so that connections outlive
--- generations), and which errors may be tried again.
local client_of = require("rt.client")
local json = require("gate.json")

local M = {}

local ERROR_TEXT_BYTES = 65536

local clients = {}

--- The client for a configuration.
---@param config table
---@return rt.client.Client? client
---@return gate.Err? err
function M.client(config)
  local own, timeouts = config.client, config.timeouts
  local options = {
    connect_timeout_ms = timeouts.connect_ms, first_byte_timeout_ms = timeouts.first_byte_ms,
    between_bytes_timeout_ms = timeouts.between_bytes_ms, total_timeout_ms = timeouts.request_ms,
    max_idle_per_origin = own.max_idle_per_origin, idle_timeout_ms = own.idle_timeout_ms,
    ca_file = own.ca_file, proxy = own.proxy ~= "off" and own.proxy or nil,
  }
  local key = json.encode(options)
  local client = clients[key]
  if not client then
    local err
    client, err = client_of.new(options)
    if not client then
      return nil, err
    end
    clients[key] = client
  end
  return client
end

--- The upstream's ids of an answer, for the log.
---@param call rt.client.Call
---@param names string[]?
---@return string[]? ids Flat.
function M.request_ids(call, names)
  local ids
  for i = 1, names and #names or 0 do
    local value = call:header(names[i])
    if value then
      ids = ids or {}
      ids[#ids + 1] = names[i]
      ids[#ids + 1] = value
    end
  end
  return ids
end

--- Reads the body of an error answer, as much of it as anybody wants to see.
---@param call rt.client.Call
---@return string text
---@return gate.Err? err The connection broke before its end.
function M.read_text(call)
  local parts, size = {}, 0
  while size < ERROR_TEXT_BYTES do
    local chunk, err = call:read()
    if not chunk then
      return table.concat(parts), err
    end
    parts[#parts + 1] = chunk
    size = size + #chunk
  end
  return table.concat(parts):sub(1, ERROR_TEXT_BYTES)
end

-- Another target may do better.
local NEXT = {
  upstream_unreachable = true, upstream_disconnected = true, upstream_bad_response = true, upstream_timeout = true,
  upstream_rate_limited = true, upstream_overloaded = true, upstream_unavailable = true, upstream_error = true,
  upstream_auth = true,
  upstream_forbidden = true, upstream_billing = true, upstream_not_found = true, unsupported = true,
  no_credential = true,
  model_not_found = true,
}
-- The same target may do better a little later, and nothing was spent.
local AGAIN = {
  upstream_unreachable = true, upstream_overloaded = true, upstream_unavailable = true, upstream_rate_limited = true,
}

--- The kernel's own rule for a failed try, where no plugin has one.
---@param err gate.Err
---@return "next"|"fail"
function M.decide(err)
  return NEXT[err.code] and err.should_retry ~= false and "next" or "fail"
end

--- May the same target be tried again?
---@param err gate.Err
---@return boolean
function M.may_repeat(err)
  return AGAIN[err.code] == true and err.should_retry ~= false
end

-- Repeats are limited to a share of the traffic, so that they never make an overload worse.
local BUDGET_SHARE, BUDGET_MAX = 0.1, 20
local budget = BUDGET_MAX

--- A request came: it earns a share of a repeat.
function M.earn()
  if budget < BUDGET_MAX then
    budget = budget + BUDGET_SHARE
  end
end

--- Takes one repeat out of the budget.
---@return boolean
function M.spend()
  if budget < 1 then
    return false
  end
  budget = budget - 1
  return true
end

--- How long to wait before a repeat; nil: longer than is worth it.
---@param err gate.Err
---@param repeats integer Repeats of this target so far.
---@param max_wait_ms integer
---@return number? ms
function M.pause_ms(err, repeats, max_wait_ms)
  local ms = err.retry_after_ms
  if not ms then
    ms = 250 * 2 ^ repeats * (0.75 + 0.5 * math.random())
    return ms < max_wait_ms and ms or max_wait_ms
  end
  return ms <= max_wait_ms and ms or nil
end

return M
