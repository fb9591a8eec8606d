--- The simulator: a deterministic Claude Platform on AWS inside the gateway. As a provider it signs like
--- claude_aws and is answered by serve() on a loop-back listener; `moongate simulator --listen` serves the same alone, as a
--- strict upstream for tests. It verifies signature, workspace, version, betas and body as the real endpoint would.
local gate = require("gate.plugin")
local json = require("gate.json")
local authenticate = require("plugins.simulator.authenticate")
local catalog = require("plugins.catalog")
local compose = require("plugins.simulator.compose")
local directives = require("plugins.simulator.directives")
local messages_api = require("plugins.messages_api")
local stream = require("plugins.simulator.stream")
local validate = require("plugins.simulator.validate")

---@type gate.Provider
local M = { name = "simulator", version = "1.0.0", api = 1, kind = "provider", native = true }

local BODY_LIMIT_BYTES = 32 * 1024 * 1024
local STATUS_OF = {
  invalid_request_error = 400, authentication_error = 401, billing_error = 402, permission_error = 403, not_found_error = 404,
  request_too_large = 413, rate_limit_error = 429, api_error = 500, timeout_error = 504, overloaded_error = 529,
}

-- These credentials open nothing but a simulator.
M.account_schema = {
  base_url = { type = "string", pattern = "^https?://[^%s?#]+$", doc = "A simulator elsewhere; default: inside this process." },
  access_key_id = { type = "string", default = "AKIASIMULATOR0000000", doc = "Access key that the simulator takes." },
  secret_access_key = { type = "string", default = "simulator/secret/key", secret = true, doc = "Its secret." },
  session_token = { type = "string", secret = true, doc = "Session token that must come with it." },
  api_key = { type = "string", default = "simulator-api-key", secret = true, doc = "API key that the simulator takes as well." },
  region = { type = "string", default = "us-west-2", pattern = "^[a-z][a-z0-9-]*[0-9]$", doc = "Region of the scope." },
  workspace_id = { type = "string", default = "wrkspc_simulator", pattern = "^wrkspc_[A-Za-z0-9]+$", doc = "Workspace." },
}

M.response_headers = messages_api.RESPONSE_HEADERS
M.request_id_headers = messages_api.REQUEST_ID_HEADERS

local function reveal(value)
  return gate.is_secret(value) and value:reveal() or value
end

function M.setup_account(conf, info)
  local account, err = messages_api.open_account(conf, info, conf.base_url or info.origin)
  if not account then
    return nil, err
  end
  local signer
  signer, err = gate.signer({
    access_key_id = conf.access_key_id,
    secret_access_key = reveal(conf.secret_access_key),
    session_token = reveal(conf.session_token),
    region = conf.region,
    service = "aws-external-anthropic",
  })
  if not signer then
    return nil, err
  end
  account.access_key_id, account.secret_access_key = conf.access_key_id, reveal(conf.secret_access_key)
  account.session_token, account.api_key = reveal(conf.session_token), reveal(conf.api_key)
  account.region, account.workspace_id = conf.region, conf.workspace_id
  account.seen = { digests = {}, count = 0 }
  account.catalog = catalog.setup()
  return messages_api.set_headers(account, { "anthropic-workspace-id", conf.workspace_id }, signer)
end

function M.build(attempt, account)
  return messages_api.build(attempt, account)
end

function M.read_error(call, text)
  return messages_api.read_error(call, text)
end

-- ---- serving ----

local function headers_of(account, content_type)
  account.served = (account.served or 0) + 1
  local id = gate.random_hex(12)
  return {
    "content-type", content_type, "request-id", "req_sim" .. id, "x-amzn-requestid", "sim-" .. id,
    "anthropic-organization-id", "simulator",
  }
end

local function respond_error(req, account, found)
  local headers = headers_of(account, "application/json")
  if found.retry_after then
    headers[#headers + 1], headers[#headers + 2] = "retry-after", tostring(found.retry_after)
  end
  req:respond(found.status, headers, json.encode(json.object({
    { "type", "error" },
    { "error", json.object({ { "type", found.type }, { "message", found.message } }) },
    { "request_id", headers[4] },
  })))
end

local function not_found(path)
  return { status = 404, type = "not_found_error", message = "no such route: " .. path }
end

-- Ends a call that was told to break; true: it is over.
local function break_off(req, asked)
  if asked.cut then
    req:abort()
    return true
  elseif asked.stall then
    while gate.sleep(3600 * 1000) do -- until the caller goes away
    end
    return true
  end
  return false
end

local function error_asked(asked)
  return {
    status = asked.status or STATUS_OF[asked.error] or 500, type = asked.error or "api_error",
    message = "the simulator was asked to fail", retry_after = asked.retry_after,
  }
end

-- Whoever tests that an abort arrives looks for this line.
local function note_caller_left(sent, all)
  gate.log("info", "simulator_caller_left", { sent_events = sent, events = all })
end

local function serve_stream(req, account, answer, asked)
  req:start(200, headers_of(account, "text/event-stream; charset=utf-8"))
  local after = asked.after or math.huge
  if asked.delay_ms == nil and after == math.huge then
    req:write(table.concat(stream.events(answer)))
    return req:finish()
  end
  local events = stream.events(answer)
  for i, event in ipairs(events) do
    if i > after then
      if asked.error then
        req:write(stream.error_event(asked.error, "the simulator was asked to fail"))
        return req:finish()
      end
      return break_off(req, asked) or req:finish()
    end
    if asked.delay_ms and not gate.sleep(asked.delay_ms) or not req:write(event) then
      return note_caller_left(i - 1, #events)
    end
  end
  req:finish()
end

local function find_model(account, name)
  local model = type(name) == "string" and catalog.find(name, account.catalog)
  return model and not model.is_unlisted and model or nil
end

local function serve_messages(req, account, call, doc)
  local model = find_model(account, doc:get("model"))
  if not model then
    local name = doc:get("model")
    return respond_error(req, account, type(name) == "string"
      and { status = 404, type = "not_found_error", message = "model: " .. name }
      or { status = 400, type = "invalid_request_error", message = "model: Field required" })
  end
  local is_count = call.path == "/v1/messages/count_tokens"
  if is_count and doc:get("max_tokens") == nil then
    doc:set("max_tokens", 1)
  end
  local found = validate.check(doc, model, call.header("anthropic-version"), call.header("anthropic-beta") or "")
  if found then
    return respond_error(req, account, found)
  end
  if is_count then
    local usage = compose.count_input(doc, model, { digests = {}, count = 0 })
    return req:respond(200, headers_of(account, "application/json"), json.encode(json.object({
      { "input_tokens", usage.input_tokens + usage.cache_creation_input_tokens },
    })))
  end
  local text, has_results = compose.last_user_text(doc)
  local asked, rest = directives.read(text)
  if not asked.after then
    if asked.error then
      return respond_error(req, account, error_asked(asked))
    elseif break_off(req, asked) then
      return
    end
  end
  local answer = compose.compose(doc, model, asked, rest, has_results, account)
  if doc:get("stream") == true then
    return serve_stream(req, account, answer, asked)
  end
  if asked.delay_ms and not gate.sleep(asked.delay_ms) then
    return
  end
  req:respond(200, headers_of(account, "application/json"), json.encode(compose.message_json(answer, false)))
end

local function model_json(entry)
  return json.object({
    { "type", "model" }, { "id", entry.name }, { "display_name", entry.display_name }, { "created_at", entry.created_at },
    { "max_input_tokens", entry.context_tokens }, { "max_tokens", entry.max_output_tokens },
  })
end

local function serve_models(req, account, path)
  local name = path:match("^/v1/models/([^/]+)$")
  if name then
    local entry = find_model(account, name)
    if not entry then
      return respond_error(req, account, { status = 404, type = "not_found_error", message = "model: " .. name })
    end
    return req:respond(200, headers_of(account, "application/json"), json.encode(model_json(entry)))
  end
  local list, data = catalog.list(account.catalog), {}
  for i, entry in ipairs(list) do
    data[i] = model_json(entry)
  end
  req:respond(200, headers_of(account, "application/json"), json.encode(json.object({
    { "data", json.array(data) }, { "has_more", false }, { "first_id", list[1].name }, { "last_id", list[#list].name },
  })))
end

--- Serves one request of an rt.server.
---@param req rt.server.Request
---@param account table From setup_account().
function M.serve(req, account)
  local method, path, query = req:head()
  local body, doc = "", nil
  if method == "POST" then
    local raw, err = req:read_body(BODY_LIMIT_BYTES)
    if not raw then
      if err.code == "too_large" then
        respond_error(req, account, { status = 413, type = "request_too_large", message = "Request exceeds the maximum size" })
      end
      return
    end
    doc, err = json.parse(raw)
    if not doc then
      return respond_error(req, account, {
        status = 400, type = "invalid_request_error", message = "The request body is not valid JSON: " .. err.message,
      })
    end
    body = doc:bytes()
  end
  local call = {
    method = method, path = path, query = query, headers = req:headers(), body = body,
    header = function(name)
      return req:header(name)
    end,
  }
  local found = authenticate.check(call, account)
  if not found and doc and doc:type() ~= "object" then
    found = { status = 400, type = "invalid_request_error", message = "Input should be a valid dictionary" }
  end
  if found then
    respond_error(req, account, found)
  elseif method == "POST" and (path == "/v1/messages" or path == "/v1/messages/count_tokens") then
    serve_messages(req, account, call, doc)
  elseif method == "GET" and (path == "/v1/models" or path:find("^/v1/models/[^/]+$")) then
    serve_models(req, account, path)
  else
    respond_error(req, account, not_found(path))
  end
  if doc then
    doc:free()
  end
end

return M
