---@meta rt.server
-- Types of rt.server (runtime/bind/l_server.c, l_request.c). Read by editors and specs, never loaded.

---@class rt.server
local M = {}

---@class rt.server.Limits All have defaults; times in milliseconds.
---@field line_bytes? integer Request line; above: 414. Default 16384.
---@field head_bytes? integer Whole head; above: 431. Default and most 65535.
---@field header_count? integer Above: 431. Default 100.
---@field extension_bytes? integer Chunk extensions of one request; above: 413. Default 1024.
---@field trailer_bytes? integer Trailers, which are dropped; above: 431. Default 8192.
---@field header_ms? integer From the first byte of a head to its end; then 408. Also for a TLS handshake. Default 10000.
---@field body_grace_ms? integer A body being read may be slower than its rate for so long. Default 10000.
---@field body_rate_bytes? integer Bytes per second after that. Default 1024.
---@field idle_ms? integer Before the first request and between two. Default 75000.
---@field stall_ms? integer The client takes no byte of its answer. Default 60000.
---@field linger_ms? integer How long a closing connection is still read, so that the answer is not lost. Default 2000.
---@field connections? integer Above: 503 and close. Default 100000.
---@field concurrency? integer Handlers that run; above: 503 with retry-after, at once. Default 10000.
---@field descriptor_reserve? integer Descriptors left to the rest of the process (at most a quarter of all); below: 503. Default 32.
---@field pipeline_bytes? integer Bytes read ahead of their use; above: reading stops. Default 65536.

---@class rt.server.Options Exactly one of fd, address and path.
---@field fd? integer Bound socket, TCP or Unix; taken over.
---@field address? string "127.0.0.1:8787", "[::]:0"
---@field path? string Unix socket; what lies there is removed.
---@field handler fun(req: rt.Request) Runs as a task. One that returns without answering: 500; with an answer begun: cut.
---@field tls? { certificate: string, key: string } PEM files. TLS 1.2 and 1.3.
---@field limits? rt.server.Limits
---@field exempt? string[] Paths that concurrency does not shed; at most 32.
---@field on_refuse? fun(status: integer, code: string, message: string, path?: string): string[]?, string? Shapes what
--- the server answers by itself: flat headers, body. May not wait. Codes: bad_request, uri_too_long, headers_too_large,
--- method_not_allowed, not_implemented, expectation_failed, too_large, timeout, overloaded, no_memory, internal.
---@field on_error? fun(err: gate.Err) A connection could not be accepted.

--- Listens and serves.
---@param options rt.server.Options
---@return rt.Server? server
---@return gate.Err? err `address_in_use`, `not_permitted`, ..., `bad_config`: address or certificate.
function M.listen(options) end

---@class rt.Server
local Server = {}

---@return integer? port nil for a Unix socket, and once closed.
function Server:port() end

--- Stops accepting; connections go on.
function Server:close() end

--- Stops accepting, closes idle connections, lets handlers finish; waits. At the limit what still runs is cut
--- (its task hears `draining`).
---@param limit_ms integer
---@return true ok
---@return integer cut Requests that were cut.
function Server:drain(limit_ms) end

---@return { connections: integer, requests: integer, connections_total: integer, requests_total: integer, refused_total: integer, shed_total: integer, timeouts_total: integer, is_paused: boolean }
--- `requests`: handlers that run. `is_paused`: descriptors ran out.
function Server:stats() end

---@class rt.Request One request. When its client goes (a half-close counts) before the answer is finished, the task is
--- cancelled with `client_closed`; when the client takes nothing, with `stalled`.
local Request = {}

--- Path and query are raw, as sent; the path begins with "/" (or is "*", for OPTIONS).
---@return string method GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS
---@return string path
---@return string? query Without "?".
---@return integer minor_version 0 or 1
function Request:head() end

---@param name string In lower case.
---@return string? value Of several, all, joined by ", ".
function Request:header(name) end

---@return { [1]: string, [2]: string }[] headers Lower-case name and value, in the order sent.
function Request:headers() end

--- Frees what the head holds (about 1 KB), for answers that run long; asking for it afterwards raises.
function Request:forget_head() end

---@return number? bytes nil: chunked, or no body.
function Request:content_length() end

---@return string address "ip:port", "unix"; "" once the client has gone.
function Request:peer() end

--- Reads the whole body. A content-length above the limit fails before a byte is read or 100 Continue is sent.
--- Waits unless all is there. After an error the connection closes with the answer.
---@param limit_bytes integer
---@param want_sha256? boolean Hash it as it arrives.
---@return lightuserdata? body `bytes`; the caller owns the reference.
---@return integer|gate.Err size Size, or err: too_large, timeout, bad_request, client_closed, no_memory.
function Request:read_body(limit_bytes, want_sha256) end

--- Makes the body a stream with a limit: pass the request as `body` to client:send, or call read().
---@param limit_bytes integer
---@return rt.Request? self
---@return gate.Err? err `too_large`, by its content-length
function Request:body_reader(limit_bytes) end

--- Next piece of a streamed body; what is not asked for is not read, and the client feels it.
---@return string? piece nil: its end, or an error.
---@return gate.Err? err `too_large`, `timeout`, `bad_request`, `client_closed`
function Request:read() end

--- Answers. content-length, transfer-encoding, date and connection are the server's (given ones are skipped, but for
--- "connection: close", which is obeyed). Does not wait. A second answer raises.
---@param status integer
---@param headers? (string|number)[] Flat: name, value, name, value, ...
---@param body? string|lightuserdata|ffi.cdata* Text, or a pointer to bytes or an output, which is borrowed: referenced as long as
--- it is needed, so the caller gives its own reference back as usual.
---@return true?
---@return gate.Err? err `client_closed`; `bad_header`: a header that cannot be sent (nothing was sent); `no_memory`
function Request:respond(status, headers, body) end

--- Begins an answer of unknown length. Nothing is sent before the first write.
---@param status integer
---@param headers? (string|number)[]
---@return true?
---@return gate.Err? err As respond().
function Request:start(status, headers) end

--- Sends a part of the answer. Small texts written in one turn of the loop leave together. Waits while more than
--- 256 KB are pending.
---@param data string|lightuserdata|ffi.cdata*
---@return true?
---@return gate.Err? err `client_closed`, `stalled`, `no_memory`
function Request:write(data) end

--- Ends the answer.
---@return true?
---@return gate.Err? err `client_closed`
function Request:finish() end

--- Cuts the connection, so that the client sees a broken answer.
function Request:abort() end

---@return boolean
function Request:is_started() end

---@return integer bytes Head, framing and body handed to the connection so far.
function Request:bytes_out() end

---@return integer? status Of the answer; nil: none yet.
function Request:status() end

return M
