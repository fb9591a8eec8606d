local json = require("gate.json")

local function parse(text, limits)
  return assert(json.parse(text, limits))
end

local CHAT = [[{"model":"claude-x", "stream" : true,"temperature":0.7,"metadata":{"user_id":"u"},
  "messages":[{"role":"user","content":"h\u00e9"},{"role":"assistant","content":[]}],
  "id":9007199254740993,"none":null}]]

describe("gate.json", function()
  describe("reading", function()
    it("decodes leaves and leaves the rest alone", function()
      local doc = parse(CHAT)
      assert.equal("claude-x", doc:get("model"))
      assert.is_true(doc:get("stream"))
      assert.equal(0.7, doc:get("temperature"))
      assert.equal("u", doc:get("metadata", "user_id"))
      assert.equal("hé", doc:get("messages", 1, "content"))
      assert.equal(json.null, doc:get("none"))
      assert.is_nil(doc:get("absent"))
      assert.is_nil(doc:get("messages", 3))
      assert.is_nil(doc:get("model", "x"))
      assert.is_nil(doc:get("messages", 1, "role", 1))
      assert.equal(CHAT, doc:bytes())
      assert.equal(#CHAT, doc:size())
      assert.equal([["h\u00e9"]], doc:raw("messages", 1, "content"))
      assert.equal("[]", doc:raw("messages", 2, "content"))
      assert.is_nil(doc:raw("messages", 9))
      assert.equal("array", doc:type("messages"))
      assert.equal("null", doc:type("none"))
      assert.is_nil(doc:type("absent"))
      doc:free()
    end)

    it("keeps numbers that no double holds as text", function()
      local doc = parse(CHAT)
      local id = doc:get("id")
      assert.is_true(json.is_number(id))
      assert.equal("9007199254740993", tostring(id))
      assert.is_false(json.is_number(doc:get("temperature")))
      doc:set("copy", id)
      assert.equal("9007199254740993", doc:raw("copy"))
      assert.equal(json.number("1.00"), json.number("1.00"))
      assert.equal("1.00", json.encode(json.number("1.00")))
      assert.has_error(function() json.number("01") end, "json.number: 01 is not a number as JSON writes it")
      assert.has_error(function() json.number(" 1") end)
    end)

    it("gives nodes for containers", function()
      local doc = parse(CHAT)
      local messages = doc:get("messages")
      assert.is_true(json.is_node(messages))
      assert.is_false(json.is_node(doc))
      assert.is_false(json.is_node(json.null))
      assert.is_true(json.is_document(doc))
      assert.equal(2, #messages)
      assert.equal("array", messages:type())
      assert.equal("user", messages:get(1, "role"))
      assert.equal(0, #messages:get(2, "content"))
      assert.equal(7, #doc:get())
      assert.same({ 2, 2, 7 }, { doc:count("messages"), messages:count(1), doc:count() })
      assert.is_nil(doc:count("model") or doc:count("absent") or messages:count(9))
      assert.same({ "user", "assistant" }, { messages:get(1):get("role"), messages:get(2):get("role") })
      assert.equal("string", messages:type(1, "content"))
    end)

    it("walks in document order", function()
      local doc = parse([[{"z":1,"a":{"x":null},"m":[3,"s",false]}]])
      local seen = {}
      for key, value in json.pairs(doc) do
        seen[#seen + 1] = key .. "=" .. tostring(json.is_node(value) and value:raw() or value)
      end
      assert.same({ "z=1", [[a={"x":null}]], 'm=[3,"s",false]' }, seen)
      seen = {}
      for key in json.keys(doc) do
        seen[#seen + 1] = key
      end
      assert.same({ "z", "a", "m" }, seen)
      seen = {}
      for i, value in json.ipairs(doc:get("m")) do
        seen[i] = value
      end
      assert.same({ 3, "s", false }, seen)
      for _ in json.ipairs(parse("[]"):get()) do
        error("an empty array has no element")
      end
      assert.has_error(function() json.ipairs(doc) end, "json.ipairs: an array node is expected")
      assert.has_error(function() json.pairs({}) end, "json.pairs: an object node is expected")
      assert.has_error(function() json.keys({}) end, "json.keys: an object node is expected")
    end)

    it("sees edits made while walking", function()
      local doc = parse([[{"m":[{"a":1},{"a":2},{"a":3}]}]])
      local seen = {}
      for i, m in json.ipairs(doc:get("m")) do
        doc:set("m", i, "b", i * 10)
        seen[i] = m:get("b")
      end
      assert.same({ 10, 20, 30 }, seen)
      assert.equal([[{"m":[{"a":1,"b":10},{"a":2,"b":20},{"a":3,"b":30}]}]], doc:bytes())
    end)

    it("reads a long string by its head only", function()
      local doc = parse('{"u":"data:image/png;base64,' .. ("A"):rep(10000) .. '","e":"a\\n\\u00e9b"}')
      local node = doc:node("u")
      assert.equal("string", node:type())
      assert.equal("data:image/png;base64,", node:prefix(22))
      assert.equal(10024, node:size())
      assert.equal("a\n", doc:node("e"):prefix(3))
      assert.equal("a\né", doc:node("e"):prefix(4))
      assert.is_nil(doc:node():prefix(4))
      assert.is_nil(doc:node("absent"))
      assert.has_error(function() return #node end, "json: only an array or an object has a length")
    end)

    it("copies into plain tables, and back without loss of form", function()
      local text = '{"a":[],"b":{},"c":[1,[],{"x":[null,true]}],"d":"x","n":12345678901234567890}'
      local doc = parse(text)
      local copy = doc:table()
      assert.equal(1, copy.c[1])
      assert.equal(json.null, copy.c[3].x[1])
      assert.equal("12345678901234567890", tostring(copy.n))
      assert.equal(text, json.encode(copy))
      assert.same({ 1 }, parse("[[1],2]"):table(1))
      assert.is_nil(doc:table("absent"))
      assert.same({ a = 1 }, json.decode('{"a":1}'))
      assert.equal("[]", json.encode(json.decode("[]")))
      assert.equal(5, json.decode("5"))
    end)
  end)

  describe("refusals", function()
    it("say what and where", function()
      local doc, err = json.parse('{"a":1,"a":2}')
      assert.is_nil(doc)
      assert.same({ code = "bad_json", message = "invalid JSON at byte 7: duplicate key", offset = 7 }, err)
      assert.equal("bad_json", select(2, json.decode("[1,]")).code)
      assert.equal(0, select(2, json.parse("")).offset)
      assert.equal(64, select(2, json.parse(("["):rep(65) .. ("]"):rep(65))).offset)
    end)

    it("follow the limits", function()
      assert.is_nil(json.parse("[[[]]]", { max_depth = 2 }))
      assert.is_truthy(json.parse("[[[]]]", { max_depth = 3 }))
      assert.is_nil(json.parse("[1,2,3]", { max_bytes = 6 }))
      assert.is_nil(json.parse("[1,2,3]", { max_nodes = 3 }))
      assert.is_truthy(json.parse("[1,2,3]"))
    end)

    it("are raised for what is wrong in the program", function()
      local doc = parse('{"a":[1],"s":"x"}')
      assert.has_error(function() doc:set("a", "k", 1) end, "json: set a.k: step 2 does not fit the document")
      assert.has_error(function() doc:set("a", 3, 1) end, "json: set a.3: step 2 does not fit the document")
      assert.has_error(function() doc:insert("a", 3, 1) end, "json: insert a.3: step 2 does not fit the document")
      assert.has_error(function() doc:insert("s", 1) end)
      assert.has_error(function() doc:get("a", 0) end,
        "json: step 2 of the path is 0; keys and positions from 1 are expected")
      assert.has_error(function() doc:get("a", 1.5) end)
      assert.has_error(function() doc:get(nil) end)
      assert.has_error(function() doc:get("a", nil) end)
      assert.has_error(function() doc:set("a", nil) end,
        "json: nil where a value is needed (json.null stands for null)")
      assert.has_error(function() doc:set("a", "x\255") end, "json: invalid UTF-8")
      assert.has_error(function() doc:set("a", 0 / 0) end, "json: number is not finite")
      assert.has_error(function() doc:set("a", json.raw("[1,")) end)
      assert.has_error(function() return doc.model end,
        'json: a document has no field "model"; members of the JSON are read with get')
      assert.has_error(function() doc.model = 1 end)
      assert.has_error(function() doc:node().id = 1 end)
      assert.equal('{"a":[1],"s":"x"}', doc:bytes())
    end)

    it("name the line of the caller", function()
      local doc = parse("{}")
      local _, message = pcall(function() doc:set("a", 1, 1) end)
      assert.matches("json_spec.lua:%d+: json: set", message)
      _, message = pcall(function() doc:set("a", print) end)
      assert.matches("json_spec.lua:%d+: json: no form for a function", message)
      for _, use in ipairs({
        function() doc:get(true) end, function() doc:get("a", "b", "c", 0) end, function() doc:raw(0) end,
        function() doc:node(0) end, function() doc:set(0, 1) end, function() doc:remove(0) end,
        function() doc:node():get(0) end, function() doc:node():type(0) end, function() doc:table(0) end,
      }) do
        _, message = pcall(function() use() end)
        assert.matches("^spec/gate/json_spec.lua:%d+: json: step %d of", message)
      end
      doc:free()
      for _, use in ipairs({
        function() doc:get("a") end, function() doc:raw("a") end, function() doc:set("a", 1) end,
        function() doc:fork() end, function() doc:table() end, function() doc:bytes() end,
      }) do
        _, message = pcall(function() use() end)
        assert.matches("^spec/gate/json_spec.lua:%d+: json: the document was freed", message)
      end
    end)
  end)

  describe("editing", function()
    it("changes what is named and nothing else", function()
      local doc = parse(CHAT)
      doc:set("model", "other")
      doc:set("max_tokens", 100)
      doc:set("thinking", json.object({ { "type", "enabled" }, { "budget_tokens", 1024 } }))
      doc:set("metadata", "deep", "er", true)
      doc:insert("messages", 1, { role = "system", content = json.array({}) })
      doc:set("messages", 4, json.raw('{ "x" : 1 }'))
      assert.is_true(doc:remove("temperature"))
      assert.is_false(doc:remove("temperature"))
      assert.is_false(doc:remove("model", "x"))
      assert.equal("other", doc:get("model"))
      assert.equal(1024, doc:get("thinking", "budget_tokens"))
      assert.equal("system", doc:get("messages", 1, "role"))
      doc:set("thinking", "budget_tokens", 2048)
      assert.equal([[{"model":"other", "stream" : true,"metadata":{"user_id":"u","deep":{"er":true}},
  "messages":[{"content":[],"role":"system"},{"role":"user","content":"h\u00e9"},{"role":"assistant","content":[]},]] ..
        "{ \"x\" : 1 }],\n  " .. [["id":9007199254740993,"none":null,"max_tokens":100,]] ..
        [["thinking":{"type":"enabled","budget_tokens":2048}}]], doc:bytes())
      assert.equal(#doc:bytes(), doc:size())
    end)

    it("takes nodes and documents as values", function()
      local doc, other = parse(CHAT), parse("{}")
      other:set("first", doc:get("messages", 1))
      other:set("all", doc)
      other:set("list", { doc:get("messages", 2), other:get("first") })
      assert.equal([[{"role":"user","content":"h\u00e9"}]], other:raw("first"))
      assert.equal(CHAT, other:raw("all"))
      assert.equal([=[[{"role":"assistant","content":[]},{"role":"user","content":"h\u00e9"}]]=], other:raw("list"))
      other:set("self", other)
      assert.equal(other:raw("list"), other:raw("self", "list"))
      other:set({ 1 })
      assert.equal("[1]", other:bytes())
    end)

    it("forks with edits of its own", function()
      local doc = parse(CHAT)
      local early = doc:fork()
      doc:set("model", "two")
      local late = doc:fork()
      late:set("metadata", "user_id", "v")
      doc:set("model", "three")
      assert.same({ "claude-x", "three", "two" }, { early:get("model"), doc:get("model"), late:get("model") })
      assert.same({ "u", "u", "v" },
        { early:get("metadata", "user_id"), doc:get("metadata", "user_id"), late:get("metadata", "user_id") })
      assert.equal(CHAT, early:bytes())
      doc:free()
      assert.equal("two", late:get("model"))
    end)

    it("keeps a node's view up to date", function()
      local doc = parse(CHAT)
      local messages = doc:get("messages")
      doc:set("messages", 1, "role", "developer")
      doc:remove("messages", 2)
      assert.equal("developer", messages:get(1, "role"))
      assert.equal(1, #messages)
      assert.equal([[{"role":"developer","content":"h\u00e9"}]], messages:raw(1))
    end)
  end)

  describe("lifetime", function()
    it("makes every use of a freed document raise", function()
      local doc = parse(CHAT)
      local node = doc:get("messages")
      local output = doc:output()
      doc:free()
      doc:free()
      local uses = {
        function() doc:get("model") end, function() doc:get() end, function() doc:raw() end,
        function() doc:raw("x") end,
        function() doc:set("model", "x") end, function() doc:set("model", 1) end, function() doc:remove("model") end,
        function() doc:insert("messages", 1, 1) end, function() doc:fork() end, function() doc:bytes() end,
        function() doc:output() end, function() doc:table() end, function() doc:type("model") end,
        function() doc:node("model") end, function() node:get(1) end, function() node:raw() end,
        function() return #node end, function() node:type() end, function() node:size() end,
        function() node:prefix(1) end, function() json.ipairs(node) end, function() json.encode(node) end,
        function() parse("{}"):set("x", node) end, function() parse("{}"):set("x", doc) end,
      }
      for i, use in ipairs(uses) do
        local ok, message = pcall(use)
        assert.is_false(ok, "use " .. i)
        assert.matches("document was freed", message, 1, true)
      end
      assert.is_truthy(output)
      local walked = pcall(function()
        local other = parse("[1,2,3]")
        for _ in json.ipairs(other:get()) do
          other:free()
        end
      end)
      assert.is_false(walked)
    end)

    it("keeps a document alive through its nodes", function()
      local nodes = {}
      for i = 1, 50 do
        nodes[i] = parse('{"a":[' .. i .. "]}"):get("a")
      end
      for _ = 1, 5 do
        collectgarbage()
      end
      for i = 1, 50 do
        assert.equal(i, nodes[i]:get(1))
      end
      local sum = 0
      for _, v in json.ipairs(parse("[1,2,3]"):get()) do
        collectgarbage()
        sum = sum + v
      end
      assert.equal(6, sum)
    end)
  end)

  describe("encode", function()
    it("is deterministic and exact", function()
      local t = { b = 1, a = { 1, "x", true, json.null }, ["ü"] = {}, e = json.array({}), [""] = 0.1 }
      assert.equal('{"":0.1,"a":[1,"x",true,null],"b":1,"e":[],"ü":{}}', json.encode(t))
      assert.equal('{"type":"object","required":["b","a"],"n":{}}',
        json.encode(json.object({ { "type", "object" }, { "required", { "b", "a" } }, { "n", json.object({}) } })))
      local numbers = {
        [0] = "0", [1] = "1", [-17] = "-17", [1e15] = "1000000000000000", [2 ^ 53] = "9007199254740992",
        [0.1] = "0.1", [0.30000000000000004] = "0.30000000000000004", [1e21] = "1e+21", [1e-7] = "1e-07",
        [1 / 3] = "0.3333333333333333", [5e-324] = "4.94065645841247e-324",
        [1.7976931348623157e308] = "1.7976931348623157e+308",
      }
      for number, text in pairs(numbers) do
        assert.equal(text, json.encode(number))
        assert.equal(number, json.decode(json.encode(number)) + 0)
      end
      assert.equal("-0", json.encode(-1 / (1 / 0)))
      assert.equal("9007199254740993", json.encode(9007199254740993LL))
      assert.equal("18446744073709551615", json.encode(18446744073709551615ULL))
      assert.equal([["\u0000\u001f\"\\/\b\f\n\r\t]] .. "\127é😀\"", json.encode("\0\31\"\\/\b\f\n\r\t\127é😀"))
      assert.equal('{"a":1}', json.encode(parse('{"a":1}')))
    end)

    it("refuses what JSON cannot say", function()
      local loop = {}
      loop[1] = loop
      for _, value in ipairs({
        1 / 0, -1 / 0, 0 / 0, print, coroutine.create(print), { 1, nil, 3 }, { 1, a = 2 }, { [0] = 1 }, { [1.5] = 1 },
        { [true] = 1 }, { a = print }, "\xff", { ["\xff"] = 1 }, loop,
        { [2] = 1 }, io.stdout,
      }) do
        assert.is_false(pcall(json.encode, value))
      end
      assert.is_false(pcall(json.encode))
      assert.has_error(function() json.encode(json.object({ { "a", 1 }, { "a", 2 } })) end, "json: duplicate key")
      assert.has_error(function() json.object({ a = 1 }) end,
        "json.object: member a is not { key, value } (json.null stands for null)")
      assert.has_error(function() json.raw("1,2") end, "json.raw: not JSON at byte 1: text goes on after the value")
      assert.has_error(function() json.raw("") end)
      assert.has_error(function() json.object({ { "a" } }) end)
      local marked = json.array({})
      marked.x = 1
      assert.is_false(pcall(json.encode, marked))
      assert.equal("[1]", json.encode({ 1 })) -- a failure leaves nothing behind
    end)
  end)

  describe("writer", function()
    it("splices nodes without copying them through Lua", function()
      local source = parse('{"u":"data:image/png;base64,QUJD","t":"\\u00e9","o":{ "x" : [] }}')
      local w = json.writer(100)
      w:open_object()
      w:key("data")
      w:node_text(source:node("u"), 22)
      w:key("t")
      w:open_string()
      w:text("a\n")
      w:node_text(source:node("t"))
      w:close_string()
      w:key("o")
      w:node(source:get("o"))
      w:key("c")
      w:copy(source, "o", "x")
      w:key("list")
      w:open_array()
      w:integer(-5)
      w:number(0.5)
      w:boolean(false)
      w:null()
      w:string("s")
      w:raw("[ 1 ]")
      w:value({ b = 1, a = json.null })
      w:close_array()
      w:close_object()
      local doc = w:document()
      assert.equal([[{"data":"QUJD","t":"a\n\u00e9","o":{ "x" : [] },"c":[],]] ..
        '"list":[-5,0.5,false,null,"s",[ 1 ],{"a":null,"b":1}]}',
        doc:bytes())
      assert.equal("a\né", doc:get("t"))
      doc:set("t", 1)
      assert.equal(1, doc:get("t"))
      w:string("again")
      assert.equal('"again"', w:finish())
    end)

    it("raises at the end for a call in the wrong place", function()
      local w = json.writer()
      w:open_object()
      w:string("no key")
      assert.has_error(function() w:document() end, "json: a value without a key")
      assert.has_error(function() w:document() end, "json: the value is not finished")
      assert.has_error(function() w:copy(parse("{}"), "a") end, "json: nothing to copy at this path")
      assert.has_error(function() w:value(print) end, "json: no form for a function")
      assert.has_error(function() w:integer(0.5) end, "json: not an integer: 0.5")
      w:integer(2)
      assert.equal("2", w:finish())
      w:open_object()
      for _ = 1, 2 do
        w:key("a")
        w:null()
      end
      w:close_object()
      local doc = w:document()
      assert.has_error(function() doc:get("a") end, "json: duplicate key")
    end)
  end)

  describe("members and rows", function()
    local kind = json.kind

    it("tell of an object by the numbers of known names", function()
      local members = json.members({ "a", "b", "c" }, { a = true, b = true })
      local doc = parse('{"b":[1],"\\u0061":"x","c":null,"d":2}')
      assert.is_true(members:read(doc))
      assert.equal(4, members.seen.count)
      assert.equal(2, members.seen.uncommon)
      assert.equal(kind.STRING, members.types[members.index.a])
      assert.equal(kind.NULL, members.types[members.index.c])
      assert.equal("x", members:get(doc, "a"))
      assert.equal(1, members:get(doc, "b"):get(1))
      assert.equal(-1, members.list[3].name)
      assert.equal("d", members:key(doc, 3))
      assert.equal(2, doc:at(members.list[3].value))
      assert.is_false(members:read(doc, members.ids[members.index.b]))
      assert.is_nil(members:get(doc, "a"))
      assert.equal(kind.ABSENT, members.types[members.index.a])
      doc:free()
      assert.has_error(function() members:read(doc) end, "json: the document was freed")
      assert.has_error(function() json.members({ "a", "a" }) end)
    end)

    it("tell of an array, however long", function()
      local rows = json.rows("role", { "user", "assistant" }, "content")
      local parts = {}
      for i = 1, 5000 do
        parts[i] = ('{"role":"%s","content":"%d"}'):format(i % 2 == 1 and "user" or "assistant", i)
      end
      local doc = parse("[" .. table.concat(parts, ",") .. ',{"role":"x","content":"y"}]')
      for _ = 1, 2 do
        assert.equal(5001, rows:read(doc, 0))
        assert.equal(5000, rows.seen.uncommon)
        assert.equal(1, rows.list[4999].word)
        assert.equal("5000", doc:at(rows.list[4999].value))
        assert.equal("x", rows:element(doc, 5000):get("role"))
        local small = parse('[{"role":"user","content":" "}]')
        assert.equal(1, rows:read(small, 0))
        assert.equal(0, rows.list[0].is_common)
        assert.is_true(small:get(1):is_blank("content"))
        assert.is_false(small:get(1):is_blank("role"))
        assert.is_false(small:get(1):is_blank("none"))
      end
      local writer = json.writer()
      writer:begin(100)
      writer:open_array()
      writer:elements(doc, 0, 4998, 2)
      writer:close_array()
      assert.equal("[" .. parts[4999] .. "," .. parts[5000] .. "]", writer:finish())
      assert.is_nil(rows:read(parse('{"a":1}'), 0))
      doc:free()
      assert.has_error(function() rows:read(doc, 0) end, "json: the document was freed")
    end)
  end)

  it("fills a form", function()
    local form = json.form('{"a":$,"b":{"c":$}}')
    local writer, numbers = json.writer(), json.numbers(1)
    numbers[0] = 7
    writer:form(form)
    writer:string("x$")
    writer:integers(numbers, 1)
    assert.equal('{"a":"x$","b":{"c":7}}', writer:finish())
    writer:form(form)
    writer:null()
    assert.has_error(function() writer:finish() end, "json: the value is not finished")
    assert.has_error(function() json.form('{"a":$') end)
  end)
end)
