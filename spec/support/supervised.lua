--- A supervisor over spec/support/echo_worker.lua, for specs. The bundle is a JSON file that each reload reads anew.
local cjson = require("cjson")
local eventually = require("spec.support.eventually")
local fs = require("rt.fs")
local process = require("spec.support.process")
local rt = require("rt.process")
local system = require("rt.system")
local tcp = require("rt.tcp")

local M = {}

---@class spec.Supervised
---@field program spec.Program
---@field port integer
local Supervised = {}
Supervised.__index = Supervised

--- Starts it and waits until it is ready.
---@param bundle table See echo_worker.lua and supervise.lua.
---@param is_ready_wanted boolean? Default true.
---@return spec.Supervised
function M.start(bundle, is_ready_wanted)
  local home = system.home()
  local self = setmetatable({ seen = 1 }, Supervised)
  local folder = process.folder()
  process.write_file(folder .. "/bundle.json", cjson.encode(bundle))
  self.bundle_path = folder .. "/bundle.json"
  self.program = process.start({
    folder = folder, args = { "--script", home .. "/spec/support/supervise.lua", self.bundle_path },
  })
  if is_ready_wanted ~= false then
    self.port = tonumber(self:wait_for('"event":"ready","listen":%["127%.0%.0%.1:(%d+)"%]'))
  end
  return self
end

--- Waits for the next log line after those seen before that matches.
function Supervised:wait_for(pattern)
  return self.program:wait_for(pattern)
end

--- Counts lines of an event.
function Supervised:count(event)
  local count = 0
  for _ in self.program:output():gmatch('"event":"' .. event .. '"') do
    count = count + 1
  end
  return count
end

--- Waits until an event was logged a number of times.
function Supervised:wait_count(event, count)
  local has_ended
  local ok, err = pcall(eventually.is, function()
    has_ended = not self.program.child:kill(0)
    return self:count(event) >= count or has_ended
  end)
  if not ok or self:count(event) < count then
    error(("%s was not logged (%s): %s"):format(event, has_ended and "ended" or tostring(err), self.program:output()), 2)
  end
end

function Supervised:set_bundle(bundle)
  assert(fs.write_file(self.bundle_path, cjson.encode(bundle)))
end

function Supervised:signal(name)
  assert(self.program.child:kill(name))
end

--- Sends one line on a new connection.
function Supervised:connect(line)
  local conn = assert(tcp.connect("127.0.0.1", self.port))
  if line then
    conn:write(line .. "\n")
  end
  return conn
end

--- What a connection says until it ends: the text, and an error if it was cut.
function M.read_all(conn)
  local parts = {}
  local text, err = conn:read()
  while text do
    parts[#parts + 1] = text
    text, err = conn:read()
  end
  conn:close()
  return table.concat(parts), err
end

--- Asks one question on a new connection.
---@return integer? worker
---@return integer? pid
---@return string? word
function Supervised:ask(line)
  local text = M.read_all(self:connect(line or "hello"))
  local worker, pid, word = text:match("^(%d+) (%d+) (%S+)\n$")
  return tonumber(worker), tonumber(pid), word
end

--- Asks until each of `count` workers has answered; their pids and words by index.
function Supervised:ask_all(count)
  local pids, words, known = {}, {}, 0
  while known < count do
    local worker, pid, word = self:ask()
    if worker then
      known = known + (pids[worker] and 0 or 1)
      pids[worker], words[worker] = pid, word
    end
  end
  return pids, words
end

--- Process ids of its children that are alive.
function Supervised:children()
  local text = process.read_file(("/proc/%d/task/%d/children"):format(self.program.pid, self.program.pid)) or ""
  local pids = {}
  for pid in text:gmatch("%d+") do
    pids[#pids + 1] = tonumber(pid)
  end
  return pids
end

--- Waits until a process is gone (or a zombie that this container's first process does not reap).
function M.wait_gone(pid)
  eventually.is(function()
    local stat = rt.kill(pid, 0) and process.read_file("/proc/" .. pid .. "/stat")
    return not stat or stat:find(") Z", 1, true)
  end)
end

function Supervised:stop()
  self.program:stop("TERM")
end

return M
