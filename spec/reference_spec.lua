-- Pages that are made from data say what the data says.
local errors = require("gate.errors")
local reference = require("spec.support.reference")
local tree = require("spec.support.tree")

describe("the reference", function()
  for path, make in pairs(reference.PAGES) do
    it(path .. " is what the data says (`make reference` writes it)", function()
      local page = make()
      assert.equal(page, tree.read(path))
    end)

    it("has a text for everything in " .. path, function()
      local _, missing = make()
      assert.same({}, missing)
    end)
  end

  it("finds the plugins of the tree", function()
    local names = {}
    for _, plugin in ipairs(reference.plugins()) do
      names[plugin.name] = plugin.kind or "policy"
    end
    assert.equal("provider", names.claude_aws)
    assert.equal("surface", names.openai_chat)
    assert.equal("policy", names.access)
    assert.is_nil(names.defaults)
  end)

  it("lists every error code once, and both shapes", function()
    local seen = {}
    for _, row in ipairs(errors.list()) do
      assert.is_nil(seen[row.code])
      seen[row.code] = true
      assert.is_true(errors.is_known(row.code))
      assert.equal(row.status, errors.status({ code = row.code }, "anthropic"))
    end
    assert.is_true(seen.unauthenticated and seen.upstream_overloaded)
  end)
end)
