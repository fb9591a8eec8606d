--- Runs the hooks of the policy plugins. Each generation compiles them into flat arrays, one set per phase
--- that some plugin has, so an absent hook costs nothing and a call makes no table and no closure.
--- A hook that raises ends the request (`fail = "closed"`): the one pcall is around the whole request, in
--- gate.server, which reads from ctx whose hook it was. Only hooks of plugins with `fail = "open"` have their own.
local crumb = require("gate.crumb")
local errors = require("gate.errors")
local log = require("gate.log")
local is_reply = require("gate.plugin").is_reply

local M = {}

--- The hooks in the order in which a request comes by them. The texts are REFERENCE.md's (`make reference`).
M.HOOKS = {
  { name = "on_access", when = "First, before the body is read.", may = "set `ctx.identity`, answer, refuse",
    note = "When no plugin has set `ctx.identity` the request is refused with `unauthenticated`." },
  { name = "on_request", when = "The pivot request is there.", may = "edit `ctx.body`, answer, refuse" },
  { name = "on_route", when = "Targets are chosen.", may = "return a list of targets, answer, refuse",
    note = "Every plugin sees, and may replace, the targets of the ones before." },
  { name = "on_attempt", extra = "attempt", when = "Before each try.", may = "edit `attempt.body`, answer, refuse",
    note = "The body is a fork: the next try starts from the client's request again." },
  { name = "on_failure", extra = "attempt", when = "After a try that failed with nothing sent to the client.",
    may = 'return `"retry"`, `"next"` or `"fail"`', note = "The first plugin that answers decides." },
  { name = "on_event", extra = "event", when = "For each pivot event of the answer, streamed or not.",
    may = "edit or drop the event; must not wait", note = "Takes the stream off the C fast path." },
  { name = "on_response", when = "The whole answer is there, where it was not streamed.",
    may = "edit `ctx.answer`, answer, refuse" },
  { name = "on_end", when = "Always, after the client has its answer or has gone.", may = "wait; changes nothing" },
}

M.PHASES = {}
for i, hook in ipairs(M.HOOKS) do
  M.PHASES[i] = hook.name
end

---@class gate.pipeline.Hooks
---@field n integer
---@field run fun(ctx: gate.Ctx, extra: any): any, gate.Err?
---@field phase string
---@field fns function[]
---@field confs table[]
---@field states any[]
---@field ids integer[] Index of the plugin in its generation.
---@field names string[]
---@field crumbs integer[]
---@field is_open boolean[]

local function normal_error(err, name)
  if type(err) == "table" and type(err.code) == "string" then
    if err.message == nil then
      err.message = err.code
    end
    return err
  end
  log.event("error", "plugin_error", { plugin = name, message = tostring(err) })
  return errors.new("internal", "internal error")
end

local function call_open(hooks, i, ctx, extra)
  local ok, result, err = pcall(hooks.fns[i], ctx, hooks.confs[i], hooks.states[i], extra)
  if ok then
    return result, err
  end
  log.event("error", "plugin_raised", {
    plugin = hooks.names[i], hook = hooks.phase, request = ctx.id, message = tostring(result), fail = "open",
  })
  ctx:warn("plugin_failed", "plugin %s was skipped", hooks.names[i])
end

-- The body of a phase, written out hook by hook: no loop, no table, no closure when it runs, and each
-- call site of a hook is its own for the compiler.
local function write_phase(hooks)
  local out = { [[
local ctx_page, fns, confs, states, crumbs, names, call_open, hooks, normal_error, is_reply = ...
return function(ctx, extra)
  local page = ctx_page.page
  local result, err
  ctx._hook = hooks.phase
]] }
  for i = 1, hooks.n do
    local call = hooks.is_open[i] and ("call_open(hooks, %d, ctx, extra)"):format(i)
      or ("fns[%d](ctx, confs[%d], states[%d], extra)"):format(i, i, i)
    out[#out + 1] = ([[
  ctx._plugin = %d
  page.crumb = crumbs[%d]
  result, err = %s
]]):format(hooks.ids[i], i, call)
    if hooks.phase == "on_route" then
      -- Every plugin sees, and may replace, the targets of the ones before.
      out[#out + 1] = ([[
  if err ~= nil then
    ctx._plugin = 0
    page.crumb = 0
    return nil, normal_error(err, names[%d])
  elseif result ~= nil then
    if is_reply(result) then
      ctx._plugin = 0
      page.crumb = 0
      return result
    end
    ctx.targets = result
  end
]]):format(i)
    else
      out[#out + 1] = ([[
  if result ~= nil or err ~= nil then
    ctx._plugin = 0
    page.crumb = 0
    if err ~= nil then
      return nil, normal_error(err, names[%d])
    end
    return result
  end
]]):format(i)
    end
  end
  out[#out + 1] = "  ctx._plugin = 0\n  page.crumb = 0\nend\n"
  return table.concat(out)
end

--- Compiles one generation's plugins.
---@param plugins { module: table, conf: table, state: any, index: integer }[] In the order of the configuration.
---@return table<string, gate.pipeline.Hooks> hooks By phase; a phase that no plugin has is false.
function M.compile(plugins)
  local out = {}
  for _, phase in ipairs(M.PHASES) do
    local hooks = { n = 0, phase = phase, fns = {}, confs = {}, states = {}, ids = {}, names = {}, is_open = {},
      crumbs = {} }
    for _, plugin in ipairs(plugins) do
      local fn = plugin.module[phase]
      if fn then
        local n = hooks.n + 1
        hooks.n = n
        hooks.fns[n], hooks.confs[n], hooks.states[n] = fn, plugin.conf, plugin.state
        hooks.ids[n], hooks.names[n] = plugin.index, plugin.module.name
        hooks.is_open[n] = plugin.module.fail == "open"
        hooks.crumbs[n] = crumb.label(plugin.module.name .. " " .. phase)
      end
    end
    if hooks.n > 0 then
      hooks.run = assert(load(write_phase(hooks), "=pipeline " .. phase))(
        crumb, hooks.fns, hooks.confs, hooks.states, hooks.crumbs, hooks.names, call_open, hooks, normal_error, is_reply)
    end
    out[phase] = hooks.n > 0 and hooks or false
  end
  return out
end

--- Code of a surface or a provider begins: whose it is, for ctx.own, the log and the supervisor.
---@param ctx gate.Ctx
---@param part { index: integer, crumb: integer } A route's entry or an account.
function M.enter(ctx, part)
  ctx._plugin, ctx._hook = part.index, false
  crumb.page.crumb = part.crumb
end

--- It has ended.
function M.leave(ctx)
  ctx._plugin = 0
  crumb.page.crumb = 0
end

--- Runs one phase. on_route: what a plugin returns are the targets, and the next one runs.
---@param hooks gate.pipeline.Hooks
---@param ctx gate.Ctx
---@param extra any Attempt or event.
---@return any result What a hook returned: a reply, a decision. nil: go on.
---@return gate.Err? err
function M.run(hooks, ctx, extra)
  return hooks.run(ctx, extra)
end

--- Runs on_end: every plugin's, whatever the others do.
function M.run_end(hooks, ctx)
  for i = 1, hooks.n do
    ctx._plugin, ctx._hook = hooks.ids[i], "on_end"
    crumb.page.crumb = hooks.crumbs[i]
    local ok, message = pcall(hooks.fns[i], ctx, hooks.confs[i], hooks.states[i])
    if not ok then
      log.event("error", "plugin_raised", {
        plugin = hooks.names[i], hook = "on_end", request = ctx.id, message = tostring(message),
      })
    end
  end
  ctx._plugin = 0
  crumb.page.crumb = 0
end

return M
