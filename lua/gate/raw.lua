--- An exchange whose bodies are not looked at (files, batch results): bytes flow both ways, status and allowed
--- headers are the upstream's.
local answer = require("gate.answer")
local errors = require("gate.errors")

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
  ctx._status = call:status()
  while ok do
    local chunk, read_err = call:read()
    if not chunk then
      if read_err then -- never a clean end for what was cut
        ctx._error = errors.from_transport(read_err)
        req:abort()
      else
        req:finish()
      end
      return nil
    end
    ok, err = req:write(chunk)
  end
  call:close()
  return err
end

return M
