-- Streamed bodies, clients that go, draining, TLS.
local certificates = require("spec.support.certificates")
local eventually = require("spec.support.eventually")
local http = require("spec.support.http")
local task = require("rt.task")
local tcp = require("rt.tcp")
local time = require("rt.time")

local GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

local function count_body(req)
  local size, pieces = 0, 0
  while true do
    local piece, err = req:read()
    if err then
      return nil, err
    elseif not piece then
      return size, pieces
    end
    size, pieces = size + #piece, pieces + 1
  end
end

describe("rt.server", function()
  teardown(function()
    certificates.remove()
  end)

  it("streams bodies in pieces, also empty, chunked and pipelined ones", function()
    http.with(function(req)
      req:respond(200, {}, tostring(count_body(req)))
    end, function(port)
      local chunks = {}
      for i = 1, 300 do
        chunks[i] = ("%x\r\n%s\r\n"):format(i, ("x"):rep(i))
      end
      local text = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        .. "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" .. table.concat(chunks) .. "0\r\n\r\n"
        .. "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" .. ("y"):rep(1000000)
        .. "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
      local conn = http.connect(port)
      local writing = task.spawn(function()
        conn:write(text)
      end)
      local answers = http.parse((http.read_all(conn)))
      writing:join()
      conn:close()
      assert.same({ "0", "45150", "1000000", "0" },
        { answers[1].body, answers[2].body, answers[3].body, answers[4].body })
    end)
  end)

  it("holds an upload back while nobody reads it", function()
    local go, size
    http.with(function(req)
      assert(req:body_reader(100000000) == req)
      local first = req:read()
      eventually.is(function()
        return go
      end)
      size = #first + count_body(req)
      req:respond(200, {}, "x")
    end, function(port)
      local conn = http.connect(port)
      local sent = 0
      local writing = task.spawn(function()
        conn:write("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 67108864\r\n\r\n")
        for _ = 1, 1024 do
          assert(conn:write(("x"):rep(65536)))
          sent = sent + 65536
        end
      end)
      eventually.is(function()
        return sent > 0
      end)
      assert.is_true(eventually.still(function()
        return sent
      end) < 56 * 1048576) -- less than all of it, more than the kernel may keep
      go = true
      assert.matches("^HTTP/1.1 200", http.read_all(conn))
      assert.equal(67108864, size)
      writing:join()
      conn:close()
    end)
  end)

  it("limits streamed bodies, given or counted", function()
    local codes = {}
    http.with(function(req)
      local reader, err = req:body_reader(10)
      if reader then
        err = select(2, count_body(req))
      end
      codes[#codes + 1] = err.code
      req:respond(413, {}, "x")
    end, function(port)
      http.send(port, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n")
      http.send(port, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n")
      assert.same({ "too_large", "too_large" }, codes)
    end)
  end)

  for _, way in ipairs({ "close", "reset", "shutdown" }) do
    it("ends the task when the client goes by " .. way .. ", wherever it waits", function()
      local codes, deferred, running = {}, 0, 0
      local waits = {
        sleep = function()
          return time.sleep(60000)
        end,
        read_body = function(req)
          return req:read_body(1000)
        end,
        read = function(req)
          return count_body(req)
        end,
        write = function(req)
          req:start(200, {})
          local ok, err
          repeat
            ok, err = req:write(("x"):rep(65536))
          until not ok
          return ok, err
        end,
      }
      http.with(function(req)
        local _, path = req:head()
        task.defer(function()
          deferred = deferred + 1
        end)
        running = running + 1
        local _, err = waits[path:sub(2)](req)
        codes[path:sub(2)] = err and err.code
      end, function(port, server)
        for name in pairs(waits) do
          local before = running
          local conn = http.connect(port)
          local length = name:match("read") and 100 or 0
          conn:write(("POST /%s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"):format(name, length))
          eventually.is(function()
            return running > before
          end)
          if name == "write" then
            conn:read()
          end
          conn[way](conn)
          eventually.is(function()
            return server:stats().requests == 0
          end)
          conn:close()
        end
        local gone = "client_closed"
        assert.same({ sleep = gone, read_body = gone, read = gone, write = gone }, codes)
        assert.equal(4, deferred)
      end)
    end)
  end

  it("drains: idle connections close, running requests finish, the rest is cut at the limit", function()
    local go, cut_code
    local function handle(req)
      local _, path = req:head()
      if path == "/stuck" then
        local _, err = time.sleep(60000)
        cut_code = err.code
        return
      end
      eventually.is(function()
        return path ~= "/slow" or go
      end)
      req:respond(200, {}, "done")
    end
    http.with(handle, function(port, server)
      local idle, slow = http.connect(port), http.connect(port)
      idle:write(GET)
      http.read_until(idle, "done")
      slow:write("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
      eventually.is(function()
        return server:stats().requests == 1
      end)
      local draining = task.spawn(function()
        return server:drain(60000)
      end)
      assert.equal("", (http.read_all(idle)))
      assert.is_nil(tcp.connect("127.0.0.1", port))
      go = true
      assert.matches("^HTTP/1.1 200.*connection: close.*done$", http.read_all(slow))
      idle:close()
      slow:close()
      local joined, ok, cut = draining:join()
      assert.same({ true, true, 0 }, { joined, ok, cut })
    end)
    http.with(handle, function(port, server)
      local stuck = http.connect(port)
      stuck:write("GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n")
      eventually.is(function()
        return server:stats().requests == 1
      end)
      assert.same({ true, 1 }, { server:drain(20) })
      assert.equal("draining", cut_code)
      stuck:close()
      assert.same({ true, 1 }, { server:drain(10) })
    end)
  end)

  it("close() stops accepting and lets connections go on", function()
    http.with(function(req)
      req:respond(200, {}, "done")
    end, function(port, server)
      local conn = http.connect(port)
      conn:write(GET)
      http.read_until(conn, "done")
      server:close()
      assert.is_nil(tcp.connect("127.0.0.1", port))
      conn:write(GET)
      assert.matches("done$", http.read_until(conn, "done"))
      conn:close()
    end)
  end)

  it("serves TLS, and refuses plain text there", function()
    http.with({
      tls = certificates.server("address"),
      limits = { header_ms = 500 },
      handler = function(req)
        local body = http.take(req:read_body(2000000, true))
        req:start(200, {})
        req:write(body)
        req:finish()
      end,
    }, function(port)
      task.deadline(10000)
      local conn = assert(tcp.connect("127.0.0.1", port, { ca_file = certificates.path("authority.pem") }))
      local body = ("0123456789"):rep(100000)
      for _ = 1, 2 do
        conn:write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body)
        assert.equal(body, http.parse(http.read_until(conn, "\r\n0\r\n\r\n"))[1].body)
      end
      conn:close()
      local raw = http.send(port, GET)
      assert.is_nil(raw:find("HTTP", 1, true))
      local silent = http.connect(port)
      http.read_all(silent) -- until the handshake's deadline
      silent:close()
    end)
    local none, err = require("rt.server").listen({
      address = "127.0.0.1:0", handler = print, tls = { certificate = "/none", key = "/none" },
    })
    assert.is_nil(none)
    assert.equal("bad_config", err.code)
  end)
end)
