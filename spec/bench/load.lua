--- Puts load on a target and says what it cost: wrk for requests, streams.c for streams.
local lfs = require("lfs")
local machine = require("spec.bench.machine")
local process = require("spec.support.process")
local targets = require("spec.bench.targets")

local M = {}

local ROOT = lfs.currentdir()
local folder

--- Writes a body to a file; its path.
function M.body_file(name, text)
  folder = folder or process.folder()
  local path = folder .. "/" .. name .. ".json"
  process.write_file(path, text)
  return path
end

function M.remove_files()
  if folder then
    process.remove_folder(folder)
    folder = nil
  end
end

local function figures(line)
  local out = {}
  for name, value in line:gmatch("([%w_]+)=(%S+)") do
    out[name] = tonumber(value) or value
  end
  return out
end

---@class bench.Requests
---@field surface "messages"|"chat"
---@field body_file string
---@field connections integer
---@field keys? integer Keys that take turns.

--- Requests one after the other on each connection.
---@param target table
---@param load bench.Requests
---@param seconds integer
---@return table figures cpu_us (a request), p50_us, p99_us, per_second, failed.
function M.requests(target, load, seconds)
  local before = machine.cpu_us(target.pids)
  local status, output = process.run({
    file = ROOT .. "/build/tools/bin/wrk", limit_ms = seconds * 1000 + 30000,
    args = {
      "-t1", "-c" .. load.connections, "-d" .. seconds .. "s", "--timeout", "20s", "-s", ROOT .. "/spec/bench/request.lua",
      ("http://127.0.0.1:%d%s"):format(target.port, targets.PATHS[load.surface]), "--", load.body_file,
      tostring(load.keys or 1), unpack(targets.HEADERS[load.surface]),
    },
  })
  local used_us = machine.cpu_us(target.pids) - before
  local line = output:match("\nbench ([^\n]+)")
  if status ~= 0 or not line then
    error("wrk failed:\n" .. output)
  end
  local out = figures(line)
  out.cpu_us, out.per_second = used_us / out.requests, out.requests / (out.duration_us / 1e6)
  return out
end

---@class bench.Streams
---@field surface "messages"|"chat"
---@field body_file string
---@field streams integer
---@field events integer Of a whole stream.

--- Starts streams; the program's line comes when it ends.
function M.start_streams(target, load, seconds)
  return process.start({
    file = ROOT .. "/build/bench/streams",
    args = {
      tostring(target.port), targets.PATHS[load.surface], load.body_file, tostring(load.streams), tostring(seconds),
      tostring(load.events), #target.pids > 0 and table.concat(target.pids, ",") or "-", unpack(targets.headers(load.surface)),
    },
  })
end

--- Streams, each begun anew when it ends.
---@param target table
---@param load bench.Streams
---@param seconds number
---@param on_open? fun() Called when all streams are open.
---@return table figures cpu_us (an event), p50_us, p99_us, p999_us, per_second, failed.
function M.streams(target, load, seconds, on_open)
  local program = M.start_streams(target, load, seconds)
  local ok, message = pcall(function()
    if on_open then
      program:wait_for("(open)")
      on_open()
    end
    program:wait(seconds * 1000 + 60000)
  end)
  local output = program:output()
  program:stop("KILL")
  local line = output:match("(streams=[^\n]+)")
  if not ok or not line then
    error("streams failed: " .. tostring(message) .. "\n" .. output)
  end
  local out = figures(line)
  out.cpu_us, out.per_second = out.cpu_ns / 1000 / out.events, out.events / out.seconds
  return out
end

return M
