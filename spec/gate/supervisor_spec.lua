local eventually = require("spec.support.eventually")
local fs = require("rt.fs")
local process = require("rt.process")
local slots = require("gate.worker_slot")
local supervised = require("spec.support.supervised")

describe("gate.worker_slot", function()
  it("delays successors more and more in a crash loop, the first not at all", function()
    local delays = {}
    for i = 1, 10 do
      delays[i] = slots.delay_ms(i)
    end
    assert.same({ 0, 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000 }, delays)
    assert.equal(10000, slots.delay_ms(1000))
  end)
end)

describe("gate.supervisor", function()
  local gateway
  local function start(bundle, is_ready_wanted)
    gateway = supervised.start(bundle, is_ready_wanted)
    return gateway
  end
  after_each(function()
    if gateway then
      gateway:stop()
    end
    gateway = nil
  end)

  describe("start", function()
    it("serves with all workers on one port", function()
      start({ word = "one", workers = 3 })
      local pids, words = gateway:ask_all(3)
      assert.same({ "one", "one", "one" }, words)
      assert.equal(3, #gateway:children())
      assert.is_true(pids[1] ~= pids[2] and pids[2] ~= pids[3])
    end)

    it("refuses a configuration that a worker refuses, and leaves nothing", function()
      start({ word = "one", refuse = { 2 } }, false)
      assert.same({ status = 78 }, gateway.program:wait())
      assert.truthy(gateway.program:output():find("moongate: gate.lua:3: worker 2 refuses", 1, true))
    end)

    it("ends when a worker dies while it starts", function()
      start({ word = "one", die_in_prepare = { 1 } }, false)
      assert.same({ status = 70 }, gateway.program:wait())
      assert.truthy(gateway.program:output():find("worker 1 died while it prepared the generation", 1, true))
    end)

    it("tells what is wrong with the configuration, and which address is taken", function()
      start({ error = "gate.lua:7: no such field" }, false)
      assert.same({ status = 78 }, gateway.program:wait())
      assert.truthy(gateway.program:output():find("moongate: gate.lua:7: no such field", 1, true))
    end)

    it("hands workers no variable and no descriptor that is not theirs", function()
      start({ word = "one", workers = 2 })
      for _, pid in ipairs(gateway:children()) do
        local environment, err = fs.read_file("/proc/" .. pid .. "/environ")
        if not environment then -- an ordinary user may not even look: a worker's memory is protected
          assert.equal("not_permitted", err.code)
          return
        end
        assert.is_nil(environment:find("NOTIFY_SOCKET", 1, true))
        local sockets = 0
        for _, fd in ipairs(fs.list("/proc/" .. pid .. "/fd")) do
          local target = io.popen("readlink /proc/" .. pid .. "/fd/" .. fd):read("*l") or ""
          sockets = sockets + (target:find("^socket:") and 1 or 0)
        end
        assert.equal(2, sockets) -- its control channel and its own listening socket
      end
    end)
  end)

  describe("a worker's death", function()
    it("is followed by a successor on the same socket, with what is live, not what is on disk", function()
      start({ word = "one", workers = 2 })
      local pids = gateway:ask_all(2)
      gateway:set_bundle({ word = "two", workers = 2 })
      process.kill(pids[1], "KILL")
      gateway:wait_for('"event":"worker_replaced".-"worker":1')
      local after, words = gateway:ask_all(2)
      assert.is_true(after[1] ~= pids[1])
      assert.equal(pids[2], after[2])
      assert.same({ "one", "one" }, words)
      assert.truthy(gateway:wait_for('"event":"worker_died".-"signal":"KILL"'))
    end)

    it("loses no connection that waits in its queue", function()
      start({ word = "one", workers = 1 })
      local conns = {}
      local _, pid = gateway:ask()
      process.kill(pid, "STOP") -- it accepts nothing from here on
      for i = 1, 50 do
        conns[i] = gateway:connect("queued")
      end
      process.kill(pid, "KILL")
      for i = 1, 50 do
        local text, err = supervised.read_all(conns[i])
        assert.is_nil(err)
        assert.truthy(text:find("^1 %d+ one\n$"), text)
      end
    end)

    it("in a loop is answered later and later, while the others serve", function()
      start({ word = "one", workers = 2 })
      for i = 1, 4 do
        local pids
        repeat -- the other worker answers meanwhile
          local worker, pid = gateway:ask()
          pids = worker == 1 and pid
        until pids
        process.kill(pids, "KILL")
        gateway:wait_count("worker_died", i)
        assert.truthy(select(3, gateway:ask_all(1)) == nil)
      end
      local delays = {}
      for delay in gateway.program:output():gmatch('"event":"worker_died".-"restart_in_ms":(%d+)') do
        delays[#delays + 1] = tonumber(delay)
      end
      assert.same({ 0, 100, 200, 400 }, delays)
    end)
  end)

  describe("a stuck worker", function()
    it("is killed, replaced and named", function()
      start({ word = "one", workers = 1, stall_ms = 300 })
      local conn = gateway:connect("loop")
      assert.equal("looping\n", conn:read())
      local breadcrumb, lost = gateway:wait_for('"event":"worker_stuck","breadcrumb":"([^"]*)".-"requests_lost":(%d+)')
      assert.equal("spinner on_request", breadcrumb)
      assert.equal("1", lost)
      gateway:wait_for('"event":"worker_replaced"')
      assert.equal(1, (gateway:ask()))
      conn:close()
    end)

    it("that was stopped from outside is one, too", function()
      start({ word = "one", workers = 1, stall_ms = 300 })
      local _, pid = gateway:ask()
      process.kill(pid, "STOP")
      gateway:wait_for('"event":"worker_stuck"')
      local _, successor = gateway:ask()
      assert.is_true(successor ~= pid)
    end)
  end)

  describe("reload", function()
    it("goes over everywhere, in the same processes", function()
      start({ word = "one", workers = 3 })
      local before = gateway:ask_all(3)
      gateway:set_bundle({ word = "two", workers = 3 })
      gateway:signal("HUP")
      gateway:wait_count("generation_live", 2)
      local after, words = gateway:ask_all(3)
      assert.same({ "two", "two", "two" }, words)
      assert.same(before, after)
    end)

    it("changes nothing anywhere when one worker refuses", function()
      start({ word = "one", workers = 3 })
      gateway:set_bundle({ word = "two", workers = 3, refuse = { 2 } })
      gateway:signal("HUP")
      assert.truthy(gateway:wait_for('"event":"generation_refused".-"report":"gate.lua:3: worker 2 refuses"'))
      local _, words = gateway:ask_all(3)
      assert.same({ "one", "one", "one" }, words)
    end)

    it("keeps its workers when all of them refuse", function()
      start({ word = "one", workers = 3 })
      local before = gateway:ask_all(3)
      for i = 1, 5 do
        gateway:set_bundle({ word = "two", workers = 3, refuse = { 1, 2, 3 } })
        gateway:signal("HUP")
        gateway:wait_count("generation_refused", i)
      end
      gateway:set_bundle({ word = "three", workers = 3 })
      gateway:signal("HUP")
      gateway:wait_count("generation_live", 2)
      local after, words = gateway:ask_all(3)
      assert.same({ "three", "three", "three" }, words)
      assert.same(before, after)
      assert.equal(0, gateway:count("worker_died"))
    end)

    it("changes nothing when a worker dies of it, and that worker comes back with the old one", function()
      start({ word = "one", workers = 2 })
      gateway:set_bundle({ word = "two", workers = 2, die_in_prepare = { 1 } })
      gateway:signal("HUP")
      assert.truthy(gateway:wait_for('"event":"generation_refused".-worker 1 died while it prepared'))
      gateway:wait_count("worker_replaced", 1)
      local _, words = gateway:ask_all(2)
      assert.same({ "one", "one" }, words)
    end)

    it("reports what cannot be read", function()
      start({ word = "one", workers = 1 })
      gateway:set_bundle({ error = "gate.lua:9: unexpected symbol" })
      gateway:signal("HUP")
      assert.truthy(gateway:wait_for('"event":"generation_refused".-gate.lua:9: unexpected symbol'))
      assert.equal("one", (select(3, gateway:ask())))
    end)

    it("says when a change waits for the next start", function()
      start({ word = "one", workers = 1 })
      gateway:set_bundle({ word = "two", workers = 2 })
      gateway:signal("HUP")
      gateway:wait_for('"event":"restart_needed"')
      gateway:wait_count("generation_live", 2)
      assert.equal(1, #gateway:children())
    end)

    it("survives a configuration that makes reading it raise", function()
      start({ word = "one", workers = 1 })
      fs.write_file(gateway.bundle_path, "no JSON")
      gateway:signal("HUP")
      gateway:wait_for('"event":"generation_refused"')
      assert.equal("one", (select(3, gateway:ask())))
    end)

    it("during a reload takes what is on disk last", function()
      start({ word = "one", workers = 2 })
      for i = 1, 20 do
        gateway:set_bundle({ word = "n" .. i, workers = 2 })
        gateway:signal("HUP")
      end
      eventually.is(function()
        local _, words = gateway:ask_all(2)
        return words[1] == "n20" and words[2] == "n20"
      end)
    end)

    it("reaches a worker that is in its back-off, and mends a crash loop", function()
      start({ word = "one", workers = 1 })
      for i = 1, 7 do -- the next successor would come after seconds
        local _, pid = gateway:ask()
        process.kill(pid, "KILL")
        gateway:wait_count("worker_died", i)
        if i < 7 then
          gateway:set_bundle({ word = "w" .. i, workers = 1 })
          gateway:signal("HUP")
          gateway:wait_count("generation_live", i + 1)
        end
      end
      gateway:set_bundle({ word = "mended", workers = 1 })
      gateway:signal("HUP")
      assert.equal("mended", (select(3, gateway:ask())))
      assert.equal(0, gateway:count("generation_refused"))
    end)
  end)

  describe("drain", function()
    it("lets a stream finish, then ends with 0", function()
      start({ word = "one", workers = 2 })
      local stream = gateway:connect("stream")
      assert.equal("begin\n", stream:read())
      gateway:signal("TERM")
      gateway:wait_for('"event":"drain"')
      gateway:wait_count("worker_ended", 1) -- the one without a stream
      stream:write("finish\n")
      assert.same({ "end\n" }, { supervised.read_all(stream) })
      assert.same({ status = 0 }, gateway.program:wait())
    end)

    it("ends at once at the second signal", function()
      start({ word = "one", workers = 1, drain_ms = 60000 })
      local stream = gateway:connect("stream")
      assert.equal("begin\n", stream:read())
      gateway:signal("TERM")
      gateway:wait_for('"event":"drain"')
      gateway:signal("INT")
      assert.same({ status = 1 }, gateway.program:wait())
      stream:close()
    end)

    it("ends what does not finish within drain_ms", function()
      start({ word = "one", workers = 1, drain_ms = 50 })
      local stream = gateway:connect("stream")
      assert.equal("begin\n", stream:read())
      gateway:signal("TERM")
      assert.same({ status = 0 }, gateway.program:wait())
      assert.truthy(gateway.program:output():find('"event":"worker_ended".-"signal":"KILL"'))
      stream:close()
    end)

    it("takes no new connection", function()
      start({ word = "one", workers = 2, drain_ms = 60000 })
      local stream = gateway:connect("stream")
      assert.equal("begin\n", stream:read())
      gateway:signal("TERM")
      gateway:wait_count("worker_ended", 1)
      repeat -- the listening sockets close within a turn of each process
        local conn, err = require("rt.tcp").connect("127.0.0.1", gateway.port)
        if conn then
          conn:close()
        end
      until err
      assert.equal("refused", (select(2, require("rt.tcp").connect("127.0.0.1", gateway.port))).code)
      stream:write("finish\n")
      supervised.read_all(stream)
    end)
  end)

  describe("the supervisor's own death", function()
    it("makes the workers finish what runs and end", function()
      start({ word = "one", workers = 2 })
      local children = gateway:children()
      local stream = gateway:connect("stream")
      assert.equal("begin\n", stream:read())
      gateway.program:stop("KILL")
      stream:write("finish\n")
      assert.same({ "end\n" }, { supervised.read_all(stream) })
      for _, pid in ipairs(children) do
        supervised.wait_gone(pid)
      end
      gateway = nil
    end)
  end)
end)
