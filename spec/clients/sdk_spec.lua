-- The official SDKs, unmodified, through a gateway of two workers to a simulator in a process of its own.
local crypto = require("rt.crypto")
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
  node.tests(it, "spec/clients/openai.mjs", get_environment)
  node.tests(it, "spec/clients/anthropic.mjs", get_environment)
  node.tests(it, "spec/clients/aws.mjs", get_environment)
end)
