local certificates = require("spec.support.certificates")
local client = require("rt.client")
local eventually = require("spec.support.eventually")
local http = require("spec.support.http")
local task = require("rt.task")
local tcp = require("rt.tcp")
local upstream = require("spec.support.upstream")

describe("rt.client over TLS", function()
  local c, server

  before_each(function()
    c = assert(client.new({ ca_file = certificates.path("authority.pem"), connect_timeout_ms = 3000 }))
  end)

  after_each(function()
    if server then
      server.stop()
      server = nil
    end
    c:close()
  end)

  teardown(function()
    certificates.remove()
  end)

  local function start(script, name, host)
    server = upstream.start(script, { tls = certificates.server(name or "good"), host = host or "localhost" })
  end

  local function fetch(body)
    local call, err = c:send({ origin = server.origin, method = "POST", target = "/", body = body,
      headers = { "authorization", "Bearer secret" } })
    if not call then
      return nil, err
    end
    local answer
    answer, err = call:read_body(1e9)
    local is_reused = call:is_reused()
    call:close()
    if not answer then
      return nil, err
    end
    return (http.take(answer)), is_reused
  end

  it("keeps connections, and resumes sessions on new ones", function()
    start(function(conn)
      for _ = 1, 2 do
        conn:read_request()
        conn:answer(200, "ok")
      end
    end)
    for i = 1, 6 do
      local body, is_reused = fetch("hello")
      assert.equal("ok", body)
      assert.equal(i % 2 == 0, is_reused)
      if i % 2 == 0 then
        eventually.is(function() -- the end of the kept connection arrives
          return c:stats().open == 0
        end)
      end
    end
    local stats = c:stats()
    assert.equal(3, stats.connects)
    assert.equal(2, stats.resumptions)
  end)

  it("verifies IP addresses too", function()
    start(upstream.serve, "address", "127.0.0.1")
    assert.equal("answer 1", (fetch("x")))
  end)

  it("carries megabytes both ways", function()
    local text = ("0123456789abcdef"):rep(4 * 65536)
    local got
    start(function(conn)
      eventually.turns(50)
      got = conn:read_request().body
      conn:answer(200, text)
    end)
    assert.is_true(fetch(text) == text)
    assert.is_true(got == text)
  end)

  for name, reason in pairs({ expired = "expired", future = "not_yet_valid", stranger = "unknown_ca" }) do
    it("says nothing to a peer whose certificate is wrong: " .. reason, function()
      start(upstream.serve, name)
      local body, err = fetch("secret")
      assert.is_nil(body)
      assert.equal("tls", err.code)
      assert.equal(reason, err.reason)
      assert.is_nil(err.sent)
      assert.equal(0, c:stats().open)
    end)
  end

  it("says nothing to a peer with another name", function()
    start(upstream.serve, "good", "127.0.0.1")
    local _, err = fetch("secret")
    assert.equal("tls", err.code)
    assert.equal("wrong_name", err.reason)
  end)

  it("trusts only what it was told to", function()
    start(upstream.serve)
    local other = assert(client.new({ ca_file = certificates.path("other.pem") }))
    local _, err = other:send({ origin = server.origin, method = "GET", target = "/" })
    assert.equal("unknown_ca", err.reason)
    other:close()
    other = assert(client.new({ ca_file = certificates.path("absent.pem") }))
    _, err = other:send({ origin = server.origin, method = "GET", target = "/" })
    assert.equal("tls", err.code)
    assert.truthy(err.message:find("absent.pem", 1, true))
    other:close()
  end)

  it("refuses old versions, and peers that speak no TLS", function()
    for _, text in ipairs({
      "\22\3\1\0\42\2\0\0\38\3\1" .. ("x"):rep(32) .. "\0\192\20\0", -- ServerHello of TLS 1.0
      "HTTP/1.1 400 Bad Request\r\n\r\n",
      "",
    }) do
      server = upstream.start(function(conn)
        conn.raw:read()
        conn:write(text)
        conn.raw:shutdown()
        conn.raw:read()
      end)
      local call, err = c:send({ origin = "https://127.0.0.1:" .. server.port, method = "GET", target = "/" })
      assert.is_nil(call)
      assert.equal("tls", err.code)
      assert.is_nil(err.sent)
      server.stop()
      server = nil
    end
  end)

  it("gives up on a handshake that stalls", function()
    server = upstream.start(function(conn)
      while conn.raw:read() do
      end
    end)
    local _, err = c:send({ origin = "https://127.0.0.1:" .. server.port, method = "GET", target = "/",
      connect_timeout_ms = 80 })
    assert.equal("timeout", err.code)
    assert.equal("connect", err.phase)
  end)

  it("tells a cut answer of unknown length from an ended one", function()
    start({
      function(conn)
        conn:read_request()
        conn:write("HTTP/1.1 200 OK\r\n\r\nall of it")
      end,
      function(conn)
        conn:read_request()
        conn:write("HTTP/1.1 200 OK\r\n\r\nsome of it")
        eventually.turns()
        conn:reset()
      end,
    })
    assert.equal("all of it", (fetch("x")))
    local body, err = fetch("x")
    assert.is_nil(body)
    assert.truthy(err)
  end)

  it("does not stop the loop while hands are shaken", function()
    start(upstream.serve)
    local turns, at_end, done = 0, {}, false
    local ticking = task.spawn(function()
      while not done do
        eventually.turns(1)
        turns = turns + 1
      end
    end)
    local tasks = {}
    for i = 1, 8 do
      tasks[i] = task.spawn(function()
        local body = fetch("x")
        at_end[#at_end + 1] = turns
        return body
      end)
    end
    assert.equal(0, turns)
    for i = 1, 8 do
      local _, body = tasks[i]:join()
      assert.equal("answer 1", body)
    end
    done = true
    ticking:join()
    assert.is_true(at_end[1] >= 2, at_end[1]) -- another task had its turns within one handshake,
    assert.is_true(at_end[8] > at_end[1], at_end[8]) -- and between one and the next
  end)

  it("closes a call at any moment of the opening", function()
    start(upstream.serve)
    local is_open, turns = false, 0
    while not is_open do -- one turn of the loop later each time, until it is too late
      local opening = task.spawn(fetch, "x")
      eventually.turns(turns)
      is_open = opening:is_done()
      opening:cancel()
      opening:join()
      turns = turns + 1
    end
    assert.equal(c:stats().idle, c:stats().open)
  end)

  it("is spoken by rt.tcp as well", function()
    start(upstream.serve)
    local conn = assert(tcp.connect("localhost", server.port, { ca_file = certificates.path("authority.pem") }))
    conn:write("GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    assert.truthy(conn:read():find("answer 1", 1, true))
    conn:close()
  end)
end)
