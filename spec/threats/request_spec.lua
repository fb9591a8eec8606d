-- Clients that try to reach what is not theirs: headers of the gateway's own requests, the admin surface, somebody else's key.
-- Numbers are the rows of the threat list (README.md).
local between = require("spec.support.between")
local crypto = require("rt.crypto")
local faulty = require("spec.support.faulty")
local http = require("spec.support.http")

local LIMIT_BYTES = 32 * 1024 * 1024
local ODD_NAME = [[odd\r\nx-injected: 1\r\n\r\ndata: injected]] -- as Lua and as JSON write it

-- Names and values of a head, in order; the request line is left out.
local function fields_of(head)
  local names, values = {}, {}
  for name, value in head:gmatch("\r\n([^:\r\n]+): ?([^\r\n]*)") do
    names[#names + 1] = name:lower()
    assert.is_nil(values[name:lower()], name .. " comes twice")
    values[name:lower()] = value
  end
  table.sort(names)
  return names, values
end

describe("threats, requests:", function()
  local run

  setup(function()
    run = between.start({
      config = ([[
        models = { ["%s"] = { targets = { "aws/claude-haiku-4-5" } } },
      ]]):format(ODD_NAME),
    })
  end)

  teardown(function()
    run:stop()
  end)

  before_each(function()
    run.answer = faulty.ok
  end)

  describe("14 a second request on the same connection", function()
    local function keep(request)
      return (request:gsub("connection: close\r\n", ""))
    end
    local function second(headers)
      local first = keep(between.post("/v1/messages", faulty.ASK))
      local without = between.post("/v1/messages", faulty.ASK):gsub("x%-api%-key: [^\r]*\r\n", headers)
      local answers = http.parse((http.send(run.port, first .. without)))
      assert.equal(2, #answers)
      assert.equal(200, answers[1].status)
      return answers[2]
    end

    it("without a key is 401", function()
      assert.equal(401, second("").status)
    end)

    it("with a wrong key is 401", function()
      assert.equal(401, second("x-api-key: wrong\r\n").status)
    end)

    it("after an answer, without a key, is 401, too", function()
      local conn = http.connect(run.port)
      conn:write(keep(between.post("/v1/messages", faulty.ASK)))
      http.read_until(conn, between.ANSWER)
      conn:write((between.post("/v1/chat/completions", faulty.ASK):gsub("x%-api%-key: [^\r]*\r\n", "")))
      assert.equal(401, http.parse(http.read_all(conn))[1].status)
      conn:close()
    end)
  end)

  describe("16 line ends where a name or a value should be", function()
    local function assert_clean(raw)
      local head = raw:match("^(.-)\r\n\r\n")
      assert.is_nil(head:find("injected", 1, true), head)
      assert.equal(1, select(2, raw:gsub("HTTP/1.1 ", "")))
    end

    it("in a model's name that does not exist are data", function()
      local before = #run.requests
      for _, name in ipairs({ [[a\r\nx-injected: 1]], [[aws/claude-x\r\nx-injected: 1]], [[aws/claude-\u000ax-injected: 1]], [[claude-\u0000]] }) do
        for _, path in ipairs({ "/v1/messages", "/v1/chat/completions" }) do
          local answer, raw = run:ask(path, '{"model":"' .. name .. '","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}')
          assert.equal(404, answer.status)
          assert_clean(raw)
        end
      end
      assert.equal(before, #run.requests)
    end)

    it("in a model's name that exists are data, in head, document, stream and log", function()
      local body = '{"model":"' .. ODD_NAME .. '","max_tokens":5,"messages":[{"role":"user","content":"hi"}]%s}'
      for _, path in ipairs({ "/v1/messages", "/v1/chat/completions" }) do
        local request, answer = run:forward(path, body:format(""))
        assert.is_nil(request.head:find("injected", 1, true))
        assert.matches('"model":"claude-haiku-4-5"', request.body, 1, true)
        assert.equal(200, answer.status)
      end
      run.answer = function()
        return faulty.stream(faulty.WHOLE)
      end
      local answer, raw = run:ask("/v1/chat/completions", body:format(',"stream":true'))
      assert_clean(raw)
      for line in (answer.body .. "\n"):gmatch("([^\n]*)\n") do
        assert.is_true(line == "" or line:find("^data: {.*}$") ~= nil or line == "data: [DONE]" or line == ": ping", line)
      end
      local line = run:log_of(answer)
      assert.equal("odd\r\nx-injected: 1\r\n\r\ndata: injected", line.model)
    end)

    it("in a path are data", function()
      local raw = http.send(run.port, "GET /v1/models/a%0d%0ax-injected:%201 HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-api-key: "
        .. between.KEY .. "\r\n\r\n")
      assert.equal(404, http.parse(raw)[1].status)
      assert_clean(raw)
    end)

    it("in a header, encoded or raw, are refused", function()
      local before = #run.requests
      for _, name in ipairs({ "anthropic-version", "anthropic-beta" }) do
        for _, value in ipairs({ "2023-06-01%0d%0ax-injected: 1", "a\\r\\nb", "a\tb", "a;b", "a\"b", ("a"):rep(5000) }) do
          assert.equal(400, run:ask("/v1/messages", faulty.ASK, name .. ": " .. value .. "\r\n").status)
        end
        for _, value in ipairs({ "a\rx-injected: 1", "a\nx-injected: 1", "a\0b", "a\r\n x-injected: 1" }) do
          local answer = run:ask("/v1/messages", faulty.ASK, name .. ": " .. value .. "\r\n")
          assert.is_true(answer == nil or answer.status == 400 or value == "a\nx-injected: 1", value)
        end
      end
      for i = before + 1, #run.requests do
        assert.is_nil(run.requests[i].head:find("injected", 1, true))
      end
    end)

    it("a request id of the client's is neither the gateway's nor the upstream's", function()
      local request, answer = run:forward("/v1/messages", faulty.ASK, "x-request-id: mine\r\nrequest-id: mine\r\nx-amzn-requestid: mine\r\n")
      assert.is_nil(request.head:find("mine", 1, true))
      assert.matches("^req_%x+$", answer.headers["x-request-id"])
    end)
  end)

  describe("17 and 18 headers of the client's", function()
    local OURS = {
      "accept-encoding", "anthropic-beta", "anthropic-version", "anthropic-workspace-id", "authorization", "content-length", "content-type",
      "host", "user-agent", "x-amz-content-sha256", "x-amz-date",
    }
    local THEIRS = table.concat({
      "keep-alive: timeout=5", "te: trailers", "trailer: x-a", "proxy-authorization: Basic evil", "proxy-connection: keep-alive",
      "cookie: session=evil", "x-amz-date: 20000101T000000Z", "x-amz-security-token: evil", "x-amz-content-sha256: evil",
      "x-amz-target: evil", "anthropic-workspace-id: wrkspc_Evil", "anthropic-dangerous-direct-browser-access: evil",
      "x-forwarded-for: 1.2.3.4", "x-forwarded-host: evil", "forwarded: for=evil", "x-real-ip: 1.2.3.4", "user-agent: evil", "accept-encoding: gzip, evil",
      "accept: evil", "origin: evil", "referer: evil", "x-stainless-lang: evil", "x-http-method-override: DELETE", "content-md5: evil",
      "range: bytes=0-1", "if-match: evil", "via: 1.1 evil", "anthropic-version: 2023-06-01", "anthropic-beta: beta-1,beta-2", "",
    }, "\r\n")

    it("go upstream only when they are on the list", function()
      local request, answer = run:forward("/v1/messages?beta=true&evil=1", faulty.ASK, THEIRS)
      assert.equal(200, answer.status)
      local names, values = fields_of(request.head)
      assert.same(OURS, names)
      assert.equal("POST /v1/messages HTTP/1.1", request.head:match("^[^\r]*"))
      assert.is_nil(request.head:lower():find("evil", 1, true))
      assert.is_nil(request.head:find(between.KEY, 1, true))
      assert.equal(between.WORKSPACE, values["anthropic-workspace-id"])
      assert.equal("beta-1,beta-2", values["anthropic-beta"])
      assert.equal("identity", values["accept-encoding"])
      assert.matches("^127%.0%.0%.1:%d+$", values.host)
      assert.matches("^AWS4%-HMAC%-SHA256 Credential=AKIASPEC/", values.authorization)
      assert.equal(crypto.sha256_hex(request.body), values["x-amz-content-sha256"])
    end)

    it("that a client calls hop-by-hop take nothing of the gateway's away", function()
      local plain = fields_of(run:forward("/v1/messages", faulty.ASK).head)
      for _, listed in ipairs({
        "authorization, host, content-length, anthropic-workspace-id, x-amz-date, x-amz-content-sha256, x-api-key", "close, x-api-key, content-type",
      }) do
        local body = between.post("/v1/messages", faulty.ASK):gsub("connection: close", "connection: close, " .. listed)
        local before = #run.requests
        local answer = http.ask(run.port, body)
        assert.equal(200, answer.status)
        assert.same(plain, (fields_of(run.requests[before + 1].head)))
      end
    end)
  end)

  describe("19 the admin surface", function()
    local PATHS = {
      "/status", "/reload", "/drain", "/version", "//status", "/./status", "/v1/../status", "/v1/messages/../../status", "/%73tatus", "/status/",
      "/status%00", "/status;a=b", "/admin/status", "/STATUS", "/healthz/../status", "/healthz/status", "/%2e%2e/status", "\\status", "/v1/messages%2f..%2fstatus",
    }
    local function ask(method, path, headers)
      return http.ask(run.port, ("%s %s HTTP/1.1\r\nhost: admin\r\nconnection: close\r\ncontent-length: 0\r\nx-api-key: %s\r\n%s\r\n"):format(method, path,
        between.KEY, headers or ""))
    end

    it("is not on the public port, whatever the path is spelt like", function()
      local _, before = run:admin("GET", "/status")
      for _, path in ipairs(PATHS) do
        for _, method in ipairs({ "GET", "POST" }) do
          local answer = ask(method, path)
          assert.is_true(answer.status == 404 or answer.status == 400, path .. ": " .. answer.status)
          assert.is_nil(answer.body:find('"workers"', 1, true))
        end
      end
      for _, name in ipairs({ "x-original-url", "x-rewrite-url", "x-forwarded-path", "x-forwarded-prefix", "x-envoy-original-path" }) do
        assert.equal(404, ask("POST", "/nothing", name .. ": /drain\r\n").status)
      end
      assert.equal(405, ask("GET", "/v1/messages", "x-http-method-override: POST\r\n").status)
      local status, after = run:admin("GET", "/status")
      assert.equal(200, status)
      assert.equal(before.number, after.number)
      assert.is_false(after.is_draining)
    end)

    it("is reached by nobody in absolute form, by CONNECT or TRACE", function()
      for _, line in ipairs({ "GET http://admin/status", "POST http://unix:admin.sock/drain", "CONNECT admin:80", "TRACE /status" }) do
        local answer = http.ask(run.port, line .. " HTTP/1.1\r\nhost: admin\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        assert.is_true(answer == nil or answer.status >= 400, line)
        assert.is_nil(answer and answer.body:find('"workers"', 1, true))
      end
    end)

    it("knows nothing but its functions", function()
      assert.equal(404, (run:admin("GET", "/")))
      assert.equal(404, (run:admin("POST", "/status")))
      assert.equal(404, (run:admin("GET", "/drain")))
      assert.equal(404, (run:admin("POST", "/v1/messages")))
    end)
  end)

  describe("48 a wrong key", function()
    local KEY = between.KEY
    local WRONG = {
      none = "-: -\r\n", empty = "x-api-key:\r\n", ["empty bearer"] = "authorization: Bearer \r\n", wrong = "x-api-key: mg-wrong\r\n",
      ["a part of it"] = "x-api-key: " .. KEY:sub(1, -2) .. "\r\n", ["more than it"] = "x-api-key: " .. KEY .. "x\r\n",
      doubled = "x-api-key: " .. KEY .. KEY .. "\r\n", listed = "x-api-key: " .. KEY .. ", " .. KEY .. "\r\n",
      ["listed by two headers"] = "x-api-key: " .. KEY .. "\r\nx-api-key: " .. KEY .. "\r\n",
      ["in capitals"] = "x-api-key: " .. KEY:upper() .. "\r\n", ["its hash"] = "x-api-key: " .. crypto.sha256_hex(KEY) .. "\r\n",
      SQL = "x-api-key: ' OR 1=1 --\r\n", ["a pattern"] = "x-api-key: .*%a+\r\n", ["a format"] = "x-api-key: %s%n%d\r\n",
      ["no ASCII"] = "x-api-key: \195\169\255\r\n", long = "x-api-key: " .. ("k"):rep(16000) .. "\r\n",
      ["as Basic"] = "authorization: Basic " .. crypto.base64_encode("spec:" .. KEY) .. "\r\n", ["without a scheme"] = "authorization: " .. KEY .. "\r\n",
      ["its name"] = "x-api-key: spec\r\n", ["a wrong one, and the right one as bearer"] = "x-api-key: no\r\nauthorization: Bearer " .. KEY .. "\r\n",
      ["in the query"] = "-: -\r\n",
    }

    it("is always the same 401, and nothing reaches the upstream", function()
      local before = #run.requests
      for _, path in ipairs({ "/v1/messages", "/v1/chat/completions" }) do
        local bodies, heads, first = {}, {}, nil
        for name, headers in pairs(WRONG) do
          local target = name == "in the query" and path .. "?key=" .. KEY or path
          local request = ("POST %s HTTP/1.1\r\nhost: gate\r\nconnection: close\r\ncontent-length: %d\r\n%s\r\n%s"):format(target, #faulty.ASK,
            headers == "-: -\r\n" and "" or headers, faulty.ASK)
          local answer, raw = http.ask(run.port, request)
          assert.equal(401, answer.status, name)
          local id = answer.headers["x-request-id"]
          first = first or name
          bodies[(answer.body:gsub(id, "ID"))] = name
          heads[(raw:match("^(.-)\r\n\r\n"):gsub(id, "ID"):gsub("date: [^\r]*", "date"))] = name
        end
        assert.is_not_nil(next(bodies))
        assert.is_nil(next(bodies, next(bodies)))
        assert.is_nil(next(heads, next(heads)))
      end
      assert.equal(before, #run.requests)
    end)

    it("with a NUL is no request at all", function()
      local answer = http.ask(run.port, between.post("/v1/messages", faulty.ASK, "x-api-key: " .. KEY .. "\0\r\n"))
      assert.equal(400, answer.status)
    end)

    it("is told before the body is read", function()
      local conn = http.connect(run.port)
      conn:write("POST /v1/messages HTTP/1.1\r\nhost: gate\r\nexpect: 100-continue\r\nx-api-key: no\r\ncontent-length: 1000\r\n\r\n")
      local text = http.read_all(conn)
      conn:close()
      assert.matches("^HTTP/1.1 401 ", text)
      assert.is_nil(text:find("100 Continue", 1, true))
    end)
  end)

  describe("15 a body that is too large", function()
    for path, message in pairs({ ["/v1/messages"] = '"type":"request_too_large"', ["/v1/chat/completions"] = '"code":"request_too_large"' }) do
      it("is 413 before it is read: " .. path, function()
        local before = #run.requests
        local conn = http.connect(run.port)
        conn:write(("POST %s HTTP/1.1\r\nhost: gate\r\nexpect: 100-continue\r\nx-api-key: %s\r\ncontent-length: %d\r\n\r\n"):format(path, between.KEY,
          LIMIT_BYTES + 1))
        local answer = http.parse((http.read_all(conn)))[1]
        conn:close()
        assert.equal(413, answer.status)
        assert.matches(message, answer.body, 1, true)
        assert.equal(before, #run.requests)
      end)

      it("is 413 when nobody said how long it is: " .. path, function()
        local before = #run.requests
        local conn = http.connect(run.port)
        conn:write(("POST %s HTTP/1.1\r\nhost: gate\r\nx-api-key: %s\r\ntransfer-encoding: chunked\r\n\r\n"):format(path, between.KEY))
        local piece = faulty.chunk((" "):rep(1024 * 1024))
        local ok, count = true, 0
        while ok and count < 40 do
          ok, count = conn:write(piece), count + 1
        end
        local answer = http.parse((http.read_all(conn)))[1]
        conn:close()
        assert.equal(413, answer.status)
        assert.matches(message, answer.body, 1, true)
        assert.equal(before, #run.requests)
      end)
    end

    it("of exactly the limit is none", function()
      local ask = faulty.ASK
      local request = run:forward("/v1/messages", ask .. (" "):rep(LIMIT_BYTES - #ask))
      assert.equal(LIMIT_BYTES - #"aws/", #request.body)
    end)
  end)
end)
