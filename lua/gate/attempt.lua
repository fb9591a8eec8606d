--- The tries of one request: target after target under one deadline, until one answers or a failure is
--- final. What was sent to the client is never tried again: gate.stream and gate.document say whether a
--- failure came before the first byte.
local document = require("gate.document")
local errors = require("gate.errors")
local log = require("gate.log")
local pipeline = require("gate.pipeline")
local pivot = require("gate.pivot")
local raw = require("gate.raw")
local reply_of = require("gate.plugin").is_reply
local secret = require("gate.secret")
local stream = require("gate.stream")
local time = require("rt.time")
local upstream = require("gate.upstream")

local M = {}

local monotonic_ms = time.monotonic_ms
local enter, leave = pipeline.enter, pipeline.leave

local function is_success(status)
  return status >= 200 and status < 300
end

-- The error that an upstream's answer tells.
local function read_error(ctx, attempt, account, call)
  local headers = {}
  account.allow:copy(call, headers, 0)
  local text, read_err = upstream.read_text(call)
  if read_err and (read_err.code == "client_closed" or read_err.code == "cancelled") then
    return read_err
  end
  enter(ctx, account)
  local err = account.module.read_error(call, text, account.state)
  leave(ctx)
  if type(err) ~= "table" or not errors.is_known(err.code) then
    log.event("warn", "provider_error_unknown", {
      provider = account.provider, request = ctx.id, code = type(err) == "table" and tostring(err.code) or "none",
    })
    err = { code = "upstream_error", message = type(err) == "table" and err.message
      or "the upstream refused the request", status = nil }
  end
  err.upstream_status = attempt.status
  err.message = secret.redact(tostring(err.message))
  err.log_message = err.log_message and secret.redact(tostring(err.log_message))
  err.body = err.body and secret.redact(err.body)
  err.headers = headers
  call:close() -- not before: its headers go with it
  return err
end

-- The body of an attempt is a fork of the request's, made when a plugin first asks for it: a request that nobody
-- edits is sent from the very bytes that were read. What is the request's is read there, until somebody sets it:
-- streams are many, and their attempts stay small.
local Attempt = {}

local OF_CTX = { operation = true, api_version = true, betas = true, is_stream = true }
local OF_REQUEST = { method = true, path = true, query = true }

function Attempt.__index(self, key)
  local ctx = self._ctx
  if OF_CTX[key] then
    return ctx[key]
  elseif OF_REQUEST[key] then
    local request = ctx.request
    return key == "path" and ctx._entry.upstream_path or request and request[key]
  elseif key ~= "body" then
    return nil
  end
  local source = ctx.body
  if not source or self._is_as_is then
    return source
  end
  local body = ctx:own_doc(source:fork())
  pivot.set_model(body, self.target.model)
  rawset(self, "body", body)
  return body
end

local function new_attempt(ctx, target, account, entry, number)
  return setmetatable({
    number = number, target = target, account = account.name, provider = account.provider, model = entry,
    started_at_ms = monotonic_ms(), first_byte_at_ms = false, ended_at_ms = false, status = false, _ctx = ctx,
    _is_as_is = false,
  }, Attempt)
end

-- One exchange with the upstream. Returns nothing when the client was answered (or is gone), else the error.
local function exchange(ctx, req, gen, attempt, account)
  local provider = account.module
  local source = ctx.body
  if source and rawget(attempt, "body") == nil and source:get("model") == attempt.target.model then
    attempt._is_as_is = true -- build() only looks at the body
  end
  enter(ctx, account)
  local request, err = provider.build(attempt, account.state)
  leave(ctx)
  if not request then
    return err
  end
  local body = request.body
  if body ~= nil and body == attempt.body then
    request.body = body:output()
  elseif body == nil and ctx._entry.body == "stream" then
    request.body = req
  end
  local call
  call, err = gen.client:send(request)
  request.body = nil -- the provider may keep the table; it must not keep the body
  attempt._is_as_is = false
  if not call then
    return errors.from_transport(err)
  end
  attempt.first_byte_at_ms = monotonic_ms()
  local status = call:status()
  attempt.status = status
  attempt.request_ids = upstream.request_ids(call, provider.request_id_headers)
  ctx._upstream_ids = attempt.request_ids
  if not ctx.body then
    return raw.run(ctx, req, attempt, account, call)
  elseif not is_success(status) then
    return read_error(ctx, attempt, account, call)
  elseif ctx.is_stream then
    return stream.begin(ctx, req, gen, attempt, account, call)
  end
  return document.run(ctx, req, gen, attempt, account, call)
end

-- One try. `is_final`: the request is over, whatever targets are left.
local function try(ctx, req, gen, target, number)
  local account, entry = gen:resolve(target.account, target.model)
  if not account then
    return { code = "internal", message = "internal error", log_message = "no account " .. tostring(target.account) },
      true
  elseif not entry then
    return { code = "model_not_found", message = "the model " .. tostring(target.model) .. " is not known",
      param = "model" }
  end
  local attempt = new_attempt(ctx, target, account, entry, number)
  local attempts = ctx.attempts
  attempts[number] = attempt
  ctx._attempt = attempt
  local hooks = gen.hooks.on_attempt
  if hooks then
    local result, err = hooks.run(ctx, attempt)
    if err then
      attempt.error = err
      return err, true
    elseif result then
      return { reply = result }, true
    end
  end
  local err = exchange(ctx, req, gen, attempt, account)
  attempt.ended_at_ms = monotonic_ms()
  attempt.error = err
  return err, err == nil or ctx._req:is_started()
end

local function decide(ctx, gen, attempt, err)
  local hooks = attempt and gen.hooks.on_failure
  if hooks then
    local decision = hooks.run(ctx, attempt)
    if decision == "retry" or decision == "next" or decision == "fail" then
      return decision
    end
  end
  return upstream.decide(err)
end

local FINAL = { client_closed = true, cancelled = true, stalled = true, timeout = true }

--- Tries the targets of a request in order.
---@param ctx gate.Ctx
---@param req rt.server.Request
---@param gen table
---@return gate.Err? err What the client is to be told; nil: it was answered.
---@return gate.Reply? reply A hook's answer.
function M.run(ctx, req, gen)
  local targets, retry = ctx.targets, gen.config.retry
  local index, repeats, number = 1, 0, 0
  upstream.earn()
  while true do
    number = number + 1
    local err, is_final = try(ctx, req, gen, targets[index], number)
    if err == nil then
      return nil
    elseif err.reply and reply_of(err.reply) then
      return nil, err.reply
    elseif is_final or FINAL[err.code] or number >= retry.attempts then
      return err
    end
    local decision = decide(ctx, gen, ctx.attempts[number], err)
    if decision == "fail" then
      return err
    elseif decision == "next" and targets[index + 1] then
      index, repeats = index + 1, 0
    else
      -- No other target is left (or a plugin wants this one again): repeat it, if it cost nothing.
      if repeats >= retry.same_target or not (decision == "retry" or upstream.may_repeat(err)) then
        return err
      end
      local pause = upstream.pause_ms(err, repeats, retry.max_wait_ms)
      if not pause or ctx._entry.body == "stream" or not upstream.spend() then
        return err
      end
      repeats = repeats + 1
      local ok, wait_err = time.sleep(pause)
      if not ok and wait_err then
        return wait_err
      end
    end
  end
end

return M
