---@meta rt.task
-- Types of rt.task (runtime/bind/l_task.c). Read by editors and specs, never loaded.

---@class rt.task
local M = {}

--- A running or ended task. Whoever holds it may ask how it ended; an error that nobody asks about is reported.
---@class rt.Task
local Task = {}

--- Starts fn as a task, at once, until its first wait.
---@param fn fun(...): ...
---@return rt.Task
function M.spawn(fn, ...) end

--- Waits for the end. One waiter at a time; an ended task tells its results again and again.
---@return boolean? ok nil: this wait was cancelled or timed out.
---@return any ... Results; or the error; or err.
function Task:join() end

--- Ends its wait with nil, { code }. Every later wait fails the same way, so a loop must look at results.
---@param code? "cancelled"|"timeout"|"client_closed"|"draining" Default "cancelled".
---@return true
function Task:cancel(code) end

---@return boolean
function Task:is_done() end

--- From now on, waits of this task fail with `timeout` once the time has passed. nil: no deadline.
---@param ms number?
function M.deadline(ms) end

---@return number? ms Until the deadline; 0 when it has passed; nil: there is none.
function M.remaining() end

--- Runs fn when the task ends, last added first, also after an error or a cancel. It may wait, for 10 s at most.
---@param fn fun()
function M.defer(fn) end

---@return integer live_tasks
function M.count() end

---@return boolean is_task A call that waits can be used here.
function M.is_task() end

return M
