--- A scripted upstream: listens on loopback and runs one function per connection, in order (the last one for all
--- further ones). Each gets (conn, upstream); conn:read_request() reads one request, as { head, body }.
local task = require("rt.task")
local tcp = require("rt.tcp")

local M = {}

local Conn = {}
Conn.__index = Conn

--- Reads one request, with a body by content-length or chunked. nil at the end of the connection.
function Conn:read_request()
  local data = self.rest
  local function more()
    local part, err = self.raw:read()
    if part then
      data = data .. part
    end
    return part ~= nil, err
  end
  while not data:find("\r\n\r\n", 1, true) do
    local ok, err = more()
    if not ok then
      return nil, err
    end
  end
  local head_end = select(2, data:find("\r\n\r\n", 1, true))
  local head = data:sub(1, head_end)
  local length = tonumber(head:lower():match("\r\ncontent%-length: (%d+)\r\n") or 0)
  local body
  if head:lower():find("transfer-encoding: chunked", 1, true) then
    local parts, at = {}, head_end + 1
    while true do
      local line_end = data:find("\r\n", at, true)
      if line_end then
        local size = tonumber(data:sub(at, line_end - 1), 16)
        while #data < line_end + 1 + size + 2 do
          if not more() then
            return nil
          end
        end
        parts[#parts + 1] = data:sub(line_end + 2, line_end + 1 + size)
        at = line_end + 2 + size + 2
        if size == 0 then
          break
        end
      elseif not more() then
        return nil
      end
    end
    body = table.concat(parts)
    self.rest = data:sub(at)
  else
    while #data < head_end + length do
      local ok, err = more()
      if not ok then
        return nil, err
      end
    end
    body = data:sub(head_end + 1, head_end + length)
    self.rest = data:sub(head_end + length + 1)
  end
  self.count = self.count + 1
  return { head = head, body = body }
end

function Conn:write(text)
  return self.raw:write(text)
end

--- Answers with a body by content-length.
function Conn:answer(status, body, headers)
  return self.raw:write(("HTTP/1.1 %d X\r\ncontent-length: %d\r\n%s\r\n%s"):format(status, #body, headers or "", body))
end

function Conn:close()
  self.raw:close()
end

function Conn:reset()
  self.raw:reset()
end

--- Answers every request with its number until the client goes.
function M.serve(conn)
  while true do
    local request = conn:read_request()
    if not request then
      return conn:close()
    end
    conn:answer(200, "answer " .. conn.count)
  end
end

--- Starts one. options.tls: as for rt.tcp.listen. scripts: functions, one per connection.
function M.start(scripts, options)
  if type(scripts) == "function" then
    scripts = { scripts }
  end
  options = options or {}
  local listener = assert(tcp.listen("127.0.0.1", 0, options.tls))
  local self = { port = listener:port(), connections = 0, errors = {} }
  self.origin = (options.tls and "https" or "http") .. "://" .. (options.host or "127.0.0.1") .. ":" .. self.port
  local running = {}
  local accepting = task.spawn(function()
    while true do
      local raw, err = listener:accept()
      if raw then
        self.connections = self.connections + 1
        local script = scripts[math.min(self.connections, #scripts)]
        running[#running + 1] = task.spawn(function()
          local conn = setmetatable({ raw = raw, rest = "", count = 0 }, Conn)
          script(conn, self)
          raw:close()
        end)
      elseif err.code == "closed" or err.code == "cancelled" then
        return
      else
        self.errors[#self.errors + 1] = err
      end
    end
  end)
  function self.stop()
    listener:close()
    accepting:join()
    for _, one in ipairs(running) do
      one:cancel()
      one:join()
    end
  end
  return self
end

return M
