--- What one request is to plugins: a table whose fields are known. Reading or writing any other field
--- raises, so a misspelt name is found at once. Lists and the plugins' own tables are made when first used.
--- Ownership: documents given to own_doc() are freed at the end of the request by release().

local M = {}

local FIELDS = {
  id = true, client = true, identity = true, surface = true, dialect = true, request = true, body = true, model = true,
  effort = true, is_stream = true, operation = true, api_version = true, betas = true, targets = true, attempts = true,
  usage = true, cost = true, warnings = true, deadline_ms = true, generation = true, own = true, shared = true,
  answer = true,
}
-- The kernel's own: what plugins have no business with.
local HIDDEN = {
  _req = true, _docs = true, _own = true, _gen = true, _started_at_ms = true, _plugin = true, _error = true,
  _status = true,
  _upstream_ids = true, _entry = true, _attempt = true, _hook = true, _bytes_in = true, _reply = true,
  _relay = true, _mode = true,
}
local READ_ONLY = { own = true, client = true }

local methods = {}

--- A request header, by its lower-case name; repeated ones joined by ", ".
---@param name string
---@return string?
function methods:header(name)
  local request = self.request -- nil once a stream runs that no plugin follows: see M.forget
  return request and self._req:header(name)
end

--- Notes something that the client should know: what was dropped or changed for the target's sake.
---@param code string
---@param format string
function methods:warn(code, format, ...)
  local warnings = self.warnings
  warnings[#warnings + 1] = { code = code, message = select("#", ...) > 0 and format:format(...) or format }
end

--- Hands a document over: it is freed when the request ends.
---@param doc gate.json.Doc
---@return gate.json.Doc
function methods:own_doc(doc)
  local docs = self._docs
  if not docs then
    docs = {}
    self._docs = docs
  end
  docs[#docs + 1] = doc
  return doc
end

local function own_table(self)
  local tables = self._own
  if not tables then
    tables = {}
    self._own = tables
  end
  local plugin = self._plugin
  local own = tables[plugin]
  if not own then
    own = {}
    tables[plugin] = own
  end
  return own
end

local function make_list(self, key)
  local list = {}
  rawset(self, key, list)
  return list
end

local LAZY = {
  own = own_table,
  client = function(self)
    local peer = self._req:peer()
    rawset(self, "client", peer)
    return peer
  end,
  warnings = make_list, shared = make_list,
  -- The same for every request of a route or a generation: read there. A ctx with more than 32 fields of its own
  -- would take twice the memory.
  generation = function(self)
    return self._gen.id
  end,
  surface = function(self)
    return self._entry.surface_name
  end,
  deadline_ms = function(self)
    return self._started_at_ms + self._gen.request_ms
  end,
}

local Ctx = { __metatable = "ctx" }

function Ctx.__index(self, key)
  local method = methods[key]
  if method then
    return method
  end
  local make = LAZY[key]
  if make then
    return make(self, key)
  elseif FIELDS[key] or HIDDEN[key] then
    return nil
  end
  error("ctx has no field '" .. tostring(key) .. "'", 2)
end

function Ctx.__newindex(self, key, value)
  if not (FIELDS[key] or HIDDEN[key]) then
    error("ctx has no field '" .. tostring(key) .. "'", 2)
  elseif READ_ONLY[key] then
    error("ctx." .. key .. " cannot be set", 2)
  end
  rawset(self, key, value)
end

--- Makes a context.
---@param req any The server's request.
---@param id string
---@param generation any
---@param entry any The route.
---@param request gate.Request
---@param started_at_ms number Monotonic.
---@return gate.Ctx
function M.new(req, id, generation, entry, request, started_at_ms)
  return setmetatable({
    id = id, dialect = entry.dialect, request = request, is_stream = false, operation = entry.operation,
    _req = req, _gen = generation, _entry = entry, _started_at_ms = started_at_ms, _plugin = 0, _hook = false,
    attempts = {}, _bytes_in = 0, _status = 0, _attempt = false, _upstream_ids = false, _error = false, _reply = false,
    _docs = false, _own = false,
  }, Ctx)
end

--- Frees every document of the request.
---@param self gate.Ctx
function M.release(self)
  local docs = self._docs
  if docs then
    for i = 1, #docs do
      docs[i]:free()
    end
    self._docs = false
  end
end

--- Gives back what only the request's begin needs: a stream runs long, and nobody reads these any more. From here
--- on ctx.body, ctx.request and every header are nil.
---@param self gate.Ctx
function M.forget(self)
  M.release(self)
  local request = self.request
  request.doc, request._req = nil, nil
  self.body, self.request = nil, nil
  self._req:forget_head()
end

return M
