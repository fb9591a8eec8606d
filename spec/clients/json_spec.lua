--- gate.json against two independent parsers: Node's JSON.parse (what is taken and refused, and as what) and
--- dkjson (values). Known differences, all on purpose: duplicate keys and lone surrogates are refused here.
local ffi = require("ffi")
local dkjson = require("dkjson")
local json = require("gate.json")

local COUNT = 6000

local seed = 20261123
local function below(n)
  seed = (seed * 1103515245 + 12345) % 2147483648
  return math.floor(seed / 65536) % n
end

local function pick(list)
  return list[below(#list) + 1]
end

local PIECES = {
  "a", "b", "key", " ", "é", "€", "😀", "\127", "\\n", "\\\"", "\\\\", "\\/", "\\u00e9", "\\u0000", "\\ud83d\\ude00",
  "\\uFFFF", "text that is longer than one block of sixteen bytes", "\\b\\f\\r\\t",
}
local NUMBERS = {
  "0", "-0", "1", "-1", "10", "0.5", "1.0", "1e2", "1E-2", "1.5e+3", "9007199254740991", "9007199254740993", "0.1",
  "12345678901234567890", "0.30000000000000004", "1e22", "1e23", "5e-324", "1.7976931348623157e308", "123456.789",
}
local SPACES = { "", "", "", " ", "\n", "\t\r ", "  " }

local function text_of_string(prefix)
  local out = { '"', prefix or "" }
  for _ = 1, below(4) do
    out[#out + 1] = pick(PIECES)
  end
  out[#out + 1] = '"'
  return table.concat(out)
end

local function text_of_value(depth)
  local kind = below(depth > 4 and 4 or 7)
  if kind == 0 then
    return pick({ "null", "true", "false" })
  elseif kind == 1 or kind == 2 then
    return pick(NUMBERS)
  elseif kind == 3 then
    return text_of_string()
  end
  local out = {}
  for i = 1, below(5) do
    local value = pick(SPACES) .. text_of_value(depth + 1) .. pick(SPACES)
    out[i] = kind == 4 and value or pick(SPACES) .. text_of_string(i .. "_") .. pick(SPACES) .. ":" .. value
  end
  local open, close = kind == 4 and "[" or "{", kind == 4 and "]" or "}"
  return open .. (#out == 0 and pick(SPACES) or "") .. table.concat(out, ",") .. close
end

local BYTES = {
  '"', "\\", "{", "}", "[", "]", ",", ":", "0", "1", "-", "+", ".", "e", "u", "d", "8", "\0", "\31", "\127", "\128",
  "\192", "\195", "\224", "\237", "\240", "\244", "\255", " ", "\n", "\f", "t", "n", "\239\187\191",
}

local function mutate(text)
  for _ = 1, below(3) + 1 do
    local at = below(#text + 1)
    local what = below(3)
    if what == 0 then -- put in
      text = text:sub(1, at) .. pick(BYTES) .. text:sub(at + 1)
    elseif what == 1 then -- leave out
      text = text:sub(1, at) .. text:sub(at + 2)
    else -- replace
      text = text:sub(1, at) .. pick(BYTES) .. text:sub(at + 2)
    end
  end
  return text
end

local function hex(text)
  return (text:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local double = ffi.new("union { double number; uint64_t bits; }")

-- The same form as spec/clients/json_oracle.mjs.
local function form(value)
  if type(value) == "string" then
    return "s" .. hex(value)
  elseif type(value) == "number" or json.is_number(value) then
    double.number = tonumber(tostring(value)) or 0
    if type(value) == "number" then
      double.number = value
    end
    return "n" .. ("%08x%08x"):format(tonumber(double.bits / 2 ^ 32), tonumber(double.bits % 2 ^ 32))
  elseif not json.is_node(value) then
    return value == json.null and "null" or tostring(value)
  end
  local out = {}
  if value:type() == "array" then
    for i, element in json.ipairs(value) do
      out[i] = form(element)
    end
    return "[" .. table.concat(out, ",") .. "]"
  end
  for key, member in json.pairs(value) do
    out[#out + 1] = form(key) .. ":" .. form(member)
  end
  table.sort(out)
  return "{" .. table.concat(out, ",") .. "}"
end

describe("gate.json and other parsers", function()
  local texts, valid = {}, {}
  for i = 1, COUNT do
    local text = pick(SPACES) .. text_of_value(0) .. pick(SPACES)
    valid[i] = i % 3 == 0
    texts[i] = valid[i] and text or mutate(text)
  end

  it("take and refuse the same texts as JSON.parse, as the same values", function()
    local name = os.tmpname()
    local file = assert(io.open(name, "wb"))
    for i = 1, COUNT do
      file:write(hex(texts[i]), "\n")
    end
    file:close()
    local node = io.popen(("'%s' spec/clients/json_oracle.mjs '%s'"):format(os.getenv("MOONGATE_NODE") or "node", name))
    local taken, refused = 0, 0
    for i = 1, COUNT do
      local theirs = assert(node:read("*l"), "Node ended early")
      local doc, err = json.parse(texts[i])
      if doc then
        assert.equal(theirs, form(doc:get()), texts[i])
        assert.equal(texts[i], doc:bytes())
        doc:free()
        taken = taken + 1
      elseif err.message:find("duplicate key", 1, true) then
        assert.not_equal("-", theirs)
      else
        assert.equal("-", theirs, texts[i] .. "\n" .. err.message)
        refused = refused + 1
      end
    end
    node:close()
    os.remove(name)
    assert.is_true(taken > COUNT / 3 and refused > COUNT / 4)
  end)

  it("read valid texts as the same values as dkjson", function()
    local function same(a, b, text)
      if type(a) ~= "table" or json.is_number(a) then
        local number = tonumber(tostring(a))
        if type(a) ~= "string" and number then
          -- dkjson does not round correctly; the bits are compared with Node's above.
          return assert.is_true(math.abs(number - b) <= 1e-12 * math.abs(number) + 1e-300, text)
        end
        return assert.equal(a, b, text)
      end
      for key, member in next, a do
        same(member, b[key], text)
      end
      for key in next, b do
        assert.is_not_nil(a[key], text)
      end
    end
    for i = 1, COUNT do
      if valid[i] then
        same(json.decode(texts[i]), (dkjson.decode(texts[i], 1, json.null)), texts[i])
      end
    end
  end)

  it("is understood by dkjson when it encodes", function()
    for i = 1, COUNT do
      if valid[i] then
        local value = json.decode(texts[i])
        local again = json.encode(value)
        assert.equal(again, json.encode(json.decode(again)))
        assert.is_not_nil(dkjson.decode(again, 1, json.null))
      end
    end
  end)
end)
