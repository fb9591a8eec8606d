--- What Lua has no value for: JSON null, arrays and objects whose form is declared, numbers that no double
--- holds, and ready JSON text.
local ffi = require("ffi")
local core = require("gate.json.core")

local values = {}
local failure = ffi.new("json_error")

--- JSON null. The same value that cjson uses, so that data of either can be given to the other.
values.null = require("cjson").null

---@class gate.json.Array Marked by json.array; an empty one is `[]`.
local ARRAY = {}
---@class gate.json.Object A list of { key, value } pairs, marked by json.object.
local OBJECT = {}
---@class gate.json.Number A number kept as it was written.
---@field text string
local NUMBER = {}
---@class gate.json.Raw JSON text that is put in as it is.
---@field text string
local RAW = {}

values.ARRAY, values.OBJECT, values.NUMBER, values.RAW = ARRAY, OBJECT, NUMBER, RAW

function NUMBER.__tostring(number)
  return number.text
end

function NUMBER.__eq(a, b)
  return a.text == b.text
end

--- Marks a table as an array (it is changed and returned): `json.array{}` is `[]`.
---@param list table
---@return gate.json.Array
function values.array(list)
  if type(list) ~= "table" then
    error("json.array: a table is expected, not " .. type(list), 2)
  end
  return setmetatable(list, ARRAY)
end

--- Makes an object whose members come out in the order given: `json.object{ {"type", "object"}, ... }`.
---@param pairs_list { [1]: string, [2]: any }[]
---@return gate.json.Object
function values.object(pairs_list)
  if type(pairs_list) ~= "table" then
    error("json.object: a list of { key, value } is expected, not " .. type(pairs_list), 2)
  end
  local count = 0
  for i, pair in next, pairs_list do
    if type(pair) ~= "table" or type(pair[1]) ~= "string" or pair[2] == nil then
      error("json.object: member " .. tostring(i) .. " is not { key, value } (json.null stands for null)", 2)
    end
    count = count + 1
  end
  if count ~= #pairs_list then -- a key twice is found when the text is checked
    error("json.object: a list with a hole", 2)
  end
  return setmetatable(pairs_list, OBJECT)
end

--- JSON text of one value, that goes out as it is.
---@param text string
---@return gate.json.Raw
function values.raw(text)
  if type(text) ~= "string" then
    error("json.raw: a string is expected, not " .. type(text), 2)
  elseif not core.C.json_check(text, #text, failure) then
    error(("json.raw: not JSON at byte %d: %s"):format(tonumber(failure.offset), ffi.string(failure.message)), 2)
  end
  return setmetatable({ text = text }, RAW)
end

--- The number that JSON text stands for where a double would round it.
---@param text string
---@return gate.json.Number
function values.exact_number(text)
  return setmetatable({ text = text }, NUMBER)
end

--- Is it a number that was kept as text?
---@return boolean
function values.is_number(value)
  return getmetatable(value) == NUMBER
end

return values
