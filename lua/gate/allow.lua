--- Which headers of an upstream's answer go back to the client: an allow-list, compiled once per account.
local M = {}

-- Never passed on, whatever a provider lists: they belong to one connection, or are the gateway's own.
local OWN = {
  connection = true, ["content-length"] = true, ["transfer-encoding"] = true, date = true, ["keep-alive"] = true,
  upgrade = true,
  trailer = true, te = true, ["set-cookie"] = true, ["content-encoding"] = true, ["x-request-id"] = true, server = true,
}

--- Compiles a provider's list of answer headers.
---@param names string[]? `*` at the end of a name stands for the rest.
---@return { exact: table<string, boolean>, prefixes: string[] }
function M.compile(names)
  local exact, prefixes = {}, {}
  for _, name in ipairs(names or {}) do
    name = name:lower()
    if name:sub(-1) == "*" then
      prefixes[#prefixes + 1] = name:sub(1, -2)
    elseif not OWN[name] then
      exact[name] = true
    end
  end
  return { exact = exact, prefixes = prefixes }
end

local function is_allowed(allow, name)
  if allow.exact[name] then
    return true
  elseif OWN[name] then
    return false
  end
  local prefixes = allow.prefixes
  for i = 1, #prefixes do
    local prefix = prefixes[i]
    if name:sub(1, #prefix) == prefix then
      return true
    end
  end
  return false
end

--- Appends those of an answer's headers that the client may see.
---@param call rt.client.Call
---@param allow table From compile().
---@param out string[] Flat.
function M.copy(call, allow, out)
  local headers = call:headers()
  local n = #out
  for i = 1, #headers do
    local name = headers[i][1]
    if is_allowed(allow, name) then
      out[n + 1], out[n + 2] = name, headers[i][2]
      n = n + 2
    end
  end
end

return M
