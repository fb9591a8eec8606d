local client = require("rt.client")
local crypto = require("rt.crypto")
local eventually = require("spec.support.eventually")
local http = require("spec.support.http")
local json = require("gate.json")
local mailbox = require("rt.mailbox")
local server = require("rt.server")
local sigv4 = require("rt.sigv4")
local task = require("rt.task")
local tcp = require("rt.tcp")
local upstream = require("spec.support.upstream")

describe("rt.client: bodies and signatures", function()
  local c, up

  before_each(function()
    c = assert(client.new({}))
  end)

  after_each(function()
    if up then
      up.stop()
      up = nil
    end
    c:close()
  end)

  it("sends a document in its pieces", function()
    local seen
    up = upstream.start(function(conn)
      seen = conn:read_request()
      conn:answer(200, "ok")
    end)
    local doc = assert(json.parse([[{"model":"a", "n":12345678901234567890,"x":[]}]]))
    doc:set("model", "b")
    local call = assert(c:send({ origin = up.origin, method = "POST", target = "/", body = doc:output() }))
    call:close()
    assert.equal([[{"model":"b", "n":12345678901234567890,"x":[]}]], seen.body)
    doc:free()
  end)

  it("signs head and body, each time anew", function()
    local signer = assert(sigv4.signer({ access_key_id = "AKID", secret_access_key = "secret", session_token = "token",
      region = "eu-west-1", service = "svc" }))
    local requests = {}
    up = upstream.start({
      function(conn)
        requests[1] = conn:read_request()
        conn:answer(200, "ok")
        requests[2] = conn:read_request()
        conn:reset()
      end,
      function(conn)
        requests[3] = conn:read_request()
        conn:answer(200, "ok")
      end,
    })
    for _ = 1, 2 do
      local call = assert(c:send({ origin = up.origin, method = "POST", target = "/a%3Ab?q=1&b=", body = "{}", sign = signer,
        headers = { "content-type", "application/json", "x-amz-date", "forged", "authorization", "forged" } }))
      assert.equal(200, call:status())
      call:close()
    end
    for i = 1, 3 do
      local head = requests[i].head
      assert.is_nil(head:find("forged", 1, true))
      assert.truthy(head:find("x-amz-security-token: token\r\n", 1, true))
      assert.truthy(head:find("x-amz-content-sha256: " .. crypto.sha256_hex("{}") .. "\r\n", 1, true))
      local year, month, day, hour, minute, second = head:match("x%-amz%-date: (%d%d%d%d)(%d%d)(%d%d)T(%d%d)(%d%d)(%d%d)Z")
      local at = os.time({ year = year, month = month, day = day, hour = hour, min = minute, sec = second, isdst = false })
      local utc = at + os.difftime(os.time(os.date("*t", at)), os.time(os.date("!*t", at)))
      local headers = assert(signer:sign({ method = "POST", target = "/a%3Ab?q=1&b=", body = "{}", time_s = utc, headers = {
        "content-type", "application/json", "host", "127.0.0.1:" .. up.port } }))
      local expected
      for n = 1, #headers, 2 do
        expected = headers[n] == "authorization" and headers[n + 1] or expected
      end
      assert.equal(expected, head:match("authorization: ([^\r]+)"))
    end
    signer:close()
  end)

  it("signs unsigned payloads as such, and refuses a closed signer", function()
    local signer = assert(sigv4.signer({ access_key_id = "AKID", secret_access_key = "secret", region = "r", service = "s" }))
    local seen
    up = upstream.start(function(conn)
      seen = conn:read_request()
      conn:answer(200, "ok")
    end)
    local call = assert(c:send({ origin = up.origin, method = "POST", target = "/", body = "x", sign = signer,
      content_sha256 = "UNSIGNED-PAYLOAD" }))
    call:close()
    assert.truthy(seen.head:find("x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n", 1, true))
    signer:close()
    assert.has_error(function()
      c:send({ origin = up.origin, method = "GET", target = "/", sign = signer })
    end)
  end)

  describe("streamed from a request", function()
    local gate

    local function forward(req)
      local call, err = c:send({ origin = up.origin, method = "POST", target = "/up", body = req, body_limit_bytes = 1e8 })
      if not call then
        return req:respond(502, {}, err.code)
      end
      local body = http.take((call:read_body(1000)))
      local status = call:status()
      call:close()
      req:respond(status, {}, body)
    end

    before_each(function()
      gate = assert(server.listen({ address = "127.0.0.1:0", handler = forward }))
    end)

    after_each(function()
      gate:close()
      gate:drain(100)
    end)

    local function post(head, body)
      local conn = assert(tcp.connect("127.0.0.1", gate:port()))
      local writing = task.spawn(function()
        conn:write("POST /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n" .. head .. "\r\n\r\n")
        for i = 1, #body, 100000 do
          conn:write(body:sub(i, i + 99999))
        end
      end)
      local parts = {}
      while true do
        local data = conn:read()
        if not data then
          break
        end
        parts[#parts + 1] = data
      end
      writing:cancel()
      writing:join()
      conn:close()
      local answer = table.concat(parts)
      return tonumber(answer:match("^HTTP/1.1 (%d+)")), answer:match("\r\n\r\n(.*)$")
    end

    it("keeps its length", function()
      local seen
      up = upstream.start(function(conn)
        eventually.turns(50)
        seen = conn:read_request()
        conn:answer(200, "ok")
      end)
      local text = ("abcdefgh"):rep(524288)
      local status, answer = post("content-length: " .. #text, text)
      assert.equal(200, status)
      assert.equal("ok", answer)
      assert.truthy(seen.head:find("content-length: " .. #text .. "\r\n", 1, true))
      assert.is_true(seen.body == text)
    end)

    it("stays chunked where its length is not known", function()
      local seen
      up = upstream.start(function(conn)
        seen = conn:read_request()
        conn:answer(200, "ok")
      end)
      local status = post("transfer-encoding: chunked", "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
      assert.equal(200, status)
      assert.truthy(seen.head:find("transfer-encoding: chunked\r\n", 1, true))
      assert.equal("hello world", seen.body)
    end)

    it("passes an early answer on", function()
      up = upstream.start(function(conn)
        conn.raw:read()
        conn:answer(413, "no", "connection: close\r\n")
        conn.raw:read()
      end)
      local status, answer = post("content-length: 8000000", ("x"):rep(8000000))
      assert.equal(413, status)
      assert.equal("no", answer)
    end)

    it("is never sent twice", function()
      local heads = 0
      up = upstream.start(function(conn)
        conn:read_request()
        conn:answer(200, "ok")
        if conn:read_request() then
          heads = heads + 1
        end
        conn:reset()
      end)
      assert.equal(200, (post("content-length: 2", "hi")))
      local status, answer = post("content-length: 2", "hi")
      assert.equal(502, status)
      assert.truthy(answer == "reset" or answer == "closed", answer)
      assert.equal(1, up.connections)
    end)

    it("stops the upstream when the client goes", function()
      local events = mailbox.new()
      up = upstream.start(function(conn)
        while conn.raw:read() do
          events:put("data")
        end
        events:put("gone")
      end)
      local conn = assert(tcp.connect("127.0.0.1", gate:port()))
      conn:write("POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nsome")
      assert.equal("data", events:take())
      conn:reset()
      local event
      repeat
        event = events:take()
      until event ~= "data"
      assert.equal("gone", event)
      assert.equal(0, c:stats().open)
    end)
  end)
end)
