local cli = require("gate.cli")
local process = require("spec.support.process")

-- Runs a command in a folder that holds these files.
local function run(args, files, env)
  return process.run({ args = args, files = files, env = env })
end

describe("the command line", function()
  it("splits options from arguments", function()
    local known = { config = "value", quick = "flag" }
    local options, rest = cli.parse({ "a", "--config", "x", "--quick", "--", "--b" }, known)
    assert.same({ config = "x", quick = true }, options)
    assert.same({ "a", "--b" }, rest)
    assert.same({ config = "y=z" }, (cli.parse({ "--config=y=z" }, known)))
    options, rest = cli.parse({ "--confg", "x" }, known)
    assert.is_nil(options)
    assert.equal("unknown option --confg (did you mean --config?)", rest)
    assert.is_nil((cli.parse({ "--config" }, known)))
  end)

  it("helps", function()
    local status, output = run({ "help" })
    assert.equal(0, status)
    assert.truthy(output:find("keys new NAME", 1, true))
    status, output = run({ "chekc" })
    assert.equal(2, status)
    assert.truthy(output:find("did you mean check?", 1, true))
    assert.equal(2, (run({})))
    assert.equal(2, (run({ "check", "--nope" })))
    status, output = run({ "version" })
    assert.equal(0, status)
    assert.truthy(output:find("^moongate %d"))
  end)

  it("checks a configuration offline: all errors, and the exit status", function()
    local status, output = run({ "check" }, {
      ["gate.lua"] = 'return {\n  plugins = { "acess" },\n  workers = "two",\n}\n',
    })
    assert.equal(1, status)
    assert.truthy(output:find('gate.lua:2: plugins[1]: unknown plugin "acess" (did you mean "access"?)', 1, true), output)
    assert.truthy(output:find('gate.lua:3: workers: must be an integer, is "two"', 1, true), output)
    assert.truthy(output:find("2 errors", 1, true))
    status, output = run({ "check", "--config", "own.lua" }, {
      ["own.lua"] = 'return { accounts = { sim = { provider = "simulator" } } }',
    })
    assert.equal(0, status)
    assert.truthy(output:find("own.lua: ok (accounts: sim;", 1, true))
  end)

  it("refuses a region that would send credentials elsewhere", function()
    local status, output = run({ "check" }, { ["gate.lua"] = [[return { accounts = { aws = { provider = "claude_aws",
      region = "evil.example/x", workspace_id = "wrkspc_1", auth = { method = "api_key", api_key = "k" } } } }]] })
    assert.equal(1, status)
    assert.truthy(output:find('gate.lua:2: accounts.aws.region: "evil.example/x" is not valid', 1, true), output)
  end)

  it("lists models", function()
    local status, output = run({ "models" }, { ["gate.lua"] = [[return { accounts = { sim = { provider = "simulator" } },
      models = { fast = { targets = { "sim/claude-haiku-4-5" } } } }]] })
    assert.equal(0, status)
    assert.truthy(output:find("sim/claude-haiku-4-5 ", 1, true))
    assert.truthy(output:find("fast +%-> sim/claude%-haiku%-4%-5"))
  end)

  it("makes keys that the configuration accepts, and shows them once", function()
    local status, output = run({ "keys", "new", "ci", "--team", "research" })
    assert.equal(0, status)
    local key, hash = output:match("(mg%-[%w_-]+)"), output:match('sha256 = "(%x+)"')
    assert.equal(43 + 3, #key)
    assert.equal(require("rt.crypto").sha256_hex(key), hash)
    assert.truthy(output:find('{ name = "ci", sha256 = "' .. hash .. '", teams = { "research" } },', 1, true))
    assert.equal(2, (run({ "keys", "old" })))
  end)

  it("says that no gateway runs", function()
    for _, command in ipairs({ "reload", "status", "drain" }) do
      local status, output = run({ command, "--socket", "none.sock" })
      assert.equal(3, status)
      assert.truthy(output:find("no gateway answers on none.sock", 1, true), output)
    end
  end)
end)
