local pipe = require("rt.pipe")
local system = require("rt.system")
local task = require("rt.task")

local function pair()
  local a, b = system.socketpair()
  return assert(pipe.open(a)), assert(pipe.open(b))
end

describe("rt.pipe", function()
  it("carries lines of any length, in order", function()
    local a, b = pair()
    local long = ("x"):rep(3000000)
    local writer = task.spawn(function()
      for _, line in ipairs({ "one", "", long, "two" }) do
        assert(a:write(line .. "\n"))
      end
      assert(a:write("no newline"))
      a:close()
    end)
    assert.equal("one", b:read_line())
    assert.equal("", b:read_line())
    assert.is_true(long == b:read_line())
    assert.equal("two", b:read_line())
    assert.same({ nil, nil }, { b:read_line() })
    assert.same({ true }, { writer:join() })
    b:close()
  end)

  it("holds a writer up when nobody reads, but not send()", function()
    local a, b = pair()
    local block, count = ("y"):rep(99999) .. "\n", 0
    local writer = task.spawn(function()
      for _ = 1, 100 do
        assert(a:write(block))
        count = count + 1
      end
    end)
    assert.is_true(count < 100)
    for _ = 1, 100 do
      assert.is_true(b:send(block))
    end
    for _ = 1, 100 do
      assert.equal(99999, #b:read_line())
    end
    assert.same({ true }, { writer:join() })
    for _ = 1, 100 do
      assert.equal(99999, #a:read_line())
    end
    a:close()
    b:close()
  end)

  it("ends waits when it is closed, cancelled, or the other side goes", function()
    local a, b = pair()
    local reader = task.spawn(function() return select(2, a:read_line()).code end)
    reader:cancel()
    assert.same({ true, "cancelled" }, { reader:join() })
    assert.is_true(b:write("after\n"))
    assert.equal("after", a:read_line())
    reader = task.spawn(function() return select(2, a:read_line()).code end)
    assert.has_error(function() a:read_line() end, "pipe:read_line: another task already waits")
    a:close()
    a:close()
    assert.same({ true, "closed" }, { reader:join() })
    assert.equal("closed", select(2, a:read_line()).code)
    assert.equal("closed", select(2, a:write("x")).code)
    assert.same({ nil, nil }, { b:read_line() })
    local code
    repeat
      code = select(2, b:write("into the void\n"))
    until code
    assert.equal("reset", code.code)
    b:close()
  end)

  it("may be forgotten", function()
    pair()
    collectgarbage()
    collectgarbage()
  end)

  it("refuses what is no stream", function()
    local opened, err = pipe.open(99999)
    assert.is_nil(opened)
    assert.is_string(err.code)
  end)
end)
