local crypto = require("rt.crypto")
local fake = require("spec.support.fake")
local plugin = require("plugins.access")

local function setup(keys, conf)
  local rows = {}
  for i, key in ipairs(keys) do
    local row = { name = key.name or ("key" .. i), sha256 = crypto.sha256_hex(key.key) }
    for name, value in pairs(key) do
      if name ~= "key" then
        row[name] = value
      end
    end
    rows[i] = row
  end
  return assert(plugin.setup(conf or { anonymous = false }, { keys = rows }))
end

local function enter(state, headers)
  local ctx = fake.ctx({ headers = headers })
  local _, err = plugin.on_access(ctx, {}, state)
  return ctx, err
end

describe("plugins.access", function()
  local state = setup({ { key = "mg-secret-1", user = "svc:ci", teams = { "research" } }, { key = "mg-two", models = { "claude-haiku-4-5", "fast" } } })

  it("knows a key by x-api-key or as a bearer token, whatever the scheme's case", function()
    assert.equal("svc:ci", enter(state, { ["x-api-key"] = "mg-secret-1" }).identity.user)
    assert.equal("svc:ci", enter(state, { authorization = "Bearer mg-secret-1" }).identity.user)
    assert.equal("svc:ci", enter(state, { authorization = "bearer  mg-secret-1 " }).identity.user)
  end)

  it("lets x-api-key win", function()
    local ctx = enter(state, { ["x-api-key"] = "mg-two", authorization = "Bearer mg-secret-1" })
    assert.equal("key2", ctx.identity.name)
  end)

  for _, key in ipairs({ "", " ", "mg-secret-", "mg-secret-11", "mg-secret-1,mg-two", "' or 1=1", "%s", ".*", "mg-secret-1\0", ("x"):rep(5000) }) do
    it("denies " .. ("%q"):format(key:sub(1, 20)) .. " with one and the same answer", function()
      local ctx, err = enter(state, { ["x-api-key"] = key })
      local _, none = enter(state, {})
      assert.equal("unauthenticated", err.code)
      assert.equal(none.message, err.message)
      assert.is_nil(ctx.identity)
    end)
  end

  it("denies other schemes", function()
    local _, err = enter(state, { authorization = "Basic bWctc2VjcmV0LTE=" })
    assert.equal("unauthenticated", err.code)
  end)

  it("denies an expired key", function()
    local old = setup({ { key = "k", expires_at = 1 } })
    local _, err = enter(old, { ["x-api-key"] = "k" })
    assert.equal("unauthenticated", err.code)
  end)

  it("lets nobody in without a key unless configured", function()
    local open = setup({}, { anonymous = true })
    assert.equal("anonymous", enter(open, {}).identity.user)
    local _, err = enter(open, { ["x-api-key"] = "wrong" })
    assert.equal("unauthenticated", err.code)
  end)

  local function attempt(model, target)
    local ctx = enter(state, { ["x-api-key"] = "mg-two" })
    ctx.model = model
    plugin.on_request(ctx)
    local _, err = plugin.on_attempt(ctx, {}, state, { target = target })
    return err
  end

  it("allows a key its models, by bare name, address and virtual name", function()
    assert.is_nil(attempt("claude-haiku-4-5", { account = "aws", model = "claude-haiku-4-5" }))
    assert.is_nil(attempt("aws/claude-haiku-4-5", { account = "aws", model = "claude-haiku-4-5" }))
    assert.is_nil(attempt("fast", { account = "aws", model = "claude-opus-4-8" }))
  end)

  it("forbids other models", function()
    assert.equal("forbidden", attempt("claude-opus-4-8", { account = "aws", model = "claude-opus-4-8" }).code)
    assert.equal("forbidden", attempt("slow", { account = "aws", model = "claude-opus-4-8" }).code)
  end)

  it("denies later hooks without an identity", function()
    local ctx = fake.ctx()
    local _, err = plugin.on_request(ctx)
    assert.equal("unauthenticated", err.code)
    _, err = plugin.on_attempt(ctx, {}, state, { target = { account = "a", model = "b" } })
    assert.equal("unauthenticated", err.code)
  end)
end)
