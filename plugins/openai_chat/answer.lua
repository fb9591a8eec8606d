--- A Messages answer as a Chat Completions answer: content, reasoning, tool calls, stop reason, usage.
--- Texts are spliced from the upstream's bytes where there is one of them.
--- Source: translation.md section 7, chat-completions.md sections 3 and 5 (2026-11-22).
local gate = require("gate.plugin")
local json = require("gate.json")

local M = {}

local FINISH = {
  end_turn = "stop", stop_sequence = "stop", max_tokens = "length", model_context_window_exceeded = "length",
  tool_use = "tool_calls", pause_turn = "stop", refusal = "content_filter", compaction = "stop",
}

--- OpenAI's word for why the answer ended.
---@param stop_reason string?
---@param tool_calls integer How many tool calls the client was given.
function M.finish_reason(stop_reason, tool_calls)
  local finish = FINISH[stop_reason] or "stop"
  if finish == "tool_calls" and tool_calls == 0 then
    return "stop"
  end
  return finish
end

--- `chatcmpl-` and what follows `msg_` in the upstream's id.
function M.completion_id(message_id)
  if type(message_id) == "string" and #message_id > 4 and message_id:sub(1, 4) == "msg_" then
    return "chatcmpl-" .. message_id:sub(5)
  end
  return "chatcmpl-" .. (message_id or gate.random_hex(12))
end

function M.created()
  return (gate.now_s())
end

local USAGE_FORM = '{"prompt_tokens":$,"completion_tokens":$,"total_tokens":$,"prompt_tokens_details":{"cached_tokens":$,'
  .. '"cache_write_tokens":$},"completion_tokens_details":{"reasoning_tokens":$},"cache_creation_input_tokens":$,'
  .. '"cache_read_input_tokens":$}'
local COUNTERS = 8
local usage_form, counters = json.form(USAGE_FORM), json.numbers(COUNTERS)

-- Fills the holes of USAGE_FORM. prompt_tokens includes what was read from and written to the cache, as OpenAI's
-- convention has it; Claude's raw cache counters stand beside it.
local function fill_usage(w, usage)
  local read = usage.cache_read_input_tokens or 0
  local written = usage.cache_creation_input_tokens or 0
  local prompt = (usage.input_tokens or 0) + read + written
  local completion = usage.output_tokens or 0
  counters[0], counters[1], counters[2], counters[3] = prompt, completion, prompt + completion, read
  counters[4], counters[5], counters[6], counters[7] = written, usage.thinking_tokens or 0, written, read
  w:integers(counters, COUNTERS)
end

--- Writes OpenAI's usage object.
---@param usage gate.Usage
function M.write_usage(w, usage)
  w:form(usage_form)
  fill_usage(w, usage)
end

-- What an answer has, and its blocks: most are one text, for which nothing is made in Lua.
local found = json.members({ "content", "id", "stop_details", "stop_reason" })
local at = found.index
local rows = json.rows("type", { "text" }, "text")
local ARRAY, STRING = json.kind.ARRAY, json.kind.STRING

-- Id of the text of an answer that is one text block; nil: it is more than that.
local function only_text(answer)
  local content = at.content
  if found.types[content] == ARRAY and rows:read(answer, found.ids[content]) == 1 then
    local row = rows.list[0]
    return row.word == 0 and row.type == STRING and row.value or nil
  end
end

-- Sorts the answer's blocks by what they become.
local function read_blocks(answer)
  local texts, thinking, tools = {}, {}, {}
  local content = answer:get("content")
  if json.type(content) == "array" then
    for _, block in json.ipairs(content) do
      local kind = block:get("type")
      if kind == "text" then
        texts[#texts + 1] = block
      elseif kind == "thinking" or kind == "redacted_thinking" then
        thinking[#thinking + 1] = block
      elseif kind == "tool_use" then
        tools[#tools + 1] = block
      end
    end
  end
  return texts, thinking, tools
end

-- The joined texts under `field`; one alone is spliced.
local function write_joined(w, blocks, field)
  if #blocks == 1 then
    return w:node(blocks[1]:node(field))
  end
  local texts = {}
  for i, block in ipairs(blocks) do
    local text = block:get(field)
    texts[i] = type(text) == "string" and text or ""
  end
  w:string(table.concat(texts))
end

local function write_thinking(w, blocks)
  local readable = {}
  for _, block in ipairs(blocks) do
    local text = block:get("thinking")
    if type(text) == "string" and text ~= "" then
      readable[#readable + 1] = block
    end
  end
  if #readable > 0 then
    w:key("reasoning_content")
    write_joined(w, readable, "thinking")
  end
  if #blocks > 0 then
    w:key("thinking_blocks")
    w:open_array()
    for _, block in ipairs(blocks) do
      w:node(block) -- with their signatures, byte for byte: they come back in the next turn
    end
    w:close_array()
  end
end

local function write_tool_calls(w, tools)
  if #tools == 0 then
    return
  end
  w:key("tool_calls")
  w:open_array()
  for _, block in ipairs(tools) do
    w:open_object()
    w:key("id")
    w:node(block:node("id"))
    w:key("type")
    w:string("function")
    w:key("function")
    w:open_object()
    w:key("name")
    w:node(block:node("name"))
    w:key("arguments")
    w:string(block:raw("input") or "{}")
    w:close_object()
    w:close_object()
  end
  w:close_array()
end

local function write_content(w, texts, tools, stop_reason)
  w:key("content")
  if #texts > 0 then
    write_joined(w, texts, "text")
  elseif #tools > 0 or stop_reason == "refusal" then
    w:null()
  else
    w:string("")
  end
end

local HEAD = '{"id":$,"object":"chat.completion","created":$,"model":$,"choices":[{"index":0,"message":'
local TAIL = ',"logprobs":null,"finish_reason":$}],"usage":' .. USAGE_FORM .. "}"
-- An answer of one text, and every other one.
local text_form = json.form(HEAD .. '{"role":"assistant","content":$,"refusal":null}' .. TAIL)
local any_form = json.form(HEAD .. "$" .. TAIL)

-- One for all answers: nothing waits between its first byte and its last.
local w = json.writer()

local function write_message(answer, stop_reason)
  local texts, thinking, tools = read_blocks(answer)
  w:open_object()
  w:key("role")
  w:string("assistant")
  write_content(w, texts, tools, stop_reason)
  w:key("refusal")
  local explanation = stop_reason == "refusal" and answer:get("stop_details", "explanation")
  if type(explanation) == "string" then
    w:string(explanation)
  else
    w:null()
  end
  write_thinking(w, thinking)
  write_tool_calls(w, tools)
  w:close_object()
  return #tools
end

--- Translates an answer.
---@param answer gate.json.Doc
---@param model string The name the client asked for.
---@param usage gate.Usage
---@return gate.json.Doc
function M.translate(answer, model, usage)
  local id, stop_reason
  if found:read(answer) then
    id, stop_reason = found:get(answer, "id"), found:get(answer, "stop_reason")
  end
  local text_id = stop_reason ~= "refusal" and only_text(answer)
  w:begin(answer:size() + 512)
  w:form(text_id and text_form or any_form)
  w:string(M.completion_id(id))
  w:integer(M.created())
  w:string(model)
  local tools = 0
  if text_id then
    w:at(answer, text_id)
  else
    tools = write_message(answer, stop_reason)
  end
  w:string(M.finish_reason(stop_reason, tools))
  fill_usage(w, usage)
  return (w:document())
end

return M
