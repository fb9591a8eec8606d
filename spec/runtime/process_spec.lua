local eventually = require("spec.support.eventually")
local pipe = require("rt.pipe")
local process = require("rt.process")
local page = require("rt.page")
local system = require("rt.system")
local task = require("rt.task")

local programs = require("spec.support.process")

local function shell(command, options)
  options = options or {}
  options.file, options.args = "/bin/sh", { "-c", command }
  options.files = options.files or { [0] = "ignore", "ignore", "ignore" }
  return assert(process.spawn(options))
end

describe("rt.process", function()
  it("tells how a child ended, to a waiter and to one who asks later", function()
    local child = shell("exit 7")
    assert.same({ status = 7 }, child:wait())
    assert.same({ status = 7 }, child:wait())
    child = shell("kill -KILL $$")
    assert.same({ signal = "KILL" }, child:wait())
    local _, err = child:kill("TERM")
    assert.equal("closed", err.code)
  end)

  it("kills by name and by number", function()
    local child = shell("exec sleep 1000")
    assert.is_true(child:kill(0))
    assert.is_true(process.kill(child:pid(), "TERM"))
    assert.same({ signal = "TERM" }, child:wait())
    local _, err = process.kill(child:pid(), 0)
    assert.equal("system", err.code)
    assert.has_error(function() child:kill("SLEEPY") end)
    assert.has_error(function() process.kill(-1, "TERM") end)
  end)

  it("reaps a child that nobody holds", function()
    local pid = shell("exit 0"):pid()
    collectgarbage()
    collectgarbage()
    eventually.is(function() -- gone, not a zombie
      return not process.kill(pid, 0)
    end)
  end)

  it("gives a wait that is cancelled up, and the child goes on", function()
    local child = shell("exec sleep 1000")
    local waiter = task.spawn(function() return select(2, child:wait()).code end)
    waiter:cancel()
    assert.same({ true, "cancelled" }, { waiter:join() })
    assert.is_true(child:kill("KILL"))
    assert.same({ signal = "KILL" }, child:wait())
  end)

  it("passes descriptors, environment and folder", function()
    local mine, theirs = system.socketpair()
    local child = shell("echo $WORD $(pwd) >&4; read line <&4; echo got $line >&4", {
      env = { "WORD=hello", "PATH=/bin:/usr/bin" }, folder = "/", files = { [0] = "ignore", "ignore", "ignore", "ignore", theirs },
    })
    system.close(theirs)
    local channel = assert(pipe.open(mine))
    assert.equal("hello /", channel:read_line())
    assert.is_true(channel:write("back\n"))
    assert.equal("got back", channel:read_line())
    assert.same({ nil, nil }, { channel:read_line() }) -- nobody else holds their end
    assert.same({ status = 0 }, child:wait())
    channel:close()
  end)

  it("says why a program cannot be started", function()
    local child, err = process.spawn({ file = "/no/such/program", args = {} })
    assert.is_nil(child)
    assert.equal("not_found", err.code)
    assert.has_error(function() process.spawn({ args = { 1, {} } }) end)
    assert.has_error(function() process.spawn({ args = {}, files = { [0] = "sideways" } }) end)
  end)

  it("makes signals waits, and keeps one that comes while nobody waits", function()
    local signals = assert(process.signals({ "HUP", "USR2" }))
    process.kill(system.pid(), "USR2")
    assert.equal("USR2", signals:wait())
    local waiter = task.spawn(function() return signals:wait() end)
    process.kill(system.pid(), "HUP")
    assert.same({ true, "HUP" }, { waiter:join() })
    waiter = task.spawn(function() return signals:wait() end)
    assert.has_error(function() signals:close() end)
    waiter:cancel()
    signals:close()
    local _, err = signals:wait()
    assert.equal("closed", err.code)
    assert.has_error(function() process.signals({}) end)
    assert.has_error(function() process.signals({ "NAPTIME" }) end)
  end)
end)

describe("rt.page", function()
  local child_program = [[
    local page, pipe, system = require("rt.page"), require("rt.pipe"), require("rt.system")
    local shared, control = assert(page.open(4)), assert(pipe.open(3))
    shared:beat(10)
    shared:set("requests_total", 2 ^ 40)
    shared:add("requests_in_flight", 3)
    shared:add("requests_in_flight", -1)
    shared:set_crumb(shared:label("route on_request"))
    control:write("ready\n")
    control:read_line()
    while true do end
  ]]

  it("shows a worker that is stuck: its heartbeat stops, its breadcrumb tells where", function()
    local folder = programs.folder()
    programs.write_file(folder .. "/child.lua", child_program)
    local shared = assert(page.create())
    local mine, theirs = system.socketpair()
    local child = assert(process.spawn({ args = { "--script", folder .. "/child.lua" }, files = { [0] = "ignore", "inherit", "inherit", theirs, shared:fd() } }))
    system.close(theirs)
    local control = assert(pipe.open(mine))
    assert.equal("ready", control:read_line())
    assert.equal(2 ^ 40, shared:get("requests_total"))
    assert.equal(2, shared:get("requests_in_flight"))
    assert.equal("route on_request", shared:crumb())
    local age_ms = shared:age_ms()
    eventually.is(function() -- it beats
      local before_ms
      before_ms, age_ms = age_ms, shared:age_ms()
      return age_ms < before_ms
    end)
    control:write("go\n")
    eventually.is(function() -- it beats no more
      return shared:age_ms() > 100
    end)
    child:kill("KILL")
    child:wait()
    control:close()
    shared:close()
    programs.remove_folder(folder)
  end)

  it("gives one index to one label, and 0 when it is full", function()
    local shared = assert(page.create())
    assert.is_nil(shared:crumb())
    assert.equal(1, shared:label("a"))
    assert.equal(2, shared:label("b"))
    assert.equal(1, shared:label("a"))
    assert.equal(3, shared:label(("long"):rep(100)))
    assert.equal(3, shared:label(("long"):rep(100)))
    local last
    for i = 1, 1000 do
      last = shared:label("label " .. i)
    end
    assert.equal(0, last)
    shared:set_crumb(1e9) -- a writer gone mad
    assert.is_nil(shared:crumb())
    shared:close()
    assert.has_error(function() shared:crumb() end)
  end)

  it("is the memory that FFI sees", function()
    local ffi = require("ffi")
    local shared = assert(page.create())
    pcall(ffi.cdef, page.CDEF)
    local memory = ffi.cast("rt_shared_page *", shared:pointer())
    memory.requests_total = memory.requests_total + 5
    memory.crumb = shared:label("x")
    assert.equal(5, shared:get("requests_total"))
    assert.equal("x", shared:crumb())
    shared:close()
  end)

  it("refuses a descriptor that is no page", function()
    local fd = system.listen("127.0.0.1:0")
    local shared, err = page.open(fd)
    assert.is_nil(shared)
    assert.is_string(err.code)
  end)
end)
