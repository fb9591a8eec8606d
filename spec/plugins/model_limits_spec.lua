local catalog = require("plugins.catalog")
local fake = require("spec.support.fake")
local plugin = require("plugins.model_limits")

local rows = catalog.setup()
local conf = { default_max_tokens = 8192, default_thinking_max_tokens = 16384 }

local function apply(model, body, dialect, effort)
  local ctx = fake.ctx({ dialect = dialect or "openai" })
  ctx.effort = effort
  local attempt = fake.attempt(ctx, catalog.find(model, rows), body)
  local _, err = plugin.on_attempt(ctx, conf, nil, attempt)
  return attempt.body:bytes(), ctx, err
end

describe("plugins.model_limits", function()
  it("never touches a request in the model's own language", function()
    local text = '{"max_tokens":999999,"temperature":2}'
    assert.equal(text, (apply("claude-opus-4-8", text, "anthropic")))
  end)

  it("gives max_tokens a default and a cap", function()
    assert.equal('{"a":1,"max_tokens":8192}', (apply("claude-opus-4-8", '{"a":1}')))
    assert.equal('{"a":1,"max_tokens":16384}', (apply("claude-opus-4-8", '{"a":1}', "openai", "low")))
    local body, ctx = apply("claude-haiku-4-5", '{"max_tokens":100000}')
    assert.equal('{"max_tokens":64000}', body)
    assert.equal("changed", ctx.warnings[1].code)
  end)

  it("drops sampling where the model takes none, and warns where it meant something", function()
    local body, ctx = apply("claude-opus-4-8", '{"max_tokens":5,"temperature":1,"top_p":0.5,"top_k":1}')
    assert.equal('{"max_tokens":5}', body)
    assert.equal(2, #ctx.warnings)
  end)

  it("keeps temperature rather than top_p", function()
    local body, ctx = apply("claude-sonnet-4-5", '{"max_tokens":5,"temperature":0.2,"top_p":0.5}')
    assert.equal('{"max_tokens":5,"temperature":0.2}', body)
    assert.equal("dropped", ctx.warnings[1].code)
  end)

  it("refuses a prefill where the model takes none", function()
    local text = '{"max_tokens":5,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}'
    local _, _, err = apply("claude-opus-4-8", text)
    assert.equal("bad_request", err.code)
    assert.equal(text, (apply("claude-sonnet-4-5", text)))
  end)
end)
