---@meta rt.allow
-- Types of rt.allow (runtime/bind/l_allow.c). Read by editors and specs, never loaded.
---@class rt.allow
local M = {}

--- An allow-list of an answer's headers.
---@class rt.allow.List
local List = {}

--- Compiles a list. Names in lower case; `*` at the end stands for the rest.
---@param names string[] At most 64.
---@param denied string[] Never taken, also when a prefix has it; at most 64.
---@return rt.allow.List
function M.new(names, denied) end

--- Appends name, value, ... of what is allowed to `out`, which holds `count` values.
---@param call rt.client.Call
---@param out string[]
---@param count integer
---@return integer count
---@return string? content_type
---@return string? content_encoding
function List:copy(call, out, count) end

return M
