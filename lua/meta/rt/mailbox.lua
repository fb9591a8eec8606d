---@meta rt.mailbox
-- Types of rt.mailbox (runtime/bind/l_mailbox.c). Read by editors and specs, never loaded.

---@class rt.mailbox
local M = {}

--- Values from anywhere, in order, to one task that waits for them.
---@class rt.Mailbox
local Mailbox = {}

---@return rt.Mailbox
function M.new() end

--- Never waits, and never runs the task that takes.
---@param value any Not nil.
function Mailbox:put(value) end

--- Waits for the next value. One task at a time.
---@return any value
---@return gate.Err? err cancelled, timeout
function Mailbox:take() end

---@return integer count Values that nobody took yet.
function Mailbox:size() end

return M
