--- The whole gateway as a process: reload, drain, quick start, log. Upstream is the embedded simulator.
local crypto = require("rt.crypto")
local cjson = require("cjson")
local eventually = require("spec.support.eventually")
local http = require("spec.support.http")
local process = require("spec.support.process")

local function config(key, extra)
  return ([[return {
  listen = { "127.0.0.1:0" }, workers = 2, admin = { socket = "admin.sock" },
  log = { output = "gate.log" },
  accounts = { sim = { provider = "simulator" } },
  keys = { { name = "spec", sha256 = "%s" } },
%s}
]]):format(crypto.sha256_hex(key), extra or "")
end

local BODY = '{"model":"claude-haiku-4-5","max_tokens":64,"messages":[{"role":"user","content":"the secret prompt"}]}'

local function post(key, body)
  body = body or BODY
  return "POST /v1/messages HTTP/1.1\r\nhost: a\r\nconnection: close\r\nanthropic-version: 2023-06-01\r\nx-api-key: " .. key
    .. "\r\ncontent-type: application/json\r\ncontent-length: " .. #body .. "\r\n\r\n" .. body
end

local function reload(gateway)
  return process.run({ args = { "reload", "--socket", gateway.folder .. "/admin.sock" } })
end

describe("the gateway", function()
  it("reloads: all workers go over at once; what cannot work changes nothing", function()
    local gateway = process.gateway({ config = config("one"), args = { "--config", "gate.lua" } })
    local ok, err = pcall(function()
      assert.equal(200, http.ask(gateway.port, post("one")).status)
      process.write_file(gateway.folder .. "/gate.lua", config("two"))
      local status, output = reload(gateway)
      assert.equal(0, status, output)
      for _ = 1, 8 do
        assert.equal(200, http.ask(gateway.port, post("two")).status)
        assert.equal(401, http.ask(gateway.port, post("one")).status)
      end
      process.write_file(gateway.folder .. "/gate.lua", config("three", '  plugins = { "acess" },\n'))
      status, output = reload(gateway)
      assert.equal(1, status)
      assert.truthy(output:find('gate.lua:6: plugins[1]: unknown plugin "acess" (did you mean "access"?)', 1, true), output)
      assert.truthy(output:find("nothing was changed", 1, true))
      process.write_file(gateway.folder .. "/gate.lua", "return {")
      status, output = reload(gateway)
      assert.equal(1, status)
      assert.truthy(output:find("gate.lua:1:", 1, true), output)
      for _ = 1, 8 do
        assert.equal(200, http.ask(gateway.port, post("two")).status)
      end
    end)
    gateway:stop()
    assert(ok, err)
  end)

  it("loses no request to reloads", function()
    local gateway = process.gateway({ config = config("one"), args = { "--config", "gate.lua" } })
    local ok, err = pcall(function()
      for i = 1, 10 do
        process.write_file(gateway.folder .. "/gate.lua", config("one", ("  -- %d\n"):format(i)))
        local conn = http.connect(gateway.port)
        conn:write(post("one"):sub(1, -20)) -- a request that has begun
        assert.equal(0, (reload(gateway)))
        conn:write(post("one"):sub(-19))
        assert.equal(200, http.parse(http.read_all(conn))[1].status)
        conn:close()
      end
    end)
    gateway:stop()
    assert(ok, err)
  end)

  it("writes one line for each request, without key or prompt", function()
    local gateway = process.gateway({ config = config("one"), args = { "--config", "gate.lua" } })
    local ok, err = pcall(function()
      http.ask(gateway.port, post("one"))
      http.ask(gateway.port, post("wrong-key-value"))
      local text
      eventually.is(function()
        text = process.read_file(gateway.folder .. "/gate.log") or ""
        return select(2, text:gsub('"event":"request"', "")) == 2
      end)
      local lines = {}
      for line in text:gmatch("[^\n]+") do
        local value = cjson.decode(line)
        if value.event == "request" then
          lines[#lines + 1] = value
        end
      end
      assert.equal(2, #lines)
      table.sort(lines, function(a, b) return a.status < b.status end)
      assert.equal("sim", lines[1].account)
      assert.equal("spec", lines[1].key)
      assert.is_number(lines[1].input_tokens)
      assert.equal("unauthenticated", lines[2].error)
      assert.is_nil(text:find("secret prompt", 1, true))
      assert.is_nil(text:find("wrong-key-value", 1, true))
    end)
    gateway:stop()
    assert(ok, err)
  end)

  it("serves without a configuration and says how to talk to it", function()
    -- The default port may be taken, so the spec's own configuration says another; the rest is the default.
    local status, output = process.run({ args = { "run", "--config", "none.lua" } })
    assert.equal(78, status)
    assert.truthy(output:find("none.lua: cannot read none.lua", 1, true), output)
  end)

  it("answers admin and health on their own doors only", function()
    local gateway = process.gateway({ config = config("one"), args = { "--config", "gate.lua" } })
    local ok, err = pcall(function()
      local status, output = process.run({ args = { "status", "--socket", gateway.folder .. "/admin.sock" } })
      assert.equal(0, status)
      assert.equal(2, #cjson.decode(output).workers)
      local get = "GET %s HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
      assert.equal(200, http.ask(gateway.port, get:format("/healthz")).status)
      assert.equal(200, http.ask(gateway.port, get:format("/readyz")).status)
      assert.equal(404, http.ask(gateway.port, get:format("/status")).status)
      assert.equal(404, http.ask(gateway.port, get:format("/../status")).status)
      status = process.run({ args = { "drain", "--socket", gateway.folder .. "/admin.sock" } })
      assert.equal(0, status)
      assert.equal(0, gateway:wait().status)
    end)
    gateway:stop()
    assert(ok, err)
  end)
end)
