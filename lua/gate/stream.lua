--- A streamed answer. Bytes and rules run in C (rt.relay); here is what is decided once per stream: which
--- program, when the 200 leaves (not before the first event, so that a failure before it can still fall
--- back), what a failure in the middle looks like, and what was used. M.begin runs inside the tries; M.pump,
--- which lasts as long as the stream, is called when all of that has returned: thousands of streams wait in it, and
--- each keeps its whole Lua stack.
local answer = require("gate.answer")
local ctx_of = require("gate.ctx")
local errors = require("gate.errors")
local events = require("gate.events")
local pipeline = require("gate.pipeline")
local pivot = require("gate.pivot")
local relay_of = require("rt.relay")
local secret = require("gate.secret")
local time = require("rt.time")

local M = {}

local enter, leave = pipeline.enter, pipeline.leave
local monotonic_ms = time.monotonic_ms

local PING_MS = 15000

local function set_variables(relay, variables)
  for i = 1, variables and #variables or 0 do
    relay:set(i, variables[i])
  end
end

-- Which way the events go: "pass" (bytes, C only), "rules" (C, the rest through Lua), "events" (all through Lua).
local function open(ctx, req, gen, account, call)
  local entry, programs = ctx._entry, gen.programs
  local has_hook = gen.hooks.on_event
  local native_provider = account.module.native and (account.module.framing or "sse") == "sse"
  if entry.is_native then
    local is_pass = native_provider and not has_hook
    local relay, err = relay_of.new(req, call, (is_pass and programs.pass or programs.events)[account.provider])
    return relay, relay and (is_pass and "pass" or "events") or err
  end
  enter(ctx, entry)
  local name, variables = entry.module.open_stream(ctx, entry.conf, entry.state)
  leave(ctx)
  local mode, program = "events", programs.events[account.provider]
  if account.module.native and not has_hook then
    local compiled = programs.by_surface[entry.index]
    program = compiled and compiled[account.provider] and compiled[account.provider][name]
    if not program then
      error(string.format("surface %s has no program %q", entry.surface_name, tostring(name)))
    end
    mode = "rules"
  end
  local relay, err = relay_of.new(req, call, program)
  if not relay then
    return nil, err
  end
  set_variables(relay, variables)
  return relay, mode
end

local function emit_native(relay, name, data)
  if data:find("\n", 1, true) then
    data = data:gsub("\n", "\ndata: ")
  end
  relay:emit("event: " .. name .. "\ndata: " .. data .. "\n\n")
end

local function to_surface(ctx, relay, name, data)
  local entry = ctx._entry
  if entry.is_native then
    emit_native(relay, name, data)
    return nil
  end
  enter(ctx, entry)
  local _, err = entry.module.translate_event(ctx, entry.conf, entry.state, name, data, relay)
  leave(ctx)
  return err
end

-- One pivot event through plugins to the surface.
local function handle(ctx, gen, relay, event, name, data)
  if event then
    local err
    data, err = events.show(event, gen.hooks.on_event, ctx, name, data)
    if err then
      return err
    elseif not data then
      return nil
    end
  end
  return to_surface(ctx, relay, name, data)
end

-- A provider that does not speak the pivot: its event becomes none, one or several of the pivot's.
local function handle_foreign(ctx, gen, relay, event, attempt, account, name, data)
  local list, err = account.module.read_event(attempt, account.state, name, data)
  if err then
    return err
  end
  for i = 1, list and #list or 0, 2 do
    err = handle(ctx, gen, relay, event, list[i], list[i + 1])
    if err then
      return err
    elseif list[i] == "error" then
      return pivot.error_of_event(list[i + 1])
    end
    if list[i] == "message_stop" then
      attempt.is_stopped = true
    end
  end
end

--- The stream from its first event to its last. Here thousands of tasks wait: few locals, no function around it.
---@return gate.Err? err What ended it early; for M.finish.
function M.pump(ctx, gen)
  local relay, mode, attempt = ctx._relay, ctx._mode, ctx._attempt
  local account = attempt._account
  local event = mode == "events" and gen.hooks.on_event and events.new(true) or nil
  local is_native = account.module.native
  while true do
    local kind, name, data = relay:next()
    if kind == "end" then
      return nil
    elseif not kind then
      return errors.from_transport(name)
    end
    local err
    if not is_native then
      err = handle_foreign(ctx, gen, relay, event, attempt, account, name, data)
    elseif name == "error" then
      err = pivot.error_of_event(data)
    elseif not (name == "message_stop" and mode == "rules") then
      err = handle(ctx, gen, relay, event, name, data)
    end
    if err then
      return err
    end
  end
end

local QUIET = { client_closed = true, stalled = true, cancelled = true }

-- The last of a stream that went wrong after its 200: an event in the client's dialect, then the end.
local function fail(ctx, req, relay, err)
  ctx._error = err
  if QUIET[err.code] then
    ctx._status = 499
    req:abort()
    return
  end
  local entry = ctx._entry
  local text
  if entry.module.stream_error then
    text = entry.module.stream_error(err, ctx)
  else
    text = errors.stream_event(ctx.dialect, err, ctx.id)
  end
  -- In pass mode half an event may have gone out: an empty line ends it.
  relay:emit(relay:is_between() and text or ("\n\n" .. text))
  req:finish()
end

local function usage_of(relay, attempt)
  return attempt.foreign_usage or pivot.usage_of_relay(relay)
end

--- Waits for the stream's first event and starts the client's answer. ctx._relay is set then; M.pump and M.finish go on.
---@return gate.Err? err Nothing was sent yet then, so another target may be tried.
function M.begin(ctx, req, gen, attempt, account, call)
  local headers, content_type, content_encoding = answer.headers(ctx, account, call)
  if content_encoding and content_encoding ~= "identity" then
    call:close()
    return errors.new("upstream_bad_response", "upstream: the answer has an encoding that was not asked for")
  elseif (account.module.framing or "sse") == "sse"
      and not (content_type and content_type:find("text/event-stream", 1, true)) then
    call:close()
    return errors.new("upstream_bad_response", "upstream: a document came where a stream was asked for")
  end
  local relay, mode = open(ctx, req, gen, account, call)
  if not relay then
    call:close()
    return errors.from_transport(mode)
  end
  relay:no_content_after(gen.config.timeouts.no_content_ms)
  local name, data = relay:first()
  if not name then
    relay:close()
    return errors.from_transport(data or { code = "closed", message = "the stream ended before its first event" })
  elseif name == "error" and account.module.native then
    relay:close()
    local err = pivot.error_of_event(data)
    err.is_event = true
    return err
  end
  if not ctx._entry.is_native then
    headers[2] = "text/event-stream; charset=utf-8"
  end
  headers[#headers + 1] = "cache-control"
  headers[#headers + 1] = "no-cache"
  answer.add_warnings(ctx, headers)
  local ok, err = req:start(200, headers)
  if not ok then
    relay:close()
    return err
  end
  ctx._status = 200
  call:forget_head()
  if not (gen.hooks.on_event or gen.hooks.on_end) then
    ctx_of.forget(ctx) -- nobody reads the request any more: a long stream need not keep it
    attempt.body = nil
  end
  local ping = ctx._entry.module.ping
  if ping then
    relay:ping_every(PING_MS, ping)
  end
  ctx._relay, ctx._mode, attempt._account = relay, mode, account
  return nil
end

--- The end of the stream, and of the client's answer.
---@param err gate.Err? What M.pump returned.
function M.finish(ctx, req, gen, err)
  local relay, mode, attempt = ctx._relay, ctx._mode, ctx._attempt
  attempt.ended_at_ms = monotonic_ms()
  answer.set_usage(ctx, gen, attempt, usage_of(relay, attempt))
  if not err and not (attempt.is_stopped or relay:slot("stopped")) then
    if mode == "pass" and relay:slot("error_type") then
      -- The upstream's own error event went out as it was.
      ctx._error = errors.from_type(relay:slot("error_type"), secret.redact(relay:slot("error_message") or ""))
      req:finish()
      return
    end
    err = errors.new("upstream_disconnected", "upstream: the stream ended before message_stop")
  end
  if err then
    relay:close()
    attempt.error = err
    fail(ctx, req, relay, err)
    return
  end
  if mode ~= "pass" and not ctx._entry.is_native then
    enter(ctx, ctx._entry)
    ctx._entry.module.end_stream(ctx, ctx._entry.conf, ctx._entry.state, relay)
    leave(ctx)
  end
  req:finish()
end

return M
