---@meta rt.crypto
-- Types of rt.crypto (runtime/bind/l_crypto.c). Read by editors and specs, never loaded.

---@class rt.crypto
local M = {}

--- SHA-256, 32 bytes. A pointer to bytes or to a document's output is hashed once and remembered.
---@param data string|lightuserdata|ffi.cdata*
---@return string
function M.sha256(data) end

--- SHA-256, 64 lower-case digits.
---@param data string|lightuserdata|ffi.cdata*
---@return string
function M.sha256_hex(data) end

--- HMAC-SHA-256, 32 bytes.
---@param key string
---@param text string
---@return string
function M.hmac_sha256(key, text) end

--- Bytes fit for keys.
---@param count integer 0 to 1048576.
---@return string
function M.random_bytes(count) end

--- The same as text.
---@param count integer Bytes: the text has twice as many digits.
---@return string
function M.random_hex(count) end

--- Are two secrets the same? The time it takes tells nothing but their sizes.
---@param a string
---@param b string
---@return boolean
function M.equal(a, b) end

---@param data string
---@return string
function M.base64_encode(data) end

--- Strict: no blanks, right padding, no stray bits.
---@param text string
---@return string?
---@return gate.Err? err `bad_base64`
function M.base64_decode(text) end

--- The URL alphabet, without padding.
---@param data string
---@return string
function M.base64url_encode(data) end

--- Strict: the URL alphabet, no padding.
---@param text string
---@return string?
---@return gate.Err? err `bad_base64`
function M.base64url_decode(text) end

--- Lower-case digits.
---@param data string
---@return string
function M.hex_encode(data) end

--- Either case.
---@param text string
---@return string?
---@return gate.Err? err `bad_hex`
function M.hex_decode(text) end

return M
