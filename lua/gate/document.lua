--- An answer that is one document: read whole, metered, and given to the client as its surface writes it.
--- A native surface gets the upstream's bytes as they are.
local answer = require("gate.answer")
local errors = require("gate.errors")
local events = require("gate.events")
local json = require("gate.json")
local lift_of = require("gate.json.lift")
local pipeline = require("gate.pipeline")
local pivot = require("gate.pivot")

local M = {}

local enter, leave = pipeline.enter, pipeline.leave

local function bad(message)
  return errors.new("upstream_bad_response", "upstream: %s", message)
end

-- The answer's head and bytes, or the error.
local function read(ctx, gen, account, call)
  local headers, content_type, encoding = answer.headers(ctx, account, call)
  if content_type and content_type ~= "application/json" and content_type:find("text/event-stream", 1, true) then
    call:close()
    return nil, bad("a stream came where a document was asked for")
  elseif encoding and encoding ~= "identity" then
    call:close()
    return nil, bad("the answer has an encoding that was not asked for")
  end
  local body, err = call:read_body(gen.config.limits.answer_bytes)
  if not body then
    return nil, errors.from_transport(err)
  end
  return body, headers
end

-- Bytes to bytes: checked, metered, passed on.
local function pass(ctx, req, gen, attempt, body, headers)
  local usage, err = pivot.usage_of_text(body)
  if err then
    lift_of.drop(body)
    return bad("the answer is no JSON: " .. err.message)
  end
  answer.set_usage(ctx, gen, attempt, usage)
  answer.add_warnings(ctx, headers)
  ctx._status = attempt.status
  local ok
  ok, err = req:respond(attempt.status, headers, body)
  lift_of.drop(body)
  if not ok then
    return err
  end
end

-- The pivot answer as a document, or the error.
local function parse(ctx, attempt, account, body)
  local doc, err = json.parse(body)
  if not doc then
    return nil, bad("the answer is no JSON: " .. tostring(err.message))
  end
  ctx:own_doc(doc)
  if not account.module.native then
    doc, err = account.module.read_answer(attempt, account.state, doc)
    if not doc then
      return nil, err
    end
    ctx:own_doc(doc)
  end
  return doc
end

--- Answers the client with a document.
---@return gate.Err? err Nothing was sent yet then.
function M.run(ctx, req, gen, attempt, account, call)
  local text, headers = read(ctx, gen, account, call)
  if not text then
    return headers -- the error
  end
  local hooks, entry = gen.hooks, ctx._entry
  if entry.is_native and account.module.native and not (hooks.on_event or hooks.on_response) then
    return pass(ctx, req, gen, attempt, text, headers)
  end
  local doc, err = parse(ctx, attempt, account, text)
  if not doc then
    return err
  end
  ctx.answer = doc
  answer.set_usage(ctx, gen, attempt, pivot.usage_of_answer(doc))
  if hooks.on_event then
    err = events.of_document(ctx, hooks.on_event, doc)
    if err then
      return err
    end
  end
  if hooks.on_response then
    local result
    result, err = hooks.on_response.run(ctx)
    if err then
      return err
    elseif result then
      ctx._reply = result
      return nil
    end
  end
  local body, extra
  if entry.is_native then
    body = ctx.answer
  else
    enter(ctx, entry)
    body, extra = entry.module.answer(ctx, entry.conf, entry.state)
    leave(ctx)
    if not body then
      return extra or errors.new("internal", "internal error")
    end
    headers[2] = "application/json"
  end
  answer.add_warnings(ctx, headers)
  for i = 1, extra and #extra or 0 do
    headers[#headers + 1] = extra[i]
  end
  if type(body) ~= "string" then
    if body ~= doc then
      ctx:own_doc(body)
    end
    body = body:output()
  end
  ctx._status = attempt.status
  local ok
  ok, err = req:respond(attempt.status, headers, body)
  if not ok then
    return err
  end
end

return M
