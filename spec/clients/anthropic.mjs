// The official @anthropic-ai/sdk against the gateway, with the simulator behind it. Environment: MOONGATE_URL, MOONGATE_KEY.
import { test } from "node:test";
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";

const { MOONGATE_URL: url, MOONGATE_KEY: key } = process.env;
const client = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0 });
const model = "claude-sonnet-4-6";
const ask = (content, rest = {}) => ({ model, max_tokens: 400, messages: [{ role: "user", content }], ...rest });
const weather = { name: "weather", description: "tells", input_schema: { type: "object", properties: { zone: { type: "string" }, city: { type: "string" } } } };

const rejects = async (promise, status, type) => {
  const error = await promise.then(() => assert.fail("was answered"), (e) => e);
  assert.equal(error.status, status, String(error));
  if (type) assert.equal(error.error?.error?.type, type, String(error));
  return error;
};
const post = (body, headers = {}) =>
  fetch(`${url}/v1/messages`, { method: "POST", headers: { "x-api-key": key, "anthropic-version": "2023-06-01", "content-type": "application/json", ...headers }, body });

test("create answers", async () => {
  const answer = await client.messages.create(ask("hello gate"));
  assert.equal(answer.type, "message");
  assert.match(answer.content[0].text, /simulator.*hello gate/);
  assert.equal(answer.stop_reason, "end_turn");
  assert.ok(answer.usage.input_tokens > 0);
});

test("both credentials and both versions are taken", async () => {
  const bearer = new Anthropic({ baseURL: url, apiKey: null, authToken: key, maxRetries: 0 });
  assert.equal((await bearer.messages.create(ask("hi"))).stop_reason, "end_turn");
  const body = JSON.stringify(ask("hi"));
  assert.equal((await post(body)).status, 200);
  assert.equal((await post(body, { "anthropic-version": "2026-10-21" })).status, 200);
  const sampled = JSON.stringify(ask("hi", { temperature: 0.5 }));
  assert.equal((await post(sampled)).status, 200);
  assert.equal((await post(sampled, { "anthropic-version": "2026-10-21" })).status, 400); // the client's version went upstream
});

test("betas go upstream as they came", async () => {
  assert.equal((await post(JSON.stringify(ask("hi")), { "anthropic-beta": "interleaved-thinking-2025-05-14,context-1m-2025-08-07" })).status, 200);
  const unknown = await post(JSON.stringify(ask("hi")), { "anthropic-beta": "made-up-2020-01-01" });
  assert.equal(unknown.status, 400);
  assert.match((await unknown.json()).error.message, /made-up/);
});

test("/messages without /v1, and ?beta=true, are the same route", async () => {
  const headers = { "x-api-key": key, "anthropic-version": "2023-06-01", "content-type": "application/json" };
  for (const path of ["/messages", "/v1/messages?beta=true"]) {
    const answer = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(ask("hi")) });
    assert.equal(answer.status, 200, path);
  }
});

test("a stream is complete", async () => {
  const names = [];
  const stream = client.messages.stream(ask("stream me: grün 😀"));
  stream.on("streamEvent", (event) => names.push(event.type));
  const message = await stream.finalMessage();
  assert.ok(message.content[0].text.endsWith("You said: stream me: grün 😀"));
  assert.equal(names[0], "message_start");
  assert.equal(names.at(-1), "message_stop");
  assert.ok(message.usage.output_tokens > 1);
});

test("thinking and tools pass through, over two turns", async () => {
  const first = await client.messages.create(ask("ask the weather", { tools: [weather], thinking: { type: "enabled", budget_tokens: 2000 }, max_tokens: 4000 }));
  assert.equal(first.stop_reason, "tool_use");
  assert.deepEqual(first.content.map((block) => block.type), ["thinking", "tool_use"]);
  const call = first.content[1];
  const second = await client.messages.create(
    ask("ask the weather", {
      tools: [weather], thinking: { type: "enabled", budget_tokens: 2000 }, max_tokens: 4000,
      messages: [{ role: "user", content: "ask the weather" }, { role: "assistant", content: first.content }, { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "21 degrees" }] }],
    }),
  );
  assert.match(second.content.at(-1).text, /21 degrees/);
  const streamed = await client.messages.stream(ask("ask the weather", { tools: [weather] })).finalMessage();
  assert.deepEqual(Object.keys(streamed.content[0].input), ["zone", "city"]); // in the schema's order
});

test("cache counters come through", async () => {
  const system = [{ type: "text", text: `cache me ${"long text ".repeat(3000)}`, cache_control: { type: "ephemeral" } }];
  const request = ask("hi", { system });
  const first = await client.messages.create(request);
  assert.ok(first.usage.cache_creation_input_tokens > 1000);
  const second = await client.messages.create(request);
  assert.equal(second.usage.cache_read_input_tokens, first.usage.cache_creation_input_tokens);
});

test("errors of the gateway are in Anthropic's shape", async () => {
  const wrong = new Anthropic({ baseURL: url, apiKey: "mg-wrong", maxRetries: 0 });
  const error = await rejects(wrong.messages.create(ask("hi")), 401, "authentication_error");
  assert.equal(error.error.type, "error");
  assert.ok(error.requestID);
  await rejects(client.messages.create(ask("hi", { model: "gpt-5" })), 404, "not_found_error");
  const broken = await post('{"model":');
  assert.equal(broken.status, 400);
  assert.equal((await broken.json()).error.type, "invalid_request_error");
  const large = await post(`{"model":"${model}","messages":[{"role":"user","content":"${"x".repeat(33 * 1024 * 1024)}"}]}`);
  assert.equal(large.status, 413);
  assert.equal((await large.json()).error.type, "request_too_large");
});

test("errors of the upstream come through unchanged", async () => {
  const error = await rejects(client.messages.create(ask("#sim error=overloaded_error")), 529, "overloaded_error");
  assert.match(error.error.request_id, /^req_sim/);
  const limited = await rejects(client.messages.create(ask("#sim error=rate_limit_error retry_after=3")), 429, "rate_limit_error");
  assert.equal(limited.headers.get("retry-after"), "3");
  const invalid = await rejects(client.messages.create(ask("hi", { temperature: 3 })), 400, "invalid_request_error");
  assert.match(invalid.message, /temperature/);
  const unknown = await rejects(client.messages.create({ ...ask("hi"), frobnicate: 1 }), 400);
  assert.match(unknown.message, /frobnicate: Extra inputs/);
});

test("an error in mid-stream is an error for the reader", async () => {
  await assert.rejects(client.messages.stream(ask("#sim error=overloaded_error after=5 words=50")).finalMessage(), /overloaded/i);
  await assert.rejects(client.messages.stream(ask("#sim cut after=5 words=50")).finalMessage());
});

test("an error before the first event is a status", async () => {
  await rejects(client.messages.create(ask("#sim error=overloaded_error", { stream: true })), 529, "overloaded_error");
});

test("aborting a stream leaves the gateway well", async () => {
  const stream = client.messages.stream(ask("#sim delay_ms=20 words=500"));
  await new Promise((resolve) => stream.once("text", resolve));
  stream.abort();
  await assert.rejects(stream.finalMessage());
  assert.equal((await client.messages.create(ask("hi"))).stop_reason, "end_turn");
});

test("models are listed in Anthropic's shape, with paging", async () => {
  const ids = [];
  for await (const item of client.models.list({ limit: 5 })) ids.push(item.id);
  assert.ok(ids.includes(model));
  assert.equal(new Set(ids).size, ids.length);
  assert.equal((await client.models.retrieve(model)).display_name, "Claude Sonnet 4.6");
  await rejects(client.models.retrieve("gpt-5"), 404, "not_found_error");
});
