--- A request, a client and a relay without sockets, for specs of the request's way. What the server would send is
--- in req.answer; what the upstream was asked in client.requests.
local ffi = require("ffi")
local json = require("gate.json")

ffi.cdef([[
typedef struct { const char *data; size_t size; void *owner; } spec_segment;
typedef struct { uint32_t tag, refs; size_t size, count; bool has_sha256; uint8_t sha256[32]; spec_segment segments[]; }
  spec_output;
]])

local M = {}

local Req = {}
Req.__index = Req

--- A request as rt.server gives it.
---@param fields { method: string?, path: string?, query: string?, headers: table<string, string>?, body: string? }
function M.req(fields)
  return setmetatable({
    fields = fields, headers_in = fields.headers or {}, answer = { body = "" }, is_begun = false,
  }, Req)
end

function Req:head()
  return self.fields.method or "POST", self.fields.path or "/v1/messages", self.fields.query, 1
end

function Req:forget_head()
  self.headers_in = nil
end

function Req:header(name)
  return (self.headers_in or error("req: its head was forgotten"))[name]
end

function Req:peer()
  return "127.0.0.1:1"
end

function Req:read_body(limit)
  local body = self.fields.body or ""
  if #body > limit then
    return nil, { code = "too_large", message = "too large" }
  end
  return body, #body
end

-- A string, or the text of an output (core/bytes.h).
local function text_of(body)
  if type(body) == "string" or body == nil then
    return body or ""
  end
  local output, parts = ffi.cast("spec_output *", body), {}
  for i = 0, tonumber(output.count) - 1 do
    parts[i + 1] = ffi.string(output.segments[i].data, output.segments[i].size)
  end
  return table.concat(parts)
end

function Req:respond(status, headers, body)
  if self.is_gone then
    return nil, { code = "client_closed", message = "gone" }
  end
  assert(not self.is_begun, "answered twice")
  self.is_begun = true
  self.answer.status, self.answer.headers, self.answer.body = status, headers, text_of(body)
  self.answer.is_finished = true
  return true
end

function Req:start(status, headers)
  assert(not self.is_begun, "answered twice")
  self.is_begun = true
  self.answer.status, self.answer.headers = status, headers
  return true
end

function Req:write(text)
  self.answer.body = self.answer.body .. text
  return true
end

function Req:finish()
  self.answer.is_finished = true
  return true
end

function Req:abort()
  self.answer.is_aborted = true
end

function Req:is_started()
  return self.is_begun
end

function Req:bytes_out()
  return #self.answer.body
end

--- A header of the answer.
function Req:sent(name)
  for i = 1, #self.answer.headers, 2 do
    if self.answer.headers[i] == name then
      return self.answer.headers[i + 1]
    end
  end
end

local Call = {}
Call.__index = Call

function Call:status()
  return self.fields.status or 200
end

function Call:header(name)
  return (self.fields.headers or { ["content-type"] = "application/json" })[name]
end

function Call:forget_head()
  self.fields.headers = {}
end

function Call:headers()
  local list = {}
  for name, value in pairs(self.fields.headers or { ["content-type"] = "application/json" }) do
    list[#list + 1] = { name, value }
  end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  return list
end

function Call:read_body()
  if self.fields.read_error then
    return nil, self.fields.read_error
  end
  return self.fields.body or "", #(self.fields.body or "")
end

function Call:read()
  local body = self.fields.body
  self.fields.body = nil
  return body
end

function Call:close()
  self.is_closed = true
end

--- A client whose answers are given one after the other: { status, headers, body } or { err = { code } } or
--- { events = { { name, data }, ... } }.
function M.client(answers)
  local client = { requests = {} }
  function client.send(_, request)
    local body = request.body
    client.requests[#client.requests + 1] = {
      origin = request.origin, target = request.target, body = text_of(body), headers = request.headers,
    }
    local answer = answers[#client.requests]
    assert(answer, "the upstream was asked once more than expected")
    if answer.err then
      return nil, answer.err
    end
    if answer.events then
      answer.headers = answer.headers or { ["content-type"] = "text/event-stream" }
    end
    return setmetatable({ fields = answer }, Call)
  end
  return client
end

--- rt.allow over a fake call.
M.allow = {
  new = function(names, denied)
    local function has(list, name)
      for _, known in ipairs(list) do
        if known == name or known:sub(-1) == "*" and name:sub(1, #known - 1) == known:sub(1, -2) then
          return true
        end
      end
      return false
    end
    return {
      copy = function(_, call, out, count)
        for _, header in ipairs(call:headers()) do
          if has(names, header[1]) and not has(denied, header[1]) then
            out[count + 1], out[count + 2] = header[1], header[2]
            count = count + 2
          end
        end
        return count, call:header("content-type"), call:header("content-encoding")
      end,
    }
  end,
}

--- rt.relay: gives the call's events as a program in "events" or pass mode would, with the pivot's slots lifted.
M.relay = {}

local Relay = {}
Relay.__index = Relay

function M.relay.new(req, call, program)
  return setmetatable({
    req = req, events = call.fields.events, ended = call.fields.ended, program = program, at = 0, slots = {}, vars = {},
  }, Relay)
end

local function lift(self, name, data)
  local doc = assert(json.parse(data))
  for _, rule in ipairs(self.program.rules) do
    if rule.event == name then
      for _, row in ipairs(rule.lift or {}) do
        local value = doc:get(unpack(row.path))
        if value ~= nil and value ~= json.null then
          self.slots[row.slot] = value
        end
      end
    end
  end
  doc:free()
end

function Relay:first()
  local event = self.events[1]
  if not event then
    return nil, self.ended
  end
  return event[1], event[2]
end

function Relay:next()
  while true do
    self.at = self.at + 1
    local event = self.events[self.at]
    if not event then
      if self.ended then
        return nil, self.ended
      end
      return "end"
    end
    lift(self, event[1], event[2])
    if not self.program.pass then
      return "event", event[1], event[2]
    end
    self:emit("event: " .. event[1] .. "\ndata: " .. event[2] .. "\n\n")
  end
end

function Relay:emit(text)
  self.req:write(text)
end

function Relay:set(n, text)
  self.vars[n] = text
end

function Relay:slot(name)
  return self.slots[name]
end

function Relay:ping_every() end

function Relay:no_content_after() end

function Relay:close() end

function Relay:is_between()
  return true
end

return M
