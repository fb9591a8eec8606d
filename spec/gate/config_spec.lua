local support = require("spec.gate.support")

local ACCOUNT = 'accounts = { aws = { provider = "cloud", region = "us-west-2" } }'

-- The report of a configuration that must be refused.
local function refused(config, plugins, files, env)
  local generation, lines = support.build(config, plugins, files, env)
  assert.is_nil(generation)
  return lines
end

local function assert_refused(expected, config, ...)
  local lines = refused(config, ...)
  assert.equal(expected, table.concat(lines, "\n"))
end

describe("gate.config", function()
  it("accepts a small configuration and fills in defaults", function()
    local generation = assert(support.build("return { " .. ACCOUNT .. " }"))
    assert.equal("127.0.0.1", generation.config.listen[1].host)
    assert.equal(8787, generation.config.listen[1].port)
    assert.equal(3600000, generation.config.timeouts.request_ms)
    assert.equal("us-west-2", generation.app.accounts.aws.state.region)
    generation:teardown()
  end)

  it("tells file, line, path and suggestion of a misspelt field", function()
    assert_refused('gate.lua:3: accounts.aws.regoin: unknown field (did you mean "region"?)',
      'return {\n  accounts = { aws = { provider = "cloud",\n    regoin = "us-west-2" } },\n}')
    assert_refused('gate.lua:2: acounts: unknown field (did you mean "accounts"?)', "return {\n acounts = {} }")
  end)

  it("tells every error at once, in the order of lines", function()
    local lines = refused([[
return {
  listen = { "127.0.0.1" },
  workers = 0,
  accounts = {
    aws = { provider = "clod", region = "US WEST" },
    other = { provider = "cloud", base_url = "http://example.com" },
  },
  models = { fast = { targets = { "avs/claude-x", "claude-x" } } },
  plugins = { "gatekeper", { "gatekeeper", rpm = 0, rpmm = 1 } },
  log = { level = "wran" },
}]])
    assert.same({
      'gate.lua:2: listen[1]: "127.0.0.1" must be "host:port" with a port up to 65535, or "unix:path"',
      "gate.lua:3: workers: must be at least 1, is 0",
      'gate.lua:5: accounts.aws.provider: unknown provider "clod" (did you mean "cloud"?)',
      "gate.lua:6: accounts.other.base_url: plain http is allowed to loopback only (or set allow_plain_http = true)",
      'gate.lua:8: models.fast.targets[1]: there is no account "avs" (did you mean "aws"?)',
      'gate.lua:8: models.fast.targets[2]: "claude-x" must be "account/model" or "@account/@model"',
      'gate.lua:9: plugins[1]: unknown plugin "gatekeper" (did you mean "gatekeeper"?)',
      'gate.lua:9: plugins[2].rpmm: unknown field (did you mean "rpm"?)',
      "gate.lua:9: plugins[2].rpm: must be at least 1, is 0",
      'gate.lua:10: log.level: must be one of "debug", "info", "warn", "error", is "wran" (did you mean "warn"?)',
    }, lines)
  end)

  it("refuses a bad region by the provider's own schema", function()
    assert_refused('gate.lua:1: accounts.aws.region: "US WEST" is not valid',
      'return { accounts = { aws = { provider = "cloud", region = "US WEST" } } }')
  end)

  it("refuses keys that are the same", function()
    local hash = ("ab"):rep(32)
    assert_refused("gate.lua:3: keys[2].sha256: the same key as keys[1]",
      "return { " .. ACCOUNT .. ', keys = {\n { name = "a", sha256 = "' .. hash .. '" },\n { name = "b", sha256 = "'
        .. hash:upper() .. '" } } }')
    assert_refused("gate.lua:1: keys[1].sha256: must be at least 64 characters, is 2",
      "return { " .. ACCOUNT .. ', keys = { { name = "a", sha256 = "ab" } } }')
    assert_refused('gate.lua:1: keys[2].name: the same name as keys[1]',
      "return { " .. ACCOUNT .. ', keys = { { name = "a", sha256 = "' .. hash .. '" }, { name = "a", sha256 = "'
        .. ("cd"):rep(32) .. '" } } }')
  end)

  it("tells syntax and run-time errors with their line", function()
    assert_refused("gate.lua:2: unexpected symbol near '}'", "return {\n a = }")
    assert_refused("gate.lua:2: attempt to index field 'x' (a nil value)", "local t = {}\nreturn { listen = t.x.y }")
    assert_refused("gate.lua:1: gate.lua: undefined variable 'os2'", "return { listen = os2.x }")
    assert_refused("gate.lua:1: must return a table: return { ... }", "local x = 1")
    assert_refused("gate.lua:1: gate.lua: global 'x' may not be set: declare it local", "x = 1 return {}")
  end)

  it("stops a configuration that runs for ever", function()
    assert_refused("gate.lua: runs too long: more than 50000000 instructions", "while true do end return {}")
  end)

  it("reads environment, secrets and includes, each with the line of its error", function()
    local generation = assert(support.build([[
return { accounts = { aws = { provider = "cloud", region = env.REGION, key = secret.file("key.txt") } },
  models = include("models.lua") }]],
      nil, { ["key.txt"] = "hidden\n", ["models.lua"] = 'return { fast = { targets = { "aws/claude-x" } } }' },
        { REGION = "eu-west-1" }))
    assert.equal("eu-west-1", generation.app.accounts.aws.state.region)
    assert.equal("hidden", generation.app.accounts.aws.conf.key:reveal())
    assert.equal("[secret]", tostring(generation.app.accounts.aws.conf.key))
    generation:teardown()
    assert_refused("gate.lua:2: secret.env: the environment variable NOPE is not set",
      'return { accounts = { aws = { provider = "cloud",\n key = secret.env("NOPE") } } }')
    assert_refused("gate.lua:1: secret.file: cannot read nowhere.txt",
      'return { accounts = { aws = { provider = "cloud", key = secret.file("nowhere.txt") } } }')
    assert_refused('models.lua:2: models.fast.targets[1]: there is no account "awz" (did you mean "aws"?)',
      "return { " .. ACCOUNT .. ', models = include("models.lua") }', nil,
      { ["models.lua"] = '-- virtual\nreturn { fast = { targets = { "awz/claude-x" } } }' })
    assert_refused("gate.lua:1: include: cannot read gone.lua", "return { " .. ACCOUNT
      .. ', models = include("gone.lua") }')
  end)

  it("refuses a secret where a plain value belongs, and the other way round", function()
    assert_refused("gate.lua:1: accounts.aws.region: is not a secret field: use env.NAME or a plain value",
      'return { accounts = { aws = { provider = "cloud", region = secret.env("R") } } }', nil, nil, { R = "x" })
    assert_refused("gate.lua:1: accounts.aws.key: must be a string or secret.env/secret.file, is 7",
      'return { accounts = { aws = { provider = "cloud", key = 7 } } }')
  end)

  it("refuses what is a plugin of another kind, and lists it only once", function()
    assert_refused("plugins/cloud.lua: plugins[1]: is a provider plugin, not a policy",
      "return { " .. ACCOUNT .. ', plugins = { "cloud" } }')
    assert_refused('gate.lua:1: plugins[2]: plugin "gatekeeper" is listed twice',
      "return { " .. ACCOUNT .. ', plugins = { "gatekeeper", "gatekeeper" } }')
  end)

  it("takes accounts from the environment, else the embedded one", function()
    local generation = assert(support.build(nil, nil, nil, { CLOUD_REGION = "eu-north-1" }))
    assert.equal("eu-north-1", generation.app.accounts.aws.state.region)
    generation:teardown()
    generation = assert(support.build(nil))
    assert.same({ "inside" }, generation.app.account_names)
    generation:teardown()
  end)

  it("finds lines also where tables come from variables, calls and loops", function()
    assert_refused('gate.lua:2: keys[1].nane: unknown field (did you mean "name"?)\ngate.lua:2: keys[1].name: is required: How the log calls it.',
      "local keys = {}\nfor i = 1, 1 do keys[i] = { nane = 1, sha256 = ('ab'):rep(32) } end\nreturn { " .. ACCOUNT
        .. ", keys = keys }")
    assert_refused("gate.lua:4: workers: must be an integer, is 1.5",
      "local function f(t) return t end\nreturn f{ " .. ACCOUNT
        .. ',\n ["listen"] = { "127.0.0.1:0" }, -- {\n workers = 1.5, }')
  end)
end)
