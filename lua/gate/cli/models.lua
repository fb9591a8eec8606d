--- moongate models: which models the configuration serves, by account, and the virtual ones.
local common = require("gate.cli.common")
local text = require("gate.text")

local M = { usage = "models [--config FILE]", summary = "list the models that clients can ask for" }

local function price_text(price)
  return price and ("%g / %g"):format(price.input or 0, price.output or 0) or "unknown"
end

local function offers(account, name)
  if account.models == "all" then
    return true
  end
  for _, allowed in ipairs(account.models) do
    if allowed == name then
      return true
    end
  end
  return false
end

function M.run(_, options)
  local generation, problems = common.build(options)
  if not generation then
    return common.tell_problems(problems)
  end
  local app = generation.app
  io.stdout:write(("%-44s %s\n"):format("MODEL", "USD PER MILLION TOKENS, IN / OUT"))
  for _, account_name in ipairs(app.account_names) do
    for _, entry in ipairs(app.catalog.list()) do
      if offers(app.accounts[account_name], entry.name) then
        local own = app.catalog.find(entry.name, account_name)
        io.stdout:write(("%-44s %s\n"):format(account_name .. "/" .. entry.name, price_text(own and own.price)))
      end
    end
  end
  for _, name in ipairs(text.sorted_keys(app.models)) do
    local model = app.models[name]
    if model.targets then
      io.stdout:write(("%-44s -> %s\n"):format(name, table.concat(model.targets, ", ")))
    end
  end
  generation:teardown()
  return 0
end

return M
