--- What a translation wants to know of a whole object or array, told by C in one walk (runtime/core/json_survey.h), as
--- plain integers: nothing is made for what nobody asks for.
--- Made once (when a module is loaded) and used for every request. What a read() told is good until the next one:
--- use it within a call that does not wait.
local ffi = require("ffi")
local core = require("gate.json.core")
local document = require("gate.json.document")

local C, ROOT, NONE = core.C, core.ROOT, core.NONE
local read_result, raise_failure, value = document.read_result, document.raise_failure, document.value
local ffi_string = ffi.string

local M = {}

--- Types, as `types` and `type` below have them. ABSENT: there is no such value.
M.kind = { NULL = 0, FALSE = 1, TRUE = 2, NUMBER = 3, STRING = 4, ARRAY = 5, OBJECT = 6, ABSENT = 255 }

---@class gate.json.Members
---@field index table<string, integer> Number of each name, from 0.
---@field types ffi.cdata* uint8_t, by a name's number: the value's type (json.kind), ABSENT where it is not there.
---@field ids ffi.cdata* uint32_t, by a name's number: the value's id.
---@field list ffi.cdata* By position from 0: { name (number, -1: unknown), key, value, type }.
---@field seen ffi.cdata* { count, uncommon }
local Members = {}
Members.__index = Members

--- Knows the names that an object's members may have.
---@param names string[]
---@param is_common? table<string, boolean> Names whose presence alone is nothing to look at.
---@return gate.json.Members
function M.members(names, is_common)
  local handle = ffi.gc(C.json_names_new(), C.json_names_free)
  local index = {}
  for i, name in ipairs(names) do
    if C.json_names_add(handle, name, #name, is_common ~= nil and is_common[name] == true) ~= i - 1 then
      error(("json.members: %q is one too many, too long, or there already"):format(name), 2)
    end
    index[name] = i - 1
  end
  return setmetatable({
    handle = handle, index = index, names = names, room = #names + 1,
    types = ffi.new("uint8_t[?]", #names + 1), ids = ffi.new("uint32_t[?]", #names + 1),
    list = ffi.new("json_member[?]", #names + 1), seen = ffi.new("json_members"),
  }, Members)
end

--- Looks through an object.
---@param doc gate.json.Doc
---@param id? integer The object's; default: the whole document.
---@return boolean is_object
function Members:read(doc, id)
  local result = C.json_document_members(doc, id or ROOT, self.handle, self.seen, self.list, self.room, self.ids, self.types)
  if result < -1 then
    raise_failure(doc, result, 2)
  end
  return result == 0
end

--- The value under a name, as doc:get(name) gives it.
---@param doc gate.json.Doc The one that was read.
---@param name string
---@return any
function Members:get(doc, name)
  local id = self.ids[self.index[name]]
  if id ~= NONE then
    return (read_result(doc, C.json_document_read(doc, id, value), 3))
  end
end

--- The key at a position from 0.
---@return string
function Members:key(doc, position)
  C.json_document_read(doc, self.list[position].key, value)
  return ffi_string(value.text, value.size)
end

---@class gate.json.Rows
---@field list ffi.cdata* By position from 0: { element, value (ids), word (number, -1: none of them), type, is_common, mark }.
---@field seen ffi.cdata* { count, uncommon, repeated, words[8] }
local Rows = {}
Rows.__index = Rows

local FIRST_ROOM, KEPT_ROOM = 64, 4096

--- Asks of an array of objects which word stands under one key, and what under another.
---@param word_key string
---@param words string[] At most 8.
---@param value_key string
---@return gate.json.Rows
function M.rows(word_key, words, value_key)
  local query = ffi.new("json_row_query")
  if #words > 8 then
    error("json.rows: 8 words at most", 2)
  end
  query.word_key.key, query.word_key.size = word_key, #word_key
  query.value_key.key, query.value_key.size = value_key, #value_key
  for i, word in ipairs(words) do
    query.words[i - 1].key, query.words[i - 1].size = word, #word
  end
  query.word_count = #words
  return setmetatable({
    query = query, seen = ffi.new("json_rows"), list = ffi.new("json_row[?]", FIRST_ROOM), room = FIRST_ROOM,
    kept = { word_key, value_key, unpack(words) }, -- C points at them
  }, Rows)
end

-- Room for all rows. A huge array's is not kept.
local function make_room(self, count)
  if count > self.room or self.room > KEPT_ROOM and count <= KEPT_ROOM then
    self.room = math.max(count, FIRST_ROOM)
    self.list = ffi.new("json_row[?]", self.room)
  end
end

--- Looks through an array.
---@param doc gate.json.Doc
---@param id integer The array's.
---@return integer? count nil: not an array.
function Rows:read(doc, id)
  local count = tonumber(C.json_document_count(doc, id))
  if count > self.room or self.room > KEPT_ROOM then
    make_room(self, count)
  end
  local result = tonumber(C.json_document_rows(doc, id, self.query, self.seen, self.list, self.room))
  if result < -1 then
    raise_failure(doc, result, 2)
  end
  return result >= 0 and result or nil
end

--- An element as json.ipairs gives it.
---@param doc gate.json.Doc
---@param position integer From 0.
---@return any
function Rows:element(doc, position)
  return (read_result(doc, C.json_document_read(doc, self.list[position].element, value), 3))
end

return M
