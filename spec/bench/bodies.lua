--- Request bodies of the benchmark, written to files that wrk and streams.c read.
local M = {}

local MODEL = "claude-sonnet-4-6"
local SENTENCE = "The quick brown fox jumps over the lazy dog while the gateway copies bytes and nothing else. "
local MESSAGES, MESSAGE_BYTES = 900, 1720

-- So much ordinary text, as it stands inside a JSON string: with escapes now and then.
local function text_of(size)
  local line = SENTENCE:sub(1, -2) .. '\\n\\"So it goes.\\" '
  return (line:rep(math.ceil(size / #line)):sub(1, size):gsub("\\$", "."))
end

local function sized(size, head, tail)
  return head .. text_of(size - #head - #tail) .. tail
end

--- A request of one user message, `size` bytes in all. Messages and Chat Completions spell it alike.
function M.text(size)
  return sized(size, '{"model":"' .. MODEL .. '","max_tokens":1024,"messages":[{"role":"user","content":"', '"}]}')
end

--- A request for a stream. gap_ms: one event every so many milliseconds.
function M.stream(events, gap_ms)
  return ('{"model":"%s","max_tokens":%d,"stream":true,"messages":[{"role":"user","content":"%s %s"}]}'):format(
    MODEL, events, text_of(600), gap_ms and "gap-" .. gap_ms or "at once")
end

local function base64_of(size)
  local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  local parts, state = {}, 1
  for i = 1, 4096 do
    state = (state * 1103515245 + 12345) % 2147483648
    local at = math.floor(state / 65536) % 64 + 1
    parts[i] = alphabet:sub(at, at)
  end
  local block = table.concat(parts)
  return (block:rep(math.ceil(size / #block)):sub(1, size - size % 4))
end

--- Messages with one image of about `size` bytes.
function M.image(size)
  return ('{"model":"%s","max_tokens":1024,"messages":[{"role":"user","content":[{"type":"text","text":"What is this?"},'
    .. '{"type":"image","source":{"type":"base64","media_type":"image/png","data":"%s"}}]}]}'):format(MODEL, base64_of(size))
end

--- The same as Chat Completions.
function M.chat_image(size)
  return ('{"model":"%s","max_tokens":1024,"messages":[{"role":"user","content":[{"type":"text","text":"What is this?"},'
    .. '{"type":"image_url","image_url":{"url":"data:image/png;base64,%s"}}]}]}'):format(MODEL, base64_of(size))
end

--- Chat Completions: a system message and a conversation of 900 messages, about 1.6 MB.
function M.chat_history()
  local parts = { '{"role":"system","content":"You are a helpful assistant."}' }
  for i = 1, MESSAGES - 1 do
    parts[#parts + 1] = ('{"role":"%s","content":"%d: %s"}'):format(
      i % 2 == 1 and "user" or "assistant", i, text_of(MESSAGE_BYTES + i % 97))
  end
  return ('{"model":"%s","max_tokens":1024,"messages":[%s]}'):format(MODEL, table.concat(parts, ","))
end

return M
