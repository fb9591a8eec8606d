local eventually = require("spec.support.eventually")
local ffi = require("ffi")
local fs = require("rt.fs")
local process = require("spec.support.process")
local supervised = require("spec.support.supervised")
local system = require("rt.system")

ffi.cdef([[
  int socket(int domain, int type, int protocol);
  int bind(int fd, const void *address, unsigned size);
  long recv(int fd, void *data, size_t size, int flags);
]])

describe("rt.system", function()
  describe("listen", function()
    local open = {}
    local function listen(...)
      local fd, bound = system.listen(...)
      if fd then
        open[#open + 1] = fd
      end
      return fd, bound
    end
    after_each(function()
      for _, fd in ipairs(open) do
        system.close(fd)
      end
      open = {}
    end)

    it("opens TCP sockets of both families and tells their address", function()
      local fd, bound = listen("127.0.0.1:0")
      assert.is_number(fd)
      assert.truthy(bound:find("^127%.0%.0%.1:%d+$"))
      assert.truthy(select(2, listen("localhost:0")):find("^127%.0%.0%.1:%d+$"))
      local _, six = listen("[::1]:0")
      assert.truthy(type(six) == "table" or six:find("^%[::1%]:%d+$"))
    end)

    it("shares a port among its own, and notices another program on it", function()
      local _, bound = listen("127.0.0.1:0", { shared_port = true })
      assert.is_number((listen(bound, { shared_port = true })))
      local fd, err = listen(bound, { shared_port = true, exclusive = true })
      assert.is_nil(fd)
      assert.equal("address_in_use", err.code)
      assert.equal("address_in_use", select(2, listen(bound)).code)
    end)

    it("opens Unix sockets with their mode and replaces one that is dead", function()
      local folder = process.folder()
      local address = "unix:" .. folder .. "/s"
      local fd = system.listen(address)
      assert.equal(384, fs.stat(folder .. "/s").mode)
      assert.equal("address_in_use", select(2, listen(address)).code)
      system.close(fd)
      assert.is_number((listen(address, { mode = 432 })))
      assert.equal(432, fs.stat(folder .. "/s").mode)
      fs.write_file(folder .. "/file", "precious")
      assert.equal("address_in_use", select(2, listen("unix:" .. folder .. "/file")).code)
      assert.equal("precious", fs.read_file(folder .. "/file"))
      assert.is_string(select(2, listen("unix:" .. folder .. ("/long"):rep(40))).code)
      process.remove_folder(folder)
    end)

    it("refuses what is no address", function()
      for _, address in ipairs({ "", "x", "127.0.0.1", "127.0.0.1:", "127.0.0.1:70000", "127.0.0.1:8x", "::1:80", ":80", "[::1]80", "1.2.3.4:-1" }) do
        local fd, err = listen(address)
        assert.is_nil(fd)
        assert.equal("bad_address", err.code, address)
      end
      assert.equal("dns", select(2, listen("no such host:80")).code)
    end)
  end)

  it("reads and changes the environment", function()
    assert.is_true(system.setenv("MOONGATE_SPEC", "a=b"))
    assert.equal("a=b", system.getenv("MOONGATE_SPEC"))
    assert.equal("a=b", system.environment().MOONGATE_SPEC)
    system.unsetenv("MOONGATE_SPEC")
    assert.is_nil(system.getenv("MOONGATE_SPEC"))
    assert.is_nil((system.setenv("", "x")))
  end)

  it("tells the service manager", function()
    local folder = process.folder()
    local path = folder .. "/notify"
    assert.is_false(system.notify("READY=1"))
    local address = ffi.new("char[110]")
    ffi.cast("uint16_t *", address)[0] = 1 -- AF_UNIX
    ffi.copy(address + 2, path)
    local fd = ffi.C.socket(1, 2 + 0x80000, 0)
    assert.equal(0, ffi.C.bind(fd, address, 110))
    system.setenv("NOTIFY_SOCKET", path)
    assert.is_true(system.notify("READY=1\nSTATUS=x"))
    local data = ffi.new("char[64]")
    assert.equal("READY=1\nSTATUS=x", ffi.string(data, ffi.C.recv(fd, data, 64, 0x40)))
    system.setenv("NOTIFY_SOCKET", folder .. "/none")
    assert.equal("not_found", select(2, system.notify("READY=1")).code)
    system.unsetenv("NOTIFY_SOCKET")
    system.close(fd)
    process.remove_folder(folder)
  end)

  it("keeps secrets out of core files and raises the limit of files", function()
    local status, output = process.run({ args = { "--script", "p.lua" }, files = { ["p.lua"] = [[
      local supervised = require("spec.support.supervised")
local system = require("rt.system")
      assert(system.protect_memory())
      local limit = system.raise_file_limit()
      for line in io.lines("/proc/self/limits") do
        local soft, hard = line:match("^Max core file size%s+(%S+)%s+(%S+)")
        if soft then print("core", soft, hard) end
        soft, hard = line:match("^Max open files%s+(%S+)%s+(%S+)")
        if soft then print("files", soft == hard, tonumber(soft) == limit) end
      end
      local ffi = require("ffi")
      ffi.cdef("int prctl(int what, ...);")
      print("dumpable", ffi.C.prctl(3))
    ]] } })
    assert.equal(0, status, output)
    assert.truthy(output:find("core\t0\t0", 1, true), output)
    assert.truthy(output:find("files\ttrue\ttrue", 1, true), output)
    assert.truthy(output:find("dumpable\t0", 1, true), output)
  end)

  it("knows CPUs, memory and itself", function()
    assert.is_true(system.cpu_count() >= 1)
    local rss_bytes = system.memory()
    assert.is_true(rss_bytes > 1e6)
    assert.equal(0, (system.memory(2 ^ 22 + 1)))
    assert.is_true(system.pid() ~= system.parent_pid())
    assert.equal(18, system.umask(system.umask(18)))
  end)

  it("ends a stuck process after its parent", function()
    local folder = process.folder()
    process.write_file(folder .. "/stuck.lua", [[
      local supervised = require("spec.support.supervised")
local system = require("rt.system")
      assert(system.end_with_parent(system.parent_pid(), 1))
      local file = io.open(arg[1], "w") file:write(system.pid()) file:close()
      while true do end
    ]])
    local pid_file = folder .. "/pid"
    local parent = process.start({ args = { "--script", "parent.lua", folder .. "/stuck.lua", pid_file }, files = { ["parent.lua"] = [[
      require("rt.process").spawn({ args = { "--script", arg[1], arg[2] } }):wait()
    ]] } })
    local pid = eventually.is(function()
      return tonumber(process.read_file(pid_file) or "")
    end)
    parent:stop("KILL")
    supervised.wait_gone(pid)
    process.remove_folder(folder)
  end)
end)
