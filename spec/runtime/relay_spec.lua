local eventually = require("spec.support.eventually")
local mailbox = require("rt.mailbox")
local program = require("rt.program")
local relay = require("rt.relay")
local sse = require("rt.sse")
local stream_gateway = require("spec.support.stream_gateway")
local task = require("rt.task")
local time = require("rt.time")

local chunk = stream_gateway.chunk

local translate = program.new({
  rules = {
    {
      event = "delta",
      when = { { path = { "type" }, equals = '"text"' } },
      emit = { "data: ", { var = 1 }, { raw = { "text" } }, "\n\n" },
    },
    {
      event = "delta",
      when = { { path = { "type" }, equals = '"tool"' }, { path = { "index" }, var = 2 } },
      emit = { "tool ", { raw = { "text" } }, "\n\n" },
    },
    { event = "usage", lift = { { path = { "n" }, slot = "n", kind = "integer" } } },
    { event = "ping" },
  },
})

local tap = program.new({
  pass = true,
  rules = {
    { event = "start", lift = { { path = { "id" }, slot = "id", kind = "string" } } },
    { event = "usage", lift = { { path = { "n" }, slot = "n", kind = "integer" } } },
  },
  wake_on = { "stop" },
})

local function text(value)
  return sse.encode("delta", ('{"type":"text","text":"%s"}'):format(value))
end

--- Passes everything on and finishes; what next() told is noted in `seen`.
local function pass_all(seen)
  return function(req, call)
    local r = assert(relay.new(req, call, tap))
    req:start(200, { "content-type", "text/event-stream" })
    while true do
      local what, name, data = r:next()
      seen[#seen + 1] = what and (name or what) or name.code
      if what == "event" then
        seen.data = data
      else
        seen.id, seen.n, seen.message = r:slot("id"), r:slot("n"), name and name.message
        if what == "end" then
          req:finish()
        else
          req:abort()
        end
        return
      end
    end
  end
end

--- One request to an upstream that can be silent: silence() returns when the client has seen `count` keep-alives.
local function silent_until(count, script, handle)
  local enough = mailbox.new()
  local gateway = stream_gateway.start(function(conn)
    script(conn, function()
      enough:take()
    end)
  end, handle)
  local conn = stream_gateway.ask(gateway.port)
  local is_told = false
  local body = stream_gateway.read_answer(conn, function(so_far)
    if not is_told and select(2, so_far:gsub(": ping\n\n", "")) >= count then
      is_told = true
      enough:put(true)
    end
    return false
  end)
  conn:close()
  gateway.close()
  return body
end

describe("rt.relay", function()
  it("translates in C, and hands what no rule takes to the task, in order", function()
    local seen = {}
    local body, is_whole = stream_gateway.roundtrip(function(conn)
      conn:write(
        stream_gateway.STREAM_HEAD
          .. chunk(sse.encode("start", "{}") .. text("a") .. sse.encode("ping", "{}"))
          .. chunk(text("b") .. sse.encode("block", '{"index":3}') .. sse.encode("delta", '{"type":"tool","index":3,"text":1}'))
      )
      conn:write(
        chunk(sse.encode("delta", '{"type":"tool","index":4,"text":2}') .. sse.encode("usage", '{"n":7}') .. text("c"))
          .. stream_gateway.LAST_CHUNK
      )
    end, function(req, call)
      local r = assert(relay.new(req, call, translate))
      local first, data = r:first()
      assert.same({ "start", "{}" }, { first, data })
      req:start(200, { "content-type", "text/event-stream" })
      r:set(1, "<1>")
      while true do
        local what, name, event_data = r:next()
        seen[#seen + 1] = name or what
        if what == "end" then
          break
        elseif name == "start" then
          r:emit("role\n\n")
        elseif name == "block" then
          r:set(1, "<2>")
          r:set(2, event_data:match("%d+"))
        end
      end
      seen.n = r:slot("n")
      r:emit("done\n\n")
      req:finish()
    end)
    assert.is_true(is_whole)
    assert.equal('role\n\ndata: <1>"a"\n\ndata: <1>"b"\n\ntool 1\n\ndata: <2>"c"\n\ndone\n\n', body)
    assert.same({ "start", "block", "delta", "end", n = 7 }, seen)
  end)

  it("passes bytes on as they came, however they are cut, and lifts on the way", function()
    local stream = "\239\187\191: hi\r\nevent: start\r\ndata: {\"id\":\"m\195\164\"}\r\n\r\n"
      .. "event:usage\rdata:{\"n\":1}\r\r"
      .. text("\240\159\152\128 x")
      .. ": comment\n\nevent: new\nid: 4\nretry: 3\ndata: a\ndata: b\n\n"
      .. sse.encode("usage", '{"n":25}')
      .. sse.encode("stop", "{}")
    for _, step in ipairs({ 1, 2, 3, 7, 50, 1000 }) do
      local seen = {}
      local body, is_whole = stream_gateway.roundtrip(function(conn)
        conn:write(stream_gateway.STREAM_HEAD)
        for at = 1, #stream, step do
          conn:write(chunk(stream:sub(at, at + step - 1)))
        end
        conn:write(stream_gateway.LAST_CHUNK)
      end, pass_all(seen))
      assert.equal(stream, body)
      assert.is_true(is_whole)
      assert.same({ "stop", "end", id = "m\195\164", n = 25, data = "{}" }, {
        seen[1],
        seen[2],
        id = seen.id,
        n = seen.n,
        data = seen.data,
      })
    end
  end)

  it("forwards nothing while first() waits, and everything after it", function()
    local head = ": hi\n\n" .. sse.encode("ping", "{}")
    local sent_before
    local body = stream_gateway.roundtrip(function(conn)
      conn:write(stream_gateway.STREAM_HEAD .. chunk(head))
      eventually.turns()
      conn:write(chunk("event: sta"))
      eventually.turns()
      conn:write(chunk("rt\ndata: {\"id\":\"m\"}\n\n" .. text("a")))
      eventually.turns()
      conn:write(chunk(text("b")) .. stream_gateway.LAST_CHUNK)
    end, function(req, call)
      local r = assert(relay.new(req, call, tap))
      assert.equal("start", (r:first()))
      assert.equal("start", (r:first()))
      assert.is_nil(r:slot("id"))
      sent_before = req:bytes_out()
      eventually.turns(50) -- the task does something else: what comes meanwhile is kept
      req:start(200, {})
      assert.equal("end", (r:next()))
      assert.equal("m", r:slot("id"))
      req:finish()
    end)
    assert.equal(0, sent_before)
    assert.equal(head .. sse.encode("start", '{"id":"m"}') .. text("a") .. text("b"), body)
  end)

  it("tells of an error as first event, so that another upstream can be asked", function()
    local body, _, head = stream_gateway.roundtrip(function(conn)
      conn:write(stream_gateway.STREAM_HEAD .. chunk(sse.encode("error", '{"error":{"type":"overloaded_error"}}')))
      conn:read()
    end, function(req, call)
      local r = assert(relay.new(req, call, tap))
      local name, data = r:first()
      r:close()
      local what, err = r:next()
      assert.is_nil(what)
      assert.equal("closed", err.code)
      req:respond(529, {}, name .. data)
    end)
    assert.matches("^HTTP/1.1 529 ", head)
    assert.equal('error{"error":{"type":"overloaded_error"}}', body)
  end)

  it("tells when the stream has no event at all", function()
    local seen
    stream_gateway.roundtrip(function(conn)
      conn:write(stream_gateway.STREAM_HEAD .. chunk(": nothing\n\n") .. stream_gateway.LAST_CHUNK)
    end, function(req, call)
      local r = assert(relay.new(req, call, tap))
      local name, err = r:first()
      seen = { name or "none", err.code }
      req:respond(502, {}, "")
    end)
    assert.same({ "none", "truncated" }, seen)
  end)

  it("tells when the stream ends inside an event, though the body ended cleanly", function()
    local seen = {}
    local _, is_whole = stream_gateway.roundtrip(function(conn)
      conn:write(stream_gateway.STREAM_HEAD .. chunk(text("a") .. "data: no end") .. stream_gateway.LAST_CHUNK)
    end, pass_all(seen))
    assert.is_false(is_whole)
    assert.equal("truncated", seen[1])
  end)

  it("delivers what came before a reset, and then says that it broke", function()
    local seen, has_arrived = {}, mailbox.new()
    local want = sse.encode("start", '{"id":"m"}') .. text("a")
    local gateway = stream_gateway.start(function(conn)
      conn:write(stream_gateway.STREAM_HEAD .. chunk(want))
      has_arrived:take()
      conn:reset()
    end, pass_all(seen))
    local conn = stream_gateway.ask(gateway.port)
    local body, is_whole = stream_gateway.read_answer(conn, function(so_far)
      if so_far == want then
        has_arrived:put(true)
      end
      return false
    end)
    conn:close()
    gateway.close()
    assert.is_false(is_whole)
    assert.equal(want, body)
    assert.equal("m", seen.id)
    assert.is_true(seen[1] == "reset" or seen[1] == "truncated", seen[1])
  end)

  it("refuses an event above 8 MB, with bounded memory", function()
    local seen = {}
    stream_gateway.roundtrip(function(conn)
      conn:write(stream_gateway.STREAM_HEAD .. chunk("event: delta\ndata: "))
      local line = chunk(("x"):rep(65536))
      for _ = 1, 140 do
        if not conn:write(line) then
          return
        end
      end
    end, function(req, call)
      local r = assert(relay.new(req, call, translate))
      req:start(200, {})
      local what, err = r:next()
      seen = { what or "none", err.code }
      req:abort()
    end)
    assert.same({ "none", "too_large" }, seen)
  end)

  it("pauses the upstream while the client does not read, and loses nothing", function()
    local EVENTS = 4000
    local event = text(("x"):rep(4000))
    local sent = 0
    local gateway = stream_gateway.start(function(conn)
      conn:write(stream_gateway.STREAM_HEAD)
      for _ = 1, EVENTS do
        conn:write(chunk(event))
        sent = sent + 1
      end
      conn:write(stream_gateway.LAST_CHUNK)
    end, pass_all({}))
    local conn = stream_gateway.ask(gateway.port)
    eventually.is(function()
      return sent > 0
    end)
    assert.is_true(eventually.still(function()
      return sent
    end) < EVENTS * 0.9, "the upstream was not held up")
    local body, is_whole = stream_gateway.read_answer(conn, nil)
    conn:close()
    gateway.close()
    assert.is_true(is_whole)
    assert.equal(EVENTS * #event, #body)
    assert.is_true(body == event:rep(EVENTS))
  end)

  it("closes the upstream when the client goes away", function()
    local upstream_heard = mailbox.new()
    local gateway = stream_gateway.start(function(conn)
      conn:write(stream_gateway.STREAM_HEAD .. chunk(text("a")))
      upstream_heard:put(conn:read() or "end") -- it writes nothing that could tell the gateway that the client has gone
    end, pass_all({}))
    local conn = stream_gateway.ask(gateway.port)
    stream_gateway.read_answer(conn, function(body)
      return #body > 0
    end)
    conn:close()
    assert.equal("end", upstream_heard:take())
    gateway.close()
  end)

  it("keeps the client alive while the upstream is silent", function()
    local body = silent_until(2, function(conn, silence)
      conn:write(stream_gateway.STREAM_HEAD .. chunk(text("a") .. "event: de"))
      silence()
      conn:write(chunk('lta\ndata: {"type":"text","text":"b"}\n\n') .. stream_gateway.LAST_CHUNK)
    end, function(req, call)
      local r = assert(relay.new(req, call, translate))
      r:ping_every(50, ": ping\n\n")
      req:start(200, {})
      assert.equal("end", (r:next()))
      req:finish()
    end)
    assert.matches('^data: "a"\n\n: ping\n\n', body)
    assert.matches(': ping\n\ndata: "b"\n\n$', body)
  end)

  it("never puts a keep-alive into the middle of a passed event", function()
    local function handle(req, call)
      local r = assert(relay.new(req, call, tap))
      r:ping_every(50, ": ping\n\n")
      req:start(200, {})
      assert.equal("end", (r:next()))
      req:finish()
    end
    local body = silent_until(1, function(conn, silence)
      conn:write(stream_gateway.STREAM_HEAD .. chunk(text("a") .. "event: de"))
      silent_until(3, function(other, other_silence) -- another stream, as silent but between events, is kept alive meanwhile
        other:write(stream_gateway.STREAM_HEAD .. chunk(text("b")))
        other_silence()
        other:write(stream_gateway.LAST_CHUNK)
      end, handle)
      conn:write(chunk("lta\ndata: x\n\n"))
      silence()
      conn:write(chunk(text("c")) .. stream_gateway.LAST_CHUNK)
    end, handle)
    assert.equal(text("a") .. "event: delta\ndata: x\n\n" .. text("c"), (body:gsub(": ping\n\n", "")))
    assert.matches("event: delta\ndata: x\n\n: ping\n\n", body, 1, true)
  end)

  it("gives up a stream of nothing but keep-alives", function()
    local code
    stream_gateway.roundtrip(function(conn)
      conn:write(stream_gateway.STREAM_HEAD)
      while conn:write(chunk(sse.encode("ping", "{}"))) do
        time.sleep(20) -- the pace of the upstream; nothing waits for it
      end
    end, function(req, call)
      local r = assert(relay.new(req, call, tap))
      r:no_content_after(150)
      local name, err = r:first()
      assert.is_nil(name)
      code = err.code
      req:respond(504, {}, "")
    end)
    assert.equal("timeout", code)
  end)

  it("raises where the order of calls is wrong", function()
    stream_gateway.roundtrip(function(conn)
      conn:write(stream_gateway.STREAM_HEAD .. chunk(text("a")) .. stream_gateway.LAST_CHUNK)
    end, function(req, call)
      local r = assert(relay.new(req, call, translate))
      assert.has_error(function()
        r:next()
      end)
      assert.has_error(function()
        r:slot("nothing")
      end)
      assert.has_error(function()
        r:set(99, "x")
      end)
      req:start(200, {})
      assert.equal("end", (r:next()))
      assert.equal("end", (r:next()))
      req:finish()
      local ok, err = r:emit("late")
      assert.is_nil(ok)
      assert.is_string(err.code)
    end)
  end)

  it("stays alive through many streams at once", function()
    local STREAMS, EVENTS = 20, 30
    local gateway = stream_gateway.start(function(conn)
      conn:write(stream_gateway.STREAM_HEAD)
      for i = 1, EVENTS do
        conn:write(chunk(text(i) .. sse.encode("unknown", "{}")))
        eventually.turns(1)
      end
      conn:write(stream_gateway.LAST_CHUNK)
    end, function(req, call)
      local r = assert(relay.new(req, call, translate))
      req:start(200, {})
      local unknown = 0
      while r:next() == "event" do
        unknown = unknown + 1
      end
      r:emit(tostring(unknown))
      req:finish()
    end)
    local want = {}
    for i = 1, EVENTS do
      want[i] = ('data: "%d"\n\n'):format(i)
    end
    local tasks = {}
    for i = 1, STREAMS do
      tasks[i] = task.spawn(function()
        local conn = stream_gateway.ask(gateway.port)
        local body = stream_gateway.read_answer(conn)
        conn:close()
        return body
      end)
    end
    for i = 1, STREAMS do
      local ok, body = tasks[i]:join()
      assert.is_true(ok)
      assert.equal(table.concat(want) .. EVENTS, body)
    end
    gateway.close()
  end)

  describe("copy", function()
    it("moves any body with back-pressure and counts it", function()
      local body = ("\0\255binary\r\n"):rep(200000)
      local bytes
      local got, is_whole = stream_gateway.roundtrip(function(conn)
        conn:write(("HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n"):format(#body))
        conn:write(body)
      end, function(req, call)
        req:start(200, {})
        bytes = assert(relay.copy(req, call))
        req:finish()
      end)
      assert.is_true(is_whole)
      assert.equal(#body, bytes)
      assert.is_true(got == body)
    end)

    it("tells when the body breaks off", function()
      local code
      local _, is_whole = stream_gateway.roundtrip(function(conn)
        conn:write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort")
      end, function(req, call)
        req:start(200, {})
        local bytes, err = relay.copy(req, call)
        assert.is_nil(bytes)
        code = err.code
        req:abort()
      end)
      assert.is_false(is_whole)
      assert.is_string(code)
    end)
  end)
end)
