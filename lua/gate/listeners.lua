--- The listening sockets, opened once by the supervisor: one for each worker on each address, so that the kernel
--- spreads connections and a dead worker's queue waits for its successor.
local fs = require("rt.fs")
local system = require("rt.system")

local M = {}

---@class gate.Listeners
---@field addresses string[] What each address has become, with the port that was given for port 0.
---@field by_worker integer[][] Descriptors of each worker, in the order of the addresses.
---@field asked string[] The addresses as they were configured.
---@field fds integer[]
local Listeners = {}
Listeners.__index = Listeners

-- Sockets of one address. A Unix socket cannot be shared out: all workers take the same one.
local function open_address(self, at, address, mode, worker_count)
  self.asked[at] = address
  local fd, bound = system.listen(address, { shared_port = true, exclusive = true, mode = mode })
  if not fd then
    return nil, bound
  end
  self.addresses[at] = bound
  for i = 1, worker_count do
    if i > 1 and address:sub(1, 5) ~= "unix:" then
      fd, bound = system.listen(self.addresses[at], { shared_port = true })
      if not fd then
        return nil, bound
      end
    end
    if self.fds[#self.fds] ~= fd then
      self.fds[#self.fds + 1] = fd
    end
    self.by_worker[i][at] = fd
  end
  return true
end

--- Opens all sockets, or none.
---@param entries (string | { address: string, mode: integer? })[] As in `listen` of the configuration.
---@param worker_count integer
---@return gate.Listeners? listeners
---@return gate.Err? err address_in_use (also by a program that shares the port), not_permitted, bad_address, dns
function M.open(entries, worker_count)
  local self = setmetatable({ addresses = {}, by_worker = {}, fds = {}, asked = {} }, Listeners)
  for i = 1, worker_count do
    self.by_worker[i] = {}
  end
  for at, entry in ipairs(entries) do
    local ok, err
    if type(entry) == "table" then
      ok, err = open_address(self, at, entry.address, entry.mode, worker_count)
    else
      ok, err = open_address(self, at, entry, nil, worker_count)
    end
    if not ok then
      self:close()
      return nil, err
    end
  end
  return self
end

--- Closes the supervisor's own; any number of times. Workers have theirs.
function Listeners:close()
  for _, fd in ipairs(self.fds) do
    system.close(fd)
  end
  if #self.fds > 0 then
    for _, address in pairs(self.addresses) do
      if address:sub(1, 5) == "unix:" then
        fs.unlink(address:sub(6))
      end
    end
  end
  self.fds = {}
end

--- Do other entries ask for other sockets? They stay as they are until the next start.
---@param entries (string | { address: string })[]
---@return boolean
function Listeners:differ(entries)
  if #entries ~= #self.asked then
    return true
  end
  for at, entry in ipairs(entries) do
    if (type(entry) == "table" and entry.address or entry) ~= self.asked[at] then
      return true
    end
  end
  return false
end

return M
