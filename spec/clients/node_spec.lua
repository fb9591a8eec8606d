local node = require("spec.support.node")
local process = require("spec.support.process")

describe("spec.support.node", function()
  local folder

  setup(function()
    folder = process.folder()
    process.write_file(folder .. "/some.mjs", [[
import { test } from "node:test";
import assert from "node:assert/strict";
test("passes", () => assert.equal(process.env.GREETING, "hello"));
test("breaks # with a hash", async () => assert.equal(1, 2));
test("is left out", { skip: "today" }, () => {});
]])
  end)

  teardown(function()
    process.remove_folder(folder)
  end)

  it("tells which tests passed; one that was skipped did not", function()
    local results, status = node.run(folder .. "/some.mjs", { GREETING = "hello" })
    assert.equal(1, status)
    assert.is_true(results["passes"].is_ok)
    assert.is_false(results["breaks # with a hash"].is_ok)
    assert.matches("1 !== 2", table.concat(results["breaks # with a hash"].lines, "\n"), 1, true)
    assert.is_false(results["is left out"].is_ok)
  end)

  it("counts every test of a file, and notices one that it would not count", function()
    local registered = {}
    node.tests(function(name, run)
      registered[#registered + 1] = { name = name, run = run }
    end, "spec/clients/versions.mjs", function()
      return {}
    end)
    assert.equal("versions.mjs", registered[#registered].name:match("versions%.mjs"))
    for _, test in ipairs(registered) do
      test.run()
    end
  end)
end)

describe("the client libraries", function()
  node.tests(it, "spec/clients/versions.mjs", function()
    return {}
  end)
end)
