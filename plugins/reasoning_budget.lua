--- Turns the client's reasoning effort into what the chosen model understands: a thinking budget in tokens
--- where the model takes one, adaptive thinking with an effort level where it does not, or the least it can do
--- where it always thinks. The shares are this gateway's policy; at least 1024 and below max_tokens is the
--- vendor's rule. Thinking that the client asked for itself is left alone.
--- Source: Anthropic API reference, Messages, `thinking` and `output_config.effort` (read 2026-08-22); table of
--- translation.md section 6 (2026-11-22).
local gate = require("gate.plugin")
local json = require("gate.json")

local MIN_BUDGET_TOKENS = 1024
local RANK = { low = 1, medium = 2, high = 3, xhigh = 4, max = 5 }

---@class reasoning_budget.Conf
---@field share table<string, number> Part of max_tokens for each effort name, 0 to 1.
---@field prefer_adaptive boolean Use adaptive thinking on models that take both forms.

---@type gate.Plugin
local M = { name = "reasoning_budget", version = "1.0.0", api = 1 }

M.schema = {
  share = {
    map_of = "number", min = 0, max = 1,
    default = { none = 0, minimal = 0, low = 0.3, medium = 0.6, high = 0.9, xhigh = 0.9, max = 0.9 },
    doc = "Part of max_tokens that may be spent on thinking, by reasoning effort.",
  },
  prefer_adaptive = {
    type = "boolean", default = false,
    doc = "On models that take a budget as well as adaptive thinking, send adaptive thinking with an effort.",
  },
}

-- The nearest level that the model has, downwards; "minimal" is "low".
local function level_of(model, effort)
  local wanted = effort == "minimal" and "low" or effort
  local best
  for _, level in ipairs(model.effort) do
    if RANK[level] <= RANK[wanted] and (not best or RANK[level] > RANK[best]) then
      best = level
    end
  end
  return best or model.effort[1]
end

local function set_effort(body, level)
  if body:get("output_config") == nil then
    body:set("output_config", json.object({ { "effort", level } }))
  elseif body:get("output_config", "effort") == nil then
    body:set("output_config", "effort", level)
  end
end

-- With a budget these are refused upstream (messages-api.md section 6): they yield, and the client is told.
local function drop_conflicts(ctx, body)
  local temperature = body:get("temperature")
  if temperature ~= nil then
    body:remove("temperature")
    if temperature ~= 1 then
      ctx:warn("dropped", "temperature: not possible together with thinking")
    end
  end
  if body:get("top_k") ~= nil then
    body:remove("top_k")
    ctx:warn("dropped", "top_k: not possible together with thinking")
  end
  local top_p = body:get("top_p")
  if type(top_p) == "number" and top_p < 0.95 then
    body:remove("top_p")
    ctx:warn("dropped", "top_p: below 0.95 not possible together with thinking")
  end
end

local function think_by_budget(ctx, conf, attempt, effort)
  local body = attempt.body
  local share = conf.share[effort]
  if not share then
    return gate.fail("bad_request", "reasoning_effort: no thinking budget is configured for %q", effort)
  end
  local max_tokens = body:get("max_tokens")
  if type(max_tokens) ~= "number" then
    return gate.fail("bad_request", "max_tokens: an integer is required")
  end
  if max_tokens <= MIN_BUDGET_TOKENS then
    ctx:warn("thinking_skipped", "reasoning_effort: max_tokens %d leaves no room for thinking", max_tokens)
    return
  end
  local choice = body:get("tool_choice", "type")
  if choice == "any" or choice == "tool" then -- a forced tool wins over manual thinking: upstream refuses both
    ctx:warn("thinking_skipped", "reasoning_effort: not possible together with a forced tool")
    return
  end
  local budget = math.floor(share * max_tokens)
  budget = math.max(MIN_BUDGET_TOKENS, math.min(budget, max_tokens - 1))
  drop_conflicts(ctx, body)
  body:set("thinking", json.object({ { "type", "enabled" }, { "budget_tokens", budget } }))
end

local function think_adaptively(attempt, effort)
  local body, model = attempt.body, attempt.model
  if model.thinking_off ~= "never" then
    body:set("thinking", json.object({ { "type", "adaptive" }, { "display", "summarized" } }))
  end
  set_effort(body, level_of(model, effort))
end

local function think_not(attempt)
  local body, model = attempt.body, attempt.model
  if model.thinking_off == "never" then
    set_effort(body, model.effort[1])
  elseif model.thinking_off ~= "absent" then
    body:set("thinking", json.object({ { "type", model.thinking_off } }))
    local highest = model.off_effort_max
    local level = body:get("output_config", "effort")
    if highest and type(level) == "string" and RANK[level] and RANK[level] > RANK[highest] then
      body:set("output_config", "effort", highest)
    end
  end
end

--- Sets `thinking` and `output_config.effort` in the attempt's body.
---@param ctx gate.Ctx
---@param conf reasoning_budget.Conf
---@param attempt gate.Attempt
---@return nil
---@return gate.Err? err `bad_request`: an effort that has no share.
function M.on_attempt(ctx, conf, _, attempt)
  local effort = ctx.effort
  if not effort or not attempt.body or attempt.body:get("thinking") ~= nil then
    return
  end
  if effort ~= "none" and effort ~= "minimal" and not RANK[effort] then
    return gate.fail("bad_request", "reasoning_effort: %q is not one of none, minimal, low, medium, high, xhigh, max", effort)
  end
  local model = attempt.model
  if effort == "none" then
    return think_not(attempt)
  end
  if model.thinking == "budget" or (model.thinking == "both" and not conf.prefer_adaptive) then
    return think_by_budget(ctx, conf, attempt, effort)
  end
  return think_adaptively(attempt, effort)
end

return M
