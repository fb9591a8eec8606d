local cli = require("gate.cli")
local process = require("spec.support.process")
local tcp = require("rt.tcp")

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

  it("tells how each command is used, and takes no argument for what it is not", function()
    for _, name in ipairs(cli.COMMANDS) do
      for _, option in ipairs({ "--help", "-h" }) do
        local status, output = run({ name, option })
        assert.equal(0, status)
        assert.truthy(output:find("usage: moongate " .. name, 1, true), output)
      end
    end
    for _, name in ipairs({ "run", "check", "models", "version" }) do
      local status, output = run({ name, "own.lua" })
      assert.equal(2, status)
      assert.truthy(output:find("takes no argument, got own.lua (did you mean --config own.lua?)", 1, true), output)
    end
  end)

  it("says what to do where it cannot start", function()
    local ACCOUNTS = 'accounts = { sim = { provider = "simulator" } }'
    local function refused(expected, args, texts, files)
      local status, output = run(args, files)
      assert.equal(expected, status, output)
      for _, part in ipairs(texts) do
        assert.truthy(output:find(part, 1, true), output)
      end
    end
    refused(78, { "run", "--config", "none.lua" }, { "none.lua: cannot read none.lua: no such file", "nothing was started" })
    refused(78, { "run" }, { "gate.lua:2: unexpected symbol", "`moongate check` tells all errors" }, { ["gate.lua"] = "return {\n" })
    local taken = assert(tcp.listen("127.0.0.1", 0))
    local where = "127.0.0.1:" .. taken:port()
    refused(70, { "run" }, { "listen " .. where .. ": address already in use", "set another address in `listen` in gate.lua" },
      { ["gate.lua"] = ('return { listen = { %q }, %s }'):format(where, ACCOUNTS) })
    refused(1, { "simulator", "--listen", where }, { "address already in use", "set another address in --listen" })
    taken:close()
    refused(2, { "simulator", "--listen", "bad" }, { "--listen: not an address: bad (wants HOST:PORT, such as 127.0.0.1:8788)" })
    refused(1, { "simulator", "--listen", "nohost.invalid:80" }, { "nohost.invalid" })
    refused(2, { "keys", "new" }, { "wants `new` and one NAME", "usage: moongate keys new NAME" })
  end)

  it("serves without its admin socket, and says what is missing then", function()
    local gateway = process.gateway({ args = { "--config", "gate.lua" },
      config = 'return { listen = { "127.0.0.1:0" }, admin = { socket = "/proc/none/admin.sock" }, '
        .. 'accounts = { sim = { provider = "simulator" } } }' })
    gateway:wait_for('"event":"admin_socket"[^\n]*\n')
    local output = gateway:output()
    gateway:stop()
    assert.truthy(output:find("signals HUP and TERM do; set `admin.socket` in gate.lua", 1, true), output)
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

  it("warns of secrets that every user may read, and only of those", function()
    local folder = process.folder()
    local function check(mode)
      process.write_file(folder .. "/token", "from-a-file-of-its-own")
      process.write_file(folder .. "/gate.lua", [[return { accounts = {
        a = { provider = "claude_aws", region = "us-west-2", workspace_id = "wrkspc_1",
          auth = { method = "api_key", api_key = "written-out" } },
        b = { provider = "claude_aws", region = "us-west-2", workspace_id = "wrkspc_1",
          auth = { method = "api_key", api_key = env.SPEC_KEY } },
        c = { provider = "claude_aws", region = "us-west-2", workspace_id = "wrkspc_1",
          auth = { method = "api_key", api_key = secret.file("token") } } } }]])
      os.execute(("chmod %s '%s/gate.lua' '%s/token'"):format(mode, folder, folder))
      local status, output = process.run({ args = { "check", "--config", folder .. "/gate.lua" }, env = { SPEC_KEY = "of-the-environment" } })
      assert.equal(0, status, output)
      return output
    end
    local output = check("644")
    assert.truthy(output:find("gate.lua:3: accounts.a.auth.api_key: every user of this machine may read this secret: chmod 600 ", 1, true), output)
    assert.truthy(output:find("/token: every user of this machine may read this secret: chmod 600 ", 1, true), output)
    assert.equal(2, select(2, output:gsub("warning: ", "")))
    assert.is_nil(output:find("written-out", 1, true))
    assert.is_nil(check("640"):find("warning", 1, true))
    process.remove_folder(folder)
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
      assert.truthy(output:find("no gateway answers on none.sock: connect: no such file or directory\nstart one with `moongate run`, "
        .. "or name the socket of the one that runs: --socket FILE", 1, true), output)
    end
  end)
end)
