local program = require("rt.program")
local sse = require("rt.sse")

local function drain(run)
  local names = {}
  while true do
    local name = run:next()
    if not name then
      return names
    end
    names[#names + 1] = name
  end
end

describe("rt.program", function()
  local spec = {
    rules = {
      {
        event = "delta",
        when = { { path = { "d", "type" }, equals = '"text"' }, { path = { "index" }, var = 2 } },
        emit = { "data: ", { var = 1 }, { raw = { "d", "text" } }, "\n\n" },
      },
      {
        event = "delta",
        when = { { path = { "d", "list", 2 }, is = "string" } },
        emit = { { raw = { "d", "list", 2 } } },
      },
      { event = "end", lift = { { path = { "usage", "n" }, slot = "n", kind = "integer" } }, wake = true },
      { event = "id", lift = { { path = { "id" }, slot = "id", kind = "string" } } },
      { event = "id2", lift = { { path = { "id" }, slot = "raw_id", kind = "raw" } } },
    },
    wake_on = { "id" },
  }

  it("writes what the first matching rule says, lifts, and hands over the rest", function()
    local run = program.new(spec):run()
    run:set(1, "<v>")
    run:set(2, "4")
    run:feed(sse.encode("delta", [[{"index":4,"d":{"type":"text","text":"a\u00e4"}}]]))
    assert.same({}, drain(run))
    assert.equal('data: <v>"a\\u00e4"\n\n', run:output())
    assert.equal("", run:output())
    run:set(2, "5")
    run:feed(sse.encode("delta", [[{"index":4,"d":{"type":"text","text":"b"}}]]) .. sse.encode("new", "?"))
    assert.same({ "delta", "new" }, drain(run))
    run:feed(sse.encode("delta", [[{"d":{"list":[1,"two"]}}]]) .. sse.encode("ping", "{}"))
    assert.same({}, drain(run))
    assert.equal('"two"', run:output())

    assert.is_nil(run:slot("n"))
    run:feed(sse.encode("end", [[{"usage":{"n":12}}]]) .. sse.encode("id", [[{"id":"\u00e4"}]]))
    assert.same({ "end", "id" }, drain(run))
    run:feed(sse.encode("id2", [[{"id":[1, 2]}]]))
    assert.same({}, drain(run))
    assert.equal(12, run:slot("n"))
    assert.equal("\195\164", run:slot("id"))
    assert.equal("[1, 2]", run:slot("raw_id"))
    run:feed(sse.encode("end", [[{"usage":{"n":null}}]]))
    drain(run)
    assert.equal(12, run:slot("n"))
    assert.same({ "n", "id", "raw_id" }, program.new(spec):slots())
  end)

  it("hands over what is no JSON, with its data", function()
    local run = program.new(spec):run()
    run:feed(sse.encode("delta", "{broken"))
    assert.same({ "delta", "{broken" }, { run:next() })
    assert.is_nil(run:next())
    assert.equal(1, run:bad_events())
    assert.equal("", run:output())
  end)

  it("lets a passing program lift but not write", function()
    local run = program
      .new({ pass = true, rules = { { event = "end", lift = { { path = { "n" }, slot = "n", kind = "integer" } } } } })
      :run()
    run:feed(sse.encode("other", "x") .. sse.encode("end", '{"n":3}'))
    assert.is_nil(run:next())
    assert.equal(3, run:slot("n"))
  end)

  it("stays whole when the text comes in pieces", function()
    local text = sse.encode("delta", '{"index":4,"d":{"type":"text","text":"f\195\188r"}}'):rep(3)
    local compiled = program.new(spec)
    for step = 1, #text do
      local run, output = compiled:run(), ""
      run:set(2, "4")
      for at = 1, #text, step do
        run:feed(text:sub(at, at + step - 1))
        assert.is_nil(run:next())
        output = output .. run:output()
      end
      assert.equal(('data: "f\195\188r"\n\n'):rep(3), output)
    end
  end)

  it("raises on specs that are wrong, and says where", function()
    local function rule(r)
      return { rules = { { event = "a" }, r } }
    end
    local wrong = {
      ["unknown field 'rule', known are"] = { rule = {} },
      ["'rules' must be a list"] = { rules = 1 },
      ["rule 2: unknown field 'emits'"] = rule({ event = "a", emits = {} }),
      ["rule 2: a rule must name its event"] = rule({}),
      ["rule 2: a condition must have one of"] = rule({ event = "a", when = { { path = { "x" } } } }),
      ["rule 2: equals must be the raw JSON"] = rule({ event = "a", when = { { path = { "x" }, equals = 1 } } }),
      ["rule 2: a path must be a list"] = rule({ event = "a", emit = { { raw = "x" } } }),
      ["rule 2: a path must have 1 to 16"] = rule({ event = "a", emit = { { raw = {} } } }),
      ["rule 2: a step of a path"] = rule({ event = "a", emit = { { raw = { 0 } } } }),
      ["rule 2: a variable must be"] = rule({ event = "a", emit = { { var = 33 } } }),
      ["rule 2: a piece of emit"] = rule({ event = "a", emit = { 1 } }),
      ["rule 2: the kind of a lift"] = rule({ event = "a", lift = { { path = { "x" }, slot = "s", kind = "int" } } }),
      ["rule 2: a lift must name"] = rule({ event = "a", lift = { { path = { "x" }, kind = "raw" } } }),
      ["cannot emit"] = { pass = true, rules = { { event = "a", emit = { "x" } } } },
      ["wake_on must be"] = { wake_on = { 1 } },
      ["two lifts into one slot"] = {
        rules = {
          {
            event = "a",
            lift = { { path = { "x" }, slot = "s", kind = "raw" }, { path = { "y" }, slot = "s", kind = "string" } },
          },
        },
      },
    }
    for message, bad in pairs(wrong) do
      local ok, raised = pcall(program.new, bad)
      assert.is_false(ok)
      assert.matches(message, raised, 1, true)
    end
    local run = program.new(spec):run()
    assert.has_error(function()
      run:slot("nothing")
    end)
    assert.has_error(function()
      run:set(0, "x")
    end)
    run:feed("x")
    assert.has_error(function()
      run:feed("y")
    end)
  end)
end)
