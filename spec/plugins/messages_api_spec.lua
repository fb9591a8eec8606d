local plugin = require("plugins.messages_api")

local function call(status, headers)
  return {
    status = function() return status end,
    header = function(_, name) return (headers or {})[name] end,
  }
end

describe("plugins.messages_api", function()
  for _, url in ipairs({ "http://127.evil.example", "http://127.0.0.1.evil.example", "http://10.0.0.1", "http://localhost.evil.example" }) do
    it("never sends a credential in the clear to " .. url, function()
      local account, err = plugin.open_account({}, { name = "a" }, url)
      assert.is_nil(account)
      assert.equal("bad_config", err.code)
    end)
  end

  for _, url in ipairs({ "http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9", "https://10.0.0.1" }) do
    it("goes to " .. url, function()
      assert.is_table(plugin.open_account({}, { name = "a" }, url))
    end)
  end

  -- messages-api.md section 8: these two are not to be tried again (another account may still serve).
  for _, code in ipairs({ "enforced_spend_limit_reached", "contract_spend_limit_reached" }) do
    it("does not repeat on " .. code, function()
      local err = plugin.read_error(call(429),
        ('{"type":"error","error":{"type":"rate_limit_error","message":"m","details":{"error_code":"%s"}}}'):format(code))
      assert.equal("upstream_billing", err.code)
      assert.equal(429, err.status)
      assert.equal("insufficient_quota", err.detail_code)
    end)
  end

  it("keeps an ordinary limit one that may pass", function()
    local err = plugin.read_error(call(429), '{"type":"error","error":{"type":"rate_limit_error","message":"m"}}')
    assert.equal("upstream_rate_limited", err.code)
  end)
end)
