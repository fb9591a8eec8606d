// The official openai SDK against the gateway, with the simulator behind it. Environment: MOONGATE_URL, MOONGATE_KEY.
import { test } from "node:test";
import assert from "node:assert/strict";
import OpenAI from "openai";

const { MOONGATE_URL: url, MOONGATE_KEY: key } = process.env;
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
const model = "claude-sonnet-4-6";
const ask = (content, rest = {}) => ({ model, messages: [{ role: "user", content }], ...rest });

const rejects = async (promise, status, fields) => {
  const error = await promise.then(() => assert.fail("was answered"), (e) => e);
  assert.equal(error.status, status, String(error));
  for (const [name, value] of Object.entries(fields ?? {})) assert.equal(error[name], value, `${name}: ${error.message}`);
  return error;
};

test("create answers", async () => {
  const answer = await client.chat.completions.create(ask("hello gate"));
  assert.equal(answer.object, "chat.completion");
  assert.match(answer.id, /^chatcmpl-/);
  assert.equal(answer.model, model);
  assert.match(answer.choices[0].message.content, /simulator.*hello gate/);
  assert.equal(answer.choices[0].finish_reason, "stop");
  const { usage } = answer;
  assert.ok(usage.prompt_tokens > 0 && usage.completion_tokens > 0);
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
});

test("the path without /v1 answers as well", async () => {
  const bare = new OpenAI({ baseURL: url, apiKey: key, maxRetries: 0 });
  const answer = await bare.chat.completions.create(ask("hello"));
  assert.equal(answer.choices[0].finish_reason, "stop");
});

test("request ids are passed on", async () => {
  const { response } = await client.chat.completions.create(ask("hello")).withResponse();
  assert.match(response.headers.get("x-request-id"), /\S{8,}/);
  assert.match(response.headers.get("request-id"), /^req_/);
  assert.match(response.headers.get("x-amzn-requestid"), /^sim-/);
});

test("a stream gives role, text, one finish reason and usage", async () => {
  const stream = await client.chat.completions.create(ask("stream me: grün 😀 \u2028", { stream: true, stream_options: { include_usage: true } }));
  let text = "", finishes = 0, usage, role;
  const ids = new Set();
  for await (const chunk of stream) {
    ids.add(chunk.id);
    role ??= chunk.choices[0]?.delta.role;
    text += chunk.choices[0]?.delta.content ?? "";
    if (chunk.choices[0]?.finish_reason) finishes++;
    if (chunk.usage) usage = chunk.usage;
  }
  assert.equal(role, "assistant");
  assert.ok(text.endsWith("You said: stream me: grün 😀 \u2028") || text.endsWith("You said: stream me: grün 😀"), text);
  assert.equal(finishes, 1);
  assert.equal(ids.size, 1);
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
});

test("streamed and not streamed give the same text and usage", async () => {
  const request = ask('#sim text="one two three four five six seven"');
  const whole = await client.chat.completions.create(request);
  const runner = client.chat.completions.stream({ ...request, stream_options: { include_usage: true } });
  const streamed = await runner.finalChatCompletion();
  assert.equal(streamed.choices[0].message.content, whole.choices[0].message.content);
  assert.equal((await runner.totalUsage()).completion_tokens, whole.usage.completion_tokens);
});

test("system and developer messages, stop, max_tokens", async () => {
  const messages = [
    { role: "system", content: "be brief" },
    { role: "user", content: '#sim text="alpha beta STOP gamma"' },
    { role: "developer", content: "really" },
  ];
  const stopped = await client.chat.completions.create({ model, messages, stop: ["STOP"] });
  assert.equal(stopped.choices[0].message.content, "alpha beta ");
  assert.equal(stopped.choices[0].finish_reason, "stop");
  const cut = await client.chat.completions.create({ model, messages: [{ role: "user", content: "#sim words=100" }], max_tokens: 3 });
  assert.equal(cut.choices[0].finish_reason, "length");
  assert.equal(cut.usage.completion_tokens, 3);
});

test("reasoning effort thinks, and the blocks come with signatures", async () => {
  for (const name of ["claude-sonnet-4-5", "claude-opus-4-8", "claude-sonnet-5"]) {
    const answer = await client.chat.completions.create(ask('#sim thinking="deep thought"', { model: name, reasoning_effort: "low", max_completion_tokens: 8000 }));
    const { message } = answer.choices[0];
    assert.equal(message.reasoning_content, "deep thought", name);
    assert.equal(message.thinking_blocks[0].type, "thinking");
    assert.ok(message.thinking_blocks[0].signature.length > 20);
    assert.ok(answer.usage.completion_tokens_details.reasoning_tokens > 0);
  }
  const none = await client.chat.completions.create(ask("hi", { model: "claude-sonnet-5", reasoning_effort: "none" }));
  assert.equal(none.choices[0].message.reasoning_content, undefined);
});

test("reasoning is streamed", async () => {
  const stream = await client.chat.completions.create(ask('#sim thinking="step by step by step"', { model: "claude-opus-4-8", reasoning_effort: "high", stream: true }));
  let reasoning = "", signature = "";
  for await (const { choices: [choice] } of stream) {
    reasoning += choice?.delta.reasoning_content ?? "";
    for (const block of choice?.delta.thinking_blocks ?? []) signature += block.signature ?? "";
  }
  assert.equal(reasoning, "step by step by step");
  assert.ok(signature.length > 20);
});

test("sampling goes where the model takes it and is named where it does not", async () => {
  await client.chat.completions.create(ask("hi", { model: "claude-sonnet-4-5", temperature: 0.3 }));
  const { response } = await client.chat.completions.create(ask("hi", { model: "claude-opus-4-8", temperature: 0.3, seed: 5 })).withResponse();
  const warnings = response.headers.get("x-moongate-warnings");
  assert.match(warnings, /temperature/);
  assert.match(warnings, /seed/);
});

test("a wrong key is 401 in OpenAI's shape", async () => {
  const wrong = new OpenAI({ baseURL: `${url}/v1`, apiKey: "mg-wrong", maxRetries: 0 });
  await rejects(wrong.chat.completions.create(ask("hi")), 401, { code: "invalid_api_key", type: "invalid_request_error" });
});

test("an unknown model is 404", async () => {
  await rejects(client.chat.completions.create(ask("hi", { model: "gpt-5" })), 404, { code: "model_not_found", param: "model" });
});

test("what is not translated is refused by name", async () => {
  const tools = [{ type: "function", function: { name: "f", parameters: { type: "object" } } }];
  const error = await rejects(client.chat.completions.create(ask("hi", { tools })), 400, { param: "tools" });
  assert.match(error.message, /tools/);
  await rejects(client.chat.completions.create(ask("hi", { n: 2 })), 400, { param: "n" });
});

test("a body that is no JSON, and one that is too large", async () => {
  const post = (body) => fetch(`${url}/v1/chat/completions`, { method: "POST", headers: { authorization: `Bearer ${key}`, "content-type": "application/json" }, body });
  const broken = await post('{"model": ');
  assert.equal(broken.status, 400);
  assert.equal((await broken.json()).error.type, "invalid_request_error");
  const large = await post(`{"model":"${model}","messages":[{"role":"user","content":"${"x".repeat(33 * 1024 * 1024)}"}]}`);
  assert.equal(large.status, 413);
  assert.equal((await large.json()).error.type, "invalid_request_error");
});

test("upstream errors arrive with their status and in OpenAI's shape", async () => {
  const limited = await rejects(client.chat.completions.create(ask("#sim error=rate_limit_error retry_after=7")), 429, { code: "rate_limit_exceeded" });
  assert.equal(limited.headers.get("retry-after"), "7");
  await rejects(client.chat.completions.create(ask("#sim error=overloaded_error")), 503);
  await rejects(client.chat.completions.create(ask("#sim error=invalid_request_error")), 400, { type: "invalid_request_error" });
  await rejects(client.chat.completions.create(ask("#sim error=rate_limit_error", { stream: true })), 429);
});

test("an error in mid-stream reaches the iterator as an error", async () => {
  const stream = await client.chat.completions.create(ask("#sim error=overloaded_error after=5 words=50", { stream: true }));
  let chunks = 0;
  await assert.rejects(async () => {
    for await (const chunk of stream) chunks += chunk.choices.length;
  });
  assert.ok(chunks >= 1);
});

test("a connection that breaks in mid-stream never looks like a clean end", async () => {
  // Whether the break comes before the gateway has read the first event is the kernel's business: an error either way.
  await assert.rejects(async () => {
    const stream = await client.chat.completions.create(ask("#sim cut after=5 words=50", { stream: true }));
    for await (const chunk of stream) void chunk;
  });
});

test("aborting a stream leaves the gateway well", async () => {
  const stream = await client.chat.completions.create(ask("#sim delay_ms=20 words=500", { stream: true }));
  for await (const chunk of stream) {
    if (chunk.choices[0]?.delta.content) stream.controller.abort();
  }
  const answer = await client.chat.completions.create(ask("still there?"));
  assert.match(answer.choices[0].message.content, /still there/);
});

test("models are listed in OpenAI's shape and retrieved one by one", async () => {
  const list = await client.models.list();
  const ids = list.data.map((m) => m.id);
  assert.ok(ids.includes(model));
  assert.equal(list.data[0].object, "model");
  assert.equal((await client.models.retrieve(model)).id, model);
  await rejects(client.models.retrieve("gpt-5"), 404);
});

test("two hundred requests at once are each answered with their own text", async () => {
  const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => client.chat.completions.create(ask(`number ${i} end`))));
  answers.forEach((answer, i) => assert.ok(answer.choices[0].message.content.endsWith(`number ${i} end`)));
});
