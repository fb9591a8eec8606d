-- Rows 1 to 18 of the threat list, section 1a, through a socket: one refusal, the connection closed in order, the
-- handler never called, nothing behind it processed. What the parser accepts at all is in core/http1_test.c.
local http = require("spec.support.http")

local HOST = "Host: a\r\n"
local POST = "POST / HTTP/1.1\r\n" .. HOST
local CHUNKS = POST .. "Transfer-Encoding: chunked\r\n\r\n"
local BEHIND = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

-- status -> { name -> request }
local refused = {
  [400] = {
    ["CL.TE"] = POST .. "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ["TE.CL"] = POST .. "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    ["two lengths"] = POST .. "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    ["a length with a sign"] = POST .. "Content-Length: +5\r\n\r\nhello",
    ["a length of 2^64+5"] = POST .. "Content-Length: 18446744073709551621\r\n\r\nhello",
    ["a length with NUL"] = POST .. "Content-Length: 5\0\r\n\r\nhello",
    ["TE with VT"] = POST .. "Transfer-Encoding: \11chunked\r\n\r\n0\r\n\r\n",
    ["TE twice"] = POST .. "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ["TE not last"] = POST .. "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ["space before colon"] = POST .. "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    ["bare LF"] = "GET / HTTP/1.1\nHost: a\n\n",
    ["bare CR"] = "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
    ["CR LF CR X"] = "GET / HTTP/1.1\r\nHost: a\r\n\rX\r\n",
    ["folding"] = POST .. "X: a\r\n b\r\n\r\n",
    ["no Host"] = "GET / HTTP/1.1\r\n\r\n",
    ["two Hosts"] = "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ["Host with userinfo"] = "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
    ["Host with path"] = "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    ["Host list"] = "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
    ["HTTP/0.9"] = "GET /\r\n",
    ["HTTP/1.10"] = "GET / HTTP/1.10\r\nHost: a\r\n\r\n",
    ["HTTP/2.0"] = "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    ["h2 preface"] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ["TLS on the plain port"] = "\22\3\1\2\0\1\0\1\252\3\3",
    ["absolute-form"] = "GET http://elsewhere/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ["header value with NUL"] = POST .. "X: a\0b\r\n\r\n",
    ["repeated authorization"] = POST .. "Authorization: a\r\nAuthorization: b\r\n\r\n",
  },
  [405] = {
    ["CONNECT"] = "CONNECT elsewhere:443 HTTP/1.1\r\nHost: elsewhere:443\r\n\r\n",
    ["TRACE"] = "TRACE / HTTP/1.1\r\nHost: a\r\nX-Secret: echo-me\r\n\r\n",
  },
  [414] = { ["1 MB target"] = "GET /" .. ("a"):rep(1048576) .. " HTTP/1.1\r\nHost: a\r\n\r\n" },
  [417] = { ["Expect"] = POST .. "Expect: x\r\nContent-Length: 5\r\n\r\nhello" },
  [431] = {
    ["4 MB header line"] = POST .. "X: " .. ("a"):rep(4194304) .. "\r\n\r\n",
    ["20000 lines"] = POST .. ("X: a\r\n"):rep(20000) .. "\r\n",
  },
  [501] = { ["unknown method"] = "BREW / HTTP/1.1\r\nHost: a\r\n\r\n" },
}

-- Refused while the handler reads the body: it is told, and its answer is the last.
local refused_body = {
  bad_request = {
    ["chunk size with sign"] = CHUNKS .. "+3\r\nabc\r\n0\r\n\r\n",
    ["chunk size 0x"] = CHUNKS .. "0x3\r\nabc\r\n0\r\n\r\n",
    ["blank chunk size"] = CHUNKS .. "\r\nabc\r\n0\r\n\r\n",
    ["chunk size overflow"] = CHUNKS .. "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    ["two spare bytes"] = CHUNKS .. "3\r\nabcXX\r\n0\r\n\r\n",
    ["missing CRLF"] = CHUNKS .. "3\r\nabc0\r\n\r\n",
    ["LF in extension"] = CHUNKS .. "3;a\nb\r\nabc\r\n0\r\n\r\n",
  },
  too_large = {
    ["chunk of 16 f"] = CHUNKS .. "ffffffffffffffff\r\n" .. ("a"):rep(3000),
    ["chunks above the limit"] = CHUNKS .. ("400\r\n" .. ("a"):rep(1024) .. "\r\n"):rep(3) .. "0\r\n\r\n",
    ["extension flood"] = CHUNKS .. ("1;" .. ("e"):rep(200) .. "\r\nx\r\n"):rep(10) .. "0\r\n\r\n",
    ["declared 2^32+5"] = POST .. "Content-Length: 4294967301\r\n\r\nhello",
    ["declared 10 GB with Expect"] = POST .. "Content-Length: 10000000000\r\nExpect: 100-continue\r\n\r\n",
  },
}

describe("rt.server refuses", function()
  local called

  local function handler(req)
    called = called + 1
    local body, err = req:read_body(2048)
    if body then
      http.take(body)
      req:respond(200, {}, "fine")
    else
      req:respond(err.code == "too_large" and 413 or 400, {}, err.code)
    end
  end

  before_each(function()
    called = 0
  end)

  for status, requests in pairs(refused) do
    for name, text in pairs(requests) do
      it(("%s with %d, and ignores what is behind"):format(name, status), function()
        http.with(handler, function(port)
          local raw, err = http.send(port, text .. BEHIND)
          assert.is_nil(err)
          local answers = http.parse(raw)
          assert.equal(1, #answers)
          assert.equal(status, answers[1].status)
          assert.equal("close", answers[1].headers.connection)
          assert.matches('^{"error":{"code":"[a-z_0-9]+","message":"[^"]+"}}$', answers[1].body)
          assert.is_nil(raw:find("echo-me", 1, true))
          assert.equal(0, called)
        end)
      end)
    end
  end

  for code, requests in pairs(refused_body) do
    for name, text in pairs(requests) do
      it(("a body with %s (%s)"):format(name, code), function()
        http.with(handler, function(port)
          local raw = http.send(port, text .. BEHIND)
          local answers = http.parse(raw)
          assert.equal(1, #answers)
          assert.equal(code, answers[1].body)
          assert.equal("close", answers[1].headers.connection)
          assert.equal(1, called)
        end)
      end)
    end
  end

  it("says 100 Continue only once the body is really read", function()
    http.with(function(req)
      local _, path = req:head()
      if path == "/read" then
        req:respond(200, {}, http.take(req:read_body(100)))
      else
        req:respond(401, {}, "no")
      end
    end, function(port)
      local head = "Host: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
      local conn = http.connect(port)
      conn:write("POST /read HTTP/1.1\r\n" .. head)
      assert.equal("HTTP/1.1 100 Continue\r\n\r\n", conn:read())
      conn:write("hello")
      assert.matches("200 OK.*hello$", http.read_until(conn, "hello"))
      conn:write("POST /refuse HTTP/1.1\r\n" .. head)
      local raw = http.read_all(conn)
      assert.matches("^HTTP/1.1 401 .*connection: close", raw)
      conn:close()
    end)
  end)

  it("drops trailers", function()
    local names
    http.with(function(req)
      http.take(req:read_body(100))
      names = req:headers()
      req:respond(200, {}, "")
    end, function(port)
      http.send(port, CHUNKS .. "0\r\nX-Api-Key: secret\r\nConnection: close\r\n\r\n"
        .. "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
      assert.same({ { "host", "a" }, { "connection", "close" } }, names)
    end)
  end)

  it("what follows `Connection: close` is ignored", function()
    http.with(handler, function(port)
      assert.equal(1, #http.parse((http.send(port, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" .. BEHIND))))
      assert.equal(1, called)
    end)
  end)

  it("in the form that on_refuse gives, and survives its mistakes", function()
    local seen
    http.with({
      handler = handler,
      on_refuse = function(status, code, message, path)
        if path == "/raise" then
          error("no form")
        end
        seen = { status, code, message, path }
        return { "content-type", "text/plain", "x-bad", "a\r\nb: c", "x-good", "1" }, "my way"
      end,
    }, function(port)
      local answer, raw = http.ask(port, "GET /here?x HTTP/1.1\r\n\r\n")
      assert.same({ 400, "text/plain", "1", "my way" },
        { answer.status, answer.headers["content-type"], answer.headers["x-good"], answer.body })
      assert.is_nil(raw:find("b: c", 1, true))
      assert.same({ 400, "bad_request", "host is missing", "/here" }, seen)
      assert.equal("host is missing", http.ask(port, "GET /raise HTTP/1.1\r\n\r\n").body:match('"message":"([^"]+)"'))
    end)
  end)
end)
