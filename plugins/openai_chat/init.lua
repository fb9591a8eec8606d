--- The OpenAI Chat Completions API in front of Claude. request.lua and messages.lua turn what the client sends
--- into a Messages request (the pivot), answer.lua and stream.lua turn what comes back into what the client
--- expects; fields.lua says what happens to each field. What is not translated is refused by name.
local answer = require("plugins.openai_chat.answer")
local request = require("plugins.openai_chat.request")
local stream = require("plugins.openai_chat.stream")

---@type gate.Surface
local M = { name = "openai_chat", version = "1.0.0", api = 1, kind = "surface", dialect = "openai" }

M.schema = {}

local BODY_LIMIT_BYTES = 32 * 1024 * 1024 -- the Messages API's own limit (messages-api.md section 1)

M.routes = {
  { method = "POST", path = "/v1/chat/completions", body = "json", body_limit_bytes = BODY_LIMIT_BYTES },
  { method = "POST", path = "/chat/completions", body = "json", body_limit_bytes = BODY_LIMIT_BYTES },
}

local NO_USAGE = {}

M.ping = ": ping\n\n"

function M.read(ctx, _, _, req)
  local pivot, read = request.read(ctx, req.doc)
  if not pivot then
    return nil, read
  end
  ctx.body = pivot
  ctx.model = read.model
  ctx.effort = read.effort
  ctx.is_stream = read.stream
  ctx.own.include_usage = read.include_usage
end

function M.answer(ctx)
  return (answer.translate(ctx.answer, ctx.model, ctx.usage or NO_USAGE)) -- no tail call: it would not be compiled
end

function M.programs()
  return { chat = { rules = stream.rules } }
end

function M.open_stream(ctx)
  return "chat", stream.open(ctx, ctx.own.include_usage)
end

function M.translate_event(ctx, _, _, name, data, relay)
  return stream.translate(ctx, name, data, relay)
end

function M.end_stream(ctx, _, _, relay)
  stream.finish(ctx, relay)
end

return M
