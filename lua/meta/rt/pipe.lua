---@meta rt.pipe
-- Types of rt.pipe (runtime/bind/l_pipe.c). Read by editors and specs, never loaded.

---@class rt.pipe
local M = {}

--- Lines of text over a stream socket that is open already. A line has 64 MB at most.
---@class rt.Pipe
local Pipe = {}

--- Takes the descriptor over, also when it fails.
---@param fd integer
---@return rt.Pipe? pipe
---@return gate.Err? err
function M.open(fd) end

--- Waits for a line.
---@return string? line Without its newline; nil without err: the other side has ended.
---@return gate.Err? err reset, too_large, closed, cancelled, timeout
function Pipe:read_line() end

--- Waits while the other side does not read.
---@param text string
---@return true? ok
---@return gate.Err? err reset, closed, cancelled, timeout
function Pipe:write(text) end

--- As write(), but never waits: what is not read stays in memory.
---@param text string
---@return true? ok
---@return gate.Err? err reset, closed
function Pipe:send(text) end

--- Any number of times; tasks that wait get `closed`.
function Pipe:close() end

return M
