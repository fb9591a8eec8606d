--- Integers out of a text that nobody needs as a document (runtime/core/json_lift.h): usage counters of an answer
--- whose bytes pass through. The text is checked as strictly as a document's.
local ffi = require("ffi")
local core = require("gate.json.core")

ffi.cdef([[
typedef struct json_lift json_lift;
json_lift *json_lift_new(void);
void json_lift_free(json_lift *l);
int json_lift_add(json_lift *l, const json_step *steps, size_t count);
bool json_lift_run(json_lift *l, const bytes *text, const json_limits *limits, double *out, json_error *error);
int json_lift_document(const json_lift *l, json_document *d, double *out);
void bytes_drop(bytes *b);
bytes *bytes_copy(const char *data, size_t size);
]])

local C = core.C
local M = {}

---@class gate.json.Lift
---@field out ffi.cdata* The numbers of the last run, from 0; -1: not there.
local Lift = {}
Lift.__index = Lift

local parse_error = ffi.new("json_error")

--- Compiles paths.
---@param paths string[][] Keys; at most 32 paths of 8.
---@return gate.json.Lift
function M.new(paths)
  local handle = ffi.gc(C.json_lift_new(), C.json_lift_free)
  for i, path in ipairs(paths) do
    local steps = ffi.new("json_step[?]", #path)
    for k, key in ipairs(path) do
      steps[k - 1].key, steps[k - 1].size = key, #key
    end
    if C.json_lift_add(handle, steps, #path) ~= i - 1 then
      error("json lift: a path is not possible", 2)
    end
  end
  return setmetatable({ handle = handle, out = ffi.new("double[?]", #paths) }, Lift)
end

--- Reads a text; the numbers are in `out` until the next run.
---@param text lightuserdata|ffi.cdata*|string `bytes *`; it stays the caller's.
---@return true? ok
---@return gate.Err? err `bad_json`
function Lift:run(text)
  local is_ok
  if type(text) == "string" then
    local copy = C.bytes_copy(text, #text)
    is_ok = C.json_lift_run(self.handle, copy, nil, self.out, parse_error)
    C.bytes_drop(copy)
  else
    is_ok = C.json_lift_run(self.handle, core.bytes_of(text), nil, self.out, parse_error)
  end
  if is_ok then
    return true
  end
  return nil, {
    code = "bad_json",
    message = ("invalid JSON at byte %d: %s"):format(tonumber(parse_error.offset), ffi.string(parse_error.message)),
  }
end

--- Reads a document as it stands after edits; the numbers (any that a double holds) are in `out` until the next run.
---@param doc gate.json.Doc
function Lift:read(doc)
  if C.json_lift_document(self.handle, doc, self.out) ~= 0 then
    error("json: the document was freed", 2)
  end
end

--- Gives back a reference on bytes. A string is fine, too: nothing happens.
---@param text lightuserdata|ffi.cdata*|string
function M.drop(text)
  if type(text) ~= "string" then
    C.bytes_drop(core.bytes_of(text))
  end
end

return M
