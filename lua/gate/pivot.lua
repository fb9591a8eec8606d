--- The pivot: the form that every request and answer has inside the gateway (the Messages request document
--- and event stream). What the kernel itself must know of it is here: where usage, stop reason and errors are.
--- Source: wire/messages-api.md sections 4 and 7 (November 2026).
local errors = require("gate.errors")
local json = require("gate.json")
local lift_of = require("gate.json.lift")
local secret = require("gate.secret")

local M = {}

local USAGE = {
  { "input_tokens", { "input_tokens" } },
  { "output_tokens", { "output_tokens" } },
  { "cache_read_input_tokens", { "cache_read_input_tokens" } },
  { "cache_creation_input_tokens", { "cache_creation_input_tokens" } },
  { "cache_creation_5m_input_tokens", { "cache_creation", "ephemeral_5m_input_tokens" } },
  { "cache_creation_1h_input_tokens", { "cache_creation", "ephemeral_1h_input_tokens" } },
  { "thinking_tokens", { "output_tokens_details", "thinking_tokens" } },
}
M.USAGE_SLOTS = {}
for i, row in ipairs(USAGE) do
  M.USAGE_SLOTS[i] = row[1]
end

local function usage_lifts(prefix)
  local out = {}
  for i, row in ipairs(USAGE) do
    local path = {}
    for _, name in ipairs(prefix) do
      path[#path + 1] = name
    end
    for _, name in ipairs(row[2]) do
      path[#path + 1] = name
    end
    out[i] = { path = path, slot = row[1], kind = "integer" }
  end
  return out
end

local function with(list, ...)
  for _, lift in ipairs({ ... }) do
    list[#list + 1] = lift
  end
  return list
end

--- What is lifted out of a stream by C, by event. Totals in message_delta are cumulative: they overwrite.
M.LIFTS = {
  message_start = with(usage_lifts({ "message", "usage" }),
    { path = { "message", "id" }, slot = "id", kind = "string" },
    { path = { "message", "model" }, slot = "model", kind = "string" }),
  message_delta = with(usage_lifts({ "usage" }),
    { path = { "delta", "stop_reason" }, slot = "stop_reason", kind = "string" }),
  message_stop = { { path = { "type" }, slot = "stopped", kind = "string" } },
  error = {
    { path = { "error", "type" }, slot = "error_type", kind = "string" },
    { path = { "error", "message" }, slot = "error_message", kind = "string" },
  },
}

local EVENTS = { "message_start", "message_delta", "message_stop", "error" }

local function joined(a, b)
  local out = {}
  for _, list in ipairs({ a or {}, b or {} }) do
    for _, lift in ipairs(list) do
      out[#out + 1] = lift
    end
  end
  return out
end

--- Adds the lifts to a surface's rules. A rule of an event that has lifts carries them too; after the
--- rules comes, for each such event, one that lifts and, where Lua must see the event, wakes.
---@param rules table[]? nil: bytes pass unchanged.
---@param framing string
---@return table spec For rt.relay.program.
function M.program(rules, framing)
  local out = {}
  for _, rule in ipairs(rules or {}) do
    local copy = {}
    for key, value in pairs(rule) do
      copy[key] = value
    end
    copy.lift = joined(M.LIFTS[rule.event], rule.lift)
    out[#out + 1] = copy
  end
  for _, event in ipairs(EVENTS) do
    out[#out + 1] = { event = event, lift = M.LIFTS[event], wake = rules ~= nil or nil }
  end
  return { rules = out, pass = rules == nil, framing = framing ~= "sse" and framing or nil }
end

-- More tokens than any model can count in one request: what is above is a broken upstream's, and so is what is below 0.
local MAX_TOKENS = 1e9

local function counter_of(value)
  if type(value) == "number" and value >= 0 and value <= MAX_TOKENS then
    return math.floor(value)
  end
end

--- Usage counters that a relay has lifted. Here and below: what cannot be a counter counts as not told.
---@param relay rt.relay.Relay
---@return gate.Usage? usage nil: the stream told none.
function M.usage_of_relay(relay)
  local usage
  for i = 1, #M.USAGE_SLOTS do
    local name = M.USAGE_SLOTS[i]
    local value = counter_of(relay:slot(name))
    if value then
      usage = usage or {}
      usage[name] = value
    end
  end
  return usage
end

local answer_lift = lift_of.new((function()
  local paths = {}
  for i, row in ipairs(USAGE) do
    paths[i] = { "usage", unpack(row[2]) }
  end
  return paths
end)())

local function lifted(out, i)
  return counter_of(tonumber(out[i]))
end

-- What the lift's last run found, in the order of USAGE above.
local function lifted_usage()
  local out = answer_lift.out
  local input, output = lifted(out, 0), lifted(out, 1)
  if not input and not output then
    return nil
  end
  return {
    input_tokens = input, output_tokens = output, cache_read_input_tokens = lifted(out, 2),
    cache_creation_input_tokens = lifted(out, 3), cache_creation_5m_input_tokens = lifted(out, 4),
    cache_creation_1h_input_tokens = lifted(out, 5), thinking_tokens = lifted(out, 6),
  }
end

--- Usage counters of an answer that nobody needs as a document.
---@param text lightuserdata|string `bytes *`; it stays the caller's.
---@return gate.Usage? usage nil: the answer has none.
---@return gate.Err? err `bad_json`
function M.usage_of_text(text)
  local ok, err = answer_lift:run(text)
  if not ok then
    return nil, err
  end
  return lifted_usage()
end

--- Usage counters of an answer document.
---@param doc gate.json.Doc
---@return gate.Usage? usage nil: the answer has none.
function M.usage_of_answer(doc)
  answer_lift:read(doc)
  return lifted_usage()
end

--- The error that an `error` event tells.
---@param data string JSON of the event.
---@return gate.Err
function M.error_of_event(data)
  local doc = json.parse(data)
  local kind = doc and doc:get("error", "type")
  local message = doc and doc:get("error", "message")
  if doc then
    doc:free()
  end
  if type(kind) ~= "string" then
    return errors.new("upstream_error", "the upstream reported an error")
  end
  return errors.from_type(kind, secret.redact(type(message) == "string" and message or kind))
end

--- Makes a body ask for a model. Untouched when it does already, so that the bytes stay the client's.
---@param body gate.json.Doc
---@param name string
function M.set_model(body, name)
  if body:get("model") ~= name then
    body:set("model", name)
  end
end

return M
