-- The wheel is reached through deadlines; what is asserted is order and "not early", never how late.
local mailbox = require("rt.mailbox")
local task = require("rt.task")
local time = require("rt.time")

-- A task that is ended by its own deadline puts its name into `order`.
local function ends_after(ms, name, order)
  local box = mailbox.new()
  return task.spawn(function()
    local began_ms = time.loop_ms()
    task.deadline(ms)
    box:take()
    assert(time.loop_ms() - began_ms >= ms, "early")
    order[#order + 1] = name
  end)
end

describe("timers", function()
  it("fire in order of their time, never early", function()
    local order, children = {}, {}
    for _, ms in ipairs({ 160, 1, 320, 70, 240 }) do
      children[#children + 1] = ends_after(ms, ms, order)
    end
    for _, child in ipairs(children) do
      assert.is_true(child:join())
    end
    assert.same({ 1, 70, 160, 240, 320 }, order)
  end)

  it("that are far away do not keep near ones", function()
    local order = {}
    local far = {}
    for i = 1, 2000 do -- many rounds of the wheel
      far[i] = ends_after(i * 1000, "far", order)
    end
    assert.is_true(ends_after(40, "near", order):join())
    assert.is_true(ends_after(40, "near", order):join())
    for i = 1, 2000 do
      if not far[i]:is_done() then
        far[i]:cancel()
      end
    end
    local near = 0
    for _, name in ipairs(order) do
      near = near + (name == "near" and 1 or 0)
    end
    assert.equal(2, near)
  end)

  it("can be set anew and stopped by what they wake", function()
    local boxes, seen, others = {}, {}, {}
    for i = 1, 5 do -- all due in one tick: the first to fire ends the others
      boxes[i] = mailbox.new()
      others[i] = task.spawn(function()
        task.deadline(10)
        local _, err = boxes[i]:take()
        seen[#seen + 1] = err.code
        for k = 1, 5 do
          if k ~= i and not others[k]:is_done() then
            others[k]:cancel()
          end
        end
        task.deadline(10)
        return select(2, boxes[i]:take()).code
      end)
    end
    for i = 1, 5 do
      local ok = others[i]:join()
      assert.is_true(ok)
    end
    table.sort(seen)
    assert.same({ "cancelled", "cancelled", "cancelled", "cancelled", "timeout" }, seen)
  end)

  it("take any delay", function()
    local box = mailbox.new()
    for _, ms in ipairs({ 0, 2 ^ 40, 1e300, math.huge }) do
      local child = task.spawn(function()
        task.deadline(ms)
        return box:take()
      end)
      child:cancel()
      assert.is_true(child:join())
    end
    assert.has_error(function() task.deadline(-1) end)
    assert.has_error(function() task.deadline(0 / 0) end)
    assert.has_error(function() time.sleep(-1) end)
  end)
end)
