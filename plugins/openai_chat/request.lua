--- A Chat Completions request as a Messages request. Keys come out in one fixed order, whatever the
--- client's; opaque values are the client's bytes.
--- Source: translation.md section 2 (2026-11-22).
local json = require("gate.json")
local fields = require("plugins.openai_chat.fields")
local messages = require("plugins.openai_chat.messages")

local M = {}

local MAX_USER_ID = 256 -- the upstream's limit is not published; longer ones are cut off nowhere, so refused here
local EFFORTS = { none = true, minimal = true, low = true, medium = true, high = true, xhigh = true, max = true }
local SERVICE_TIERS = { auto = "auto", default = "standard_only" }

local function refuse(param, format, ...)
  return nil, { code = "bad_request", message = param .. ": " .. format:format(...), param = param }
end

-- Every field that has a row, known by number; what is only read has nothing to check beforehand.
local names, is_read = {}, {}
for name, row in pairs(fields) do
  names[#names + 1] = name
  is_read[name] = row.does == "read"
end
table.sort(names)
local found = json.members(names, is_read)
local at = found.index
local STRING, NULL, ABSENT = json.kind.STRING, json.kind.NULL, json.kind.ABSENT

local function is_present(name)
  local kind = found.types[at[name]]
  return kind ~= ABSENT and kind ~= NULL
end

local function present(doc, name)
  if is_present(name) then
    return (found:get(doc, name))
  end
end

-- Looks at one field that is not read: spliced, dropped with a warning, or refused by name.
local function check_field(ctx, doc, position, spliced)
  local member = found.list[position]
  if member.name < 0 then
    local name = found:key(doc, position)
    return refuse(name, "unknown field")
  end
  local name = names[member.name + 1]
  local row = fields[name]
  if member.type == NULL or row.does == "read" then
    return true
  elseif row.does == "splice" then
    spliced[#spliced + 1] = name
  elseif not (row.quiet and row.quiet(doc:at(member.value))) then
    if row.does == "refuse" then
      return nil, { code = "unsupported", message = ("%s: %s"):format(name, row.why), param = name }
    end
    ctx:warn("dropped", "%s: %s", name, row.why)
  end
  return true
end

local NONE_SPLICED = {}

-- Looks at every field once. Most requests have only fields that are read: then there is nothing to look at.
local function check_fields(ctx, doc)
  local seen = found.seen
  if seen.uncommon == seen.count then
    return NONE_SPLICED
  end
  local spliced = {}
  for position = seen.uncommon, math.min(seen.count, found.room) - 1 do
    local ok, err = check_field(ctx, doc, position, spliced)
    if not ok then
      return nil, err
    end
  end
  table.sort(spliced) -- one order for ever, whatever the client's
  return spliced
end

local function read_integer(doc, name)
  local value = present(doc, name)
  if value == nil then
    return nil
  end
  if type(value) ~= "number" or value % 1 ~= 0 or value < 1 then
    return refuse(name, "an integer of at least 1 is required")
  end
  return value
end

local function read_number(doc, name, low, high)
  local value = present(doc, name)
  if value == nil then
    return nil
  end
  if type(value) ~= "number" or value < low or value > high then
    return refuse(name, "a number from %g to %g is required", low, high)
  end
  return value
end

local function read_stop(doc)
  local stop = present(doc, "stop")
  if stop == nil then
    return nil
  end
  local list = {}
  if type(stop) == "string" then
    list[1] = stop
  elseif json.type(stop) == "array" then
    for i, text in json.ipairs(stop) do
      if type(text) ~= "string" then
        return refuse(("stop.%d"):format(i - 1), "a string is required")
      end
      list[#list + 1] = text
    end
  else
    return refuse("stop", "a string or a list of strings is required")
  end
  local kept = {}
  for _, text in ipairs(list) do
    if text:find("%S") then -- the upstream refuses empty and blank ones
      kept[#kept + 1] = text
    end
  end
  return #kept > 0 and kept or nil
end

local function read_user(doc)
  local name = is_present("user") and "user" or "safety_identifier"
  local user = present(doc, name)
  if user == nil then
    return nil
  end
  if type(user) ~= "string" or #user > MAX_USER_ID then
    return refuse(name, "a string of at most %d bytes is required", MAX_USER_ID)
  end
  return user ~= "" and user or nil
end

-- Reads and checks every scalar. Returns a table, or nil and the first error.
local function read_scalars(ctx, doc)
  local err
  local model = found.types[at.model] == STRING and found:get(doc, "model")
  if not model or model == "" then
    return refuse("model", "a model name is required")
  end
  local r = { model = model, max_tokens = nil, temperature = nil, top_p = nil, stop = nil, user = nil, stream = false,
    include_usage = nil, effort = nil, service_tier = nil }
  r.max_tokens, err = read_integer(doc, "max_completion_tokens")
  if err then
    return nil, err
  end
  if not r.max_tokens then
    r.max_tokens, err = read_integer(doc, "max_tokens")
    if err then
      return nil, err
    end
  end
  local n = present(doc, "n")
  if n ~= nil and n ~= 1 then
    return refuse("n", "only one answer is given: n must be 1")
  end
  r.temperature, err = read_number(doc, "temperature", 0, 2)
  if err then
    return nil, err
  end
  if r.temperature and r.temperature > 1 then
    ctx:warn("changed", "temperature: Claude's range ends at 1, 1 was sent")
    r.temperature = 1
  end
  r.top_p, err = read_number(doc, "top_p", 0, 1)
  if err then
    return nil, err
  end
  r.stop, err = read_stop(doc)
  if err then
    return nil, err
  end
  r.user, err = read_user(doc)
  if err then
    return nil, err
  end
  local stream = present(doc, "stream")
  if stream ~= nil and type(stream) ~= "boolean" then
    return refuse("stream", "true or false is required")
  end
  r.stream = stream == true
  local options = present(doc, "stream_options")
  if options ~= nil then
    if not r.stream then
      return refuse("stream_options", "only allowed together with stream")
    end
    if json.type(options) ~= "object" then
      return refuse("stream_options", "an object is required")
    end
    r.include_usage = options:get("include_usage") == true
  end
  local effort = present(doc, "reasoning_effort")
  if effort ~= nil and not EFFORTS[effort] then
    return refuse("reasoning_effort", "must be none, minimal, low, medium, high, xhigh or max")
  end
  r.effort = effort
  local tier = present(doc, "service_tier")
  if tier ~= nil then
    r.service_tier = SERVICE_TIERS[tier]
    if not r.service_tier then
      ctx:warn("dropped", "service_tier: Claude has no tier like it")
    end
  end
  return r
end

-- One for all requests: nothing waits between its first byte and its last.
local w = json.writer()

local function write(doc, r, spliced)
  w:begin_from(doc)
  w:open_object()
  w:key("model")
  w:string(r.model)
  if r.max_tokens then
    w:key("max_tokens")
    w:integer(r.max_tokens)
  end
  messages.write_system(w, doc)
  messages.write_turns(w, doc)
  if r.stop then
    w:key("stop_sequences")
    w:open_array()
    for i = 1, #r.stop do
      w:string(r.stop[i])
    end
    w:close_array()
  end
  if r.temperature then
    w:key("temperature")
    w:number(r.temperature)
  end
  if r.top_p then
    w:key("top_p")
    w:number(r.top_p)
  end
  if r.stream then
    w:key("stream")
    w:boolean(true)
  end
  if r.user then
    w:key("metadata")
    w:open_object()
    w:key("user_id")
    w:string(r.user)
    w:close_object()
  end
  if r.service_tier then
    w:key("service_tier")
    w:string(r.service_tier)
  end
  for i = 1, #spliced do
    w:key(spliced[i])
    w:at(doc, found.ids[at[spliced[i]]])
  end
  w:close_object()
  return (w:document())
end

--- Reads a Chat Completions request.
---@param ctx gate.Ctx
---@param doc gate.json.Doc The client's body.
---@return gate.json.Doc? pivot
---@return table|gate.Err scalars { model, stream, include_usage, effort, ... }, or the error
function M.read(ctx, doc)
  if not found:read(doc) then
    return nil, { code = "bad_request", message = "the body must be a JSON object" }
  end
  local spliced, err = check_fields(ctx, doc)
  if not spliced then
    return nil, err
  end
  local r
  r, err = read_scalars(ctx, doc)
  if not r then
    return nil, err
  end
  local ok
  ok, err = messages.read(ctx, doc, found.ids[at.messages], found.types[at.messages])
  if not ok then
    return nil, err
  end
  return (write(doc, r, spliced)), r
end

return M
