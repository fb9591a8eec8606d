--- Names and addresses as configuration and clients write them: listeners, URLs, targets. Pure.
local M = {}

--- Splits `account/model` or `@account/@model`. A bare name is no target.
---@param name string
---@return string? account
---@return string? model
function M.target(name)
  local account, model = name:match("^@([^/@]+)/@(.+)$")
  if account then
    return account, model
  end
  account, model = name:match("^([^/@]+)/([^@].*)$")
  return account, model
end

--- Splits an address to listen on: "127.0.0.1:8787", "[::1]:8787", ":8787", "unix:path".
---@param address string
---@return string? host
---@return integer|string port Or the message.
function M.listen(address)
  local path = address:match("^unix:(.+)$")
  if path then
    return path, 0
  end
  local host, port = address:match("^%[([%x:.]+)%]:(%d+)$")
  if not host then
    host, port = address:match("^([%w.-]*):(%d+)$")
  end
  port = tonumber(port)
  if not host or not port or port > 65535 then
    return nil, 'must be "host:port" with a port up to 65535, or "unix:path"'
  end
  return host == "" and "0.0.0.0" or host, port
end

local function is_loopback(host)
  return host == "localhost" or host == "::1" or host:find("^127%.%d+%.%d+%.%d+$") ~= nil
end

--- Takes a base URL apart.
---@param url string For example "https://host:8443/prefix".
---@return { scheme: string, host: string, port: integer, origin: string, path: string, is_loopback: boolean }?
---@return gate.Err? err bad_request
function M.url(url)
  local function refuse(message)
    return nil, { code = "bad_request", message = string.format("%s: %q", message, url) }
  end
  local scheme, rest = url:match("^(https?)://(.+)$")
  if not scheme then
    return refuse("must begin with https:// or http://")
  end
  local authority, path = rest:match("^([^/?#]+)(.*)$")
  if not authority or authority:find("[@%s%c]") or path:find("[?#%s%c]") then
    return refuse("is no plain URL (no user, query or fragment)")
  end
  local host, port = authority:match("^%[([%x:.]+)%]:?(%d*)$")
  local shown = host and ("[" .. host .. "]")
  if not host then
    host, port = authority:match("^([%w.-]+):(%d+)$")
    if not host then
      host, port = authority:match("^[%w.-]+$"), ""
    end
    shown = host
  end
  if not host then
    return refuse("has no valid host")
  end
  local default_port = scheme == "https" and 443 or 80
  local number = port == "" and default_port or tonumber(port)
  if not number or number < 1 or number > 65535 then
    return refuse("has no valid port")
  end
  return {
    scheme = scheme, host = host, port = number,
    origin = scheme .. "://" .. shown .. (number ~= default_port and (":" .. number) or ""),
    path = (path:gsub("/+$", "")),
    is_loopback = is_loopback(host),
  }
end

local ADVICE = {
  address_in_use = "another program serves there, perhaps a moongate: end it, or set another address in %s",
  not_permitted = "this user may not serve there; ports below 1024 want CAP_NET_BIND_SERVICE, or set another address in %s",
  not_found = "its folder is missing: make it, or set another path in %s",
}

--- Why an address could not be served, and what to do.
---@param err gate.Err
---@param where string Where it is set.
---@return string
function M.advise(err, where)
  local advice = ADVICE[err.code] or "this machine has no such address: set another in %s"
  return err.message .. "\n" .. advice:format(where)
end

--- Percent-decodes one path segment; nil when an escape is broken or hides a control character.
---@param segment string
---@return string?
function M.decode(segment)
  if not segment:find("%", 1, true) then
    return segment
  end
  local is_bad = false
  local out = segment:gsub("%%(.?.?)", function(hex)
    if not hex:find("^%x%x$") then
      is_bad = true
      return ""
    end
    return string.char(tonumber(hex, 16))
  end)
  if is_bad or out:find("%c") then
    return nil
  end
  return out
end

return M
