local catalog = require("plugins.catalog")
local fake = require("spec.support.fake")
local plugin = require("plugins.route")

local rows = catalog.setup()
local function app(fields)
  local a = {
    accounts = { aws = { name = "aws", models = "all" }, direct = { name = "direct", models = { "claude-haiku-4-5" } } },
    account_names = { "aws", "direct" },
    models = { fast = { targets = { "direct/claude-haiku-4-5", "@aws/@claude-sonnet-4-6" } } },
    catalog = { find = function(name) return catalog.find(name, rows) end },
  }
  for name, value in pairs(fields or {}) do
    a[name] = value
  end
  return a
end

local function route(model, conf, fields)
  local state = assert(plugin.setup(conf or {}, app(fields)))
  local ctx = fake.ctx()
  ctx.model = model
  local targets, err = plugin.on_route(ctx, conf or {}, state)
  if not targets then
    return nil, err
  end
  local out = {}
  for i, target in ipairs(targets) do
    out[i] = target.account .. "/" .. target.model
  end
  return table.concat(out, " ")
end

describe("plugins.route", function()
  it("takes account/model and @account/@model", function()
    assert.equal("aws/claude-opus-4-8", (route("aws/claude-opus-4-8")))
    assert.equal("aws/claude-opus-4-8", (route("@aws/@claude-opus-4-8")))
    assert.equal("aws/claude-opus-4-8", (route("@aws/claude-opus-4-8")))
  end)

  it("keeps the order of a virtual model's targets", function()
    assert.equal("direct/claude-haiku-4-5 aws/claude-sonnet-4-6", (route("fast")))
  end)

  it("finds the one account of a bare name", function()
    assert.equal("aws/claude-opus-4-8", (route("claude-opus-4-8")))
  end)

  it("asks for an account where several offer the name, unless one is the default", function()
    local targets, err = route("claude-haiku-4-5")
    assert.is_nil(targets)
    assert.equal("model_not_found", err.code)
    assert.truthy(err.message:find("account/claude-haiku-4-5", 1, true))
    assert.equal("direct/claude-haiku-4-5", (route("claude-haiku-4-5", { default_account = "direct" })))
  end)

  for _, name in ipairs({ "gpt-5", "nobody/claude-opus-4-8", "direct/claude-opus-4-8", "aws/gpt-5", "/", "@/", "aws/", "a/b/c" }) do
    it("does not know " .. name, function()
      local targets, err = route(name)
      assert.is_nil(targets)
      assert.equal("model_not_found", err.code)
    end)
  end

  it("leaves targets of an earlier plugin alone", function()
    local ctx = fake.ctx()
    ctx.model, ctx.targets = "gpt-5", { { account = "aws", model = "claude-opus-4-8" } }
    assert.is_nil(plugin.on_route(ctx, {}, plugin.setup({}, app())))
  end)

  it("refuses a default account that does not exist", function()
    local state, err = plugin.setup({ default_account = "nobody" }, app())
    assert.is_nil(state)
    assert.equal("bad_config", err.code)
  end)
end)
