--- What document, stream and raw answers share: head of the answer, usage and cost.
local allow = require("gate.allow")
local log = require("gate.log")

local M = {}

--- The head of an answer that came from an upstream: request id, what the provider lets through, warnings.
---@param ctx gate.Ctx
---@param account gate.Account
---@param call rt.client.Call
---@param content_type string?
---@return string[] headers Flat.
function M.headers(ctx, account, call, content_type)
  local headers = { "content-type", content_type or "application/json", "x-request-id", ctx.id }
  allow.copy(call, account.allow, headers)
  M.add_warnings(ctx, headers)
  return headers
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
