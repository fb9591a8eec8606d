local fake = require("spec.support.fake")
local json = require("gate.json")
local plugin = require("plugins.openai_chat")

local function read(body, fields)
  local ctx = fake.ctx({ surface = "openai_chat", dialect = "openai" })
  for name, value in pairs(fields or {}) do
    ctx[name] = value
  end
  local doc = ctx:own_doc(assert(json.parse(body)))
  local _, err = plugin.read(ctx, {}, nil, { doc = doc })
  return ctx, err
end

local function pivot(body)
  local ctx, err = read(body)
  assert.is_nil(err)
  return ctx.body:bytes(), ctx
end

local function chat(messages, rest)
  return '{"model":"m","messages":' .. messages .. (rest and "," .. rest or "") .. "}"
end

describe("plugins.openai_chat request", function()
  it("splices a plain message as it was written", function()
    local out = pivot(chat('[{"content" : "a\\u00e9\\/", "role":"user"}]'))
    assert.equal('{"model":"m","messages":[{"content" : "a\\u00e9\\/", "role":"user"}]}', out)
  end)

  it("moves leading and later instructions to system, as blocks, in order", function()
    local out, ctx = pivot(chat([=[[{"role":"system","content":"one"},{"role":"user","content":"hi"},{"role":"developer","content":[{"type":"text","text":"two"}]}]]=]))
    assert.equal('{"model":"m","system":[{"type":"text","text":"one"},{"type":"text","text":"two"}],"messages":[{"role":"user","content":"hi"}]}', out)
    assert.equal("changed", ctx.warnings[1].code)
  end)

  it("merges neighbours of one role and drops blank texts", function()
    local out = pivot(chat([=[[{"role":"user","content":"a"},{"role":"assistant","content":"  "},{"role":"user","content":[{"type":"text","text":"b"},{"type":"text","text":""}]}]]=]))
    assert.equal('{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]}', out)
  end)

  it("keeps cache_control of a part", function()
    local out = pivot(chat([=[[{"role":"user","content":[{"type":"text","text":"b","cache_control":{"type":"ephemeral","ttl":"1h"}}]}]]=]))
    assert.truthy(out:find('{"type":"text","text":"b","cache_control":{"type":"ephemeral","ttl":"1h"}}', 1, true))
  end)

  it("puts a user turn before a conversation that begins with the assistant", function()
    local out = pivot(chat([=[[{"role":"assistant","content":"x"},{"role":"user","content":"y"}]]=]))
    assert.truthy(out:find('"messages":[{"role":"user","content":"."},{"role":"assistant","content":"x"}', 1, true))
  end)

  it("strips white space at the end of a prefill", function()
    local out = pivot(chat([=[[{"role":"user","content":"y"},{"role":"assistant","content":"{ \n"}]]=]))
    assert.truthy(out:find('{"role":"assistant","content":"{"}]', 1, true))
  end)

  it("maps limits, stops, sampling, user, tier and native fields in one order", function()
    local out, ctx = pivot(chat('[{"role":"user","content":"y"}]', [["thinking":{"type":"adaptive","x":1.0},"service_tier":"default","user":"u1",
      "top_p":0.5,"temperature":1.5,"stop":["a"," ","b"],"max_tokens":5,"max_completion_tokens":7,"stream":true,"reasoning_effort":"low","top_k":3]]))
    assert.equal('{"model":"m","max_tokens":7,"messages":[{"role":"user","content":"y"}],"stop_sequences":["a","b"],"temperature":1,"top_p":0.5,"stream":true,'
      .. '"metadata":{"user_id":"u1"},"service_tier":"standard_only","thinking":{"type":"adaptive","x":1.0},"top_k":3}', out)
    assert.equal("low", ctx.effort)
    assert.is_true(ctx.is_stream)
    assert.truthy(ctx.warnings[1].message:find("temperature", 1, true))
  end)

  it("names what it drops in a warning", function()
    local _, ctx = pivot(chat('[{"role":"user","content":"y","name":"bob"}]', '"seed":1,"store":false,"frequency_penalty":0'))
    local texts = {}
    for i, warning in ipairs(ctx.warnings) do
      texts[i] = warning.message:match("^[%w_.]+")
    end
    assert.same({ "seed", "messages.name" }, texts)
  end)

  local refused = {
    { "tools", '[{"role":"user","content":"y"}]', '"tools":[{"type":"function","function":{"name":"f"}}]' },
    { "response_format", '[{"role":"user","content":"y"}]', '"response_format":{"type":"json_object"}' },
    { "logprobs", '[{"role":"user","content":"y"}]', '"logprobs":true' },
    { "modalities", '[{"role":"user","content":"y"}]', '"modalities":["text","audio"]' },
    { "n", '[{"role":"user","content":"y"}]', '"n":2' },
    { "nonsense", '[{"role":"user","content":"y"}]', '"nonsense":1' },
    { "temperature", '[{"role":"user","content":"y"}]', '"temperature":-1' },
    { "max_tokens", '[{"role":"user","content":"y"}]', '"max_tokens":0' },
    { "stream_options", '[{"role":"user","content":"y"}]', '"stream_options":{"include_usage":true}' },
    { "reasoning_effort", '[{"role":"user","content":"y"}]', '"reasoning_effort":"huge"' },
    { "messages", "[]" },
    { "messages", '[{"role":"system","content":"y"}]' },
    { "messages.0.role", '[{"role":"tool","content":"y","tool_call_id":"x"}]' },
    { "messages.0.role", '[{"role":"king","content":"y"}]' },
    { "messages.0.content", '[{"role":"user","content":null}]' },
    { "messages.0.content", '[{"role":"user","content":5}]' },
    { "messages.0.content.0.type", '[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]' },
    { "messages.0.tool_calls", '[{"role":"assistant","content":"x","tool_calls":[{"id":"a"}]}]' },
    { "messages.0.frob", '[{"role":"user","content":"x","frob":1}]' },
  }
  for _, row in ipairs(refused) do
    it("refuses by name: " .. row[1] .. " in " .. (row[3] or row[2]), function()
      local _, err = read(chat(row[2], row[3]))
      assert.equal(row[1], err.param)
      assert.truthy(err.code == "bad_request" or err.code == "unsupported")
      assert.truthy(err.message:find(row[1]:match("^%w+"), 1, true))
    end)
  end

  it("gives the same bytes for the turns of a growing conversation", function()
    local turns, last = {}, nil
    for i = 1, 20 do
      turns[#turns + 1] = ('{"role":"user","content":"question %d \\u20ac"}'):format(i)
      local out = pivot(chat("[" .. '{"role":"system","content":"be brief"},' .. table.concat(turns, ",") .. "]"))
      local prefix = out:sub(1, -3) -- without the closing brackets
      if last then
        assert.equal(last, prefix:sub(1, #last))
      end
      last = prefix
      turns[#turns + 1] = ('{"role":"assistant","content":"answer %d"}'):format(i)
    end
  end)
end)

describe("plugins.openai_chat answer", function()
  local function answer(text, usage)
    local ctx = fake.ctx({ surface = "openai_chat", dialect = "openai" })
    ctx.model = "asked/for"
    ctx.answer = ctx:own_doc(assert(json.parse(text)))
    ctx.usage = usage
    return plugin.answer(ctx):table()
  end

  it("joins texts, maps the stop reason and does OpenAI's usage arithmetic", function()
    local out = answer([[{"id":"msg_1","content":[{"type":"text","text":"a\u00e9"},{"type":"text","text":"b"}],"stop_reason":"max_tokens"}]],
      { input_tokens = 10, cache_read_input_tokens = 5, cache_creation_input_tokens = 2, output_tokens = 7, thinking_tokens = 3 })
    assert.equal("chatcmpl-1", out.id)
    assert.equal("asked/for", out.model)
    assert.equal("aéb", out.choices[1].message.content)
    assert.equal("length", out.choices[1].finish_reason)
    assert.equal(17, out.usage.prompt_tokens)
    assert.equal(24, out.usage.total_tokens)
    assert.equal(5, out.usage.prompt_tokens_details.cached_tokens)
    assert.equal(3, out.usage.completion_tokens_details.reasoning_tokens)
  end)

  it("gives reasoning, its blocks and tool calls", function()
    local out = answer([[{"id":"msg_1","content":[{"type":"thinking","thinking":"hm","signature":"s="},
      {"type":"tool_use","id":"t1","name":"f","input":{"b":1.0,"a":[]}}],"stop_reason":"tool_use"}]])
    local message = out.choices[1].message
    assert.equal(json.null, message.content)
    assert.equal("hm", message.reasoning_content)
    assert.equal("s=", message.thinking_blocks[1].signature)
    assert.equal('{"b":1.0,"a":[]}', message.tool_calls[1]["function"].arguments)
    assert.equal("tool_calls", out.choices[1].finish_reason)
  end)

  it("says a refusal", function()
    local out = answer([[{"id":"msg_1","content":[],"stop_reason":"refusal","stop_details":{"type":"refusal","explanation":"no"}}]])
    assert.equal("content_filter", out.choices[1].finish_reason)
    assert.equal("no", out.choices[1].message.refusal)
    assert.equal(json.null, out.choices[1].message.content)
  end)
end)

describe("plugins.openai_chat stream", function()
  -- The events as a plugin with on_event makes them come: all through translate_event.
  local function run(events, include_usage, usage, stop_reason)
    local ctx = fake.ctx({ surface = "openai_chat", dialect = "openai" })
    ctx.model, ctx.usage = "m", usage
    ctx.own.include_usage = include_usage
    local out, vars = {}, {}
    local relay = {
      emit = function(_, text)
        out[#out + 1] = text
      end,
      set = function(_, n, text)
        vars[n] = text
      end,
      slot = function()
        return stop_reason
      end,
    }
    plugin.open_stream(ctx)
    for _, event in ipairs(events) do
      local _, err = plugin.translate_event(ctx, {}, nil, event[1], event[2], relay)
      assert.is_nil(err)
    end
    plugin.end_stream(ctx, {}, nil, relay)
    local chunks = {}
    for data in table.concat(out):gmatch("data: (%b{})\n\n") do
      chunks[#chunks + 1] = json.decode(data)
    end
    return chunks, table.concat(out), vars
  end

  it("gives role, texts, finish, usage and the end mark", function()
    local chunks, raw = run({
      { "message_start", '{"type":"message_start","message":{"id":"msg_7"}}' },
      { "content_block_start", '{"index":0,"content_block":{"type":"text","text":""}}' },
      { "content_block_delta", '{"index":0,"delta":{"type":"text_delta","text":"a\\ud83d\\ude00\\n"}}' },
      { "content_block_stop", '{"index":0}' },
    }, true, { input_tokens = 3, output_tokens = 4 }, "end_turn")
    assert.equal("assistant", chunks[1].choices[1].delta.role)
    assert.equal("a😀\n", chunks[2].choices[1].delta.content)
    assert.truthy(raw:find('"content":"a\\ud83d\\ude00\\n"', 1, true))
    assert.equal("stop", chunks[3].choices[1].finish_reason)
    assert.equal(7, chunks[4].usage.total_tokens)
    assert.equal(0, #chunks[4].choices)
    assert.equal(json.null, chunks[1].usage)
    assert.equal("data: [DONE]\n\n", raw:sub(-14))
    for _, chunk in ipairs(chunks) do
      assert.equal("chatcmpl-7", chunk.id)
    end
  end)

  it("counts tool calls, gives empty ones an object, and hands the rest of the arguments to the rule", function()
    local chunks, _, vars = run({
      { "message_start", "{}" },
      { "content_block_start", '{"index":1,"content_block":{"type":"tool_use","id":"a","name":"f","input":{}}}' },
      { "content_block_delta", '{"index":1,"delta":{"type":"input_json_delta","partial_json":""}}' },
      { "content_block_stop", '{"index":1}' },
      { "content_block_start", '{"index":2,"content_block":{"type":"tool_use","id":"b","name":"g","input":{}}}' },
      { "content_block_delta", '{"index":2,"delta":{"type":"input_json_delta","partial_json":"{\\"x\\":1}"}}' },
      { "content_block_stop", '{"index":2}' },
    }, false, nil, "tool_use")
    assert.equal(0, chunks[2].choices[1].delta.tool_calls[1].index)
    assert.equal("{}", chunks[3].choices[1].delta.tool_calls[1]["function"].arguments)
    assert.equal(1, chunks[4].choices[1].delta.tool_calls[1].index)
    assert.equal('{"x":1}', chunks[5].choices[1].delta.tool_calls[1]["function"].arguments)
    assert.equal("tool_calls", chunks[6].choices[1].finish_reason)
    assert.same({ [3] = "2", [4] = "1" }, vars)
  end)

  it("passes over what it does not know", function()
    local chunks = run({
      { "message_start", "{}" },
      { "brand_new", "{}" },
      { "content_block_start", '{"index":0,"content_block":{"type":"brand_new"}}' },
      { "content_block_delta", '{"index":0,"delta":{"type":"brand_new"}}' },
      { "content_block_delta", "[]" },
      { "content_block_stop", "{}" },
    }, false, nil, nil)
    assert.equal(2, #chunks)
    assert.equal("stop", chunks[2].choices[1].finish_reason)
  end)
end)
