--- Pivot events as plugins with on_event see them. One object serves all events of a request; the JSON of an
--- event is parsed when a plugin first asks for a field of it.
local errors = require("gate.errors")
local json = require("gate.json")
local plugin_of = require("gate.plugin")

local M = {}

local Event = {}
Event.__index = Event

local function doc_of(self)
  local doc = rawget(self, "_doc")
  if not doc then
    local err
    doc, err = json.parse(self.data)
    if not doc then
      error("the event is no JSON: " .. err.message, 3)
    end
    rawset(self, "_doc", doc)
  end
  return doc
end

--- A value of the event, by path.
function Event:get(...)
  return doc_of(self):get(...)
end

--- Changes the event: `event:set("delta", "text", "new")`. Only what is streamed can be changed.
function Event:set(...)
  if not self._is_streamed then
    error("event:set: this answer is not streamed; change ctx.answer in on_response", 2)
  end
  doc_of(self):set(...)
  rawset(self, "_is_changed", true)
end

--- Takes the event out of the stream.
function Event:drop()
  if not self._is_streamed then
    error("event:drop: this answer is not streamed; change ctx.answer in on_response", 2)
  end
  rawset(self, "_is_dropped", true)
end

--- The event object of one request.
---@param is_streamed boolean
function M.new(is_streamed)
  return setmetatable({ name = "", data = "", _is_streamed = is_streamed, _is_changed = false, _is_dropped = false },
    Event)
end

--- Shows one event to the plugins.
---@param event gate.Event From new().
---@param hooks table
---@return string? data What goes on; nil: dropped, or the error.
---@return gate.Err? err
function M.show(event, hooks, ctx, name, data)
  event.name, event.data = name, data
  event._is_changed, event._is_dropped = false, false
  plugin_of.forbid_waiting("on_event")
  local _, err = hooks.run(ctx, event)
  plugin_of.forbid_waiting(nil)
  local doc = rawget(event, "_doc")
  if doc then
    if event._is_changed and not err then
      data = doc:bytes()
    end
    doc:free()
    rawset(event, "_doc", nil)
  end
  if err then
    return nil, err
  elseif event._is_dropped then
    return nil
  end
  return data
end

-- Events of one content block: deltas where the stream has them, else the block whole.
local DELTAS = {
  text = { { "text", "text_delta", "text" } },
  thinking = { { "thinking", "thinking_delta", "thinking" }, { "signature", "signature_delta", "signature" } },
}

local function of_block(list, index, block)
  local kind = block:get("type")
  local deltas = DELTAS[kind]
  local raw = block:raw()
  local after = {}
  if deltas then
    local copy = json.parse(raw)
    for _, row in ipairs(deltas) do
      local value = copy:raw(row[1])
      if value then
        after[#after + 1] = '{"type":"' .. row[2] .. '","' .. row[3] .. '":' .. value .. "}"
        copy:set(row[1], "")
      end
    end
    raw = copy:bytes()
    copy:free()
  elseif kind == "tool_use" then
    local copy = json.parse(raw)
    after[1] = '{"type":"input_json_delta","partial_json":' .. json.encode(copy:raw("input") or "{}") .. "}"
    copy:set("input", json.object({}))
    raw = copy:bytes()
    copy:free()
  end
  list[#list + 1] = { "content_block_start", '{"type":"content_block_start","index":' .. index .. ',"content_block":'
    .. raw .. "}" }
  for _, delta in ipairs(after) do
    list[#list + 1] = { "content_block_delta", '{"type":"content_block_delta","index":' .. index .. ',"delta":'
      .. delta .. "}" }
  end
  list[#list + 1] = { "content_block_stop", '{"type":"content_block_stop","index":' .. index .. "}" }
end

--- The events that a streamed answer would have had.
---@param doc gate.json.Doc The pivot answer.
---@return { [1]: string, [2]: string }[] name, data
function M.list_of_document(doc)
  local head = doc:fork()
  head:set("content", json.array({}))
  head:set("stop_reason", json.null)
  local list = { { "message_start", '{"type":"message_start","message":' .. head:bytes() .. "}" } }
  head:free()
  local content = doc:get("content")
  if json.type(content) == "array" then
    for i, block in json.ipairs(content) do
      if json.type(block) == "object" then
        of_block(list, i - 1, block)
      end
    end
  end
  list[#list + 1] = {
    "message_delta",
    '{"type":"message_delta","delta":{"stop_reason":' .. (doc:raw("stop_reason") or "null") .. ',"stop_sequence":'
      .. (doc:raw("stop_sequence") or "null") .. '},"usage":' .. (doc:raw("usage") or "{}") .. "}",
  }
  list[#list + 1] = { "message_stop", '{"type":"message_stop"}' }
  return list
end

--- Shows an answer that was not streamed as the events it would have been.
---@return gate.Err?
function M.of_document(ctx, hooks, doc)
  if doc:get("type") ~= "message" then
    return nil -- a token count, a batch: no events
  end
  local event = M.new(false)
  for _, row in ipairs(M.list_of_document(doc)) do
    local data, err = M.show(event, hooks, ctx, row[1], row[2])
    if not data and err then
      return err.code and err or errors.new("internal", "internal error")
    end
  end
  return nil
end

return M
