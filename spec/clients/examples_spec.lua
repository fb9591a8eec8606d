local examples = require("spec.support.examples")

local TEXT = [=[
# Some README

<!-- example: says "hello" says "there" -->
```sh
echo hello; echo there $MOONGATE_KEY http://127.0.0.1:8787/v1
```

<!-- example: says "http://127.0.0.1:1/v1" -->

```js
import OpenAI from "openai";
console.log(new OpenAI({ apiKey: process.env.MOONGATE_KEY, baseURL: "http://127.0.0.1:8787/v1" }).baseURL);
```

<!-- example: plugin tidy -->
```lua
return { name = "tidy" }
```

<!-- example: not run, because it deletes things -->
```sh
rm -rf build
```

```text
not code
```
]=]

describe("spec.support.examples", function()
  local env = { url = "http://127.0.0.1:1", key = "mg_key" }

  it("finds what a comment speaks of", function()
    local found, problems = examples.find(TEXT, "R")
    assert.same({}, problems)
    assert.equal(4, #found)
    assert.same({ "hello", "there" }, found[1].says)
    assert.equal("js", found[2].language)
    assert.equal("tidy", found[3].plugin)
    assert.equal('return { name = "tidy" }\n', found[3].text)
    assert.is_true(found[4].is_left_alone)
  end)

  it("does not let a block pass of which nothing is said", function()
    local _, problems = examples.find("```sh\nls\n```\n\n<!-- example: whatever -->\n```lua\nreturn\n```\n", "R")
    assert.same({ "R:1: a block of sh without <!-- example: ... -->", 'R:6: what does "whatever" mean?' }, problems)
  end)

  it("runs sh and js with the address of the gateway under test", function()
    local found = examples.find(TEXT, "R")
    examples.run(found[1], env)
    examples.run(found[2], env)
  end)

  it("fails when an example fails, or says something else", function()
    local text = '<!-- example: says "%s" -->\n```sh\n%s\n```\n'
    local found = examples.find(text:format("yes", "echo no") .. text:format("no", "false"), "R")
    local ok, message = pcall(examples.run, found[1], env)
    assert.is_false(ok)
    assert.matches("did not say", message, 1, true)
    ok, message = pcall(examples.run, found[2], env)
    assert.is_false(ok)
    assert.matches("ended with 1", message, 1, true)
  end)
end)
