--- wrk's side of make bench: wrk -s request.lua URL -- BODY_FILE KEYS HEADER...
--- A HEADER with %s in it gets the key; KEYS keys take turns. At the end one line of figures.
-- luacheck: globals init request done wrk
local requests, turn = {}, 0

local function key_of(number)
  return ("mg-bench-%05d"):format(number)
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local body, keys = file:read("*a"), tonumber(args[2])
  file:close()
  for number = 1, keys do
    local headers = { ["content-type"] = "application/json" }
    for i = 3, #args do
      local name, value = args[i]:match("^([^:]+): (.*)$")
      headers[name] = value:find("%s", 1, true) and value:format(key_of(number)) or value
    end
    requests[number] = wrk.format("POST", nil, headers, body)
  end
  if keys == 1 then
    local only = requests[1]
    request = function()
      return only
    end
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(("bench requests=%d duration_us=%d p50_us=%.0f p99_us=%.0f failed=%d\n"):format(
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
