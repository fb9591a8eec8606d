--- The way of one request, from its head to its log line. One generation serves it from begin to end; the
--- live one is a variable here, and going live is one assignment to it.
local answer = require("gate.answer")
local attempt = require("gate.attempt")
local crumb = require("gate.crumb")
local ctx_of = require("gate.ctx")
local errors = require("gate.errors")
local ids = require("gate.ids")
local json = require("gate.json")
local log = require("gate.log")
local pipeline = require("gate.pipeline")
local plugin_of = require("gate.plugin")
local stream = require("gate.stream")
local task = require("rt.task")
local time = require("rt.time")

local M = {}

local monotonic_ms = time.monotonic_ms
local enter, leave = pipeline.enter, pipeline.leave
local forbid_waiting, is_reply = plugin_of.forbid_waiting, plugin_of.is_reply
local live -- the generation that new requests begin with
local is_draining = false
local counts = { requests = 0, active = 0, errors = 0, crashes = 0 }

--- Makes a generation the live one. Running requests keep theirs.
---@param generation table
function M.commit(generation)
  local old = live
  live = generation
  if old then
    old:retire()
  end
end

---@return table? generation
function M.live()
  return live
end

--- From now on /readyz says no.
function M.set_draining()
  is_draining = true
end

---@return { requests: integer, active: integer, errors: integer, crashes: integer }
function M.counts()
  return counts
end

local Request = {}
Request.__index = Request

--- A request header, by its lower-case name.
function Request:header(name)
  local req = self._req
  return req and req:header(name)
end

local function send(ctx, req, status, headers, body)
  ctx._status = status
  if req:is_started() then
    return
  end
  if body ~= nil and type(body) ~= "string" then
    ctx:own_doc(body)
    body = body:output()
  end
  local ok, err = req:respond(status, headers, body or "")
  if not ok and err and not ctx._error then
    ctx._error = err
  end
end

local function answer_error(ctx, req, err)
  ctx._error = err
  counts.errors = counts.errors + 1
  local entry = ctx._entry
  local status, headers, body
  if entry.is_native and err.body and err.upstream_status and not errors.is_own_credential(err.code) then
    status, body = err.upstream_status, err.body -- the upstream's own words
    headers = { "content-type", "application/json" }
  elseif entry.module.error then
    status, headers, body = entry.module.error(err, ctx)
  else
    status, headers, body = errors.shape(ctx.dialect, err, ctx.id)
  end
  local has_request_id, own = false, {}
  for i = 1, #headers, 2 do
    own[headers[i]] = true
  end
  local more = err.headers
  for i = 1, more and #more or 0, 2 do
    if not own[more[i]] then
      headers[#headers + 1], headers[#headers + 2] = more[i], more[i + 1]
    end
    has_request_id = has_request_id or more[i] == "request-id"
  end
  headers[#headers + 1], headers[#headers + 2] = "x-request-id", ctx.id
  if ctx.dialect == "anthropic" and not has_request_id then
    headers[#headers + 1], headers[#headers + 2] = "request-id", ctx.id
  end
  answer.add_warnings(ctx, headers)
  send(ctx, req, status, headers, body)
end

local function answer_reply(ctx, req, reply)
  local headers, has_type = { "x-request-id", ctx.id }, false
  for i = 1, reply.headers and #reply.headers or 0, 2 do
    headers[#headers + 1], headers[#headers + 2] = reply.headers[i], reply.headers[i + 1]
    has_type = has_type or reply.headers[i]:lower() == "content-type"
  end
  if reply.body and not has_type then
    headers[#headers + 1], headers[#headers + 2] = "content-type", "application/json"
  end
  answer.add_warnings(ctx, headers)
  send(ctx, req, reply.status, headers, reply.body)
end

local BODY_ERRORS = { timeout = "request_timeout", closed = "client_closed" }

-- Reads and parses the body, where the route wants it parsed.
local function read_body(ctx, req, gen, entry, request)
  local encoding = req:header("content-encoding")
  if encoding and encoding ~= "identity" then
    return errors.new("unsupported_media", "content-encoding %q is not accepted: send the body as it is", encoding)
  end
  local body, size = req:read_body(entry.body_limit_bytes, gen.wants_sha256)
  if not body then
    local err = size
    local code = BODY_ERRORS[err.code] or err.code
    if code == "too_large" then
      return errors.new("too_large", "the body is larger than %d bytes", entry.body_limit_bytes)
    end
    return { code = errors.is_known(code) and code or "bad_request", message = err.message }
  end
  ctx._bytes_in = size
  local doc, err = json.parse(body, gen.parse_options)
  if not doc then
    return errors.new("bad_json", "the body: %s", tostring(err.message))
  end
  request.doc = ctx:own_doc(doc)
end

-- Everything up to the targets. Returns an error or a reply where the request ends here.
local function prepare(ctx, req, gen, entry, request)
  local hooks = gen.hooks
  local result, err
  if hooks.on_access then
    result, err = hooks.on_access.run(ctx)
    if result or err then
      return err, result
    end
  end
  if not ctx.identity then
    return errors.new("unauthenticated", "no API key was accepted")
  end
  if entry.body == "json" then
    err = read_body(ctx, req, gen, entry, request)
    if err then
      return err
    end
  end
  enter(ctx, entry)
  result, err = entry.module.read(ctx, entry.conf, entry.state, request)
  leave(ctx)
  if result or err then
    return err, result
  end
  if ctx.body and ctx.body ~= request.doc then
    ctx:own_doc(ctx.body)
  end
  if hooks.on_request then
    result, err = hooks.on_request.run(ctx)
    if result or err then
      return err, result
    end
  end
  if hooks.on_route then
    result, err = hooks.on_route.run(ctx)
    if result or err then
      return err, result
    end
  end
  local targets = ctx.targets
  if not targets or not targets[1] then
    return { code = "model_not_found", message = "no account serves this model", param = "model" }
  end
end

local function serve(ctx, req, gen, entry, request)
  task.deadline(gen.request_ms)
  local err, reply = prepare(ctx, req, gen, entry, request)
  if not err and not reply then
    err, reply = attempt.run(ctx, req, gen)
    reply = reply or ctx._reply
  end
  if err then
    answer_error(ctx, req, err)
  elseif reply then
    if not is_reply(reply) then
      error("a hook may return nothing, gate.reply(...) or nil, err")
    end
    answer_reply(ctx, req, reply)
  end
end

-- What raised: the message and where, for the log only.
local function on_raise(message)
  local ok, text = pcall(tostring, message)
  return debug.traceback(ok and text or "error value that cannot be printed", 2)
end

local function crash(ctx, req, message)
  counts.crashes = counts.crashes + 1
  forbid_waiting(nil)
  local plugin = ctx._plugin ~= 0 and ctx._gen:plugin_name(ctx._plugin) or nil
  log.event("error", "request_raised", {
    request = ctx.id, plugin = plugin, hook = plugin and ctx._hook or nil, message = tostring(message),
    generation = ctx.generation,
  })
  leave(ctx)
  local err = errors.new("internal", "internal error")
  if req:is_started() then
    ctx._error = err
    req:abort() -- never a clean end
  else
    answer_error(ctx, req, err)
  end
end

local function end_hooks(ctx, gen)
  pipeline.run_end(gen.hooks.on_end, ctx)
  ctx_of.release(ctx)
  gen:release()
end

-- The end that every request has: log line, on_end, documents and generation given back.
local function finish(ctx, req, gen)
  counts.active = counts.active - 1
  crumb.page.requests_in_flight = counts.active
  if gen.config.log.requests then
    log.request(ctx, monotonic_ms(), req:bytes_out())
  end
  if gen.hooks.on_end then
    task.spawn(end_hooks, ctx, gen) -- its own task: this one may be cancelled, and the next request waits for nothing
    return
  end
  ctx_of.release(ctx)
  gen:release()
end

-- What is left of a request whose stream has begun.
local function run_stream(ctx, req, gen)
  local ok, message = xpcall(stream.pump, on_raise, ctx, gen)
  if ok then
    ok, message = xpcall(stream.finish, on_raise, ctx, req, gen, message)
  end
  if not ok then
    crash(ctx, req, message)
  end
  finish(ctx, req, gen)
end

local HEALTH = { ["/healthz"] = true, ["/readyz"] = true }

local function answer_health(req, path)
  local is_ok = path == "/healthz" or (live ~= nil and not is_draining)
  req:respond(is_ok and 200 or 503, { "content-type", "text/plain" }, is_ok and "ok\n" or "not ready\n")
end

-- What has no route: 404, or 405 where the path has other methods.
local function answer_unrouted(req, method, path, methods)
  local id = ids.request()
  local err, headers, _
  local dialect = errors.guess_dialect(path, req:header("anthropic-version") ~= nil)
  if methods then
    local list = {}
    for name in pairs(methods) do
      list[#list + 1] = name
    end
    table.sort(list)
    err = errors.new("method_not_allowed", "%s is not allowed here", method)
    _, headers = errors.shape(dialect, err, id)
    headers[#headers + 1], headers[#headers + 2] = "allow", table.concat(list, ", ")
  else
    err = errors.new("not_found", "there is nothing at this path")
    _, headers = errors.shape(dialect, err, id)
  end
  headers[#headers + 1], headers[#headers + 2] = "x-request-id", id
  req:respond(errors.status(err, dialect), headers, errors.body(dialect, err, id))
end

--- Handles one request; the handler of rt.server.
---@param req rt.server.Request
function M.handle(req)
  local started_at_ms = monotonic_ms()
  local method, path, query = req:head()
  local gen = live
  if not gen then
    return answer_health(req, HEALTH[path] and path or "/readyz")
  end
  local entry, params = gen:find_route(method, path)
  if not entry then
    if HEALTH[path] then
      return answer_health(req, path)
    end
    return answer_unrouted(req, method, path, params)
  end
  gen.refs = gen.refs + 1
  counts.requests, counts.active = counts.requests + 1, counts.active + 1
  local page = crumb.page
  page.requests_total, page.requests_in_flight = counts.requests, counts.active
  local request = setmetatable({
    method = method, path = path, query = query, params = params, doc = nil, route = entry.route, _req = req,
  }, Request)
  local ctx = ctx_of.new(req, ids.request(), gen, entry, request, started_at_ms)
  if entry.choose_dialect then
    ctx.dialect = entry.choose_dialect(request)
  end
  local ok, message = xpcall(serve, on_raise, ctx, req, gen, entry, request)
  if not ok then
    crash(ctx, req, message)
  elseif ctx._relay then
    return run_stream(ctx, req, gen) -- a tail call: a long stream need not keep this frame
  end
  finish(ctx, req, gen)
end

--- Shapes what the HTTP layer refuses by itself; the on_refuse of rt.server.
---@return string[] headers
---@return string body
function M.refuse(status, _, message, path)
  return errors.refusal(status, message, path, ids.request())
end

return M
