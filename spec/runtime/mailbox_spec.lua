local mailbox = require("rt.mailbox")
local task = require("rt.task")

describe("rt.mailbox", function()
  it("gives values in order, waiting or not", function()
    local box, seen = mailbox.new(), {}
    local reader = task.spawn(function()
      for i = 1, 4 do
        seen[i] = box:take()
      end
    end)
    box:put("a")
    box:put("b")
    assert.equal(2, box:size())
    assert.same({}, seen) -- never inside put()
    local other = mailbox.new()
    other:put(false)
    assert.is_false(other:take())
    box:put("c")
    box:put("d")
    reader:join()
    assert.same({ "a", "b", "c", "d" }, seen)
    assert.equal(0, box:size())
  end)

  it("keeps what a cancelled reader did not get", function()
    local box = mailbox.new()
    local reader = task.spawn(function() return box:take() end)
    box:put(1)
    reader:cancel()
    assert.equal(1, box:take())
  end)

  it("refuses nil and a second reader", function()
    local box = mailbox.new()
    assert.has_error(function() box:put(nil) end)
    local reader = task.spawn(function() return box:take() end)
    assert.has_error(function() box:take() end, "mailbox:take: another task already waits")
    box:put(1)
    reader:join()
  end)

  it("may be forgotten with values in it", function()
    for i = 1, 1000 do
      mailbox.new():put(i)
    end
    collectgarbage()
    local box = mailbox.new()
    local reader = task.spawn(function() box:take() end)
    box:put(1)
    reader:cancel() -- its delivery is still queued
    box, reader = nil, nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
  end)
end)
