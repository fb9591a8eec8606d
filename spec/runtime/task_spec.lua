local eventually = require("spec.support.eventually")
local mailbox = require("rt.mailbox")
local task = require("rt.task")
local time = require("rt.time")

-- Runs the text as a program of its own and returns what it said.
local function run(program)
  local process = require("spec.support.process")
  return process.run({ args = { "--script", "program.lua" }, files = { ["program.lua"] = program } })
end

describe("rt.task", function()
  describe("spawn and join", function()
    it("runs at once, until its first wait", function()
      local seen, box = {}, mailbox.new()
      local child = task.spawn(function(a, b)
        seen[1] = a + b
        seen[2] = box:take()
        return "done", nil, 3
      end, 1, 2)
      assert.same({ 3 }, seen)
      assert.is_false(child:is_done())
      box:put("woken")
      assert.same({ n = 4, true, "done", nil, 3 }, { n = select("#", child:join()), child:join() })
      assert.equal("woken", seen[2])
      assert.is_true(child:is_done())
    end)

    it("gives the results again and again", function()
      local child = task.spawn(function() return 1, 2 end)
      assert.same({ true, 1, 2 }, { child:join() })
      assert.same({ true, 1, 2 }, { child:join() })
    end)

    it("gives any number of results, also to one who waited", function()
      local box = mailbox.new()
      local many = {}
      for i = 1, 5000 do
        many[i] = i
      end
      local child = task.spawn(function()
        box:take()
        return unpack(many)
      end)
      local waiter = task.spawn(function()
        return select("#", child:join())
      end)
      box:put(true)
      assert.same({ true, 5001 }, { waiter:join() })
      assert.equal(5001, select("#", child:join()))
    end)

    it("gives the error as it was raised", function()
      local raised = { code = "x" }
      local box = mailbox.new()
      local child = task.spawn(function()
        box:take()
        error(raised)
      end)
      box:put(true)
      local ok, err = child:join()
      assert.is_false(ok)
      assert.equal(raised, err)
      local _, text = task.spawn(error, "no position"):join()
      assert.equal("no position", text)
      assert.same({ false, nil }, { task.spawn(error):join() })
    end)

    it("refuses a second waiter, itself, and a value that is no function", function()
      local box = mailbox.new()
      local child = task.spawn(function() return box:take() end)
      local first = task.spawn(function() return child:join() end)
      assert.has_error(function() child:join() end, "task:join: another task already waits")
      box:put(1)
      assert.same({ true, true, 1 }, { first:join() })
      local own
      own = task.spawn(function()
        box:take()
        return pcall(own.join, own)
      end)
      box:put(1)
      assert.same({ true, false, "task:join: a task cannot wait for itself" }, { own:join() })
      assert.has_error(function() task.spawn(1) end)
    end)

    it("nests deeper than the C stack would allow", function()
      local function deep(n)
        if n == 0 then
          return "ground"
        end
        return select(2, task.spawn(deep, n - 1):join())
      end
      assert.equal("ground", deep(20000))
    end)

    it("wakes a long chain of joins", function()
      local box = mailbox.new()
      local last = task.spawn(function() return box:take() end)
      for _ = 1, 20000 do
        local before = last
        last = task.spawn(function() return select(2, before:join()) end)
      end
      box:put("through")
      assert.same({ true, "through" }, { last:join() })
    end)

    it("uses coroutines of the pool again, also after a burst", function()
      local threads = {}
      local function note()
        threads[coroutine.running()] = true
      end
      local function burst(count)
        local box, children = mailbox.new(), {}
        for i = 1, count do
          children[i] = task.spawn(function() box:take() end)
          children[i]:cancel()
        end
        local waiting = {}
        for i = 1, count do
          local own = mailbox.new()
          waiting[i] = { own, task.spawn(function() own:take() end) }
        end
        for i = 1, count do
          waiting[i][1]:put(true)
        end
        for i = 1, count do
          waiting[i][2]:join()
        end
      end
      burst(3000)
      for _ = 1, 100 do
        task.spawn(note):join()
      end
      local count = 0
      for _ in pairs(threads) do
        count = count + 1
      end
      assert.equal(1, count)
    end)

    it("keeps nothing of a task in the coroutine that is used again", function()
      local alive = setmetatable({}, { __mode = "v" })
      task.spawn(function()
        local big = {}
        alive.big = big
        task.defer(function() return big end)
        coroutine.wrap(function() return big end)()
      end)
      task.spawn(function() end)
      collectgarbage()
      collectgarbage()
      assert.is_nil(alive.big)
    end)
  end)

  describe("errors", function()
    it("of a task that nobody joins are reported, with the place", function()
      local status, output = run([[
        local task, time = require("rt.task"), require("rt.time")
        do
          task.spawn(function() error("first") end)
          task.spawn(function() time.sleep(1) error({ code = "x", message = "second" }) end)
          task.spawn(function() task.defer(function() error("third") end) end):join()
          task.spawn(function() error("joined") end):join()
        end
        while task.count() > 1 do time.sleep(0) end
        collectgarbage() collectgarbage()
        return 0
      ]])
      assert.equal(0, status)
      assert.truthy(output:find("task failed: program.lua:3: first\nstack traceback", 1, true), output)
      assert.truthy(output:find("task failed: second\nstack traceback", 1, true), output)
      assert.truthy(output:find("task failed: program.lua:5: third", 1, true), output)
      assert.is_nil(output:find("joined", 1, true))
    end)

    it("survive a stack overflow", function()
      local function endless(n)
        return 1 + endless(n + 1)
      end
      local ok, err = task.spawn(endless, 0):join()
      assert.is_false(ok)
      assert.truthy(err:find("stack overflow", 1, true))
    end)

    it("coroutine.yield in a task is one", function()
      local ok, err = task.spawn(function() coroutine.yield(1) end):join()
      assert.is_false(ok)
      assert.truthy(err:find("coroutine.yield in a task: use a call that waits", 1, true))
      assert.truthy(err:find("task_spec.lua", 1, true))
      assert.same({ true, 7 }, { task.spawn(function() return 7 end):join() })
    end)
  end)

  describe("waits in the wrong place", function()
    local inside = "this call waits, and can be used only inside a task, not inside another coroutine"

    it("raise inside a coroutine of the task", function()
      local ok, err = pcall(coroutine.wrap(function() time.sleep(1) end))
      assert.is_false(ok)
      assert.truthy(err:find(inside, 1, true))
      assert.is_false(coroutine.wrap(function() return task.is_task() end)())
      assert.is_true(task.is_task())
    end)

    it("raise in callbacks that cannot be left, and leave no wait behind", function()
      local before = task.count()
      for _, call in ipairs({
        function() table.sort({ 3, 2, 1 }, function(a, b) time.sleep(1) return a < b end) end,
        function() string.gsub("x", "x", function() time.sleep(1) end) end,
        function() require("spec.support.waits_while_loading") end,
      }) do
        local ok, err = pcall(call)
        assert.is_false(ok)
        assert.truthy(tostring(err):find("cannot be used in a callback", 1, true) or tostring(err):find("not found", 1, true))
      end
      assert.is_true(time.sleep(1))
      assert.equal(before, task.count())
    end)

    it("work inside pcall, metamethods and iterators", function()
      local meta = setmetatable({}, { __index = function() return time.sleep(1) end })
      assert.is_true(meta.x)
      assert.same({ true, true }, { pcall(time.sleep, 1) })
      assert.same({ true, true }, { xpcall(time.sleep, debug.traceback, 1) })
      for ok in function(_, last) if not last then return time.sleep(1) end end do
        assert.is_true(ok)
      end
    end)
  end)

  describe("cancel", function()
    it("wakes the wait with its code, and every later one fails the same way", function()
      local box, seen = mailbox.new(), {}
      local child = task.spawn(function()
        for i = 1, 3 do
          local _, err = box:take()
          seen[i] = err.code
        end
        return "ended"
      end)
      child:cancel("draining")
      assert.same({ true, "ended" }, { child:join() })
      assert.same({ "draining", "draining", "draining" }, seen)
      assert.is_true(child:cancel())
    end)

    it("leaves what is waited for usable by others", function()
      local box = mailbox.new()
      task.spawn(function() box:take() end):cancel()
      box:put("kept")
      assert.equal("kept", box:take())
    end)

    it("ends a task that goes on waiting all the same", function()
      local child = task.spawn(function()
        while true do
          time.sleep(1000)
        end
      end)
      child:cancel()
      local ok, err = child:join()
      assert.is_false(ok)
      assert.truthy(err:find("goes on waiting", 1, true))
    end)

    it("of a task that runs, through another one, works at its next wait", function()
      local outer
      local box = mailbox.new()
      outer = task.spawn(function()
        box:take()
        task.spawn(function() outer:cancel() end)
        return select(2, box:take()).code
      end)
      box:put(true)
      assert.same({ true, "cancelled" }, { outer:join() })
    end)

    it("cannot be done to oneself, nor with a code of one's own", function()
      local box, own = mailbox.new(), nil
      own = task.spawn(function()
        box:take()
        return pcall(own.cancel, own)
      end)
      box:put(true)
      assert.same({ true, false, "task:cancel: a task cannot cancel itself" }, { own:join() })
      assert.has_error(function() own:cancel("tired") end)
    end)

    it("of one who joins leaves the joined task alone", function()
      local box = mailbox.new()
      local child = task.spawn(function() return box:take() end)
      local waiter = task.spawn(function() return child:join() end)
      waiter:cancel()
      local _, result, err = waiter:join()
      assert.is_nil(result)
      assert.equal("cancelled", err.code)
      box:put("fine")
      assert.same({ true, "fine" }, { child:join() })
    end)
  end)

  describe("deadline", function()
    it("ends the wait under way and all that follow, until a new one is set", function()
      local child = task.spawn(function()
        local box, seen = mailbox.new(), {}
        task.deadline(1)
        assert(task.remaining() <= 1)
        seen[1] = select(2, box:take()).code
        seen[2] = select(2, time.sleep(0)).code
        seen[3] = task.remaining()
        task.deadline(60000)
        seen[4] = time.sleep(1)
        task.deadline(nil)
        seen[5] = task.remaining() == nil
        return seen
      end)
      local _, seen = child:join()
      assert.same({ "timeout", "timeout", 0, true, true }, seen)
    end)

    it("does not outlive the task in its coroutine", function()
      task.spawn(function() task.deadline(1) end):join()
      local child = task.spawn(function()
        return task.remaining() == nil and time.sleep(80)
      end)
      assert.same({ true, true }, { child:join() })
    end)

    it("does not undo a cancel", function()
      local box = mailbox.new()
      local child = task.spawn(function()
        box:take()
        task.deadline(60000)
        return select(2, box:take()).code
      end)
      child:cancel()
      assert.same({ true, "cancelled" }, { child:join() })
    end)
  end)

  describe("defer", function()
    it("runs last first, after return, error, cancel and deadline", function()
      local order = {}
      local function add(name)
        task.defer(function() order[#order + 1] = name end)
      end
      task.spawn(function() add("a") add("b") end):join()
      task.spawn(function() add("c") error("x") end):join()
      local child = task.spawn(function() add("d") time.sleep(60000) end)
      child:cancel()
      child:join()
      task.spawn(function() add("e") task.deadline(1) time.sleep(60000) end):join()
      assert.same({ "b", "a", "c", "d", "e" }, order)
    end)

    it("may wait, shielded from the cancel that ended the task", function()
      local box, seen = mailbox.new(), nil
      local child = task.spawn(function()
        task.defer(function() seen = box:take() end)
        time.sleep(60000)
      end)
      child:cancel()
      child:cancel()
      assert.is_false(child:is_done())
      box:put("shielded")
      child:join()
      assert.equal("shielded", seen)
    end)

    it("may add more, and an error in one stops neither the others nor the result", function()
      local order = {}
      local status, output = run([[
        local task = require("rt.task")
        local order = {}
        local child = task.spawn(function()
          task.defer(function() order[#order + 1] = "outer" end)
          task.defer(function() error("broken") end)
          task.defer(function() task.defer(function() order[#order + 1] = "inner" end) end)
          return "result"
        end)
        local ok, result = child:join()
        print(ok, result, table.concat(order, " "))
      ]])
      assert.equal(0, status)
      assert.truthy(output:find("true\tresult\tinner outer", 1, true), output)
      assert.truthy(output:find("broken", 1, true), output)
      assert.same({}, order)
    end)

    it("takes very many", function()
      local count = 0
      task.spawn(function()
        for _ = 1, 50000 do
          task.defer(function() count = count + 1 end)
        end
      end):join()
      assert.equal(50000, count)
    end)
  end)

  it("stands a long random mixture", function()
    local before = task.count()
    local seed = 42
    local function random(n)
      seed = (seed * 1103515245 + 12345) % 2 ^ 31
      return math.floor(seed / 65536) % n + 1
    end
    local boxes, live, ended = {}, {}, 0
    for i = 1, 20 do
      boxes[i] = mailbox.new()
    end
    local function work(depth)
      task.defer(function() ended = ended + 1 end)
      local what = random(7)
      if what == 1 then
        error("random")
      elseif what == 2 and depth < 5 then
        return task.spawn(work, depth + 1):join()
      elseif what == 3 then
        task.deadline(random(3))
        time.sleep(60000)
      elseif what == 4 then
        task.defer(function() time.sleep(1) end)
      elseif what == 5 then
        coroutine.wrap(function() pcall(time.sleep, 1) end)()
      end
      task.deadline(60000)
      local own = mailbox.new()
      table.insert(boxes, own)
      return own:take()
    end
    local started = 0
    for _ = 1, 5000 do
      local what = random(3)
      if what == 1 then
        live[#live + 1] = task.spawn(work, 1)
        started = started + 1
      elseif what == 2 and #live > 0 then
        local child = table.remove(live, random(#live))
        child:cancel()
        child:join()
      elseif #boxes > 20 then
        table.remove(boxes, 20 + random(#boxes - 20)):put(1)
        if random(10) == 1 then
          time.sleep(0)
        end
      end
    end
    for _, child in ipairs(live) do
      child:cancel()
      child:join()
    end
    eventually.is(function() -- grandchildren whose parent was cancelled
      for i = 21, #boxes do
        boxes[i]:put(1)
      end
      return task.count() <= before
    end)
    assert.is_true(ended >= started and started > 1000)
  end)

  describe("the end of the process", function()
    it("cancels what is parked and runs its deferred functions", function()
      local status, output = run([[
        local task, time, mailbox = require("rt.task"), require("rt.time"), require("rt.mailbox")
        task.spawn(function()
          task.defer(function() time.sleep(1) print("deferred") end)
          print(select(2, mailbox.new():take()).code)
        end)
        task.spawn(function() time.sleep(1e9) end)
        return 3
      ]])
      assert.same({ 3, "cancelled\ndeferred\n" }, { status, output })
    end)

    it("comes, with a report, when no wait can end any more", function()
      local status, output = run([[require("rt.mailbox").new():take() return 0]])
      assert.equal(70, status)
      assert.truthy(output:find("every task waits", 1, true), output)
    end)

    it("reports an error of the program", function()
      local status, output = run([[error("at top")]])
      assert.equal(70, status)
      assert.truthy(output:find("program.lua:1: at top", 1, true), output)
    end)
  end)
end)
