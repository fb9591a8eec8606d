--- The breadcrumb: which plugin's code runs now, in memory that the supervisor reads when this process no
--- longer answers, and two counters. One store before a hook and one after it. Without a supervisor it goes nowhere.
local ffi = require("ffi")

local M = {}

--- Set `M.page.crumb = label` before a plugin's code and `= 0` after it.
M.page = ffi.new("struct { uint32_t crumb; uint64_t requests_total, requests_in_flight; }")

local label_of

--- Takes over the page that the supervisor gave.
---@param page ffi.cdata* rt_shared_page * (runtime/page.h).
---@param label fun(text: string): integer
function M.attach(page, label)
  M.page, label_of = page, label
end

--- The number of a text such as "route on_request".
---@param text string
---@return integer
function M.label(text)
  return label_of and label_of(text) or 0
end

return M
