local compiler = require("gate.compiler")
local ffi = require("ffi")

local box = ffi.typeof("struct { int n; }")

-- Calls that are hot enough to be recorded, over and over, each with garbage that has a finalizer.
local function run(count)
  local sum = 0
  for _ = 1, count do
    local function hot(n)
      local made = ffi.gc(ffi.new(box, n), function() sum = sum + 1 end)
      return made.n
    end
    for i = 1, 100 do
      hot(i)
    end
  end
  return sum
end

describe("gate.compiler", function()
  it("lets the collector go on after every recording", function()
    compiler.setup()
    for _ = 1, 20 do
      run(50)
      jit.flush()
    end
    assert.is_true(run(1000) > 50000)
    assert.is_true(collectgarbage("count") < 200000)
  end)
end)
