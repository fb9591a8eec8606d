--- Lua values as JSON text, the same text every time: members in declared order (json.object), else sorted by
--- key; never in the order of `pairs`, which differs from process to process.
--- The text is put together in Lua's own string buffer, not through json_writer: one crossing into C at the end
--- (which also checks it) costs less than one for every piece.
local buffer = require("string.buffer")
local ffi = require("ffi")
local core = require("gate.json.core")
local values = require("gate.json.values")

local C, ROOT = core.C, core.ROOT
local null, ARRAY, OBJECT, NUMBER, RAW = values.null, values.ARRAY, values.OBJECT, values.NUMBER, values.RAW
local getmetatable, next, type, istype = getmetatable, next, type, ffi.istype
local find, gsub, sort = string.find, string.gsub, table.sort
local int64, uint64 = ffi.typeof("int64_t"), ffi.typeof("uint64_t")
local MAX_DEPTH = 128

-- Filled anew by each call; nothing in here yields or calls foreign code.
local out = buffer.new(1024)
local size = ffi.new("json_size")
local failure = ffi.new("json_error")
local number_text = ffi.new("char[32]")

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r",
  ["\t"] = "\\t", ["\127"] = "\127" }
for byte = 0, 31 do
  local character = string.char(byte)
  ESCAPES[character] = ESCAPES[character] or ("\\u%04x"):format(byte)
end

local write

local function write_string(text)
  if find(text, '[%c"\\]') then
    text = gsub(text, '[%c"\\]', ESCAPES)
  end
  out:put('"', text, '"')
end

local function write_number(number)
  if number % 1 == 0 and number < 1e14 and number > -1e14 and number ~= 0 then
    out:put(number)
  elseif number - number ~= 0 then
    error("json: number is not finite", 0)
  else
    out:putcdata(number_text, C.json_format_number(number_text, number))
  end
end

-- Number of elements when the keys are 1..n; nil for a map. Anything between raises.
local function sequence_length(t)
  local count = #t
  local seen = 0
  for key in next, t do
    if type(key) == "number" then
      if key < 1 or key > count or key % 1 ~= 0 then
        error("json: a table with a hole, or with keys that are neither strings nor 1..n", 0)
      end
      seen = seen + 1
    elseif type(key) ~= "string" then
      error("json: a key of type " .. type(key), 0)
    elseif count > 0 then
      error("json: a table with both strings and 1..n as keys", 0)
    end
  end
  if count == 0 then
    return nil
  end
  if seen ~= count then
    error("json: a list with a hole", 0)
  end
  return count
end

local function write_pairs(t, depth)
  for i = 1, #t do
    local pair = t[i]
    out:put(i == 1 and "{" or ",")
    write_string(pair[1])
    out:put(":")
    write(pair[2], depth + 1)
  end
  out:put(#t == 0 and "{}" or "}")
end

local function write_map(t, depth)
  local keys, n = {}, 0
  for key in next, t do
    n = n + 1
    keys[n] = key
  end
  sort(keys)
  out:put("{")
  for i = 1, n do
    if i > 1 then
      out:put(",")
    end
    write_string(keys[i])
    out:put(":")
    write(t[keys[i]], depth + 1)
  end
  out:put("}")
end

local function write_table(t, depth)
  if depth > MAX_DEPTH then
    error("json: nested too deeply, or a table inside itself", 0)
  end
  local mark = getmetatable(t)
  if mark == NUMBER or mark == RAW then
    out:put(t.text)
    return
  elseif mark == OBJECT then
    return write_pairs(t, depth)
  end
  local count = sequence_length(t)
  if not count then
    if mark ~= ARRAY then
      return write_map(t, depth)
    elseif next(t) ~= nil then
      error("json: an array with strings as keys", 0)
    end
    count = 0
  end
  out:put("[")
  for i = 1, count do
    if i > 1 then
      out:put(",")
    end
    write(t[i], depth + 1)
  end
  out:put("]")
end

local function write_node(document, id)
  local raw = C.json_document_raw(document, id, size)
  if raw == nil then
    error("json: the document was freed", 0)
  end
  out:putcdata(raw, size.n)
end

-- Writes any value that JSON has a form for; raises (without a position) for all others.
function write(value, depth)
  local kind = type(value)
  if kind == "string" then
    write_string(value)
  elseif kind == "number" then
    write_number(value)
  elseif kind == "boolean" then
    out:put(value and "true" or "false")
  elseif kind == "table" then
    write_table(value, depth)
  elseif value == null then
    out:put("null")
  elseif istype(core.handle, value) then
    write_node(value.document, value.id)
  elseif istype(core.document, value) then
    write_node(value, ROOT)
  elseif istype(int64, value) or istype(uint64, value) then
    out:put((tostring(value):match("^%-?%d+")))
  elseif value == nil then
    error("json: nil where a value is needed (json.null stands for null)", 0)
  else
    error("json: no form for a " .. kind, 0)
  end
end

local M = {}

--- The text of a value, in the shared buffer: a pointer and a size, good until the next call. Not checked yet: UTF-8
--- and keys that occur twice are for the scan that follows. Raises with the caller's position when the value has no
--- JSON form.
---@param value any
---@param level integer As for `error`.
---@return ffi.cdata* text `const char *`
---@return integer size
function M.to_buffer(value, level)
  out:reset()
  local ok, message = pcall(write, value, 1)
  if not ok then
    error(message, level + 1)
  end
  return out:ref()
end

--- The text of a value. Raises for what JSON cannot say: NaN, infinities, functions, tables that are both list and
--- map, lists with holes, text that is not UTF-8, a key twice.
---@param value any
---@return string
function M.encode(value)
  local text, length = M.to_buffer(value, 2)
  if not C.json_check(text, length, failure) then
    error("json: " .. ffi.string(failure.message), 2)
  end
  return ffi.string(text, length)
end

return M
