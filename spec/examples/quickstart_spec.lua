local process = require("spec.support.process")
local client_of = require("rt.client")

local ASK = '{"model":"fast","messages":[{"role":"user","content":"%s"}]}'

describe("examples/quickstart", function()
  local gateway, client

  setup(function()
    local root = "examples/quickstart/"
    gateway = process.gateway({
      config = (process.read_file(root .. "gate.lua"):gsub("127%.0%.0%.1:8787", "127.0.0.1:0")),
      files = { ["plugins/polite.lua"] = process.read_file(root .. "plugins/polite.lua") },
      args = { "--config", "gate.lua" },
    })
    client = client_of.new({})
  end)

  teardown(function()
    client:close()
    gateway:stop()
  end)

  local function ask(text)
    local call = assert(client:send({
      origin = gateway.url, method = "POST", target = "/v1/chat/completions", body = ASK:format(text),
      headers = { "authorization", "Bearer mg-quickstart", "content-type", "application/json" },
    }))
    local parts = {}
    for chunk in call.read, call do
      parts[#parts + 1] = chunk
    end
    return call:status(), table.concat(parts)
  end

  it("answers who is polite, and refuses who is not", function()
    local status, body = ask("hello, please")
    assert.equal(200, status)
    assert.truthy(body:find("hello, please", 1, true))
    status, body = ask("hello")
    assert.equal(400, status)
    assert.truthy(body:find("please", 1, true))
  end)
end)
