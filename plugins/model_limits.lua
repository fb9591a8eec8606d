--- Fits a translated request to the chosen model: a default and a cap for max_tokens, sampling only where the
--- model takes it. Requests that speak Messages themselves are never touched: their bytes are the client's.
--- Source: messages-api.md sections 1 and 6, translation.md section 2 (2026-11-22).
local gate = require("gate.plugin")
local json = require("gate.json")

---@class model_limits.Conf
---@field default_max_tokens integer For requests that give no limit.
---@field default_thinking_max_tokens integer The same, where reasoning is asked for.

---@type gate.Plugin
local M = { name = "model_limits", version = "1.0.0", api = 1 }

M.schema = {
  default_max_tokens = { type = "integer", min = 1, default = 8192, doc = "max_tokens of a request that gives none." },
  default_thinking_max_tokens = {
    type = "integer", min = 1, default = 16384, doc = "The same, where the client asks for reasoning.",
  },
}

local FIELDS = { "max_tokens", "temperature", "top_k", "top_p" }
local found = json.members(FIELDS)
local AT = found.index
local MAX_TOKENS, TEMPERATURE, TOP_K, TOP_P = AT.max_tokens, AT.temperature, AT.top_k, AT.top_p
local ABSENT, NUMBER = json.kind.ABSENT, json.kind.NUMBER
local SAMPLING = { "temperature", "top_p", "top_k" }

local function fit_max_tokens(ctx, conf, attempt)
  local body, cap = attempt.body, attempt.model.max_output_tokens
  local kind = found.types[MAX_TOKENS]
  if kind == ABSENT then
    local thinks = ctx.effort and ctx.effort ~= "none"
    local default = thinks and conf.default_thinking_max_tokens or conf.default_max_tokens
    body:set("max_tokens", math.min(default, cap))
  elseif kind == NUMBER then
    local max_tokens = found:get(body, "max_tokens")
    if type(max_tokens) == "number" and max_tokens > cap then
      body:set("max_tokens", cap)
      ctx:warn("changed", "max_tokens: %d is more than %s can answer, %d was sent", max_tokens, attempt.model.name, cap)
    end
  end
end

local function fit_sampling(ctx, attempt)
  local types = found.types
  if types[TEMPERATURE] == ABSENT and types[TOP_P] == ABSENT and types[TOP_K] == ABSENT then
    return
  end
  local body, model = attempt.body, attempt.model
  if not model.sampling then
    for _, field in ipairs(SAMPLING) do
      local value = body:get(field)
      if value ~= nil then
        body:remove(field)
        -- What equals the default changes nothing: no reason to warn.
        if value ~= 1 or field == "top_k" then
          ctx:warn("dropped", "%s: %s takes no sampling parameters", field, model.name)
        end
      end
    end
  elseif types[TEMPERATURE] ~= ABSENT and types[TOP_P] ~= ABSENT then
    body:remove("top_p") -- several 4.x models refuse both together (translation.md section 2)
    ctx:warn("dropped", "top_p: cannot be sent together with temperature")
  end
end

---@param ctx gate.Ctx
---@param conf model_limits.Conf
---@param attempt gate.Attempt
function M.on_attempt(ctx, conf, _, attempt)
  if ctx.dialect ~= "openai" or not attempt.body then
    return
  end
  local body = attempt.body
  found:read(body) -- every field in one look; what is asked below is asked before it is changed
  fit_max_tokens(ctx, conf, attempt)
  fit_sampling(ctx, attempt)
  if not attempt.model.prefill then
    local count = body:count("messages")
    if count and count > 0 and body:get("messages", count, "role") == "assistant" then
      -- The upstream's own words (messages-api.md section 3), without the detour.
      return gate.fail(
        "bad_request",
        "messages: %s does not support assistant message prefill; the conversation must end with a user message",
        attempt.model.name
      )
    end
  end
end

return M
