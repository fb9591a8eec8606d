local certificates = require("spec.support.certificates")
local task = require("rt.task")
local tcp = require("rt.tcp")

local function read_all(conn)
  local parts = {}
  while true do
    local data, err = conn:read()
    if not data then
      return table.concat(parts), err
    end
    parts[#parts + 1] = data
  end
end

-- A connected pair: what the client got from connect(), what the listener accepted.
local function pair(tls, options)
  local listener = assert(tcp.listen("127.0.0.1", 0, tls))
  local accepting = task.spawn(function()
    return listener:accept()
  end)
  local client, err = tcp.connect("127.0.0.1", listener:port(), options)
  local _, server, accept_err = accepting:join()
  listener:close()
  return client, server, err, accept_err
end

describe("rt.tcp", function()
  teardown(function()
    certificates.remove()
  end)

  it("carries bytes both ways and ends in order", function()
    local client, server = pair()
    assert(client:write("ping"))
    assert.equal("ping", server:read())
    assert(server:write("pong"))
    server:close()
    assert.equal("pong", client:read())
    assert.is_nil(client:read())
    client:close()
    local ok, err = client:write("x")
    assert.is_nil(ok)
    assert.equal("closed", err.code)
  end)

  it("half-closes", function()
    local client, server = pair()
    client:write("question")
    client:shutdown()
    assert.equal("question", read_all(server))
    server:write("answer")
    server:close()
    assert.equal("answer", read_all(client))
    client:close()
  end)

  it("tells a reset", function()
    local client, server = pair()
    server:reset()
    local data, err = client:read()
    assert.is_nil(data)
    assert.equal("reset", err.code)
    client:close()
  end)

  it("tells who does not listen, and names that do not exist", function()
    local listener = assert(tcp.listen("127.0.0.1", 0))
    local port = listener:port()
    listener:close()
    local conn, err = tcp.connect("127.0.0.1", port)
    assert.is_nil(conn)
    assert.equal("refused", err.code)
    conn, err = tcp.connect("unix:/nonexistent/socket", 0)
    assert.is_nil(conn)
    assert.equal("not_found", err.code)
    conn, err = tcp.connect("does-not-exist.invalid", 80)
    assert.is_nil(conn)
    assert.equal("dns", err.code)
  end)

  it("tries the other family of a name", function()
    local listener = assert(tcp.listen("127.0.0.1", 0)) -- localhost is often ::1 first
    local conn = assert(tcp.connect("localhost", listener:port()))
    conn:close()
    listener:close()
  end)

  for _, tls in ipairs({ false, true }) do
    local kind = tls and " (TLS)" or ""
    local function open()
      if tls then
        return pair(certificates.server("good"), { ca_file = certificates.path("authority.pem"), name = "localhost" })
      end
      return pair()
    end

    it("moves megabytes with back-pressure" .. kind, function()
      local client, server = open()
      local text = ("0123456789abcdef"):rep(65536 * 8) -- 8 MB
      local waited
      local writing = task.spawn(function()
        for i = 1, #text, 1048576 do
          assert(client:write(text:sub(i, i + 1048575)))
        end
        waited = true
        client:close()
      end)
      local first = server:read()
      assert.is_nil(waited) -- the writer waits for this reader
      assert.equal(text, first .. read_all(server))
      writing:join()
      server:close()
    end)

    it("delivers many small writes in order" .. kind, function()
      local client, server = open()
      local expected = {}
      for i = 1, 3000 do
        expected[i] = ("message %d;"):format(i)
        assert(client:write(expected[i]))
      end
      client:close()
      assert.equal(table.concat(expected), read_all(server))
      server:close()
    end)
  end

  it("speaks TLS 1.3 to a verified peer", function()
    local client, server = pair(certificates.server("address"), { ca_file = certificates.path("authority.pem") })
    assert.equal("TLSv1.3", (client:tls()))
    client:write("hello")
    assert.equal("hello", server:read())
    server:close()
    assert.is_nil(client:read())
    client:close()
  end)

  it("refuses bad certificates by name, and says nothing before", function()
    for name, reason in pairs({ expired = "expired", future = "not_yet_valid", stranger = "unknown_ca" }) do
      local client, server, err, accept_err =
        pair(certificates.server(name), { ca_file = certificates.path("authority.pem"), name = "localhost" })
      assert.is_nil(client)
      assert.is_nil(server)
      assert.equal("tls", err.code)
      assert.truthy(err.message:find("(" .. reason .. ")", 1, true), err.message)
      assert.equal("tls", accept_err.code)
    end
    local client, _, err =
      pair(certificates.server("good"), { ca_file = certificates.path("authority.pem"), name = "example.com" })
    assert.is_nil(client)
    assert.truthy(err.message:find("wrong_name", 1, true))
  end)

  it("tells a cut TLS connection from an ended one", function()
    local client, server =
      pair(certificates.server("good"), { ca_file = certificates.path("authority.pem"), name = "localhost" })
    server:write("half")
    assert.equal("half", client:read())
    server:reset()
    local data, err = client:read()
    assert.is_nil(data)
    assert.truthy(err)
    client:close()
  end)

  it("ends the waits of a cancelled task", function()
    local client, server = pair()
    local reading = task.spawn(function()
      return client:read()
    end)
    reading:cancel()
    local _, data, err = reading:join()
    assert.is_nil(data)
    assert.equal("cancelled", err.code)
    server:write("still there")
    assert.equal("still there", client:read())
    client:close()
    server:close()
  end)

  it("closes a connection under way when its task is cancelled", function()
    local connecting = task.spawn(function()
      return tcp.connect("192.0.2.1", 9) -- TEST-NET-1: nobody answers
    end)
    connecting:cancel()
    local _, conn, err = connecting:join()
    assert.is_nil(conn)
    assert.truthy(err)
  end)

  it("raises on misuse", function()
    assert.has_error(function()
      tcp.connect("localhost", 0)
    end)
    assert.has_error(function()
      tcp.listen("no address", 0)
    end)
  end)
end)
