--- What happens to each field of a Chat Completions request: data. One row a field of `openai` 6.49.0's types, plus
--- what Claude users send through `extra_body`.
---   read     request.lua or messages.lua translates it
---   splice   the client's bytes go upstream under the same name (Claude's own fields)
---   drop     has no equivalent and changes no meaning that matters: dropped, named in a warning unless `quiet` holds
---   refuse   is not served: 400 that names the field, unless `quiet` holds
--- quiet: values that ask for nothing; they pass in silence.
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
  model = { does = "read" },
  messages = { does = "read" },
  max_tokens = { does = "read" },
  max_completion_tokens = { does = "read" },
  stream = { does = "read" },
  stream_options = { does = "read" },
  stop = { does = "read" },
  temperature = { does = "read" },
  top_p = { does = "read" },
  n = { does = "read" },
  reasoning_effort = { does = "read" },
  user = { does = "read" },
  safety_identifier = { does = "read" },
  service_tier = { does = "read" },

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
  store = { does = "drop", quiet = is_false, why = "the gateway stores no completions" },
  seed = { does = "drop", why = "Claude has no seed" },
  logit_bias = { does = "drop", quiet = is_empty, why = "Claude has no logit bias" },
  prediction = { does = "drop", why = "Claude takes no predicted output" },
  verbosity = { does = "drop", why = "Claude has no verbosity setting" },
  prompt_cache_key = { does = "drop", why = "Claude's cache goes by the prompt itself" },
  prompt_cache_retention = { does = "drop", why = "Claude's cache is asked for by cache_control" },
  prompt_cache_options = { does = "drop", why = "Claude's cache is asked for by cache_control" },
  moderation = { does = "drop", why = "Claude has no moderation setting" },
  frequency_penalty = { does = "drop", quiet = is_zero, why = "Claude has no penalties" },
  presence_penalty = { does = "drop", quiet = is_zero, why = "Claude has no penalties" },
  logprobs = { does = "refuse", quiet = is_false, why = "Claude gives no log probabilities" },
  top_logprobs = { does = "refuse", quiet = is_zero, why = "Claude gives no log probabilities" },
  audio = { does = "refuse", why = "Claude gives no audio" },
  modalities = { does = "refuse", quiet = only_text, why = "Claude answers in text only" },
  web_search_options = { does = "refuse", why = "web search is not offered through this API" },

  tools = { does = "refuse", quiet = is_empty, why = "tools are not translated yet; use the Messages API" },
  tool_choice = { does = "refuse", quiet = is_any("none", "auto"), why = "tools are not translated yet; use the Messages API" },
  parallel_tool_calls = { does = "refuse", quiet = is_any(true, false), why = "tools are not translated yet" },
  functions = { does = "refuse", quiet = is_empty, why = "functions are not translated yet; use the Messages API" },
  function_call = { does = "refuse", quiet = is_any("none", "auto"), why = "functions are not translated yet" },
  response_format = {
    does = "refuse", quiet = text_format, why = "structured outputs are not translated yet; use the Messages API",
  },
}
