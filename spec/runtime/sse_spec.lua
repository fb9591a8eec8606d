local sse = require("rt.sse")

describe("rt.sse", function()
  it("reads events from pieces of any size", function()
    local text = ": hello\r\nevent: a\r\ndata: f\195\188r\r\ndata: two\r\n\r\ndata:x\n\nid: 7\nretry: 10\ndata\n\n"
    for step = 1, #text do
      local reader, events = sse.reader(), {}
      for at = 1, #text, step do
        for _, event in ipairs(assert(reader:feed(text:sub(at, at + step - 1)))) do
          events[#events + 1] = event
        end
      end
      assert.same({
        { name = "a", data = "f\195\188r\ntwo" },
        { name = "message", data = "x" },
        { name = "message", data = "", id = "7", retry_ms = 10 },
      }, events)
      assert.is_true(reader:finish())
    end
  end)

  it("tells when the stream ends inside an event, and reads another one then", function()
    local reader = sse.reader()
    assert.same({}, reader:feed("data: x\n"))
    local ok, err = reader:finish()
    assert.is_nil(ok)
    assert.equal("truncated", err.code)
    assert.equal("y", reader:feed("data: y\n\n")[1].data)
  end)

  it("refuses an event above the limit", function()
    local reader = sse.reader(100)
    local events, err = reader:feed("data: " .. ("x"):rep(100) .. "\n\n")
    assert.is_nil(events)
    assert.equal("too_large", err.code)
    assert.has_error(function()
      sse.reader(0)
    end)
  end)

  it("writes frames that it reads back", function()
    assert.equal("event: a\ndata: {}\n\n", sse.encode("a", "{}"))
    assert.equal("data: 1\ndata: 2\ndata: 3\n\n", sse.encode(nil, "1\n2\r3"))
    assert.equal("1\n2\n3", sse.reader():feed(sse.encode("x", "1\r\n2\n3"))[1].data)
    assert.has_error(function()
      sse.encode("a\nb", "")
    end)
  end)
end)
