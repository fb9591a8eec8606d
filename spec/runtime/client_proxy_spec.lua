local certificates = require("spec.support.certificates")
local client = require("rt.client")
local ffi = require("ffi")
local http = require("spec.support.http")
local task = require("rt.task")
local tcp = require("rt.tcp")
local upstream = require("spec.support.upstream")

ffi.cdef([[
  int setenv(const char *name, const char *value, int overwrite);
  int unsetenv(const char *name);
]])

-- A proxy that tunnels CONNECT to where it is told; `seen` collects the heads.
local function tunnel(seen, answer)
  return function(conn)
    local request = conn:read_request()
    if not request then
      return
    end
    seen[#seen + 1] = request.head
    if answer then
      conn:write(answer)
      conn.raw:read()
      return
    end
    local host, port = request.head:match("^CONNECT (%S+):(%d+) HTTP/1.1\r\n")
    local far = assert(tcp.connect(host, tonumber(port)))
    conn:write("HTTP/1.1 200 Connection established\r\n\r\n")
    local back = task.spawn(function()
      while true do
        local data = far:read()
        if not data then
          return conn.raw:shutdown()
        end
        conn:write(data)
      end
    end)
    while true do
      local data = conn.raw:read()
      if not data then
        break
      end
      far:write(data)
    end
    far:close()
    back:cancel()
    back:join()
  end
end

describe("rt.client through a proxy", function()
  local c, server, proxy, seen

  before_each(function()
    seen = {}
  end)

  after_each(function()
    if c then
      c:close()
      c = nil
    end
    for _, one in ipairs({ server, proxy }) do
      one.stop()
    end
    server, proxy = nil, nil
    for _, name in ipairs({ "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY" }) do
      ffi.C.unsetenv(name)
    end
  end)

  teardown(function()
    certificates.remove()
  end)

  local function fetch(origin)
    local call, err = c:send({ origin = origin or server.origin, method = "GET", target = "/x?y" })
    if not call then
      return nil, err
    end
    local body = http.take((call:read_body(1000)))
    call:close()
    return body
  end

  local function start(answer)
    server = upstream.start(upstream.serve, { tls = certificates.server("good"), host = "localhost" })
    proxy = upstream.start(tunnel(seen, answer))
  end

  local function new(address)
    c = assert(client.new({ proxy = address, ca_file = certificates.path("authority.pem") }))
  end

  it("reaches https by CONNECT, with TLS to the far end, and keeps the tunnel", function()
    start()
    new("http://user:p%40ss@127.0.0.1:" .. proxy.port)
    assert.equal("answer 1", (fetch()))
    assert.equal("answer 2", (fetch()))
    assert.same({
      ("CONNECT localhost:%d HTTP/1.1\r\nhost: localhost:%d\r\nproxy-authorization: Basic dXNlcjpwQHNz\r\n\r\n"):format(
        server.port, server.port),
    }, seen)
  end)

  it("reaches http by the absolute form", function()
    local asked
    server = upstream.start(upstream.serve)
    proxy = upstream.start(function(conn)
      asked = conn:read_request().head
      conn:answer(200, "from the proxy")
    end)
    new("http://u:p@127.0.0.1:" .. proxy.port)
    assert.equal("from the proxy", (fetch("http://example.invalid")))
    assert.truthy(asked:find("GET http://example.invalid/x?y HTTP/1.1\r\n", 1, true))
    assert.truthy(asked:find("proxy-authorization: Basic dTpw\r\n", 1, true))
    assert.truthy(asked:find("host: example.invalid\r\n", 1, true))
  end)

  it("takes the environment's word", function()
    start()
    ffi.C.setenv("HTTPS_PROXY", "http://127.0.0.1:" .. proxy.port, 1)
    new("env")
    assert.equal("answer 1", (fetch()))
    assert.equal(1, #seen)
    c:close()
    for _, list in ipairs({ "localhost", "*", "example.com, localhost:" .. server.port, ".localhost" }) do
      ffi.C.setenv("NO_PROXY", list, 1)
      new("env")
      assert.equal("answer 1", (fetch()))
      assert.equal(1, #seen, list)
      c:close()
    end
    for _, list in ipairs({ "example.com", "host", "localhost:1", "10.0.0.0/8" }) do
      ffi.C.setenv("NO_PROXY", list, 1)
      new("env")
      assert.equal("answer 1", (fetch()))
      c:close()
    end
    assert.equal(5, #seen)
    new(nil)
    assert.equal("answer 1", (fetch()))
    assert.equal(5, #seen)
  end)

  it("leaves out networks", function()
    server = upstream.start(upstream.serve)
    proxy = upstream.start(tunnel(seen))
    ffi.C.setenv("HTTP_PROXY", "http://127.0.0.1:" .. proxy.port, 1)
    ffi.C.setenv("NO_PROXY", "127.0.0.0/8", 1)
    new("env")
    assert.equal("answer 1", (fetch()))
    assert.same({}, seen)
  end)

  it("tells what the proxy refuses, and sends no request then", function()
    for _, answer in ipairs({
      "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 2\r\n\r\nno",
      "HTTP/1.1 502 Bad Gateway\r\n\r\n",
      "HTTP/1.1 200 OK\r\n\r\nearly bytes",
      "nonsense\r\n\r\n",
    }) do
      start(answer)
      new("http://127.0.0.1:" .. proxy.port)
      local body, err = fetch()
      assert.is_nil(body)
      assert.equal("proxy", err.code)
      assert.is_nil(err.sent)
      c:close()
      server.stop()
      proxy.stop()
    end
    start()
  end)

  it("refuses addresses that are none, without repeating them", function()
    start()
    for _, address in ipairs({ "socks5://127.0.0.1:1", "http://", "http://a:0", "http://u:secret@a:b", "http://a/path",
      "https://a:1" }) do
      local none, err = client.new({ proxy = address })
      assert.is_nil(none)
      assert.equal("bad_request", err.code)
      assert.is_nil(err.message:find("secret", 1, true))
    end
  end)
end)
