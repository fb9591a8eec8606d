--- Who calls the simulator, checked as the real endpoint does: SigV4 recomputed from what arrived, or an API
--- key; workspace, version and betas. Written apart from the gateway's own signer, so that the two check
--- each other.
--- Source: sigv4.md; claude-platform-on-aws.md sections 2, 3, 8; messages-api.md sections 1 and 9 (2026-11-22).
local gate = require("gate.plugin")

local M = {}

local SERVICE = "aws-external-anthropic"
local MAX_SKEW_S = 15 * 60
local VERSIONS = { ["2023-06-01"] = true, ["2026-10-21"] = true }

local BETAS = {}
for beta in ([[
  mcp-client-2025-04-04 mcp-client-2025-11-20 mcp-client-2026-09-15 interleaved-thinking-2025-05-14
  dev-full-thinking-2025-05-14 context-1m-2025-08-07 context-management-2025-06-27
  model-context-window-exceeded-2025-08-26 fast-mode-2026-02-01 output-128k-2025-02-19 output-300k-2026-03-24
  advisor-tool-2026-03-01 thinking-token-count-2026-05-13 server-side-fallback-2026-06-01
  server-side-fallback-2026-07-01 fallback-credit-2026-06-01 fallback-credit-2026-07-01
  mid-conversation-tool-changes-2026-07-01 mid-conversation-output-config-2026-07-01
  mid-conversation-system-clear-at-2026-08-21 compact-2026-01-12 compact-2026-09-04 task-budgets-2026-03-13
  thinking-display-updates-2026-08-18 thinking-binding-controls-2026-08-01 inline-tools-2026-09-15
  message-threads-2026-08-12 structured-outputs-2025-11-13 computer-use-2024-10-22 computer-use-2025-01-24
  computer-use-2025-11-24 code-execution-2025-05-22 managed-agents-2026-04-01 prompt-caching-2024-07-31
  pdfs-2024-09-25 token-counting-2024-11-01 token-efficient-tools-2025-02-19 extended-cache-ttl-2025-04-11
  files-api-2025-04-14 skills-2025-10-02 message-batches-2024-09-24 claude-code-20250219 oauth-2025-04-20
  fine-grained-tool-streaming-2025-05-14]]):gmatch("%S+") do
  BETAS[beta] = true
end

local function problem(status, kind, message)
  return { status = status, type = kind, message = message }
end

local function unauthorized(message)
  return problem(401, "authentication_error", message)
end

-- ---- SigV4 ----

local function percent_encode(text)
  return (text:gsub("[^A-Za-z0-9%-%._~]", function(char)
    return ("%%%02X"):format(char:byte())
  end))
end

-- In a query a plus is a space.
local function percent_decode(text)
  return (text:gsub("%+", " "):gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

local function canonical_path(path)
  local segments = {}
  for segment in path:gmatch("[^/]+") do
    if segment == ".." then
      segments[#segments] = nil
    elseif segment ~= "." then
      segments[#segments + 1] = percent_encode(segment)
    end
  end
  local tail = path:sub(-1) == "/" and #segments > 0 and "/" or ""
  return "/" .. table.concat(segments, "/") .. tail
end

local function canonical_query(query)
  local pairs_ = {}
  for part in (query or ""):gmatch("[^&]+") do
    local name, value = part:match("^([^=]*)=?(.*)$")
    pairs_[#pairs_ + 1] = { percent_encode(percent_decode(name)), percent_encode(percent_decode(value)) }
  end
  table.sort(pairs_, function(a, b)
    if a[1] ~= b[1] then
      return a[1] < b[1]
    end
    return a[2] < b[2]
  end)
  local out = {}
  for i, pair in ipairs(pairs_) do
    out[i] = pair[1] .. "=" .. pair[2]
  end
  return table.concat(out, "&")
end

local function trim(value)
  return (value:gsub("[\r\n]", " "):gsub("[ \t]+", " "):match("^ ?(.-) ?$"))
end

-- Days since 1970 of a civil date; the clock of `YYYYMMDDTHHMMSSZ` in seconds.
local function amz_seconds(text)
  local y, m, d, hh, mm, ss = text:match("^(%d%d%d%d)(%d%d)(%d%d)T(%d%d)(%d%d)(%d%d)Z$")
  if not y then
    return nil
  end
  y, m, d = tonumber(y), tonumber(m), tonumber(d)
  if m <= 2 then
    y, m = y - 1, m + 12
  end
  local days = 365 * y + math.floor(y / 4) - math.floor(y / 100) + math.floor(y / 400) + math.floor((153 * (m - 3) + 2) / 5)
    + d - 719469
  return days * 86400 + tonumber(hh) * 3600 + tonumber(mm) * 60 + tonumber(ss)
end

-- Repeated headers of one name are joined with commas, in their order.
local function header_values(headers)
  local values = {}
  for _, header in ipairs(headers) do
    local name, value = header[1]:lower(), trim(header[2])
    values[name] = values[name] and (values[name] .. "," .. value) or value
  end
  return values
end

local function check_signature(call, account, authorization)
  local id, date, region, service, signed, signature = authorization:match(
    "^AWS4%-HMAC%-SHA256 Credential=([^/]+)/(%d+)/([^/]+)/([^/]+)/aws4_request, ?SignedHeaders=([^,]+), ?Signature=(%x+)$"
  )
  if not id then
    return unauthorized("the authorization header is not a complete AWS4-HMAC-SHA256 signature")
  end
  local values = header_values(call.headers)
  local amz_date = values["x-amz-date"]
  local seconds = amz_date and amz_seconds(amz_date)
  if not seconds or amz_date:sub(1, 8) ~= date then
    return unauthorized("x-amz-date is missing or does not match the credential's scope")
  end
  if math.abs(gate.now_ms() / 1000 - seconds) > MAX_SKEW_S then
    return unauthorized("Signature expired: " .. amz_date .. " is too far from the server's clock")
  end
  if id ~= account.access_key_id or region ~= account.region or service ~= SERVICE then
    return unauthorized("the request signature we calculated does not match: unknown key, region or service in the scope")
  end
  if (account.session_token or "") ~= (values["x-amz-security-token"] or "") then
    return unauthorized("the security token included in the request is invalid")
  end
  local lines, names, is_signed = {}, {}, {}
  for name in signed:gmatch("[^;]+") do
    names[#names + 1] = name
    is_signed[name] = true
    if not values[name] then
      return unauthorized("signed header " .. name .. " is missing")
    end
    lines[#lines + 1] = name .. ":" .. values[name]
  end
  local sorted = { unpack(names) }
  table.sort(sorted)
  if table.concat(sorted, ";") ~= signed then
    return unauthorized("SignedHeaders are not in order")
  end
  for name in pairs(values) do
    if (name == "host" or name:sub(1, 6) == "x-amz-" or name == "anthropic-workspace-id") and not is_signed[name] then
      return unauthorized(name .. " must be signed")
    end
  end
  local body_hash = values["x-amz-content-sha256"] or gate.sha256_hex(call.body)
  if body_hash ~= "UNSIGNED-PAYLOAD" and body_hash ~= gate.sha256_hex(call.body) then
    return unauthorized("x-amz-content-sha256 does not match the body")
  end
  local canonical = table.concat({
    call.method, canonical_path(call.path), canonical_query(call.query), table.concat(lines, "\n") .. "\n", signed, body_hash,
  }, "\n")
  local scope = table.concat({ date, region, service, "aws4_request" }, "/")
  local to_sign = table.concat({ "AWS4-HMAC-SHA256", amz_date, scope, gate.sha256_hex(canonical) }, "\n")
  local key = gate.hmac_sha256("AWS4" .. account.secret_access_key, date)
  key = gate.hmac_sha256(key, region)
  key = gate.hmac_sha256(key, service)
  key = gate.hmac_sha256(key, "aws4_request")
  local computed = gate.hmac_sha256(key, to_sign):gsub(".", function(char)
    return ("%02x"):format(char:byte())
  end)
  if not gate.equal(computed, signature) then
    return unauthorized("the request signature we calculated does not match the signature you provided")
  end
  return nil
end

-- ---- all ----

local function check_credentials(call, account)
  local authorization = call.header("authorization")
  local key = call.header("x-api-key") or (authorization and authorization:match("^[Bb]earer%s+(%S+)$"))
  if key then
    if account.api_key and gate.equal(key, account.api_key) then
      return nil
    end
    return unauthorized("invalid x-api-key")
  end
  if authorization then
    return check_signature(call, account, authorization)
  end
  return unauthorized("x-api-key header is required")
end

--- Checks a call. call = { method, path, query, headers = { {name, value} }, header = function(name), body = string }
---@return table? problem { status, type, message }; nil: all is well.
function M.check(call, account)
  local found = check_credentials(call, account)
  if found then
    return found
  end
  local workspace = call.header("anthropic-workspace-id")
  if account.workspace_id then
    if not workspace then
      return problem(400, "invalid_request_error", "anthropic-workspace-id is required when authenticating with AWS credentials")
    elseif not workspace:find("^wrkspc_[A-Za-z0-9]+$") then
      return problem(400, "invalid_request_error", "anthropic-workspace-id header must be a valid workspace ID.")
    elseif workspace ~= account.workspace_id then
      return problem(404, "not_found_error", ("Workspace `%s` not found."):format(workspace))
    end
  end
  local version = call.header("anthropic-version")
  if not version then
    return problem(400, "invalid_request_error", "anthropic-version: header is required")
  elseif not VERSIONS[version] then
    return problem(400, "invalid_request_error", ('anthropic-version: "%s" is not a valid version'):format(version))
  end
  for beta in (call.header("anthropic-beta") or ""):gmatch("[^,%s]+") do
    if not BETAS[beta] then
      return problem(400, "invalid_request_error", ("Unexpected value(s) `%s` for the `anthropic-beta` header."):format(beta))
    end
  end
  return nil
end

return M
