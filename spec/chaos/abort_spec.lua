-- A client that goes in mid-stream ends the upstream's work at once, because that work is paid for. What must hold needs no
-- clock: the upstream, which writes nothing more, hears the end of its connection, and the request is logged as the client's
-- doing. The time between the two is printed, because it is promised: 100 ms at most.
local between = require("spec.support.between")
local eventually = require("spec.support.eventually")
local faulty = require("spec.support.faulty")
local http = require("spec.support.http")
local mailbox = require("rt.mailbox")
local time = require("rt.time")

local TRIES = 50

describe("a client that aborts a stream", function()
  local run, upstream_heard

  setup(function()
    upstream_heard = mailbox.new()
    run = between.start({
      answer = function(_, conn)
        assert(conn:write(faulty.STREAM_HEAD .. faulty.chunk(faulty.BEGUN)))
        local data = conn.raw:read()
        upstream_heard:put({ data = data, at_ms = time.monotonic_ms() })
      end,
    })
  end)

  teardown(function()
    run:stop()
  end)

  for _, way in ipairs({ "close", "reset" }) do
    it("by " .. way .. " closes the upstream's connection", function()
      local gaps, logged = {}, #run:log("request")
      for i = 1, TRIES do
        local conn = http.connect(run.port)
        conn:write(between.post("/v1/messages", faulty.ASK_STREAM))
        assert.truthy(http.read_until(conn, "event: message_start"):find("^HTTP/1.1 200 "))
        local gone_at_ms = time.monotonic_ms()
        conn[way](conn)
        local heard = upstream_heard:take()
        assert.is_nil(heard.data)
        gaps[i] = heard.at_ms - gone_at_ms
      end
      eventually.is(function()
        return #run:log("request") == logged + TRIES
      end)
      for _, line in ipairs(run:log("request")) do
        assert.equal("client_closed", line.error)
      end
      assert.equal(0, upstream_heard:size())
      table.sort(gaps)
      io.stdout:write(("    client gone by %s -> upstream closed: %.2f ms (median of %d), %.2f ms (worst); promised 100 ms\n"):format(
        way, (gaps[TRIES / 2] + gaps[TRIES / 2 + 1]) / 2, TRIES, gaps[TRIES]))
    end)
  end
end)
