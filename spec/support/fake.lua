--- Requests that no socket brought: what a plugin's hook is given, made from a few fields.
local ctx_module = require("gate.ctx")
local json = require("gate.json")

local M = {}

local function parse(body)
  if type(body) ~= "string" then
    return body
  end
  local doc, err = json.parse(body)
  return doc or error("fake body: " .. err.message, 3)
end

--- The server's request, as far as a context asks it.
---@param headers? table<string, string> Names in lower case.
---@param peer? string
function M.request(headers, peer)
  local req = {}
  function req:header(name)
    return (headers or {})[name]
  end
  function req:peer()
    return peer or "192.0.2.1:40000"
  end
  return req
end

--- A context. Unknown fields raise, as in the real one.
---@param fields? table Fields of gate.Ctx; `body` may be JSON text. Also `headers` (lower-case names), `peer`.
---@return gate.Ctx
function M.ctx(fields)
  fields = fields or {}
  local request = { method = "POST", path = "/v1/messages", params = {} }
  local entry = { surface_name = fields.surface or "fake", dialect = fields.dialect or "anthropic", operation = "messages" }
  local req = M.request(fields.headers, fields.peer)
  local ctx = ctx_module.new(req, "req_fake", { id = "fake", request_ms = 600000 }, entry, request, 0)
  for name, value in pairs(fields) do
    if name == "body" then
      ctx.body = ctx:own_doc(parse(value))
    elseif name ~= "headers" and name ~= "peer" and name ~= "surface" and name ~= "dialect" then
      ctx[name] = value
    end
  end
  return ctx
end

--- One try of a context's request.
---@param ctx gate.Ctx
---@param model? table Fields of the catalogue entry.
---@param body? string|gate.json.Doc Default: a fork of the context's body.
---@param fields? table Further fields of gate.Attempt.
---@return gate.Attempt
function M.attempt(ctx, model, body, fields)
  local entry = { name = "fake-model" }
  for name, value in pairs(model or {}) do
    entry[name] = value
  end
  local attempt = {
    number = #ctx.attempts + 1,
    target = { account = "fake", model = entry.name, reason = "fake" },
    account = "fake",
    provider = "fake",
    model = entry,
    body = parse(body) or ctx.body and ctx:own_doc(ctx.body:fork()),
    operation = ctx.operation,
    method = "POST",
    path = "/v1/messages",
    is_stream = ctx.is_stream,
    started_at_ms = 0,
  }
  for name, value in pairs(fields or {}) do
    attempt[name] = value
  end
  ctx.attempts[attempt.number] = attempt
  return attempt
end

return M
