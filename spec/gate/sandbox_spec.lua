local modules_of = require("gate.modules")

-- What a module's text returns, or the message.
local function run(text, trusted)
  local modules = modules_of.new({ ["plugins.p"] = { path = "plugins/p.lua", text = text } })
  modules.trusted.p = trusted
  return modules:load("plugins.p")
end

describe("gate.sandbox", function()
  it("has the safe library and nothing else", function()
    for _, name in ipairs({
      "debug", "io", "jit", "ffi", "package", "load", "loadstring", "loadfile", "dofile", "getfenv", "setfenv",
        "newproxy",
      "collectgarbage", "module", "print", "_G",
    }) do
      local value, message = run("return { v = " .. name .. " }")
      assert.is_nil(value, name)
      assert.truthy(message:find("undefined variable '" .. name .. "'", 1, true), message)
    end
    for _, name in ipairs({ "os.execute", "os.exit", "os.getenv", "os.remove", "string.dump", "math.foo",
      '("").dump' }) do
      assert.is_nil(run("return { v = " .. name .. " }").v, name)
    end
    assert.equal(3, run("return { v = math.max(1, 3) }").v)
  end)

  it("refuses modules that are not for plugins", function()
    for _, name in ipairs({ "ffi", "jit", "io", "rt.task", "gate.config", "string.buffer", "package", "debug" }) do
      local value, message = run("return require('" .. name .. "')")
      assert.is_nil(value)
      assert.truthy(message:find("is not for plugins", 1, true), message)
    end
  end)

  it("raises when a global is written or an undefined one is read, with file and line", function()
    local _, message = run("local x = 1\ny = x return {}")
    assert.equal("plugins/p.lua:2: plugins/p.lua: global 'y' may not be set: declare it local", message)
    local module = run("return { f = function() return undefined_thing end }")
    local ok
    ok, message = pcall(module.f)
    assert.is_false(ok)
    assert.truthy(message:find("undefined variable 'undefined_thing'", 1, true))
  end)

  it("refuses bytecode", function()
    local code = loadstring("return string")
    assert.is_function(code)
    local value, message = run("\27LJ\2\0")
    assert.is_nil(value)
    assert.truthy(message)
  end)

  it("locks what is shared", function()
    assert.is_nil(run([[return { v = getmetatable("") }]]).v)
    run([[string.format = nil; table.concat = nil; return {}]])
    assert.is_function(string.format)
    assert.is_function(table.concat)
    local a = run([[local gate = require("gate.plugin"); gate.reply = 7; return { gate = gate }]])
    assert.equal(7, a.gate.reply)
    assert.is_function(require("gate.plugin").reply)
  end)

  it("lifts the walls for a trusted plugin, in its own environment", function()
    local module = assert(run("x_of_trusted = 1; return { v = require('ffi').os, io = io }", true))
    assert.is_string(module.v)
    assert.is_table(module.io)
    assert.is_nil(rawget(_G, "x_of_trusted"))
  end)

  it("walks tables that say how", function()
    local value = run([[
      local t = setmetatable({}, { __pairs = function() return function(_, k) if not k then return "a", 1 end end end })
      local out = {}
      for k, v in pairs(t) do out[k] = v end
      return out]])
    assert.same({ a = 1 }, value)
  end)
end)
