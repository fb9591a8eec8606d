// What is installed is what is pinned: a client spec that passes says so of these versions.
import { test } from "node:test";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const read = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8"));

test("every pinned package is installed in its version", () => {
  const { dependencies } = read("package.json");
  assert.ok(Object.keys(dependencies).length >= 5);
  for (const [name, version] of Object.entries(dependencies)) {
    assert.equal(read(`node_modules/${name}/package.json`).version, version, name);
  }
});

test("the lock file has a hash and no address for each package", () => {
  const packages = Object.entries(read("package-lock.json").packages).filter(([path]) => path !== "");
  for (const [path, entry] of packages) {
    assert.match(entry.integrity, /^sha512-/, path);
    assert.equal(entry.resolved, undefined, path);
  }
});

test("the SDKs load", async () => {
  const modules = await Promise.all(["openai", "@anthropic-ai/sdk", "@anthropic-ai/aws-sdk"].map((name) => import(name)));
  for (const module of modules) assert.equal(typeof module.default, "function");
});
