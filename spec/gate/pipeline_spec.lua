local ctx_of = require("gate.ctx")
local log = require("gate.log")
local pipeline = require("gate.pipeline")

local function new_ctx()
  return ctx_of.new({}, "req_1", { id = "g", request_ms = 1 }, { surface_name = "s", dialect = "openai" }, {}, 0)
end

local function compile(...)
  local plugins = {}
  for i, module in ipairs({ ... }) do
    module.name = module.name or ("p" .. i)
    plugins[i] = { module = module, conf = { n = i }, state = { s = i }, index = i }
  end
  return pipeline.compile(plugins)
end

describe("gate.pipeline", function()
  local lines
  before_each(function()
    lines = {}
    log.configure({ write = function(line) lines[#lines + 1] = line end })
  end)

  it("has nothing for a phase that no plugin has", function()
    local hooks = compile({ on_access = function() end })
    assert.is_false(hooks.on_event)
    assert.equal(1, hooks.on_access.n)
  end)

  it("runs hooks in the order of the configuration until one answers or refuses", function()
    local seen = {}
    local hooks = compile(
      { on_request = function(_, conf, state) seen[#seen + 1] = conf.n + state.s end },
      { on_request = function() seen[#seen + 1] = "b" return nil, { code = "forbidden", message = "no" } end },
      { on_request = function() seen[#seen + 1] = "c" end })
    local result, err = pipeline.run(hooks.on_request, new_ctx())
    assert.is_nil(result)
    assert.equal("forbidden", err.code)
    assert.same({ 2, "b" }, seen)
  end)

  it("lets a closed plugin's error through, and knows whose it was", function()
    local ctx = new_ctx()
    local hooks = compile({}, { on_request = function() error("boom") end })
    assert.has_error(function() pipeline.run(hooks.on_request, ctx) end)
    assert.equal(2, ctx._plugin)
  end)

  it("skips an open plugin that raises, and says so", function()
    local ctx, ran = new_ctx(), false
    local hooks = compile({ fail = "open", on_request = function() error("boom") end },
      { on_request = function() ran = true end })
    assert.is_nil(pipeline.run(hooks.on_request, ctx))
    assert.is_true(ran)
    assert.equal("plugin_failed", ctx.warnings[1].code)
    assert.truthy(lines[1]:find('"event":"plugin_raised"', 1, true))
  end)

  it("turns what is no error table into an internal error", function()
    local _, err = pipeline.run(compile({ on_access = function() return nil, "text" end }).on_access, new_ctx())
    assert.equal("internal", err.code)
  end)

  it("lets each route plugin see and replace the targets", function()
    local ctx = new_ctx()
    local hooks = compile(
      { on_route = function() return { { account = "a", model = "m" } } end },
      { on_route = function(c) return { c.targets[1], { account = "b", model = "m" } } end },
        { on_route = function() end })
    assert.is_nil(pipeline.run(hooks.on_route, ctx))
    assert.equal(2, #ctx.targets)
  end)

  it("tells the breadcrumb before each hook and clears it", function()
    local crumb, labels, crumbs = require("gate.crumb"), {}, {}
    local kept = crumb.page
    crumb.attach(setmetatable({}, { __newindex = function(_, _, value) crumbs[#crumbs + 1] = labels[value]
      or "none" end }),
      function(text) labels[#labels + 1] = text return #labels end)
    pipeline.run(compile({ on_access = function() end }, { on_access = function() end }).on_access, new_ctx())
    crumb.attach(kept, function() return 0 end)
    assert.same({ "p1 on_access", "p2 on_access", "none" }, crumbs)
  end)

  it("runs every on_end, whatever the others do", function()
    local ran = 0
    local hooks = compile({ on_end = function() error("x") end }, { on_end = function() ran = ran + 1 end })
    pipeline.run_end(hooks.on_end, new_ctx())
    assert.equal(1, ran)
  end)
end)
