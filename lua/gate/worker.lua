--- A worker: answers requests on sockets that it inherits, with the generation that the supervisor had it
--- build. The control channel is one JSON object per line; the messages are listed in README.md. A
--- `prepare` that fails changes nothing: the live generation goes on.
local cjson = require("cjson")
local compiler = require("gate.compiler")
local crumb = require("gate.crumb")
local generation_of = require("gate.generation")
local loader = require("gate.loader")
local log = require("gate.log")
local log_output = require("gate.log_output")
local program_of = require("rt.program")
local server = require("gate.server")
local server_of = require("rt.server")
local system = require("rt.system")
local task = require("rt.task")
local time = require("rt.time")
local upstream = require("gate.upstream")

local M = {}

local EMBEDDED_CLOSE_MS = 1000
-- A small heap, and what a request makes is short-lived: collecting less often saves a tenth of the CPU for a few MB.
-- With thousands of open streams the same pause would leave as much again in garbage twice over, so above some size
-- only so much garbage may gather.
local GC_MAX_PAUSE_PERCENT = 300
local GC_GARBAGE_KIB, GC_GARBAGE_SHARE = 4096, 0.1
-- A large heap is also gone through faster, so that less piles up meanwhile.
local GC_STEP_PERCENT, GC_LARGE_STEP_PERCENT = 200, 400

--- A listener on the loop-back address, for a provider that serves itself.
---@param handler fun(req: rt.server.Request)
---@return string origin
---@return fun() close
function M.embed(handler)
  local listener, err = server_of.listen({ address = "127.0.0.1:0", handler = handler })
  if not listener then
    error("cannot listen on the loop-back address: " .. err.message)
  end
  return "http://127.0.0.1:" .. listener:port(), function()
    listener:close()
    task.spawn(listener.drain, listener, EMBEDDED_CLOSE_MS)
  end
end

--- What gate.loader needs from this process.
---@param number integer?
---@return gate.loader.Options
function M.loader_options(number)
  return {
    env = system.getenv, number = number, embed = M.embed, compile_program = program_of.new,
  }
end

--- Builds a generation that can serve.
---@param bundle table
---@return table? generation
---@return table? problems
function M.build(bundle)
  local generation, problems = loader.build(bundle, M.loader_options(bundle.number))
  if not generation then
    return nil, problems
  end
  local client, err = upstream.client(generation.config)
  if not client then
    generation:teardown()
    problems = require("gate.config").no_problems(bundle.config_path)
    problems:add({ "client" }, err.message)
    return nil, problems
  end
  generation.client = client
  return generation
end

--- Starts to listen, on the first commit.
---@param config table
---@param fds integer[] In the order of config.listen.
---@return table[] listeners
local function listen(config, fds)
  local listeners = {}
  for i, fd in ipairs(fds) do
    local listener, err = server_of.listen({
      fd = fd, handler = server.handle, on_refuse = server.refuse, tls = config.listen[i] and config.listen[i].tls,
      exempt = { "/healthz", "/readyz" },
    })
    if not listener then
      error("cannot listen on an inherited socket: " .. err.message)
    end
    listeners[i] = listener
  end
  return listeners
end

local function problem_list(problems)
  local out = {}
  for i, problem in ipairs(problems:sorted()) do
    out[i] = {
      file = problem.file, line = problem.line, path = problem.path, message = problem.message,
      suggestion = problem.suggestion,
    }
  end
  return out
end

local on = {}

function on.prepare(state, message)
  local started_at_ms = time.monotonic_ms()
  if state.prepared then
    state.prepared:teardown()
    state.prepared = nil
  end
  local ok, generation, problems = xpcall(M.build, debug.traceback, message.bundle)
  if not ok then
    return { type = "failed", number = message.number, problems = {}, report = "internal error: "
      .. tostring(generation) }
  elseif not generation then
    return { type = "failed", number = message.number, problems = problem_list(problems), report = problems:report() }
  end
  if state.options.index == 1 then -- one says it for all
    for _, warning in ipairs(generation.warnings) do
      log.event("warn", "secret_readable", { message = warning })
    end
  end
  generation.number = message.number
  state.prepared = generation
  return {
    type = "ready", number = message.number, id = generation.id, plugins = generation.plugins,
    build_ms = time.monotonic_ms() - started_at_ms,
  }
end

function on.commit(state, message)
  local generation = state.prepared
  if not generation or generation.number ~= message.number then
    return { type = "failed", number = message.number, problems = {}, report = "this generation was not prepared" }
  end
  state.prepared = nil
  log_output.open(generation.config)
  server.commit(generation)
  if not state.listeners then
    state.listeners = listen(generation.config, state.options.listen_fds)
  end
  return { type = "committed", number = message.number }
end

function on.abandon(state, message)
  if state.prepared and state.prepared.number == message.number then
    state.prepared:teardown()
    state.prepared = nil
  end
end

function on.drain(state, message)
  server.set_draining()
  local drains = {}
  for i, listener in ipairs(state.listeners or {}) do
    drains[i] = task.spawn(listener.drain, listener, message.drain_ms)
  end
  for _, drain in ipairs(drains) do
    drain:join()
  end
  state.is_drained = true
  return { type = "drained" }
end

function on.status(_, message)
  local counts, live = server.counts(), server.live()
  return {
    type = "status", seq = message.seq, generation = live and live.id, number = live and live.number,
    requests = counts.requests,
    active = counts.active, errors = counts.errors, crashes = counts.crashes, generations_alive = generation_of.alive(),
    memory_bytes = collectgarbage("count") * 1024,
  }
end

-- Sets the pause anew at the end of each collection: there, one unreachable object is finalized, which makes the next.
local function limit_garbage()
  collectgarbage("setpause", GC_MAX_PAUSE_PERCENT)
  getmetatable(newproxy(true)).__gc = function(proxy)
    local live_kib = collectgarbage("count")
    local pause = 100 + 100 * (GC_GARBAGE_KIB / live_kib + GC_GARBAGE_SHARE)
    local is_large = pause < GC_MAX_PAUSE_PERCENT -- from about 2 MB
    collectgarbage("setpause", is_large and pause or GC_MAX_PAUSE_PERCENT)
    collectgarbage("setstepmul", is_large and GC_LARGE_STEP_PERCENT or GC_STEP_PERCENT)
    newproxy(proxy) -- of the same metatable
  end
end

---@class gate.worker.Options
---@field index integer
---@field control { read_line: (fun(): string?, gate.Err?), write: fun(text: string) }
---@field listen_fds integer[]
---@field page { label: fun(self, text: string): integer }?
---@field counters ffi.cdata*? The page's memory, with `crumb`.

--- Runs a worker until it has drained, by order or because its supervisor is gone.
---@param options gate.worker.Options
---@return integer exit_status
function M.main(options)
  if options.page and options.counters then
    crumb.attach(options.counters, function(label)
      return options.page:label(label)
    end)
  end
  limit_garbage()
  compiler.setup()
  local state = { options = options }
  while not state.is_drained do
    local line = options.control.read_line()
    if not line then -- the supervisor is gone: finish what runs, and end
      log.event("error", "supervisor_gone", {})
      local live = server.live()
      on.drain(state, { drain_ms = live and live.config.timeouts.drain_ms or 0 })
      break
    end
    local ok, message = pcall(cjson.decode, line)
    local handle = ok and type(message) == "table" and on[message.type]
    if handle then
      local answer = handle(state, message)
      if answer then
        options.control.write(cjson.encode(answer) .. "\n")
      end
    else
      log.event("error", "control_message_unknown", { message = line:sub(1, 200) })
    end
  end
  log_output.close()
  return 0
end

return M
