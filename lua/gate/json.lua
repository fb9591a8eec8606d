--- The lossless JSON document: bodies of clients and providers are read, edited and passed on with it; bytes that
--- nobody edited stay as they were sent. Paths are keys and positions from 1. Reading a value:
---   string, boolean, json.null; a number where a double holds exactly what was written, else a json.number;
---   objects and arrays as nodes (live views: they see later edits); nil where there is nothing.
--- What is wrong with the bytes comes back as nil, err; what is wrong with the program raises. A document that was
--- freed raises on every use, and so do its nodes; a node keeps its document alive.
local ffi = require("ffi")
local core = require("gate.json.core")
local document = require("gate.json.document")
local encoder = require("gate.json.encode")
local values = require("gate.json.values")

local C, ROOT = core.C, core.ROOT
local ffi_string, istype, type = ffi.string, ffi.istype, type
local own, to_lua, raise_failure, value = document.own, document.to_lua, document.raise_failure, document.value
local read_result = document.read_result
local exact_number = values.exact_number
local new_handle, document_type = core.handle, core.document

local json = {
  null = values.null, array = values.array, object = values.object, raw = values.raw, is_number = values.is_number,
  encode = encoder.encode,
}

local parse_error = ffi.new("json_error")
local parse_limits = ffi.new("json_limits")

-- State for walking what json.ipairs and json.pairs were given.
local function walk(node, kind, what)
  if istype(document_type, node) then
    node = node:node()
  end
  if not istype(new_handle, node) or node:type() ~= kind then
    error(("json.%s: an %s node is expected"):format(what, kind), 3)
  end
  -- The node stays in the state, since it keeps the document alive.
  return { node = node, cursor = ffi.new("json_cursor", node.id) }
end

local function advance(state)
  local doc = state.node.document
  if C.json_document_next(doc, state.cursor) then
    return doc
  end
  local kind = C.json_document_type(doc, state.node.id)
  if kind < 0 then
    raise_failure(doc, kind, 3)
  end
end

local function next_element(state, i)
  local doc = advance(state)
  if doc then
    return i + 1, read_result(doc, C.json_document_read(doc, state.cursor.value, value))
  end
end

local function next_member(state)
  local doc = advance(state)
  if doc then
    C.json_document_read(doc, state.cursor.key, value)
    local key = ffi_string(value.text, value.size)
    return key, read_result(doc, C.json_document_read(doc, state.cursor.value, value))
  end
end

local function next_key(state)
  local doc = advance(state)
  if doc then
    C.json_document_read(doc, state.cursor.key, value)
    return ffi_string(value.text, value.size)
  end
end

--- for i, element in json.ipairs(array_node)
function json.ipairs(node)
  return next_element, walk(node, "array", "ipairs"), 0
end

--- for key, member in json.pairs(object_node), in the order of the text
function json.pairs(node)
  return next_member, walk(node, "object", "pairs"), nil
end

--- for key in json.keys(object_node), in the order of the text: no value is read, so a long one costs nothing
function json.keys(node)
  return next_key, walk(node, "object", "keys"), nil
end

---@return boolean
function json.is_node(any)
  return istype(new_handle, any)
end

---@return boolean
function json.is_document(any)
  return istype(document_type, any)
end

--- The JSON type of a value that was read: "object", "array", "string", "number", "boolean", "null"; nil for nil and
--- for what never came from a document.
---@param any any
---@return string?
function json.type(any)
  local kind = type(any)
  if kind == "string" or kind == "number" or kind == "boolean" then
    return kind
  elseif istype(new_handle, any) or istype(document_type, any) then
    return any:type()
  elseif any == values.null then
    return "null"
  elseif values.is_number(any) then
    return "number"
  end
  return nil
end

--- Parses a body.
---@param text string|lightuserdata|ffi.cdata* A string, or a `bytes *` whose reference is taken over (also on error).
---@param limits? { max_depth?: integer, max_bytes?: integer, max_nodes?: integer } Default depth: 64.
---@return gate.json.Doc? document
---@return gate.Err? err `bad_json`, with `offset`: number of bytes before the wrong one.
function json.parse(text, limits)
  local c_limits = nil
  if limits then
    parse_limits.max_depth = limits.max_depth or 0
    parse_limits.max_bytes = limits.max_bytes or 0
    parse_limits.max_nodes = limits.max_nodes or 0
    c_limits = parse_limits
  end
  local doc
  if type(text) == "string" then
    doc = C.json_document_parse_copy(text, #text, c_limits, parse_error)
  else
    doc = C.json_document_parse(core.bytes_of(text), c_limits, parse_error)
  end
  if doc ~= nil then
    return (own(doc))
  end
  local offset = tonumber(parse_error.offset)
  local message = ("invalid JSON at byte %d: %s"):format(offset, ffi_string(parse_error.message))
  return nil, { code = "bad_json", message = message, offset = offset }
end

--- Small plain data as Lua values: arrays are marked (an empty one stays `[]`), null is json.null.
---@param text string
---@return any? value
---@return gate.Err? err `bad_json`
function json.decode(text)
  local doc, err = json.parse(text)
  if not doc then
    return nil, err
  end
  local result = to_lua(doc, ROOT)
  doc:free()
  return result
end

--- A number kept as text, for what a double would round: `json.number("9007199254740993")`.
---@param text string|number
---@return gate.json.Number
function json.number(text)
  local written = type(text) == "number" and encoder.encode(text) or text
  local doc = type(written) == "string" and json.parse(written)
  if not doc or doc:type() ~= "number" or doc:raw() ~= written then
    error(("json.number: %s is not a number as JSON writes it"):format(tostring(text)), 2)
  end
  doc:free()
  return exact_number(written)
end

--- A builder that writes into a C buffer, and the forms it fills; see gate.json.writer.
local writer = require("gate.json.writer")
json.writer, json.form, json.numbers = writer.writer, writer.form, writer.numbers

--- Whole objects and arrays in one look; see gate.json.survey.
local survey = require("gate.json.survey")
json.members, json.rows, json.kind = survey.members, survey.rows, survey.kind

return json
