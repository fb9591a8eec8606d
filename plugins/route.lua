--- Route: from the model a client asks for to an ordered list of targets.
---   account/model, @account/@model   that account
---   a virtual model                  the targets of configuration.models[name], in their order
---   a bare name                      the one account that offers it; several: the request must say which
local gate = require("gate.plugin")

---@class route.Conf
---@field default_account string? Serves bare names that several accounts offer.

---@type gate.Plugin
local M = { name = "route", version = "1.0.0", api = 1, fail = "closed" }

M.schema = {
  default_account = { type = "string", doc = "The account that serves bare model names which several accounts offer." },
}

local KEPT_ROUTES = 1024

local function offers(account, model)
  if account.models == "all" then
    return true
  end
  for _, name in ipairs(account.models) do
    if name == model then
      return true
    end
  end
  return false
end

local function split(address)
  local account, model = address:match("^@([^/]+)/@?(.+)$")
  if account then
    return account, model
  end
  return address:match("^([^/]+)/(.+)$")
end

---@param conf route.Conf
function M.setup(conf, app)
  if conf.default_account and not app.accounts[conf.default_account] then
    return nil, { code = "bad_config", message = ("route: default_account %q is no account"):format(conf.default_account) }
  end
  return { app = app, default_account = conf.default_account, kept = {}, count = 0 }
end

local function not_found(name)
  return nil, { code = "model_not_found", message = ("the model %q does not exist here"):format(name), param = "model" }
end

local function resolve(state, name)
  local app = state.app
  local virtual = app.models[name]
  if virtual and virtual.targets then
    local targets = {}
    for i, address in ipairs(virtual.targets) do
      local account, model = split(address)
      targets[i] = { account = account, model = model, reason = "target " .. i .. " of " .. name }
    end
    return targets
  end
  local account_name, model = split(name)
  if account_name then
    local account = app.accounts[account_name]
    if not account or not offers(account, model) or not app.catalog.find(model, account_name) then
      return not_found(name)
    end
    return { { account = account_name, model = model, reason = "account named by the client" } }
  end
  if not app.catalog.find(name) then
    return not_found(name)
  end
  local found = {}
  for _, candidate in ipairs(app.account_names) do
    if offers(app.accounts[candidate], name) then
      found[#found + 1] = candidate
    end
  end
  if #found == 0 then
    return not_found(name)
  end
  local chosen = found[1]
  if #found > 1 then
    chosen = nil
    for _, candidate in ipairs(found) do
      if candidate == state.default_account then
        chosen = candidate
      end
    end
    if not chosen then
      return nil, {
        code = "model_not_found", param = "model",
        message = ("several accounts offer %q: ask for account/%s"):format(name, name),
      }
    end
  end
  return { { account = chosen, model = name, reason = "bare name" } }
end

---@param ctx gate.Ctx
function M.on_route(ctx, _, state)
  if ctx.targets then
    return -- an earlier plugin has decided
  end
  local name = ctx.model
  if not name or name == "" then
    return gate.fail("bad_request", "model: a model is required")
  end
  local targets = state.kept[name]
  if targets then
    return targets
  end
  local err
  targets, err = resolve(state, name)
  if not targets then
    return nil, err
  end
  if state.count >= KEPT_ROUTES then -- names come from clients
    state.kept, state.count = {}, 0
  end
  state.kept[name], state.count = targets, state.count + 1
  return targets
end

return M
