--- Configuration as data: checks a value against a schema and fills in defaults. Every error at once, each
--- with its path and, for a misspelt name, what was probably meant. The grammar is in lua/gate/README.md.
--- The checked value is a new table; what was written stays as it was.
local secret = require("gate.secret")
local text = require("gate.text")

local M = {}

local check

local TYPES = { string = true, integer = true, number = true, boolean = true, table = true, any = true }

local function extend(path, key)
  local longer = {}
  for i = 1, #path do
    longer[i] = path[i]
  end
  longer[#longer + 1] = key
  return longer
end

local function describe(value)
  if secret.is(value) then
    return "a secret"
  elseif type(value) == "string" then
    return string.format("%q", #value > 40 and value:sub(1, 40) .. "..." or value)
  elseif type(value) == "number" or type(value) == "boolean" then
    return tostring(value)
  end
  return "a " .. type(value)
end

-- A type name with bounds, as map_of and list_of may hold: `{ map_of = "number", min = 0 }`.
local function element_schema(field, element)
  if type(element) == "table" then
    return element
  end
  return { type = element, min = field.min, max = field.max, enum = field.enum, pattern = field.pattern,
    secret = field.secret }
end

local function in_bounds(field, size, unit, path, problems)
  if field.min and size < field.min then
    problems:add(path, string.format("must be at least %s%s, is %s", field.min, unit, size))
  elseif field.max and size > field.max then
    problems:add(path, string.format("must be at most %s%s, is %s", field.max, unit, size))
  else
    return true
  end
  return false
end

local function check_scalar(field, value, path, problems)
  local kind = field.type
  if field.secret then
    if type(value) == "string" then
      problems:note_secret(path, value)
      value = secret.new(value)
    end
    if not secret.is(value) then
      return problems:add(path, "must be a string or secret.env/secret.file, is " .. describe(value))
    elseif value:reveal() == "" then
      return problems:add(path, "must not be empty")
    end
    return value
  end
  if secret.is(value) then
    return problems:add(path, "is not a secret field: use env.NAME or a plain value")
  end
  if kind == "integer" then
    if type(value) ~= "number" or value ~= math.floor(value) or value ~= value or math.abs(value) > 2 ^ 53 then
      return problems:add(path, "must be an integer, is " .. describe(value))
    end
  elseif kind ~= "any" and type(value) ~= kind then
    return problems:add(path, "must be a " .. kind .. ", is " .. describe(value))
  elseif kind == "number" and value ~= value then
    return problems:add(path, "must be a number, is not one")
  end
  if kind == "integer" or kind == "number" then
    if not in_bounds(field, value, "", path, problems) then
      return nil
    end
  elseif kind == "string" then
    if not in_bounds(field, #value, " characters", path, problems) then
      return nil
    end
    if field.pattern and not value:find(field.pattern) then
      return problems:add(path, describe(value) .. " is not valid" .. (field.hint and (": " .. field.hint) or ""))
    end
  end
  if field.enum then
    for _, allowed in ipairs(field.enum) do
      if value == allowed then
        return value
      end
    end
    local names = {}
    for i, allowed in ipairs(field.enum) do
      names[i] = describe(allowed)
    end
    return problems:add(path, "must be one of " .. table.concat(names, ", ") .. ", is " .. describe(value),
      text.closest(value, field.enum))
  end
  return value
end

local function check_list(field, value, path, problems)
  if type(value) ~= "table" or secret.is(value) then
    return problems:add(path, "must be a list, is " .. describe(value))
  end
  for key in pairs(value) do
    if type(key) ~= "number" or key < 1 or key > #value or key ~= math.floor(key) then
      return problems:add(extend(path, key), "must be a list without names or gaps")
    end
  end
  local element = element_schema(field, field.list_of)
  if type(field.list_of) == "table" and not in_bounds(field, #value, " entries", path, problems) then
    return nil
  end
  local out = {}
  for i, entry in ipairs(value) do
    out[i] = check(element, entry, extend(path, i), problems)
  end
  return out
end

local function check_map(field, value, path, problems)
  if type(value) ~= "table" or secret.is(value) then
    return problems:add(path, "must be a table, is " .. describe(value))
  end
  local element = element_schema(field, field.map_of)
  local out = {}
  for _, key in ipairs(text.sorted_keys(value)) do
    if type(key) ~= "string" then
      problems:add(extend(path, key), "must have a name")
    elseif field.key_pattern and not key:find(field.key_pattern) then
      problems:add(extend(path, key), "is not a valid name" .. (field.hint and (": " .. field.hint) or ""))
    else
      out[key] = check(element, value[key], extend(path, key), problems)
    end
  end
  return out
end

local function check_choice(field, value, path, problems)
  if type(value) ~= "table" or secret.is(value) then
    return problems:add(path, "must be a table, is " .. describe(value))
  end
  local names = text.sorted_keys(field.cases)
  local chosen = value[field.choose]
  local case = type(chosen) == "string" and field.cases[chosen]
  if not case then
    return problems:add(extend(path, field.choose), "must be one of " .. table.concat(names, ", ") .. ", is "
      .. describe(chosen),
      text.closest(chosen, names))
  end
  local fields = { [field.choose] = { type = "string" } }
  for name, inner in pairs(case) do
    fields[name] = inner
  end
  return M.check(fields, value, path, problems)
end

--- Checks one value against one field's schema.
function check(field, value, path, problems)
  if type(field) == "string" then
    field = { type = field }
  end
  if field.choose then
    value = check_choice(field, value, path, problems)
  elseif field.list_of then
    value = check_list(field, value, path, problems)
  elseif field.map_of then
    value = check_map(field, value, path, problems)
  elseif field.fields then
    value = M.check(field.fields, value, path, problems)
  else
    value = check_scalar(field, value, path, problems)
  end
  if value ~= nil and field.check then
    local replaced, message, suggestion = field.check(value)
    if message then
      return problems:add(path, message, suggestion)
    end
    value = replaced == nil and value or replaced
  end
  return value
end

--- Checks a table against its fields.
---@param fields table<string, table|string> Name -> schema.
---@param value any
---@param path any[]
---@param problems table gate.problems list.
---@param ignored table<string, boolean>? Names that somebody else checks.
---@return table? checked New table with defaults; what it holds is only good when no problem was added.
function M.check(fields, value, path, problems, ignored)
  if type(value) ~= "table" or secret.is(value) then
    return problems:add(path, "must be a table, is " .. describe(value))
  end
  local out = {}
  for _, key in ipairs(text.sorted_keys(value)) do
    if not (fields[key] or (ignored and ignored[key])) then
      problems:add(extend(path, key), "unknown field", text.closest(key, text.sorted_keys(fields)))
    end
  end
  for _, key in ipairs(text.sorted_keys(fields)) do
    local field, given = fields[key], value[key]
    if given ~= nil then
      out[key] = check(field, given, extend(path, key), problems)
    elseif type(field) == "table" then
      if field.required then
        problems:add(extend(path, key), "is required" .. (field.doc and (": " .. field.doc) or ""))
      elseif field.default ~= nil then
        out[key] = M.copy(field.default)
      elseif field.fields then
        local has_required = false
        for _, inner in pairs(field.fields) do
          has_required = has_required or (type(inner) == "table" and inner.required)
        end
        if not has_required then -- an absent group has its members' defaults
          out[key] = M.check(field.fields, {}, extend(path, key), problems)
        end
      end
    end
  end
  return out
end

--- A copy that shares no table with the original; secrets stay what they are.
function M.copy(value)
  if type(value) ~= "table" or secret.is(value) then
    return value
  end
  local out = {}
  for key, inner in pairs(value) do
    out[key] = M.copy(inner)
  end
  return out
end

--- Is a plugin's schema itself well-formed? A plugin author's mistake, found at load time.
---@param fields any
---@param where string
---@return boolean?
---@return string? message
function M.is_valid(fields, where)
  if type(fields) ~= "table" then
    return nil, where .. " must be a table"
  end
  for name, field in pairs(fields) do
    local here = where .. "." .. tostring(name)
    if type(field) == "string" then
      field = { type = field }
    end
    if type(field) ~= "table" then
      return nil, here .. " must be a type name or a table"
    elseif field.fields then
      local ok, message = M.is_valid(field.fields, here .. ".fields")
      if not ok then
        return nil, message
      end
    elseif not (field.choose or field.list_of or field.map_of)
        and not TYPES[field.type or (field.secret and "string")] then
      return nil, here .. " has no known type"
    end
  end
  return true
end

return M
