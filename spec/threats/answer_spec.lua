-- Answers of an upstream that fail, mislead, or are none. Numbers are the rows of the threat list (README.md).
local between = require("spec.support.between")
local faulty = require("spec.support.faulty")

local ways = faulty.WAYS
local failing, error_body, stream, BEGUN, EVENTS, CANARY = faulty.failing, faulty.error_body, faulty.stream, faulty.BEGUN, faulty.EVENTS, faulty.CANARY

describe("threats, answers of upstreams:", function()
  local run
  local codes = {} -- see faulty.assert_refused()

  setup(function()
    run = between.start({
      accounts = function(origin)
        return ([[second = { provider = "claude_aws", region = "us-west-2", workspace_id = "wrkspc_X", base_url = "%s/second",
          auth = { method = "api_key", api_key = "spec-key" } },]]):format(origin)
      end,
      config = [[
        models = { both = { targets = { "aws/claude-haiku-4-5", "second/claude-haiku-4-5" } } },
        retry = { max_wait_ms = 50 },
      ]],
    })
  end)

  teardown(function()
    run:stop()
  end)

  before_each(function()
    run.answer = faulty.ok
  end)

  describe("34 an error event:", function()
    local ERROR = "event: error\ndata: " .. error_body("overloaded_error", "busy") .. "\n\n"

    it("as the first event lets the next target answer", function()
      run.answer = function(request)
        return stream(request.head:find("^POST /second/") and table.concat(EVENTS) or ": hi\n\nevent: ping\ndata: {}\n\n" .. ERROR)
      end
      local answer = ways.messages_stream(run, "both")
      assert.equal(table.concat(EVENTS), answer.body)
      assert.equal("upstream_overloaded", run:log_of(answer).attempts[1].error)
      assert.matches("[DONE]", ways.chat_stream(run, "both").body, 1, true)
    end)

    it("as the first event, without another target, is an answer with a status", function()
      run.answer = function()
        return stream(ERROR)
      end
      assert.equal(529, ways.messages_stream(run).status)
      assert.equal(503, ways.chat_stream(run).status)
    end)

    it("in the middle is passed on, and the line in the log says so", function()
      run.answer = function()
        return stream(BEGUN .. ERROR)
      end
      local answer = ways.messages_stream(run)
      assert.equal(BEGUN .. ERROR, answer.body)
      assert.equal("upstream_overloaded", run:log_of(answer).error)
      answer = ways.chat_stream(run)
      assert.matches('data: {"error":{"message":"busy","type":"server_error","param":null,"code":"overloaded"}}\n\n$', answer.body)
      assert.equal("upstream_overloaded", run:log_of(answer).error)
    end)
  end)

  describe("35 not now:", function()
    -- The upstream fails with `status` and a retry-after header for so many requests.
    local function busy(status, retry_after, times)
      local left = times or math.huge
      local kind = status == 429 and "rate_limit_error" or "overloaded_error"
      run.answer = function()
        left = left - 1
        return left >= 0 and failing(status, error_body(kind, "later"), retry_after and "retry-after: " .. retry_after .. "\r\n" or "")
          or between.json(between.ANSWER)
      end
    end

    for _, status in ipairs({ 429, 503, 529 }) do
      it(status .. " is tried again, when the upstream allows it soon enough", function()
        for _, retry_after in ipairs({ "0", "nonsense", "-3", "Thu, 01 Jan 1970 00:00:00 GMT", "0.01" }) do
          busy(status, retry_after, 1)
          assert.equal(200, ways.messages(run).status)
        end
      end)

      it(status .. " goes to the client at once, when the upstream wants a longer pause", function()
        busy(status, "17")
        local before = #run.requests
        local answer = ways.messages(run)
        assert.equal(status, answer.status)
        assert.equal("17", answer.headers["retry-after"])
        assert.equal(error_body(status == 429 and "rate_limit_error" or "overloaded_error", "later"), answer.body)
        assert.equal(before + 1, #run.requests)
        answer = ways.chat(run)
        assert.equal(status == 529 and 503 or status, answer.status)
        assert.equal("17", answer.headers["retry-after"])
      end)

      it(status .. " with a date in the future is a longer pause, too", function()
        busy(status, "Fri, 01 Jan 2100 00:00:00 GMT")
        local before = #run.requests
        assert.equal(status, ways.messages(run).status)
        assert.equal(before + 1, #run.requests)
      end)
    end

    it("x-should-retry: false is obeyed, and passed on", function()
      run.answer = function()
        return failing(529, error_body("overloaded_error"), "x-should-retry: false\r\n")
      end
      local before = #run.requests
      local answer, raw = ways.chat(run, "both")
      assert.equal("false", answer.headers["x-should-retry"])
      assert.equal(1, select(2, raw:gsub("x%-should%-retry", "")))
      assert.equal(before + 1, #run.requests)
    end)

    it("repeats are at most a tenth of the traffic, beyond the first twenty", function()
      busy(529, "0")
      local before = #run.requests
      for _ = 1, 100 do
        ways.messages(run)
      end
      local repeats = #run.requests - before - 100
      assert.is_true(repeats <= 20 + 10 + 1, repeats .. " repeats")
    end)
  end)

  describe("40 counters:", function()
    local function document(usage)
      return (between.ANSWER:gsub('"usage":{.-}', '"usage":' .. usage))
    end
    -- What usage is told, and what may stand in the log.
    local CASES = {
      ["missing"] = { "null" },
      ["no object"] = { '"many"' },
      ["negative"] = { '{"input_tokens":-5,"output_tokens":7}', nil, 7 },
      ["huge"] = { '{"input_tokens":1e300,"output_tokens":99999999999999999999999}' },
      ["broken"] = { '{"input_tokens":1.5,"output_tokens":2}', { [1] = true }, 2 }, -- cut, or not taken
      ["as text"] = { '{"input_tokens":"5","output_tokens":2}', nil, 2 },
    }
    local function assert_counters(case, line)
      if not (type(case[2]) == "table" and (line.input_tokens == nil or case[2][line.input_tokens])) then
        assert.equal(case[2], line.input_tokens)
      end
      assert.equal(case[3], line.output_tokens)
    end

    for name, case in pairs(CASES) do
      it(name .. " in a document: the client has its answer, the log no nonsense", function()
        run.answer = function()
          return between.json(document(case[1]))
        end
        local answer = ways.messages(run)
        assert.equal(200, answer.status)
        assert.equal(document(case[1]), answer.body)
        local line = run:log_of(answer)
        assert_counters(case, line)
        assert.is_true((line.cost_micro_usd or 0) >= 0 and (line.cost_micro_usd or 0) < 1e9)
        assert.equal(200, ways.chat(run).status)
      end)

      it(name .. " in a stream: the client has its answer, the log no nonsense", function()
        local text = table.concat(EVENTS):gsub('"usage":{"input_tokens".-}', '"usage":' .. case[1]):gsub(',"usage":{"output_tokens":9}', "")
        run.answer = function()
          return stream(text)
        end
        local answer = ways.messages_stream(run)
        assert.equal(text, answer.body)
        local line = run:log_of(answer)
        assert_counters(case, line)
        assert.is_nil(line.error)
        assert.is_true((line.cost_micro_usd or 0) >= 0 and (line.cost_micro_usd or 0) < 1e9)
        assert.matches("[DONE]", ways.chat_stream(run).body, 1, true)
      end)
    end

    it("totals that come again replace each other, they are not summed", function()
      run.answer = function()
        return stream(table.concat(EVENTS, "", 1, 5) .. EVENTS[5] .. EVENTS[5] .. EVENTS[6])
      end
      local line = run:log_of(ways.messages_stream(run))
      assert.equal(9, line.output_tokens)
      assert.equal(3, line.input_tokens)
    end)
  end)

  describe("41 a redirect", function()
    for _, status in ipairs({ 301, 302, 303, 307, 308 }) do
      it(status .. " is never followed: 502", function()
        run.answer = function()
          return failing(status, CANARY, "location: " .. run.upstream.origin .. "/second/elsewhere\r\n")
        end
        local before = #run.requests
        local answer = ways.messages(run)
        faulty.assert_refused(codes, answer, 502, "upstream_bad_response")
        assert.is_nil(answer.headers.location)
        assert.equal(before + 1, #run.requests)
      end)
    end
  end)

  describe("42 an answer that nobody asked for", function()
    it("is never the next client's", function()
      local count = 0
      run.answer = function()
        count = count + 1
        return count == 1 and between.json(between.ANSWER) .. between.json('{"id":"' .. CANARY .. '"}') or between.json(between.ANSWER)
      end
      for _ = 1, 3 do
        local answer = ways.messages(run)
        assert.equal(200, answer.status)
        assert.equal(between.ANSWER, answer.body)
      end
    end)
  end)

  describe("43 something else:", function()
    local gzip = "\31\139\8\0" .. CANARY
    local DOCUMENTS = {
      ["gzip"] = between.json(gzip, "content-encoding: gzip\r\n"),
      ["HTML"] = ("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n<p>%s"):format(#CANARY + 3, CANARY),
      ["204"] = "HTTP/1.1 204 No Content\r\n\r\n",
      ["304"] = "HTTP/1.1 304 Not Modified\r\n\r\n",
      ["101"] = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n" .. CANARY,
      ["a flood of 1xx"] = ("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"):rep(11) .. between.json(between.ANSWER),
      ["an empty body"] = between.json(""),
      ["JSON, then more"] = between.json(between.ANSWER .. CANARY),
      ["half a character"] = between.json('{"a":"\195"}'),
    }
    for name, bytes in pairs(DOCUMENTS) do
      it(name .. " for a document is 502", function()
        run.answer = function()
          return bytes
        end
        for _, way in ipairs({ "messages", "chat" }) do
          faulty.assert_refused(codes, ways[way](run), 502, "upstream_bad_response")
        end
      end)
    end

    local STREAMS = {
      ["gzip"] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\ncontent-length: "
        .. #gzip .. "\r\n\r\n" .. gzip,
      ["HTML"] = DOCUMENTS.HTML,
      ["JSON"] = between.json('{"id":"' .. CANARY .. '"}'),
      ["204"] = DOCUMENTS["204"],
      ["101"] = DOCUMENTS["101"],
      ["nothing"] = stream(""),
    }
    for name, bytes in pairs(STREAMS) do
      it(name .. " for a stream is 502", function()
        run.answer = function()
          return bytes
        end
        for _, way in ipairs({ "messages_stream", "chat_stream" }) do
          local answer = ways[way](run)
          assert.equal(502, answer.status, answer.body)
          assert.is_nil(answer.body:find(CANARY, 1, true))
        end
      end)
    end

    it("ten 1xx answers before the real one are fine", function()
      run.answer = function()
        return ("HTTP/1.1 103 Early Hints\r\nx-hint: " .. CANARY .. "\r\n\r\n"):rep(10) .. between.json(between.ANSWER)
      end
      local answer = ways.messages(run)
      assert.equal(200, answer.status)
      assert.equal(between.ANSWER, answer.body)
      assert.is_nil(answer.headers["x-hint"])
    end)
  end)

  it("the log has a line for each, with its code", function()
    faulty.assert_logged(run, codes)
  end)
end)
