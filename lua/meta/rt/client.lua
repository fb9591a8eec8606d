---@meta rt.client
-- Types of rt.client (runtime/bind/l_client.c, l_client_send.c). Read by editors and specs, never loaded.

---@class rt.client
local M = {}

---@class rt.client.Options All have defaults; times in milliseconds, 0: no limit.
---@field connect_timeout_ms? number Name, TCP, proxy and TLS together. Default 5000.
---@field first_byte_timeout_ms? number From the last byte that left to the first that came. Default 600000.
---@field between_bytes_timeout_ms? number Of the answer; of the request while the peer takes nothing. Default 90000.
---@field total_timeout_ms? number Default 3600000.
---@field max_idle_per_origin? integer Connections kept. Default 128.
---@field idle_timeout_ms? number How long they are kept. Default 50000.
---@field max_response_head_bytes? integer At most, and default, 65535.
---@field ca_file? string PEM. Default: the system's trust store (or SSL_CERT_FILE). Verification cannot be turned off.
---@field proxy? string "env": HTTPS_PROXY, HTTP_PROXY, NO_PROXY; or "http://[user:password@]host:port". Default: none.

--- Makes a client: settings, and a pool of connections per origin.
---@param options? rt.client.Options
---@return rt.Client? client
---@return gate.Err? err `bad_request`: the proxy's address.
function M.new(options) end

---@class rt.Client
local Client = {}

---@class rt.client.Request
---@field origin string "https://host[:port]" or "http://..."
---@field method string
---@field target string Path and query, byte for byte as sent.
---@field headers? string[] name, value, name, value, ... Framing and hop-by-hop ones are left out; host, accept-encoding
--- (identity), user-agent and content-length are added where they are missing.
---@field body? string|lightuserdata|ffi.cdata*|rt.Request Text; a `bytes` or a document's output (the client takes its own
--- reference); or a request that the server is answering: its body is streamed and never sent a second time.
---@field body_limit_bytes? number Of a streamed body.
---@field sign? rt.sigv4.Signer Signs right before writing, also before the transparent retry.
---@field content_sha256? "UNSIGNED-PAYLOAD" Without this a streamed body is signed as unsigned, others by their hash.
---@field clock_offset_s? number How far the upstream's clock is ahead.
---@field connect_timeout_ms? number
---@field first_byte_timeout_ms? number
---@field between_bytes_timeout_ms? number
---@field total_timeout_ms? number

---@class rt.client.Err: gate.Err
---@field phase? "connect"|"first_byte"|"between_bytes"|"total" Of `timeout`.
---@field reason? string Of `tls`: expired, not_yet_valid, wrong_name, unknown_ca, bad_certificate, version, refused, broken.
---@field sent? boolean Bytes of the request had left.

--- Sends a request and waits for the answer's head. Redirects are not followed. Where a kept connection dies before a
--- byte of the answer, the request is sent once more on a new one. A task that is cancelled closes the connection.
---@param request rt.client.Request
---@return rt.Call? call
---@return rt.client.Err? err `dns`, `connect`, `proxy`, `tls`, `timeout`, `reset`, `closed`, `bad_response`, `bad_request`
--- (cannot be sent), what the signer says, `cancelled`; of a streamed body also `too_large`, `client_closed`.
function Client:send(request) end

---@class rt.client.Stats
---@field calls integer
---@field connects integer
---@field reuses integer
---@field retries integer
---@field resumptions integer TLS sessions that were resumed.
---@field idle integer Connections now.
---@field open integer Connections now, idle ones included.

---@return rt.client.Stats
function Client:stats() end

--- Gives the client up: its idle connections close once no call is under way.
function Client:close() end

---@class rt.Call An answer. Its connection goes back to the pool by itself once the whole answer has arrived.
local Call = {}

---@return integer
function Call:status() end

---@param name string Lower case.
---@return string? value Several are joined by ", ".
function Call:header(name) end

---@return string[][] headers { name (lower case), value } in the order of the answer.
function Call:headers() end

--- Frees what the answer's head holds, for answers that run long: headers are nil from then on.
function Call:forget_head() end

---@return integer minor HTTP/1.minor
function Call:http_minor() end

---@return boolean
function Call:is_reused() end

--- Reads the rest of the body.
---@param limit_bytes number
---@return lightuserdata? body A `bytes` reference, the caller's (gate.json's parse takes it over).
---@return integer|rt.client.Err size_or_err `too_large`, `timeout`, `reset`, `closed`, `bad_response`
function Call:read_body(limit_bytes) end

--- Waits for a piece of the body.
---@return string? data nil at the end.
---@return rt.client.Err? err
function Call:read() end

--- Ends the call, any number of times; what is not finished is cut at once.
function Call:close() end

return M
