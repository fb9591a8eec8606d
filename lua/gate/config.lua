--- gate.lua: evaluates it in a sandbox with `env`, `secret.file`, `secret.env` and `include`, checks it, and
--- says everything that is wrong with it at once. Options of plugins and accounts are checked by gate.loader,
--- which has the plugins; both write into one list of problems. No network, no vendor.
local address = require("gate.address")
local lines = require("gate.lines")
local problems_of = require("gate.problems")
local sandbox = require("gate.sandbox")
local schema = require("gate.schema")
local schemas = require("gate.config_schema")
local secret = require("gate.secret")
local text = require("gate.text")

local M = {}

local INSTRUCTION_LIMIT = 50 * 1000 * 1000
local MAX_INCLUDES = 100

local function directory_of(path)
  return path:match("^(.*)/[^/]*$") or "."
end

--- A path as the configuration writes it, relative to the file that names it.
---@param base string Directory.
---@param path string
---@return string
function M.resolve(base, path)
  if path:sub(1, 1) == "/" or base == "." then
    return path
  end
  return base .. "/" .. path
end

-- Line of the configuration that called the running function.
local function calling_line(file)
  for level = 2, 20 do
    local info = debug.getinfo(level, "Sl")
    if not info then
      return nil
    elseif info.source == "@" .. file then
      return info.currentline
    end
  end
end

-- Runs one file of the configuration; what it returns, or nil after noting the problem.
local function run_file(state, file, source)
  local rewritten, constructors = lines.instrument(source)
  local found = state.problems
  local base = directory_of(file)
  local extra = {
    __at = function(number, value)
      state.places[value] = { file = file, constructor = constructors[number] }
      return value
    end,
    env = setmetatable({}, {
      __index = function(_, name)
        local value = state.env(name)
        return value ~= "" and value or nil
      end,
      __newindex = function() error("env cannot be changed", 2) end,
    }),
    secret = {
      env = function(name)
        local value = state.env(name)
        if not value or value == "" then
          found:add_at(file, calling_line(file), "", "secret.env: the environment variable " .. tostring(name)
            .. " is not set")
          return secret.new("missing")
        end
        return secret.new(value)
      end,
      file = function(path)
        local value, message = state.read(M.resolve(base, path))
        value = value and value:gsub("%s+$", "")
        if not value or value == "" then
          found:add_at(file, calling_line(file), "", "secret.file: " .. (message or (path .. " is empty")))
          return secret.new("missing")
        end
        found.secrets[#found.secrets + 1] = { file = M.resolve(base, path), is_file_of_its_own = true }
        return secret.new(value)
      end,
    },
    include = function(path)
      state.includes = state.includes + 1
      if state.includes > MAX_INCLUDES then
        error("include: more than " .. MAX_INCLUDES .. " files", 0)
      end
      local name = M.resolve(base, path)
      local inner, message = state.read(name)
      if not inner then
        found:add_at(file, calling_line(file), "", "include: " .. message)
        return {}
      end
      local value = run_file(state, name, inner)
      return value == nil and {} or value
    end,
  }
  local env = sandbox.config(file, extra)
  local chunk, message = sandbox.compile(rewritten, file, env)
  if not chunk then -- the rewriting must never be what a user is told about
    local plain, plain_message = sandbox.compile(source, file, env)
    chunk, message = plain, plain_message or message
  end
  if not chunk then
    local where, what = tostring(message):match("^.-:(%d+): (.*)$")
    found:add_at(file, tonumber(where), "", what or tostring(message))
    return nil
  end
  local ok, value = pcall(chunk)
  if not ok then
    local where, what = tostring(value):match("^" .. file:gsub("%p", "%%%0") .. ":(%d+): (.*)$")
    found:add_at(file, tonumber(where), "", what or tostring(value))
    return nil
  end
  return value
end

--- Evaluates a configuration.
---@param file string Path of gate.lua, as messages show it.
---@param source string
---@param read fun(path: string): string?, string? Reads included and secret files.
---@param env fun(name: string): string?
---@return table? raw The table as written; nil when there is none.
---@return table problems gate.problems list.
function M.evaluate(file, source, read, env)
  local places = {}
  local problems = problems_of.new(places, nil, file)
  local state = { places = places, problems = problems, read = read, env = env, includes = 0 }
  local ok, raw = sandbox.call_limited(INSTRUCTION_LIMIT, run_file, state, file, source)
  if not ok then
    problems:add_at(file, nil, "", tostring(raw))
    return nil, problems
  end
  if raw == nil and problems:count() > 0 then
    return nil, problems
  elseif type(raw) ~= "table" then
    problems:add_at(file, 1, "", "must return a table: return { ... }")
    return nil, problems
  end
  problems.root = raw
  return raw, problems
end

local function check_listen(list, problems)
  local out = {}
  for i, entry in ipairs(list) do
    local path = { "listen", i }
    if type(entry) == "string" then
      entry = { address = entry }
    end
    local listener = schema.check(schemas.listener, entry, path, problems)
    if listener and type(listener.address) == "string" then
      local host, port = address.listen(listener.address)
      if not host then
        problems:add(path, string.format("%q %s", listener.address, port))
      end
      listener.host, listener.port = host, port
      out[#out + 1] = listener
    end
  end
  if #list == 0 then
    problems:add({ "listen" }, "must hold at least one address")
  end
  return out
end

--- One entry of `plugins` or `surfaces`: "name" or { "name", option = value, ... }.
local function check_entry(entry, path, available, problems)
  local name, options, trusted = entry, {}, false
  if type(entry) == "table" and not secret.is(entry) then
    name = entry[1]
    for key, value in pairs(entry) do
      if key == "trusted" then
        trusted = value == true
      elseif key ~= 1 then
        options[key] = value
      end
    end
    if entry.trusted ~= nil and type(entry.trusted) ~= "boolean" then
      problems:add({ path[1], path[2], "trusted" }, "must be true or false")
    end
  end
  if type(name) ~= "string" then
    problems:add(path, 'must be "name" or { "name", option = value }')
    return nil
  elseif not available[name] then
    problems:add(path, string.format("unknown plugin %q", name), text.closest(name, text.sorted_keys(available)))
    return nil
  end
  return { name = name, options = options, raw = type(entry) == "table" and entry or nil, trusted = trusted,
    path = path }
end

local function check_entries(raw, field, defaults, available, problems)
  local list = raw == nil and defaults or raw
  local out, seen = {}, {}
  if type(list) ~= "table" then
    problems:add({ field }, "must be a list")
    return out
  end
  for i, entry in ipairs(list) do
    local checked = check_entry(entry, { field, i }, available, problems)
    if checked and seen[checked.name] then
      problems:add({ field, i }, string.format("plugin %q is listed twice", checked.name))
    elseif checked then
      seen[checked.name] = true
      out[#out + 1] = checked
    end
  end
  for _, key in ipairs(text.sorted_keys(list)) do
    if type(key) ~= "number" or key > #out and list[key] == nil then
      problems:add({ field, key }, "must be a list without names or gaps")
    end
  end
  return out
end

local function check_names(value, path, problems)
  if value == "all" then
    return "all"
  elseif type(value) ~= "table" or secret.is(value) then
    problems:add(path, 'must be "all" or a list of names')
    return "all"
  end
  return schema.check({ names = { list_of = { type = "string", min = 1 } } }, { names = value }, path, problems).names
    or {}
end

--- Checks the kernel's fields of one account.
function M.check_account(name, raw, available, problems)
  local path = { "accounts", name }
  if not (type(name) == "string" and name:find("^[%w][%w._-]*$")) then
    problems:add(path, "an account's name is letters, digits, '.', '_' and '-'")
    return nil
  elseif type(raw) ~= "table" or secret.is(raw) then
    problems:add(path, "must be a table")
    return nil
  end
  local own = {}
  for key in pairs(schemas.account) do
    own[key] = raw[key]
  end
  local account = schema.check(schemas.account, own, path, problems)
  account.models = check_names(account.models or "all", { "accounts", name, "models" }, problems)
  if type(account.provider) == "string" and not available[account.provider] then
    problems:add({ "accounts", name, "provider" }, string.format("unknown provider %q", account.provider),
      text.closest(account.provider, text.sorted_keys(available)))
    account.provider = nil
  end
  if type(account.base_url) == "string" then
    local url, err = address.url(account.base_url)
    if not url then
      problems:add({ "accounts", name, "base_url" }, err.message)
    elseif url.scheme == "http" and not url.is_loopback and not account.allow_plain_http then
      problems:add({ "accounts", name, "base_url" },
        "plain http is allowed to loopback only (or set allow_plain_http = true)")
    end
  end
  account.raw = raw
  return account
end

local function check_target(target, path, accounts, problems)
  local account = address.target(target)
  if not account then
    problems:add(path, string.format('%q must be "account/model" or "@account/@model"', target))
  elseif not accounts[account] then
    problems:add(path, string.format("there is no account %q", account),
      text.closest(account, text.sorted_keys(accounts)))
  end
end

--- Looks whether the accounts exist that virtual models and private prices name.
function M.check_model_accounts(models, accounts, problems)
  for _, name in ipairs(text.sorted_keys(models)) do
    local model = models[name]
    for i, target in ipairs(model.targets or {}) do
      check_target(target, { "models", name, "targets", i }, accounts, problems)
    end
    if model.price and not model.targets then
      check_target(name, { "models", name }, accounts, problems)
    end
  end
end

local function check_models(raw, problems)
  local out = {}
  for _, name in ipairs(text.sorted_keys(raw)) do
    local path = { "models", name }
    local model = type(name) == "string" and schema.check(schemas.model, raw[name], path, problems)
    if type(name) ~= "string" then
      problems:add(path, "a model must have a name")
    elseif model then
      if not model.price and not model.targets then
        problems:add(path, "must have targets (a virtual model) or a price (account/model)")
      end
      out[name] = model
    end
  end
  return out
end

local function check_keys(raw, problems)
  local out, by_name, by_hash = {}, {}, {}
  for i, entry in ipairs(raw) do
    local key = schema.check(schemas.key, entry, { "keys", i }, problems)
    if key and type(key.sha256) == "string" then
      key.sha256 = key.sha256:lower()
      key.models = check_names(key.models, { "keys", i, "models" }, problems)
      if by_hash[key.sha256] then
        problems:add({ "keys", i, "sha256" }, "the same key as keys[" .. by_hash[key.sha256] .. "]")
      elseif key.name and by_name[key.name] then
        problems:add({ "keys", i, "name" }, string.format("the same name as keys[%d]", by_name[key.name]))
      end
      by_hash[key.sha256], by_name[key.name or ""] = i, i
      out[#out + 1] = key
    end
  end
  for _, key in ipairs(text.sorted_keys(raw)) do
    if type(key) ~= "number" then
      problems:add({ "keys", key }, "must be a list of { name, sha256, ... }")
    end
  end
  return out
end

--- An empty list of problems, for what goes wrong before there is a configuration.
---@param file string?
function M.no_problems(file)
  return problems_of.new(nil, nil, file)
end

--- Checks the kernel's own fields only: what a process needs that opens sockets and loads no plugin.
---@param raw table
---@param problems table
---@return table config
function M.check_process(raw, problems)
  local config = schema.check(schemas.top, raw, {}, problems)
  if type(config.listen) == "table" then
    config.listen = check_listen(config.listen, problems)
  end
  return config
end

--- Checks an evaluated configuration.
---@param raw table
---@param problems table From evaluate(); everything wrong is added to it.
---@param available table<string, any> Names of the plugins that exist.
---@param defaults { surfaces: string[], plugins: string[], catalog: string }
---@return table config Of use only when no problem was added.
function M.check(raw, problems, available, defaults)
  local config = M.check_process(raw, problems)
  local accounts = {}
  for _, name in ipairs(text.sorted_keys(config.accounts or {})) do
    accounts[name] = M.check_account(name, config.accounts[name], available, problems)
  end
  config.has_accounts = config.accounts ~= nil
  config.accounts = accounts
  config.models = check_models(config.models or {}, problems)
  if config.has_accounts then -- else they come from the environment, and gate.loader looks
    M.check_model_accounts(config.models, accounts, problems)
  end
  config.keys = check_keys(config.keys or {}, problems)
  config.surfaces = check_entries(config.surfaces, "surfaces", defaults.surfaces, available, problems)
  config.plugins = check_entries(config.plugins, "plugins", defaults.plugins, available, problems)
  config.catalog = config.catalog or defaults.catalog
  if not available[config.catalog] then
    problems:add({ "catalog" }, string.format("unknown plugin %q", config.catalog),
      text.closest(config.catalog, text.sorted_keys(available)))
  end
  return config
end

return M
