-- Keys, credentials and conversations stay where they belong: none of them is in the log, in the admin's answers, on a command
-- line or in a file that the gateway writes. Numbers are the rows of the threat list (README.md).
local between = require("spec.support.between")
local cjson = require("cjson")
local faulty = require("spec.support.faulty")
local http = require("spec.support.http")
local lfs = require("lfs")
local process = require("spec.support.process")

local PROMPT, ANSWER, TOOL, SYSTEM, META = "canary-prompt", "canary-answer", "canary-tool", "canary-system", "canary-metadata"
local WRONG_KEY, QUERY, HEADER, RAISED = "canary-wrong-key", "canary-query", "canary-header", "canary-hook"
local ENV_SECRET, FILE_SECRET = "canary-env-secret", "canary-file-secret"
local CANARIES = { PROMPT, ANSWER, TOOL, SYSTEM, META, WRONG_KEY, QUERY, HEADER, ENV_SECRET, FILE_SECRET, "spec-secret", between.KEY }

local function messages_body(model, more)
  return ('{"model":"%s","max_tokens":50,"system":"%s","messages":[{"role":"user","content":"%s"}],"metadata":{"user_id":"%s"},'
    .. '"tools":[{"name":"%s","description":"%s","input_schema":{"type":"object"}}]%s}'):format(model, SYSTEM, PROMPT, META, "t", TOOL, more or "")
end

local function chat_body(model, more)
  return ('{"model":"%s","messages":[{"role":"system","content":"%s"},{"role":"user","content":"%s"}],"user":"%s"%s}'):format(model, SYSTEM, PROMPT,
    META, more or "")
end

describe("threats, secrecy:", function()
  local run

  setup(function()
    run = between.start({
      accounts = function(origin)
        return ([[
          env = { provider = "anthropic", base_url = "%s", api_key = secret.env("SPEC_SECRET") },
          file = { provider = "claude_aws", region = "us-west-2", workspace_id = "wrkspc_X", base_url = "%s",
            auth = { method = "api_key", api_key = secret.file("secret.txt") } },]]):format(origin, origin)
      end,
      env = { SPEC_SECRET = ENV_SECRET },
      files = { ["secret.txt"] = FILE_SECRET .. "\n", ["plugins/raises.lua"] = [[
        local M = { name = "raises", version = "1", api = 1 }
        function M.on_request(ctx)
          if ctx:header("x-raise") then error("]] .. RAISED .. [[") end
        end
        return M]] },
      config = [[
        log = { level = "debug" },
        retry = { max_wait_ms = 1 },
        plugins = { "access", "raises", "route", "model_limits", "reasoning_budget" },
      ]],
    })
  end)

  teardown(function()
    run:stop()
  end)

  -- Everything that may go well or wrong with a request.
  local function talk()
    local said = (between.ANSWER:gsub('"ok"', '"' .. ANSWER .. '"'))
    local events = (faulty.WHOLE:gsub('"some"', '"' .. ANSWER .. '"'))
    local ANSWERS = {
      function() return between.json(said, "x-upstream: " .. ANSWER .. "\r\n") end,
      function() return faulty.stream(events) end,
      function() return faulty.stream((events:sub(1, -60))) end,
      function() return faulty.failing(400, faulty.error_body("invalid_request_error", "no")) end,
      function() return faulty.failing(403, faulty.error_body("permission_error", "no")) end,
      function() return faulty.failing(529, faulty.error_body("overloaded_error", "no")) end,
      function() return between.json(said:sub(1, -10)) end,
      function() return "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n" .. ANSWER end,
      function(_, conn) conn:close() end,
    }
    for _, answer in ipairs(ANSWERS) do
      run.answer = answer
      for _, account in ipairs({ "aws", "env", "file" }) do
        local model = account .. "/claude-haiku-4-5"
        for _, more in ipairs({ "", ',"stream":true' }) do
          run:ask("/v1/messages?key=" .. QUERY, messages_body(model, more), "x-client: " .. HEADER .. "\r\n")
          run:ask("/v1/chat/completions?key=" .. QUERY, chat_body(model, more), "cookie: " .. HEADER .. "\r\n")
        end
      end
    end
    run.answer = faulty.ok
    local BROKEN = {
      '{"model":"aws/claude-haiku-4-5","messages":[{"role":"user","content":"' .. PROMPT, -- cut
      '{"model":"aws/claude-haiku-4-5","messages":"' .. PROMPT .. '"}', '"' .. PROMPT .. '"', PROMPT,
      '{"messages":[],"messages":["' .. PROMPT .. '"]}',
      chat_body("aws/claude-haiku-4-5", ',"temperature":"' .. PROMPT .. '"'), chat_body("aws/claude-haiku-4-5", ',"stop":{"a":"' .. PROMPT .. '"}'),
      chat_body("aws/claude-haiku-4-5", ',"tools":[{"type":"function","function":{"name":"' .. TOOL .. '"}}]'),
      chat_body("aws/claude-haiku-4-5", ',"metadata":{"a":"' .. META .. '"},"seed":5'),
      chat_body("nobody/knows"), messages_body("nobody/knows"),
    }
    for _, body in ipairs(BROKEN) do
      run:ask("/v1/messages", body)
      run:ask("/v1/chat/completions", body)
    end
    for _, headers in ipairs({ "x-api-key: " .. WRONG_KEY, "authorization: Bearer " .. WRONG_KEY, "authorization: Basic " .. WRONG_KEY }) do
      run:ask("/v1/messages", messages_body("aws/claude-haiku-4-5"), headers .. "\r\n")
    end
    assert.equal(500, run:ask("/v1/messages", messages_body("aws/claude-haiku-4-5"), "x-raise: 1\r\n").status)
    http.send(run.port, "GET /" .. QUERY .. "?" .. QUERY .. " HTTP/1.1\r\nhost: a\r\nx: " .. HEADER .. "\r\nconnection: close\r\n\r\n")
    http.send(run.port, "BROKEN " .. HEADER .. "\r\n\r\n")
    local conn = http.connect(run.port)
    conn:write("POST /v1/messages HTTP/1.1\r\nhost: a\r\nx-api-key: " .. between.KEY .. "\r\ncontent-length: 1000\r\n\r\n{\"" .. PROMPT)
    conn:close()
    return run:ask("/v1/messages", messages_body("aws/claude-haiku-4-5"))
  end

  local function assert_none(text, where)
    for _, canary in ipairs(CANARIES) do
      local at = text:find(canary, 1, true)
      assert.is_nil(at, at and ("%s says %s: %s"):format(where, canary, text:sub(math.max(1, at - 300), at + 100)))
    end
  end

  local function each_file(folder, visit)
    for name in lfs.dir(folder) do
      local path = folder .. "/" .. name
      local mode = lfs.symlinkattributes(path, "mode")
      if mode == "directory" and name ~= "." and name ~= ".." then
        each_file(path, visit)
      elseif mode == "file" then
        visit(path, name)
      end
    end
  end

  it("47 after every kind of request: nothing in log, files, command lines and admin's answers", function()
    local last = talk()
    run:log_of(last)
    assert.equal(1, #run:log("request_raised"))
    assert.is_true(#run:log("request") > 100)
    -- reload, status and a refused reload say things, too
    assert.equal(0, (process.run({ args = { "reload", "--config", "gate.lua" }, cwd = run.program.folder, env = { SPEC_SECRET = ENV_SECRET } })))
    local _, status_text = process.run({ args = { "status", "--socket", "admin.sock" }, cwd = run.program.folder })
    assert_none(status_text, "status")
    local _, check_text = process.run({ args = { "check", "--config", "gate.lua" }, cwd = run.program.folder, env = { SPEC_SECRET = ENV_SECRET } })
    assert.matches("gate.lua: ok", check_text, 1, true)
    assert_none(check_text, "check")

    local children = process.read_file(("/proc/%d/task/%d/children"):format(run.program.pid, run.program.pid))
    local pids = { run.program.pid }
    for pid in children:gmatch("%d+") do
      pids[#pids + 1] = tonumber(pid)
    end
    assert.equal(2, #pids) -- the supervisor and its worker
    for _, pid in ipairs(pids) do
      assert_none(process.read_file("/proc/" .. pid .. "/cmdline"), "command line")
    end
    local seen = 0
    each_file(run.program.folder, function(path, name)
      if name ~= "gate.lua" and name ~= "secret.txt" then -- what an operator has written
        seen = seen + (name == "output" and 1 or 0)
        assert_none(process.read_file(path), name)
      end
    end)
    assert.equal(1, seen)
  end)

  it("47 a key of the configuration is kept as its hash only", function()
    local config = process.read_file(run.program.folder .. "/gate.lua")
    assert.is_nil(config:find(between.KEY, 1, true))
    local status, output = process.run({ args = { "keys", "new", "somebody" } })
    assert.equal(0, status)
    local key, hash = output:match("(mg%-[%w_%-]+).-sha256 = \"(%x+)\"")
    assert.equal(hash, require("rt.crypto").sha256_hex(key))
  end)

  it("76 whatever clients write, a line of the log is one line of plain JSON", function()
    local ODD = {
      [[a\n{\"event\":\"request\",\"id\":\"forged\"}]], [[\u001b[2J\u001b]0;title\u0007]], [[\r\n\r\n]], [[\u0085\u009b31m\u2028\u2029]], [[\u0000]],
      "\\\"},{", "\194\155" .. "31m",
    }
    local last
    for _, name in ipairs(ODD) do
      last = run:ask("/v1/messages", messages_body(name))
      run:ask("/v1/chat/completions", chat_body(name))
      run:ask("/v1/chat/completions", chat_body("aws/claude-haiku-4-5", ',"' .. name .. '":1'))
    end
    run:log_of(last)
    local lines = 0
    for line in run.program:output():gmatch("([^\n]*)\n") do
      if line:sub(1, 1) == "{" then
        lines = lines + 1
        local value = cjson.decode(line)
        assert.is_string(value.event)
        assert.is_nil(line:find("[%z\1-\31\127]"), line)
        assert.is_nil(line:find("\194[\128-\159]"), line)
        assert.is_not.equal("forged", value.id)
      end
    end
    assert.is_true(lines > 100)
  end)
end)
