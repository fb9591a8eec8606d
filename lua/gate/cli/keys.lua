--- moongate keys new NAME: makes a client key. It is shown once and kept nowhere; the configuration gets its hash.
local crypto = require("rt.crypto")

local M = {
  usage = "keys new NAME [--user USER] [--team TEAM]", summary = "make a client key and its line for gate.lua",
  options = { user = "value", team = "value" }, takes_arguments = true,
}

local KEY_BYTES = 32

--- A new client key.
---@return string key
---@return string sha256 64 hex digits.
function M.make()
  local key = "mg-" .. crypto.base64url_encode(crypto.random_bytes(KEY_BYTES))
  return key, crypto.sha256_hex(key)
end

function M.run(arguments, options)
  local name = arguments[2]
  if arguments[1] ~= "new" or not name or arguments[3] then
    io.stderr:write("moongate keys: wants `new` and one NAME, such as moongate keys new alice\nusage: moongate ", M.usage, "\n")
    return 2
  end
  local key, hash = M.make()
  local line = ("{ name = %q, sha256 = %q"):format(name, hash)
  if options.user then
    line = line .. (", user = %q"):format(options.user)
  end
  if options.team then
    line = line .. (", teams = { %q }"):format(options.team)
  end
  io.stdout:write("key, shown only now:\n  ", key, "\nline for `keys` in gate.lua:\n  ", line, " },\n")
  return 0
end

return M
