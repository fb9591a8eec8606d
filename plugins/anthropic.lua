--- The Anthropic API: where it is and how a call is authorised. The body is the pivot itself, so nothing of
--- the body is known here.
--- Source: Anthropic API reference, "Messages" and "Versions" (2026-08-22); `@anthropic-ai/sdk` 1.12.0, which sends its
--- API key as a bearer token.
local gate = require("gate.plugin")
local messages_api = require("plugins.messages_api")

---@class anthropic.Conf
---@field api_key string Secret: never logged, never part of an error message.
---@field base_url string

---@type gate.Provider
local M = { name = "anthropic", version = "1.0.0", api = 1, kind = "provider", native = true }

M.account_schema = {
  api_key = { type = "string", required = true, secret = true, min = 1, doc = "Anthropic API key." },
  base_url = { type = "string", pattern = "^https?://[^%s?#]+$", default = "https://api.anthropic.com", doc = "Where the API is." },
  allow_plain_http = { type = "boolean", default = false, doc = "Allow a base_url with http:// to a host that is not loopback." },
}

M.response_headers = messages_api.RESPONSE_HEADERS
M.request_id_headers = messages_api.REQUEST_ID_HEADERS

--- An account from the official client's variables, or nil.
function M.from_env(env)
  if not env.ANTHROPIC_API_KEY then
    return nil
  end
  return {
    name = "anthropic", provider = M.name, api_key = env.ANTHROPIC_API_KEY, base_url = env.ANTHROPIC_BASE_URL, models = "all",
  }
end

---@param conf anthropic.Conf
---@param info { name: string, origin: string? }
function M.setup_account(conf, info)
  local account, err = messages_api.open_account(conf, info, conf.base_url)
  if not account then
    return nil, err
  end
  local key = gate.is_secret(conf.api_key) and conf.api_key:reveal() or conf.api_key
  return messages_api.set_headers(account, { "authorization", "Bearer " .. key:match("^%s*(.-)%s*$") })
end

---@param attempt gate.Attempt
---@return gate.http.Request? request
---@return gate.Err? err `unsupported`
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
