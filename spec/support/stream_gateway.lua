--- A little gateway for specs of streams: an upstream that a script plays on a raw connection, a server
--- whose handler joins it with the client, and a client that reads what comes out, byte by byte if need be.
local client = require("rt.client")
local relay = require("rt.relay")
local server = require("rt.server")
local task = require("rt.task")
local tcp = require("rt.tcp")

local M = {}

M.STREAM_HEAD = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
M.LAST_CHUNK = "0\r\n\r\n"

--- Frames text as one chunk.
---@param text string
---@return string
function M.chunk(text)
  return ("%x\r\n%s\r\n"):format(#text, text)
end

local function read_head(conn)
  local head = ""
  while not head:find("\r\n\r\n", 1, true) do
    local piece = conn:read()
    if not piece then
      return nil
    end
    head = head .. piece
  end
  return head
end

--- Starts upstream and gateway.
---@param script fun(conn: table) Plays the upstream: the request has been read, the connection is closed after it.
---@param handle fun(req: table, call: table) Answers the client. `call` is the upstream's answer.
---@param limits? table Of the server.
---@return table gateway Fields port, upstream_ended (how many scripts have ended); method close().
function M.start(script, handle, limits)
  local self = { upstream_ended = 0, errors = {} }
  local listener = assert(tcp.listen("127.0.0.1", 0))
  local upstream = task.spawn(function()
    while true do
      local conn = listener:accept()
      if not conn then
        return
      end
      task.spawn(function()
        if read_head(conn) then
          script(conn)
        end
        conn:close()
        self.upstream_ended = self.upstream_ended + 1
      end)
    end
  end)
  local pool = client.new({})
  local front = assert(server.listen({
    address = "127.0.0.1:0",
    limits = limits,
    handler = function(req)
      local call, err = pool:send({
        origin = ("http://127.0.0.1:%d"):format(listener:port()),
        method = "POST",
        target = "/",
        headers = {},
        body = "{}",
      })
      if not call then
        return req:respond(502, {}, err.code)
      end
      task.defer(function()
        call:close()
      end)
      handle(req, call)
    end,
    on_error = function(err)
      self.errors[#self.errors + 1] = err
    end,
  }))
  self.port = front:port()
  function self.close()
    front:close()
    front:drain(1000)
    listener:close()
    upstream:join()
    pool:close()
  end
  return self
end

--- Sends a request and returns the connection.
---@param port integer
---@return table conn
function M.ask(port)
  local conn = assert(tcp.connect("127.0.0.1", port))
  assert(conn:write("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"))
  return conn
end

-- Decodes as many chunks as are there; true: the last one was among them.
local function decode(text)
  local parts, at = {}, 1
  while true do
    local size, stop = text:match("^(%x+)\r\n()", at)
    size = tonumber(size or "", 16)
    if not size or #text < stop + size + 1 then
      return table.concat(parts), false
    end
    if size == 0 then
      return table.concat(parts), true
    end
    parts[#parts + 1] = text:sub(stop, stop + size - 1)
    at = stop + size + 2
  end
end

--- Reads an answer until it is over, or the connection is.
---@param conn table
---@param enough? fun(body: string): boolean Stops early when it says so.
---@return string body
---@return boolean is_whole Ended as it should.
---@return string head
function M.read_answer(conn, enough)
  local text = ""
  while true do
    local head, rest = text:match("^(.-\r\n\r\n)(.*)$")
    local body, is_whole = "", false
    local size = rest and tonumber(head:match("content%-length: (%d+)"))
    if size then
      body, is_whole = rest, #rest >= size
    elseif rest then
      body, is_whole = decode(rest)
    end
    if is_whole or (enough and enough(body)) then
      return body, is_whole, head
    end
    local piece = conn:read()
    if not piece then
      return body, false, head
    end
    text = text .. piece
  end
end

--- One request through a gateway with this upstream and handler.
---@return string body
---@return boolean is_whole
---@return string head
function M.roundtrip(script, handle)
  local gateway = M.start(script, handle)
  local conn = M.ask(gateway.port)
  local body, is_whole, head = M.read_answer(conn)
  conn:close()
  gateway.close()
  assert(#gateway.errors == 0, gateway.errors[1] and tostring(gateway.errors[1].message))
  return body, is_whole, head
end

M.new_relay = relay.new

return M
