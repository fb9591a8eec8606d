---@meta rt.log
-- Types of rt.log (runtime/bind/l_log.c, runtime/log.h). Read by editors and specs, never loaded.

---@class rt.log
local M = {}

--- Lines to a file or descriptor. Never holds up the loop: what a slow reader does not take is dropped and counted.
---@class rt.Log
local Log = {}

---@param options { path: string?, fd: integer?, mode: integer? } Mode of a new file: 0640 unless given.
---@return rt.Log? log
---@return gate.Err? err
function M.open(options) end

---@param line string Without newline.
---@return boolean is_kept
function Log:write(line) end

function Log:flush() end

--- Opens the file anew, after somebody renamed it.
---@return true? ok
---@return gate.Err? err The old file is kept.
function Log:reopen() end

---@return number lines
function Log:dropped() end

---@return number bytes
function Log:pending() end

--- For `bool log_append(void *log, const char *line, size_t size)` by FFI: no string is made.
---@return lightuserdata
function Log:pointer() end

--- Writes what is left, for 200 ms at most.
function Log:close() end

return M
