--- What a client may ask the simulator for: `#sim name=value name="value with blanks"` anywhere in the last user
--- message. So every failure of an upstream can be tried by hand, through any client.
local M = {}

--- name -> what it does. Documented in README.md of this folder.
M.KNOWN = {
  text = "string", -- answer with exactly this text
  words = "integer", -- answer with this many words
  thinking = "string", -- think exactly this, where thinking is on
  tool = "string", -- call this tool
  stop_reason = "string",
  refuse = "flag", -- a refusal before any output
  error = "string", -- fail with this error type
  status = "integer", -- ... and this status (otherwise the type's own)
  after = "integer", -- ... after this many events of a stream
  retry_after = "integer", -- seconds, on an error
  cut = "flag", -- break the connection instead of answering (or after `after` events)
  stall = "flag", -- stop answering (or after `after` events) until the caller goes away
  delay_ms = "integer", -- wait before each event
}

---@param text string
---@return table<string, any> directives
---@return string text What is left of the text.
function M.read(text)
  local found = {}
  local rest = text:gsub("#sim([^\n]*)", function(line)
    line = line:gsub('([%w_]+)="([^"]*)"', function(name, value)
      found[name] = value
      return ""
    end)
    for name, value in line:gmatch("([%w_]+)=(%S+)") do
      found[name] = value
    end
    for name in line:gsub("[%w_]+=%S+", ""):gmatch("[%w_]+") do
      found[name] = true
    end
    return ""
  end)
  for name, value in pairs(found) do
    local kind = M.KNOWN[name]
    if kind == "integer" then
      found[name] = tonumber(value)
    elseif kind == nil then
      found[name] = nil
    end
  end
  return found, rest
end

return M
