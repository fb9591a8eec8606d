local eventually = require("spec.support.eventually")
local ffi = require("ffi")
local fs = require("rt.fs")
local log = require("rt.log")
local process = require("spec.support.process")
local system = require("rt.system")

ffi.cdef([[
  int pipe2(int fds[2], int flags);
  long read(int fd, void *data, size_t size);
  int fcntl(int fd, int command, ...);
  bool log_append(void *log, const char *line, size_t size);
]])

local O_NONBLOCK = 0x800

local function new_pipe()
  local fds = ffi.new("int[2]")
  assert(ffi.C.pipe2(fds, 0x80000) == 0)
  return fds[0], fds[1]
end

local function read_now(fd)
  local data, parts = ffi.new("char[65536]"), {}
  ffi.C.fcntl(fd, 4, ffi.new("int", O_NONBLOCK))
  while true do
    local size = tonumber(ffi.C.read(fd, data, 65536))
    if size <= 0 then
      return table.concat(parts)
    end
    parts[#parts + 1] = ffi.string(data, size)
  end
end

describe("rt.log", function()
  local folder
  before_each(function()
    folder = process.folder()
  end)
  after_each(function()
    process.remove_folder(folder)
  end)

  it("gathers lines and writes them soon, on request and at 64 KB", function()
    local path = folder .. "/log"
    local out = assert(log.open({ path = path }))
    assert.is_true(out:write("one"))
    assert.is_true(ffi.C.log_append(out:pointer(), "two", 3))
    assert.equal("", fs.read_file(path))
    assert.equal(8, out:pending())
    out:flush()
    assert.equal("one\ntwo\n", fs.read_file(path))
    out:write("three")
    eventually.is(function()
      return out:pending() == 0
    end)
    assert.equal("one\ntwo\nthree\n", fs.read_file(path))
    local line = ("x"):rep(999)
    for _ = 1, 66 do
      out:write(line)
    end
    assert.is_true(fs.stat(path).size > 65536)
    out:close()
    assert.equal(14 + 66000, fs.stat(path).size)
    assert.equal(416, fs.stat(path).mode)
    assert.has_error(function() out:write("x") end)
  end)

  it("appends to what is there and opens a renamed file anew", function()
    local path = folder .. "/log"
    fs.write_file(path, "old\n")
    local out = assert(log.open({ path = path }))
    out:write("a")
    fs.rename(path, path .. ".1")
    out:write("b")
    assert.is_true(out:reopen())
    out:write("c")
    out:close()
    assert.equal("old\na\nb\n", fs.read_file(path .. ".1"))
    assert.equal("c\n", fs.read_file(path))
    out = assert(log.open({ path = path }))
    process.remove_folder(folder)
    assert.is_nil((out:reopen())) -- its folder is gone: the old file is kept
    out:write("d")
    out:close()
  end)

  it("refuses a link and a folder that is not there", function()
    os.execute(("ln -s /etc/passwd '%s/link'"):format(folder))
    assert.is_nil((log.open({ path = folder .. "/link" })))
    local _, err = log.open({ path = folder .. "/none/log" })
    assert.equal("not_found", err.code)
    assert.has_error(function() log.open({}) end)
  end)

  it("drops and counts when a pipe is not read, and says so once it is", function()
    local reader, writer = new_pipe()
    local out = assert(log.open({ fd = writer }))
    local line = ("0"):rep(999)
    local kept, dropped = 0, 0
    for _ = 1, 3000 do
      if out:write(line) then
        kept = kept + 1
      else
        dropped = dropped + 1
      end
    end
    assert.is_true(dropped > 0 and kept >= 1000)
    assert.equal(dropped, out:dropped())
    local text = read_now(reader)
    eventually.is(function()
      text = text .. read_now(reader)
      return out:pending() == 0 and text:find("log_dropped", 1, true)
    end)
    local whole = 0
    for one in text:gmatch("[^\n]+") do
      if one == line then
        whole = whole + 1
      else
        assert.equal(dropped, tonumber(one:match('^{"time_ms":%d+,"level":"warn","event":"log_dropped","lines":(%d+)}$')))
      end
    end
    assert.equal(kept, whole)
    assert.is_true(out:write("again"))
    out:close()
    assert.equal("again\n", read_now(reader))
    system.close(reader)
    system.close(writer)
  end)

  it("does not make a shared descriptor non-blocking", function()
    local reader, writer = new_pipe()
    local out = assert(log.open({ fd = writer }))
    assert.equal(0, bit.band(ffi.C.fcntl(writer, 3), O_NONBLOCK))
    out:close()
    system.close(reader)
    system.close(writer)
  end)

  it("writes to a socket, and survives a reader that goes", function()
    local a, b = system.socketpair()
    local out = assert(log.open({ fd = a }))
    out:write("to the journal")
    out:flush()
    assert.equal("to the journal\n", read_now(b))
    system.close(b)
    for _ = 1, 5000 do
      out:write(("y"):rep(500))
    end
    assert.is_true(out:dropped() > 0)
    out:close()
    system.close(a)
  end)

  it("does not spin on a pipe whose reader has gone", function()
    local reader, writer = new_pipe()
    local out = assert(log.open({ fd = writer }))
    while out:pending() == 0 or out:pending() < 100000 do -- until the pipe is full and the loop watches it
      out:write(("z"):rep(1000))
    end
    local leaks = require("spec.support.leaks")
    assert.equal(1, leaks.snapshot().handles.poll)
    system.close(reader)
    eventually.is(function()
      return not leaks.snapshot().handles.poll
    end)
    assert.is_true(out:pending() > 0)
    out:close()
    system.close(writer)
  end)

  it("writes what is left when the process ends, in order or by an error", function()
    for _, ending in ipairs({ "return 0", "error('x')" }) do
      local path = folder .. "/at-end"
      local status = process.run({ args = { "--script", "p.lua" }, files = {
        ["p.lua"] = ("local out = require('rt.log').open({ path = %q }) out:write('last words') %s"):format(path, ending),
      } })
      assert.equal(ending == "return 0" and 0 or 70, status)
      assert.equal("last words\n", fs.read_file(path))
      fs.unlink(path)
    end
  end)

  it("keeps lines whole when several processes write to one pipe", function()
    local reader, writer = new_pipe()
    local rt = require("rt.process")
    process.write_file(folder .. "/w.lua", [[
      local out = require("rt.log").open({ fd = 3 })
      for i = 1, 2000 do out:write((arg[1]):rep(300)) end
      package.path = arg[2] .. "/?.lua;" .. package.path
      require("spec.support.eventually").is(function() return out:pending() == 0 end)
      return 0
    ]])
    local children = {}
    for _, name in ipairs({ "a", "b", "c" }) do
      children[#children + 1] = assert(rt.spawn({ args = { "--script", folder .. "/w.lua", name, system.home() }, files = { [0] = "ignore", "inherit", "inherit", writer } }))
    end
    system.close(writer)
    local text, data = {}, ffi.new("char[65536]")
    ffi.C.fcntl(reader, 4, ffi.new("int", O_NONBLOCK))
    local function read_some()
      local size = tonumber(ffi.C.read(reader, data, 65536))
      if size > 0 then
        text[#text + 1] = ffi.string(data, size)
      end
      return size >= 0 and size
    end
    repeat
      local size = eventually.is(read_some)
    until size == 0
    for _, child in ipairs(children) do
      assert.same({ status = 0 }, child:wait())
    end
    local count = 0
    for line in table.concat(text):gmatch("[^\n]+") do
      assert.is_true(line == ("a"):rep(300) or line == ("b"):rep(300) or line == ("c"):rep(300))
      count = count + 1
    end
    assert.equal(6000, count)
    system.close(reader)
  end)
end)
