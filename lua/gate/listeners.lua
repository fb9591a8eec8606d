--- The listening sockets, opened once by the supervisor: one for each worker on each address, so that the kernel
--- spreads connections and a dead worker's queue waits for its successor.
local system = require("rt.system")

local M = {}

---@class gate.Listeners
---@field addresses string[] What each address has become, with the port that was given for port 0.
---@field by_worker integer[][] Descriptors of each worker, in the order of the addresses.
---@field fds integer[]
local Listeners = {}
Listeners.__index = Listeners

-- Sockets of one address. A Unix socket cannot be shared out: all workers take the same one.
local function open_address(self, at, address, mode, worker_count)
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
  local self = setmetatable({ addresses = {}, by_worker = {}, fds = {} }, Listeners)
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
  self.fds = {}
end

return M
