local errors = require("gate.errors")

describe("gate.errors", function()
  it("has the OpenAI shape", function()
    local status, headers, body = errors.shape("openai", { code = "unauthenticated", message = 'a "b"' }, "req_1")
    assert.equal(401, status)
    assert.same({ "content-type", "application/json" }, headers)
    assert.equal('{"error":{"message":"a \\"b\\"","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}', body)
  end)

  it("has the Anthropic shape", function()
    local status, _, body = errors.shape("anthropic", { code = "model_not_found", message = "no" }, "req_1")
    assert.equal(404, status)
    assert.equal('{"type":"error","error":{"type":"not_found_error","message":"no"},"request_id":"req_1"}', body)
  end)

  it("keeps the type and status of an upstream's error, but 529 only where clients know it", function()
    local err = errors.from_type("overloaded_error", "busy", 529)
    assert.equal(529, (errors.shape("anthropic", err)))
    local status, _, body = errors.shape("openai", err)
    assert.equal(503, status)
    assert.equal('{"error":{"message":"busy","type":"server_error","param":null,"code":"overloaded"}}', body)
  end)

  it("never tells a client that its own key is wrong when the gateway's is", function()
    local err = { code = "upstream_auth", type = "authentication_error", status = 401, message = "bad signature" }
    assert.equal(502, (errors.shape("anthropic", err)))
    local status, _, body = errors.shape("openai", err)
    assert.equal(502, status)
    assert.truthy(body:find('"type":"upstream_auth_error"', 1, true))
  end)

  it("tells when to come back", function()
    local _, headers = errors.shape("openai", { code = "rate_limited", message = "slow", retry_after_ms = 1200,
      should_retry = false })
    assert.same({ "content-type", "application/json", "retry-after", "2", "x-should-retry", "false" }, headers)
  end)

  it("says what went wrong with the upstream without its words for it", function()
    assert.equal("upstream_timeout", errors.from_transport({ code = "timeout", phase = "first_byte",
      message = "x" }).code)
    assert.equal("upstream_unreachable", errors.from_transport({ code = "dns", message = "x" }).code)
    assert.equal("client_closed", errors.from_transport({ code = "client_closed", message = "x" }).code)
  end)

  it("writes an error as the last event of a stream", function()
    assert.equal('data: {"error":{"message":"x","type":"server_error","param":null,"code":null}}\n\n',
      errors.stream_event("openai", { code = "internal", message = "x" }))
    assert.equal('event: error\ndata: {"type":"error","error":{"type":"api_error","message":"x"},"request_id":"r"}\n\n',
      errors.stream_event("anthropic", { code = "internal", message = "x" }, "r"))
  end)

  it("stays JSON and one line whatever the message holds", function()
    local _, _, body = errors.shape("openai", { code = "bad_request", message = "a\n\0\27[31m\255\194\155é" })
    assert.truthy(body:find('a\\n\\u0000\\u001b[31m\239\191\189\\u009bé', 1, true))
  end)
end)
