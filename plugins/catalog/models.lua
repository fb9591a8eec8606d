--- What each Claude model accepts, holds and costs: data, no code. One row a model; rules for names that
--- are not here stand in init.lua. Prices in USD per million tokens.
--- Sources: Anthropic API docs "Models overview", "Extended thinking", "Pricing" as of 2026-08-22; model pages and the
--- AI SDK's capability table for the 5.5 generation as of 2026-11-22 (shared notes messages-api.md, sections 6 and 11).
--- Where a source was missing (marked `unsure`), the strictest known behaviour is assumed.
---
--- thinking: "budget" = only { type = "enabled", budget_tokens }; "both" = that and "adaptive"; "adaptive" = adaptive only.
--- thinking_off: how "no thinking" is said: "absent" = leave the field out; "disabled"; "between_tools"; "never" = always thinks.
--- off_effort_max: the highest effort with which thinking may be off. effort: levels; effort_default: what absence means.
local BUDGET_EFFORT = {}
local FOUR_SIX = { "low", "medium", "high", "max" }
local ALL = { "low", "medium", "high", "xhigh", "max" }

local function price(input, output, cache_read)
  return {
    input = input,
    output = output,
    cache_write_5m = input * 1.25,
    cache_write_1h = input * 2,
    cache_read = cache_read or input * 0.1,
  }
end

local function budget_model(name, display_name, created_at, prices, extra)
  local entry = {
    name = name, display_name = display_name, created_at = created_at, price = prices,
    thinking = "budget", thinking_off = "absent", effort = BUDGET_EFFORT,
    sampling = true, forced_tool_choice = true, prefill = true, structured_outputs = true,
    max_output_tokens = 64000, context_tokens = 200000, cache_minimum_tokens = 1024, lifecycle = "active",
  }
  for k, v in pairs(extra or {}) do
    entry[k] = v
  end
  return entry
end

local function adaptive_model(name, display_name, created_at, prices, extra)
  local entry = {
    name = name, display_name = display_name, created_at = created_at, price = prices,
    thinking = "adaptive", thinking_off = "never", effort = ALL, effort_default = "high",
    sampling = false, forced_tool_choice = true, prefill = false, structured_outputs = true,
    max_output_tokens = 128000, context_tokens = 1000000, cache_minimum_tokens = 1024, lifecycle = "active",
  }
  for k, v in pairs(extra or {}) do
    entry[k] = v
  end
  return entry
end

-- "May be set to an epoch value if the release date is unknown" (Anthropic API reference, Models, 2026-08-22).
local UNKNOWN_DATE = "1970-01-01T00:00:00Z"

return {
  budget_model("claude-sonnet-4-5", "Claude Sonnet 4.5", "2025-09-29T00:00:00Z", price(3, 15), {
    aliases = { "claude-sonnet-4-5-20250929" }, lifecycle = "deprecated", retires_at = "2026-11-30T00:00:00Z",
  }),
  budget_model("claude-haiku-4-5", "Claude Haiku 4.5", "2025-10-01T00:00:00Z", price(1, 5), {
    aliases = { "claude-haiku-4-5-20251001" }, cache_minimum_tokens = 4096,
  }),
  budget_model("claude-opus-4-5", "Claude Opus 4.5", "2025-11-01T00:00:00Z", price(5, 25), {
    aliases = { "claude-opus-4-5-20251101" }, effort = { "low", "medium", "high" }, effort_default = "high",
    cache_minimum_tokens = 4096,
  }),
  adaptive_model("claude-opus-4-6", "Claude Opus 4.6", UNKNOWN_DATE, price(5, 25), {
    thinking = "both", thinking_off = "absent", effort = FOUR_SIX, sampling = true, cache_minimum_tokens = 4096,
  }),
  adaptive_model("claude-sonnet-4-6", "Claude Sonnet 4.6", UNKNOWN_DATE, price(3, 15), {
    thinking = "both", thinking_off = "absent", effort = FOUR_SIX, sampling = true,
  }),
  adaptive_model("claude-opus-4-7", "Claude Opus 4.7", UNKNOWN_DATE, price(5, 25), {
    thinking_off = "absent", cache_minimum_tokens = 2048,
  }),
  adaptive_model("claude-opus-4-8", "Claude Opus 4.8", UNKNOWN_DATE, price(5, 25), { thinking_off = "absent" }),
  adaptive_model("claude-sonnet-5", "Claude Sonnet 5", UNKNOWN_DATE, price(2, 10), { thinking_off = "disabled" }),
  adaptive_model("claude-opus-5", "Claude Opus 5", UNKNOWN_DATE, price(5, 25), {
    thinking_off = "disabled", off_effort_max = "high", cache_minimum_tokens = 512,
  }),
  adaptive_model("claude-haiku-5-5", "Claude Haiku 5.5", UNKNOWN_DATE, price(0.10, 0.50), {
    thinking_off = "disabled", off_effort_max = "high", effort_default = "medium",
    -- The whole request costs more once the prompt (fresh, read and written) is longer than this.
    long_prompt = { above_tokens = 100000, price = price(0.50, 2.50) }, account_bound_thinking = true,
  }),
  adaptive_model("claude-sonnet-5-5", "Claude Sonnet 5.5", UNKNOWN_DATE, price(2, 10, 0.10), {
    thinking_off = "between_tools", off_effort_max = "high", forced_tool_choice = false, account_bound_thinking = true,
  }),
  adaptive_model("claude-opus-5-5", "Claude Opus 5.5", UNKNOWN_DATE, price(4, 20, 0.20), {
    effort_default = "medium", forced_tool_choice = false, account_bound_thinking = true,
  }),
  -- Whether plain Fable 5 takes a forced tool is contradicted by a third party: unsure.
  adaptive_model("claude-fable-5", "Claude Fable 5", UNKNOWN_DATE, price(10, 50), { cache_minimum_tokens = 512 }),
  adaptive_model("claude-mythos-5", "Claude Mythos 5", UNKNOWN_DATE, price(10, 50), { cache_minimum_tokens = 512 }),
  adaptive_model("claude-fable-5-1", "Claude Fable 5.1", UNKNOWN_DATE, price(10, 50, 0.25), { forced_tool_choice = false }),
  adaptive_model("claude-mythos-5-1", "Claude Mythos 5.1", UNKNOWN_DATE, price(10, 50, 0.25), { forced_tool_choice = false }),
  -- Price of 5.2 not seen; 5.1's is assumed: unsure.
  adaptive_model("claude-fable-5-2", "Claude Fable 5.2", UNKNOWN_DATE, price(10, 50, 0.25), { forced_tool_choice = false }),
  adaptive_model("claude-mythos-5-2", "Claude Mythos 5.2", UNKNOWN_DATE, price(10, 50, 0.25), { forced_tool_choice = false }),
}
