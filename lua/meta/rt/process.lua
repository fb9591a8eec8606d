---@meta rt.process
-- Types of rt.process (runtime/bind/l_process.c). Read by editors and specs, never loaded.

---@class rt.process
local M = {}

---@alias rt.Signal "TERM"|"HUP"|"INT"|"QUIT"|"KILL"|"USR1"|"USR2"|"STOP"|"CONT"|string|integer

---@class rt.process.Options
---@field args string[] Without the program's own name.
---@field file string? Default: this program.
---@field env string[]? "NAME=text"; default: this process's environment.
---@field files table<integer, "inherit"|"ignore"|integer>? From 0 on, without gaps. Default: 0, 1 and 2 inherited.
---@field folder string? Working folder.

---@class rt.Child
local Child = {}

--- Starts a process.
---@param options rt.process.Options
---@return rt.Child? child
---@return gate.Err? err not_found, not_permitted, no_memory
function M.spawn(options) end

---@return integer
function Child:pid() end

--- Waits for its end; one that has ended tells it again and again.
---@return { status: integer?, signal: string? }? ended
---@return gate.Err? err cancelled, timeout
function Child:wait() end

---@param signal rt.Signal
---@return true? ok
---@return gate.Err? err closed: it has ended
function Child:kill(signal) end

---@param pid integer Above 0.
---@param signal rt.Signal 0 only asks whether the process is there.
---@return true? ok
---@return gate.Err? err
function M.kill(pid, signal) end

---@class rt.Signals
local Signals = {}

--- From now on these signals do not end the process: they are waits.
---@param names rt.Signal[]
---@return rt.Signals? signals
---@return gate.Err? err
function M.signals(names) end

--- Waits for the next one. What came while nobody waited is told at once.
---@return string? name
---@return gate.Err? err cancelled, timeout, closed
function Signals:wait() end

--- Not while a task waits.
function Signals:close() end

---@param names rt.Signal[]
function M.ignore_signals(names) end

return M
