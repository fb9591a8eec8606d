--- What the benchmark knows of this machine and of processes on it: /proc, free ports, one HTTP request.
local ffi = require("ffi")
local lfs = require("lfs")
local task = require("rt.task")
local tcp = require("rt.tcp")

local M = {}

ffi.cdef([[
  typedef struct { long s, ns; } bench_timespec;
  int clock_gettime(int clock, bench_timespec *at);
]])

local CLOCK_MONOTONIC = 1
local at = ffi.new("bench_timespec")

--- Milliseconds, with a fraction.
function M.now_ms()
  ffi.C.clock_gettime(CLOCK_MONOTONIC, at)
  return tonumber(at.s) * 1000 + tonumber(at.ns) / 1e6
end

local function read(path)
  local file = io.open(path, "rb")
  if not file then
    return ""
  end
  local text = file:read("*a")
  file:close()
  return text
end

M.read = read

--- A process and all below it.
---@param pid integer
---@return integer[]
function M.tree(pid)
  local pids, i = { pid }, 1
  while pids[i] do
    for child in read(("/proc/%d/task/%d/children"):format(pids[i], pids[i])):gmatch("%d+") do
      pids[#pids + 1] = tonumber(child)
    end
    i = i + 1
  end
  return pids
end

--- CPU time that all threads of these processes have used, in microseconds.
function M.cpu_us(pids)
  local ns = 0
  for _, pid in ipairs(pids) do
    local folder = ("/proc/%d/task"):format(pid)
    if lfs.attributes(folder) then
      for thread in lfs.dir(folder) do
        if thread:find("^%d") then -- not "..": that is the main thread once more
          ns = ns + (tonumber(read(folder .. "/" .. thread .. "/schedstat"):match("^%d+")) or 0)
        end
      end
    end
  end
  return ns / 1000
end

--- Proportional memory (PSS) of these processes, in KiB.
function M.pss_kib(pids)
  local kib = 0
  for _, pid in ipairs(pids) do
    kib = kib + (tonumber(read(("/proc/%d/smaps_rollup"):format(pid)):match("\nPss:%s+(%d+) kB")) or 0)
  end
  return kib
end

--- A port that was free just now.
function M.free_port()
  local listener = assert(tcp.listen("127.0.0.1", 0))
  local port = listener:port()
  listener:close()
  return port
end

--- One POST, answered in full.
---@return integer? status nil: nobody listens, or the answer broke.
---@return string text Head and body.
function M.post(port, path, headers, body)
  task.deadline(10000)
  local conn, err = tcp.connect("127.0.0.1", port)
  if not conn then
    return nil, err.message
  end
  conn:write(("POST %s HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nconnection: close\r\ncontent-type: application/json\r\n%s"
    .. "content-length: %d\r\n\r\n%s"):format(path, port, headers, #body, body))
  local parts = {}
  while true do
    local text = conn:read()
    if not text then
      break
    end
    parts[#parts + 1] = text
  end
  conn:close()
  task.deadline(nil)
  local text = table.concat(parts)
  return tonumber(text:match("^HTTP/1%.1 (%d%d%d)")), text
end

--- What stands in the README beside the figures.
function M.describe()
  local kernel = read("/proc/sys/kernel/osrelease"):match("%S+")
  local model = read("/proc/cpuinfo"):match("model name%s*: ([^\n]+)") or "?"
  local system = read("/etc/os-release"):match('PRETTY_NAME="([^"]+)"') or "?"
  return ("%s, %s, Linux %s"):format(model, system, kernel)
end

return M
