--- One generation: a configuration, the plugins it uses, and what was compiled from them. Immutable once it
--- is live. A request holds the generation it began with; when a retired one's last request has ended, it is
--- torn down and nothing refers to it any more.
local log = require("gate.log")

local M = {}
M.__index = M

local alive = 0 -- built and not torn down yet

--- Wraps what gate.loader has built.
---@param fields table
function M.new(fields)
  alive = alive + 1
  fields.refs = 0
  fields.is_retired = false
  fields.resolved = {}
  fields.resolved_count = 0
  return setmetatable(fields, M)
end

---@return integer generations that are not torn down
function M.alive()
  return alive
end

local RESOLVED_MAX = 2048

--- The account and the catalogue entry of a target.
---@param account_name string
---@param model string
---@return gate.Account? account
---@return table? entry nil: the catalogue does not know the model.
function M:resolve(account_name, model)
  local account = self.app.accounts[account_name]
  if not account then
    return nil
  end
  local by_model = self.resolved[account_name]
  local entry = by_model and by_model[model]
  if not entry then
    entry = self.app.catalog.find(model, account_name)
    if not entry then
      return account
    end
    if not by_model or self.resolved_count >= RESOLVED_MAX then -- names come from clients
      if by_model then
        self.resolved, self.resolved_count = {}, 0
      end
      by_model = {}
      self.resolved[account_name] = by_model
    end
    by_model[model] = entry
    self.resolved_count = self.resolved_count + 1
  end
  return account, entry
end

--- Finds the route of a request.
---@param method string
---@param path string
---@return table? entry
---@return table? params Decoded path segments, or the methods that the path has when entry is nil.
function M:find_route(method, path)
  local by_path = self.routes[path]
  if by_path then
    local entry = by_path[method] or (method == "HEAD" and by_path.GET)
    if entry then
      return entry
    end
    return nil, by_path
  end
  return self.match_route(self.patterns, method, path)
end

--- The name behind an index: a policy plugin, a surface or a provider.
---@param index integer
---@return string?
function M:plugin_name(index)
  return self.index_names[index]
end

--- A request begins.
function M:hold()
  self.refs = self.refs + 1
end

-- Frees all that the generation owns. Also what a failed build leaves behind.
function M:teardown()
  if self.is_torn_down then
    return
  end
  self.is_torn_down = true
  alive = alive - 1
  for i = #self.undo, 1, -1 do
    local step = self.undo[i]
    local ok, message = pcall(step.fn, step.value)
    if not ok then
      log.event("error", "teardown_raised", { what = step.what, message = tostring(message), generation = self.id })
    end
  end
  self.undo = {}
end

--- A request ends.
function M:release()
  self.refs = self.refs - 1
  if self.refs == 0 and self.is_retired then
    self:teardown()
  end
end

--- No new request begins here.
function M:retire()
  self.is_retired = true
  if self.refs == 0 then
    self:teardown()
  end
end

return M
