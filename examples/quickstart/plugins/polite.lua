--- Refuses requests whose last message does not hold a word. A policy plugin in its smallest useful form.
local gate = require("gate.plugin")

---@type gate.Plugin
local M = { name = "polite", version = "1.0.0", api = 1 }

M.schema = { word = { type = "string", required = true, min = 1, doc = "What every request must say." } }

---@param ctx gate.Ctx
function M.on_request(ctx, conf)
  if not ctx.body then
    return -- the list of models asks for nothing
  end
  local messages = ctx.body:get("messages")
  local last = messages and messages:raw(#messages) or ""
  if not last:lower():find(conf.word:lower(), 1, true) then
    return gate.fail("bad_request", "say %q", conf.word)
  end
end

return M
