--- The models that the caller may use, in the shape the caller speaks: Anthropic's where the request carries an
--- `anthropic-version` header (every Anthropic client sends it), OpenAI's otherwise.
--- Source: Anthropic API reference "List Models" (2026-08-22), `openai` 6.49.0 types, chat-completions.md section 6.
local gate = require("gate.plugin")
local json = require("gate.json")

---@type gate.Surface
local M = { name = "models", version = "1.0.0", api = 1, kind = "surface", dialect = "openai" }

M.schema = {}

M.routes = {
  { method = "GET", path = "/v1/models", operation = "models" },
  { method = "GET", path = "/models", operation = "models" },
  { method = "GET", path = "/v1/models/{model}", operation = "models" },
  { method = "GET", path = "/models/{model}", operation = "models" },
  -- Ids of the form account/model, as they stand in the list; clients escape the slash, or do not.
  { method = "GET", path = "/v1/models/{account}/{model}", operation = "models" },
}

function M.choose_dialect(request)
  return request:header("anthropic-version") and "anthropic" or "openai"
end

local DEFAULT_LIMIT, MAX_LIMIT = 20, 1000

local function offers(account, name)
  if account.models == "all" then
    return true
  end
  for _, offered in ipairs(account.models) do
    if offered == name then
      return true
    end
  end
  return false
end

-- Every id that can be asked for: bare names, account/model where several accounts could be meant, virtual models.
local function build_list(app)
  local list, seen = {}, {}
  local function add(id, entry, owner)
    if not seen[id] then
      seen[id] = true
      list[#list + 1] = { id = id, entry = entry, owner = owner }
    end
  end
  local virtual = {}
  for name, model in pairs(app.models) do
    if model.targets then
      virtual[#virtual + 1] = name
    end
  end
  table.sort(virtual)
  for _, name in ipairs(virtual) do
    local first = app.models[name].targets[1]
    add(name, app.catalog.find(first:match("([^/@]+)$")) or { name = name, display_name = name }, "moongate")
  end
  for _, entry in ipairs(app.catalog.list()) do
    local owners = {}
    for _, account_name in ipairs(app.account_names) do
      if offers(app.accounts[account_name], entry.name) then
        owners[#owners + 1] = account_name
      end
    end
    if #owners == 1 then
      add(entry.name, entry, "anthropic")
    end
    for _, owner in ipairs(#owners > 1 and owners or {}) do
      add(owner .. "/" .. entry.name, entry, "anthropic")
    end
  end
  return list
end

function M.setup(_, app)
  return { list = build_list(app), app = app }
end

local function may_use(identity, item)
  return identity.models == "all" or identity.models[item.id] or identity.models[item.entry.name]
end

-- "2025-09-29T00:00:00Z" -> seconds since 1970 (proleptic Gregorian calendar, UTC).
local function unix_seconds(text)
  local year, month, day = (text or ""):match("^(%d+)-(%d+)-(%d+)")
  if not year then
    return 0
  end
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  if month <= 2 then
    year, month = year - 1, month + 12
  end
  local days = 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
    + math.floor((153 * (month - 3) + 2) / 5) + day - 719469
  return days * 86400
end

local function anthropic_model(item)
  local entry = item.entry
  return json.object({
    { "type", "model" },
    { "id", item.id },
    { "display_name", entry.display_name or item.id },
    { "created_at", entry.created_at or "1970-01-01T00:00:00Z" },
    { "max_input_tokens", entry.context_tokens or json.null },
    { "max_tokens", entry.max_output_tokens or json.null },
  })
end

local function openai_model(item)
  return json.object({
    { "id", item.id },
    { "object", "model" },
    { "created", unix_seconds(item.entry.created_at) },
    { "owned_by", item.owner },
  })
end

local function json_reply(value)
  return gate.reply(200, { "content-type", "application/json" }, json.encode(value))
end

local function decode(text)
  return (text:gsub("%+", " "):gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

local function query_values(query)
  local values = {}
  for name, value in (query or ""):gmatch("([^&=]+)=([^&]*)") do
    values[decode(name)] = decode(value)
  end
  return values
end

local function position(list, id)
  for i, item in ipairs(list) do
    if item.id == id then
      return i
    end
  end
  return nil
end

-- Anthropic's cursor paging.
local function page(list, query)
  local values = query_values(query)
  local limit = tonumber(values.limit or DEFAULT_LIMIT)
  if not limit or limit % 1 ~= 0 or limit < 1 or limit > MAX_LIMIT then
    return gate.fail("bad_request", "limit: an integer from 1 to %d is required", MAX_LIMIT)
  end
  local first = 1
  if values.after_id then
    local at = position(list, values.after_id)
    first = at and at + 1 or #list + 1
  end
  local last = math.min(first + limit - 1, #list)
  local has_more = last < #list
  if values.before_id then
    local at = position(list, values.before_id) or 1
    last = at - 1
    first = math.max(1, last - limit + 1)
    has_more = first > 1
  end
  local data = {}
  for i = first, last do
    data[#data + 1] = anthropic_model(list[i])
  end
  return json_reply(json.object({
    { "data", json.array(data) },
    { "has_more", has_more },
    { "first_id", list[first] and #data > 0 and list[first].id or json.null },
    { "last_id", #data > 0 and list[last].id or json.null },
  }))
end

function M.read(ctx, _, state, request)
  local identity, is_anthropic = ctx.identity, ctx.dialect == "anthropic"
  local visible = {}
  for _, item in ipairs(state.list) do
    if may_use(identity, item) then
      visible[#visible + 1] = item
    end
  end
  local params = request.params or {}
  if params.model then
    local id = params.account and (params.account .. "/" .. params.model) or params.model
    local at = position(visible, id)
    if not at then
      -- account/model and dated names are served although the list shows one name for each
      local account, name = id:match("^@?([^/]+)/@?(.+)$")
      local entry = state.app.catalog.find(name or id)
      local item = entry and { id = id, entry = entry, owner = "anthropic" }
      local is_served = item and not entry.is_unlisted and (not account or state.app.accounts[account]) and may_use(identity, item)
      if not is_served then
        return nil, { code = "model_not_found", message = ("the model %q does not exist here"):format(id), param = "model" }
      end
      return json_reply((is_anthropic and anthropic_model or openai_model)(item))
    end
    return json_reply((is_anthropic and anthropic_model or openai_model)(visible[at]))
  end
  if is_anthropic then
    return page(visible, request.query)
  end
  local data = {}
  for i, item in ipairs(visible) do
    data[i] = openai_model(item)
  end
  return json_reply(json.object({ { "object", "list" }, { "data", json.array(data) } }))
end

return M
