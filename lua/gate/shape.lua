--- What makes a table a plugin: name, version of this interface, kind, the functions its kind needs, hooks that
--- exist, schemas that are well-formed.
local pipeline = require("gate.pipeline")
local schema = require("gate.schema")
local text = require("gate.text")

local M = {}

local KINDS = { policy = true, surface = true, provider = true, catalog = true }
local NEEDED = {
  surface = { "read" }, provider = { "setup_account", "build", "read_error" }, catalog = { "find", "list", "cost" },
}
local API = 1

--- The first mistake of a plugin's table; nil: it is one.
---@param module any What the file returned.
---@param name string
---@param kind string What it is to be.
---@return string?
function M.check(module, name, kind)
  if type(module) ~= "table" then
    return "returns no table: this is no plugin"
  elseif module.name ~= name then
    return string.format("M.name must be %q, is %s", name, tostring(module.name))
  elseif module.api ~= API then
    return string.format("M.api must be %d (this gateway), is %s", API, tostring(module.api))
  elseif not KINDS[module.kind or "policy"] then
    return string.format("M.kind %q is not known", tostring(module.kind))
  elseif (module.kind or "policy") ~= kind then
    return string.format("is a %s plugin, not a %s", module.kind or "policy", kind)
  elseif module.fail ~= nil and module.fail ~= "closed" and module.fail ~= "open" then
    return 'M.fail must be "closed" or "open"'
  end
  for _, key in ipairs(text.sorted_keys(module)) do
    if type(key) == "string" and key:find("^on_") then
      local is_phase = false
      for _, phase in ipairs(pipeline.PHASES) do
        is_phase = is_phase or phase == key
      end
      if not is_phase then
        local meant = text.closest(key, pipeline.PHASES)
        return string.format("M.%s is no hook%s", key, meant and (' (did you mean "' .. meant .. '"?)') or "")
      elseif type(module[key]) ~= "function" then
        return string.format("M.%s must be a function", key)
      end
    end
  end
  for _, key in ipairs(NEEDED[kind] or {}) do
    if type(module[key]) ~= "function" then
      return string.format("a %s plugin needs M.%s", kind, key)
    end
  end
  for _, field in ipairs({ "schema", "account_schema" }) do
    local ok, message = schema.is_valid(module[field] or {}, "M." .. field)
    if not ok then
      return message
    end
  end
end

return M
