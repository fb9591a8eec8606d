-- The whole gateway over the simulator, with parts of it broken on purpose. The figures that are promised are printed.
local cjson = require("cjson")
local crypto = require("rt.crypto")
local http = require("spec.support.http")
local process = require("spec.support.process")
local rt = require("rt.process")
local supervised = require("spec.support.supervised")
local system = require("rt.system")
local task = require("rt.task")
local time = require("rt.time")

local KEY = "mg-spec"
local MEMORY_LIMIT_BYTES = 15 * 2 ^ 20

local STUCK_PLUGIN = [[
local M = { name = "stuck", version = "1.0.0", api = 1 }
function M.on_request(ctx)
  local text = ctx.body and ctx.body:raw("messages") or ""
  if text:find("get stuck", 1, true) then
    local _ = (("a"):rep(40)):find(("a*"):rep(30) .. "b") -- no hook ever interrupts this
  end
end
return M
]]

local function config(workers)
  return ([[return {
    listen = { "127.0.0.1:0" }, workers = %d, admin = { socket = "admin.sock" }, timeouts = { stall_ms = 500, drain_ms = 20000 },
    accounts = { sim = { provider = "simulator" } }, plugin_dirs = { "plugins" },
    keys = { { name = "spec", sha256 = %q, user = "spec", models = "all" } },
    plugins = { "access", "stuck", "route" },
  }]]):format(workers, crypto.sha256_hex(KEY))
end

local function request(text, is_stream)
  local body = ('{"model":"sim/claude-haiku-4-5","max_tokens":2048,"stream":%s,"messages":[{"role":"user","content":%s}]}'):format(
    tostring(is_stream == true), cjson.encode(text))
  return ("POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: %s\r\nanthropic-version: 2023-06-01\r\n"
    .. "content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s"):format(KEY, #body, body)
end

local function ask(gateway, text)
  local conn = http.connect(gateway.port)
  conn:write(request(text))
  local answer, err = http.read_all(conn)
  conn:close()
  return tonumber(answer:match("^HTTP/1.1 (%d+)")), answer, err
end

local function children(gateway)
  local text = process.read_file(("/proc/%d/task/%d/children"):format(gateway.pid, gateway.pid)) or ""
  local pids = {}
  for pid in text:gmatch("%d+") do
    pids[#pids + 1] = tonumber(pid)
  end
  return pids
end

describe("the gateway", function()
  local gateway
  local function start(workers)
    gateway = process.gateway({ config = config(workers), files = { ["plugins/stuck.lua"] = STUCK_PLUGIN } })
  end
  after_each(function()
    gateway:stop()
  end)

  it("kills a worker that is stuck in a plugin, names the plugin, and goes on", function()
    start(2)
    assert.equal(200, (ask(gateway, "hello")))
    local victim = task.spawn(ask, gateway, "get stuck")
    assert.equal("stuck on_request", (gateway:wait_for('"event":"worker_stuck".-"breadcrumb":"([^"]*)"')))
    gateway:wait_for('"event":"worker_replaced"')
    for _ = 1, 10 do
      assert.equal(200, (ask(gateway, "hello")))
    end
    local _, status = victim:join()
    assert.is_nil(status)
  end)

  it("refuses a reload with file and line, changes nothing, and takes the mended one", function()
    start(2)
    local before = children(gateway)
    local function reload()
      return process.run({ args = { "reload", "--socket", gateway.folder .. "/admin.sock" } })
    end
    process.write_file(gateway.folder .. "/plugins/stuck.lua", "local M = {}\nfunction M.on_request(\nreturn M\n")
    local status, output = reload()
    assert.equal(1, status)
    assert.truthy(output:find("plugins/stuck.lua:3:", 1, true), output)
    assert.equal(200, (ask(gateway, "hello")))
    process.write_file(gateway.folder .. "/plugins/stuck.lua", (STUCK_PLUGIN:gsub("1%.0%.0", "1.0.1")))
    status, output = reload()
    assert.equal(0, status, output)
    assert.equal(200, (ask(gateway, "hello")))
    assert.same(before, children(gateway), gateway:output())
  end)

  it("lets a stream end before it drains, and takes no new one", function()
    start(1)
    local conn = http.connect(gateway.port)
    conn:write(request("#sim words=40 delay_ms=10\nhello", true))
    local text = http.read_until(conn, "event: content_block_delta")
    assert.is_nil(text:find("message_stop", 1, true))
    rt.kill(gateway.pid, "TERM")
    local rest, err = http.read_all(conn)
    conn:close()
    assert.is_nil(err)
    assert.truthy((text .. rest):find("event: message_stop", 1, true))
    assert.same({ status = 0 }, gateway:wait())
  end)

  it("loses only what a killed worker had, and serves the next request soon", function()
    local gaps = {}
    for i = 1, 5 do
      start(1)
      assert.equal(200, (ask(gateway, "warm")))
      local stream = http.connect(gateway.port)
      stream:write(request("#sim words=400 delay_ms=10\nhello", true))
      http.read_until(stream, "event: content_block_delta")
      rt.kill(children(gateway)[1], "KILL")
      local killed_at_ms = time.monotonic_ms()
      assert.equal(200, (ask(gateway, "next")))
      gaps[i] = time.monotonic_ms() - killed_at_ms
      local rest = http.read_all(stream)
      stream:close()
      assert.is_nil(rest:find("message_stop", 1, true))
      gateway:stop()
    end
    table.sort(gaps)
    io.stdout:write(("    next request answered %.0f ms after the death of the only worker (median of %d), %.0f ms (worst)\n"):format(
      gaps[3], #gaps, gaps[#gaps]))
  end)

  it("leaves no worker behind when the supervisor is killed", function()
    start(2)
    local conn = http.connect(gateway.port)
    conn:write(request("#sim words=40 delay_ms=10\nhello", true))
    local text = http.read_until(conn, "event: content_block_delta")
    local pids = children(gateway)
    rt.kill(gateway.pid, "KILL")
    local rest = http.read_all(conn)
    conn:close()
    assert.truthy((text .. rest):find("event: message_stop", 1, true))
    for _, pid in ipairs(pids) do
      supervised.wait_gone(pid)
    end
  end)

  it("is small when idle", function()
    local began_ms = time.monotonic_ms()
    start(1)
    local served_ms = time.monotonic_ms() - began_ms
    assert.equal(200, (ask(gateway, "hello")))
    local total = 0
    for _, pid in ipairs({ gateway.pid, children(gateway)[1] }) do
      local _, pss = system.memory(pid)
      total = total + pss
    end
    io.stdout:write(("    started in %.0f ms; supervisor and worker have %.1f MiB (PSS)\n"):format(served_ms, total / 2 ^ 20))
    local is_sanitized = io.open("/proc/self/maps"):read("*a"):find("libasan", 1, true)
    assert.is_true(total > 0 and (is_sanitized ~= nil or total <= MEMORY_LIMIT_BYTES))
  end)
end)
