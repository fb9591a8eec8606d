--- What a broken upstream says, byte for byte, and how clients ask: for spec/threats.
local assert = require("luassert")
local between = require("spec.support.between")

local M = {}

--- Stands in whatever must not reach a client or the log.
M.CANARY = "CANARY-of-the-upstream"
M.MODEL = "aws/claude-haiku-4-5"

local ASK = [[{"model":"%s","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}]]
local ASK_STREAM = [[{"model":"%s","max_tokens":5,"stream":true,"messages":[{"role":"user","content":"hi"}]}]]

--- The events of a short answer.
M.EVENTS = {
  'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","usage":{"input_tokens":3,"output_tokens":1}}}\n\n',
  'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n',
  'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"some"}}\n\n',
  'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n',
  'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}\n\n',
  'event: message_stop\ndata: {"type":"message_stop"}\n\n',
}
M.WHOLE = table.concat(M.EVENTS)
--- Its first half.
M.BEGUN = table.concat(M.EVENTS, "", 1, 3)
M.STREAM_HEAD = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

--- Frames text as one chunk.
function M.chunk(text)
  return ("%x\r\n%s\r\n"):format(#text, text)
end

--- A whole answer that is a stream.
function M.stream(text)
  return M.STREAM_HEAD .. (text == "" and "" or M.chunk(text)) .. "0\r\n\r\n"
end

--- An answer with a status.
---@param headers string? Lines, each with its CR LF.
function M.failing(status, body, headers)
  return ("HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%s\r\n%s"):format(status, #body, headers or "", body)
end

--- A body in the upstream's own form of an error.
function M.error_body(kind, message)
  return ('{"type":"error","error":{"type":"%s","message":"%s"}}'):format(kind, message or M.CANARY)
end

function M.ok()
  return between.json(between.ANSWER)
end

--- How clients ask: way(run, model) -> answer.
M.WAYS = {
  messages = function(run, model) return run:ask("/v1/messages", ASK:format(model or M.MODEL)) end,
  messages_stream = function(run, model) return run:ask("/v1/messages", ASK_STREAM:format(model or M.MODEL)) end,
  chat = function(run, model) return run:ask("/v1/chat/completions", ASK:format(model or M.MODEL)) end,
  chat_stream = function(run, model) return run:ask("/v1/chat/completions", ASK_STREAM:format(model or M.MODEL)) end,
}
M.ASK, M.ASK_STREAM = ASK:format(M.MODEL), ASK_STREAM:format(M.MODEL)

--- Checks that an answer is an error that shows nothing of the upstream's. `codes` gets what the log must say of it,
--- for assert_logged(): the log is written a little later, so it is read once.
function M.assert_refused(codes, answer, status, code)
  assert.equal(status, answer.status, answer.body)
  assert.is_nil(answer.body:find(M.CANARY, 1, true))
  assert.matches('"error":{', answer.body, 1, true)
  codes[#codes + 1] = { answer = answer, code = code }
end

--- Checks the log's line of each of those answers.
function M.assert_logged(run, codes)
  assert.is_true(#codes > 0)
  for _, expected in ipairs(codes) do
    assert.equal(expected.code, run:log_of(expected.answer).error)
  end
end

return M
