--- What the simulator answers: computed from the request alone (and, for cache counters, from what it has seen
--- before), so that the same conversation always gets the same answer. It says what it is: nobody can mistake
--- it for a model.
--- Source of the shapes: messages-api.md sections 3 to 6 (2026-11-22).
local gate = require("gate.plugin")
local json = require("gate.json")

local M = {}

-- Four bytes a token: the shape of a count, not a tokenizer's.
local BYTES_PER_TOKEN = 4
local KEPT_PREFIXES = 4096
local WORDS = { "moon", "gate", "river", "stone", "light", "paper", "north", "cloud", "seven", "amber" }

local function tokens_of(bytes)
  return math.max(1, math.ceil(bytes / BYTES_PER_TOKEN))
end

--- The text of the last user turn, and whether it carries tool results.
function M.last_user_text(doc)
  local messages = doc:get("messages")
  for i = #messages, 1, -1 do
    local message = messages:get(i)
    if message:get("role") == "user" then
      local content = message:get("content")
      if type(content) == "string" then
        return content, false
      end
      local texts, has_results = {}, false
      for _, block in json.ipairs(content) do
        local kind = block:get("type")
        if kind == "text" then
          texts[#texts + 1] = block:get("text")
        elseif kind == "tool_result" then
          has_results = true
          local result = block:get("content")
          if type(result) == "string" then
            texts[#texts + 1] = result
          elseif json.type(result) == "array" then
            for _, part in json.ipairs(result) do
              if part:get("type") == "text" then
                texts[#texts + 1] = part:get("text")
              end
            end
          end
        elseif kind == "image" or kind == "document" then
          texts[#texts + 1] = "(" .. kind .. ")"
        end
      end
      return table.concat(texts, " "), has_results
    end
  end
  return "", false
end

-- ---- tool calls ----

-- A value that a schema allows: the first enum value, or a fixed one of its type.
local function sample(schema, text)
  if json.type(schema) ~= "object" then
    return "null"
  end
  local enum = schema:get("enum")
  if json.type(enum) == "array" and #enum > 0 then
    return enum:raw(1)
  end
  local kind = schema:get("type")
  if json.type(kind) == "array" then
    kind = kind:get(1)
  end
  if kind == "string" then
    return json.encode(text)
  elseif kind == "integer" then
    return "7"
  elseif kind == "number" then
    return "7.5"
  elseif kind == "boolean" then
    return "true"
  elseif kind == "array" then
    local items = schema:get("items")
    return json.type(items) == "object" and "[" .. sample(items, text) .. "]" or "[]"
  elseif kind == "object" or schema:get("properties") ~= nil then
    local parts = {}
    local properties = schema:get("properties")
    if json.type(properties) == "object" then
      for name, property in json.pairs(properties) do
        parts[#parts + 1] = json.encode(name) .. ":" .. sample(property, text)
      end
    end
    return "{" .. table.concat(parts, ",") .. "}"
  end
  return json.encode(text)
end

-- Which tool is called: the one that is asked for or forced, else one that the text names.
local function choose_tool(doc, directives, text, has_results)
  local tools = doc:get("tools")
  local choice = doc:get("tool_choice", "type")
  if json.type(tools) ~= "array" or #tools == 0 or choice == "none" then
    return nil
  end
  local wanted = directives.tool or (choice == "tool" and doc:get("tool_choice", "name"))
  for _, tool in json.ipairs(tools) do
    local name = tool:get("name")
    if type(name) == "string" and json.type(tool:get("input_schema")) == "object" then
      if wanted == name or (not wanted and choice == "any") then
        return tool
      elseif not wanted and not has_results and text:lower():find(name:lower(), 1, true) then
        return tool
      end
    end
  end
  return nil
end

-- ---- thinking ----

local function wants_thinking(doc, model)
  local kind = doc:get("thinking", "type")
  if kind == "enabled" or kind == "adaptive" or kind == "between_tools" then
    return true, doc:get("thinking", "display") or (kind == "enabled" and "summarized" or "omitted")
  elseif kind == "disabled" then
    return false
  end
  return model.thinking == "adaptive" and model.thinking_off ~= "absent", "omitted"
end

--- A signature that only the simulator can make, over what was thought.
function M.sign(text)
  return gate.base64_encode(gate.hmac_sha256("moongate simulator: thinking", text))
end

-- ---- usage ----

-- The bytes up to each cache breakpoint, in prefix order: tools, system, messages.
local function prefixes(doc)
  local bytes, found, text = 0, {}, {}
  local function add(node_raw, marked)
    bytes = bytes + #node_raw
    text[#text + 1] = node_raw
    if marked then
      found[#found + 1] = { bytes = bytes, digest = gate.sha256_hex(table.concat(text, "\n")), ttl = marked }
    end
  end
  local function marker(node)
    local cache_control = json.type(node) == "object" and node:get("cache_control")
    if json.type(cache_control) == "object" then
      return cache_control:get("ttl") or "5m"
    end
    return nil
  end
  local tools, system = doc:get("tools"), doc:get("system")
  if json.type(tools) == "array" then
    for i, tool in json.ipairs(tools) do
      add(tools:raw(i), marker(tool))
    end
  end
  if type(system) == "string" then
    add(doc:raw("system"))
  elseif json.type(system) == "array" then
    for i, block in json.ipairs(system) do
      add(system:raw(i), marker(block))
    end
  end
  local messages = doc:get("messages")
  for i, message in json.ipairs(messages) do
    local content = message:get("content")
    if json.type(content) == "array" then
      for k, block in json.ipairs(content) do
        add(content:raw(k), marker(block))
      end
    else
      add(messages:raw(i))
    end
  end
  local top = marker(doc)
  if top and bytes > 0 then
    found[#found + 1] = { bytes = bytes, digest = gate.sha256_hex(table.concat(text, "\n")), ttl = top }
  end
  return bytes, found
end

--- Input counters: what of the prompt was read from the cache, written to it, or neither.
function M.count_input(doc, model, seen)
  local bytes, breakpoints = prefixes(doc)
  local total, read, written_5m, written_1h = tokens_of(bytes), 0, 0, 0
  local minimum = model.cache_minimum_tokens
  for i = #breakpoints, 1, -1 do
    if seen.digests[breakpoints[i].digest] then
      read = tokens_of(breakpoints[i].bytes)
      break
    end
  end
  local covered = read
  for _, breakpoint in ipairs(breakpoints) do
    local upto = tokens_of(breakpoint.bytes)
    if upto >= minimum and upto > covered then
      if breakpoint.ttl == "1h" then
        written_1h = written_1h + upto - covered
      else
        written_5m = written_5m + upto - covered
      end
      covered = upto
      if seen.count >= KEPT_PREFIXES then
        seen.digests, seen.count = {}, 0
      end
      seen.digests[breakpoint.digest], seen.count = true, seen.count + 1
    end
  end
  return {
    input_tokens = total - covered, cache_read_input_tokens = read,
    cache_creation_input_tokens = written_5m + written_1h, written_5m = written_5m, written_1h = written_1h,
  }
end

-- ---- the answer ----

local function long_text(count)
  local words = {}
  for i = 1, count do
    words[i] = WORDS[(i - 1) % #WORDS + 1]
  end
  return table.concat(words, " ")
end

-- Cuts the text where a stop sequence begins.
local function stop_at(doc, text)
  local stops = doc:get("stop_sequences")
  if json.type(stops) ~= "array" then
    return text, nil
  end
  local first, which
  for _, stop in json.ipairs(stops) do
    local at = text:find(stop, 1, true)
    if at and (not first or at < first) then
      first, which = at, stop
    end
  end
  if first then
    return text:sub(1, first - 1), which
  end
  return text, nil
end

-- Cuts at a token's limit, never inside a UTF-8 sequence.
local function limit_to(text, max_bytes)
  if #text <= max_bytes then
    return text, false
  end
  while max_bytes > 0 and text:byte(max_bytes + 1) >= 0x80 and text:byte(max_bytes + 1) < 0xC0 do
    max_bytes = max_bytes - 1
  end
  return text:sub(1, max_bytes), true
end

--- Composes an answer.
---@param doc gate.json.Doc A request that validate.lua has taken.
---@param model table Catalogue entry.
---@param directives table
---@param text string The last user text, without directives.
---@param has_results boolean
---@param state table
---@return table answer { id, model, blocks = { {type, ...} }, stop_reason, stop_sequence, usage }
function M.compose(doc, model, directives, text, has_results, state)
  local digest = gate.sha256_hex(doc:raw("messages"))
  local answer = {
    id = "msg_sim" .. digest:sub(1, 21), model = doc:get("model"), blocks = {}, stop_reason = "end_turn",
    usage = M.count_input(doc, model, state.seen), thinking_bytes = 0,
  }
  if directives.refuse then
    answer.stop_reason = "refusal"
    answer.usage.output_tokens = 0
    return answer
  end
  local max_tokens, used = doc:get("max_tokens"), 0
  local thinks, display = wants_thinking(doc, model)
  if thinks then
    local thought = directives.thinking or ("The simulator considers " .. #text .. " bytes of text.")
    local budget = doc:get("thinking", "budget_tokens")
    thought = limit_to(thought, (budget or max_tokens) * BYTES_PER_TOKEN)
    used = tokens_of(#thought)
    answer.thinking_tokens = used
    answer.blocks[1] = { type = "thinking", thinking = display == "omitted" and "" or thought, signature = M.sign(thought) }
  end
  local tool = choose_tool(doc, directives, text, has_results)
  if tool then
    local input = sample(tool:get("input_schema"), text:match("^%s*(.-)%s*$"):sub(1, 64))
    used = used + tokens_of(#input)
    answer.blocks[#answer.blocks + 1] = {
      type = "tool_use", id = "toolu_sim" .. digest:sub(22, 42), name = tool:get("name"), input = input,
    }
    answer.stop_reason = "tool_use"
  else
    local said = directives.text or (directives.words and long_text(directives.words))
      or ("This is Moongate's simulator, not a model. You said: " .. text:match("^%s*(.-)%s*$"))
    local cut, was_cut
    said, cut = stop_at(doc, said)
    said, was_cut = limit_to(said, math.max(0, max_tokens - used) * BYTES_PER_TOKEN)
    if was_cut then
      answer.stop_reason = "max_tokens"
    elseif cut then
      answer.stop_reason, answer.stop_sequence = "stop_sequence", cut
    end
    if said ~= "" then
      answer.blocks[#answer.blocks + 1] = { type = "text", text = said }
      used = used + tokens_of(#said)
    end
  end
  answer.stop_reason = directives.stop_reason or answer.stop_reason
  answer.usage.output_tokens = math.min(used, math.max(max_tokens, 1))
  return answer
end

--- The usage object. `is_start`: as message_start has it, before anything was said.
function M.usage_json(answer, is_start)
  local usage = answer.usage
  return json.object({
    { "input_tokens", usage.input_tokens },
    { "cache_creation_input_tokens", usage.cache_creation_input_tokens },
    { "cache_read_input_tokens", usage.cache_read_input_tokens },
    { "cache_creation", json.object({
      { "ephemeral_5m_input_tokens", usage.written_5m }, { "ephemeral_1h_input_tokens", usage.written_1h },
    }) },
    { "output_tokens", is_start and math.min(1, usage.output_tokens) or usage.output_tokens },
    { "output_tokens_details", not is_start and answer.thinking_tokens
      and json.object({ { "thinking_tokens", answer.thinking_tokens } }) or json.null },
    { "service_tier", "standard" },
  })
end

function M.block_json(block)
  if block.type == "text" then
    return json.object({ { "type", "text" }, { "text", block.text } })
  elseif block.type == "thinking" then
    return json.object({ { "type", "thinking" }, { "thinking", block.thinking }, { "signature", block.signature } })
  end
  return json.object({
    { "type", "tool_use" }, { "id", block.id }, { "name", block.name }, { "input", json.raw(block.input) },
  })
end

local function stop_details(answer)
  if answer.stop_reason ~= "refusal" then
    return json.null
  end
  return json.object({
    { "type", "refusal" }, { "category", "general_harms" }, { "explanation", "The simulator was asked to refuse." },
  })
end

--- The message object; without content for message_start.
function M.message_json(answer, is_start)
  local content = {}
  for i, block in ipairs(is_start and {} or answer.blocks) do
    content[i] = M.block_json(block)
  end
  return json.object({
    { "id", answer.id }, { "type", "message" }, { "role", "assistant" }, { "model", answer.model },
    { "content", json.array(content) },
    { "stop_reason", is_start and json.null or answer.stop_reason },
    { "stop_sequence", not is_start and answer.stop_sequence or json.null },
    { "stop_details", is_start and json.null or stop_details(answer) },
    { "usage", M.usage_json(answer, is_start) },
  })
end

M.stop_details = stop_details

return M
