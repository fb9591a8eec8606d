--- One worker's place: its listening sockets, and the process that serves them now. The sockets stay when the
--- process dies, so what waits in their queues is served by the successor. The slot only starts, watches and ends
--- the process; what it means is the supervisor's.
local control = require("gate.control")
local page = require("rt.page")
local process = require("rt.process")
local system = require("rt.system")
local task = require("rt.task")
local time = require("rt.time")

local M = {}

local FIRST_DELAY_MS, LAST_DELAY_MS = 100, 10000
-- A worker that served this long before it died did not die of its start.
local HEALTHY_MS = 10000
-- Not for children: they must not speak for the supervisor.
local NOT_INHERITED = { NOTIFY_SOCKET = true, WATCHDOG_USEC = true, WATCHDOG_PID = true, [control.VARIABLE] = true }

---@class gate.Slot
---@field index integer
---@field listen_fds integer[]
---@field state "empty"|"starting"|"serving"|"ended"
---@field pid integer?
---@field number integer? Generation that it serves.
---@field crashes integer Deaths in a row that came soon after a start.
---@field restarts integer
---@field channel gate.control.Channel?
---@field page rt.Page?
local Slot = {}
Slot.__index = Slot

--- Makes an empty slot.
---@param index integer
---@param listen_fds integer[]
---@param events rt.Mailbox Gets { type = "message", slot, run, message } and { type = "exit", slot, run, ended }.
---@return gate.Slot
function M.new(index, listen_fds, events)
  return setmetatable({
    index = index, listen_fds = listen_fds, events = events, state = "empty", crashes = 0, restarts = 0, run = 0,
  }, Slot)
end

local function environment(own)
  local list = {}
  for name, value in pairs(system.environment()) do
    if not NOT_INHERITED[name] then
      list[#list + 1] = name .. "=" .. value
    end
  end
  list[#list + 1] = control.VARIABLE .. "=" .. require("cjson").encode(own)
  return list
end

--- Starts a process in this slot. Its run number tells its events from those of its predecessor.
---@param args string[] Arguments of this program.
---@param grace_s integer How long it may live on after the supervisor's death.
---@return true? ok
---@return gate.Err? err
function Slot:start(args, grace_s)
  local own_end, worker_end = system.socketpair()
  if not own_end then
    return nil, worker_end
  end
  local shared, child, channel, err
  shared, err = page.create()
  if shared then
    local files = { [0] = "ignore", "inherit", "inherit", worker_end, shared:fd() }
    for _, fd in ipairs(self.listen_fds) do
      files[#files + 1] = fd
    end
    child, err = process.spawn({
      args = args, files = files,
      env = environment({ index = self.index, listen = #self.listen_fds, grace_s = grace_s, parent = system.pid() }),
    })
  end
  system.close(worker_end)
  if not child then
    system.close(own_end)
    if shared then
      shared:close()
    end
    return nil, err
  end
  channel = assert(control.open(own_end))
  self.run = self.run + 1
  self.child, self.channel, self.page, self.pid = child, channel, shared, child:pid()
  self.state, self.number, self.is_killed, self.silent_since_ms = "starting", nil, nil, nil
  self.started_at_ms, self.serving_at_ms = time.monotonic_ms(), nil
  self:watch(self.run)
  return true
end

-- Both tasks end with the process: its channel ends, and its end is reaped.
function Slot:watch(run)
  local channel, child, events = self.channel, self.child, self.events
  task.spawn(function()
    while true do
      local message, err = channel:receive()
      if not message then
        events:put({ type = "silent", slot = self, run = run, err = err })
        return
      end
      events:put({ type = "message", slot = self, run = run, message = message })
    end
  end)
  task.spawn(function()
    local ended = child:wait()
    if ended then
      events:put({ type = "exit", slot = self, run = run, ended = ended })
    end
  end)
end

---@param line string From control.encode().
function Slot:send_line(line)
  return self.channel and self.channel:send_line(line)
end

function Slot:send(message)
  return self.channel and self.channel:send(message)
end

---@param signal string
function Slot:kill(signal)
  if self.child then
    self.is_killed = true
    self.child:kill(signal)
  end
end

--- It has said that it serves a generation.
function Slot:serves(number)
  self.number = number
  if self.state == "starting" then
    self.state = "serving"
    self.serving_at_ms = time.monotonic_ms()
  end
end

--- Its process has ended. The slot is empty then.
---@return integer delay_ms When a successor should start: at once the first time, later and later in a crash loop.
function Slot:has_ended()
  local now_ms = time.monotonic_ms()
  self.channel:close()
  self.page:close()
  self.child, self.channel, self.page, self.pid, self.number = nil, nil, nil, nil, nil
  self.state = "empty"
  if self.serving_at_ms and now_ms - self.serving_at_ms >= HEALTHY_MS then
    self.crashes = 0
  end
  self.crashes = self.crashes + 1
  self.died_at_ms = now_ms
  return M.delay_ms(self.crashes)
end

--- Pure: how long the n-th crash in a row delays the successor.
---@param crashes integer
---@return integer
function M.delay_ms(crashes)
  if crashes <= 1 then
    return 0
  end
  return math.min(FIRST_DELAY_MS * 2 ^ (crashes - 2), LAST_DELAY_MS)
end

--- What the supervisor tells about it.
---@return table
function Slot:status()
  local out = { index = self.index, state = self.state, restarts = self.restarts, crashes = self.crashes }
  if self.page then
    out.pid, out.generation = self.pid, self.number
    out.heartbeat_age_ms = self.page:age_ms()
    out.requests_total = self.page:get("requests_total")
    out.requests_in_flight = self.page:get("requests_in_flight")
    out.connections = self.page:get("connections")
    out.log_dropped = self.page:get("log_dropped")
    out.memory_bytes = system.memory(self.pid)
    out.up_ms = math.floor(time.monotonic_ms() - self.started_at_ms)
  end
  return out
end

return M
