--- The admin socket: HTTP on a Unix socket that only the operator's user can open. JSON in, JSON out.
---   GET /status   GET /version   GET /healthz   GET /readyz   POST /reload   POST /drain
--- The supervisor serves it and gives the functions; anything else is 404, and nothing of it is reachable
--- on a public listener.
local cjson = require("cjson")
local log = require("gate.log")
local version = require("gate.version")

local M = {}

---@class gate.admin.Actions
---@field status fun(): table
---@field reload fun(): table Report: { ok, generation, report, problems }.
---@field drain fun(): table
---@field is_ready (fun(): boolean)?

local JSON = { "content-type", "application/json" }

local function respond(req, status, value)
  req:respond(status, JSON, cjson.encode(value) .. "\n")
end

--- The handler for rt.server on the admin socket.
---@param actions gate.admin.Actions
---@return fun(req: rt.server.Request)
function M.handler(actions)
  local routes = {
    ["GET /status"] = function()
      return 200, actions.status()
    end,
    ["GET /version"] = function()
      return 200, { version = version.VERSION, luajit = jit.version }
    end,
    ["GET /healthz"] = function()
      return 200, { ok = true }
    end,
    ["GET /readyz"] = function()
      local is_ready = not actions.is_ready or actions.is_ready()
      return is_ready and 200 or 503, { ok = is_ready }
    end,
    ["POST /reload"] = function()
      local report = actions.reload()
      return report.ok and 200 or 422, report
    end,
    ["POST /drain"] = function()
      return 202, actions.drain()
    end,
  }
  return function(req)
    local method, path = req:head()
    local route = routes[method .. " " .. path]
    if not route then
      return respond(req, 404, { error = { code = "not_found", message = "no such admin function" } })
    end
    local ok, status, value = pcall(route)
    if not ok then
      log.event("error", "admin_raised", { path = path, message = tostring(status) })
      return respond(req, 500, { error = { code = "internal", message = "internal error" } })
    end
    respond(req, status, value)
  end
end

return M
