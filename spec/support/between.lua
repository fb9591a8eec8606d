--- A real gateway process between a spec, which is its client, and an upstream that the spec plays: what arrives there is
--- kept byte for byte, what goes back is what the spec writes.
local cjson = require("cjson")
local crypto = require("rt.crypto")
local eventually = require("spec.support.eventually")
local http = require("spec.support.http")
local process = require("spec.support.process")
local upstream = require("spec.support.upstream")

local M = {}

M.KEY = "mg-spec-between"
M.WORKSPACE = "wrkspc_Between"

--- A short answer of the Messages API.
M.ANSWER = [[{"id":"msg_1","type":"message","role":"assistant","model":"claude-haiku-4-5",]]
  .. [["content":[{"type":"text","text":"ok"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}}]]

local CONFIG = [[
return {
  listen = { "127.0.0.1:0" },
  admin = { socket = "admin.sock" },
  workers = %d,
  client = { proxy = "off" },
  accounts = {
    %s
    aws = {
      provider = "claude_aws", region = "us-west-2", workspace_id = "%s", base_url = "%s",
      auth = { method = "access_key", access_key_id = "AKIASPEC", secret_access_key = "spec-secret" },
    },
  },
  keys = { { name = "spec", sha256 = "%s", user = "svc:spec" } },
  %s
}
]]

---@class spec.Between
---@field requests { head: string, body: string }[] What reached the upstream, in the order of its last byte.
---@field port integer Of the gateway.
---@field program spec.Program
local Between = {}
Between.__index = Between

--- Answers one request after the other with `answer(request, conn)`: the whole answer as bytes, or nil when it has
--- written itself.
local function script_of(self, answer)
  return function(conn)
    while true do
      local request = conn:read_request()
      if not request then
        return
      end
      table.insert(self.requests, request)
      local bytes = answer(request, conn)
      if bytes and not conn:write(bytes) then
        return
      end
    end
  end
end

--- An answer with a length.
---@param body string
---@param headers string? Lines, each with its CR LF.
---@return string
function M.json(body, headers)
  return ("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%s\r\n%s"):format(#body, headers or "", body)
end

---@class spec.BetweenOptions
---@field answer? fun(request: table, conn: table): string? Default: M.ANSWER.
---@field script? fun(conn: table) Plays a connection by itself; nothing is kept in `requests` then.
---@field tls? table The upstream's, as for rt.tcp.listen.
---@field workers? integer Default 1.
---@field accounts? string|fun(origin: string): string Further lines for `accounts`.
---@field config? string Further lines for gate.lua.
---@field files? table<string, string>
---@field env? table<string, string>
---@field host? string Of the upstream's URL.

--- Starts both.
---@param options spec.BetweenOptions
---@return spec.Between
function M.start(options)
  local self = setmetatable({ requests = {} }, Between)
  self.answer = options.answer or function()
    return M.json(M.ANSWER)
  end
  local script = options.script or script_of(self, function(...)
    return self.answer(...)
  end)
  self.upstream = upstream.start({ script }, { tls = options.tls, host = options.host })
  local accounts = options.accounts or ""
  local text = CONFIG:format(options.workers or 1, type(accounts) == "function" and accounts(self.upstream.origin) or accounts,
    M.WORKSPACE, self.upstream.origin, crypto.sha256_hex(M.KEY), options.config or "")
  local ok, program = pcall(process.gateway, {
    config = text, args = { "--config", "gate.lua" }, files = options.files, env = options.env,
  })
  if not ok then
    self.upstream.stop()
    error(program, 0)
  end
  self.program, self.port = program, program.port
  return self
end

--- Ends both. The gateway must end in good order, without a word of a sanitizer and without a worker that died.
function Between:stop()
  if self.is_stopped then
    return
  end
  self.is_stopped = true
  self.program.child:kill("TERM")
  local ok, ended = pcall(self.program.wait, self.program)
  local output = self.program:output()
  pcall(self.program.stop, self.program, "KILL")
  self.upstream.stop()
  if not ok then
    error(ended, 0)
  elseif ended.status ~= 0 or output:find("Sanitizer", 1, true) or output:find('"event":"worker_died"', 1, true) then
    error(("the gateway ended badly (%s):\n%s"):format(ended.signal or ended.status, output:sub(-4000)), 0)
  end
end

--- A request's bytes, on a connection that ends with it.
---@param path string
---@param body string
---@param headers string? Lines, each with its CR LF; an own x-api-key or authorization replaces the key.
---@return string
function M.post(path, body, headers)
  headers = headers or ""
  local lower = "\n" .. headers:lower()
  if not lower:find("\nx-api-key:", 1, true) and not lower:find("\nauthorization:", 1, true) then
    headers = "x-api-key: " .. M.KEY .. "\r\n" .. headers
  end
  return ("POST %s HTTP/1.1\r\nhost: gate\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n%s\r\n%s")
    :format(path, #body, headers, body)
end

--- Sends a request on a new connection.
---@return { status: integer, headers: table<string, string>, body: string, is_cut: boolean? }? answer nil: closed without one.
---@return string raw
---@return gate.Err? err How the connection ended.
function Between:ask(path, body, headers)
  local raw, err = http.send(self.port, M.post(path, body, headers))
  return raw ~= "" and http.parse(raw)[1] or nil, raw, err
end

--- What reached the upstream for one request.
function Between:forward(path, body, headers)
  local before = #self.requests
  local answer = self:ask(path, body, headers)
  if not self.requests[before + 1] then
    error(("nothing reached the upstream: %s %s"):format(answer and answer.status, answer and answer.body), 2)
  end
  return self.requests[before + 1], answer
end

--- The log's lines of an event.
---@param event string
---@return table[] lines
function Between:log(event)
  local found = {}
  for line in self.program:output():gmatch("({[^\n]*})\n") do
    local ok, value = pcall(cjson.decode, line)
    if ok and value.event == event then
      found[#found + 1] = value
    end
  end
  return found
end

--- The log's line of a request, which may be written a little after its answer.
---@param answer table Of ask().
---@return table line
function Between:log_of(answer)
  self.program:wait_for('"event":"request","id":"' .. answer.headers["x-request-id"] .. '"')
  for _, line in ipairs(self:log("request")) do
    if line.id == answer.headers["x-request-id"] then
      return line
    end
  end
end

--- One request on the admin socket.
---@return integer status
---@return any value
function Between:admin(method, path)
  local conn = http.connect("unix:" .. self.program.folder .. "/admin.sock")
  conn:write(method .. " " .. path .. " HTTP/1.1\r\nhost: admin\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
  local answer = http.parse(http.read_all(conn))[1]
  conn:close()
  return answer.status, cjson.decode(answer.body)
end

local function served(self)
  local _, status = self:admin("GET", "/status")
  local totals = {}
  for i, worker in ipairs(status.workers) do
    totals[i] = worker.requests_total or 0
  end
  return totals
end

--- Calls ask() until every worker has served a request since this began.
function Between:on_every_worker(ask)
  local before, is_done = served(self), false
  while not is_done do
    ask()
    is_done = true
    for i, total in ipairs(served(self)) do
      is_done = is_done and total > before[i]
    end
  end
end

M.wait_until = eventually.is

return M
