--- The model catalogue: looks models up, fills in what a name that is not listed may mean, and prices usage.
--- The data stands in models.lua; no code outside it compares model names.
local rows = require("plugins.catalog.models")

---@type gate.Catalog
local M = { name = "catalog", version = "1.0.0", api = 1, kind = "catalog" }

M.schema = {}

--- A name that nobody has listed yet is treated like the strictest model known (Claude Opus 5.5: adaptive
--- thinking only, no sampling, no forced tool): a request then fails for what was asked, never for what
--- the gateway added. It has no price: its cost is counted as unknown (nil), not as nothing.
local function unlisted(name)
  return {
    name = name, display_name = name, created_at = "1970-01-01T00:00:00Z", is_unlisted = true,
    thinking = "adaptive", thinking_off = "never", effort = { "low", "medium", "high", "xhigh", "max" },
    effort_default = "medium", sampling = false, forced_tool_choice = false, prefill = false,
    structured_outputs = true, max_output_tokens = 128000, context_tokens = 1000000, cache_minimum_tokens = 4096,
    account_bound_thinking = true, lifecycle = "active",
  }
end

function M.setup()
  local state = { by_name = {}, list = {}, unlisted = {}, unlisted_count = 0 }
  for i, row in ipairs(rows) do
    state.list[i] = row
    state.by_name[row.name] = row
    for _, alias in ipairs(row.aliases or {}) do
      state.by_name[alias] = row
    end
  end
  return state
end

--- Finds a model's entry. Bedrock-style decorations are the Bedrock provider's business, not known here.
---@param name string Model id as the upstream knows it.
---@return table? entry nil: the name is no Claude model's.
function M.find(name, state)
  local entry = state.by_name[name]
  if entry then
    return entry
  end
  if name:sub(1, 7) ~= "claude-" or not name:find("^claude%-[%w%-%.]+$") or #name > 64 then
    return nil
  end
  -- A dated id of a listed model: same entry.
  local base = name:match("^(.-)%-20%d%d%d%d%d%d$")
  if base and state.by_name[base] then
    return state.by_name[base]
  end
  entry = state.unlisted[name]
  if not entry then
    if state.unlisted_count >= 256 then -- names come from clients: the table must not grow with them
      state.unlisted, state.unlisted_count = {}, 0
    end
    entry = unlisted(name)
    state.unlisted[name] = entry
    state.unlisted_count = state.unlisted_count + 1
  end
  return entry
end

---@return table[] entries In the order of models.lua; the caller must not edit them.
function M.list(state)
  return state.list
end

--- Prices one request's raw counters.
---@param entry table
---@param usage gate.Usage
---@return integer? micro_dollars Rounded up, so that nothing is given away; nil: no price is known.
function M.cost(entry, usage)
  local price = entry.price
  if not price then
    return nil
  end
  local input = usage.input_tokens or 0
  local read = usage.cache_read_input_tokens or 0
  local written = usage.cache_creation_input_tokens or 0
  local written_1h = usage.cache_creation_1h_input_tokens or 0
  -- Without the split, all creation counts as five-minute writes (messages-api.md section 11, 2026-11-22).
  local written_5m = usage.cache_creation_5m_input_tokens or (written - written_1h)
  if written_5m < 0 then
    written_5m = 0
  end
  local long = entry.long_prompt
  if long and input + read + written > long.above_tokens then
    price = long.price
  end
  -- USD per million tokens is micro-dollars per token. A private price may name only input and output.
  local p_input = price.input or 0
  local sum = input * p_input
    + (usage.output_tokens or 0) * (price.output or 0)
    + read * (price.cache_read or p_input * 0.1)
    + written_5m * (price.cache_write_5m or p_input * 1.25)
    + written_1h * (price.cache_write_1h or p_input * 2)
  return math.ceil(sum - 1e-6)
end

return M
