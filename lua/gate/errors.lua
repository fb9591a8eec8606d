--- Errors that clients see: one table from stable code to status and type, and the two shapes. Branch on
--- codes, never on text.
--- Sources: wire/translation.md section 10, wire/messages-api.md section 8, wire/chat-completions.md section 6
--- (November 2026).
local text = require("gate.text")

local M = {}

local quote = text.quote

-- code = { status, Anthropic type, OpenAI type, OpenAI code; doc = what it means, for REFERENCE.md }
local CODES = {
  bad_request = { 400, "invalid_request_error", "invalid_request_error",
    doc = "Something in the request is not as the API wants it." },
  bad_json = { 400, "invalid_request_error", "invalid_request_error",
    doc = "The body is no valid JSON; the message says at which byte." },
  unsupported = { 400, "invalid_request_error", "invalid_request_error", "unsupported_parameter",
    doc = "A field or value that this gateway does not serve; named, never dropped." },
  context_length_exceeded = { 400, "invalid_request_error", "invalid_request_error", "context_length_exceeded",
    doc = "The conversation is longer than the model holds." },
  unauthenticated = { 401, "authentication_error", "invalid_request_error", "invalid_api_key",
    doc = "No key, or none that this gateway knows. All wrong keys get the same answer." },
  billing = { 402, "billing_error", "insufficient_quota", "insufficient_quota", doc = "The account cannot pay." },
  forbidden = { 403, "permission_error", "permission_error", doc = "The key may not use this model." },
  not_found = { 404, "not_found_error", "invalid_request_error", "not_found", doc = "There is nothing at this path." },
  model_not_found = { 404, "not_found_error", "invalid_request_error", "model_not_found",
    doc = "No account serves this model, or several do and none was named." },
  method_not_allowed = { 405, "invalid_request_error", "invalid_request_error", "method_not_allowed",
    doc = "The path has other methods." },
  request_timeout = { 408, "invalid_request_error", "invalid_request_error", "timeout",
    doc = "The client did not send its request in time." },
  conflict = { 409, "conflict_error", "invalid_request_error", doc = "The request contradicts what is there already." },
  too_large = { 413, "request_too_large", "invalid_request_error", "request_too_large",
    doc = "The body is larger than the surface takes." },
  uri_too_long = { 414, "invalid_request_error", "invalid_request_error", doc = "The request target is too long." },
  unsupported_media = { 415, "invalid_request_error", "invalid_request_error", "unsupported_media_type",
    doc = "The body comes in an encoding that is not accepted." },
  expectation_failed = { 417, "invalid_request_error", "invalid_request_error",
    doc = "An `Expect` that is not `100-continue`." },
  head_too_large = { 431, "invalid_request_error", "invalid_request_error",
    doc = "The header fields are too many or too long." },
  rate_limited = { 429, "rate_limit_error", "rate_limit_error", "rate_limit_exceeded", doc = "Too many requests." },
  quota_exceeded = { 429, "rate_limit_error", "insufficient_quota", "insufficient_quota",
    doc = "A budget is used up." },
  client_closed = { 499, "api_error", "server_error", doc = "The client has gone; only in the log." },
  stalled = { 499, "api_error", "server_error", doc = "The client did not read its answer; only in the log." },
  internal = { 500, "api_error", "server_error",
    doc = "A mistake of the gateway or of a plugin; details are in the log." },
  not_implemented = { 501, "api_error", "server_error", doc = "A method or transfer coding that is not served." },
  no_credential = { 502, "api_error", "upstream_auth_error", doc = "The gateway has no credential for the account." },
  upstream_auth = { 502, "api_error", "upstream_auth_error", doc = "The upstream refused the gateway's credential." },
  upstream_error = { 502, "api_error", "server_error", doc = "The upstream failed." },
  upstream_unreachable = { 502, "api_error", "server_error",
    doc = "No connection to the upstream: name, address or TLS." },
  upstream_disconnected = { 502, "api_error", "server_error",
    doc = "The upstream broke the connection before its answer was whole." },
  upstream_bad_response = { 502, "api_error", "server_error",
    doc = "What the upstream sent is no answer: bad HTTP, no JSON, too large, a redirect." },
  unavailable = { 503, "overloaded_error", "server_error", "unavailable", doc = "The gateway takes no request now." },
  upstream_unavailable = { 503, "overloaded_error", "server_error", "overloaded",
    doc = "The upstream takes no request now." },
  timeout = { 504, "timeout_error", "timeout", "timeout", doc = "The request's time is over." },
  upstream_bad_request = { 400, "invalid_request_error", "invalid_request_error",
    doc = "The upstream says that the request is wrong." },
  upstream_billing = { 402, "billing_error", "insufficient_quota", "insufficient_quota",
    doc = "The account of the gateway cannot pay." },
  upstream_forbidden = { 502, "api_error", "upstream_auth_error", doc = "The gateway's credential may not do this." },
  upstream_not_found = { 404, "not_found_error", "invalid_request_error", "model_not_found",
    doc = "The upstream does not know the model." },
  upstream_too_large = { 413, "request_too_large", "invalid_request_error", "request_too_large",
    doc = "The request is too large for the upstream." },
  upstream_timeout = { 504, "timeout_error", "timeout", "timeout", doc = "The upstream did not answer in time." },
  upstream_rate_limited = { 429, "rate_limit_error", "rate_limit_error", "rate_limit_exceeded",
    doc = "The upstream limits the account; `retry-after` is passed on." },
  upstream_overloaded = { 529, "overloaded_error", "server_error", "overloaded",
    doc = "The upstream is overloaded." },
  unsupported_version = { 505, "invalid_request_error", "invalid_request_error", doc = "Not HTTP/1.0 or 1.1." },
}
-- What rt.* says while talking to the upstream, as the client is told.
local TRANSPORT = {
  dns = "upstream_unreachable",
  connect = "upstream_unreachable",
  tls = "upstream_unreachable",
  reset = "upstream_disconnected",
  closed = "upstream_disconnected",
  truncated = "upstream_disconnected",
  bad_response = "upstream_bad_response",
  bad_event = "upstream_bad_response",
  too_large = "upstream_bad_response",
  timeout = "upstream_timeout",
}
-- Failures of the gateway's own credential: the client's key is fine, so never a 401 or 403 to it.
local OWN_CREDENTIAL = { upstream_auth = true, upstream_forbidden = true, no_credential = true }
-- Anthropic type of an upstream's own error -> OpenAI type, code, code of ours.
local TYPES = {
  invalid_request_error = { "invalid_request_error", nil, "upstream_bad_request" },
  authentication_error = { "upstream_auth_error", nil, "upstream_auth" },
  permission_error = { "upstream_auth_error", nil, "upstream_forbidden" },
  billing_error = { "insufficient_quota", "insufficient_quota", "upstream_billing" },
  not_found_error = { "invalid_request_error", "model_not_found", "upstream_not_found" },
  conflict_error = { "invalid_request_error", nil, "conflict" },
  request_too_large = { "invalid_request_error", "request_too_large", "upstream_too_large" },
  rate_limit_error = { "rate_limit_error", "rate_limit_exceeded", "upstream_rate_limited" },
  api_error = { "server_error", nil, "upstream_error" },
  timeout_error = { "timeout", "timeout", "upstream_timeout" },
  overloaded_error = { "server_error", "overloaded", "upstream_overloaded" },
}
local BY_STATUS = {
  [400] = "bad_request", [401] = "unauthenticated", [403] = "forbidden", [404] = "not_found",
  [405] = "method_not_allowed",
  [408] = "request_timeout", [413] = "too_large", [414] = "uri_too_long", [415] = "unsupported_media",
  [417] = "expectation_failed",
  [431] = "head_too_large", [501] = "not_implemented", [503] = "unavailable", [505] = "unsupported_version",
}

--- Was the gateway's own credential refused? Such an error is never the client's, in whatever words it came.
---@param code string
---@return boolean
function M.is_own_credential(code)
  return OWN_CREDENTIAL[code] == true
end

--- Is this a code that clients may see?
---@param code string
---@return boolean
function M.is_known(code)
  return CODES[code] ~= nil
end

--- All codes with what they mean, by status and name: for the reference.
---@return { code: string, status: integer, types: table<string, string>, detail: string?, doc: string }[] detail: the
--- `code` that the second dialect has beside its type.
function M.list()
  local out = {}
  for code, row in pairs(CODES) do
    out[#out + 1] = { code = code, status = row[1], types = { ["anthropic"] = row[2], ["openai"] = row[3] },
      detail = row[4], doc = row.doc }
  end
  table.sort(out, function(a, b)
    if a.status ~= b.status then
      return a.status < b.status
    end
    return a.code < b.code
  end)
  return out
end

--- Makes an error.
---@param code string
---@param format string
---@return gate.Err
function M.new(code, format, ...)
  return { code = code, message = select("#", ...) > 0 and string.format(format, ...) or format }
end

--- Gives what rt.client, rt.relay or a body read failed with the code of a failed upstream.
---@param err gate.Err
---@return gate.Err
function M.from_transport(err)
  local code = TRANSPORT[err.code]
  if not code then
    return err
  end
  local message = tostring(err.message)
  return { -- where the upstream is stays the operator's business
    code = code, message = "upstream: " .. message:gsub("^%a+://[^%s/]+: ", ""), log_message = "upstream: " .. message,
    phase = err.phase, sent = err.sent, transport = err.code,
  }
end

--- An error of an upstream that speaks the pivot's error types.
---@param kind string For example "overloaded_error".
---@param message string
---@param status integer?
---@return gate.Err
function M.from_type(kind, message, status)
  local known = TYPES[kind]
  return { code = known and known[3] or "upstream_error", type = kind, message = message, status = status,
    upstream_status = status }
end

--- HTTP status for an error.
---@param err gate.Err
---@param dialect string
---@return integer
function M.status(err, dialect)
  local status = err.status
  local row = CODES[err.code] or CODES.internal
  if not status or OWN_CREDENTIAL[err.code] then
    status = row[1]
  end
  if status == 529 and dialect == "openai" then
    return 503 -- many OpenAI clients do not know 529
  end
  if status < 400 or status > 599 then
    return row[1]
  end
  return status
end

local function openai_body(err)
  local row = CODES[err.code] or CODES.internal
  local kind, code = row[3], row[4]
  local by_type = err.type and not OWN_CREDENTIAL[err.code] and TYPES[err.type]
  if by_type then
    kind, code = by_type[1], by_type[2]
  end
  code = err.detail_code or code
  return '{"error":{"message":' .. quote(err.message) .. ',"type":' .. quote(kind) .. ',"param":'
    .. (err.param and quote(err.param) or "null") .. ',"code":' .. (code and quote(code) or "null") .. "}}"
end

local function anthropic_body(err, request_id)
  local row = CODES[err.code] or CODES.internal
  local kind = err.type and not OWN_CREDENTIAL[err.code] and err.type or row[2]
  return '{"type":"error","error":{"type":' .. quote(kind) .. ',"message":' .. quote(err.message) .. '},"request_id":'
    .. quote(request_id or "") .. "}"
end

--- Body of an error in a dialect.
---@param dialect string
---@param err gate.Err
---@param request_id string?
---@return string
function M.body(dialect, err, request_id)
  if dialect == "openai" then
    return openai_body(err)
  end
  return anthropic_body(err, request_id)
end

--- The whole answer for an error.
---@param dialect string
---@param err gate.Err
---@param request_id string?
---@return integer status
---@return string[] headers Flat.
---@return string body
function M.shape(dialect, err, request_id)
  local headers = { "content-type", "application/json" }
  if err.retry_after_ms then
    headers[#headers + 1] = "retry-after"
    headers[#headers + 1] = tostring(math.max(1, math.ceil(err.retry_after_ms / 1000)))
  end
  if err.should_retry ~= nil then
    headers[#headers + 1] = "x-should-retry"
    headers[#headers + 1] = tostring(err.should_retry)
  end
  return M.status(err, dialect), headers, M.body(dialect, err, request_id)
end

--- An error as the last thing of a stream that has begun.
---@param dialect string
---@param err gate.Err
---@param request_id string?
---@return string
function M.stream_event(dialect, err, request_id)
  if dialect == "openai" then
    return "data: " .. openai_body(err) .. "\n\n"
  end
  return "event: error\ndata: " .. anthropic_body(err, request_id) .. "\n\n"
end

--- Shape for a caller whose surface is not known: a wrong path, a request that could not be parsed.
---@param path string?
---@param has_version boolean? The caller sent `anthropic-version`.
---@return string dialect
function M.guess_dialect(path, has_version)
  if has_version or (path and path:find("/messages", 1, true)) then
    return "anthropic"
  end
  return "openai"
end

--- What rt.server's on_refuse gets: an error that the HTTP layer found.
---@param status integer
---@param message string
---@param path string?
---@param request_id string?
---@return string[] headers
---@return string body
function M.refusal(status, message, path, request_id)
  local err = { code = BY_STATUS[status] or "bad_request", message = message or "bad request", status = status }
  local _, headers, body = M.shape(M.guess_dialect(path), err, request_id)
  return headers, body
end

return M
