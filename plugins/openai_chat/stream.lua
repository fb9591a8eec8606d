--- A Messages event stream as Chat Completions chunks. What comes often (text, reasoning, tool arguments) is
--- done by rules in C that copy the upstream's string literal between two constant pieces: it is the same
--- escape syntax on both sides, so text and arguments arrive byte for byte. All else, and every event when a
--- plugin wants events, comes through translate().
--- Variables of the rules: 1 head of a chunk up to `"delta":{`, 2 its tail, 3 index of the content block whose
--- arguments flow by rule, 4 number of that tool call.
--- Source: translation.md section 9, chat-completions.md section 4 (2026-11-22).
local json = require("gate.json")
local answer = require("plugins.openai_chat.answer")

local M = {}

local HEAD, TAIL, BLOCK, CALL = 1, 2, 3, 4
local NO_BLOCK = "-1" -- equals no content block's index

M.rules = {
  {
    event = "content_block_delta",
    when = { { path = { "delta", "type" }, equals = '"text_delta"' } },
    emit = { { var = HEAD }, '"content":', { raw = { "delta", "text" } }, { var = TAIL } },
  },
  {
    event = "content_block_delta",
    when = { { path = { "delta", "type" }, equals = '"thinking_delta"' } },
    emit = {
      { var = HEAD }, '"reasoning_content":', { raw = { "delta", "thinking" } },
      ',"thinking_blocks":[{"type":"thinking","thinking":', { raw = { "delta", "thinking" } }, "}]", { var = TAIL },
    },
  },
  {
    event = "content_block_delta",
    when = { { path = { "delta", "type" }, equals = '"input_json_delta"' }, { path = { "index" }, var = BLOCK } },
    emit = {
      { var = HEAD }, '"tool_calls":[{"index":', { var = CALL }, ',"function":{"arguments":',
      { raw = { "delta", "partial_json" } }, "}}]", { var = TAIL },
    },
  },
  { event = "ping", emit = { ": ping\n\n" } },
}

-- What follows the delta; without and with the client's wish to see usage.
local TAIL_TEXT = '},"finish_reason":null}]}\n\n'
local USAGE, USAGE_TAIL_TEXT = ',"usage":null', '},"finish_reason":null}],"usage":null}\n\n'

-- A chunk up to its choices. Every chunk of a stream has the same id.
local function begin_chunk(ctx, s)
  return ('data: {"id":%s,"object":"chat.completion.chunk","created":%d,"model":%s,"choices":['):format(
    json.encode(s.id), s.created, json.encode(ctx.model)
  )
end

-- A chunk up to what differs from chunk to chunk.
local function head_of(ctx, s, message_id)
  s.id = answer.completion_id(message_id)
  return begin_chunk(ctx, s) .. '{"index":0,"delta":{'
end

--- Prepares a stream: the constant pieces of its chunks. The upstream's id comes with message_start.
---@return string[] variables
function M.open(ctx, include_usage)
  -- The plugin's own table of this request, with eight fields, since as many stand in memory as streams are open.
  -- tool_count: tool calls opened so far; tool_of: content block index -> number of its tool call; has_arguments:
  -- number of a tool call -> a fragment went out.
  local s = ctx.own
  s.include_usage, s.created, s.has_role = include_usage, answer.created(), false
  s.tool_count, s.tool_of, s.has_arguments = 0, false, false
  s.head = head_of(ctx, s)
  return { s.head, include_usage and USAGE_TAIL_TEXT or TAIL_TEXT, NO_BLOCK, "0" }
end

local function emit(relay, s, delta)
  relay:emit(s.head .. delta .. (s.include_usage and USAGE_TAIL_TEXT or TAIL_TEXT))
end

local function start_tool(relay, s, index, block)
  local number = s.tool_count
  s.tool_count = number + 1
  s.tool_of = s.tool_of or {}
  s.has_arguments = s.has_arguments or {}
  s.tool_of[index] = number
  emit(relay, s, ('"tool_calls":[{"index":%d,"id":%s,"type":"function","function":{"name":%s,"arguments":""}}]'):format(
    number, block:raw("id"), block:raw("name")
  ))
end

local on = {}

function on.message_start(relay, s, doc, ctx)
  if not s.has_role then
    s.has_role = true
    local id = doc and doc:get("message", "id")
    if type(id) == "string" then
      s.head = head_of(ctx, s, id)
      relay:set(HEAD, s.head)
    end
    emit(relay, s, '"role":"assistant","content":""')
  end
end

function on.content_block_start(relay, s, doc)
  local block, index = doc:get("content_block"), doc:get("index")
  if json.type(block) ~= "object" or type(index) ~= "number" then
    return
  end
  local kind = block:get("type")
  if kind == "text" then
    local text = block:get("text")
    if type(text) == "string" and text ~= "" then
      emit(relay, s, '"content":' .. block:raw("text"))
    end
  elseif kind == "redacted_thinking" then
    emit(relay, s, '"thinking_blocks":[' .. doc:raw("content_block") .. "]")
  elseif kind == "tool_use" and type(block:get("id")) == "string" and type(block:get("name")) == "string" then
    start_tool(relay, s, index, block)
  end
end

function on.content_block_delta(relay, s, doc)
  local kind, index = doc:get("delta", "type"), doc:get("index")
  if kind == "text_delta" and type(doc:get("delta", "text")) == "string" then
    emit(relay, s, '"content":' .. doc:raw("delta", "text"))
  elseif kind == "thinking_delta" and type(doc:get("delta", "thinking")) == "string" then
    local raw = doc:raw("delta", "thinking")
    emit(relay, s, ('"reasoning_content":%s,"thinking_blocks":[{"type":"thinking","thinking":%s}]'):format(raw, raw))
  elseif kind == "signature_delta" and type(doc:get("delta", "signature")) == "string" then
    emit(relay, s, '"thinking_blocks":[{"type":"thinking","thinking":"","signature":' .. doc:raw("delta", "signature") .. "}]")
  elseif kind == "input_json_delta" then
    local number, fragment = s.tool_of and s.tool_of[index], doc:get("delta", "partial_json")
    if number and type(fragment) == "string" and fragment ~= "" then
      emit(relay, s, ('"tool_calls":[{"index":%d,"function":{"arguments":%s}}]'):format(number, doc:raw("delta", "partial_json")))
      -- From the second fragment on, the rule does it.
      s.has_arguments[number] = true
      relay:set(BLOCK, ("%d"):format(index))
      relay:set(CALL, ("%d"):format(number))
    end
  end
end

function on.content_block_stop(relay, s, doc)
  local number = s.tool_of and s.tool_of[doc:get("index")]
  if number and not s.has_arguments[number] then -- a call without arguments still has an object
    s.has_arguments[number] = true
    emit(relay, s, ('"tool_calls":[{"index":%d,"function":{"arguments":"{}"}}]'):format(number))
  end
end

function on.ping(relay)
  relay:emit(": ping\n\n")
end

--- One event that no rule took. Unknown events and blocks are passed over, as the API's versioning asks.
---@param name string
---@param data string
---@return nil
---@return gate.Err? err `bad_upstream`: the event is no JSON.
function M.translate(ctx, name, data, relay)
  local s, handle = ctx.own, on[name]
  if not handle then
    return
  end
  local doc, err = json.parse(data)
  if not doc then
    return nil, { code = "bad_upstream", message = "the upstream sent an event that is no JSON: " .. err.message }
  end
  handle(relay, s, doc, ctx)
  doc:free()
end

--- After message_stop: the last chunk, usage where it was asked for, the end mark.
function M.finish(ctx, relay)
  local s = ctx.own
  if not s.has_role then
    on.message_start(relay, s, nil, ctx)
  end
  local finish = answer.finish_reason(relay:slot("stop_reason"), s.tool_count)
  relay:emit(('%s},"finish_reason":"%s"}]%s}\n\n'):format(s.head, finish, s.include_usage and USAGE or ""))
  if s.include_usage then
    local w = json.writer()
    answer.write_usage(w, ctx.usage or {})
    local doc = w:document()
    relay:emit(('%s],"usage":%s}\n\n'):format(begin_chunk(ctx, s), doc:bytes()))
    doc:free()
  end
  relay:emit("data: [DONE]\n\n")
end

return M
