--- Builds a generation aside from a bundle: compiles its plugins into a module table of their own, checks
--- every option against their schemas, sets them up. Either all of it works or nothing is left behind;
--- going live is one assignment, which is gate.server's. Every error is reported at once.
local allow = require("gate.allow")
local config_of = require("gate.config")
local crumb = require("gate.crumb")
local exposed = require("gate.exposed")
local generation_of = require("gate.generation")
local modules_of = require("gate.modules")
local pipeline = require("gate.pipeline")
local pivot = require("gate.pivot")
local problems_of = require("gate.problems")
local routes_of = require("gate.routes")
local schema = require("gate.schema")
local schemas = require("gate.config_schema")
local shape = require("gate.shape")
local text = require("gate.text")

local M = {}

---@class gate.loader.Options
---@field env fun(name: string): string?
---@field number integer?
---@field embed fun(handler: fun(req: any)): string, fun() Starts a loop-back listener: its origin, its closer.
---@field compile_program fun(spec: table): any rt.relay.program

local function add_message(problems, path, message, fallback_file)
  local file, line, what = tostring(message):match("^([^:\n]+%.lua):(%d+): (.*)$")
  if file then
    problems:add_at(file, tonumber(line), problems_of.spell(path), what)
  elseif fallback_file then
    problems:add_at(fallback_file, nil, problems_of.spell(path), tostring(message))
  else
    problems:add(path, tostring(message))
  end
end

local function load_plugin(state, name, kind, path)
  local known = state.plugins[name]
  if known and (known.kind or "policy") == kind then
    return known
  elseif known == false then
    return nil -- told already
  end
  state.plugins[name] = false
  local module, message = state.modules:load("plugins." .. name)
  local source = state.modules.sources["plugins." .. name]
  if module == nil then
    add_message(state.problems, path, message, source and source.path)
    return nil
  end
  message = shape.check(module, name, kind)
  if message then
    state.problems:add_at(source.path, nil, problems_of.spell(path), message)
    state.plugins[name] = known or false
    return nil
  end
  state.plugins[name] = module
  return module
end

local function check_options(state, entry, module)
  return schema.check(module.schema or {}, entry.options, entry.path, state.problems)
end

local ACCOUNT_FIELDS = {}
for key in pairs(schemas.account) do
  ACCOUNT_FIELDS[key] = true
end

-- Accounts that the environment offers, or the embedded one.
local function default_accounts(state)
  local env = setmetatable({}, {
    __index = function(_, name)
      local value = state.options.env(name)
      return value ~= "" and value or nil
    end,
  })
  local found = {}
  for _, name in ipairs(state.defaults.providers or {}) do
    local provider = state.available[name] and load_plugin(state, name, "provider", {})
    local account = provider and provider.from_env and provider.from_env(env)
    if account then
      found[account.name or name] = account
      account.name = nil
    end
  end
  if next(found) == nil and state.defaults.embedded then
    found[state.defaults.embedded.name] = { provider = state.defaults.embedded.provider }
  end
  return found
end

local function check_accounts(state)
  local config, problems = state.config, state.problems
  if not config.has_accounts then
    for name, raw in pairs(default_accounts(state)) do
      config.accounts[name] = config_of.check_account(name, raw, state.available, problems)
    end
    config_of.check_model_accounts(config.models, config.accounts, problems)
  end
  local names = text.sorted_keys(config.accounts)
  if #names == 0 then
    problems:add({ "accounts" }, "there is no account: add one, or leave `accounts` out to use the environment")
  end
  for _, name in ipairs(names) do
    local account = config.accounts[name]
    local provider = account.provider and load_plugin(state, account.provider, "provider",
      { "accounts", name, "provider" })
    if provider then
      local own = schema.check(provider.account_schema or {}, account.raw, { "accounts", name }, problems,
        ACCOUNT_FIELDS) or {}
      for key in pairs(ACCOUNT_FIELDS) do
        own[key] = account[key]
      end
      account.conf = own
    end
  end
  return names
end

-- Runs a setup function; its result, or a problem.
local function set_up(state, path, what, fn, ...)
  local ok, value, err = pcall(fn, ...)
  if not ok then
    add_message(state.problems, path, value)
  elseif value == nil and err ~= nil then
    state.problems:add(path, type(err) == "table" and err.message or tostring(err))
  else
    return true, value
  end
  return false, what
end

local function undo_with(state, what, fn, value)
  if fn then
    table.insert(state.undo, { what = what, fn = fn, value = value })
  end
end

-- Every part that runs code has an index of its own: for ctx.own and for the supervisor's log.
local function next_index(state, name)
  table.insert(state.index_names, name)
  return #state.index_names
end

local function set_up_account(state, name)
  local account = state.config.accounts[name]
  local provider = state.plugins[account.provider]
  local info = { name = name, config_dir = state.bundle.config_dir }
  local slot = {}
  if provider.serve and not account.base_url then
    local close
    info.origin, close = state.options.embed(function(req)
      return provider.serve(req, slot.account)
    end)
    undo_with(state, "listener of " .. name, close)
  end
  local ok, value = set_up(state, { "accounts", name }, name, provider.setup_account, account.conf, info)
  if ok then
    slot.account = value
    undo_with(state, "account " .. name, provider.teardown_account, value)
    state.app.accounts[name] = {
      name = name, provider = account.provider, module = provider, models = account.models, conf = account.conf,
      state = value,
      crumb = crumb.label(account.provider .. " provider"), index = next_index(state, account.provider),
      allow = allow.compile(provider.response_headers),
    }
    if type(value) == "table" and value.signer ~= nil then
      state.wants_sha256 = true
    end
  end
end

local function set_up_plugin(state, entry, module, conf, index)
  local plugin = { module = module, conf = conf, index = index }
  if module.setup then
    local ok, value = set_up(state, entry.path, module.name, module.setup, conf, state.app)
    if not ok then
      return nil
    end
    plugin.state = value
  end
  undo_with(state, "plugin " .. module.name, module.teardown, plugin.state)
  return plugin
end

-- The catalogue as the app sees it: state hidden, private prices laid over.
local function open_catalog(state, plugin)
  local module, inner, models = plugin.module, plugin.state, state.config.models
  local priced = {}
  return {
    find = function(name, account)
      local entry = module.find(name, inner)
      local private = entry and account and models[account .. "/" .. name]
      if not private or not private.price then
        return entry
      end
      local key = account .. "/" .. name
      if not priced[key] then
        local own = schema.copy(entry)
        own.price, own.long_prompt = private.price, nil
        priced[key] = own
      end
      return priced[key]
    end,
    list = function()
      return module.list(inner)
    end,
    cost = function(entry, usage)
      return module.cost(entry, usage, inner)
    end,
  }
end

-- The stream programs: for each surface and provider, and those without a surface.
local function compile_programs(state, surfaces)
  local compile = state.options.compile_program
  local out = { pass = {}, events = {}, by_surface = {} }
  for _, account in pairs(state.app.accounts) do
    local provider, framing = account.module, account.module.framing or "sse"
    if not out.pass[account.provider] then
      out.pass[account.provider] = compile(pivot.program(nil, framing))
      out.events[account.provider] = compile(pivot.program({}, framing))
      for _, surface in ipairs(surfaces) do
        local module = surface.module
        if module.programs and provider.native then
          local ok, specs = set_up(state, surface.path, module.name, module.programs, surface.conf, surface.state)
          local compiled = {}
          for name, spec in pairs(ok and specs or {}) do
            compiled[name] = compile(pivot.program(spec.rules, framing))
          end
          out.by_surface[surface.index] = out.by_surface[surface.index] or {}
          out.by_surface[surface.index][account.provider] = compiled
        end
      end
    end
  end
  return out
end

local function load_listed(state, entries, kind)
  local out = {}
  for _, entry in ipairs(entries) do
    local module = load_plugin(state, entry.name, kind, entry.path)
    if module then
      out[#out + 1] = {
        entry = entry, module = module, conf = check_options(state, entry, module),
        index = next_index(state, entry.name),
      }
    end
  end
  return out
end

local function set_up_all(state, account_names, listed)
  local catalog = set_up_plugin(state, { path = { "catalog" } }, state.plugins[state.config.catalog], {}, 0)
  if not catalog then
    return nil
  end
  state.app.catalog = open_catalog(state, catalog)
  for _, name in ipairs(account_names) do
    set_up_account(state, name)
  end
  if state.problems:count() > 0 then
    return nil
  end
  local done = { surfaces = {}, policies = {} }
  local routes, patterns = {}, {}
  for _, group in ipairs({ "surfaces", "policies" }) do
    for _, item in ipairs(listed[group]) do
      local plugin = set_up_plugin(state, item.entry, item.module, item.conf, item.index)
      if plugin then
        plugin.path = item.entry.path
        table.insert(done[group], plugin)
        local ok, message = true, nil
        if group == "surfaces" then
          ok, message = routes_of.add(routes, patterns, plugin)
        end
        if not ok then
          state.problems:add(item.entry.path, message)
        end
      end
    end
  end
  state.app.keys = nil -- in the ring of the plugin that wanted them; not on the heap
  state.config.keys = nil
  done.programs = compile_programs(state, done.surfaces)
  done.routes, done.patterns = routes, patterns
  return done
end

local function tear_down(undo)
  generation_of.new({ undo = undo }):teardown()
end

local function failed(state)
  tear_down(state.undo)
  return nil, state.problems
end

--- Builds a generation.
---@param bundle table From gate.bundle.
---@param options gate.loader.Options
---@return table? generation
---@return table? problems gate.problems list, when there is no generation.
function M.build(bundle, options)
  local problems, raw = problems_of.new(nil, nil, bundle.config_path), {}
  if bundle.config_path then
    raw, problems = config_of.evaluate(bundle.config_path, bundle.files[bundle.config_path], function(path)
      local content = bundle.files[path]
      return content, content == nil and ("cannot read " .. path) or nil
    end, options.env)
    if not raw then
      return nil, problems
    end
  end
  local modules = modules_of.new(bundle.modules)
  local state = {
    bundle = bundle, options = options, problems = problems, modules = modules, available = modules:names(),
    plugins = {}, undo = {},
    index_names = {},
  }
  local defaults, message = modules:load("plugins.defaults")
  if type(defaults) ~= "table" then
    add_message(problems, {}, message or "plugins/defaults.lua returns no table")
    return nil, problems
  end
  state.defaults = defaults
  local config = config_of.check(raw, problems, state.available, defaults)
  state.config = config
  if #config.keys == 0 and not bundle.config_path and bundle.quickstart_sha256 then
    config.keys = { { name = "quickstart", sha256 = bundle.quickstart_sha256, teams = {}, models = "all" } }
  end
  for _, entry in ipairs(config.plugins) do
    modules.trusted[entry.name] = entry.trusted or nil
  end
  local account_names = check_accounts(state)
  local listed = { surfaces = load_listed(state, config.surfaces, "surface"),
    policies = load_listed(state, config.plugins, "policy") }
  if state.available[config.catalog] then
    load_plugin(state, config.catalog, "catalog", { "catalog" })
  end
  if problems:count() > 0 then
    return failed(state)
  end
  state.app = {
    config = config, accounts = {}, account_names = account_names, models = config.models, keys = config.keys,
    generation = bundle.id,
  }
  local done = set_up_all(state, account_names, listed)
  if not done or problems:count() > 0 then
    return failed(state)
  end
  local plugins = {}
  for name, module in pairs(state.plugins) do
    plugins[#plugins + 1] = { name = name, version = module.version, kind = module.kind or "policy" }
  end
  table.sort(plugins, function(a, b) return a.name < b.name end)
  return generation_of.new({
    id = bundle.id, number = options.number or 0, config = config, app = state.app, undo = state.undo,
    plugins = plugins,
    policies = done.policies, hooks = pipeline.compile(done.policies), routes = done.routes, patterns = done.patterns,
    match_route = routes_of.match, programs = done.programs, wants_sha256 = state.wants_sha256 == true,
    request_ms = config.timeouts.request_ms, index_names = state.index_names,
    parse_options = { max_depth = config.limits.json_depth },
    warnings = exposed.find(problems.secrets, bundle.files),
  })
end

--- Opens one provider without a generation, to serve it alone.
---@param modules table gate.modules.
---@param name string
---@param raw table Options of the account.
---@param origin string Where it will listen.
---@return gate.Provider? provider
---@return any account
---@return table? problems
function M.open_provider(modules, name, raw, origin)
  local problems = problems_of.new(nil, nil, "command line")
  local state = { problems = problems, modules = modules, plugins = {} }
  local provider = load_plugin(state, name, "provider", {})
  if provider and not provider.serve then
    problems:add({}, "the provider " .. name .. " cannot serve")
  end
  local conf = provider and schema.check(provider.account_schema or {}, raw, {}, problems)
  if problems:count() > 0 then
    return nil, nil, problems
  end
  local ok, account = set_up(state, {}, name, provider.setup_account, conf, { name = name, origin = origin })
  if not ok then
    return nil, nil, problems
  end
  return provider, account
end

return M
