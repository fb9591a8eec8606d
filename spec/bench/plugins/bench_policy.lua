--- A policy hook as small as one can be, so that make bench measures a request that goes through one.
local gate = require("gate.plugin")

---@type gate.Plugin
local M = { name = "bench_policy", version = "1.0.0", api = 1 }

M.schema = {
  blocked_user = { type = "string", default = "nobody", doc = "Whom to refuse." },
}

---@param ctx gate.Ctx
function M.on_request(ctx, conf)
  if ctx.identity.user == conf.blocked_user then
    return gate.fail("forbidden", "%s may not", conf.blocked_user)
  end
end

return M
