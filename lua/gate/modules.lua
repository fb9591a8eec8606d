--- The plugins' modules of one generation: compiled from the bundle's text, each once, each in its own
--- environment, in a module table of the generation's own. Nothing of an older generation is ever seen.
local sandbox = require("gate.sandbox")
local text = require("gate.text")

local M = {}
M.__index = M

-- gate.* that a plugin may require; each plugin gets a copy of the table.
local GATE = { "gate.json", "gate.errors", "gate.pivot" }

local function copy(from)
  local out = {}
  for key, value in next, from do
    out[key] = value
  end
  return setmetatable(out, getmetatable(from))
end

--- A module table.
---@param sources table<string, { path: string, text: string }> By module name, for example "plugins.route".
function M.new(sources)
  local shared = {}
  for _, name in ipairs(GATE) do
    shared[name] = true
  end
  local own = {}
  for name, source in pairs(sources) do
    own[name] = { path = source.path, text = source.text }
  end
  return setmetatable({ sources = own, loaded = {}, loading = {}, trusted = {}, shared = shared }, M)
end

--- Names of the plugins there are: "plugins.route" -> "route". Parts of a plugin's folder are not counted.
---@return table<string, boolean>
function M:names()
  local out = {}
  for module in pairs(self.sources) do
    local name = module:match("^plugins%.([%w_]+)$")
    if name then
      out[name] = true
    end
  end
  return out
end

local function kernel_module(self, name, plugin)
  if name == "gate.plugin" then
    return require("gate.plugin").for_plugin(plugin)
  elseif self.shared[name] then
    return copy(require(name))
  elseif name == "cjson" then
    self.cjson = self.cjson or require("cjson").new()
    return self.cjson
  end
end

local function require_of(self, plugin)
  local own = {}
  return function(name)
    if type(name) ~= "string" then
      error("require: a name is needed", 2)
    end
    local known = own[name] or kernel_module(self, name, plugin)
    if known then
      own[name] = known
      return known
    elseif self.sources[name] then
      local value, message = self:load(name)
      if value == nil then
        error(message, 0)
      end
      return value
    elseif self.trusted[plugin] and not name:find("^plugins%.") then
      return require(name)
    end
    local hint = text.closest(name, text.sorted_keys(self.sources))
    error(string.format("%s: module '%s' is not for plugins%s", plugin, name,
      hint and " (did you mean '" .. hint .. "'?)" or ""), 2)
  end
end

--- Loads a module, once.
---@param name string For example "plugins.route".
---@return any? value What it returned.
---@return string? message With file and line.
function M:load(name)
  local known = self.loaded[name]
  if known ~= nil then
    return known
  elseif self.loading[name] then
    return nil, string.format("%s: modules require each other in a circle", name)
  end
  local source = self.sources[name]
  if not source then
    return nil, string.format("there is no module '%s'", name)
  end
  local plugin = name:match("^plugins%.([%w_]+)") or name
  local require_module = require_of(self, plugin)
  local env = self.trusted[plugin] and sandbox.trusted(require_module) or sandbox.plugin(source.path, require_module)
  local chunk, message = sandbox.compile(source.text, source.path, env)
  if not chunk then
    return nil, message
  end
  self.loading[name] = true
  local ok, value = pcall(chunk, name)
  self.loading[name] = nil
  if not ok then
    return nil, tostring(value)
  elseif value == nil then
    return nil, source.path .. ": returns nothing; a module returns a table"
  end
  self.loaded[name] = value
  source.text = nil -- not needed any more; a generation lives long
  return value
end

return M
