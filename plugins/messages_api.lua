--- What every upstream that serves the Messages API shares: which paths its operations have, and how its
--- errors read. Two layers may answer (an AWS front end, and Anthropic), so errors are parsed tolerantly.
--- Source: messages-api.md section 8, claude-platform-on-aws.md section 8 (2026-11-22).
local gate = require("gate.plugin")
local json = require("gate.json")

local M = {}

--- The client's version is kept; translated requests use the one that still takes sampling parameters.
M.DEFAULT_VERSION = "2023-06-01"

--- Operation -> target path. An operation that is not here is passed through under the client's own path
--- only by providers that say so.
M.PATHS = { messages = "/v1/messages", count_tokens = "/v1/messages/count_tokens" }

--- Answer headers that go back to the client.
M.RESPONSE_HEADERS = {
  "request-id", "x-amzn-requestid", "retry-after", "anthropic-ratelimit-*", "anthropic-priority-*", "anthropic-fast-*",
  "x-should-retry",
}
M.REQUEST_ID_HEADERS = { "request-id", "x-amzn-requestid" }

local CODE_OF_STATUS = {
  [400] = "upstream_bad_request", [401] = "upstream_auth", [402] = "upstream_billing", [403] = "upstream_forbidden",
  [404] = "upstream_not_found", [408] = "upstream_timeout", [409] = "upstream_bad_request", [413] = "upstream_too_large",
  [422] = "upstream_bad_request", [429] = "upstream_rate_limited", [500] = "upstream_error", [503] = "upstream_overloaded",
  [504] = "upstream_timeout", [529] = "upstream_overloaded",
}

-- AWS exception names, without what stands before "#" and after ":". First match wins.
local AWS_ERRORS = {
  { "^AccessDenied", "upstream_forbidden", "permission_error" },
  { "^UnrecognizedClient", "upstream_auth", "authentication_error" },
  { "^InvalidSignature", "upstream_auth", "authentication_error" },
  { "^SignatureDoesNotMatch", "upstream_auth", "authentication_error" },
  { "^MissingAuthenticationToken", "upstream_auth", "authentication_error" },
  { "^IncompleteSignature", "upstream_auth", "authentication_error" },
  { "^ExpiredToken", "upstream_auth", "authentication_error" },
  { "^InvalidClientTokenId", "upstream_auth", "authentication_error" },
  { "^RequestTimeTooSkewed", "upstream_auth", "authentication_error" },
  { "^Throttling", "upstream_rate_limited", "rate_limit_error" },
  { "^TooManyRequests", "upstream_rate_limited", "rate_limit_error" },
  { "^ServiceUnavailable", "upstream_overloaded", "overloaded_error" },
  { "^Validation", "upstream_bad_request", "invalid_request_error" },
  { "^ResourceNotFound", "upstream_not_found", "not_found_error" },
}

local CODE_OF_TYPE = {
  invalid_request_error = "upstream_bad_request", authentication_error = "upstream_auth",
  billing_error = "upstream_billing", permission_error = "upstream_forbidden", not_found_error = "upstream_not_found",
  request_too_large = "upstream_too_large", rate_limit_error = "upstream_rate_limited", api_error = "upstream_error",
  timeout_error = "upstream_timeout", overloaded_error = "upstream_overloaded",
}

local MONTHS = { Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11, Dec = 12 }
local LONGEST_PAUSE_S = 86400

-- "Sun, 06 Nov 1994 08:49:37 GMT" -> seconds since 1970, nil for anything else (RFC 9110 section 5.6.7; the
-- obsolete forms are nobody's any more).
local function http_date_s(text)
  local day, month, year, hour, minute, second = text:match("^%a+, (%d%d) (%a%a%a) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT$")
  month = MONTHS[month]
  if not month then
    return nil
  end
  year = tonumber(year)
  if month <= 2 then -- a year of this reckoning begins in March
    year, month = year - 1, month + 12
  end
  local days = 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
    + math.floor((153 * (month - 3) + 2) / 5) + day - 719469
  return ((days * 24 + hour) * 60 + minute) * 60 + second
end

--- Milliseconds of a retry-after header, a number of seconds or a date; nil where it is absent or nonsense.
local function retry_after_ms(call)
  local text = call:header("retry-after")
  local seconds = tonumber(text or "")
  if text and not seconds then
    local date_s = http_date_s(text)
    seconds = date_s and math.max(0, date_s - gate.now_ms() / 1000)
  end
  if seconds and seconds >= 0 then
    return math.ceil(math.min(seconds, LONGEST_PAUSE_S) * 1000)
  end
  return nil
end

local SHOULD_RETRY = { ["true"] = true, ["false"] = false }

-- 429s that no waiting cures (messages-api.md section 8): not tried again on the same account.
local SPEND_LIMITS = { enforced_spend_limit_reached = true, contract_spend_limit_reached = true }

--- Reads an upstream's error answer.
---@param call rt.client.Call
---@param text string At most 64 KB of the body.
---@return gate.Err
function M.read_error(call, text)
  local status = call:status()
  local err = {
    code = CODE_OF_STATUS[status] or (status >= 500 and "upstream_error") or "upstream_bad_request",
    status = status, upstream_status = status, retry_after_ms = retry_after_ms(call),
    should_retry = SHOULD_RETRY[call:header("x-should-retry") or ""],
  }
  if status < 400 then -- a redirect, which is never followed, or the like
    err.code, err.status = "upstream_bad_response", nil
    err.message = ("the upstream answered with status %d"):format(status)
    return err
  end
  local doc = json.parse(text)
  if doc then
    local kind = doc:get("error", "type")
    if type(kind) == "string" then
      err.type, err.message, err.body = kind, doc:get("error", "message"), text
      err.error_code = doc:get("error", "details", "error_code")
      if type(err.error_code) == "string" and SPEND_LIMITS[err.error_code] then
        err.code, err.detail_code = "upstream_billing", "insufficient_quota"
      end
      -- The status decides where it is specific; a type may say more about a plain 400 or 500.
      if not CODE_OF_STATUS[status] then
        err.code = CODE_OF_TYPE[kind] or err.code
      end
    else
      local name = call:header("x-amzn-errortype") or doc:get("__type")
      local message = doc:get("message")
      if message == nil then
        message = doc:get("Message")
      end
      err.message = message
      if type(name) == "string" then
        name = name:gsub("^.*#", ""):gsub(":.*$", "")
        for _, row in ipairs(AWS_ERRORS) do
          if name:find(row[1]) then
            err.code, err.type, err.aws_error = row[2], row[3], name
            break
          end
        end
      end
    end
    doc:free()
  end
  if type(err.message) ~= "string" or err.message == "" then
    err.message = ("the upstream answered with status %d"):format(status)
  end
  if err.code == "upstream_auth" or err.code == "upstream_forbidden" then
    -- Such texts name accounts, roles and policies: they are the operator's, not a tenant's.
    err.log_message, err.body = err.message, nil
    err.message = "the gateway's own credential was refused by the upstream; its log says why"
  end
  return err
end

--- Opens an account: checks where it is. Plain http would show the credential to the network.
---@param conf { allow_plain_http: boolean? }
---@param info { name: string }
---@param base_url string
---@return table? account
---@return gate.Err? err `bad_config`
function M.open_account(conf, info, base_url)
  local url, err = gate.parse_url(base_url)
  if not url then
    return nil, err
  end
  local is_loopback = url.host == "localhost" or url.host:find("^%[?::1%]?$") or url.host:find("^127%.%d+%.%d+%.%d+$")
  if url.scheme == "http" and not is_loopback and not conf.allow_plain_http then
    return nil, { code = "bad_config", message = ("account %s: base_url: http:// is for loopback only"):format(info.name) }
  end
  local prefix = (url.path or ""):gsub("/+$", "")
  local account = { origin = url.origin, targets = {} }
  for operation, path in pairs(M.PATHS) do
    account.targets[operation] = prefix .. path
  end
  return account
end

--- Lays out the account's head once. Version and betas stand at known places, so that a request only
--- writes two values; the list is read at once, before any other request runs.
---@param account table From open_account().
---@param own string[] Flat: the provider's own headers.
---@param signer rt.sigv4.Signer?
function M.set_headers(account, own, signer)
  local headers = { "content-type", "application/json", "anthropic-version", M.DEFAULT_VERSION }
  for _, text in ipairs(own) do
    headers[#headers + 1] = text
  end
  account.beta_at = #headers + 1
  account.request = { origin = account.origin, method = "POST", headers = headers, sign = signer }
  return account
end

--- Builds the HTTP exchange for one attempt. Pure: no I/O, the body stays as it was.
---@param attempt gate.Attempt
---@param account table
---@return gate.http.Request? request
---@return gate.Err? err `unsupported`: an operation that is not served here.
function M.build(attempt, account)
  local target = account.targets[attempt.operation]
  if not target then
    return gate.fail("unsupported", "%s is not available on this model's platform", attempt.operation)
  end
  local request, at = account.request, account.beta_at
  local headers = request.headers
  headers[4] = attempt.api_version or M.DEFAULT_VERSION
  if attempt.betas then
    headers[at], headers[at + 1] = "anthropic-beta", attempt.betas
  else
    headers[at], headers[at + 1] = nil, nil
  end
  request.target, request.body = target, attempt.body
  return request
end

return M
