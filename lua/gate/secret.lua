--- A value that must not be seen: prints as "[secret]", cannot be walked or encoded; only reveal() gives it.
local M = {}

local values = setmetatable({}, { __mode = "k" })
local Secret = { __metatable = "secret" }
Secret.__index = Secret

function Secret.__tostring()
  return "[secret]"
end

function Secret.__newindex()
  error("a secret cannot be changed", 2)
end

function Secret.__concat()
  error("a secret cannot be joined to a text: use secret:reveal() where it leaves the process", 2)
end

--- The value itself, for a signer or an authorization header.
---@return string
function Secret:reveal()
  return values[self]
end

--- Wraps a text.
---@param value string
---@return table secret
function M.new(value)
  local handle = setmetatable({}, Secret)
  values[handle] = value
  return handle
end

local REDACT_MIN_BYTES = 8 -- shorter ones would blot out ordinary words
local HIDDEN = "[secret]"

-- Shapes in which credentials are usually written, each with the least length that makes one. What stands before the
-- second capture is kept.
local SHAPES = {
  { "%f[%w]()(sk%-[%w_%-]+)", 16 },
  { "([Bb]earer%s+)([%w%-%._~%+/]+=*)", 12 },
  { "%f[%w]()(A[KS]IA[%u%d]+)", 20 },
  { "(Signature=)(%x+)", 16 },
  { "(://)([^%s/@\"'\\]+:[^%s/@\"'\\]+)%f[@]", 3 },
  { "%f[%w+/]()([%w+/]+=*)", 100 },
}

--- A text without any of the secrets of this process, and without what looks like anybody's: for what an upstream
--- says about a request.
---@param text string
---@return string
function M.redact(text)
  for _, value in pairs(values) do
    if #value >= REDACT_MIN_BYTES then
      local from, to = text:find(value, 1, true)
      while from do
        text = text:sub(1, from - 1) .. HIDDEN .. text:sub(to + 1)
        from, to = text:find(value, from + #HIDDEN, true)
      end
    end
  end
  for _, shape in ipairs(SHAPES) do
    text = text:gsub(shape[1], function(before, found)
      if #found >= shape[2] then
        return (type(before) == "string" and before or "") .. HIDDEN
      end
    end)
  end
  return text
end

--- Is this a secret handle?
---@param value any
---@return boolean
function M.is(value)
  return values[value] ~= nil
end

return M
