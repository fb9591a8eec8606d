local crypto = require("rt.crypto")
local eventually = require("spec.support.eventually")
local http = require("spec.support.http")

local GET = "GET /a/b?c=d HTTP/1.1\r\nHost: a\r\n"
local CLOSE = "Connection: close\r\n\r\n"

local function post(path, body, more)
  return ("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%s\r\n%s"):format(path, #body, more or "", body)
end

local function echo(req)
  local body, err = req:read_body(1000000, true)
  if not body then
    return req:respond(err.code == "too_large" and 413 or 400, {}, err.code)
  end
  local text, sha256 = http.take(body)
  req:respond(200, { "x-hash-ok", tostring(sha256 == crypto.sha256(text)) }, text)
end

describe("rt.server", function()
  it("gives the handler the head as it was sent", function()
    local seen
    http.with(function(req)
      seen = { req:head() }
      seen.host, seen.many, seen.none = req:header("host"), req:header("x-a"), req:header("x-b")
      seen.headers, seen.length, seen.peer = req:headers(), req:content_length(), req:peer()
      req:respond(200, { "x-one", "1", "X-Two", 2 }, "hello")
    end, function(port)
      local answer = http.ask(port, GET .. "X-A: 1\r\nx-a:2\r\n" .. CLOSE)
      assert.same({ "GET", "/a/b", "c=d", 1 }, { seen[1], seen[2], seen[3], seen[4] })
      assert.same({ "a", "1, 2" }, { seen.host, seen.many })
      assert.is_nil(seen.none)
      assert.is_nil(seen.length)
      assert.same({ { "host", "a" }, { "x-a", "1" }, { "x-a", "2" }, { "connection", "close" } }, seen.headers)
      assert.matches("^127%.0%.0%.1:%d+$", seen.peer)
      assert.same({ 200, "hello", "5", "1", "2", "close" }, {
        answer.status, answer.body, answer.headers["content-length"], answer.headers["x-one"], answer.headers["X-Two"],
        answer.headers.connection,
      })
      assert.matches("^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT$", answer.headers.date)
    end)
  end)

  it("answers HEAD, 204 and 304 without a body, and HTTP/1.0 in its own way", function()
    http.with(function(req)
      local _, path = req:head()
      req:respond(tonumber(path:match("%d+")) or 200, {}, "hello")
    end, function(port)
      local text = http.send(port, "HEAD /200 HTTP/1.1\r\nHost: a\r\n\r\n" .. "GET /204 HTTP/1.1\r\nHost: a\r\n\r\n"
        .. "GET /304 HTTP/1.1\r\nHost: a\r\n" .. CLOSE)
      assert.is_nil(text:find("hello", 1, true))
      assert.matches("^HTTP/1.1 200 OK\r\ncontent%-length: 5\r\n", text)
      assert.is_nil(text:match("204[^\r]*\r\ncontent"))
      assert.is_truthy(http.ask(port, "GET /200 HTTP/1.0\r\n\r\n").body == "hello")
      local conn = http.connect(port)
      conn:write("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
      assert.matches("connection: keep%-alive", http.read_until(conn, "hello"))
      conn:write("GET / HTTP/1.0\r\n\r\n")
      assert.matches("connection: close", http.read_all(conn))
      conn:close()
    end)
  end)

  it("reads bodies of any kind, cut anywhere, and hashes them", function()
    http.with(echo, function(port)
      local chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
      local all = post("/", "hello") .. post("/", "") .. chunked .. "\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: u\r\n\r\n"
        .. chunked .. CLOSE .. "1\r\nz\r\n0\r\n\r\n"
      local function bodies(text)
        local list = {}
        for i, answer in ipairs(http.parse(text)) do
          list[i] = answer.status .. answer.body .. answer.headers["x-hash-ok"]
        end
        return list
      end
      local want = { "200hellotrue", "200true", "200abcdetrue", "200ztrue" }
      assert.same(want, bodies((http.send(port, all))))
      for cut = 1, #all - 1 do
        local conn = http.connect(port)
        conn:write(all:sub(1, cut))
        if cut % 7 == 0 then -- let the first piece be read alone
          eventually.turns()
        end
        conn:write(all:sub(cut + 1))
        assert.same(want, bodies((http.read_all(conn))))
        conn:close()
      end
    end)
  end)

  it("reads a large body that arrives in many pieces", function()
    http.with(function(req)
      local body, size = req:read_body(8000000, true)
      local text, sha256 = http.take(body)
      req:respond(200, {}, tostring(size == 5000000 and sha256 == crypto.sha256(text)))
    end, function(port)
      local body = ("0123456789"):rep(500000)
      assert.equal("true", http.ask(port, post("/", body, "Connection: close\r\n")).body)
    end)
  end)

  it("handles pipelined requests in order, one at a time", function()
    local running, most = 0, 0
    http.with(function(req)
      local _, path = req:head()
      running = running + 1
      most = math.max(most, running)
      eventually.turns(path == "/1" and 50 or 1)
      running = running - 1
      req:respond(200, {}, path)
    end, function(port)
      local parts = {}
      for i = 1, 20 do
        parts[i] = ("GET /%d HTTP/1.1\r\nHost: a\r\n%s\r\n"):format(i, i == 20 and "Connection: close\r\n" or "")
      end
      local answers = http.parse((http.send(port, table.concat(parts) .. "GET /21 HTTP/1.1\r\nHost: a\r\n\r\n")))
      assert.equal(20, #answers)
      for i, answer in ipairs(answers) do
        assert.equal("/" .. i, answer.body)
      end
      assert.equal(1, most)
    end)
  end)

  it("takes more pipelined bytes than it keeps in memory", function()
    local order = {}
    http.with({
      limits = { pipeline_bytes = 1000 },
      handler = function(req)
        if #order == 0 then
          eventually.turns(200)
        end
        order[#order + 1] = http.take(req:read_body(100000))
        req:respond(200, {}, "")
      end,
    }, function(port)
      local conn = http.connect(port)
      for i = 1, 50 do
        conn:write(post("/", (tostring(i % 10)):rep(20000), i == 50 and "Connection: close\r\n" or ""))
      end
      assert.equal(50, #http.parse((http.read_all(conn))))
      for i, body in ipairs(order) do
        assert.is_true(body == (tostring(i % 10)):rep(20000))
      end
      conn:close()
    end)
  end)

  it("goes on with the connection when a small body was not read, and ends it when the rest is to come", function()
    http.with(function(req)
      req:respond(404, {}, "no")
    end, function(port)
      assert.equal(2, #http.parse((http.send(port, post("/", "hello") .. GET .. CLOSE))))
      local conn = http.connect(port)
      conn:write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nstart")
      assert.matches("404 Not Found.*connection: close.*no$", http.read_all(conn))
      conn:close()
    end)
  end)

  it("writes a chunked answer, gathering the writes of one turn", function()
    http.with(function(req)
      assert(req:start(200, { "content-type", "text/event-stream" }))
      assert.is_true(req:is_started())
      req:write("one ")
      req:write("two")
      eventually.turns()
      req:write("three")
      req:finish()
    end, function(port)
      local text = http.send(port, GET .. CLOSE)
      assert.matches("\r\n\r\n7\r\none two\r\n5\r\nthree\r\n0\r\n\r\n$", text)
      -- HTTP/1.0 has no chunks: the end of the connection is the end of the body
      local old = http.send(port, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
      assert.matches("connection: close\r\n\r\none twothree$", old)
      assert.is_nil(old:find("chunked", 1, true))
      assert.matches("chunked\r\n.*\r\n\r\n$", (http.send(port, "HEAD / HTTP/1.1\r\nHost: a\r\n" .. CLOSE)))
    end)
  end)

  it("answers a handler that raises, or that says nothing, with 500, and cuts what it had begun", function()
    http.with({
      handler = function(req)
        local _, path = req:head()
        if path == "/begun" then
          req:start(200, {})
          req:write("half")
          eventually.turns()
        elseif path == "/abort" then
          req:start(200, {})
          req:write("half")
          eventually.turns()
          req:abort()
        elseif path == "/bad" then
          local ok, err = req:respond(200, { "x", "a\r\nb: c" }, "x")
          assert(not ok and err.code == "bad_header")
          assert(select(2, req:respond(101, {}, "x")).code == "bad_header")
          req:forget_head()
          assert(not pcall(req.header, req, "host"))
          req:respond(200, {}, "fine")
        end
      end,
    }, function(port)
      local answer = http.ask(port, "GET / HTTP/1.1\r\nHost: a\r\n" .. CLOSE)
      assert.equal(500, answer.status)
      assert.equal("application/json", answer.headers["content-type"])
      assert.equal("fine", http.ask(port, "GET /bad HTTP/1.1\r\nHost: a\r\n" .. CLOSE).body)
      for _, path in ipairs({ "/begun", "/abort" }) do
        local text = http.send(port, "GET " .. path .. " HTTP/1.1\r\nHost: a\r\n" .. CLOSE)
        assert.is_nil(text:find("0\r\n\r\n", 1, true))
      end
    end)
  end)

  it("listens on a Unix socket, and tells why it cannot listen", function()
    local path = os.tmpname()
    http.with({ path = path, handler = function(req)
      req:respond(200, {}, req:peer())
    end }, function()
      assert.equal("unix", http.ask("unix:" .. path, GET .. CLOSE).body)
    end)
    os.remove(path)
    http.with(echo, function(port)
      local none, err = require("rt.server").listen({ address = "127.0.0.1:" .. port, handler = echo })
      assert.is_nil(none)
      assert.equal("address_in_use", err.code)
    end)
    assert.has_error(function()
      require("rt.server").listen({ address = "127.0.0.1:0", handler = echo, limits = { idle = 1 } })
    end)
  end)

  it("refuses wrong use loudly", function()
    local raised = {}
    http.with(function(req)
      req:respond(200, {}, "x")
      raised[1] = select(2, pcall(req.respond, req, 200, {}, "y"))
      raised[2] = select(2, pcall(req.write, req, "y"))
      raised[3] = select(2, pcall(req.read_body, req, 10))
    end, function(port)
      http.send(port, GET .. CLOSE)
      for i = 1, 3 do
        assert.matches("not possible now", raised[i])
      end
    end)
  end)

  it("goes on with a task after its answer, beside the next request", function()
    local ended, kept, go = 0, nil, nil
    http.with(function(req)
      req:respond(200, {}, "x")
      eventually.is(function()
        return go
      end)
      assert(req:status() == 200 and req:bytes_out() > 50)
      ended = ended + 1
      kept = req
    end, function(port, server)
      assert.equal(3, #http.parse((http.send(port, (GET .. "\r\n"):rep(2) .. GET .. CLOSE))))
      assert.equal(0, ended)
      go = true
      eventually.is(function()
        return ended == 3
      end)
      assert.has_error(function()
        kept:head()
      end, "req: its handler has returned")
      assert.equal(3, server:stats().requests_total)
    end)
  end)
end)
