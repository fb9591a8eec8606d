--- The control channel between supervisor and worker: one JSON object per line over a socket pair. Messages are
--- listed in lua/gate/README.md, "Supervisor and worker". Both ends are ours, so what does not parse is a bug or a
--- worker gone mad: it ends the channel.
local cjson = require("cjson")
local page = require("rt.page")
local pipe = require("rt.pipe")
local system = require("rt.system")

local M = {}

--- Descriptors that a worker is started with. Listening sockets follow.
M.CONTROL_FD, M.PAGE_FD, M.FIRST_LISTEN_FD = 3, 4, 5
--- The environment variable that makes a process a worker: JSON { index, listen, grace_s, parent }.
M.VARIABLE = "MOONGATE_WORKER"

local HEARTBEAT_MS = 200

---@class gate.control.Channel
---@field pipe rt.Pipe
local Channel = {}
Channel.__index = Channel

--- Takes over one end of a socket pair.
---@param fd integer
---@return gate.control.Channel? channel
---@return gate.Err? err
function M.open(fd)
  local opened, err = pipe.open(fd)
  if not opened then
    return nil, err
  end
  return setmetatable({ pipe = opened }, Channel)
end

--- A message as the line that send_line() takes; for one that goes to several workers.
---@param message table
---@return string
function M.encode(message)
  return cjson.encode(message) .. "\n"
end

--- Sends without waiting: a worker that does not read must not hold up the supervisor.
---@param message table
---@return true? ok
---@return gate.Err? err reset, closed
function Channel:send(message)
  return self.pipe:send(M.encode(message))
end

function Channel:send_line(line)
  return self.pipe:send(line)
end

--- Waits for the next message.
---@return table? message nil without err: the other side has closed.
---@return gate.Err? err
function Channel:receive()
  local line, err = self.pipe:read_line()
  if not line then
    return nil, err
  end
  local ok, message = pcall(cjson.decode, line)
  if not ok or type(message) ~= "table" or type(message.type) ~= "string" then
    return nil, { code = "bad_message", message = "control channel: not a message: " .. line:sub(1, 200) }
  end
  return message
end

function Channel:close()
  self.pipe:close()
end

-- What the supervisor reads when this worker no longer answers. By FFI, because it is written around every hook.
local function open_memory(shared)
  local ffi = require("ffi")
  ffi.cdef(page.CDEF)
  return ffi.cast("rt_shared_page *", shared:pointer())
end

--- Becomes a worker: takes over what the supervisor handed on, begins to beat, and ends with the supervisor.
---@return gate.worker.Options? options For gate.worker.main.
---@return gate.Err? err This process was not started by a supervisor.
function M.become_worker()
  local text = system.getenv(M.VARIABLE)
  if not text then
    return nil, { code = "bad_start", message = "workers are started by `moongate run`" }
  end
  system.unsetenv(M.VARIABLE)
  local own = cjson.decode(text)
  -- A terminal or a service manager may send these to every process: the supervisor decides what they mean.
  require("rt.process").ignore_signals({ "INT", "HUP", "TERM" })
  system.protect_memory()
  system.raise_file_limit()
  system.end_with_parent(own.parent, own.grace_s)
  local shared, err = page.open(M.PAGE_FD)
  if not shared then
    return nil, err
  end
  shared:beat(HEARTBEAT_MS)
  local control
  control, err = pipe.open(M.CONTROL_FD)
  if not control then
    return nil, err
  end
  local listen_fds = {}
  for i = 1, own.listen do
    listen_fds[i] = M.FIRST_LISTEN_FD + i - 1
    system.close_on_exec(listen_fds[i])
  end
  return {
    index = own.index,
    control = {
      read_line = function()
        return control:read_line()
      end,
      write = function(line)
        return control:write(line:sub(-1) == "\n" and line or line .. "\n")
      end,
      close = function()
        control:close()
      end,
    },
    listen_fds = listen_fds,
    page = shared,
    counters = open_memory(shared), -- counters.crumb, counters.requests_total, ... (rt.page)
  }
end

return M
