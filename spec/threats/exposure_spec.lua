-- Secrets that an upstream repeats, and clients that go away. Numbers are the rows of the threat list (README.md).
local between = require("spec.support.between")
local eventually = require("spec.support.eventually")
local faulty = require("spec.support.faulty")
local http = require("spec.support.http")

local ways = faulty.WAYS
local failing, error_body, stream, chunk, BEGUN, STREAM_HEAD =
  faulty.failing, faulty.error_body, faulty.stream, faulty.chunk, faulty.BEGUN, faulty.STREAM_HEAD

local OWN_SECRET = "own/secret+of=this-gateway"

describe("threats, exposure:", function()
  local run

  setup(function()
    run = between.start({
      accounts = function(origin)
        return ([[keyed = { provider = "anthropic", base_url = "%s", api_key = secret.env("SPEC_SECRET") },]]):format(origin)
      end,
      env = { SPEC_SECRET = OWN_SECRET },
      config = [[retry = { max_wait_ms = 10 },]],
    })
  end)

  teardown(function()
    run:stop()
  end)

  describe("44 an upstream's error with something secret in it:", function()
    -- What is said, and what must not be seen of it.
    local SAID = {
      ["the gateway's own key"] = { "the key " .. OWN_SECRET .. " is wrong", OWN_SECRET },
      ["an API key"] = { "invalid x-api-key: sk-ant-api03-AbCdEfGhIjKlMnOpQrStUvWxYz_0123-4567", "AbCdEfGhIjKl" },
      ["a bearer token"] = { "got 'authorization: Bearer eyJhbGciOi.JIUzI1NiIs_In-R5c.CI6IkpXVCJ9'", "eyJhbGciOi" },
      ["an access key id"] = { "Credential=ASIAQWERTYUIOPASDFGH/20261123/us-west-2", "ASIAQWERTYUIOPASDFGH" },
      ["a signature"] = { "Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef is not", "0123456789abcdef" },
      ["a session token"] = { "token " .. ("IQoJb3JpZ2luX2VjEJ7"):rep(20) .. "== expired", "IQoJb3JpZ2luX2Vj" },
      ["a URL with a password"] = { "proxy https://operator:hunter2@inner.host/ refused", "hunter2" },
    }
    local function assert_unseen(secret, answer, status)
      assert.equal(status, answer.status)
      assert.is_nil(answer.body:find(secret, 1, true), answer.body)
      for name, value in pairs(answer.headers) do
        assert.is_nil(value:find(secret, 1, true), name)
      end
      run:log_of(answer)
      assert.is_nil(run.program:output():find(secret, 1, true))
    end
    local MODEL = "keyed/claude-haiku-4-5"

    for name, case in pairs(SAID) do
      it(name .. " reaches neither client nor log", function()
        for _, status in ipairs({ 400, 403, 500 }) do
          run.answer = function()
            return failing(status, error_body("invalid_request_error", case[1]))
          end
          assert_unseen(case[2], ways.messages(run, MODEL), status == 403 and 502 or status)
          assert_unseen(case[2], ways.chat(run, MODEL), status == 403 and 502 or status)
        end
        run.answer = function()
          return failing(400, '{"message":"' .. case[1] .. '"}', "x-amzn-errortype: ValidationException\r\n")
        end
        assert_unseen(case[2], ways.messages(run, MODEL), 400)
      end)

      it(name .. " in an event reaches neither client nor log", function()
        local event = "event: error\ndata: " .. error_body("invalid_request_error", case[1]) .. "\n\n"
        run.answer = function()
          return stream(event)
        end
        assert_unseen(case[2], ways.messages_stream(run, MODEL), 400)
        run.answer = function()
          return stream(BEGUN .. event)
        end
        assert_unseen(case[2], ways.chat_stream(run, MODEL), 200)
      end)
    end

    it("an error without a secret is the upstream's, byte for byte", function()
      local body = '{ "type":"error", "error":{"type":"invalid_request_error","message":"max_tokens: sk-1 Bearer of news, 17-digit 12345678901234567"},'
        .. '"request_id":"req_011CSHoEeqs5C35K2UUqR7Fy","zeta":1.0 }\n'
      run.answer = function()
        return failing(400, body)
      end
      assert.equal(body, ways.messages(run).body)
    end)

    it("where the upstream is stays the operator's business", function()
      run.answer = function(_, conn)
        conn:close()
      end
      local answer = ways.messages(run)
      assert.equal(502, answer.status)
      assert.is_nil(answer.body:find("127.0.0.1", 1, true), answer.body)
      assert.matches("127.0.0.1", run:log_of(answer).message, 1, true)
    end)
  end)

  describe("45 a client that goes away", function()
    local events
    -- The upstream says `text`, then waits: for what the gateway does.
    local function play(text)
      events = {}
      run.answer = function(_, conn)
        if text then
          conn:write(text)
        end
        events[#events + 1] = "answering"
        local more = conn:read_request() -- no limit of the gateway's ends this: they are a minute and longer
        events[#events + 1] = more and "another request" or "closed by the gateway"
        return nil
      end
    end

    -- The log's lines of requests whose client has gone.
    local function aborted()
      local found = {}
      for _, line in ipairs(run:log("request")) do
        found[#found + 1] = line.error == "client_closed" and line or nil
      end
      return found
    end

    local LEAVE = {
      closes = function(conn) conn:close() end,
      ["half-closes"] = function(conn) conn:shutdown() end,
      resets = function(conn) conn:reset() end,
    }
    local MOMENTS = {
      ["before the head of a document"] = { "/v1/messages", faulty.ASK },
      ["in the middle of a document"] = { "/v1/messages", faulty.ASK,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{" },
      ["in the middle of a translated document"] = { "/v1/chat/completions", faulty.ASK,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{" },
      ["before the head of a stream"] = { "/v1/messages", faulty.ASK_STREAM },
      ["before the first event"] = { "/v1/messages", faulty.ASK_STREAM, STREAM_HEAD .. chunk(": hi\n\n") },
      ["before the first event of a translated stream"] = { "/v1/chat/completions", faulty.ASK_STREAM, STREAM_HEAD .. chunk(": hi\n\n") },
      ["in the middle of a stream"] = { "/v1/messages", faulty.ASK_STREAM, STREAM_HEAD .. chunk(BEGUN), "some" },
      ["in the middle of a translated stream"] = { "/v1/chat/completions", faulty.ASK_STREAM, STREAM_HEAD .. chunk(BEGUN), "some" },
    }
    for how, leave in pairs(LEAVE) do
      for when, moment in pairs(MOMENTS) do
        it(("and %s %s ends the upstream's work, before anything else does"):format(how, when), function()
          play(moment[3])
          local before = #aborted()
          local conn = http.connect(run.port)
          conn:write(between.post(moment[1], moment[2]))
          between.wait_until(function() return events[1] end)
          if moment[4] then
            http.read_until(conn, moment[4])
          end
          events[#events + 1] = "client goes"
          leave(conn)
          between.wait_until(function() return events[3] end)
          conn:close()
          assert.same({ "answering", "client goes", "closed by the gateway" }, events)
          between.wait_until(function() return #aborted() > before end)
          assert.equal(499, aborted()[before + 1].status)
        end)
      end
    end

    it("during the pause before a repeat gets no repeat", function()
      local before = #run.requests
      local paused = between.start({ config = "retry = { max_wait_ms = 60000 }," })
      paused.answer = function()
        return failing(529, error_body("overloaded_error"), "retry-after: 50\r\n")
      end
      local conn = http.connect(paused.port)
      conn:write(between.post("/v1/messages", faulty.ASK))
      between.wait_until(function() return #paused.requests > 0 end)
      eventually.turns()
      conn:close()
      between.wait_until(function() return #paused:log("request") > 0 end)
      assert.equal("client_closed", paused:log("request")[1].error)
      assert.equal(1, #paused.requests)
      assert.equal(before, #run.requests)
      paused:stop()
    end)

    it("leaves no task and no connection in the worker", function()
      local _, status = run:admin("GET", "/status")
      assert.equal(0, status.workers[1].requests_in_flight)
    end)
  end)
end)
