-- The README's examples, run as a reader would: against `moongate run` without a configuration, and as a configuration
-- with a plugin that is checked, served and asked.
local examples = require("spec.support.examples")
local process = require("spec.support.process")

local README = assert(process.read_file("README.md"))
-- What a reader's environment may offer, and this test must not.
local NOTHING = {
  ANTHROPIC_API_KEY = "", ANTHROPIC_AWS_API_KEY = "", ANTHROPIC_AWS_WORKSPACE_ID = "", AWS_ACCESS_KEY_ID = "", AWS_REGION = "",
}

describe("README.md", function()
  local found, problems = examples.find(README, "README.md")
  local config, plugins = nil, {}
  for _, example in ipairs(found) do
    if example.is_config then
      config = example.text
    elseif example.plugin then
      plugins["plugins/" .. example.plugin .. ".lua"] = example.text
    end
  end

  it("says of every block what becomes of it", function()
    assert.same({}, problems)
  end)

  describe("runs", function()
    local gateway, key

    setup(function()
      gateway = process.gateway({
        config = nil, env = NOTHING, args = {}, ready = "serves at (http://127%.0%.0%.1:(%d+))",
      })
      key = gateway:wait_for("key, for this run only: (%S+)")
    end)

    teardown(function()
      gateway:stop()
    end)

    for _, example in ipairs(found) do
      if example.says[1] then
        it(example.at, function()
          examples.run(example, { url = gateway.url, key = key })
        end)
      end
    end

    it("the curl line that `make run` prints", function()
      local line = gateway:wait_for("try:\n  (.-})'\n") .. "'"
      local status, output = process.run({ file = "/bin/sh", args = { "-ec", line } })
      assert.equal(0, status, output)
      assert.matches("simulator", output)
    end)
  end)

  it("its configuration and plugin pass moongate check", function()
    local files = { ["gate.lua"] = config }
    for path, text in pairs(plugins) do
      files[path] = text
    end
    local status, output = process.run({
      args = { "check", "--config", "gate.lua" }, files = files, env = { AWS_SECRET_ACCESS_KEY = "secret" },
    })
    assert.equal(0, status, output)
  end)
end)
