--- What a configuration that does not say otherwise consists of.
return {
  surfaces = { "openai_chat", "anthropic_messages", "models" },
  plugins = { "access", "route", "model_limits", "reasoning_budget" },
  catalog = "catalog",
  -- Asked in this order for an account that the environment offers.
  providers = { "claude_aws", "anthropic" },
  embedded = { name = "simulator", provider = "simulator" },
  -- What `moongate run` without a configuration prints as a request to try.
  example = {
    path = "/v1/chat/completions",
    body = '{"model":"claude-sonnet-4-6","messages":[{"role":"user","content":"Hello, who are you?"}]}',
  },
}
