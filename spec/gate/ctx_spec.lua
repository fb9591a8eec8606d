local ctx_of = require("gate.ctx")

local function new()
  local req = {
    header = function(_, name) return name == "x-a" and "1" or nil end,
    peer = function() return "1.2.3.4:5" end,
  }
  local generation = { id = "g1", request_ms = 1000 }
  return ctx_of.new(req, "req_1", generation, { surface_name = "s", dialect = "openai", operation = "messages" },
    { path = "/" }, 5)
end

describe("gate.ctx", function()
  it("raises for unknown fields, read and written", function()
    local ctx = new()
    assert.has_error(function() return ctx.modle end, "ctx has no field 'modle'")
    assert.has_error(function() ctx.modle = 1 end, "ctx has no field 'modle'")
    assert.has_error(function() ctx.own = {} end, "ctx.own cannot be set")
  end)

  it("has its known fields", function()
    local ctx = new()
    assert.equal("req_1", ctx.id)
    assert.is_nil(ctx.identity)
    ctx.identity = { name = "k" }
    assert.equal("k", ctx.identity.name)
    assert.equal(1005, ctx.deadline_ms)
    assert.equal("1", ctx:header("x-a"))
    assert.equal("1.2.3.4:5", ctx.client)
  end)

  it("gives each plugin its own table, and none of them another request's", function()
    local a, b = new(), new()
    a._plugin = 1
    a.own.x = 1
    a._plugin = 2
    assert.is_nil(a.own.x)
    a._plugin, b._plugin = 1, 1
    assert.equal(1, a.own.x)
    assert.is_nil(b.own.x)
    a:warn("dropped", "%s is dropped", "seed")
    assert.same({ { code = "dropped", message = "seed is dropped" } }, a.warnings)
    assert.same({}, b.warnings)
    a.shared.route = { 1 }
    assert.is_nil(b.shared.route)
  end)

  it("frees the documents it was given, once", function()
    local ctx, freed = new(), 0
    ctx:own_doc({ free = function() freed = freed + 1 end })
    ctx_of.release(ctx)
    ctx_of.release(ctx)
    assert.equal(1, freed)
  end)

  it("forgets what only the begin of a stream needs", function()
    local freed, forgotten, request = 0, 0, { path = "/", doc = {}, _req = {} }
    local req = {
      header = function() error("its head was forgotten") end,
      forget_head = function() forgotten = forgotten + 1 end,
    }
    local ctx = ctx_of.new(req, "req_1", { id = "g1", request_ms = 1 }, { surface_name = "s" }, request, 5)
    ctx.body = ctx:own_doc({ free = function() freed = freed + 1 end })
    ctx.model = "m"
    ctx_of.forget(ctx)
    assert.same({ 1, 1 }, { freed, forgotten })
    assert.is_nil(ctx.body)
    assert.is_nil(ctx.request)
    assert.is_nil(request.doc)
    assert.is_nil(ctx:header("x-a"))
    assert.equal("m", ctx.model)
  end)
end)
