--- Request ids: unique over workers, restarts and machines, cheap to make, not a counter to the eye.
local bit = require("bit")
local crypto = require("rt.crypto")

local M = {}

local tohex, bxor, lshift, rshift = bit.tohex, bit.bxor, bit.lshift, bit.rshift
local prefix, salt, count

-- 80 random bits for this process and 32 bits that do not repeat within them.
local function reseed()
  local random = crypto.random_hex(14)
  prefix, salt, count = "req_" .. random:sub(1, 20), tonumber(random:sub(21, 28), 16), 0
end

--- A new request id, for example "req_5f0c4a4f7be1a90c3d21a7c09b5e".
---@return string
function M.request()
  if not prefix or count >= 2 ^ 31 then
    reseed()
  end
  count = count + 1
  local mixed = bxor(count, salt) -- each step can be undone, so no two counts meet
  mixed = bxor(mixed, lshift(mixed, 13))
  mixed = bxor(mixed, rshift(mixed, 17))
  mixed = bxor(mixed, lshift(mixed, 5))
  return prefix .. tohex(mixed)
end

--- A random id with a prefix, for example "msg_" for the simulator.
---@param kind string
---@return string
function M.new(kind)
  return kind .. crypto.random_hex(12)
end

return M
