--- Lua values as JSON text, the same text every time: members in declared order (json.object), else sorted by
--- key; never in the order of `pairs`, which differs from process to process.
local ffi = require("ffi")
local core = require("gate.json.core")
local values = require("gate.json.values")

local C, ROOT = core.C, core.ROOT
local null, ARRAY, OBJECT, NUMBER, RAW = values.null, values.ARRAY, values.OBJECT, values.NUMBER, values.RAW
local getmetatable, next, type, istype = getmetatable, next, type, ffi.istype
local int64, uint64 = ffi.typeof("int64_t"), ffi.typeof("uint64_t")
local MAX_DEPTH = 128

local write

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

local function write_list(w, t, count, depth)
  C.json_writer_open_array(w)
  for i = 1, count do
    write(w, t[i], depth)
  end
  C.json_writer_close_array(w)
end

local function write_table(w, t, depth)
  if depth > MAX_DEPTH then
    error("json: nested too deeply, or a table inside itself", 0)
  end
  local mark = getmetatable(t)
  if mark == NUMBER or mark == RAW then
    C.json_writer_raw(w, t.text, #t.text)
    return
  end
  if mark == OBJECT then
    C.json_writer_open_object(w)
    for i = 1, #t do
      C.json_writer_key(w, t[i][1], #t[i][1])
      write(w, t[i][2], depth + 1)
    end
    C.json_writer_close_object(w)
    return
  end
  local count = sequence_length(t)
  if count then
    return write_list(w, t, count, depth + 1)
  end
  if mark == ARRAY then
    if next(t) ~= nil then
      error("json: an array with strings as keys", 0)
    end
    return write_list(w, t, 0, depth)
  end
  local keys, n = {}, 0
  for key in next, t do
    n = n + 1
    keys[n] = key
  end
  table.sort(keys)
  C.json_writer_open_object(w)
  for i = 1, n do
    C.json_writer_key(w, keys[i], #keys[i])
    write(w, t[keys[i]], depth + 1)
  end
  C.json_writer_close_object(w)
end

-- Writes any value that JSON has a form for; raises (without a position) for all others.
function write(w, value, depth)
  local kind = type(value)
  if kind == "string" then
    C.json_writer_string(w, value, #value)
  elseif kind == "number" then
    C.json_writer_number(w, value)
  elseif kind == "boolean" then
    C.json_writer_boolean(w, value)
  elseif kind == "table" then
    write_table(w, value, depth)
  elseif value == null then
    C.json_writer_null(w)
  elseif istype(core.handle, value) then
    C.json_writer_node(w, value.document, value.id)
  elseif istype(core.document, value) then
    C.json_writer_node(w, value, ROOT)
  elseif istype(int64, value) or istype(uint64, value) then
    local digits = tostring(value):match("^%-?%d+")
    C.json_writer_raw(w, digits, #digits)
  elseif value == nil then
    error("json: nil where a value is needed (json.null stands for null)", 0)
  else
    error("json: no form for a " .. kind, 0)
  end
end

-- One writer for all: nothing in here yields or calls foreign code.
local shared = ffi.gc(C.json_writer_new(1024), C.json_writer_free)
local size = ffi.new("json_size")

local M = { write = write }

--- Fills the shared writer with one value. Raises with the caller's position when the value has no JSON form.
---@param value any
---@param level integer As for `error`.
function M.to_writer(value, level)
  C.json_writer_reset(shared)
  local ok, message = pcall(write, shared, value, 1)
  if ok then
    local failure = C.json_writer_error(shared, true)
    if failure == nil then
      return shared
    end
    message = "json: " .. ffi.string(failure)
  end
  error(message, level + 1)
end

--- The text of a value. Raises for what JSON cannot say: NaN, infinities, functions, tables that are both list and
--- map, lists with holes, text that is not UTF-8.
---@param value any
---@return string
function M.encode(value)
  local w = M.to_writer(value, 2)
  return ffi.string(C.json_writer_written(w, size), size.n)
end

return M
