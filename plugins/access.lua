--- Access: who calls, and which models may they use. Keys are known only by their SHA-256; the key ring
--- (C, off the collected heap) hashes what is presented and compares in constant time. Denies by default:
--- no key, an unknown key, an expired key, a model that the key does not list.
local gate = require("gate.plugin")
local cjson = require("cjson")

---@class access.Conf
---@field anonymous boolean Let callers without a key in, as the user `anonymous`. Only for a gateway on loopback.

---@type gate.Plugin
local M = { name = "access", version = "1.0.0", api = 1, fail = "closed" }

M.schema = {
  anonymous = { type = "boolean", default = false, doc = "Serve callers without a key as the user `anonymous`." },
}

-- Identities are decoded when their key is first used and kept: ten thousand keys in use are one small table each, and
-- keys that nobody uses stay in the ring. Above this the table starts anew, so that the heap stays bounded.
local KEPT_IDENTITIES = 16384
local NO_TEAMS = {}

local ANONYMOUS = { name = "anonymous", user = "anonymous", teams = {}, key_id = "anonymous", models = "all" }

local function model_set(models)
  if models == nil or models == "all" then
    return "all"
  end
  local set = {}
  for _, name in ipairs(models) do
    set[name] = true
  end
  return set
end

---@param conf access.Conf
function M.setup(conf, app)
  local ring = gate.keyring()
  for _, key in ipairs(app.keys or {}) do
    local ok, err = ring:add(key.sha256, cjson.encode({
      name = key.name, user = key.user, teams = key.teams, models = key.models, expires_at = key.expires_at,
    }))
    if not ok then
      return nil, err
    end
  end
  return { ring = ring, identities = {}, kept = 0, anonymous = conf.anonymous }
end

local function identity_of(state, index)
  local identity = state.identities[index]
  if identity then
    return identity
  end
  if state.kept >= KEPT_IDENTITIES then
    state.identities, state.kept = {}, 0
  end
  local row = cjson.decode(state.ring:record(index))
  identity = {
    name = row.name, user = row.user, teams = row.teams and row.teams[1] and row.teams or NO_TEAMS, key_id = row.name,
    models = model_set(row.models), expires_at_ms = row.expires_at and row.expires_at * 1000 or nil,
  }
  state.identities[index], state.kept = identity, state.kept + 1
  return identity
end

-- `x-api-key` wins over a bearer token, as on the API itself (messages-api.md section 1, 2026-11-22).
local function presented_key(ctx)
  local key = ctx:header("x-api-key")
  if key and key ~= "" then
    return key
  end
  local authorization = ctx:header("authorization")
  if not authorization then
    return nil
  end
  -- The scheme's name is case-insensitive (RFC 9110 section 11.1).
  if #authorization > 7 and authorization:sub(1, 7):lower() == "bearer " then
    return authorization:sub(8):match("^%s*(%S+)%s*$")
  end
  return nil
end

--- Every wrong key gets one and the same answer: nothing about it says which part was wrong.
local function deny()
  return gate.fail("unauthenticated", "invalid API key: pass a key of this gateway as x-api-key or as a bearer token")
end

---@param ctx gate.Ctx
function M.on_access(ctx, _, state)
  local key = presented_key(ctx)
  if not key then
    if state.anonymous then
      ctx.identity = ANONYMOUS
      return
    end
    return deny()
  end
  local index = state.ring:index_of(key)
  if not index then
    return deny()
  end
  local identity = identity_of(state, index)
  if identity.expires_at_ms and gate.now_ms() >= identity.expires_at_ms then
    return deny()
  end
  ctx.identity = identity
end

--- Whether an identity may use a model as asked for: by the name it asked with, `account/model`, or the bare name
--- of a target.
---@param identity gate.Identity
---@return boolean
function M.allows(identity, asked, target)
  local models = identity.models
  if models == "all" then
    return true
  end
  return models[asked] == true
    or (target ~= nil and (models[target.account .. "/" .. target.model] == true or models[target.model] == true))
end

--- Checks the model once it is known. Targets that the caller may not use are refused as a whole: a virtual
--- model that is allowed by its own name allows all its targets.
---@param ctx gate.Ctx
function M.on_request(ctx)
  local identity = ctx.identity
  if not identity then
    return deny()
  end
  if identity.models == "all" or ctx.model == nil then
    return
  end
  -- Bare names and account/model are both looked at again in on_attempt, when the target is known.
  if identity.models[ctx.model] then
    ctx.own.is_allowed = true
  end
end

---@param ctx gate.Ctx
---@param attempt gate.Attempt
function M.on_attempt(ctx, _, _, attempt)
  local identity = ctx.identity
  if not identity then
    return deny()
  end
  if identity.models == "all" or ctx.own.is_allowed then
    return
  end
  if not M.allows(identity, ctx.model, attempt.target) then
    return gate.fail("forbidden", "this key may not use the model %q", tostring(ctx.model))
  end
end

return M
