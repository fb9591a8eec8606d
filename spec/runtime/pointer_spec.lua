local ffi = require("ffi")
local pointer = require("rt.pointer")

ffi.cdef("typedef struct pointer_spec_slot { void *pointer; } pointer_spec_slot;")

-- Something of the runtime's that is a light userdata.
local function some_light()
  return require("cjson").null
end

describe("rt.pointer", function()
  it("writes the address of a light userdata", function()
    local slot = ffi.new("pointer_spec_slot", ffi.cast("void *", 1))
    pointer.store(slot, some_light())
    assert.is_true(slot.pointer == ffi.cast("void *", some_light()))
  end)

  it("takes only cdata and light userdata", function()
    local slot = ffi.new("pointer_spec_slot")
    assert.has_error(function()
      pointer.store({}, some_light())
    end)
    assert.has_error(function()
      pointer.store(slot, "text")
    end)
  end)
end)
