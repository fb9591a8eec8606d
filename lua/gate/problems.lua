--- The list of everything that is wrong with a configuration: file, line, path, text, suggestion. It knows
--- where each field was written because gate.lines noted the place of every table.
---@class gate.Problem
---@field file string?
---@field line integer?
---@field path string For example "accounts.aws.region".
---@field message string
---@field suggestion string?
local text = require("gate.text")

local M = {}
M.__index = M

--- An empty list.
---@param places table<table, { file: string, constructor: table }>? From gate.lines, by table identity.
---@param root table? The configuration as it was written.
---@param file string?
function M.new(places, root, file)
  return setmetatable({ places = places or {}, root = root, file = file, list = {}, secrets = {} }, M)
end

--- Spells a path: { "accounts", "aws", "auth" } -> accounts.aws.auth
---@param path any[]
---@return string
function M.spell(path)
  local out = {}
  for i, key in ipairs(path) do
    if type(key) == "number" then
      out[i] = "[" .. key .. "]"
    elseif type(key) == "string" and key:find("^[%a_][%w_]*$") then
      out[i] = (i > 1 and "." or "") .. key
    else
      out[i] = '["' .. tostring(key) .. '"]'
    end
  end
  return table.concat(out)
end

--- Where a path was written: the line of the deepest part of it that is known.
---@param path any[]
---@return string? file
---@return integer? line
function M:locate(path)
  local file, line = self.file, nil
  local value = self.root
  for i = 0, #path do
    if type(value) ~= "table" then
      break
    end
    local place = self.places[value]
    if place then
      file, line = place.file, place.constructor.line
      if i < #path then
        local key_line = place.constructor.keys[path[i + 1]]
        line = key_line or line
      end
    end
    value = i < #path and rawget(value, path[i + 1]) or nil
  end
  return file, line
end

--- Adds one problem.
---@param path any[]
---@param message string
---@param suggestion string?
function M:add(path, message, suggestion)
  local file, line = self:locate(path)
  self:add_at(file, line, M.spell(path), message, suggestion)
end

function M:add_at(file, line, path, message, suggestion)
  self.list[#self.list + 1] = { file = file, line = line, path = path, message = message, suggestion = suggestion }
end

---@class gate.NotedSecret
---@field file string?
---@field line integer?
---@field path string? Of the field.
---@field value string?
---@field is_file_of_its_own boolean?

--- Notes a secret that was given as plain text, for gate.exposed.
---@param path any[]
---@param value string
function M:note_secret(path, value)
  local file, line = self:locate(path)
  self.secrets[#self.secrets + 1] = { file = file, line = line, path = M.spell(path), value = value }
end

---@return integer
function M:count()
  return #self.list
end

--- One problem as one line: `gate.lua:12: accounts.aws.regoin: unknown field (did you mean "region"?)`
---@param problem gate.Problem
---@return string
function M.format(problem)
  local where = (problem.file or "configuration") .. (problem.line and (":" .. problem.line) or "")
  local path = problem.path ~= "" and (problem.path .. ": ") or ""
  local suggestion = problem.suggestion and (' (did you mean "' .. problem.suggestion .. '"?)') or ""
  return where .. ": " .. path .. problem.message .. suggestion
end

--- Problems in the order of files and lines.
---@return gate.Problem[]
function M:sorted()
  local order = {}
  for i, problem in ipairs(self.list) do
    order[problem] = i
  end
  table.sort(self.list, function(a, b)
    if (a.file or "") ~= (b.file or "") then
      return (a.file or "") < (b.file or "")
    elseif (a.line or 0) ~= (b.line or 0) then
      return (a.line or 0) < (b.line or 0)
    end
    return order[a] < order[b]
  end)
  return self.list
end

--- All problems, a line each.
---@return string
function M:report()
  local out = {}
  for i, problem in ipairs(self:sorted()) do
    out[i] = M.format(problem)
  end
  return table.concat(out, "\n")
end

M.closest = text.closest

return M
