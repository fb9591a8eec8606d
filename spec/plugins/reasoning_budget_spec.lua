local catalog = require("plugins.catalog")
local fake = require("spec.support.fake")
local plugin = require("plugins.reasoning_budget")

local rows = catalog.setup()
local defaults = { share = plugin.schema.share.default, prefer_adaptive = false }

local function apply(model, effort, body, conf)
  local ctx = fake.ctx({ dialect = "openai" })
  ctx.effort = effort
  local attempt = fake.attempt(ctx, catalog.find(model, rows), body)
  local _, err = plugin.on_attempt(ctx, conf or defaults, nil, attempt)
  return attempt.body:bytes(), ctx, err
end

describe("plugins.reasoning_budget", function()
  -- translation.md section 6, row by row: model, effort, body -> body
  local table_6 = {
    { "claude-sonnet-4-5", "none", '{"max_tokens":10000}', '{"max_tokens":10000}' },
    { "claude-sonnet-4-5", "low", '{"max_tokens":10000}', '{"max_tokens":10000,"thinking":{"type":"enabled","budget_tokens":3000}}' },
    { "claude-sonnet-4-5", "medium", '{"max_tokens":10000}', '{"max_tokens":10000,"thinking":{"type":"enabled","budget_tokens":6000}}' },
    { "claude-haiku-4-5", "high", '{"max_tokens":10000}', '{"max_tokens":10000,"thinking":{"type":"enabled","budget_tokens":9000}}' },
    { "claude-opus-4-5", "xhigh", '{"max_tokens":10000}', '{"max_tokens":10000,"thinking":{"type":"enabled","budget_tokens":9000}}' },
    { "claude-opus-4-5", "max", '{"max_tokens":10000}', '{"max_tokens":10000,"thinking":{"type":"enabled","budget_tokens":9000}}' },
    { "claude-sonnet-4-5", "minimal", '{"max_tokens":10000}', '{"max_tokens":10000,"thinking":{"type":"enabled","budget_tokens":1024}}' },
    { "claude-sonnet-4-5", "low", '{"max_tokens":2000}', '{"max_tokens":2000,"thinking":{"type":"enabled","budget_tokens":1024}}' },
    { "claude-sonnet-4-5", "high", '{"max_tokens":1025}', '{"max_tokens":1025,"thinking":{"type":"enabled","budget_tokens":1024}}' },
    { "claude-sonnet-4-5", "high", '{"max_tokens":1024}', '{"max_tokens":1024}', warns = "thinking_skipped" },
    { "claude-sonnet-4-6", "medium", '{"max_tokens":10000}', '{"max_tokens":10000,"thinking":{"type":"enabled","budget_tokens":6000}}' },
    { "claude-opus-4-8", "none", '{"max_tokens":10000}', '{"max_tokens":10000}' },
    { "claude-opus-4-8", "xhigh", '{"max_tokens":9}', '{"max_tokens":9,"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"xhigh"}}' },
    { "claude-opus-4-7", "minimal", '{"max_tokens":9}', '{"max_tokens":9,"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"low"}}' },
    { "claude-sonnet-5", "none", '{"max_tokens":9}', '{"max_tokens":9,"thinking":{"type":"disabled"}}' },
    { "claude-haiku-5-5", "max", '{"max_tokens":9}', '{"max_tokens":9,"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"max"}}' },
    { "claude-opus-5", "none", '{"max_tokens":9,"output_config":{"effort":"max"}}', '{"max_tokens":9,"output_config":{"effort":"high"},"thinking":{"type":"disabled"}}' },
    { "claude-sonnet-5-5", "none", '{"max_tokens":9}', '{"max_tokens":9,"thinking":{"type":"between_tools"}}' },
    { "claude-opus-5-5", "none", '{"max_tokens":9}', '{"max_tokens":9,"output_config":{"effort":"low"}}' },
    { "claude-fable-5", "high", '{"max_tokens":9}', '{"max_tokens":9,"output_config":{"effort":"high"}}' },
    { "claude-next-9", "medium", '{"max_tokens":9}', '{"max_tokens":9,"output_config":{"effort":"medium"}}' },
    -- what the client said itself stays
    { "claude-opus-4-8", "high", '{"thinking":{"type":"disabled"}}', '{"thinking":{"type":"disabled"}}' },
    { "claude-opus-4-8", "high", '{"output_config":{"effort":"low"}}', '{"output_config":{"effort":"low"},"thinking":{"type":"adaptive","display":"summarized"}}' },
    -- conflicts with a budget
    { "claude-sonnet-4-5", "low", '{"max_tokens":10000,"temperature":0.5,"top_p":0.5}', '{"max_tokens":10000,"thinking":{"type":"enabled","budget_tokens":3000}}', warns = "dropped" },
    { "claude-sonnet-4-5", "low", '{"max_tokens":10000,"tool_choice":{"type":"any"}}', '{"max_tokens":10000,"tool_choice":{"type":"any"}}', warns = "thinking_skipped" },
  }
  for _, row in ipairs(table_6) do
    it(("%s with effort %s: %s"):format(row[1], row[2], row[3]), function()
      local body, ctx, err = apply(row[1], row[2], row[3])
      assert.is_nil(err)
      assert.equal(row[4], body)
      assert.equal(row.warns, ctx.warnings[1] and ctx.warnings[1].code)
    end)
  end

  it("does nothing where no effort was asked for", function()
    assert.equal('{"max_tokens":10000}', (apply("claude-opus-4-8", nil, '{"max_tokens":10000}')))
  end)

  it("prefers adaptive thinking where configured, without levels that the model lacks", function()
    local body = apply("claude-sonnet-4-6", "xhigh", '{"max_tokens":10000}', { share = defaults.share, prefer_adaptive = true })
    assert.equal('{"max_tokens":10000,"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"high"}}', body)
  end)

  it("refuses an effort that has no share", function()
    local _, _, err = apply("claude-sonnet-4-5", "medium", '{"max_tokens":10000}', { share = { low = 0.3 } })
    assert.equal("bad_request", err.code)
  end)
end)
