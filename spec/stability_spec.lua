-- Nothing vanishes, nothing changes: what no plugin edits reaches the upstream, and comes back, byte for byte, from every
-- worker and on every turn. Prompt caches and tool schemas depend on it.
local between = require("spec.support.between")
local json = require("gate.json")

local MODEL = "claude-haiku-4-5"

-- Bodies that a JSON library would write differently.
local ODD = {
  ["key order"] = [[{"stream":false,"zeta":1,"messages":[{"content":"b","role":"user"}],"alpha":2,"model":"claude-haiku-4-5","max_tokens":5}]],
  ["empty arrays and objects"] = [[{"model":"claude-haiku-4-5","max_tokens":5,"messages":[{"role":"user","content":[]}],"tools":[],"metadata":{},]]
    .. [["x":[[],{},[{}],{"a":[]}]}]],
  ["17-digit integers"] = [[{"model":"claude-haiku-4-5","max_tokens":5,"messages":[{"role":"user","content":"x"}],]]
    .. [["n":12345678901234567,"m":-99999999999999999,"big":123456789012345678901234567890}]],
  ["spellings of numbers"] = [[{"model":"claude-haiku-4-5","max_tokens":5,"messages":[{"role":"user","content":"x"}],]]
    .. [["temperature":1.0,"a":1e3,"b":1E+3,"c":-0,"d":-0.0,"e":0.10,"f":1.5e-7,"g":9007199254740993}]],
  ["escapes"] = [[{"model":"claude-haiku-4-5","max_tokens":5,"messages":[{"role":"user","content":"\u00e9 é \/ / \ud83d\ude00 😀 \u0000 \b\f\n\r\t \" \\ \u2028"}]}]],
  ["white space"] = ' \t\r\n{ "model" :\t"claude-haiku-4-5" ,\n"max_tokens":  5,\r\n "messages" : [ {"role"\n:"user" , "content" : "x" } ]\n } \n\n ',
  ["keys that look the same"] = '{"model":"claude-haiku-4-5","max_tokens":5,"messages":[{"role":"user","content":"x"}],'
    .. '"\195\169":1,"e\204\129":2,"\\u0130":3,"i":4,"I":5,"model ":6,"Model":7}',
  ["an escaped name"] = [[{"mod\u0065l":"claude-haiku-4\u002d5","max_tokens":5,"messages":[{"role":"user","content":"x"}]}]],
  ["tool schemas"] = [[{"tools":[{"input_schema":{"required":[],"type":"object","properties":{"z":{"type":"string","enum":["b","a"]},"a":{"items":{},]]
    .. [["type":"array","minItems":0},"m":{"maximum":1.0,"minimum":-0,"type":"number","default":1e2}},"additionalProperties":false,"$defs":{}},]]
    .. [["description":"\u00dcber \/ tool","name":"odd"}],"model":"claude-haiku-4-5","max_tokens":5,"messages":[{"role":"user","content":"x"}]}]],
}

local CHAT = [[{"messages":[{"role":"system","content":"be brief"},{"content":"caf\u00e9 \/ 😀","role":"user"},]]
  .. [[{"role":"assistant","content":[{"text":"yes","type":"text"},{"type":"text","text":"no"}]},{"role":"user","name":"bob","content":"go on"}],]]
  .. [["stop":["a","b"],"temperature":0.5,"user":"u-1","seed":7,"model":"claude-haiku-4-5","reasoning_effort":"low","max_tokens":4000,]]
  .. [["top_k":40,"cache_control":{"type":"ephemeral"}}]]

local MESSAGES = [[{"model":"claude-haiku-4-5","max_tokens":5,"messages":[{"role":"user","content":"hi"}],"tools":[],"n":12345678901234567}]]

-- The head without what the time of day decides.
local function timeless(head)
  head = head:gsub("x%-amz%-date: %d+T%d+Z", "x-amz-date: NOW"):gsub("Credential=AKIASPEC/%d+/", "Credential=AKIASPEC/TODAY/")
  return (head:gsub("Signature=%x+", "Signature=SIGNATURE"))
end

local function distinct(requests, first, part)
  local seen, list = {}, {}
  for i = first, #requests do
    local value = part(requests[i])
    if not seen[value] then
      seen[value] = true
      list[#list + 1] = value
    end
  end
  return list
end

describe("byte stability", function()
  local run

  setup(function()
    run = between.start({ workers = 8 })
  end)

  teardown(function()
    run:stop()
  end)

  describe("of requests", function()
    it("eight workers send the same Messages request", function()
      local first = #run.requests + 1
      run:on_every_worker(function()
        assert.equal(200, run:ask("/v1/messages", MESSAGES).status)
      end)
      assert.is_true(#run.requests - first >= 7)
      assert.same({ MESSAGES }, distinct(run.requests, first, function(request) return request.body end))
      assert.equal(1, #distinct(run.requests, first, function(request) return timeless(request.head) end))
    end)

    it("eight workers send the same translated Chat Completions request", function()
      local first = #run.requests + 1
      run:on_every_worker(function()
        assert.equal(200, run:ask("/v1/chat/completions", CHAT).status)
      end)
      assert.is_true(#run.requests - first >= 7)
      local bodies = distinct(run.requests, first, function(request) return request.body end)
      assert.equal(1, #bodies)
      assert.equal(1, #distinct(run.requests, first, function(request) return timeless(request.head) end))
      assert.matches([["caf\u00e9 \/ 😀"]], bodies[1], 1, true) -- what was only moved is the client's bytes
      assert.matches([["cache_control":{"type":"ephemeral"}]], bodies[1], 1, true)
    end)

    for name, body in pairs(ODD) do
      it("arrive as sent: " .. name, function()
        local request, answer = run:forward("/v1/messages", body)
        assert.equal(body, request.body)
        assert.equal(between.ANSWER, answer.body)
      end)
    end

    for name, body in pairs(ODD) do
      it("lose only the account's name: " .. name, function()
        local spelling = body:find("\\u002d", 1, true) and [["claude-haiku-4\u002d5"]] or '"claude-haiku-4-5"'
        local at, stop = body:find(spelling, 1, true)
        for _, asked in ipairs({ "aws/" .. MODEL, "@aws/@" .. MODEL, [[aws\/claude\u002dhaiku-4-5]] }) do
          local request = run:forward("/v1/messages", body:sub(1, at - 1) .. '"' .. asked .. '"' .. body:sub(stop + 1))
          assert.equal(body:sub(1, at - 1) .. '"' .. MODEL .. '"' .. body:sub(stop + 1), request.body)
        end
      end)
    end

    it("of which one key comes twice, however spelt, never leave", function()
      local before = #run.requests
      local answer = run:ask("/v1/messages", [[{"model":"claude-haiku-4-5","max_tokens":5,"max\u005ftokens":6,"messages":[]}]])
      assert.equal(400, answer.status)
      assert.equal(before, #run.requests)
    end)
  end)

  describe("of a conversation that grows over twenty turns", function()
    local TOOLS = [["tools":[{"name":"t","input_schema":{"type":"object","required":[],"properties":{"b":{"default":1.0},"a":{}}}}],]]

    local function turn(number)
      return ([[{"content":"question %d caf\u00e9 \/ 12345678901234567","role":"user"}]]):format(number),
        ([[{"role":"assistant","content":[{"text":"answer %d","type":"text"}]}]]):format(number)
    end

    -- The upstream bodies of twenty turns. `around(messages)` makes the client's body.
    local function talk(path, around)
      local said, bodies = {}, {}
      for number = 1, 20 do
        local question, answer = turn(number)
        said[#said + 1] = question
        bodies[number] = run:forward(path, around(table.concat(said, ","))).body
        said[#said + 1] = answer
      end
      return bodies
    end

    local function assert_growing(bodies)
      local before, after, shorter
      for number, body in ipairs(bodies) do
        local doc = assert(json.parse(body))
        local messages = doc:raw("messages")
        doc:free()
        local at = assert(body:find(messages, 1, true))
        local head, tail = body:sub(1, at - 1), body:sub(at + #messages)
        if number > 1 then
          assert.equal(before, head)
          assert.equal(after, tail)
          assert.equal(shorter:sub(1, -2), messages:sub(1, #shorter - 1)) -- all but the closing bracket
          assert.equal(",", messages:sub(#shorter, #shorter))
          assert.is_true(#messages > #shorter)
        end
        before, after, shorter = head, tail, messages
      end
      assert.equal(20, #bodies)
    end

    it("the Messages API's bodies are the client's", function()
      local sent = {}
      local bodies = talk("/v1/messages", function(messages)
        sent[#sent + 1] = [[{"max_tokens":50,]] .. TOOLS .. [["system":[{"type":"text","text":"s"}],"messages":[]] .. messages
          .. [[],"model":"claude-haiku-4-5"}]]
        return sent[#sent]
      end)
      assert.same(sent, bodies)
      assert_growing(bodies)
    end)

    it("translated Chat Completions bodies extend each other", function()
      local bodies = talk("/v1/chat/completions", function(messages)
        return [[{"messages":[{"role":"system","content":"s \u00e9"},]] .. messages
          .. [[],"temperature":0.25,"stop":"END","reasoning_effort":"high","max_tokens":9000,"model":"aws/claude-haiku-4-5"}]]
      end)
      assert_growing(bodies)
      assert.matches([["question 1 caf\u00e9 \/ 12345678901234567"]], bodies[20], 1, true)
      assert.matches([["budget_tokens":8100]], bodies[20], 1, true)
    end)
  end)

  describe("of answers", function()
    local ASK = [[{"model":"claude-haiku-4-5","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}]]
    local ASK_STREAM = [[{"model":"claude-haiku-4-5","max_tokens":5,"stream":true,"messages":[{"role":"user","content":"hi"}]}]]
    local usual_answer

    before_each(function()
      usual_answer = run.answer
    end)
    after_each(function()
      run.answer = usual_answer
    end)

    it("a document reaches a Messages client as it was", function()
      local document = ' {"zeta" : 1.0,\r\n"type":"message","usage":{"output_tokens":1,"input_tokens":3,"new_counter":12345678901234567,'
        .. '"inner":{}},"content":[{"type":"brand_new","v":[],"text":"\\u00e9\\/\\ud83d\\ude00"}],"stop_reason":"new_reason","-":-0} \n'
      run.answer = function()
        return between.json(document, "request-id: req_upstream\r\nx-secret-of-upstream: 1\r\nset-cookie: a=b\r\n")
      end
      local answer = run:ask("/v1/messages", ASK)
      assert.equal(document, answer.body)
      assert.equal("application/json", answer.headers["content-type"])
      assert.equal("req_upstream", answer.headers["request-id"])
      assert.is_nil(answer.headers["set-cookie"])
      assert.is_nil(answer.headers["x-secret-of-upstream"])
    end)

    local EVENTS = {
      ': hello\n\n',
      'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","usage":{"input_tokens":3,"output_tokens":1}}}\n\n',
      'event: ping\ndata: {"type": "ping"}\n\n',
      'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n',
      'event: never_heard_of\ndata: {"type":"never_heard_of","n":12345678901234567, "a" : [ ]}\n\n',
      'event:content_block_delta\ndata:{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\u00e9 \195\169 '
        .. '\240\159\152\128"}}\n\n',
      'id: 7\nretry: 10\nunknown field: x\nevent: content_block_delta\ndata: {"type":"content_block_delta","index":0,\n'
        .. 'data: "delta":{"type":"text_delta","text":"two lines"}}\n\n',
      ': a comment between\n',
      'data: no name\n\n',
      'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n',
      'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}\n\n',
      'event: message_stop\ndata: {"type":"message_stop"}\n\n',
      ': after the end\n\n',
    }
    local STREAM = table.concat(EVENTS)

    -- Plays text in chunks of so many bytes; nil: with the end of the connection as its end.
    local function play(text, size)
      run.answer = function(_, conn)
        local head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
        if not size then
          conn:write(head .. "connection: close\r\n\r\n" .. text)
          conn:close()
          return nil
        end
        conn:write(head .. "transfer-encoding: chunked\r\n\r\n")
        for at = 1, #text, size do
          local part = text:sub(at, at + size - 1)
          conn:write(("%x\r\n%s\r\n"):format(#part, part))
        end
        return "0\r\n\r\n"
      end
    end

    local FORMS = {
      ["LF"] = STREAM,
      ["CR LF"] = STREAM:gsub("\n", "\r\n"),
      ["CR"] = STREAM:gsub("\n", "\r"),
      ["a byte order mark"] = "\239\187\191" .. STREAM,
    }
    for form, text in pairs(FORMS) do
      for _, size in ipairs({ 1, 7, 64, 100000, false }) do
        it(("a stream reaches a Messages client as it was: %s, %s"):format(form, size and size .. " bytes at a time" or "until close"), function()
          play(text, size or nil)
          local answer = run:ask("/v1/messages", ASK_STREAM)
          assert.equal(200, answer.status)
          assert.equal("text/event-stream; charset=utf-8", answer.headers["content-type"])
          assert.is_nil(answer.is_cut)
          assert.equal(text, answer.body)
        end)
      end
    end

    it("a translated stream has the client's text to the byte, however it is cut", function()
      for _, size in ipairs({ 1, 3, 100000 }) do
        play(STREAM, size)
        local answer = run:ask("/v1/chat/completions", ASK_STREAM)
        assert.equal(200, answer.status)
        local texts = {}
        for content in answer.body:gmatch('"delta":{"content":(".-")}') do
          texts[#texts + 1] = content
        end
        assert.same({ '"\\u00e9 \195\169 \240\159\152\128"', '"two lines"' }, texts)
        assert.matches("data: %[DONE%]\n\n$", answer.body)
      end
    end)
  end)
end)
