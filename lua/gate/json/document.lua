--- Documents and nodes: reading and editing one JSON text. See gate.json for what it promises.
local ffi = require("ffi")
local core = require("gate.json.core")
local values = require("gate.json.values")
local encoder = require("gate.json.encode")

local C, ROOT, NONE = core.C, core.ROOT, core.NONE
local ffi_string, ffi_gc, istype, select, type = ffi.string, ffi.gc, ffi.istype, select, type
local null, exact_number, ARRAY = values.null, values.exact_number, values.ARRAY
local new_handle, document_type = core.handle, core.document
local NULL, FALSE, TRUE, NUMBER, STRING, ARRAY_KIND = 0, 1, 2, 3, 4, 5
local MISSING, FREED, NO_MEMORY, BAD_PATH = -1, -2, -3, -4
local KIND_NAMES = { [0] = "null", "boolean", "boolean", "number", "string", "array", "object" }
local MAX_PATH = 128

-- Filled and used within one call; nothing between yields.
local steps = ffi.new("json_step[?]", MAX_PATH)
local value = ffi.new("json_value")
local size = ffi.new("json_size")

local function set_step(level, i, step)
  if type(step) == "string" then
    steps[i].key = step
    steps[i].size = #step
  elseif type(step) == "number" and step >= 1 and step <= 0xFFFFFFF0 and step % 1 == 0 then
    steps[i].key = nil
    steps[i].index = step - 1
  else
    error(("json: step %d of the path is %s; keys and positions from 1 are expected"):format(i + 1, tostring(step)),
      level + 1)
  end
end

-- Fills `steps` from the first `count` arguments. `level`: where the caller to blame is, as for `error`.
local function fill(level, count, a, b, c, ...)
  if count > 0 then
    set_step(level + 1, 0, a)
  end
  if count > 1 then
    set_step(level + 1, 1, b)
  end
  if count > 2 then
    set_step(level + 1, 2, c)
  end
  if count > 3 then
    if count > MAX_PATH then
      error("json: the path is too long", level + 1)
    end
    for i = 4, count do
      set_step(level + 1, i - 1, (select(i - 3, ...)))
    end
  end
  return count
end

local function raise_failure(document, kind, level)
  if kind == FREED then
    error("json: the document was freed", level + 1)
  elseif kind == NO_MEMORY then
    error("json: out of memory", level + 1)
  end
  error("json: " .. ffi_string(C.json_document_error(document).message), level + 1)
end

local function new_node(document, id)
  return (ffi_gc(new_handle(C.json_document_hold(document), id), C.json_handle_release))
end

-- What was read into `value`, as a Lua value. level: where the caller to blame is, default: who calls this.
local function read_result(document, kind, level)
  if kind == STRING then
    return ffi_string(value.text, value.size)
  elseif kind == TRUE then
    return true
  elseif kind == NUMBER then
    return value.is_exact and value.number or exact_number(ffi_string(value.text, value.size))
  elseif kind >= ARRAY_KIND then
    return (new_node(document, value.id))
  elseif kind == FALSE then
    return false
  elseif kind == NULL then
    return null
  elseif kind ~= MISSING then
    raise_failure(document, kind, level or 2)
  end
end

-- Here, and where a document is made: what is called often is called in parentheses where its result is returned. A tail call counts
-- towards the compiler's limit of loops, so that who reads a few fields would be left to the interpreter.
local function get(document, from, count, ...)
  if count == 1 then
    local key = ...
    if type(key) == "string" then
      return (read_result(document, C.json_document_get_key(document, from, key, #key, value), 4))
    end
  end
  return (read_result(document, C.json_document_get(document, from, steps, fill(3, count, ...), value), 4))
end

-- Id of the value at a path; nil: there is none.
local function find(document, from, count, ...)
  local id = C.json_document_find(document, from, steps, fill(3, count, ...))
  if id ~= NONE then
    return id
  end
  local kind = C.json_document_type(document, from) -- freed, or nothing there
  if kind < MISSING or (kind == MISSING and from == ROOT) then
    raise_failure(document, kind, 3)
  end
end

local function raw(document, from, count, ...)
  local id = find(document, from, count, ...)
  if id then
    local text = C.json_document_raw(document, id, size)
    return text ~= nil and ffi_string(text, size.n) or raise_failure(document, NO_MEMORY, 2)
  end
end

local function kind_name(document, from, count, ...)
  local id = find(document, from, count, ...)
  return id and KIND_NAMES[C.json_document_type(document, id)]
end

local function count_of(document, from, count, ...)
  local id = find(document, from, count, ...)
  local children = id and C.json_document_count(document, id)
  return children and children >= 0 and tonumber(children) or nil
end

local function to_lua(document, id)
  local kind = C.json_document_read(document, id, value)
  if kind < ARRAY_KIND then
    return read_result(document, kind)
  end
  local cursor, result, n = ffi.new("json_cursor", id), {}, 0
  while C.json_document_next(document, cursor) do
    local child = to_lua(document, cursor.value)
    if kind == ARRAY_KIND then
      n = n + 1
      result[n] = child
    else
      C.json_document_read(document, cursor.key, value)
      result[ffi_string(value.text, value.size)] = child
    end
  end
  return kind == ARRAY_KIND and setmetatable(result, ARRAY) or result
end

local function copy(document, from, count, ...)
  local id = find(document, from, count, ...)
  if id then
    return to_lua(document, id)
  end
end

-- Puts a new value into the document and returns its id.
local function put(document, new)
  local kind = type(new)
  local id
  if kind == "string" then
    id = C.json_document_put_string(document, new, #new)
  elseif kind == "number" then
    id = C.json_document_put_number(document, new)
  elseif kind == "boolean" then
    id = C.json_document_put_raw(document, new and "true" or "false", new and 4 or 5)
  elseif istype(new_handle, new) then
    id = C.json_document_put_node(document, new.document, new.id)
  elseif istype(document_type, new) then
    id = C.json_document_put_node(document, new, ROOT)
  else
    id = C.json_document_put_raw(document, encoder.to_buffer(new, 3))
  end
  if id == NONE then
    raise_failure(document, MISSING, 3)
  end
  return id
end

local function check_edit(document, result, what, count, ...)
  if result == 0 then
    return
  elseif result ~= BAD_PATH then
    raise_failure(document, result, 3)
  end
  local names = {}
  for i = 1, count do
    names[i] = tostring((select(i, ...)))
  end
  error(("json: %s %s: step %d does not fit the document"):format(what, table.concat(names, "."),
    C.json_document_failed_step(document) + 1), 3)
end

---@class gate.json.Doc
local Document = {}

--- The value at a path.
---@param ... string|integer
---@return any
function Document:get(...)
  return (get(self, ROOT, select("#", ...), ...))
end

--- The value of an id, as json.members and json.rows tell it.
---@param id integer
---@return any
function Document:at(id)
  return (read_result(self, C.json_document_read(self, id, value), 3))
end

--- The bytes of the value at a path, as they would be sent; nil: nothing there.
---@return string?
function Document:raw(...)
  return raw(self, ROOT, select("#", ...), ...)
end

--- "object", "array", "string", "number", "boolean" or "null"; nil: nothing there.
---@return string?
function Document:type(...)
  return kind_name(self, ROOT, select("#", ...), ...)
end

--- The value at a path as a node whatever its type, so that a long string needs no Lua string; nil: nothing there.
---@return gate.json.Node?
function Document:node(...)
  local id = find(self, ROOT, select("#", ...), ...)
  return id and new_node(self, id)
end

--- Number of elements or members of the value at a path; nil: not a container, or nothing there.
---@return integer?
function Document:count(...)
  return count_of(self, ROOT, select("#", ...), ...)
end

--- A plain Lua copy, for reading: arrays are marked, null is json.null.
function Document:table(...)
  return copy(self, ROOT, select("#", ...), ...)
end

--- doc:set(path..., value): replaces, or appends a missing last key, or the element behind the last. Missing objects
--- on the way are made. Raises where the path does not fit what is there.
function Document:set(...)
  local count = select("#", ...) - 1
  if count == 1 then
    local key, new = ...
    if type(new) == "string" and type(key) == "string" then
      local result = C.json_document_set_string(self, key, #key, new, #new)
      if result ~= 0 then
        check_edit(self, result, "set", 1, key)
      end
      return
    end
  end
  if count < 0 then
    error("json: set needs a value", 2)
  end
  local id = put(self, (select(count + 1, ...)))
  check_edit(self, C.json_document_set(self, steps, fill(2, count, ...), id), "set", count, ...)
end

--- doc:insert(path..., position, value): before that element, or behind the last.
function Document:insert(...)
  local count = select("#", ...) - 1
  if count < 1 then
    error("json: insert needs a path and a value", 2)
  end
  local id = put(self, (select(count + 1, ...)))
  check_edit(self, C.json_document_insert(self, steps, fill(2, count, ...), id), "insert", count, ...)
end

--- Removes a member or an element.
---@return boolean removed false: it was not there.
function Document:remove(...)
  local count = select("#", ...)
  local result = C.json_document_remove(self, steps, fill(2, count, ...))
  if result == MISSING then
    return false
  end
  check_edit(self, result, "remove", count, ...)
  return true
end

local function own(document)
  return (ffi_gc(document, C.json_document_drop))
end

--- A document with the same content and its own edits from here on; the bytes are shared.
---@return gate.json.Doc
function Document:fork()
  local fork = C.json_document_fork(self)
  if fork == nil then
    raise_failure(self, C.json_document_type(self, ROOT) == FREED and FREED or NO_MEMORY, 2)
  end
  return (own(fork))
end

--- The whole text.
---@return string
function Document:bytes()
  local text = C.json_document_text(self, size)
  if text == nil then
    raise_failure(self, C.json_document_type(self, ROOT) == FREED and FREED or NO_MEMORY, 2)
  end
  return ffi_string(text, size.n)
end

--- What client:send and req:respond take: the text in pieces, big ones shared with the client's bytes. It is lent:
--- it lives as long as the document (keep that in a variable or in ctx), also when edits follow; the C side takes its
--- own reference when it is called.
---@return ffi.cdata* output `output *`
function Document:output()
  local output = C.json_document_output(self)
  if output == nil then
    raise_failure(self, C.json_document_type(self, ROOT) == FREED and FREED or NO_MEMORY, 2)
  end
  return output
end

--- Size of the whole text in bytes.
---@return integer
function Document:size()
  return tonumber(C.json_document_size(self))
end

--- Gives the memory back now; every later use raises. May be called again.
function Document:free()
  C.json_document_free(self)
end

---@class gate.json.Node A value inside a document.
local Node = {}

function Node:get(...)
  return (get(self.document, self.id, select("#", ...), ...))
end

---@return string?
function Node:raw(...)
  return raw(self.document, self.id, select("#", ...), ...)
end

---@return string?
function Node:type(...)
  return kind_name(self.document, self.id, select("#", ...), ...)
end

---@return gate.json.Node?
function Node:node(...)
  local id = find(self.document, self.id, select("#", ...), ...)
  return id and new_node(self.document, id)
end

---@return integer?
function Node:count(...)
  return count_of(self.document, self.id, select("#", ...), ...)
end

function Node:table(...)
  return copy(self.document, self.id, select("#", ...), ...)
end

--- The first `limit` bytes of a string's text (a code point may be cut off at the end); nil: not a string.
---@param limit integer
---@return string?
function Node:prefix(limit)
  local kind = C.json_document_prefix(self.document, self.id, limit, value)
  if kind < MISSING then
    raise_failure(self.document, kind, 2)
  end
  return kind == STRING and ffi_string(value.text, value.size) or nil
end

--- Whether the value at a path is a string of nothing but ASCII white space. No Lua string is made for it.
---@return boolean
function Node:is_blank(...)
  local id = find(self.document, self.id, select("#", ...), ...)
  return id ~= nil and C.json_document_is_blank(self.document, id)
end

--- Number of bytes of the value as it would be sent.
---@return integer
function Node:size()
  if C.json_document_raw(self.document, self.id, size) == nil then
    raise_failure(self.document, FREED, 2)
  end
  return tonumber(size.n)
end

local function no_field(what)
  return { __index = function(_, name)
    error(("json: a %s has no field %q; members of the JSON are read with get"):format(what, tostring(name)), 2)
  end }
end

local function node_length(node)
  local count = C.json_document_count(node.document, node.id)
  if count < 0 then
    local kind = C.json_document_type(node.document, node.id)
    if kind < 0 then
      raise_failure(node.document, kind, 2)
    end
    error("json: only an array or an object has a length", 2)
  end
  return tonumber(count)
end

ffi.metatype("json_document", {
  __index = setmetatable(Document, no_field("document")),
  __tostring = function() return "json document" end,
})
ffi.metatype(new_handle, {
  __index = setmetatable(Node, no_field("node")),
  __len = node_length,
  __tostring = function(node) return "json " .. tostring(node:type()) end,
})

-- For gate.json. `value` is what the C calls read into before read_result().
return {
  own = own, new_node = new_node, find = find, to_lua = to_lua, raise_failure = raise_failure, value = value, read_result = read_result,
}
