-- A plugin is replaced while requests run; one that does not load changes nothing. Numbers are the rows of the threat list
-- (README.md).
local between = require("spec.support.between")
local faulty = require("spec.support.faulty")
local http = require("spec.support.http")
local process = require("spec.support.process")
local task = require("rt.task")

-- Writes its mark into what goes upstream, and into what comes back.
local STAMP = [[
local gate = require("gate.plugin")
local M = { name = "stamp", version = "1.0.0", api = 1 }
M.schema = { word = { type = "string", default = "none" } }
function M.setup(conf) return { mark = "%s" } end
function M.on_attempt(ctx, conf, state, attempt)
  attempt.body:set("metadata", "user_id", state.mark)
end
function M.on_response(ctx, conf, state)
  ctx.answer:set("stamp", state.mark)
end
return M
]]
local ASK = [[{"model":"aws/claude-haiku-4-5","max_tokens":5,"metadata":{},"messages":[{"role":"user","content":"hi"}]}]]
local ASK_STREAM = [[{"model":"aws/claude-haiku-4-5","max_tokens":5,"stream":true,"metadata":{},"messages":[{"role":"user","content":"hi"}]}]]
local CONFIG = [[plugins = { "access", "stamp", "route", "model_limits", "reasoning_budget" },]]

local function mark_of(text)
  return text:match('"user_id":"(%w+)"') or text:match('"stamp":"(%w+)"')
end

describe("threats, reload:", function()
  local run, config

  before_each(function()
    run = between.start({ workers = 2, config = CONFIG, files = { ["plugins/stamp.lua"] = STAMP:format("one") } })
    config = process.read_file(run.program.folder .. "/gate.lua")
    run.program:wait_for('"event":"generation_live"') -- the log is written a little later than what it tells
  end)

  after_each(function()
    run:stop()
  end)

  local function write(path, text)
    process.write_file(run.program.folder .. "/" .. path, text)
  end

  local function reload()
    return process.run({ args = { "reload", "--config", "gate.lua" }, cwd = run.program.folder })
  end

  local function hang_up()
    run.program.child:kill("HUP")
  end

  -- Waits until so many lines of an event are written; the last of them.
  local function logged(event, count)
    between.wait_until(function() return #run:log(event) >= count end)
    return run:log(event)[count]
  end

  local function number()
    local _, status = run:admin("GET", "/status")
    return status.number
  end

  it("68 a request that runs keeps the plugin that it began with, new ones have the new one", function()
    local waiting, is_held = {}, true
    run.answer = function(request)
      if request.body:find('"one"', 1, true) then
        waiting[#waiting + 1] = request
        between.wait_until(function() return not is_held end)
      end
      return between.json(between.ANSWER)
    end
    local old = {}
    for i = 1, 10 do
      old[i] = task.spawn(function()
        return run:ask("/v1/messages", ASK)
      end)
    end
    between.wait_until(function() return #waiting == 10 end)

    write("plugins/stamp.lua", STAMP:format("two"))
    local status, output = reload()
    assert.equal(0, status, output)
    assert.matches("^reloaded: generation %x+\n$", output)
    for _ = 1, 10 do
      local request, answer = run:forward("/v1/messages", ASK)
      assert.equal("two", mark_of(request.body))
      assert.equal("two", mark_of(answer.body))
    end

    is_held = false
    for i = 1, 10 do
      local ok, answer = old[i]:join()
      assert.is_true(ok)
      assert.equal(200, answer.status)
      assert.equal("one", mark_of(answer.body))
    end
  end)

  it("68 a stream that runs goes on to its end", function()
    local rest_wanted = false
    run.answer = function(_, conn)
      conn:write(faulty.STREAM_HEAD .. faulty.chunk(faulty.BEGUN))
      between.wait_until(function() return rest_wanted end)
      return faulty.chunk(table.concat(faulty.EVENTS, "", 4)) .. "0\r\n\r\n"
    end
    for _, path in ipairs({ "/v1/messages", "/v1/chat/completions" }) do
      rest_wanted = false
      local conn = http.connect(run.port)
      conn:write(between.post(path, ASK_STREAM))
      local begun = http.read_until(conn, "some")
      write("plugins/stamp.lua", STAMP:format(path == "/v1/messages" and "two" or "three"))
      assert.equal(0, (reload()))
      rest_wanted = true
      local answer = http.parse(begun .. http.read_all(conn))[1]
      conn:close()
      assert.is_nil(answer.is_cut)
      assert.matches(path == "/v1/messages" and "event: message_stop" or "data: [DONE]", answer.body, 1, true)
    end
  end)

  it("68 by SIGHUP and by command, one after the other, fail no request under load", function()
    local is_over, asked, failed, last = false, 0, {}, {}
    local clients = {}
    for i = 1, 4 do
      clients[i] = task.spawn(function()
        while not is_over do
          local answer = run:ask("/v1/messages", ASK)
          asked = asked + 1
          if not answer or answer.status ~= 200 then
            failed[#failed + 1] = answer and answer.status or "no answer"
          else
            last[i] = mark_of(answer.body)
          end
        end
      end)
    end
    for i = 1, 10 do
      write("plugins/stamp.lua", STAMP:format("n" .. i))
      if i % 2 == 0 then
        assert.equal(0, (reload()))
      else
        hang_up()
      end
      logged("generation_live", i + 1)
      local before = asked
      between.wait_until(function() return asked >= before + 8 end)
      for client = 1, 4 do
        last[client] = nil
      end
      between.wait_until(function() return last[1] and last[2] and last[3] and last[4] end)
      for client = 1, 4 do
        assert.equal("n" .. i, last[client])
      end
    end
    is_over = true
    for _, client in ipairs(clients) do
      client:join()
    end
    assert.same({}, failed)
    assert.is_true(asked > 80)
  end)

  it("67 what does not load changes nothing, and says which line of which file", function()
    local good = STAMP:format("one")
    local BAD = {
      ["a syntax error"] = { "plugins/stamp.lua", good:gsub("return M\n", "retrn M\n"), "plugins/stamp.lua:11: " },
      ["an error while it loads"] = { "plugins/stamp.lua", good:gsub("M.schema", 'error("told so")\nM.schema', 1), "plugins/stamp.lua:3: .-told so" },
      ["a refusal of setup"] = { "plugins/stamp.lua", good:gsub("return { mark = \"one\" }", 'return gate.fail("bad", "cannot set up")'),
        "gate.lua:%d+: .-cannot set up" },
      ["an error in setup"] = { "plugins/stamp.lua", good:gsub("return { mark = \"one\" }", "return nil .. conf"), "plugins/stamp.lua:4: " },
      ["a hook that is none"] = { "plugins/stamp.lua", good:gsub("on_response", "on_respnse"), 'plugins/stamp.lua: .-on_respnse.-on_response' },
      ["a schema that is none"] = { "plugins/stamp.lua", good:gsub('type = "string"', 'type = "strng"'), "plugins/stamp.lua: " },
      ["what is not allowed"] = { "plugins/stamp.lua", good:gsub("M.schema", 'os.execute("true")\nM.schema', 1), "plugins/stamp.lua:3: " },
      ["a global"] = { "plugins/stamp.lua", good:gsub("M.schema", 'leak = 1\nM.schema', 1), "plugins/stamp.lua:3: " },
      ["an unknown option"] = { "gate.lua", config:gsub('"stamp"', '{ "stamp", wrd = "x" }'), 'gate.lua:%d+: plugins%[2%].wrd: unknown field %(did you mean "word"%?%)' },
      ["an unknown plugin"] = { "gate.lua", config:gsub('"stamp"', '"stmp"'), 'gate.lua:%d+: plugins%[2%]: unknown plugin "stmp" %(did you mean "stamp"%?%)' },
      ["an unknown field"] = { "gate.lua", config:gsub("workers", "wrkers"), 'gate.lua:%d+: wrkers: unknown field' },
      ["a syntax error in the configuration"] = { "gate.lua", config .. "}", "gate.lua:%d+: " },
      ["no configuration"] = { "gate.lua", "", "gate.lua:1: must return a table" },
      ["a bad account"] = { "gate.lua", config:gsub('region = "us%-west%-2"', 'region = "us west 2"'), "gate.lua:%d+: accounts.aws.region: " },
    }
    local before, generation, refused = number(), nil, 0
    for name, case in pairs(BAD) do
      local path, text, expected = case[1], case[2], case[3]
      write(path, text)
      -- The command finds the admin socket by the configuration, which may be what is broken.
      local status, output = process.run({ args = { "reload", "--socket", "admin.sock" }, cwd = run.program.folder })
      assert.equal(1, status, name .. ": " .. output)
      assert.matches(expected, output, 1)
      assert.matches("\nnothing was changed\n$", output)
      hang_up()
      refused = refused + 2
      assert.matches(expected, logged("generation_refused", refused).report, 1)
      local request, answer = run:forward("/v1/messages", ASK)
      assert.equal("one", mark_of(request.body), name)
      assert.equal("one", mark_of(answer.body), name)
      assert.equal(before, number())
      local _, status_now = run:admin("GET", "/status")
      generation = generation or status_now.generation
      assert.equal(generation, status_now.generation)
      write("gate.lua", config)
      write("plugins/stamp.lua", good)
    end
    write("plugins/stamp.lua", STAMP:format("mended"))
    assert.equal(0, (reload()))
    assert.equal("mended", mark_of(run:forward("/v1/messages", ASK).body))
  end)

  it("67 a key that is taken out of the configuration opens nothing any more, a new one does", function()
    assert.equal(200, run:ask("/v1/messages", ASK).status)
    local other = require("rt.crypto").sha256_hex("mg-other")
    write("gate.lua", (config:gsub('sha256 = "%x+"', 'sha256 = "' .. other .. '"')))
    assert.equal(0, (reload()))
    assert.equal(401, run:ask("/v1/messages", ASK).status)
    assert.equal(200, run:ask("/v1/messages", ASK, "x-api-key: mg-other\r\n").status)
  end)

  it("access control that raises, or is missing, denies", function()
    write("plugins/access.lua", [[
      local M = { name = "access", version = "2", api = 1, fail = "closed" }
      function M.on_access(ctx) if ctx:header("x-raise") then error("canary of the plugin") end end
      return M
    ]])
    assert.equal(0, (reload()))
    assert.equal(401, run:ask("/v1/messages", ASK).status) -- it has set no identity
    local before = #run.requests
    local answer = run:ask("/v1/messages", ASK, "x-raise: 1\r\nx-api-key: " .. between.KEY .. "\r\n")
    assert.equal(500, answer.status)
    assert.is_nil(answer.body:find("canary", 1, true))
    write("gate.lua", (config:gsub('"access", ', "")))
    assert.equal(0, (reload()))
    assert.equal(401, run:ask("/v1/messages", ASK).status)
    assert.equal(before, #run.requests)
  end)
end)
