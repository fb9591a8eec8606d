--- The examples of README.md and examples/*/README.md run: what a newcomer copies works.
local crypto = require("rt.crypto")
local examples = require("spec.support.examples")
local process = require("spec.support.process")
local tree = require("spec.support.tree")

local KEY = "mg-readme-key"

local found, problems, files = {}, {}, {}
local plugins = {}
for _, name in ipairs(dofile("plugins/defaults.lua").plugins) do
  plugins[#plugins + 1] = ("%q"):format(name)
end
for _, path in ipairs(tree.matching(tree.files(), "^README%.md$", "^examples/.*README%.md$")) do
  local here, wrong = examples.find(tree.read(path), path)
  for _, example in ipairs(here) do
    found[#found + 1] = example
    if example.plugin then -- after access, so that it knows who asks
      files["plugins/" .. example.plugin .. ".lua"] = example.text
      table.insert(plugins, 2, ("%q"):format(example.plugin))
    end
  end
  for _, problem in ipairs(wrong) do
    problems[#problems + 1] = problem
  end
end

local CONFIG = ([[
return {
  listen = { "127.0.0.1:0" },
  workers = 1,
  accounts = { sim = { provider = "simulator" } },
  keys = { { name = "reader", sha256 = "%s", user = "svc:reader" } },
  plugins = { %s },
}
]]):format(crypto.sha256_hex(KEY), table.concat(plugins, ", "))

describe("README", function()
  it("says of every block of sh, js and lua whether it runs", function()
    assert.same({}, problems)
  end)
end)

if #found > 0 then
  describe("the examples of README", function()
    local gateway

    setup(function()
      gateway = process.gateway({ config = CONFIG, files = files, args = { "--config", "gate.lua" } })
    end)

    teardown(function()
      if gateway then
        gateway:stop()
      end
    end)

    for _, example in ipairs(found) do
      if example.plugin then
        it(example.at .. " is a plugin that loads", function() -- else the gateway would not have started
          assert.is_truthy(gateway)
        end)
      elseif not example.is_left_alone then
        it(example.at .. " does what it says", function()
          examples.run(example, { url = gateway.url, key = KEY })
        end)
      end
    end
  end)
end
