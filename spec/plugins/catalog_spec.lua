local plugin = require("plugins.catalog")

local state = plugin.setup()

describe("plugins.catalog", function()
  it("finds models by name, dated alias and unseen date", function()
    assert.equal("claude-opus-4-5", plugin.find("claude-opus-4-5", state).name)
    assert.equal("claude-opus-4-5", plugin.find("claude-opus-4-5-20251101", state).name)
    assert.equal("claude-opus-5-5", plugin.find("claude-opus-5-5-20260901", state).name)
  end)

  it("treats an unlisted Claude like the strictest one, without a price", function()
    local entry = plugin.find("claude-next-9", state)
    assert.is_true(entry.is_unlisted)
    assert.is_false(entry.sampling)
    assert.is_nil(plugin.cost(entry, { input_tokens = 1 }))
    assert.equal(entry, plugin.find("claude-next-9", state))
  end)

  it("knows no other vendor's names", function()
    for _, name in ipairs({ "gpt-5", "", "claude-", "claude-a b", "anthropic.claude-opus-4-8", "claude-" .. ("x"):rep(100) }) do
      assert.is_nil(plugin.find(name, state))
    end
  end)

  it("does not grow with the names that clients make up", function()
    local own = plugin.setup()
    for i = 1, 1000 do
      plugin.find("claude-made-up-" .. i, own)
    end
    assert.is_true(own.unlisted_count <= 256)
  end)

  it("prices raw counters in micro-dollars, rounded up", function()
    local sonnet = plugin.find("claude-sonnet-4-6", state)
    assert.equal(3 * 10 + 15 * 7, plugin.cost(sonnet, { input_tokens = 10, output_tokens = 7 }))
    assert.equal(1, plugin.cost(sonnet, { cache_read_input_tokens = 1 }))
    assert.equal(375 + 600, plugin.cost(sonnet, { cache_creation_input_tokens = 200, cache_creation_5m_input_tokens = 100, cache_creation_1h_input_tokens = 100 }))
    assert.equal(750, plugin.cost(sonnet, { cache_creation_input_tokens = 200 }))
    assert.equal(0, plugin.cost(sonnet, {}))
  end)

  it("prices the whole request higher once the prompt is long", function()
    local haiku = plugin.find("claude-haiku-5-5", state)
    assert.equal(10000, plugin.cost(haiku, { input_tokens = 100000 }))
    assert.equal(50001 + 25, plugin.cost(haiku, { input_tokens = 100001, output_tokens = 10 }))
  end)

  it("gives every row what plugins ask for", function()
    for _, entry in ipairs(plugin.list(state)) do
      assert.is_true(entry.thinking == "budget" or entry.thinking == "both" or entry.thinking == "adaptive", entry.name)
      assert.is_number(entry.max_output_tokens)
      assert.is_number(entry.cache_minimum_tokens)
      assert.is_boolean(entry.sampling)
      assert.is_number(entry.price.cache_read)
      assert.is_truthy(entry.created_at:match("^%d%d%d%d%-%d%d%-%d%dT"))
    end
  end)
end)
