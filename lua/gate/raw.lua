--- An exchange whose bodies are not looked at (files, batch results): bytes flow both ways, status and allowed
--- headers are the upstream's.
local answer = require("gate.answer")
local errors = require("gate.errors")
local relay_of = require("rt.relay")

local M = {}

--- Passes an upstream's answer on.
---@return gate.Err? err Nothing was sent yet then.
function M.run(ctx, req, _, account, call)
  local headers, content_type, content_encoding = answer.headers(ctx, account, call)
  if not content_type then
    headers[2] = "application/octet-stream"
  end
  if content_encoding then
    headers[#headers + 1], headers[#headers + 2] = "content-encoding", content_encoding
  end
  answer.add_warnings(ctx, headers)
  local ok, err = req:start(call:status(), headers)
  if not ok then
    call:close()
    return err
  end
  ctx._status = call:status()
  local _, copy_err = relay_of.copy(req, call)
  if copy_err then -- never a clean end for what was cut
    ctx._error = errors.from_transport(copy_err)
    call:close()
    req:abort()
  else
    req:finish()
  end
  return nil
end

return M
