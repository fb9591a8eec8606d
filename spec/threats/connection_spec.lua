-- Connections to an upstream that is not there, or speaks no HTTP. Numbers are the rows of the threat list (README.md).
local between = require("spec.support.between")
local faulty = require("spec.support.faulty")
local tcp = require("rt.tcp")

local ways = faulty.WAYS
local chunk, stream, STREAM_HEAD, BEGUN, EVENTS, CANARY = faulty.chunk, faulty.stream, faulty.STREAM_HEAD, faulty.BEGUN, faulty.EVENTS, faulty.CANARY

describe("threats, connections to upstreams:", function()
  local run
  local codes = {} -- see faulty.assert_refused()

  setup(function()
    -- A port that nobody listens on any more.
    local gone = assert(tcp.listen("127.0.0.1", 0))
    local closed_port = gone:port()
    gone:close()
    run = between.start({
      accounts = function(origin)
        local shape = [[%s = { provider = "claude_aws", region = "us-west-2", workspace_id = "wrkspc_X", base_url = "%s", allow_plain_http = true,
          auth = { method = "api_key", api_key = "spec-key" } },]]
        return shape:format("second", origin .. "/second") .. shape:format("refusing", "http://127.0.0.1:" .. closed_port)
          .. shape:format("nameless", "http://no-such-host.invalid") .. shape:format("silent", (origin:gsub("^http:", "https:")))
      end,
      config = [[
        models = {
          both = { targets = { "aws/claude-haiku-4-5", "second/claude-haiku-4-5" } },
          ["after-refusal"] = { targets = { "refusing/claude-haiku-4-5", "second/claude-haiku-4-5" } },
          ["after-silence"] = { targets = { "silent/claude-haiku-4-5", "second/claude-haiku-4-5" } },
        },
        timeouts = { connect_ms = 400 },
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

  describe("29 no way there:", function()
    it("a refused connection is 502", function()
      faulty.assert_refused(codes, ways.messages(run, "refusing/claude-haiku-4-5"), 502, "upstream_unreachable")
    end)

    it("a name that nobody knows is 502, or 504 when nobody says so in time", function()
      local answer = ways.messages(run, "nameless/claude-haiku-4-5")
      assert.is_true(answer.status == 502 or answer.status == 504)
    end)

    it("a connection on which nothing happens is 504", function()
      run.answer = function()
        return nil
      end
      faulty.assert_refused(codes, ways.messages(run, "silent/claude-haiku-4-5"), 504, "upstream_timeout")
    end)

    it("the next target is tried", function()
      run.answer = function(request)
        return request.head:find("^POST /second/") and between.json(between.ANSWER) or nil
      end
      assert.equal(200, ways.messages(run, "after-refusal").status)
      assert.equal(200, ways.messages(run, "after-silence").status)
    end)
  end)

  describe("31 the end before an answer:", function()
    for name, finish in pairs({
      close = function(conn) conn:close() end,
      reset = function(conn) conn:reset() end,
    }) do
      it(name .. " on a new connection is 502, and the request is not sent again", function()
        run.answer = function(_, conn)
          finish(conn)
        end
        ways.messages(run) -- whatever connection was kept is gone after this one
        local before = #run.requests
        faulty.assert_refused(codes, ways.messages(run), 502, "upstream_disconnected")
        assert.equal(before + 1, #run.requests)
      end)

      it(name .. " on a kept connection is retried once, on a new one", function()
        run.answer = function()
          return between.json(between.ANSWER)
        end
        assert.equal(200, ways.messages(run).status)
        local before, failures = #run.requests, 0
        run.answer = function(_, conn)
          failures = failures + 1
          if failures == 1 then
            return finish(conn)
          end
          return between.json(between.ANSWER)
        end
        assert.equal(200, ways.messages(run).status)
        assert.equal(before + 2, #run.requests)
      end)

      it(name .. " after the first byte on a kept connection is 502, and the request is not sent again", function()
        run.answer = function()
          return between.json(between.ANSWER)
        end
        assert.equal(200, ways.messages(run).status)
        local before = #run.requests
        run.answer = function(_, conn)
          conn:write("HTTP/1.1 2")
          finish(conn)
        end
        local answer = ways.messages(run)
        assert.equal(502, answer.status)
        assert.equal(before + 1, #run.requests)
      end)
    end
  end)

  describe("32 what is no HTTP:", function()
    local body = '{"a":"' .. CANARY .. '"}'
    local many = {}
    for i = 1, 5000 do
      many[i] = "x-" .. i .. ": " .. CANARY .. "\r\n"
    end
    local CASES = {
      ["bad status line"] = "HTTP/1.1 2OO " .. CANARY .. "\r\n\r\n" .. body,
      ["no status line"] = CANARY .. "\r\n\r\n",
      ["binary"] = "\0\1\2\255\254" .. CANARY .. ("\0"):rep(100),
      ["a header with a bare CR"] = "HTTP/1.1 200 OK\r\nx-a: b\rx-request-id: " .. CANARY .. "\r\ncontent-length: 2\r\n\r\n{}",
      ["a header with NUL"] = "HTTP/1.1 200 OK\r\nrequest-id: a\0" .. CANARY .. "\r\ncontent-length: 2\r\n\r\n{}",
      ["a folded header"] = "HTTP/1.1 200 OK\r\nrequest-id: a\r\n " .. CANARY .. "\r\ncontent-length: 2\r\n\r\n{}",
      ["300 KB of headers"] = "HTTP/1.1 200 OK\r\nrequest-id: " .. (CANARY):rep(14000) .. "\r\ncontent-length: 2\r\n\r\n{}",
      ["5000 headers"] = "HTTP/1.1 200 OK\r\n" .. table.concat(many) .. "content-length: 2\r\n\r\n{}",
      ["a length and chunks"] = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" .. CANARY,
      ["two lengths"] = ("HTTP/1.1 200 OK\r\ncontent-length: %d\r\ncontent-length: %d\r\n\r\n%s"):format(#body, #body + 1, body),
      ["HTTP/2"] = "HTTP/2 200\r\ncontent-length: 2\r\n\r\n{}",
    }
    for name, bytes in pairs(CASES) do
      it(name .. " is 502, never relayed, and the connection is given up", function()
        run.answer = function(_, conn)
          conn:write(bytes)
          assert.is_nil((conn:read_request()))
        end
        faulty.assert_refused(codes, ways.messages(run), 502, "upstream_bad_response")
        faulty.assert_refused(codes, ways.chat_stream(run), 502, "upstream_bad_response")
      end)
    end
  end)

  describe("33 an end in the middle:", function()
    local whole = between.ANSWER
    local half = whole:sub(1, 60)
    local DOCUMENTS = {
      ["short body"] = { ("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"):format(#whole, half) },
      ["no last chunk"] = { "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n" .. chunk(whole) },
      ["half a chunk"] = { "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nff\r\n" .. half },
      ["a bad chunk"] = { "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n-5\r\n" .. half },
      ["a reset"] = { ("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"):format(#whole, half), true },
      ["half a document, then the end"] = { "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n" .. half },
    }
    local function play(case)
      run.answer = function(_, conn)
        conn:write(case[1])
        if case[2] then
          conn:reset()
        else
          conn:close()
        end
      end
    end
    for name, case in pairs(DOCUMENTS) do
      it("a document with " .. name .. " is 502", function()
        play(case)
        for _, way in ipairs({ "messages", "chat" }) do
          local answer = ways[way](run)
          assert.equal(502, answer.status, answer.body)
          assert.matches('"error":{', answer.body, 1, true)
          assert.is_nil(answer.body:find("msg_1", 1, true))
        end
      end)
    end

    local STREAMS = {
      ["no last chunk"] = { STREAM_HEAD .. chunk(BEGUN) },
      ["half a chunk"] = { STREAM_HEAD .. chunk(BEGUN) .. "fff\r\nevent: con" },
      ["a bad chunk"] = { STREAM_HEAD .. chunk(BEGUN) .. "zz\r\n" },
      ["a reset"] = { STREAM_HEAD .. chunk(BEGUN), true },
      ["half an event"] = { stream(BEGUN .. "event: content_block_del") },
      ["no message_stop"] = { stream(table.concat(EVENTS, "", 1, 5)) },
      ["a short length"] = { ("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9999\r\n\r\n%s"):format(BEGUN) },
    }
    for name, case in pairs(STREAMS) do
      it("a stream with " .. name .. " ends with an error event", function()
        play(case)
        local answer = ways.messages_stream(run)
        if not case[2] or answer.status == 200 then -- a reset may overtake what was sent before it
          assert.equal(200, answer.status)
          assert.equal(BEGUN, answer.body:sub(1, #BEGUN))
          assert.matches('\n\nevent: error\ndata: {"type":"error","error":{"type":"[%w_]+","message":"[^"]+"},"request_id":"req_%x+"}\n\n$',
            answer.body)
          assert.is_nil(answer.body:find("event: message_stop", 1, true))
        end
        assert.matches("^upstream_", run:log_of(answer).error)
        answer = ways.chat_stream(run)
        if not case[2] or answer.status == 200 then
          assert.matches('"content":"some"', answer.body, 1, true)
          assert.matches('\n\ndata: {"error":{"message":"[^"]+","type":"[%w_]+","param":null,"code":null}}\n\n$', answer.body)
          assert.is_nil(answer.body:find("[DONE]", 1, true))
        end
        assert.matches("^upstream_", run:log_of(answer).error)
      end)

      it("a stream with " .. name .. " before its first event is 502", function()
        play({ (case[1]:gsub("%x+\r\nevent: message_start.-some\"}}\n\n\r\n", ""):gsub("event: message_start.*$", "")), case[2] })
        assert.equal(502, ways.messages_stream(run).status)
        assert.equal(502, ways.chat_stream(run).status)
      end)
    end
  end)

  it("the log has a line for each, with its code", function()
    faulty.assert_logged(run, codes)
  end)
end)
