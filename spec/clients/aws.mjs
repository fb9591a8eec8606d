// The official @anthropic-ai/aws-sdk: its signature against the simulator's verifier, and as a client of the gateway.
// Environment: MOONGATE_URL, MOONGATE_KEY, SIMULATOR_URL.
import { test } from "node:test";
import assert from "node:assert/strict";
import AnthropicAws from "@anthropic-ai/aws-sdk";

const { MOONGATE_URL: url, MOONGATE_KEY: key, SIMULATOR_URL: simulator } = process.env;
const signed = {
  baseURL: simulator, awsRegion: "us-west-2", workspaceId: "wrkspc_simulator", maxRetries: 0,
  awsAccessKey: "AKIASIMULATOR0000000", awsSecretAccessKey: "simulator/secret/key",
};
const ask = (content, rest = {}) => ({ model: "claude-opus-4-8", max_tokens: 100, messages: [{ role: "user", content }], ...rest });

test("the SDK's signature is what the simulator computes", async () => {
  const client = new AnthropicAws(signed);
  assert.equal((await client.messages.create(ask("signed"))).stop_reason, "end_turn");
  assert.ok((await client.models.list({ limit: 3 })).data.length > 0);
  assert.equal((await client.messages.stream(ask("signed")).finalMessage()).stop_reason, "end_turn");
});

test("the simulator refuses a wrong secret, region and workspace", async () => {
  for (const [change, status] of [
    [{ awsSecretAccessKey: "other" }, 401],
    [{ awsRegion: "eu-west-1" }, 401],
    [{ awsAccessKey: "AKIAOTHER" }, 401],
    [{ workspaceId: "wrkspc_other" }, 404],
  ]) {
    const client = new AnthropicAws({ ...signed, ...change });
    await assert.rejects(client.messages.create(ask("hi")), (e) => e.status === status, JSON.stringify(change));
  }
});

test("the SDK speaks to the gateway with one of its keys", async () => {
  const client = new AnthropicAws({ baseURL: url, awsRegion: "us-west-2", workspaceId: "wrkspc_any", apiKey: key, maxRetries: 0 });
  assert.equal((await client.messages.create(ask("through the gate"))).stop_reason, "end_turn");
  const text = (await client.messages.stream(ask("through the gate")).finalMessage()).content.at(-1).text;
  assert.match(text, /through the gate/);
});
