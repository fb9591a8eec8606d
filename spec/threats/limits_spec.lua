-- Upstreams that send too much, too slowly, or without end, and the limits that stop them. Numbers are the rows of the
-- threat list (README.md).
local between = require("spec.support.between")
local faulty = require("spec.support.faulty")
local time = require("rt.time")

local ways = faulty.WAYS
local chunk, BEGUN, STREAM_HEAD = faulty.chunk, faulty.BEGUN, faulty.STREAM_HEAD

local MEGABYTE = 1024 * 1024

-- What the gateway's own error event says of an error.
local function last_event(answer)
  return answer.body:match('event: error\ndata: {"type":"error","error":{"type":"([%w_]+)"[^\n]*\n\n$')
end

describe("threats, limits:", function()
  local run

  setup(function()
    run = between.start({
      config = [[
        timeouts = { first_byte_ms = 200, between_bytes_ms = 200, no_content_ms = 400, request_ms = 1000 },
        limits = { answer_bytes = 100000 },
        retry = { max_wait_ms = 10 },
      ]],
    })
  end)

  teardown(function()
    run:stop()
  end)

  describe("39 nothing comes:", function()
    it("no head: 504", function()
      run.answer = function() end
      for _, way in pairs(ways) do
        local answer = way(run)
        assert.equal(504, answer.status, answer.body)
        assert.equal("upstream_timeout", run:log_of(answer).error)
      end
    end)

    it("half a head: 504", function()
      run.answer = function(_, conn)
        conn:write("HTTP/1.1 200 OK\r\ncontent-")
      end
      assert.equal(504, ways.messages(run).status)
    end)

    it("half a document: 504", function()
      run.answer = function(_, conn)
        conn:write("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"id\":")
      end
      assert.equal(504, ways.messages(run).status)
      assert.equal(504, ways.chat(run).status)
    end)

    it("no event: 504", function()
      run.answer = function(_, conn)
        conn:write(STREAM_HEAD)
      end
      assert.equal(504, ways.messages_stream(run).status)
      assert.equal(504, ways.chat_stream(run).status)
    end)

    it("half a stream: an error event", function()
      run.answer = function(_, conn)
        conn:write(STREAM_HEAD .. chunk(BEGUN))
      end
      local answer = ways.messages_stream(run)
      assert.equal(BEGUN, answer.body:sub(1, #BEGUN))
      assert.equal("timeout_error", last_event(answer))
      assert.equal("upstream_timeout", run:log_of(answer).error)
      answer = ways.chat_stream(run)
      assert.matches('data: {"error":{"message":"[^"]+","type":"timeout","param":null,"code":"timeout"}}\n\n$', answer.body)
    end)
  end)

  describe("39 without end:", function()
    -- Says text every ten milliseconds until the gateway has enough of it.
    local function repeat_for_ever(head, text)
      local ended = false
      run.answer = function(_, conn)
        ended = false
        local ok = conn:write(STREAM_HEAD .. (head and chunk(head) or ""))
        while ok do
          time.sleep(10) -- the pace of the upstream; nothing waits for it
          ok = conn:write(chunk(text))
        end
        ended = true
      end
      return function()
        between.wait_until(function() return ended end)
      end
    end

    it("pings only, before the first event: 504", function()
      local has_ended = repeat_for_ever(nil, 'event: ping\ndata: {"type": "ping"}\n\n')
      for _, way in ipairs({ "messages_stream", "chat_stream" }) do
        assert.equal(504, ways[way](run).status)
        has_ended()
      end
    end)

    for name, text in pairs({ pings = 'event: ping\ndata: {"type": "ping"}\n\n', comments = ": still here\n\n" }) do
      it(name .. " only: an error event", function()
        local has_ended = repeat_for_ever(BEGUN, text)
        assert.equal("timeout_error", last_event(ways.messages_stream(run)))
        has_ended()
        assert.matches('"code":"timeout"}}\n\n$', ways.chat_stream(run).body)
        has_ended()
      end)
    end

    it("events: an error event when the request's time is over", function()
      local has_ended = repeat_for_ever(BEGUN, faulty.EVENTS[3])
      local answer = ways.messages_stream(run)
      assert.equal("timeout_error", last_event(answer))
      has_ended()
      assert.equal(200, run:log_of(answer).status)
      assert.matches('"code":"timeout"}}\n\n$', ways.chat_stream(run).body)
      has_ended()
    end)
  end)

  describe("38 too large:", function()
    -- Writes text until it is said or the gateway has enough; how much was taken.
    local function flood(head, piece, count, tail)
      local state = { taken = 0 }
      run.answer = function(_, conn)
        state.ended = false
        local ok = conn:write(head)
        for _ = 1, count do
          ok = ok and conn:write(piece)
          state.taken = state.taken + (ok and #piece or 0)
        end
        state.ended = true
        return ok and tail or nil
      end
      return state
    end
    local piece = ("x"):rep(65536)

    it("an event of 5 MB arrives", function()
      local event = 'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"'
      local rest = '"}}\n\n' .. table.concat(faulty.EVENTS, "", 4)
      local function play()
        flood(STREAM_HEAD .. chunk(BEGUN .. event), chunk(piece), 80, chunk(rest) .. "0\r\n\r\n")
      end
      play()
      local answer = ways.messages_stream(run)
      assert.equal(#BEGUN + #event + 80 * #piece + #rest, #answer.body)
      assert.equal(BEGUN .. event .. piece:rep(80) .. rest, answer.body)
      play()
      answer = ways.chat_stream(run)
      assert.matches('"content":"' .. piece:rep(80) .. '"', answer.body, 1, true)
      assert.matches("data: %[DONE%]\n\n$", answer.body)
    end)

    it("an endless line ends with an error, and the worker holds no more of it than an event may have", function()
      for _, way in ipairs({ "messages_stream", "chat_stream" }) do
        local state = flood(STREAM_HEAD .. chunk(BEGUN .. "data: "), chunk(piece), 4096)
        local answer = ways[way](run)
        between.wait_until(function() return state.ended end)
        assert.matches('"error":{', answer.body:sub(-300), 1, true)
        assert.equal("upstream_bad_response", run:log_of(answer).error)
        assert.is_true(state.taken < 32 * MEGABYTE, state.taken .. " bytes were taken") -- 8 MB, and what sockets hold
      end
      local _, status = run:admin("GET", "/status")
      assert.is_true(status.workers[1].memory_bytes < 150 * MEGABYTE, status.workers[1].memory_bytes .. " bytes")
    end)

    it("an endless first event is 502", function()
      local state = flood(STREAM_HEAD .. chunk("data: "), chunk(piece), 4096)
      assert.equal(502, ways.messages_stream(run).status)
      between.wait_until(function() return state.ended end)
      assert.is_true(state.taken < 32 * MEGABYTE, state.taken .. " bytes were taken")
    end)

    for name, head in pairs({
      ["with a length"] = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 268435456\r\n\r\n",
      ["without one"] = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n",
    }) do
      it("an endless document, " .. name .. ", is 502", function()
        local state = flood(head, piece, 4096)
        local answer = ways.messages(run)
        assert.equal(502, answer.status)
        between.wait_until(function() return state.ended end)
        assert.equal("upstream_bad_response", run:log_of(answer).error)
        assert.is_true(state.taken < 32 * MEGABYTE, state.taken .. " bytes were taken")
      end)
    end

    it("an endless error is read as far as anybody wants to see it", function()
      local state = flood("HTTP/1.1 400 X\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n", piece, 4096)
      assert.equal(400, ways.messages(run).status)
      between.wait_until(function() return state.ended end)
      assert.is_true(state.taken < 32 * MEGABYTE, state.taken .. " bytes were taken")
    end)
  end)
end)
