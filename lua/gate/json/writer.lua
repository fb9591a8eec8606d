--- json.writer(): a JSON text piece by piece, straight into a C buffer, without Lua strings for what is spliced.
--- A call in the wrong place, text that is not UTF-8 or a number that is not finite is remembered, and raised by
--- document() or finish().
local ffi = require("ffi")
local core = require("gate.json.core")
local document = require("gate.json.document")
local encoder = require("gate.json.encode")

local C, ROOT = core.C, core.ROOT
local istype = ffi.istype

---@class gate.json.Writer
local Writer = {}

--- Begins anew: for a writer that is kept. What an error left unfinished is gone.
---@param capacity_bytes? integer Expected size.
function Writer:begin(capacity_bytes)
  C.json_writer_begin(self, capacity_bytes or 256)
end

--- Begins anew, for a document that is largely made of another one's values: large ones are shared, not copied.
--- Ends with document() only.
---@param source gate.json.Doc Not edited until then.
function Writer:begin_from(source)
  C.json_writer_begin_from(self, source)
end

function Writer:open_object()
  C.json_writer_open_object(self)
end

function Writer:close_object()
  C.json_writer_close_object(self)
end

function Writer:open_array()
  C.json_writer_open_array(self)
end

function Writer:close_array()
  C.json_writer_close_array(self)
end

---@param key string
function Writer:key(key)
  C.json_writer_key(self, key, #key)
end

---@param text string
function Writer:string(text)
  C.json_writer_string(self, text, #text)
end

---@param number integer|ffi.cdata* A whole number; int64_t is taken too.
function Writer:integer(number)
  if type(number) == "number" and (number % 1 ~= 0 or number > 2 ^ 53 or number < -2 ^ 53) then
    error("json: not an integer: " .. tostring(number), 2)
  end
  C.json_writer_integer(self, number)
end

--- Several whole numbers as so many values, one after the other.
---@param numbers ffi.cdata* `double[]`, each below 2^53.
---@param count integer
function Writer:integers(numbers, count)
  C.json_writer_integers(self, numbers, count)
end

---@param number number
function Writer:number(number)
  C.json_writer_number(self, number)
end

---@param is_true boolean
function Writer:boolean(is_true)
  C.json_writer_boolean(self, is_true)
end

function Writer:null()
  C.json_writer_null(self)
end

--- JSON text of exactly one value, as it is.
---@param text string
function Writer:raw(text)
  C.json_writer_raw(self, text, #text)
end

--- The untouched bytes of a node, or of a whole document.
---@param node gate.json.Node|gate.json.Doc
function Writer:node(node)
  if istype(core.handle, node) then
    C.json_writer_node(self, node.document, node.id)
  elseif istype(core.document, node) then
    C.json_writer_node(self, node, ROOT)
  else
    error("json: a node or a document is expected", 2)
  end
end

--- The untouched bytes of the value at a path of a document; nothing there raises. Like node(), without making one.
---@param source gate.json.Doc
---@param ... string|integer
function Writer:copy(source, ...)
  local id = document.find(source, ROOT, select("#", ...), ...)
  if not id then
    error("json: nothing to copy at this path", 2)
  end
  C.json_writer_node(self, source, id)
end

--- The untouched bytes of a value by its id, as json.members and json.rows tell it.
---@param source gate.json.Doc
---@param id integer
function Writer:at(source, id)
  C.json_writer_node(self, source, id)
end

--- The untouched bytes of neighbouring elements of an array, inside an open array.
---@param source gate.json.Doc
---@param array_id integer As json.members tells it.
---@param from integer Position from 0.
---@param count integer
function Writer:elements(source, array_id, from, count)
  C.json_writer_elements(self, source, array_id, from, count)
end

--- Begins a value that is a form (json.form): the next values fill its holes in order.
---@param form gate.json.Form
function Writer:form(form)
  C.json_writer_form(self, form)
end

--- Any value that json.encode takes.
function Writer:value(value)
  C.json_writer_raw(self, encoder.to_buffer(value, 2))
end

--- Begins a string that is put together from text() and node_text().
function Writer:open_string()
  C.json_writer_open_string(self)
end

---@param text string
function Writer:text(text)
  C.json_writer_text(self, text, #text)
end

--- The inside of a string node as it was written, inside an open string or as a whole string.
---@param node gate.json.Node Of type "string".
---@param skip_bytes? integer Leaves out so many bytes at the start, which must be plain ASCII (a data URL's head).
function Writer:node_text(node, skip_bytes)
  C.json_writer_node_text(self, node.document, node.id, skip_bytes or 0)
end

function Writer:close_string()
  C.json_writer_close_string(self)
end

local function raise_if_failed(writer)
  local message = C.json_writer_error(writer, true)
  if message ~= nil then
    message = ffi.string(message)
    C.json_writer_reset(writer)
    error("json: " .. message, 3)
  end
end

--- What was written, as a document that owns the bytes and is scanned when it is first read. The writer begins anew.
---@return gate.json.Doc
function Writer:document()
  raise_if_failed(self)
  local written = C.json_writer_document(self)
  if written == nil then
    raise_if_failed(self)
    error("json: out of memory", 2)
  end
  return (document.own(written))
end

local size = ffi.new("json_size")

--- What was written, as a string. The writer begins anew.
---@return string
function Writer:finish()
  raise_if_failed(self)
  local written = C.json_writer_written(self, size)
  if written == nil then
    C.json_writer_reset(self)
    error("json: a text that shares another document's values ends with document()", 2)
  end
  local text = ffi.string(written, size.n)
  C.json_writer_reset(self)
  return text
end

ffi.metatype("json_writer", { __index = Writer })

local M = {}

local form_error = ffi.new("json_error")

--- A JSON text with holes, each written `$`: what every answer has in common, made when a module is loaded.
---@param text string
---@return gate.json.Form
function M.form(text)
  local form = C.json_form_new(text, #text, form_error)
  if form == nil then
    error("json.form: " .. ffi.string(form_error.message), 2)
  end
  return ffi.gc(form, C.json_form_free)
end

--- A number list for integers().
---@param count integer
---@return ffi.cdata*
function M.numbers(count)
  return ffi.new("double[?]", count)
end

---@param capacity_bytes? integer Expected size.
---@return gate.json.Writer
function M.writer(capacity_bytes)
  local writer = C.json_writer_new(capacity_bytes or 0)
  if writer == nil then
    error("json: out of memory", 2)
  end
  return ffi.gc(writer, C.json_writer_free)
end

return M
