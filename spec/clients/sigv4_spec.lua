-- Random requests, signed here and by the vendor's own signer (@smithy/signature-v4): one wire form each, with
-- encodings, cases, blanks and orders that mean the same. Seeded: a failure repeats; the seed is in its text.
local cjson = require("cjson")
local sigv4 = require("rt.sigv4")

local CASES = 1000
local SCRIPT = "spec/clients/sigv4_random.mjs"

local random -- of the running case

local function pick(list)
  return list[random(#list)]
end

local function chance(percent)
  return random(100) <= percent
end

-- Up to `count` pieces, each a character (some of several bytes) or a text.
local function text_of(pieces, count)
  local out = {}
  for i = 1, random(0, count) do
    out[i] = pick(pieces)
  end
  return table.concat(out)
end

local function split(text)
  local list = {}
  for char in text:gmatch("[%z\1-\127\194-\244][\128-\191]*") do
    list[#list + 1] = char
  end
  return list
end

local LETTERS = split("abcdefghijklmnopqrstuvwxyz0123456789")
local NAME = split("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!#$%&'*+^`|~")
local VALUE = split("abcXYZ019 \t,;:=/\"é€😀%+-_.~")
local QUERY = split("abcXYZ019 &=+%/?#:;,@!$'()*-_.~[]{}|\\^`<>\"é€😀\1\127")
local PATH = split("abcXYZ019:;,@!$&'()*+=-_.~%[]é€")
local PATH_SEGMENTS = { "", ".", "..", "...", "v1", "messages", "%3A", "%2F", "%2e%2e", "a%20b", "us.anthropic:0" }
local SECRET = split("abcXYZ019/+=!#~-_")

-- One of the forms in which a part of a query may be sent.
local function query_form(text, is_value)
  return (text:gsub(".", function(char)
    if char == " " and chance(50) then
      return "+"
    elseif char:find("[%w%-._~/:;,@!$'()*]") and chance(80) or (char == "=" and is_value and chance(50)) then
      return char
    end
    return (chance(50) and "%%%02X" or "%%%02x"):format(char:byte())
  end))
end

local function mixed_case(text)
  return (text:gsub("%a", function(char)
    return chance(20) and char:upper() or char
  end))
end

local function shuffle(list)
  for i = #list, 2, -1 do
    local k = random(i)
    list[i], list[k] = list[k], list[i]
  end
  return list
end

-- The vendor's form of a request, and the wire form of its target.
local function new_case()
  local case = {
    access_key_id = "AKIA" .. text_of(LETTERS, 16):upper(), secret_access_key = "s" .. text_of(SECRET, 50),
    session_token = chance(40) and "t" .. text_of(SECRET, 200) or nil,
    region = pick({ "us-east-1", "eu-central-1", "r" .. text_of(LETTERS, 10) }),
    service = pick({ "bedrock", "sts", "aws-external-anthropic" }),
    content_sha256 = chance(70),
    method = pick({ "GET", "POST", "PUT", "DELETE", "HEAD" }),
    body = chance(70) and text_of(VALUE, 300) or nil,
    time_s = chance(50) and random(1700000000, 1900000000) or random(0, 2147483647) * 117,
    headers = {}, query = {},
  }

  local segments = {}
  for i = 1, random(0, 6) do
    segments[i] = chance(50) and pick(PATH_SEGMENTS) or text_of(PATH, 12)
  end
  case.path = "/" .. table.concat(segments, "/")

  local names, parts = { "a", "a-", "ab", "lifecycle", "ids[]", text_of(QUERY, 8) .. "q" }, {}
  for i = 1, random(0, 8) do
    local name, value = pick(names), text_of(QUERY, 10)
    case.query[i] = { name, value }
    local form = query_form(name)
    parts[i] = (value == "" and chance(50)) and form or form .. "=" .. query_form(value, true)
  end
  local query = table.concat(shuffle(parts), chance(5) and "&&" or "&")
  local target = (#parts > 0 or chance(5)) and case.path .. "?" .. query or case.path

  local headers = { { "host", chance(50) and "example.amazonaws.com" or "h" .. text_of(LETTERS, 20) .. ":8443" } }
  local function add(name, value)
    headers[#headers + 1] = { name, value }
  end
  for _ = 1, random(0, 8) do
    add("x" .. text_of(NAME, 30), text_of(VALUE, 40))
  end
  for _, name in ipairs({ "content-type", "anthropic-version", "anthropic-beta", "x-amz-meta-a", "accept" }) do
    if chance(30) then
      add(name, pick({ "application/json", "2023-06-01", "  a   b\t", "a\r\n b", "", " " }))
    end
  end
  for _, name in ipairs({
    "user-agent", "connection", "content-length", "transfer-encoding", "te", "expect", "traceparent", "accept-encoding",
    "proxy-authorization", "sec-fetch-mode", "x-amzn-trace-id", "cache-control", "authorization", "date", "x-amz-date",
  }) do
    if chance(20) then
      add(name, "what nobody signs")
    end
  end
  if chance(10) then
    add("x-amz-content-sha256", pick({ "UNSIGNED-PAYLOAD", ("ab"):rep(32) }))
  end
  if chance(20) then -- twice one name; the vendor's form folds blanks after joining, so there are none at the ends
    add("x-twice", "a b")
    add("x-twice", pick({ "c", "a b", "" }))
  end
  local seen = {}
  for _, header in ipairs(shuffle(headers)) do
    local lower = header[1]:lower()
    if not seen[lower] or lower == "x-twice" then -- random names may meet
      seen[lower] = true
      case.headers[#case.headers + 1] = { mixed_case(header[1]), header[2] }
    end
  end
  return case, target
end

local function sign_here(case, target)
  local signer = assert(sigv4.signer(case))
  local headers = {}
  for _, header in ipairs(case.headers) do
    headers[#headers + 1] = header[1]
    headers[#headers + 1] = header[2]
  end
  local added, err = signer:sign({
    method = case.method, target = target, headers = headers, body = case.body, time_s = case.time_s,
  })
  return added and added[#added] or "error: " .. err.message
end

-- A generator of its own: busted and other specs may use math.random.
local function generator(seed)
  local state = seed
  return function(low, high)
    if not high then
      low, high = 1, low
    end
    local value = 0
    for _ = 1, 2 do
      state = (state * 16807) % 2147483647
      value = value * 65536 + state % 65536
    end
    return low + value % (high - low + 1)
  end
end

describe("rt.sigv4 and @smithy/signature-v4", function()
  it("agree on " .. CASES .. " random requests", function()
    local seed = os.time()
    random = generator(seed)
    local path = os.tmpname()
    local input = assert(io.open(path, "w"))
    local cases, targets = {}, {}
    for i = 1, CASES do
      cases[i], targets[i] = new_case()
      if #cases[i].query == 0 then
        cases[i].query = nil -- cjson would write {}
      end
      assert(input:write(cjson.encode(cases[i]), "\n"))
    end
    input:close()
    local node = assert(io.popen(("%s %s < %s 2>&1"):format(os.getenv("MOONGATE_NODE") or "node", SCRIPT, path)))
    local answered = 0
    for line in node:lines() do
      answered = answered + 1
      local case = cases[answered] or error("more answers than cases: " .. line)
      local here = sign_here(case, targets[answered])
      if here ~= line then
        os.remove(path)
        error(("seed %d, case %d\ntarget %s\n%s\nhere    %s\nvendor  %s"):format(seed, answered, targets[answered],
          cjson.encode(case), here, line), 0)
      end
    end
    node:close()
    os.remove(path)
    assert.equal(CASES, answered)
  end)
end)
