--- Which headers of an upstream's answer go back to the client: the provider's list, without what belongs to one
--- connection or is the gateway's own. The work is done in C (rt.allow), once per answer.
local allow = require("rt.allow")

local M = {}

local OWN = {
  "connection", "content-length", "transfer-encoding", "date", "keep-alive", "upgrade", "trailer", "te", "set-cookie",
  "content-encoding", "content-type", "x-request-id", "server", "proxy-*", "www-authenticate", "strict-transport-security",
}

--- Compiles a provider's list of answer headers.
---@param names string[]? `*` at the end of a name stands for the rest.
---@return rt.allow.List
function M.compile(names)
  local lower = {}
  for i, name in ipairs(names or {}) do
    lower[i] = name:lower()
  end
  return allow.new(lower, OWN)
end

return M
