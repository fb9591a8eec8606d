--- The route table of a generation: exact paths by hash, paths with `{name}` segments by pattern.
local address = require("gate.address")
local crumb = require("gate.crumb")

local M = {}

local DEFAULT_BODY_LIMIT_BYTES = 32 * 1024 * 1024
local BODIES = { json = true, none = true, stream = true }

-- "/v1/models/{id}" -> "^/v1/models/([^/]+)$", { "id" }
local function compile_path(path)
  local names = {}
  local pattern = path:gsub("[%^%$%(%)%%%.%[%]%*%+%-%?]", "%%%0"):gsub("{([%w_]+)}", function(name)
    names[#names + 1] = name
    return "([^/]+)"
  end)
  return "^" .. pattern .. "$", names
end

--- Adds one surface's routes.
---@param routes table<string, table<string, table>> By path and method.
---@param patterns table[]
---@param surface { module: gate.Surface, conf: table, state: any, index: integer }
---@return boolean?
---@return string? message
function M.add(routes, patterns, surface)
  local module = surface.module
  for i, route in ipairs(module.routes or {}) do
    if type(route) ~= "table" or type(route.method) ~= "string" or type(route.path) ~= "string"
        or route.path:sub(1, 1) ~= "/" then
      return nil, string.format("routes[%d] needs a method and a path", i)
    end
    local body = route.body or ((route.method == "POST" or route.method == "PUT") and "json" or "none")
    if not BODIES[body] then
      return nil, string.format('routes[%d].body must be "json", "none" or "stream"', i)
    end
    local entry = {
      route = route, surface = surface, module = module, conf = surface.conf, state = surface.state,
      index = surface.index,
      crumb = crumb.label(module.name .. " surface"),
      surface_name = module.name, dialect = module.dialect or "openai", choose_dialect = module.choose_dialect,
      is_native = module.native == true, operation = route.operation or "messages", body = body,
      body_limit_bytes = route.body_limit_bytes or DEFAULT_BODY_LIMIT_BYTES, upstream_path = route.upstream_path,
    }
    local pattern, names = compile_path(route.path)
    local by_method
    if #names == 0 then
      by_method = routes[route.path] or {}
      routes[route.path] = by_method
    else
      for _, known in ipairs(patterns) do
        by_method = known.pattern == pattern and known.by_method or by_method
      end
      if not by_method then
        by_method = {}
        patterns[#patterns + 1] = { pattern = pattern, by_method = by_method }
      end
      entry.names = names
    end
    if by_method[route.method] then
      return nil, string.format("%s %s belongs to surface %s already", route.method, route.path,
        by_method[route.method].surface_name)
    end
    by_method[route.method] = entry
  end
  return true
end

--- Finds the entry of a path that has no exact route.
---@return table? entry
---@return table? params Or, without entry, the methods that the path has.
function M.match(patterns, method, path)
  for i = 1, #patterns do
    local candidate = patterns[i]
    local a, b, c, d = path:match(candidate.pattern)
    if a then
      local entry = candidate.by_method[method] or (method == "HEAD" and candidate.by_method.GET)
      if not entry then
        return nil, candidate.by_method
      end
      local values, params = { a, b, c, d }, {}
      for k, name in ipairs(entry.names) do
        local value = values[k] and address.decode(values[k])
        if not value then
          return nil
        end
        params[name] = value
      end
      return entry, params
    end
  end
  return nil
end

return M
