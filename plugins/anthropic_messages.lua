--- The Anthropic Messages API. The pivot is the client's body itself, and answers pass through: nothing is
--- decoded that no plugin asks for, nothing is encoded again.
--- Source: messages-api.md sections 1 and 2, translation.md section 11 (2026-11-22).
local gate = require("gate.plugin")

---@type gate.Surface
local M = { name = "anthropic_messages", version = "1.0.0", api = 1, kind = "surface", dialect = "anthropic", native = true }

M.schema = {}

local BODY_LIMIT_BYTES = 32 * 1024 * 1024

-- `?beta=true`, which older clients send, is accepted and has no meaning.
M.routes = {
  { method = "POST", path = "/v1/messages", body = "json", body_limit_bytes = BODY_LIMIT_BYTES },
  { method = "POST", path = "/messages", body = "json", body_limit_bytes = BODY_LIMIT_BYTES },
}

M.ping = "event: ping\ndata: {\"type\": \"ping\"}\n\n"

-- Values that were looked at already: every client sends the same few. Anew when full, since they come from clients.
local KEPT_VALUES = 256
local valid, valid_count = {}, 0

--- Header values go upstream: only what a version or a list of betas can be.
local function check_header(ctx, name)
  local value = ctx:header(name)
  if not value then
    return false
  elseif valid[value] then
    return value
  elseif #value > 4096 or value:find("[^%w%-%._, ]") then
    return nil, { code = "bad_request", message = ("%s: not a valid value"):format(name), param = name }
  end
  if valid_count >= KEPT_VALUES then
    valid, valid_count = {}, 0
  end
  valid[value], valid_count = true, valid_count + 1
  return value
end

function M.read(ctx, _, _, request)
  local doc = request.doc
  if doc:type() ~= "object" then
    return gate.fail("bad_request", "the body must be a JSON object")
  end
  local model = doc:get("model")
  if type(model) ~= "string" or model == "" then
    return nil, { code = "bad_request", message = "model: Field required", param = "model" }
  end
  local version, err = check_header(ctx, "anthropic-version")
  if version == nil then
    return nil, err
  end
  local betas
  betas, err = check_header(ctx, "anthropic-beta")
  if betas == nil then
    return nil, err
  end
  ctx.body = doc
  ctx.model = model
  ctx.is_stream = doc:get("stream") == true
  ctx.api_version = version or nil
  ctx.betas = betas or nil
end

return M
