---@meta rt.sigv4
-- Types of rt.sigv4 (runtime/bind/l_sigv4.c). Read by editors and specs, never loaded.

---@class rt.sigv4
local M = {}

---@class rt.sigv4.Credentials
---@field access_key_id string
---@field secret_access_key string Blanks and line ends around it are left out, as around the two others.
---@field session_token? string
---@field region string
---@field service string For example "bedrock", "sts", "aws-external-anthropic".
---@field content_sha256? boolean Send x-amz-content-sha256: true unless given; false for STS.

---@class rt.sigv4.Request
---@field method string
---@field target string Path and query, as sent.
---@field headers string[] Flat, all that will be sent; host must be among them.
---@field body? string|lightuserdata|ffi.cdata* Text, bytes or a document's output.
---@field content_sha256? string Instead of body: 64 digits, or "UNSIGNED-PAYLOAD".
---@field time_s? number This machine's clock (default: now).
---@field clock_offset_s? number How far the server's clock is ahead.

--- Signs requests; the secret is in C memory that is wiped when the last user lets go.
---@class rt.sigv4.Signer
local Signer = {}

---@param credentials rt.sigv4.Credentials
---@return rt.sigv4.Signer?
---@return gate.Err? err `bad_credential`, naming the field, never its value.
function M.signer(credentials) end

--- The headers to add to a request: x-amz-date, x-amz-content-sha256 unless the request has it, x-amz-security-token
--- where there is a token, authorization. rt.client does this by itself for a request with `sign`.
---@param request rt.sigv4.Request
---@return string[]? headers Flat.
---@return gate.Err? err `closed`, `bad_header` (a name that is no token, or no host), `too_large`, `bad_time`
function Signer:sign(request) end

--- Lets go of the secret now; sign() then gives `closed`. Requests on their way keep it until they end.
function Signer:close() end

--- The one form of a query that is both signed and safe to send: decoded, encoded, sorted.
---@param query string Without "?".
---@return string?
---@return gate.Err? err `too_large`: more than 64 parameters.
function M.canonical_query(query) end

return M
