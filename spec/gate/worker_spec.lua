--- A worker's side of the control channel, without a supervisor.
local cjson = require("cjson")
local generation_of = require("gate.generation")
local http = require("spec.support.http")
local log = require("gate.log")
local mailbox = require("rt.mailbox")
local support = require("spec.gate.support")
local system = require("rt.system")
local task = require("rt.task")
local worker = require("gate.worker")

local CONFIG = 'return { listen = { "127.0.0.1:0" }, log = { requests = false }, accounts = { aws = { provider = "cloud" } } }'
local GET = "GET %s HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"

-- Starts a worker on a port of its own; ask(message) sends and gives the answer.
local function start()
  local fd, bound = assert(system.listen("127.0.0.1:0"))
  local to_worker, from_worker = mailbox.new(), mailbox.new()
  local running = task.spawn(worker.main, {
    index = 1, listen_fds = { fd },
    control = {
      read_line = function()
        local message = to_worker:take()
        return message and message.line
      end,
      write = function(line)
        from_worker:put({ message = cjson.decode(line) })
      end,
    },
  })
  local function send(message)
    to_worker:put({ line = cjson.encode(message) })
  end
  return {
    port = tonumber(bound:match(":(%d+)$")),
    send = send,
    ask = function(message)
      send(message)
      return from_worker:take().message
    end,
    stop = function(self)
      local answer = self.ask({ type = "drain", drain_ms = 1000 })
      assert.equal("drained", answer.type)
      running:join()
      require("gate.server").live():retire()
    end,
  }
end

local function prepare(number, config, plugins)
  local bundle = support.bundle(config, plugins)
  bundle.number, bundle.id = number, "g" .. number
  return { type = "prepare", number = number, bundle = bundle }
end

describe("gate.worker", function()
  before_each(function()
    log.configure({ write = function() end })
  end)

  it("serves from its first commit on, and goes over to the next one at once", function()
    local one = start()
    assert.equal("ready", one.ask(prepare(1, CONFIG)).type)
    assert.equal("committed", one.ask({ type = "commit", number = 1 }).type)
    assert.equal(200, http.ask(one.port, GET:format("/readyz")).status)
    assert.equal("g1", one.ask({ type = "status", seq = 5 }).generation)
    local before = generation_of.alive()
    assert.equal("ready", one.ask(prepare(2, CONFIG)).type)
    assert.equal("g1", one.ask({ type = "status", seq = 6 }).generation)
    assert.equal("committed", one.ask({ type = "commit", number = 2 }).type)
    local status = one.ask({ type = "status", seq = 7 })
    assert.equal("g2", status.generation)
    assert.equal(7, status.seq)
    assert.equal(before, generation_of.alive())
    one:stop()
  end)

  it("changes nothing when a generation cannot be built, and says every error", function()
    local one = start()
    one.ask(prepare(1, CONFIG))
    one.ask({ type = "commit", number = 1 })
    local before = generation_of.alive()
    local answer = one.ask(prepare(2, 'return {\n workers = 0,\n acounts = {} }'))
    assert.equal("failed", answer.type)
    assert.equal(2, answer.number)
    assert.equal(2, answer.problems[1].line)
    assert.truthy(answer.report:find('gate.lua:3: acounts: unknown field (did you mean "accounts"?)', 1, true))
    assert.equal("failed", one.ask({ type = "commit", number = 2 }).type)
    answer = one.ask(prepare(3, CONFIG, { gatekeeper = "this is no Lua" }))
    assert.equal("plugins/gatekeeper.lua", answer.problems[1].file)
    assert.equal("g1", one.ask({ type = "status", seq = 1 }).generation)
    assert.equal(before, generation_of.alive())
    one:stop()
  end)

  it("forgets what is abandoned, and survives nonsense", function()
    local one = start()
    one.ask(prepare(1, CONFIG))
    one.ask({ type = "commit", number = 1 })
    local before = generation_of.alive()
    one.ask(prepare(2, CONFIG))
    assert.equal(before + 1, generation_of.alive())
    one.send({ type = "abandon", number = 2 })
    one.send({ type = "nonsense" })
    assert.equal("g1", one.ask({ type = "status", seq = 1 }).generation)
    assert.equal(before, generation_of.alive())
    one:stop()
  end)
end)
