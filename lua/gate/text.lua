--- Small text work that several parts need: JSON quoting that survives any bytes, edit distance.
--- Left to others: JSON documents (gate.json).
local buffer = require("string.buffer")
local ffi = require("ffi")

ffi.cdef("const uint8_t *json_find_special(const uint8_t *p, const uint8_t *end, const uint8_t *floor);")

local M = {}

local find_special, cast, pointer = ffi.C.json_find_special, ffi.cast, ffi.typeof("const uint8_t *")

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function escape(char)
  return ESCAPES[char] or string.format("\\u%04x", char:byte())
end

-- Length of the well-formed UTF-8 sequence that begins at i, or nil.
local function sequence_length(text, i)
  local a, b, c, d = text:byte(i, i + 3)
  local function follows(byte)
    return byte and byte >= 0x80 and byte <= 0xBF
  end
  if a >= 0xC2 and a <= 0xDF then
    return follows(b) and 2 or nil
  elseif a >= 0xE0 and a <= 0xEF then
    if not (follows(b) and follows(c)) or (a == 0xE0 and b < 0xA0) or (a == 0xED and b > 0x9F) then
      return nil
    end
    return 3
  elseif a >= 0xF0 and a <= 0xF4 then
    if not (follows(b) and follows(c) and follows(d)) or (a == 0xF0 and b < 0x90) or (a == 0xF4 and b > 0x8F) then
      return nil
    end
    return 4
  end
  return nil
end

-- Broken UTF-8 becomes U+FFFD; C1 controls (a terminal obeys them) become escapes.
local function clean_utf8(text)
  local out = buffer.new(#text + 16)
  local i = 1
  while i <= #text do
    local plain = text:match("^[%z\1-\127]+", i)
    if plain then
      out:put(plain)
      i = i + #plain
    else
      local length = sequence_length(text, i)
      if not length then
        out:put("\239\191\189")
        i = i + 1
      elseif length == 2 and text:byte(i) == 0xC2 and text:byte(i + 1) < 0xA0 then
        out:put(string.format("\\u%04x", text:byte(i + 1)))
        i = i + 2
      else
        out:put(text:sub(i, i + length - 1))
        i = i + length
      end
    end
  end
  return out:get()
end

--- Does a text stand in JSON as it is, between quotes? A tenth of what a pattern costs.
---@param text string
---@return boolean
function M.is_plain(text)
  local first = cast(pointer, text)
  local last = first + #text
  return find_special(first, last, first) == last
end

--- Quotes any text as a JSON string. Control characters are escaped, so a quoted text is one line and
--- steers no terminal; bytes that are not UTF-8 are replaced.
---@param text string
---@return string
function M.quote(text)
  if M.is_plain(text) then
    return '"' .. text .. '"'
  end
  text = text:gsub('[%c"\\\127]', escape)
  if text:find("[\128-\255]") then
    text = clean_utf8(text)
  end
  return '"' .. text .. '"'
end

--- Edit distance where a swap of neighbours counts one.
---@param a string
---@param b string
---@return integer
function M.distance(a, b)
  local before_last, last = nil, {}
  for j = 0, #b do
    last[j] = j
  end
  for i = 1, #a do
    local row = { [0] = i }
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      local best = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + cost)
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        best = math.min(best, before_last[j - 2] + 1)
      end
      row[j] = best
    end
    before_last, last = last, row
  end
  return last[#b]
end

--- The candidate that somebody who wrote `word` most likely meant.
---@param word any
---@param candidates string[] Any order; ties go to the first in alphabetical order.
---@return string?
function M.closest(word, candidates)
  if type(word) ~= "string" or #word > 100 then
    return nil
  end
  local best, best_distance
  local sorted = {}
  for _, candidate in ipairs(candidates) do
    if type(candidate) == "string" then
      sorted[#sorted + 1] = candidate
    end
  end
  table.sort(sorted)
  for _, candidate in ipairs(sorted) do
    local distance = M.distance(word:lower(), candidate:lower())
    if distance <= math.max(1, math.floor(#word / 3)) and (not best or distance < best_distance) then
      best, best_distance = candidate, distance
    end
  end
  return best
end

--- Sorted keys of a table: the only order in which a map may be walked when the result is seen.
---@param map table
---@return any[]
function M.sorted_keys(map)
  local keys = {}
  for key in pairs(map) do
    keys[#keys + 1] = key
  end
  table.sort(keys, function(a, b)
    if type(a) == type(b) and (type(a) == "string" or type(a) == "number") then
      return a < b
    end
    return tostring(a) < tostring(b)
  end)
  return keys
end

return M
