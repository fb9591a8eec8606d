---@meta rt.page
-- Types of rt.page (runtime/bind/l_page.c, runtime/page.h). Read by editors and specs, never loaded.

---@class rt.page
---@field CDEF string C declaration of rt_shared_page, for ffi.cdef: crumb and the counters below.
local M = {}

---@alias rt.page.Counter "requests_total"|"requests_in_flight"|"generation"|"connections"|"log_dropped"|"plugin_errors"

--- Memory that a worker shares with the supervisor.
---@class rt.Page
local Page = {}

---@return rt.Page? page
---@return gate.Err? err
function M.create() end

--- Maps a page that was handed on. The descriptor is closed.
---@param fd integer
---@return rt.Page? page
---@return gate.Err? err
function M.open(fd) end

---@return integer fd To hand on; -1 where the page was opened, not made.
function Page:fd() end

---@param text string At most 63 bytes count.
---@return integer index For the crumb; 0: no room is left.
function Page:label(text) end

---@param index integer
function Page:set_crumb(index) end

---@return string? text What runs now; nil: the kernel.
function Page:crumb() end

---@param counter rt.page.Counter
---@return number
function Page:get(counter) end

---@param counter rt.page.Counter
---@param value number
function Page:set(counter, value) end

---@param counter rt.page.Counter
---@param value number
function Page:add(counter, value) end

---@return number ms Since the last heartbeat.
function Page:age_ms() end

--- From now on this process's loop beats here. One page per process.
---@param interval_ms integer
function Page:beat(interval_ms) end

---@return lightuserdata
function Page:pointer() end

function Page:close() end

return M
