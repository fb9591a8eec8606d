--- Finds the line of every field of a Lua table file. The source is rewritten, without moving a line, so
--- that each table constructor `{ ... }` tells its number when it is evaluated: `(__at(7,{ ... }))`. So the
--- place is known for any table, also one from a local variable, a loop or an included file.
---@class gate.lines.Constructor
---@field line integer
---@field keys table<any, integer> Line of each field whose key is written out.
local M = {}

-- Opens and closes statement blocks, whose commas separate no fields.
local OPENS = { ["function"] = true, ["if"] = true, ["do"] = true, ["repeat"] = true }
local CLOSES = { ["end"] = true, ["until"] = true }

local function long_bracket_end(source, at)
  local level = source:match("^%[(=*)%[", at)
  if not level then
    return nil
  end
  local _, last = source:find("]" .. level .. "]", at, true)
  return last or #source
end

local function string_end(source, at)
  local quote = source:sub(at, at)
  local i = at + 1
  while i <= #source do
    local char = source:sub(i, i)
    if char == "\\" then
      i = i + 2
    elseif char == quote or char == "\n" then
      return i
    else
      i = i + 1
    end
  end
  return #source
end

-- The tokens of the source: { kind, text, from, to, line }; kinds "name", "string", "number", "mark".
local function tokens(source)
  local list, at, line = {}, 1, 1
  local function take(kind, to)
    local token = { kind = kind, text = source:sub(at, to), from = at, to = to, line = line }
    if kind then
      list[#list + 1] = token
    end
    local _, newlines = token.text:gsub("\n", "")
    line, at = line + newlines, to + 1
  end
  while at <= #source do
    local _, space = source:find("^%s+", at)
    if space then
      take(nil, space)
    elseif source:find("^%-%-", at) then
      local last = long_bracket_end(source, at + 2)
      take(nil, last or (source:find("\n", at, true) or #source))
    elseif source:find("^%[=*%[", at) then
      take("string", long_bracket_end(source, at))
    elseif source:find("^[\"']", at) then
      take("string", string_end(source, at))
    elseif source:find("^[%a_]", at) then
      local _, last = source:find("^[%w_]+", at)
      take("name", last)
    elseif source:find("^%.?%d", at) then
      local _, last = source:find("^[%w.]+", at)
      take("number", last)
    elseif source:find("^[=~<>]=", at) then
      take("mark", at + 1)
    else
      take("mark", at)
    end
  end
  return list
end

-- The key that a field beginning at tokens[i] is written with; nil when it has none or cannot be read.
local function written_key(list, i)
  local token, second = list[i], list[i + 1]
  if token.kind == "name" and second and second.text == "=" then
    return token.text, true
  elseif token.text == "[" and second and list[i + 2] and list[i + 2].text == "]" then
    if second.kind == "number" then
      return tonumber(second.text), true
    elseif second.kind == "string" and not second.text:find("\\", 1, true) then
      return second.text:match("^[\"'](.*)[\"']$") or second.text:match("^%[=*%[(.*)%]=*%]$"), true
    end
    return nil, true
  elseif token.text == "[" then
    return nil, true
  end
  return nil, false
end

--- Rewrites a source.
---@param source string
---@return string rewritten Same lines; calls `__at(number, table)`, which must return the table.
---@return gate.lines.Constructor[] constructors
function M.instrument(source)
  local list = tokens(source)
  local out, constructors = {}, {}
  local stack = {} -- open brackets and blocks; a constructor carries its record
  local copied = 1
  for i, token in ipairs(list) do
    local top = stack[#stack]
    if top and top.is_field_start and token.text ~= "}" then
      top.is_field_start = false
      local key, is_keyed = written_key(list, i)
      if not is_keyed then
        top.position = top.position + 1
        key = top.position
      end
      if key ~= nil then
        top.record.keys[key] = top.record.keys[key] or token.line
      end
    end
    if token.text == "{" and token.kind == "mark" then
      local record = { line = token.line, keys = {} }
      constructors[#constructors + 1] = record
      stack[#stack + 1] = { record = record, is_field_start = true, position = 0 }
      out[#out + 1] = source:sub(copied, token.from - 1)
      out[#out + 1] = "(__at(" .. #constructors .. ",{"
      copied = token.to + 1
    elseif token.text == "}" and token.kind == "mark" then
      stack[#stack] = nil
      out[#out + 1] = source:sub(copied, token.to) .. "))"
      copied = token.to + 1
    elseif token.kind == "mark" and (token.text == "(" or token.text == "[") then
      stack[#stack + 1] = {}
    elseif token.kind == "mark" and (token.text == ")" or token.text == "]") then
      stack[#stack] = nil
    elseif token.kind == "name" and OPENS[token.text] then
      stack[#stack + 1] = {}
    elseif token.kind == "name" and CLOSES[token.text] then
      stack[#stack] = nil
    elseif top and top.record and token.kind == "mark" and (token.text == "," or token.text == ";") then
      top.is_field_start = true
    end
  end
  out[#out + 1] = source:sub(copied)
  return table.concat(out), constructors
end

return M
