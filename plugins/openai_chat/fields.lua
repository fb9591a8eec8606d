--- What happens to each field of a Chat Completions request: data. One row a field of `openai` 6.49.0's types, plus
--- what Claude users send through `extra_body`.
---   read     request.lua or messages.lua translates it; `to` says what becomes of it
---   splice   the client's bytes go upstream under the same name (Claude's own fields)
---   drop     has no equivalent and changes no meaning that matters: dropped, named in a warning unless `quiet` holds
---   refuse   is not served: 400 that names the field, unless `quiet` holds
--- quiet: values that ask for nothing; they pass in silence, and `quiet_doc` names them.
--- README.md's table is made from this (`make reference`).
--- Source: translation.md section 2, chat-completions.md sections 1 and 5 (2026-11-22).
local function is_any(...)
  local set = {}
  for _, value in ipairs({ ... }) do
    set[value] = true
  end
  return function(value)
    return set[value] == true
  end
end

local is_false = is_any(false)
local is_zero = is_any(0)
local function is_empty(value)
  return type(value) ~= "string" and type(value) ~= "boolean" and type(value) ~= "number" and #value == 0
end

local function only_text(value) -- modalities: ["text"]
  return type(value) ~= "string" and #value == 1 and value:get(1) == "text"
end

local function text_format(value) -- response_format: { type: "text" }
  return type(value) ~= "string" and value:get("type") == "text"
end

return {
  model = { does = "read", to = "`model` of the chosen target" },
  messages = {
    does = "read",
    to = "`system` and `messages`: system and developer messages become system blocks, runs of one role one turn",
  },
  max_tokens = { does = "read", to = "`max_tokens`" },
  max_completion_tokens = { does = "read", to = "`max_tokens`; goes before `max_tokens` where both are there" },
  stream = { does = "read", to = "`stream`" },
  stream_options = { does = "read", to = "`include_usage` brings the usage chunk; only together with `stream`" },
  stop = { does = "read", to = "`stop_sequences`; blank ones are left out, Claude refuses them" },
  temperature = {
    does = "read",
    to = "`temperature`; above 1 it is 1, with a warning. Left out, with a warning, where the model takes none",
  },
  top_p = {
    does = "read",
    to = "`top_p`; left out, with a warning, beside `temperature` or where the model takes none",
  },
  n = { does = "read", to = "must be 1" },
  reasoning_effort = { does = "read", to = "thinking as the model takes it, by the plugin `reasoning_budget`" },
  user = { does = "read", to = "`metadata.user_id`" },
  safety_identifier = { does = "read", to = "`metadata.user_id`, where there is no `user`" },
  service_tier = {
    does = "read",
    to = "`service_tier`: auto, or standard_only for default; others are left out, with a warning",
  },

  thinking = { does = "splice" },
  output_config = { does = "splice" },
  cache_control = { does = "splice" },
  top_k = { does = "splice" },
  container = { does = "splice" },
  context_management = { does = "splice" },
  mcp_servers = { does = "splice" },
  inference_geo = { does = "splice" },
  fallbacks = { does = "splice" },

  metadata = { does = "drop", why = "Claude takes no metadata beyond the user" },
  store = { does = "drop", quiet = is_false, quiet_doc = "false", why = "the gateway stores no completions" },
  seed = { does = "drop", why = "Claude has no seed" },
  logit_bias = { does = "drop", quiet = is_empty, quiet_doc = "empty", why = "Claude has no logit bias" },
  prediction = { does = "drop", why = "Claude takes no predicted output" },
  verbosity = { does = "drop", why = "Claude has no verbosity setting" },
  prompt_cache_key = { does = "drop", why = "Claude's cache goes by the prompt itself" },
  prompt_cache_retention = { does = "drop", why = "Claude's cache is asked for by cache_control" },
  prompt_cache_options = { does = "drop", why = "Claude's cache is asked for by cache_control" },
  moderation = { does = "drop", why = "Claude has no moderation setting" },
  frequency_penalty = { does = "drop", quiet = is_zero, quiet_doc = "0", why = "Claude has no penalties" },
  presence_penalty = { does = "drop", quiet = is_zero, quiet_doc = "0", why = "Claude has no penalties" },
  logprobs = { does = "refuse", quiet = is_false, quiet_doc = "false", why = "Claude gives no log probabilities" },
  top_logprobs = { does = "refuse", quiet = is_zero, quiet_doc = "0", why = "Claude gives no log probabilities" },
  audio = { does = "refuse", why = "Claude gives no audio" },
  modalities = { does = "refuse", quiet = only_text, quiet_doc = "only text", why = "Claude answers in text only" },
  web_search_options = { does = "refuse", why = "web search is not offered through this API" },

  tools = { does = "refuse", quiet = is_empty, quiet_doc = "empty", why = "tools are not translated yet; use the Messages API" },
  tool_choice = {
    does = "refuse", quiet = is_any("none", "auto"), quiet_doc = "none, auto", why = "tools are not translated yet; use the Messages API",
  },
  parallel_tool_calls = { does = "refuse", quiet = is_any(true, false), quiet_doc = "true, false", why = "tools are not translated yet" },
  functions = { does = "refuse", quiet = is_empty, quiet_doc = "empty", why = "functions are not translated yet; use the Messages API" },
  function_call = { does = "refuse", quiet = is_any("none", "auto"), quiet_doc = "none, auto", why = "functions are not translated yet" },
  response_format = {
    does = "refuse", quiet = text_format, quiet_doc = "text", why = "structured outputs are not translated yet; use the Messages API",
  },
}
