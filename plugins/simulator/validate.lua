--- Whether a Messages request is one that the real endpoint would take, in its words where they are known.
--- Source: messages-api.md sections 1 to 6 (2026-11-22).
local json = require("gate.json")

local M = {}

local FIELDS = {}
for name in ([[model messages max_tokens system stream stop_sequences temperature top_p top_k tools tool_choice thinking
  output_config metadata service_tier inference_geo cache_control container diagnostics]]):gmatch("%S+") do
  FIELDS[name] = true
end
-- Fields that need their beta header; any of the listed prefixes opens them.
local BETA_FIELDS = {
  mcp_servers = "mcp-client-", context_management = "context-management-", fallbacks = "server-side-fallback-",
  compaction = "compact-", thread = "message-threads-",
}
local SAMPLING = { "temperature", "top_p", "top_k" }
local MAX_CACHE_BREAKPOINTS = 4

local function invalid(format, ...)
  return { status = 400, type = "invalid_request_error", message = select("#", ...) > 0 and format:format(...) or format }
end

local function is_object(value)
  return json.type(value) == "object"
end

local function is_array(value)
  return json.type(value) == "array"
end

local function is_integer(value)
  return type(value) == "number" and value % 1 == 0
end

local function check_fields(doc, betas)
  for name in json.pairs(doc) do
    if not FIELDS[name] and not (BETA_FIELDS[name] and betas:find(BETA_FIELDS[name], 1, true)) then
      return invalid("%s: Extra inputs are not permitted", name)
    end
  end
end

local function check_scalars(doc, model, version)
  local max_tokens = doc:get("max_tokens")
  if max_tokens == nil then
    return invalid("max_tokens: Field required")
  elseif not is_integer(max_tokens) or max_tokens < 0 then
    return invalid("max_tokens: Input should be a valid integer greater than or equal to 0")
  elseif max_tokens > model.max_output_tokens then
    return invalid("max_tokens: %d > %d, which is the maximum allowed number of output tokens for %s", max_tokens,
      model.max_output_tokens, model.name)
  end
  local stream = doc:get("stream")
  if stream ~= nil and type(stream) ~= "boolean" then
    return invalid("stream: Input should be a valid boolean")
  end
  for _, name in ipairs(SAMPLING) do
    local value = doc:get(name)
    if value ~= nil then
      if version ~= "2023-06-01" or not model.sampling then
        return invalid("%s: Extra inputs are not permitted", name)
      elseif type(value) ~= "number" or value < 0 or (name ~= "top_k" and value > 1) then
        return invalid("%s: Input should be between 0 and 1", name)
      end
    end
  end
  local stops = doc:get("stop_sequences")
  if stops ~= nil then
    if not is_array(stops) then
      return invalid("stop_sequences: Input should be a valid list")
    end
    for i, stop in json.ipairs(stops) do
      if type(stop) ~= "string" or not stop:find("%S") then
        return invalid("stop_sequences.%d: each stop sequence must contain non-whitespace", i - 1)
      end
    end
  end
  local user_id = doc:get("metadata", "user_id")
  if user_id ~= nil and user_id ~= json.null and type(user_id) ~= "string" then
    return invalid("metadata.user_id: Input should be a valid string")
  end
end

local function check_thinking(doc, model)
  local thinking = doc:get("thinking")
  if thinking == nil then
    return
  end
  local kind = is_object(thinking) and thinking:get("type")
  if kind == "enabled" then
    if model.thinking == "adaptive" then
      return invalid('"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
        .. '"output_config.effort" to control thinking behavior.')
    end
    local budget = thinking:get("budget_tokens")
    if not is_integer(budget) or budget < 1024 then
      return invalid("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
    elseif budget >= doc:get("max_tokens") then
      return invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")
    end
    local temperature, top_p = doc:get("temperature"), doc:get("top_p")
    if (temperature ~= nil and temperature ~= 1) or doc:get("top_k") ~= nil then
      return invalid("`temperature` may only be set to 1 when thinking is enabled.")
    elseif type(top_p) == "number" and top_p < 0.95 then
      return invalid("`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled.")
    end
    local choice = doc:get("tool_choice", "type")
    if choice == "any" or choice == "tool" then
      return invalid("Thinking may not be enabled when tool_choice forces tool use.")
    end
  elseif kind == "adaptive" then
    if model.thinking == "budget" then
      return invalid("adaptive thinking is not supported on this model")
    end
  elseif kind == "disabled" then
    if model.thinking_off == "never" or model.thinking_off == "between_tools" then
      return invalid('"thinking.type.disabled" is not supported for this model.')
    end
  elseif not (kind == "between_tools" and model.thinking_off == "between_tools") then
    return invalid("thinking: Input tag does not match any of the expected tags: 'enabled', 'adaptive', 'disabled'")
  end
end

local function check_effort(doc, model)
  local effort = doc:get("output_config", "effort")
  if effort == nil or effort == json.null then
    return
  end
  for _, level in ipairs(model.effort) do
    if level == effort then
      return
    end
  end
  return invalid("output_config.effort: %s is not supported for this model", tostring(effort))
end

local BLOCKS = {
  user = { text = true, image = true, document = true, search_result = true, tool_result = true, container_upload = true },
  assistant = {
    text = true, thinking = true, redacted_thinking = true, tool_use = true, server_tool_use = true,
    web_search_tool_result = true, web_fetch_tool_result = true, code_execution_tool_result = true,
    bash_code_execution_tool_result = true, text_editor_code_execution_tool_result = true,
  },
  system = { text = true },
}

local function check_block(block, role, path, seen)
  local kind = is_object(block) and block:get("type")
  if type(kind) ~= "string" or not BLOCKS[role][kind] then
    return invalid("%s: Input tag '%s' found using 'type' does not match any of the expected tags", path, tostring(kind))
  end
  if kind == "text" and (type(block:get("text")) ~= "string" or block:get("text") == "") then
    return invalid("%s: text content blocks must be non-empty", path)
  end
  if block:get("cache_control") ~= nil and block:get("cache_control") ~= json.null then
    if kind == "thinking" or kind == "redacted_thinking" then
      return invalid("%s.cache_control: Extra inputs are not permitted", path)
    end
    seen.breakpoints = seen.breakpoints + 1
  end
  if kind == "tool_use" then
    local id = block:get("id")
    if type(id) ~= "string" or not id:find("^[A-Za-z0-9_-]+$") then
      return invalid("%s.id: String should match pattern '^[a-zA-Z0-9_-]+$'", path)
    elseif not is_object(block:get("input")) then
      return invalid("%s.input: Input should be a valid dictionary", path)
    end
    seen.calls[#seen.calls + 1] = id
  elseif kind == "tool_result" then
    seen.results[tostring(block:get("tool_use_id"))] = true
  end
end

local function check_messages(doc, model, seen)
  local messages = doc:get("messages")
  if not is_array(messages) then
    return invalid("messages: Field required")
  elseif #messages == 0 then
    return invalid("messages: at least one message is required")
  end
  local pending, last_role = {}, nil
  for i, message in json.ipairs(messages) do
    local path = "messages." .. (i - 1)
    local role = is_object(message) and message:get("role")
    if role ~= "user" and role ~= "assistant" and role ~= "system" then
      return invalid("%s.role: Input should be 'user', 'assistant' or 'system'", path)
    end
    for key in json.pairs(message) do
      if key ~= "role" and key ~= "content" then
        return invalid("%s.%s: Extra inputs are not permitted", path, key)
      end
    end
    seen.calls, seen.results = {}, {}
    local content = message:get("content")
    if is_array(content) then
      if #content == 0 then
        return invalid("%s: all messages must have non-empty content except for the optional final assistant message", path)
      end
      for k, block in json.ipairs(content) do
        local found = check_block(block, role, path .. ".content." .. (k - 1), seen)
        if found then
          return found
        end
      end
    elseif type(content) ~= "string" then
      return invalid("%s.content: Input should be a valid string or list", path)
    elseif content == "" then
      return invalid("%s: all messages must have non-empty content except for the optional final assistant message", path)
    end
    for _, id in ipairs(pending) do
      if not seen.results[id] then
        return invalid("%s: `tool_use` ids were found without `tool_result` blocks immediately after: %s. Each `tool_use` "
          .. "block must have a corresponding `tool_result` block in the next message.", path, id)
      end
    end
    pending, last_role = seen.calls, role
  end
  if pending[1] then
    return invalid("messages.%d: `tool_use` ids were found without `tool_result` blocks immediately after: %s.", #messages - 1,
      pending[1])
  end
  if last_role == "assistant" then
    local thinking = doc:get("thinking", "type")
    if not model.prefill or thinking == "enabled" then
      return invalid("This model does not support assistant message prefill. The conversation must end with a user message.")
    end
    local text = messages:get(#messages, "content")
    if type(text) == "string" and text:find("%s$") then
      return invalid("messages: final assistant content cannot end with trailing whitespace")
    end
  end
end

local function check_system(doc, seen)
  local system = doc:get("system")
  if system == nil or type(system) == "string" then
    return
  elseif not is_array(system) then
    return invalid("system: Input should be a valid string or list")
  end
  for i, block in json.ipairs(system) do
    local found = check_block(block, "system", "system." .. (i - 1), seen)
    if found then
      return found
    end
  end
end

local function check_tools(doc, model, seen)
  local tools, choice = doc:get("tools"), doc:get("tool_choice", "type")
  local names = {}
  if tools ~= nil then
    if not is_array(tools) then
      return invalid("tools: Input should be a valid list")
    end
    for i, tool in json.ipairs(tools) do
      local path, kind = "tools." .. (i - 1), is_object(tool) and tool:get("type")
      local name = is_object(tool) and tool:get("name")
      if kind == nil or kind == "custom" then
        if type(name) ~= "string" or #name > 64 or not name:find("^[A-Za-z0-9_-]+$") then
          return invalid("%s.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'", path)
        elseif not is_object(tool:get("input_schema")) then
          return invalid("%s.custom.input_schema: Field required", path)
        elseif tool:get("input_schema", "type") ~= "object" then
          return invalid("%s.custom.input_schema.type: Input should be 'object'", path)
        end
      end
      if name and names[name] then
        return invalid("tools: Tool names must be unique.")
      end
      names[name or ""] = true
      if tool:get("cache_control") ~= nil then
        seen.breakpoints = seen.breakpoints + 1
      end
    end
  end
  if choice == nil then
    return
  elseif tools == nil or #tools == 0 then
    return invalid("tool_choice: tool_choice may only be specified while providing tools.")
  elseif choice == "any" or choice == "tool" then
    if not model.forced_tool_choice then
      return invalid('tool_choice: type "tool" and "any" are not supported for this model.')
    elseif choice == "tool" and not names[doc:get("tool_choice", "name")] then
      return invalid("tool_choice: Tool '%s' not found in provided tools", tostring(doc:get("tool_choice", "name")))
    end
  elseif choice ~= "auto" and choice ~= "none" then
    return invalid("tool_choice: Input tag '%s' does not match any of the expected tags", tostring(choice))
  end
end

--- Checks a request body.
---@param doc gate.json.Doc
---@param model table Catalogue entry.
---@param version string anthropic-version
---@param betas string anthropic-beta, or ""
---@return table? problem { status, type, message }
function M.check(doc, model, version, betas)
  local seen = { breakpoints = 0, calls = {}, results = {} }
  local found = check_fields(doc, betas) or check_scalars(doc, model, version) or check_thinking(doc, model)
    or check_effort(doc, model) or check_tools(doc, model, seen) or check_system(doc, seen)
    or check_messages(doc, model, seen)
  if found then
    return found
  end
  if doc:get("cache_control") ~= nil then
    seen.breakpoints = seen.breakpoints + 1
  end
  if seen.breakpoints > MAX_CACHE_BREAKPOINTS then
    return invalid("A maximum of 4 blocks with cache_control may be provided. Found %d.", seen.breakpoints)
  end
  return nil
end

return M
