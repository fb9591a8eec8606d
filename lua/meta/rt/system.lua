---@meta rt.system
-- Types of rt.system (runtime/bind/l_system.c). Read by editors and specs, never loaded.

--- This process and the machine under it. Nothing here waits.
---@class rt.system
local M = {}

---@class rt.system.ListenOptions
---@field backlog integer? Default 4096.
---@field shared_port boolean? Further sockets may be opened on the same port.
---@field exclusive boolean? Refuse a port on which any other program listens, even one that shares it.
---@field mode integer? Of a Unix socket's file; default 0600.

--- Opens a listening socket.
---@param address string "host:port", "[ip6]:port" or "unix:path".
---@param options? rt.system.ListenOptions
---@return integer? fd
---@return string|gate.Err bound What the address has become; or address_in_use, not_permitted, dns, bad_address.
function M.listen(address, options) end

---@return integer? fd
---@return integer|gate.Err other
function M.socketpair() end

---@param fd integer
---@return true? ok
---@return gate.Err? err
function M.close(fd) end

---@param fd integer
---@return true? ok
---@return gate.Err? err
function M.close_on_exec(fd) end

---@param name string
---@return string?
function M.getenv(name) end

---@param name string
---@param text string
---@return true? ok
---@return gate.Err? err
function M.setenv(name, text) end

---@param name string
function M.unsetenv(name) end

function M.clearenv() end

---@return table<string, string>
function M.environment() end

---@return integer cpus That this process may use.
function M.cpu_count() end

--- sd_notify(3): tells the service manager.
---@param state string "READY=1", "STOPPING=1", ...
---@return boolean? is_sent false: there is none.
---@return gate.Err? err
function M.notify(state) end

--- No core files, no ptrace by the same user.
---@return true? ok
---@return gate.Err? err
function M.protect_memory() end

---@return number? limit
---@return gate.Err? err
function M.raise_file_limit() end

---@param mode integer
---@return integer before
function M.umask(mode) end

--- Once the parent has died, this process ends within grace_s seconds, even stuck in a loop.
---@param parent_pid integer
---@param grace_s integer
---@return boolean? is_parent_there
---@return gate.Err? err
function M.end_with_parent(parent_pid, grace_s) end

---@param pid integer? Default: this process.
---@return number rss_bytes
---@return number pss_bytes 0: it may not be read.
function M.memory(pid) end

---@return integer
function M.pid() end

---@return integer
function M.parent_pid() end

---@return string path The folder that holds lua/ and plugins/.
function M.home() end

return M
