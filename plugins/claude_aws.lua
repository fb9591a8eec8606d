--- Claude Platform on AWS: where it is and how a call is authorised. The body is the pivot itself, so nothing
--- of the body is known here. Signed with SigV4 (keys, session token), or with an API key as bearer token.
--- Source: claude-platform-on-aws.md sections 1 to 4 (`@anthropic-ai/aws-sdk` 1.1.2, Anthropic docs, 2026-11-22).
local gate = require("gate.plugin")
local messages_api = require("plugins.messages_api")

---@class claude_aws.Conf
---@field region string AWS region of the workspace.
---@field workspace_id string `wrkspc_...`; sent with every request, never the client's.
---@field base_url string? PrivateLink, tests. Plain http only to loopback unless allow_plain_http.
---@field auth table { method = "access_key", ... } or { method = "api_key", api_key }

---@type gate.Provider
local M = { name = "claude_aws", version = "1.0.0", api = 1, kind = "provider", native = true }

local SERVICE = "aws-external-anthropic"

M.account_schema = {
  -- A crafted region would send signed traffic elsewhere.
  region = { type = "string", required = true, pattern = "^[a-z][a-z0-9-]*[0-9]$", max = 32, doc = "AWS region, such as us-west-2." },
  workspace_id = {
    type = "string", required = true, pattern = "^wrkspc_[A-Za-z0-9]+$", doc = "Workspace that requests run in: wrkspc_...",
  },
  base_url = { type = "string", pattern = "^https?://[^%s?#]+$", doc = "Overrides https://aws-external-anthropic.{region}.api.aws." },
  allow_plain_http = { type = "boolean", default = false, doc = "Allow a base_url with http:// to a host that is not loopback." },
  auth = {
    required = true,
    choose = "method",
    doc = "How calls are authorised.",
    cases = {
      access_key = {
        access_key_id = { type = "string", required = true, min = 1, doc = "AWS access key id." },
        secret_access_key = { type = "string", required = true, secret = true, min = 1, doc = "AWS secret access key." },
        session_token = { type = "string", secret = true, doc = "For temporary credentials." },
      },
      api_key = { api_key = { type = "string", required = true, secret = true, min = 1, doc = "API key of the AWS console." } },
    },
  },
}

M.response_headers = messages_api.RESPONSE_HEADERS
M.request_id_headers = messages_api.REQUEST_ID_HEADERS

--- An account from the official client's variables, or nil. The API key wins over AWS keys, as there.
function M.from_env(env)
  local region = env.AWS_REGION or env.AWS_DEFAULT_REGION
  local workspace_id = env.ANTHROPIC_AWS_WORKSPACE_ID
  if not region or not workspace_id then
    return nil
  end
  local auth
  if env.ANTHROPIC_AWS_API_KEY then
    auth = { method = "api_key", api_key = env.ANTHROPIC_AWS_API_KEY }
  elseif env.AWS_ACCESS_KEY_ID and env.AWS_SECRET_ACCESS_KEY then
    auth = {
      method = "access_key", access_key_id = env.AWS_ACCESS_KEY_ID, secret_access_key = env.AWS_SECRET_ACCESS_KEY,
      session_token = env.AWS_SESSION_TOKEN,
    }
  else
    return nil
  end
  return {
    name = "aws", provider = M.name, region = region, workspace_id = workspace_id, base_url = env.ANTHROPIC_AWS_BASE_URL,
    auth = auth, models = "all",
  }
end

local function reveal(value)
  if value == nil then
    return nil
  end
  -- A newline at the end of a secret read from a file breaks every signature.
  return (gate.is_secret(value) and value:reveal() or value):match("^%s*(.-)%s*$")
end

---@param conf claude_aws.Conf
---@param info { name: string, origin: string? }
---@return table? account
---@return gate.Err? err `bad_config`
function M.setup_account(conf, info)
  local base_url = conf.base_url or ("https://%s.%s.api.aws"):format(SERVICE, conf.region)
  local account, err = messages_api.open_account(conf, info, base_url)
  if not account then
    return nil, err
  end
  local own = { "anthropic-workspace-id", conf.workspace_id }
  local auth, signer = conf.auth, nil
  if auth.method == "api_key" then
    own[3], own[4] = "authorization", "Bearer " .. reveal(auth.api_key)
  else
    signer, err = gate.signer({
      access_key_id = reveal(auth.access_key_id),
      secret_access_key = reveal(auth.secret_access_key),
      session_token = reveal(auth.session_token),
      region = conf.region,
      service = SERVICE,
    })
    if not signer then
      return nil, err
    end
  end
  return messages_api.set_headers(account, own, signer)
end

---@param attempt gate.Attempt
---@return gate.http.Request? request
---@return gate.Err? err `unsupported`: an operation that is not served here.
function M.build(attempt, account)
  return messages_api.build(attempt, account)
end

---@param call rt.client.Call
---@param text string
---@return gate.Err
function M.read_error(call, text)
  return messages_api.read_error(call, text)
end

return M
