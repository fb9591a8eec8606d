--- A worker for the specs of the supervisor: speaks the control protocol, and answers each connection's one line
--- with what it is. The bundle says how it behaves; the lines "loop" and "die" make it misbehave at once.
--- bundle = { word = text that answers carry, refuse = { worker indices }, die_in_prepare = { ... }, deaf = bool }
package.path = arg[0]:gsub("spec/support/[^/]*$", "?.lua;") .. package.path
local control = require("gate.control")
local cjson = require("cjson")
local eventually = require("spec.support.eventually")
local ffi = require("ffi")
local system = require("rt.system")
local task = require("rt.task")

ffi.cdef([[
  int accept4(int fd, void *address, void *size, int flags);
  long read(int fd, void *data, size_t size);
  long write(int fd, const void *data, size_t size);
  int close(int fd);
  void _exit(int status);
]])
local NONBLOCK_CLOEXEC = 0x800 + 0x80000

local own = assert(control.become_worker())
local prepared, live = {}, nil
local is_draining = false
local spinner = own.page:label("spinner on_request")

local function has(list)
  for _, index in ipairs(list or {}) do
    if index == own.index then
      return true
    end
  end
end

local function say(message)
  own.control.write(cjson.encode(message))
end

local data = ffi.new("char[256]")
local function read_line(fd)
  local size = eventually.is(function()
    local size = tonumber(ffi.C.read(fd, data, 256))
    return size >= 0 and size
  end, math.huge)
  return size > 0 and ffi.string(data, size):gsub("%s+$", "") or nil
end

local function send(fd, text)
  ffi.C.write(fd, text, #text)
end

local streams = 0
local function serve(fd)
  local line = read_line(fd)
  own.page:add("requests_total", 1)
  own.page:add("requests_in_flight", 1)
  if line == "loop" then
    own.counters.crumb = spinner
    send(fd, "looping\n")
    while true do end -- luacheck: ignore 542
  elseif line == "die" then
    ffi.C._exit(3)
  elseif line == "stream" then -- ends when the client says so
    streams = streams + 1
    send(fd, "begin\n")
    read_line(fd)
    send(fd, "end\n")
    streams = streams - 1
  else
    send(fd, ("%d %d %s\n"):format(own.index, system.pid(), live.word))
  end
  own.page:add("requests_in_flight", -1)
  ffi.C.close(fd)
end

local function accept_all()
  eventually.is(function()
    for _, listen_fd in ipairs(own.listen_fds) do
      local fd = ffi.C.accept4(listen_fd, nil, nil, NONBLOCK_CLOEXEC)
      if fd >= 0 then
        task.spawn(serve, fd)
      end
    end
    return is_draining
  end, math.huge)
end

local function drain()
  is_draining = true
  for _, fd in ipairs(own.listen_fds) do
    system.close(fd)
  end
  own.listen_fds = {}
  eventually.is(function()
    return streams == 0
  end, math.huge)
end

while true do
  local line = own.control.read_line()
  local message = line and cjson.decode(line)
  if not message or message.type == "drain" then
    drain()
    if message then
      say({ type = "drained" })
    end
    return 0
  elseif message.type == "prepare" then
    local bundle = message.bundle
    if has(bundle.die_in_prepare) then
      ffi.C._exit(4)
    elseif has(bundle.refuse) then
      say({ type = "failed", number = message.number, report = "gate.lua:3: worker " .. own.index .. " refuses",
            problems = { { file = "gate.lua", line = 3, message = "refused" } } })
    else
      prepared[message.number] = bundle
      say({ type = "ready", number = message.number, id = "g" .. message.number, plugins = {}, build_ms = 0 })
    end
  elseif message.type == "commit" then
    local is_first = live == nil
    live = prepared[message.number]
    prepared[message.number] = nil
    own.page:set("generation", message.number)
    say({ type = "committed", number = message.number })
    if is_first and not live.deaf then
      task.spawn(accept_all)
    end
  elseif message.type == "abandon" then
    prepared[message.number] = nil
  end
end
