---@meta rt.time
-- Types of rt.time (runtime/bind/l_time.c). Read by editors and specs, never loaded.

---@class rt.time
local M = {}

--- Waits.
---@param ms number
---@return true? ok
---@return gate.Err? err cancelled, timeout
function M.sleep(ms) end

---@return number ms Since 1970-01-01T00:00:00Z.
function M.now_ms() end

---@return number ms With fraction, on a clock that never steps.
function M.monotonic_ms() end

---@return number ms On the same clock, as of this turn of the loop. No system call.
function M.loop_ms() end

return M
