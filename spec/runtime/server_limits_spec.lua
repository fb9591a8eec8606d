-- Rows 21 to 28 of the threat list, section 1b: slow, silent and too many clients. Deadlines are tiny here; the specs
-- wait for what the server does, not for the clock.
local eventually = require("spec.support.eventually")
local ffi = require("ffi")
local http = require("spec.support.http")
local task = require("rt.task")
local tcp = require("rt.tcp")
local time = require("rt.time")

ffi.cdef([[
  struct spec_rlimit { uint64_t current, most; };
  int getrlimit(int resource, struct spec_rlimit *limit);
  int setrlimit(int resource, const struct spec_rlimit *limit);
  struct spec_pollfd { int fd; short events, revents; };
  int poll(struct spec_pollfd *fds, unsigned long count, int timeout_ms);
  int uv_backend_fd(const struct uv_loop_s *loop);
  struct uv_loop_s *rt_loop(void *L);
]])
local RLIMIT_NOFILE = 7

local GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

local function fine(req)
  req:respond(200, {}, "fine")
end

-- Has the loop nothing to do? What it watches is one descriptor, which would be readable.
local function is_quiet()
  local POLLIN = 1
  return ffi.C.poll(ffi.new("struct spec_pollfd[1]", { { ffi.C.uv_backend_fd(ffi.C.rt_loop(nil)), POLLIN, 0 } }), 1, 0) == 0
end

describe("rt.server bounds", function()
  it("slow heads: 408 at the deadline, however the bytes drip", function()
    http.with({ limits = { header_ms = 100, idle_ms = 60000 }, handler = fine }, function(port, server)
      local conn = http.connect(port)
      local dripping = task.spawn(function()
        for c in ("GET / HTTP/1.1\r\nX: " .. ("a"):rep(100000)):gmatch(".") do
          if not conn:write(c) or not time.sleep(5) then -- the pace of the client; nothing waits for it
            return
          end
        end
      end)
      local raw = http.read_all(conn)
      assert.matches("^HTTP/1.1 408 Request Timeout\r\n.*connection: close", raw)
      dripping:cancel()
      dripping:join()
      conn:close()
      assert.equal(1, server:stats().timeouts_total)
    end)
  end)

  it("silent connections, before the first request and between two", function()
    http.with({ limits = { idle_ms = 60 }, handler = fine }, function(port)
      local silent, used = http.connect(port), http.connect(port)
      used:write(GET)
      assert.matches("fine$", http.read_until(used, "fine"))
      assert.equal("", (http.read_all(used)))
      assert.equal("", (http.read_all(silent)))
      silent:close()
      used:close()
    end)
  end)

  it("slow bodies, by their rate; a faster one passes", function()
    local outcome = {}
    http.with({
      limits = { body_grace_ms = 100, body_rate_bytes = 2000 },
      handler = function(req)
        local body, err = req:read_body(100000)
        outcome[#outcome + 1] = body and "read" or err.code
        if body then
          http.take(body)
        end
        req:respond(body and 200 or 408, {}, "x")
      end,
    }, function(port)
      local function post(pause_ms)
        local conn = http.connect(port)
        conn:write("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 20000\r\n\r\n")
        local writing = task.spawn(function()
          for _ = 1, 20 do
            if not conn:write(("x"):rep(1000)) or not time.sleep(pause_ms) then
              return
            end
          end
        end)
        local raw = http.read_all(conn)
        writing:cancel()
        writing:join()
        conn:close()
        return tonumber(raw:match("^HTTP/1.1 (%d+)"))
      end
      assert.equal(408, post(1000)) -- 1000 bytes a second
      assert.equal(200, post(10)) -- 100000, and still fast enough on a machine that is busy
      assert.equal("timeout", outcome[1])
    end)
  end)

  it("a client that does not read its answer: the task hears `stalled`, the connection is cut", function()
    local heard
    http.with({
      limits = { stall_ms = 100 },
      handler = function(req)
        req:start(200, {})
        for _ = 1, 1000 do
          local ok, err = req:write(("x"):rep(65536))
          if not ok then
            heard = err.code
            return
          end
        end
      end,
    }, function(port)
      local conn = http.connect(port)
      conn:write(GET)
      assert.equal("stalled", eventually.is(function()
        return heard
      end))
      conn:reset()
    end)
  end)

  it("memory behind a slow reader: the writer waits", function()
    -- More than the kernel may keep between the two (tcp_rmem and tcp_wmem may say tens of megabytes).
    local COUNT, PIECE = 1600, ("x"):rep(65536)
    local written = 0
    http.with(function(req)
      req:start(200, {})
      for _ = 1, COUNT do
        req:write(PIECE)
        written = written + 1
      end
      req:finish()
    end, function(port)
      local conn = http.connect(port)
      conn:write(GET)
      eventually.is(function()
        return written > 0
      end)
      assert.is_true(eventually.still(function()
        return written
      end) < COUNT * 3 / 4)
      local size, last = 0, ""
      repeat
        local data = assert(conn:read())
        size, last = size + #data, (last .. data):sub(-5)
      until last == "0\r\n\r\n"
      assert.is_true(size > COUNT * #PIECE)
      conn:close()
    end)
  end)

  it("concurrency: the rest gets 503 with retry-after at once, exempt paths do not", function()
    local go
    http.with({
      limits = { concurrency = 2 },
      exempt = { "/health" },
      handler = function(req)
        local _, path = req:head()
        eventually.is(function()
          return path ~= "/slow" or go
        end)
        req:respond(200, {}, path)
      end,
    }, function(port, server)
      local slow = {}
      for i = 1, 2 do
        slow[i] = http.connect(port)
        slow[i]:write("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
      end
      eventually.is(function()
        return server:stats().requests == 2
      end)
      local conn = http.connect(port) -- stays usable: shedding costs no connection
      for _ = 1, 3 do
        conn:write(GET)
        local answer = http.parse(http.read_until(conn, "}}"))[1]
        assert.same({ 503, "1" }, { answer.status, answer.headers["retry-after"] })
      end
      conn:write("GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
      assert.matches("^HTTP/1.1 200", http.read_until(conn, "/health"))
      assert.equal(3, server:stats().shed_total)
      go = true
      for i = 1, 2 do
        assert.matches("/slow$", http.read_until(slow[i], "/slow"))
        slow[i]:close()
      end
      conn:write(GET)
      assert.matches("^HTTP/1.1 200", http.read_until(conn, "200"))
      conn:close()
    end)
  end)

  it("connections: 503 and close above the limit", function()
    http.with({ limits = { connections = 3 }, handler = fine }, function(port, server)
      local conns = {}
      for i = 1, 3 do
        conns[i] = http.connect(port)
        conns[i]:write(GET)
        http.read_until(conns[i], "fine")
      end
      local raw, err = http.send(port, GET)
      assert.matches("^HTTP/1.1 503 .*retry%-after: 1", raw)
      assert.is_nil(err)
      conns[1]:close()
      eventually.is(function()
        return server:stats().connections < 3
      end)
      conns[1] = http.connect(port)
      conns[1]:write(GET)
      assert.matches("fine$", http.read_until(conns[1], "fine"))
      for i = 1, 3 do
        conns[i]:close()
      end
    end)
  end)

  it("descriptors: some get 503, the process does not spin, and it recovers", function()
    local old, low = ffi.new("struct spec_rlimit"), ffi.new("struct spec_rlimit")
    ffi.C.getrlimit(RLIMIT_NOFILE, old)
    low.current, low.most = 200, old.most
    assert.equal(0, ffi.C.setrlimit(RLIMIT_NOFILE, low))
    local ok, err = pcall(http.with, { limits = { idle_ms = 60000, linger_ms = 60000, descriptor_reserve = 50 }, handler = fine }, function(port, server)
      local conns = {}
      while not server:stats().is_paused do -- each connection here costs two descriptors
        conns[#conns + 1] = assert(tcp.connect("127.0.0.1", port))
        eventually.turns()
      end
      eventually.is(is_quiet) -- or it spins
      assert.matches("^HTTP/1.1 503 ", conns[#conns - 1]:read()) -- the last one waits unaccepted
      for _, conn in ipairs(conns) do
        conn:close()
      end
      eventually.is(function()
        return http.send(port, "GET / HTTP/1.0\r\n\r\n"):match("^HTTP/1.1 200")
      end)
    end)
    ffi.C.setrlimit(RLIMIT_NOFILE, old)
    assert(ok, err)
  end)
end)
