--- Raw HTTP for specs: servers on a free port, and bytes sent to them exactly as written.
local ffi = require("ffi")
local server = require("rt.server")
local task = require("rt.task")
local tcp = require("rt.tcp")

ffi.cdef([[
  typedef struct { uint32_t tag, refs; size_t size, capacity; char *data; bool has_sha256; uint8_t sha256[32]; } spec_bytes;
  void spec_bytes_drop(void *b) __asm__("bytes_drop");
]])

local M = {}

local PATIENCE_MS = 10000

--- Takes a `bytes` reference (of req:read_body, say) and gives it back.
---@param pointer lightuserdata
---@return string text
---@return string? sha256 32 bytes, where it was made.
function M.take(pointer)
  local b = ffi.cast("spec_bytes *", pointer)
  local text = ffi.string(b.data, b.size)
  local sha256 = b.has_sha256 and ffi.string(b.sha256, 32) or nil
  ffi.C.spec_bytes_drop(b)
  return text, sha256
end

--- Runs fn(server, port) against a server, which is drained afterwards whatever happens.
---@param options table|function Of rt.server.listen, or only the handler.
---@param fn fun(port: integer, server: table): any
function M.with(options, fn)
  options = type(options) == "table" and options or { handler = options }
  options.address = options.address or not options.path and not options.fd and "127.0.0.1:0" or nil
  local running = assert(server.listen(options))
  local ok, err = xpcall(fn, debug.traceback, running:port(), running)
  running:drain(0)
  if not ok then
    error(err, 0)
  end
end

--- A connection; what waits on it gives up after ten seconds instead of hanging the run.
---@param port integer|string Port, or "unix:path".
function M.connect(port)
  task.deadline(PATIENCE_MS)
  return assert(tcp.connect(type(port) == "string" and port or "127.0.0.1", type(port) == "number" and port or 0))
end

--- Reads until the other side closes.
---@return string text
---@return gate.Err? err When it did not close in order.
function M.read_all(conn)
  local parts = {}
  while true do
    local data, err = conn:read()
    if not data then
      return table.concat(parts), err
    end
    parts[#parts + 1] = data
  end
end

--- Reads until the text so far contains `mark` (plain) `count` times, or the connection ends.
function M.read_until(conn, mark, count)
  local text, seen = "", 0
  count = count or 1
  local from = 1
  while seen < count do
    local data = conn:read()
    if not data then
      return text
    end
    text = text .. data
    while true do
      local _, stop = text:find(mark, from, true)
      if not stop then
        break
      end
      seen, from = seen + 1, stop + 1
    end
  end
  return text
end

--- Sends text on a connection of its own and reads until the server closes.
function M.send(port, text)
  local conn = M.connect(port)
  conn:write(text)
  local answer, err = M.read_all(conn)
  conn:close()
  return answer, err
end

--- Takes an answer apart; `text` may hold several.
---@return { status: integer, headers: table<string, string>, body: string }[]
function M.parse(text, is_head)
  local answers, at = {}, 1
  while at <= #text do
    local head_end = assert(text:find("\r\n\r\n", at, true), "no end of a head in " .. text:sub(at))
    local head = text:sub(at, head_end + 1)
    local answer = { status = tonumber(head:match("^HTTP/1%.1 (%d%d%d) ")), headers = {}, body = "" }
    for name, value in head:gmatch("\r\n([^:\r\n]+): ([^\r\n]*)") do
      answer.headers[name] = value
    end
    at = head_end + 4
    if answer.headers["transfer-encoding"] == "chunked" then
      while true do
        local size, start = text:match("^(%x+)\r\n()", at)
        if not size then
          answer.is_cut = true
          at = #text + 1
          break
        end
        answer.body = answer.body .. text:sub(start, start + tonumber(size, 16) - 1)
        at = start + tonumber(size, 16) + 2
        if tonumber(size, 16) == 0 then
          break
        end
      end
    elseif answer.headers["content-length"] then
      local size = is_head and 0 or tonumber(answer.headers["content-length"])
      answer.body = text:sub(at, at + size - 1)
      at = at + size
    elseif answer.status >= 200 and answer.status ~= 204 and answer.status ~= 304 then
      answer.body = text:sub(at)
      at = #text + 1
    end
    answers[#answers + 1] = answer
  end
  return answers
end

--- The one answer to text.
function M.ask(port, text)
  local raw = M.send(port, text)
  return raw ~= "" and M.parse(raw, text:sub(1, 5) == "HEAD ")[1] or nil, raw
end

return M
