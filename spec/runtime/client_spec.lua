local client = require("rt.client")
local eventually = require("spec.support.eventually")
local http = require("spec.support.http")
local mailbox = require("rt.mailbox")
local task = require("rt.task")
local time = require("rt.time")
local upstream = require("spec.support.upstream")

describe("rt.client", function()
  local c, server

  before_each(function()
    c = assert(client.new({ connect_timeout_ms = 2000, first_byte_timeout_ms = 2000 }))
  end)

  after_each(function()
    if server then
      server.stop()
      server = nil
    end
    c:close()
  end)

  local function send(fields)
    local request = { origin = server.origin, method = "GET", target = "/" }
    for key, value in pairs(fields or {}) do
      request[key] = value
    end
    return c:send(request)
  end

  -- Sends and reads the whole body; closes the call.
  local function fetch(fields)
    local call, err = send(fields)
    if not call then
      return nil, err
    end
    local body, size = call:read_body(1e9)
    local status, is_reused = call:status(), call:is_reused()
    call:close()
    if not body then
      return nil, size
    end
    body = http.take(body)
    return body, status, is_reused
  end

  local function answering(text)
    server = upstream.start(function(conn)
      conn:read_request()
      conn:write(text)
    end)
  end

  describe("request", function()
    it("sends head and body as given, with what is missing added", function()
      local seen
      server = upstream.start(function(conn)
        seen = conn:read_request()
        conn:answer(200, "fine")
      end)
      local body = assert(fetch({
        method = "POST", target = "/v1/x?a=b", body = "hello",
        headers = { "content-type", "text/plain", "X-Odd", "1", "connection", "close", "content-length", "99" },
      }))
      assert.equal("fine", body)
      assert.equal("hello", seen.body)
      assert.equal(table.concat({
        "POST /v1/x?a=b HTTP/1.1", "content-type: text/plain", "X-Odd: 1", "host: 127.0.0.1:" .. server.port,
        "accept-encoding: identity", "user-agent: moongate", "content-length: 5", "", "",
      }, "\r\n"), seen.head)
    end)

    it("refuses what would end a line, before anything is sent", function()
      server = upstream.start(upstream.serve)
      for _, headers in ipairs({ { "x", "a\r\nb: c" }, { "x y", "a" }, { "x", "a\0b" }, { "", "a" } }) do
        local call, err = send({ headers = headers })
        assert.is_nil(call)
        assert.equal("bad_request", err.code)
        assert.is_nil(err.sent)
      end
      for _, target in ipairs({ "/a b", "/a\r\n", "a", "" }) do
        local _, err = send({ target = target })
        assert.equal("bad_request", err.code)
      end
      assert.equal("answer 1", (fetch()))
      local _, err = send({ headers = { "x", "a\nb" } }) -- with an idle connection: it stays as good as before
      assert.equal("bad_request", err.code)
      local _, _, is_reused = fetch()
      assert.is_true(is_reused)
    end)

    it("refuses origins that are none", function()
      server = upstream.start(upstream.serve)
      for _, origin in ipairs({ "ftp://x", "http://", "http://a/b", "http://u:p@a", "http://a:99999", "x", "http://a,b" }) do
        local call, err = send({ origin = origin })
        assert.is_nil(call)
        assert.equal("bad_request", err.code, origin)
      end
    end)

    it("raises for wrong types", function()
      server = upstream.start(upstream.serve)
      assert.has_error(function()
        send({ headers = { "odd" } })
      end)
      assert.has_error(function()
        send({ body = 5 })
      end)
      assert.has_error(function()
        send({ first_byte_timeout_ms = "soon" })
      end)
    end)

    it("sends large bodies to an upstream that reads slowly", function()
      local text = ("0123456789abcdef"):rep(4 * 65536)
      local got
      server = upstream.start(function(conn)
        eventually.turns(50)
        got = conn:read_request().body
        conn:answer(200, "ok")
      end)
      assert.equal("ok", (fetch({ method = "POST", body = text })))
      assert.is_true(got == text)
    end)

    it("hears an early refusal while it still sends", function()
      server = upstream.start(function(conn)
        conn.raw:read()
        conn:answer(413, "too much", "connection: close\r\n")
      end)
      local body, status = fetch({ method = "POST", body = ("x"):rep(8 * 1048576) })
      assert.equal(413, status)
      assert.equal("too much", body)
    end)
  end)

  describe("answer", function()
    it("gives status, headers and bodies of every framing", function()
      answering("HTTP/1.1 201 Made\r\nA: 1\r\nb:  2 \r\na: 3\r\ntransfer-encoding: chunked\r\n\r\n"
        .. "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nt: 1\r\n\r\n")
      local call = assert(send())
      assert.equal(201, call:status())
      assert.equal("1, 3", call:header("a"))
      assert.equal("2", call:header("b"))
      assert.is_nil(call:header("t"))
      assert.same({ { "a", "1" }, { "b", "2" }, { "a", "3" }, { "transfer-encoding", "chunked" } }, call:headers())
      call:forget_head()
      assert.is_nil(call:header("a"))
      assert.same({}, call:headers())
      assert.equal("hello world", (http.take((call:read_body(100)))))
      call:close()
      server.stop()
      answering("HTTP/1.0 200 OK\r\n\r\nuntil the end")
      assert.equal("until the end", (fetch()))
      server.stop()
      answering("HTTP/1.1 204 None\r\n\r\n")
      assert.equal("", (fetch()))
    end)

    it("reads large bodies of known length straight into place", function()
      local text = ("fedcba9876543210"):rep(4 * 65536)
      server = upstream.start(function(conn)
        for _ = 1, 2 do
          conn:read_request()
          conn:answer(200, text)
        end
      end)
      assert.is_true(fetch() == text)
      local body, _, is_reused = fetch()
      assert.is_true(body == text)
      assert.is_true(is_reused)
    end)

    it("gives the body in pieces, as they come", function()
      server = upstream.start(function(conn)
        conn:read_request()
        conn:write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        conn.raw:read() -- until the client goes
      end)
      local call = assert(send())
      assert.equal("one", call:read())
      call:close()
      server.stop()
      server = upstream.start(function(conn)
        conn:read_request()
        conn:write("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n")
        for _, piece in ipairs({ "a", "b", "c", "d", "e", "f" }) do
          conn:write(piece)
          eventually.turns()
        end
      end)
      local pieces = {}
      call = assert(send())
      while true do
        local piece, err = call:read()
        assert.is_nil(err)
        if not piece then
          break
        end
        pieces[#pieces + 1] = piece
      end
      assert.equal("abcdef", table.concat(pieces))
      call:close()
    end)

    it("stops an upstream that nobody reads", function()
      local written = 0
      server = upstream.start(function(conn)
        conn:read_request()
        conn:write("HTTP/1.1 200 OK\r\n\r\n")
        local block = ("x"):rep(65536)
        while conn:write(block) do
          written = written + #block
        end
      end)
      local call = assert(send())
      call:read()
      assert.is_true(eventually.still(function()
        return written
      end) < 64 * 1048576) -- of a body without end; the kernel may keep tens of megabytes
      call:close()
    end)

    it("refuses bodies above the limit", function()
      answering("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" .. ("x"):rep(1000))
      local call = assert(send())
      local body, err = call:read_body(999)
      assert.is_nil(body)
      assert.equal("too_large", err.code)
      call:close()
      server.stop()
      answering("HTTP/1.1 200 OK\r\n\r\n" .. ("x"):rep(100000))
      call = assert(send())
      body, err = call:read_body(5000)
      assert.is_nil(body)
      assert.equal("too_large", err.code)
      call:close()
    end)

    it("skips interim answers, ten at most", function()
      answering(("HTTP/1.1 103 Early\r\nlink: x\r\n\r\n"):rep(10) .. "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
      assert.equal("ok", (fetch()))
      server.stop()
      answering(("HTTP/1.1 100 Continue\r\n\r\n"):rep(11) .. "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
      local _, err = fetch()
      assert.equal("bad_response", err.code)
    end)

    it("does not follow redirects", function()
      answering("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n")
      local _, status = fetch()
      assert.equal(302, status)
    end)

    it("understands HEAD", function()
      answering("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
      assert.equal("", (fetch({ method = "HEAD" })))
    end)

    local bad = {
      ["a bad status line"] = "HTTP/1.1 OK\r\n\r\n",
      ["binary"] = "\1\2\3\4\5\6\7\8\r\n\r\n",
      ["HTTP/2.0"] = "HTTP/2.0 200 OK\r\n\r\n",
      ["a header with a bare LF"] = "HTTP/1.1 200 OK\r\na: b\nc: d\r\ncontent-length: 0\r\n\r\n",
      ["a header with NUL"] = "HTTP/1.1 200 OK\r\na: b\0c\r\ncontent-length: 0\r\n\r\n",
      ["300 KB of headers"] = "HTTP/1.1 200 OK\r\na: " .. ("x"):rep(300000) .. "\r\n\r\n",
      ["5000 headers"] = "HTTP/1.1 200 OK\r\n" .. ("a: b\r\n"):rep(5000) .. "\r\n",
      ["length and chunked"] = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
      ["two lengths"] = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nokk",
      ["an upgrade"] = "HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
      ["compression"] = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nok",
      ["bad chunks"] = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
    }
    for name, text in pairs(bad) do
      it("refuses " .. name .. " and drops the connection", function()
        answering(text)
        local body, err = fetch()
        assert.is_nil(body)
        assert.equal("bad_response", err.code)
        assert.is_true(err.sent)
        assert.equal(0, c:stats().open)
      end)
    end

    local cut = {
      ["by length"] = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort",
      ["in chunks"] = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
      ["in the head"] = "HTTP/1.1 200 OK\r\ncontent-le",
    }
    for name, text in pairs(cut) do
      it("tells an answer that is cut " .. name, function()
        answering(text)
        local body, err = fetch()
        assert.is_nil(body)
        assert.equal("closed", err.code)
      end)
      it("tells an answer that is reset " .. name, function()
        server = upstream.start(function(conn)
          conn:read_request()
          conn:write(text)
          eventually.turns()
          conn:reset()
        end)
        local body, err = fetch()
        assert.is_nil(body)
        assert.equal("reset", err.code)
      end)
    end
  end)

  describe("pool", function()
    it("uses a connection again", function()
      server = upstream.start(upstream.serve)
      for i = 1, 5 do
        local body, _, is_reused = fetch()
        assert.equal("answer " .. i, body)
        assert.equal(i > 1, is_reused)
      end
      assert.equal(1, server.connections)
      assert.same({ calls = 5, connects = 1, reuses = 4, retries = 0, resumptions = 0, idle = 1, open = 1 }, c:stats())
    end)

    it("opens as many as are needed at once, and keeps few", function()
      c:close()
      c = assert(client.new({ max_idle_per_origin = 2 }))
      server = upstream.start(function(conn)
        conn:read_request()
        eventually.is(function()
          return server.connections == 5
        end)
        conn:answer(200, "ok")
        upstream.serve(conn)
      end)
      local tasks = {}
      for i = 1, 5 do
        tasks[i] = task.spawn(fetch)
      end
      for i = 1, 5 do
        local _, body = tasks[i]:join()
        assert.equal("ok", body)
      end
      assert.equal(5, server.connections)
      assert.equal(2, c:stats().idle)
    end)

    it("drops a connection that dies while idle", function()
      server = upstream.start(function(conn)
        conn:read_request()
        conn:answer(200, "ok")
      end)
      assert.equal("ok", (fetch()))
      eventually.is(function()
        return c:stats().open == 0
      end)
      assert.equal("ok", (fetch()))
      assert.equal(0, c:stats().retries)
    end)

    it("drops a connection on which more arrives than was asked for", function()
      server = upstream.start({
        function(conn)
          conn:read_request()
          conn:write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
          conn.raw:read()
        end,
        function(conn)
          conn:read_request()
          conn:answer(200, "ok")
          eventually.is(function()
            return c:stats().idle == 1
          end)
          conn:answer(200, "evil")
          conn.raw:read()
        end,
        upstream.serve,
      })
      assert.equal("ok", (fetch()))
      assert.equal(0, c:stats().idle)
      assert.equal("ok", (fetch()))
      eventually.is(function()
        return c:stats().idle == 0
      end)
      assert.equal("answer 1", (fetch()))
    end)

    it("does not keep what the upstream closes or HTTP/1.0 ends", function()
      answering("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")
      assert.equal("ok", (fetch()))
      assert.equal(0, c:stats().idle)
      server.stop()
      answering("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok")
      assert.equal("ok", (fetch()))
      assert.equal(0, c:stats().idle)
    end)

    it("closes idle connections after a while", function()
      c:close()
      c = assert(client.new({ idle_timeout_ms = 50 }))
      server = upstream.start(upstream.serve)
      assert.equal("answer 1", (fetch()))
      assert.equal(1, c:stats().idle)
      eventually.is(function()
        return c:stats().open == 0
      end)
    end)

    it("tries once more where a kept connection died before it answered", function()
      server = upstream.start({
        function(conn)
          conn:read_request()
          conn:answer(200, "first")
          conn:read_request()
          conn:reset()
        end,
        upstream.serve,
      })
      assert.equal("first", (fetch()))
      local body, status, is_reused = fetch({ method = "POST", body = "again" })
      assert.equal("answer 1", body)
      assert.equal(200, status)
      assert.is_false(is_reused)
      assert.equal(1, c:stats().retries)
    end)

    it("tries once more, not twice", function()
      server = upstream.start({
        function(conn)
          conn:read_request()
          conn:answer(200, "first")
          conn:read_request()
          conn:close()
        end,
        function(conn)
          conn:read_request()
          conn:close()
        end,
      })
      assert.equal("first", (fetch()))
      local body, err = fetch()
      assert.is_nil(body)
      assert.equal("closed", err.code)
      assert.is_true(err.sent)
      assert.equal(2, server.connections)
    end)

    it("does not try again on a new connection, or after a byte of the answer", function()
      server = upstream.start(function(conn)
        conn:read_request()
        conn:close()
      end)
      local _, err = fetch()
      assert.equal("closed", err.code)
      assert.equal(1, server.connections)
      server.stop()
      server = upstream.start(function(conn)
        conn:read_request()
        conn:answer(200, "first")
        conn:read_request()
        conn:write("H")
        conn:close()
      end)
      assert.equal("first", (fetch()))
      _, err = fetch()
      assert.equal("closed", err.code)
      assert.equal(1, server.connections)
    end)
  end)

  describe("limits", function()
    it("gives up connecting", function()
      server = upstream.start(upstream.serve)
      local _, err = send({ origin = "http://192.0.2.1:9", connect_timeout_ms = 100 }) -- TEST-NET-1
      if err.code == "timeout" then -- a machine without a route says so at once
        assert.equal("connect", err.phase)
      else
        assert.equal("connect", err.code)
      end
      assert.is_nil(err.sent)
    end)

    it("tells refused connections and unknown names", function()
      server = upstream.start(upstream.serve)
      local port = server.port
      server.stop()
      local _, err = c:send({ origin = "http://127.0.0.1:" .. port, method = "GET", target = "/" })
      assert.equal("connect", err.code)
      _, err = c:send({ origin = "http://does-not-exist.invalid", method = "GET", target = "/" })
      assert.equal("dns", err.code)
      server = nil
    end)

    it("gives up waiting for the first byte", function()
      server = upstream.start(function(conn)
        conn:read_request()
        conn.raw:read()
      end)
      local _, err = send({ first_byte_timeout_ms = 60 })
      assert.equal("timeout", err.code)
      assert.equal("first_byte", err.phase)
      assert.is_true(err.sent)
      assert.equal(0, c:stats().open)
    end)

    it("gives up on a stalled answer", function()
      server = upstream.start(function(conn)
        conn:read_request()
        conn:write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        conn.raw:read()
      end)
      local body, err = fetch({ between_bytes_timeout_ms = 60 })
      assert.is_nil(body)
      assert.equal("timeout", err.code)
      assert.equal("between_bytes", err.phase)
    end)

    it("gives up on an answer without end", function()
      server = upstream.start(function(conn)
        conn:read_request()
        conn:write("HTTP/1.1 200 OK\r\n\r\n")
        while conn:write("ping ") do
          time.sleep(10) -- the pace of the upstream; nothing waits for it
        end
      end)
      local body, err = fetch({ total_timeout_ms = 150 })
      assert.is_nil(body)
      assert.equal("timeout", err.code)
      assert.equal("total", err.phase)
    end)
  end)

  describe("cancellation", function()
    for _, point in ipairs({ "before the head", "in the body" }) do
      it("closes the upstream connection at once, " .. point, function()
        local events = mailbox.new()
        server = upstream.start(function(conn)
          conn:read_request()
          if point == "in the body" then
            conn:write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nsome")
          end
          events:put("asked")
          events:put(conn.raw:read() or "gone")
        end)
        local fetching = task.spawn(fetch)
        assert.equal("asked", events:take())
        eventually.turns()
        fetching:cancel()
        assert.equal(0, c:stats().open) -- before the loop has gone round; spec/chaos prints how soon the upstream knows
        local _, _, err = fetching:join()
        assert.equal("cancelled", err.code)
        assert.equal("gone", events:take())
      end)
    end

    it("lets a call be closed at any time, any number of times", function()
      answering("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nsome")
      local call = assert(send())
      call:close()
      call:close()
      local body, err = call:read_body(10)
      assert.is_nil(body)
      assert.equal("closed", err.code)
      assert.equal(0, c:stats().open)
    end)
  end)
end)
