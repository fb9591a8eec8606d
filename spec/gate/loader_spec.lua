local generation_of = require("gate.generation")
local support = require("spec.gate.support")

local CONFIG = 'return { accounts = { aws = { provider = "cloud" } } }'

describe("gate.loader", function()
  it("builds nothing when one plugin is wrong, and leaves nothing behind", function()
    local before = generation_of.alive()
    local cases = {
      ["plugins/gatekeeper.lua:1: plugins[1]: '=' expected near 'is'"] = "this is no Lua",
      ["plugins/gatekeeper.lua:2: plugins[1]: boom"] = "\nerror('boom')",
      ["plugins/gatekeeper.lua: plugins[1]: returns no table: this is no plugin"] = "return 7",
      ['plugins/gatekeeper.lua: plugins[1]: M.name must be "gatekeeper", is other'] = 'return { name = "other", api = 1 }',
      ["plugins/gatekeeper.lua: plugins[1]: M.api must be 1 (this gateway), is 2"] = 'return { name = "gatekeeper", api = 2 }',
      ['plugins/gatekeeper.lua: plugins[1]: M.on_requst is no hook (did you mean "on_request"?)'] =
        'return { name = "gatekeeper", api = 1, on_requst = function() end }',
      ["plugins/gatekeeper.lua: plugins[1]: M.schema.a has no known type"] =
        'return { name = "gatekeeper", api = 1, schema = { a = { type = "strng" } } }',
      ["plugins/gatekeeper.lua:1: plugins[1]: no database"] =
        'return { name = "gatekeeper", api = 1, setup = function() error("no database") end }',
      ["gate.lua: plugins[1]: refused"] =
        'return { name = "gatekeeper", api = 1, setup = function() return nil, { code = "x", message = "refused" } end }',
    }
    for expected, text in pairs(cases) do
      local generation, lines = support.build(CONFIG, { gatekeeper = text })
      assert.is_nil(generation)
      assert.equal(expected, (lines[1]:gsub("^gate.lua:1: ", "gate.lua: ")))
    end
    assert.equal(before, generation_of.alive())
  end)

  it("tears down what was set up when a later part fails", function()
    local config = 'return { accounts = { aws = { provider = "cloud" } }, plugins = { "gatekeeper", "last" } }'
    local text = [[local M = { name = "gatekeeper", version = "1", api = 1 }
      function M.setup() return { n = 1 } end
      function M.teardown(state) state.n = state.n + 1; error("down " .. state.n) end return M]]
    local messages = {}
    require("gate.log").configure({ write = function(line) messages[#messages + 1] = line end })
    local generation = support.build(config, {
      gatekeeper = text, last = 'return { name = "last", api = 1, setup = function() return nil, { code = "x", message = "no" } end }',
    })
    assert.is_nil(generation)
    assert.truthy(messages[1]:find("down 2", 1, true))
  end)

  it("keeps generations apart: two of them have their own module tables", function()
    local a = assert(support.build(CONFIG))
    local b = assert(support.build(CONFIG))
    assert.are_not.equal(a.policies[1].module, b.policies[1].module)
    a:teardown()
    b:teardown()
  end)

  it("tears a retired generation down when its last request ends, not before", function()
    local generation = assert(support.build(CONFIG))
    local before = generation_of.alive()
    generation:hold()
    generation:hold()
    generation:retire()
    assert.equal(before, generation_of.alive())
    generation:release()
    assert.equal(before, generation_of.alive())
    generation:release()
    assert.equal(before - 1, generation_of.alive())
  end)

  it("is collected after its teardown", function()
    local weak = setmetatable({}, { __mode = "v" })
    do
      local generation = assert(support.build(CONFIG))
      weak[1] = generation
      generation:retire()
    end
    collectgarbage()
    collectgarbage()
    assert.is_nil(weak[1])
  end)

  it("finds routes, exact and with parameters", function()
    local generation = assert(support.build(CONFIG))
    assert.equal("door", generation:find_route("POST", "/v1/messages").surface_name)
    local entry, methods = generation:find_route("GET", "/v1/messages")
    assert.is_nil(entry)
    assert.is_table(methods.POST)
    local _, params = generation:find_route("GET", "/v1/models/aws%2Fclaude")
    assert.same({ id = "aws/claude" }, params)
    assert.is_nil((generation:find_route("GET", "/v1/models/a%0d")))
    assert.is_nil((generation:find_route("GET", "/v1/models/a/b")))
    assert.is_nil((generation:find_route("GET", "/nothing")))
    generation:teardown()
  end)

  it("resolves targets with private prices over the catalogue's", function()
    local generation = assert(support.build([[return { accounts = { aws = { provider = "cloud" } },
      models = { ["aws/m"] = { price = { input = 9, output = 8 } } } }]]))
    local account, entry = generation:resolve("aws", "m")
    assert.equal("aws", account.name)
    assert.equal(9, entry.price.input)
    local _, other = generation:resolve("aws", "n")
    assert.equal(1, other.price.input)
    assert.is_nil((generation:resolve("nowhere", "m")))
    generation:teardown()
  end)

  it("tells a circle of modules", function()
    local generation, lines = support.build(CONFIG, {
      gatekeeper = 'require("plugins.helper") return { name = "gatekeeper", api = 1 }',
        helper = 'return require("plugins.gatekeeper")',
    })
    assert.is_nil(generation)
    assert.truthy(lines[1]:find("require each other in a circle", 1, true))
  end)
end)
