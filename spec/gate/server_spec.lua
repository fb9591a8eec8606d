--- The way of a request, with a real generation and fakes instead of sockets.
local fakes = require("spec.gate.fakes")
package.loaded["rt.relay"] = fakes.relay
package.loaded["rt.allow"] = fakes.allow
local json = require("gate.json")
local log = require("gate.log")
local server = require("gate.server")
local support = require("spec.gate.support")

local CONFIG = 'return { accounts = { aws = { provider = "cloud" }, b = { provider = "cloud" } } }'
local BODY = '{"model":"m-1","max_tokens":5, "messages":[]}'
local MESSAGE = '{"id":"msg_1","type":"message","model":"m-1","content":[{"type":"text","text":"hi"}],'
  .. '"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":4}}'
local EVENTS = {
  { "message_start", '{"type":"message_start","message":{"id":"msg_1","usage":{"input_tokens":3,"output_tokens":1}}}' },
  { "content_block_delta", '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}' },
  { "message_delta", '{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":4}}' },
  { "message_stop", '{"type":"message_stop"}' },
}
local STREAM_BODY = '{"model":"m-1","max_tokens":5,"stream":true,"messages":[]}'

-- A surface that reads `stream`, a provider that reads errors by type.
local PLUGINS = {
  door = [[return { name = "door", version = "1", api = 1, kind = "surface", dialect = "anthropic", native = true,
    routes = { { method = "POST", path = "/v1/messages", body_limit_bytes = 200 }, { method = "GET", path = "/v1/info" } },
    read = function(ctx, _, _, request)
      if not request.doc then return require("gate.plugin").reply(200, nil, "{}") end
      ctx.body = request.doc; ctx.model = request.doc:get("model"); ctx.is_stream = request.doc:get("stream") == true
    end }]],
  cloud = [[local errors = require("gate.errors")
    local M = { name = "cloud", version = "1", api = 1, kind = "provider", native = true,
      account_schema = {}, response_headers = { "request-id", "x-rate-*" }, request_id_headers = { "request-id" } }
    function M.setup_account(_, info) return { name = info.name } end
    function M.build(attempt, account)
      return { origin = "http://" .. account.name, target = attempt.path, headers = {}, body = attempt.body }
    end
    function M.read_error(call, text)
      local err = errors.from_type("overloaded_error", "busy", call:status())
      err.body = text
      return err
    end
    return M]],
}

local function with(name, text)
  local plugins = { [name] = text }
  for key, value in pairs(PLUGINS) do
    plugins[key] = plugins[key] or value
  end
  return plugins
end

local lines

-- Serves one request with a generation; the fake request and client.
local function serve(options)
  local generation, problems = support.build(options.config or CONFIG, options.plugins or PLUGINS)
  assert(generation, problems and problems[1])
  generation.client = fakes.client(options.answers or {})
  server.commit(generation)
  local req = fakes.req({
    body = options.body or BODY, path = options.path, method = options.method, headers = options.headers,
  })
  req.is_gone = options.is_gone
  server.handle(req)
  return req, generation.client, generation
end

local function gatekeeper(hooks)
  return [[local gate = require("gate.plugin")
    local M = { name = "gatekeeper", version = "1", api = 1 }
    function M.on_access(ctx) ctx.identity = { name = "k", models = "all" } end
    function M.on_route(ctx) return { { account = "aws", model = ctx.model }, { account = "b", model = "m-2" } } end
    ]] .. hooks .. " return M"
end

describe("gate.server", function()
  before_each(function()
    lines = {}
    log.configure({ write = function(line) lines[#lines + 1] = line end })
  end)

  it("passes a document through untouched, with its headers, and writes one line", function()
    local req, client = serve({ answers = {
      { headers = { ["content-type"] = "application/json", ["request-id"] = "req_up", ["x-rate-a"] = "1", ["x-other"] = "2" },
        body = MESSAGE },
    } })
    assert.equal(200, req.answer.status)
    assert.equal(MESSAGE, req.answer.body)
    assert.equal(BODY, client.requests[1].body)
    assert.equal("req_up", req:sent("request-id"))
    assert.equal("1", req:sent("x-rate-a"))
    assert.is_nil(req:sent("x-other"))
    assert.equal(1, #lines)
    local line = require("cjson").decode(lines[1])
    assert.equal(req:sent("x-request-id"), line.id)
    assert.same({ 3, 4, "k", "door", "m-1", "aws", 200, "req_up" }, {
      line.input_tokens, line.output_tokens, line.key, line.surface, line.model, line.account, line.status,
      line.upstream_ids["request-id"],
    })
  end)

  it("denies when nobody says who it is", function()
    local req, client = serve({ plugins = with("gatekeeper", 'return { name = "gatekeeper", version = "1", api = 1 }') })
    assert.equal(401, req.answer.status)
    assert.equal(0, #client.requests)
    assert.truthy(req.answer.body:find('"type":"authentication_error"', 1, true))
  end)

  it("denies when access control raises, and tells the client nothing of it", function()
    local req = serve({ plugins = with("gatekeeper",
      'return { name = "gatekeeper", version = "1", api = 1, on_access = function() error("secret detail") end }') })
    assert.equal(500, req.answer.status)
    assert.is_nil(req.answer.body:find("secret", 1, true))
    assert.truthy(lines[1]:find('"event":"request_raised"', 1, true))
    assert.truthy(lines[1]:find('"plugin":"gatekeeper"', 1, true))
    assert.truthy(lines[1]:find('"hook":"on_access"', 1, true))
  end)

  it("goes on when an open plugin raises", function()
    local req = serve({
      plugins = with("gatekeeper", gatekeeper('M.fail = "open"; function M.on_request() error("x") end')),
      answers = { { body = MESSAGE } },
    })
    assert.equal(200, req.answer.status)
    assert.equal("plugin_failed", req:sent("x-moongate-warnings"))
  end)

  it("refuses bodies that are too large, no JSON, or encoded", function()
    local req = serve({ body = '{"model":"' .. ("x"):rep(300) .. '"}' })
    assert.equal(413, req.answer.status)
    req = serve({ body = '{"model":' })
    assert.equal(400, req.answer.status)
    assert.truthy(req.answer.body:find("at byte", 1, true))
    req = serve({ headers = { ["content-encoding"] = "gzip" } })
    assert.equal(415, req.answer.status)
  end)

  it("answers what has no route, a wrong method, and health", function()
    assert.equal(404, serve({ path = "/nothing" }).answer.status)
    local req = serve({ method = "GET" })
    assert.equal(405, req.answer.status)
    assert.equal("POST", req:sent("allow"))
    assert.equal(200, serve({ method = "GET", path = "/healthz" }).answer.status)
    assert.equal("{}", serve({ method = "GET", path = "/v1/info" }).answer.body)
  end)

  it("falls back to the next target, with its model and nothing else changed", function()
    local req, client = serve({
      plugins = with("gatekeeper", gatekeeper("")),
      answers = { { err = { code = "connect", message = "refused", phase = "connect" } }, { body = MESSAGE } },
    })
    assert.equal(200, req.answer.status)
    assert.equal("http://b", client.requests[2].origin)
    assert.equal((BODY:gsub("m%-1", "m-2")), client.requests[2].body)
    local line = require("cjson").decode(lines[1])
    assert.equal(2, #line.attempts)
    assert.equal("upstream_unreachable", line.attempts[1].error)
  end)

  it("passes an upstream's error on in its own words when no target is left", function()
    local req = serve({ answers = {
      { status = 529, body = '{"type":"error"}' }, { status = 529, body = '{"type":"error"}' },
    }, config = 'return { accounts = { aws = { provider = "cloud" } }, retry = { max_wait_ms = 1 } }' })
    assert.equal(529, req.answer.status)
    assert.equal('{"type":"error"}', req.answer.body)
  end)

  it("takes the gateway's secrets out of what an upstream says", function()
    local kept = require("gate.secret").new("very-secret-value")
    local req = serve({
      plugins = with("gatekeeper", gatekeeper('function M.on_failure() return "fail" end')),
      answers = { { status = 529, body = '{"a":"very-secret-value, very-secret-value"}' } },
    })
    assert.equal("very-secret-value", kept:reveal())
    assert.equal('{"a":"[secret], [secret]"}', req.answer.body)
  end)

  it("lets a plugin decide about a failure", function()
    local req, client = serve({
      plugins = with("gatekeeper", gatekeeper('function M.on_failure() return "fail" end')),
      answers = { { status = 529, body = "{}" } },
    })
    assert.equal(529, req.answer.status)
    assert.equal(1, #client.requests)
  end)

  it("does not try again what a hook refuses", function()
    local req, client = serve({ plugins = with("gatekeeper",
      gatekeeper('function M.on_attempt() return gate.fail("forbidden", "no") end')) })
    assert.equal(403, req.answer.status)
    assert.equal(0, #client.requests)
  end)

  it("answers with what a hook replies", function()
    local req = serve({ plugins = with("gatekeeper",
      gatekeeper('function M.on_request() return gate.reply(202, { "x-a", "b" }, "{}") end')) })
    assert.equal(202, req.answer.status)
    assert.equal("b", req:sent("x-a"))
  end)

  it("edits an attempt's fork and leaves the client's request", function()
    local _, client = serve({
      plugins = with("gatekeeper", gatekeeper('function M.on_attempt(_, _, _, a) a.body:set("max_tokens", a.number) end')),
      answers = { { err = { code = "dns", message = "x" } }, { body = MESSAGE } },
    })
    assert.truthy(client.requests[1].body:find('"max_tokens":1', 1, true))
    assert.truthy(client.requests[2].body:find('"max_tokens":2', 1, true))
  end)

  it("streams in pass mode and counts", function()
    local req = serve({ body = STREAM_BODY, answers = { { events = EVENTS } } })
    assert.equal(200, req.answer.status)
    assert.truthy(req.answer.is_finished)
    assert.truthy(req.answer.body:find("event: message_stop", 1, true))
    local line = require("cjson").decode(lines[1])
    assert.same({ 3, 4, true }, { line.input_tokens, line.output_tokens, line.stream })
  end)

  it("falls back while nothing was sent: an error as first event, or none", function()
    local failing = { { "error", '{"type":"error","error":{"type":"overloaded_error","message":"busy"}}' } }
    local req, client = serve({ plugins = with("gatekeeper", gatekeeper("")), body = STREAM_BODY,
      answers = { { events = failing }, { events = EVENTS } } })
    assert.equal(200, req.answer.status)
    assert.equal(2, #client.requests)
    req = serve({ plugins = with("gatekeeper", gatekeeper("")), body = STREAM_BODY,
      answers = { { events = {}, ended = { code = "reset", message = "x" } }, { events = EVENTS } } })
    assert.equal(200, req.answer.status)
  end)

  it("ends a broken stream with an error event, never like a whole one", function()
    local req = serve({ body = STREAM_BODY, answers = {
      { events = { EVENTS[1], EVENTS[2] }, ended = { code = "reset", message = "x" } },
    } })
    assert.truthy(req.answer.body:find('event: error\ndata: {"type":"error","error":{"type":"api_error"', 1, true))
    req = serve({ body = STREAM_BODY, answers = { { events = { EVENTS[1], EVENTS[2] } } } })
    assert.truthy(req.answer.body:find("event: error", 1, true))
    assert.truthy(lines[#lines]:find('"error":"upstream_disconnected"', 1, true))
  end)

  it("shows events to plugins, which may change or drop them", function()
    local req = serve({ body = STREAM_BODY, answers = { { events = EVENTS } }, plugins = with("gatekeeper", gatekeeper([[
      function M.on_event(ctx, _, _, event)
        if event.name == "content_block_delta" then event:set("delta", "text", event:get("delta", "text") .. "!") end
        if event.name == "message_start" then event:drop() end
      end]])) })
    assert.truthy(req.answer.body:find('"text":"hi!"', 1, true))
    assert.is_nil(req.answer.body:find("message_start", 1, true))
  end)

  it("shows the same events of an answer that was not streamed, but not to be changed", function()
    local plugins = with("gatekeeper", gatekeeper([[
      function M.on_event(ctx, _, _, event)
        ctx.own.names = (ctx.own.names or "") .. event.name .. " "
        if event.name == "content_block_delta" then ctx.own.text = event:get("delta", "text") end
      end
      function M.on_response(ctx) ctx.answer:set("seen", ctx.own.names .. ctx.own.text) end]]))
    local req = serve({ answers = { { body = MESSAGE } }, plugins = plugins })
    local doc = json.parse(req.answer.body)
    assert.equal("message_start content_block_start content_block_delta content_block_stop message_delta message_stop hi",
      doc:get("seen"))
    doc:free()
    req = serve({ answers = { { body = MESSAGE } },
      plugins = with("gatekeeper", gatekeeper("function M.on_event(_, _, _, event) event:drop() end")) })
    assert.equal(500, req.answer.status)
  end)

  it("says clearly that on_event may not wait, and forgets it", function()
    local req = serve({ body = STREAM_BODY, answers = { { events = EVENTS } },
      plugins = with("gatekeeper", gatekeeper("function M.on_event() gate.sleep(1) end")) })
    assert.is_true(req.answer.is_aborted)
    assert.truthy(lines[1]:find("on_event may not wait", 1, true))
    req = serve({ answers = { { body = MESSAGE } },
      plugins = with("gatekeeper", gatekeeper("function M.on_request() gate.sleep(1) end")) })
    assert.equal(200, req.answer.status)
  end)

  it("refuses an answer of the wrong kind", function()
    local one = 'return { accounts = { aws = { provider = "cloud" } } }'
    assert.equal(502, serve({ config = one, body = STREAM_BODY, answers = { { body = MESSAGE } } }).answer.status)
    assert.equal(502, serve({ config = one, answers = { { events = EVENTS } } }).answer.status)
    assert.equal(502, serve({ config = one, answers = { { body = "<html>" } } }).answer.status)
  end)

  it("finishes a request with the generation it began with, and gives that back", function()
    local _, _, first = serve({ answers = { { body = MESSAGE } } })
    assert.equal(0, first.refs)
    local _, _, second = serve({ answers = { { body = MESSAGE } } })
    assert.is_true(first.is_torn_down)
    assert.is_nil(second.is_torn_down)
    assert.equal(second, server.live())
  end)

  it("runs on_end always, after a raise too", function()
    local req = serve({ plugins = with("gatekeeper", gatekeeper([[
      function M.on_request() error("x") end
      function M.on_end(ctx) gate.log("info", "ended", { id = ctx.id }) end]])) })
    assert.equal(500, req.answer.status)
    assert.truthy(lines[#lines]:find('"event":"ended"', 1, true))
  end)

  it("notes a client that has gone", function()
    serve({ is_gone = true, answers = { { body = MESSAGE } } })
    assert.truthy(lines[1]:find('"error":"client_closed"', 1, true))
  end)
end)
