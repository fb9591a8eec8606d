--- What document, stream and raw answers share: head of the answer, usage and cost.
local log = require("gate.log")

local M = {}

--- The head of an answer that came from an upstream: request id, what the provider lets through, warnings.
---@param ctx gate.Ctx
---@param account gate.Account
---@param call rt.client.Call
---@return string[] headers Flat; the first two are the content type: the upstream's, until somebody changes it.
---@return string? content_type
---@return string? content_encoding
function M.headers(ctx, account, call)
  local headers = { "content-type", "application/json", "x-request-id", ctx.id, nil, nil, nil, nil, nil, nil }
  local _, content_type, content_encoding = account.allow:copy(call, headers, 4)
  if content_type then
    headers[2] = content_type
  end
  return headers, content_type, content_encoding
end

-- "dropped seed": the code, and the field that the message begins with.
local function warning_text(warning)
  local field = warning.message:match("^([%w_.%-]+):")
  return field and (warning.code .. " " .. field) or warning.code
end

--- Names what could not be carried to the target: "dropped seed, changed temperature".
function M.add_warnings(ctx, headers)
  local warnings = rawget(ctx, "warnings")
  if warnings and #warnings > 0 then
    local codes = {}
    for i = 1, #warnings do
      codes[i] = warning_text(warnings[i])
    end
    headers[#headers + 1] = "x-moongate-warnings"
    headers[#headers + 1] = table.concat(codes, ", ")
  end
end

--- Notes what an attempt used, and what it costs.
---@param ctx gate.Ctx
---@param gen table
---@param attempt gate.Attempt
---@param usage gate.Usage?
function M.set_usage(ctx, gen, attempt, usage)
  if not usage then
    return
  end
  attempt.usage, ctx.usage = usage, usage
  local ok, cost = pcall(gen.app.catalog.cost, attempt.model, usage)
  if ok then
    ctx.cost = cost
  else
    log.event("error", "cost_failed", { request = ctx.id, message = tostring(cost) })
  end
end

return M
