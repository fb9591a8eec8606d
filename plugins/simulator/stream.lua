--- An answer as the events of a stream, in pieces of fixed length that never cut a UTF-8 sequence.
--- Source: messages-api.md section 7 (2026-11-22).
local json = require("gate.json")
local compose = require("plugins.simulator.compose")

local M = {}

local PIECE_BYTES = 12

local function frame(name, pairs_)
  table.insert(pairs_, 1, { "type", name })
  return "event: " .. name .. "\ndata: " .. json.encode(json.object(pairs_)) .. "\n\n"
end

local function pieces(text)
  local list, at = {}, 1
  while at <= #text do
    local last = math.min(at + PIECE_BYTES - 1, #text)
    while last < #text and text:byte(last + 1) >= 0x80 and text:byte(last + 1) < 0xC0 do
      last = last + 1
    end
    list[#list + 1] = text:sub(at, last)
    at = last + 1
  end
  return list
end

local function delta(index, kind, field, value)
  return frame("content_block_delta", { { "index", index }, { "delta", json.object({ { "type", kind }, { field, value } }) } })
end

local function add_block(events, index, block)
  local function start(content_block)
    events[#events + 1] = frame("content_block_start", { { "index", index }, { "content_block", content_block } })
  end
  if block.type == "text" then
    start(json.object({ { "type", "text" }, { "text", "" } }))
    for _, piece in ipairs(pieces(block.text)) do
      events[#events + 1] = delta(index, "text_delta", "text", piece)
    end
  elseif block.type == "thinking" then
    start(json.object({ { "type", "thinking" }, { "thinking", "" }, { "signature", "" } }))
    for _, piece in ipairs(pieces(block.thinking)) do
      events[#events + 1] = delta(index, "thinking_delta", "thinking", piece)
    end
    events[#events + 1] = delta(index, "signature_delta", "signature", block.signature)
  else
    start(json.object({ { "type", "tool_use" }, { "id", block.id }, { "name", block.name }, { "input", json.object({}) } }))
    events[#events + 1] = delta(index, "input_json_delta", "partial_json", "")
    if block.input ~= "{}" then -- a call without arguments has no further delta
      for _, piece in ipairs(pieces(block.input)) do
        events[#events + 1] = delta(index, "input_json_delta", "partial_json", piece)
      end
    end
  end
  events[#events + 1] = frame("content_block_stop", { { "index", index } })
end

--- All events of an answer, as frames.
---@param answer table From compose.
---@return string[] frames
function M.events(answer)
  local events = {
    frame("message_start", { { "message", compose.message_json(answer, true) } }),
    frame("ping", {}),
  }
  for i, block in ipairs(answer.blocks) do
    add_block(events, i - 1, block)
  end
  events[#events + 1] = frame("message_delta", {
    { "delta", json.object({
      { "stop_reason", answer.stop_reason }, { "stop_sequence", answer.stop_sequence or json.null },
      { "stop_details", compose.stop_details(answer) },
    }) },
    { "usage", compose.usage_json(answer, false) },
  })
  events[#events + 1] = frame("message_stop", {})
  return events
end

--- An error event.
function M.error_event(kind, message)
  return frame("error", { { "error", json.object({ { "type", kind }, { "message", message } }) } })
end

return M
