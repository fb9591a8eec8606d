local leaks = require("spec.support.leaks")
local task = require("rt.task")
local time = require("rt.time")

-- Also the proof that setup, hooks and tests run inside one task, where waiting is allowed.
describe("spec.support.leaks", function()
  local order = {}

  setup(function()
    assert(time.sleep(1))
    order[1] = "setup"
  end)

  before_each(function()
    assert(time.sleep(1))
    order[#order + 1] = "before"
  end)

  it("finds nothing where nothing was left", function()
    assert.same({ "setup", "before" }, order)
    local before = leaks.snapshot()
    local child = task.spawn(time.sleep, 1)
    assert(child:join())
    assert(io.open("/dev/null")):close()
    assert.is_nil(leaks.compare(before, 200))
  end)

  it("names a task and a descriptor that were left", function()
    local before = leaks.snapshot()
    local child = task.spawn(time.sleep, 60000)
    local file = assert(io.open("/dev/null"))
    local left = leaks.compare(before, 1)
    file:close()
    child:cancel()
    child:join()
    assert.matches("2 tasks, before 1", left, 1, true)
    assert.matches("/dev/null", left, 1, true)
  end)
end)
