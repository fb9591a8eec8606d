-- The official SDKs, unmodified, through a gateway of two workers to a simulator in a process of its own.
local crypto = require("rt.crypto")
local eventually = require("spec.support.eventually")
local node = require("spec.support.node")
local process = require("spec.support.process")

local KEY = "mg-spec-key"
local CONFIG = ([[
return {
  listen = { "127.0.0.1:0" },
  admin = { socket = "admin.sock" },
  workers = 2,
  accounts = { sim = { provider = "simulator", base_url = env.SIMULATOR_URL } },
  keys = { { name = "spec", sha256 = "%s", user = "svc:spec" } },
}
]]):format(crypto.sha256_hex(KEY))

describe("the official SDKs", function()
  local gateway, simulator, environment

  setup(function()
    simulator = process.start({ args = { "simulator", "--listen", "127.0.0.1:0" } })
    local simulator_url = simulator:wait_for("(http://127%.0%.0%.1:%d+)")
    gateway = process.gateway({ config = CONFIG, args = { "--config", "gate.lua" }, env = { SIMULATOR_URL = simulator_url } })
    environment = { MOONGATE_URL = gateway.url, MOONGATE_KEY = KEY, SIMULATOR_URL = simulator_url }
  end)

  teardown(function()
    if gateway then
      gateway:stop()
    end
    simulator:stop()
  end)

  local function get_environment()
    return environment
  end
  -- Each file aborts one stream after its first text, of hundreds of events that would take ten seconds.
  local function hears_an_abort(count)
    return function()
      local sent, all
      eventually.is(function()
        local found = 0
        for line in simulator:output():gmatch('[^\n]*"event":"simulator_caller_left"[^\n]*') do
          found = found + 1
          sent, all = tonumber(line:match('"sent_events":(%d+)')), tonumber(line:match('"events":(%d+)'))
        end
        return found == count
      end)
      assert.is_true(sent < all, ("%d of %d events"):format(sent, all))
    end
  end
  node.tests(it, "spec/clients/openai.mjs", get_environment)
  it("openai: an aborted stream ends at the upstream too", hears_an_abort(1))
  node.tests(it, "spec/clients/anthropic.mjs", get_environment)
  it("anthropic: an aborted stream ends at the upstream too", hears_an_abort(2))
  node.tests(it, "spec/clients/aws.mjs", get_environment)
end)
