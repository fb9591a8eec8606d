--- Starts programs for specs and ends them by process id. What a program says goes to a file in a folder of its
--- own under build/tmp, so it can say as much as it likes; the folder is removed with the program.
local eventually = require("spec.support.eventually")
local ffi = require("ffi")
local lfs = require("lfs")
local process = require("rt.process")
local system = require("rt.system")
local task = require("rt.task")

ffi.cdef([[
  int open(const char *path, int flags, ...);
  int close(int fd);
]])

local M = {}

local O_WRONLY_CREATE_APPEND_CLOEXEC = 0x1 + 0x40 + 0x400 + 0x80000
-- Generous, because a build with sanitizers starts slowly on a busy machine; a good run waits milliseconds.
local READY_MS, STOP_MS = 30000, 20000

local count = 0

local function remove_tree(path)
  local mode = lfs.symlinkattributes(path, "mode")
  if mode == "directory" then
    for name in lfs.dir(path) do
      if name ~= "." and name ~= ".." then
        remove_tree(path .. "/" .. name)
      end
    end
    lfs.rmdir(path)
  elseif mode then
    os.remove(path)
  end
end

local function make_folders(path)
  local at = path:sub(1, 1) == "/" and "/" or ""
  for part in path:gmatch("[^/]+") do
    at = at .. part
    lfs.mkdir(at)
    at = at .. "/"
  end
end

--- Makes an empty folder under build/tmp. The caller removes it with remove_folder().
---@return string path Absolute.
function M.folder()
  count = count + 1
  local path = ("%s/build/tmp/%d-%d"):format(lfs.currentdir(), system.pid(), count)
  remove_tree(path)
  make_folders(path)
  return path
end

M.remove_folder = remove_tree

--- Writes a file, making its folders.
---@param path string
---@param text string
function M.write_file(path, text)
  make_folders(path:match("^(.*)/") or ".")
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

---@param path string
---@return string? text nil: there is no such file.
function M.read_file(path)
  local file = io.open(path, "rb")
  if not file then
    return nil
  end
  local text = file:read("*a")
  file:close()
  return text
end

---@class spec.Program
---@field folder string Its own, also its working folder unless told otherwise.
---@field pid integer
local Program = {}
Program.__index = Program

--- Everything it has said so far, on standard output and standard error.
---@return string
function Program:output()
  return M.read_file(self.folder .. "/output") or ""
end

--- Waits until it says something that matches a Lua pattern; raises when it ends before, or after 30 s.
---@param pattern string
---@param from? integer Position in the output to search from.
---@return string ... The pattern's captures.
function Program:wait_for(pattern, from)
  local has_ended, found
  local ok, err = pcall(eventually.is, function()
    has_ended = not self.child:kill(0) -- asked before reading, so that its last words count
    found = { self:output():match(pattern, from) }
    return found[1] or has_ended
  end, READY_MS)
  if not ok or not found[1] then
    error(("%s; %q was not said by %s:\n%s"):format(
      has_ended and "ended" or tostring(err), pattern, table.concat(self.args, " "), self:output()), 2)
  end
  return unpack(found)
end

--- Waits for its end; raises after `limit_ms`.
---@param limit_ms? integer Default 20000.
---@return { status: integer?, signal: string? }
function Program:wait(limit_ms)
  local waiting = task.spawn(function()
    task.deadline(limit_ms or STOP_MS)
    return self.child:wait()
  end)
  local _, ended, err = waiting:join()
  if not ended then
    error(("%s still runs (%s):\n%s"):format(table.concat(self.args, " "), err and err.code or "?", self:output()), 2)
  end
  return ended
end

--- Ends it (signal TERM unless given), waits until it has, removes its folder. Any number of times.
---@param signal? string
---@return { status: integer?, signal: string? }? ended nil: it was stopped before.
function Program:stop(signal)
  if self.is_stopped then
    return nil
  end
  self.is_stopped = true
  self.child:kill(signal or "TERM")
  local ok, ended = pcall(self.wait, self)
  if not ok then
    self.child:kill("KILL")
    self:wait()
  end
  remove_tree(self.folder)
  if not ok then
    error(ended, 2)
  end
  return ended
end

---@class spec.ProgramOptions
---@field file? string Default: this gateway's binary.
---@field args string[]
---@field env? table<string, string> Beside this process's.
---@field files? table<string, string> Path in the program's folder -> text.
---@field folder? string Made by folder(); default: a new one.
---@field cwd? string Default: the folder.

--- Starts a program.
---@param options spec.ProgramOptions
---@return spec.Program
function M.start(options)
  local folder = options.folder or M.folder()
  for path, text in pairs(options.files or {}) do
    M.write_file(folder .. "/" .. path, text)
  end
  local environment, list = system.environment(), {}
  for name, text in pairs(options.env or {}) do
    environment[name] = text
  end
  for name, text in pairs(environment) do
    list[#list + 1] = name .. "=" .. text
  end
  local output = ffi.C.open(folder .. "/output", O_WRONLY_CREATE_APPEND_CLOEXEC, ffi.new("int", 384)) -- mode 0600
  assert(output >= 0, "cannot write " .. folder .. "/output")
  local child, err = process.spawn({
    file = options.file,
    args = options.args,
    env = list,
    folder = options.cwd or folder,
    files = { [0] = "ignore", output, output },
  })
  ffi.C.close(output)
  if not child then
    remove_tree(folder)
    error(("cannot start %s: %s"):format(options.file or "moongate", err.message), 2)
  end
  return setmetatable({ child = child, pid = child:pid(), folder = folder, args = options.args }, Program)
end

--- Runs a program to its end.
---@param options table As for start(), and `limit_ms` (default 20000).
---@return integer status 128 when a signal ended it.
---@return string output
function M.run(options)
  local program = M.start(options)
  local ok, ended = pcall(program.wait, program, options.limit_ms)
  local output = program:output()
  program:stop("KILL")
  if not ok then
    error(ended, 2)
  end
  return ended.status or 128, output
end

--- Starts `moongate run` with a configuration and waits until it serves.
---@param options table As for start(), all optional, and `config`, `ready`.
---  config: text of gate.lua, which should listen on "127.0.0.1:0"; nil: what the environment offers.
---  ready: pattern with the captures url and port.
---@return spec.Program gateway Also with `url` ("http://127.0.0.1:PORT") and `port`.
function M.gateway(options)
  local files = {}
  for path, text in pairs(options.files or {}) do
    files[path] = text
  end
  files["gate.lua"] = options.config
  local args = { "run" }
  for _, argument in ipairs(options.args or {}) do
    args[#args + 1] = argument
  end
  local gateway = M.start({ args = args, env = options.env, files = files })
  local ok, url, port = pcall(gateway.wait_for, gateway, options.ready or "(https?://127%.0%.0%.1:(%d+))")
  if not ok then
    pcall(gateway.stop, gateway, "KILL")
    error(url, 2)
  end
  gateway.url, gateway.port = url, tonumber(port)
  return gateway
end

return M
