--- CPU of translating Chat Completions, without sockets: microseconds for one request's parsing, translation, policy
--- hooks and bytes, and for its answer's; beside it the same for Messages, whose bytes pass.
---   build/moongate --script spec/bench/chat_bench.lua [rounds]
--- What counts is the difference of two builds on one machine: the least of the rounds is the one with the least noise.
require("gate.compiler").setup()
local ctx_of = require("gate.ctx")
local json = require("gate.json")
local pivot = require("gate.pivot")
local bodies = require("spec.bench.bodies")
local fake = require("spec.support.fake")

local surface = require("plugins.openai_chat")
local native = require("plugins.anthropic_messages")
local hooks = { require("plugins.model_limits"), require("plugins.reasoning_budget") }
local catalog = require("plugins.catalog")
local model = catalog.find("claude-sonnet-4-6", catalog.setup())

local ANSWER = '{"id":"msg_01XFDUDYJgAACzvnptvVoYEL","type":"message","role":"assistant","model":"claude-sonnet-4-6",'
  .. '"content":[{"type":"text","text":"' .. ("Ordinary text of an answer. "):rep(36) .. '"}],"stop_reason":"end_turn",'
  .. '"stop_sequence":null,"usage":{"input_tokens":12,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,'
  .. '"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":6}}'
local CONFS = {
  { default_max_tokens = 8192, default_thinking_max_tokens = 16384 },
  { share = { none = 0, minimal = 0, low = 0.3, medium = 0.6, high = 0.9, xhigh = 0.9, max = 0.9 }, prefer_adaptive = false },
}
local GENERATION = { id = "bench", request_ms = 600000 }
local REQ = fake.request({})

local function entry_of(module)
  return { surface_name = module.name, dialect = module.dialect, operation = "messages" }
end

-- The attempt's body as gate.attempt makes it: a fork once a hook asks.
local Attempt = {}
function Attempt.__index(self, key)
  if key == "body" then
    local ctx = self._ctx
    local body = ctx:own_doc(ctx.body:fork())
    pivot.set_model(body, "claude-sonnet-4-6")
    rawset(self, "body", body)
    return body
  end
end

local function read(module, entry, text)
  local request = {}
  local ctx = ctx_of.new(REQ, "req", GENERATION, entry, request, 0)
  request.doc = ctx:own_doc(assert(json.parse(text)))
  local _, err = module.read(ctx, nil, nil, request)
  assert(err == nil)
  if ctx.body ~= request.doc then
    ctx:own_doc(ctx.body)
  end
  local attempt = setmetatable({ model = model, _ctx = ctx }, Attempt)
  for i = 1, #hooks do
    hooks[i].on_attempt(ctx, CONFS[i], nil, attempt)
  end
  local body = rawget(attempt, "body") or ctx.body
  body:output()
  return ctx
end

local function chat(entry, text)
  local ctx = read(surface, entry, text)
  local doc = ctx:own_doc(json.parse(ANSWER))
  ctx.answer, ctx.usage = doc, pivot.usage_of_answer(doc)
  ctx:own_doc(surface.answer(ctx)):output()
  ctx_of.release(ctx)
end

local function messages(entry, text)
  local ctx = read(native, entry, text)
  ctx.usage = pivot.usage_of_text(ANSWER)
  ctx_of.release(ctx)
end

local function only_parse(_, text)
  local doc = json.parse(text)
  doc:output()
  doc:free()
end

local function us_of(run, module, text, count)
  local entry = entry_of(module)
  local started = os.clock()
  for _ = 1, count do
    run(entry, text)
  end
  return (os.clock() - started) / count * 1e6
end

local REASONING = (bodies.text(1024):gsub('"max_tokens":1024', '"max_tokens":4096,"reasoning_effort":"low"'))

local ROWS = {
  { "chat 1 KB", chat, surface, bodies.text(1024), 20000 },
  { "chat 1 KB, reasoning", chat, surface, REASONING, 20000 },
  { "messages 1 KB", messages, native, bodies.text(1024), 20000 },
  { "chat history, 900 messages", chat, surface, bodies.chat_history(), 100 },
  { "parse alone of it", only_parse, surface, bodies.chat_history(), 100 },
}

local rounds = tonumber(arg and arg[1]) or 7
for _, row in ipairs(ROWS) do
  local name, run, module, text, count = unpack(row)
  us_of(run, module, text, math.ceil(count / 4))
  local times = {}
  for i = 1, rounds do
    times[i] = us_of(run, module, text, count)
  end
  table.sort(times)
  print(("%-28s least %9.2f us   median %9.2f us"):format(name, times[1], times[math.ceil(rounds / 2)]))
end
