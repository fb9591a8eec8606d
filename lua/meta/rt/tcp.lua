---@meta rt.tcp
-- Types of rt.tcp (runtime/bind/l_tcp.c): plain connections for the command line and specs. Never loaded.

---@class rt.tcp
local M = {}

--- Connects, to the first address of either family that answers.
---@param host string Name, address, or "unix:path".
---@param port? integer
---@param tls? { ca_file?: string, name?: string } Speaks TLS; name: whom to verify (default: host).
---@return rt.tcp.Conn? conn
---@return gate.Err? err `refused`, `dns`, `unreachable`, `tls`, ...
function M.connect(host, port, tls) end

---@param address string IP address.
---@param port? integer 0: any.
---@param tls? { certificate: string, key: string } PEM files.
---@return rt.tcp.Listener? listener
---@return gate.Err? err `address_in_use`, `not_permitted`, `tls`
function M.listen(address, port, tls) end

---@class rt.tcp.Conn
local Conn = {}

--- Waits while more than 256 KiB is on its way.
---@param data string
---@return true?
---@return gate.Err? err
function Conn:write(data) end

---@return string? data nil at the end.
---@return gate.Err? err
function Conn:read() end

--- Ends the sending half.
function Conn:shutdown() end

--- Sends what was written and closes.
function Conn:close() end

--- Cuts the connection (RST).
function Conn:reset() end

---@return string peer "ip:port"
function Conn:peer() end

---@return string? version "TLSv1.3"; nil: plain.
---@return boolean? is_resumed
function Conn:tls() end

---@class rt.tcp.Listener
local Listener = {}

--- Waits for a connection; with TLS until its handshake is done.
---@return rt.tcp.Conn?
---@return gate.Err? err `tls`: a handshake failed; `closed`
function Listener:accept() end

---@return integer? port
function Listener:port() end

function Listener:close() end

return M
