--- The supervisor: opens the listening sockets, starts the workers, replaces those that die or hang, rolls out
--- generations, drains. It has no listener of its own but the admin socket and never runs plugin code.
--- One task takes every event (message, end of a worker, signal, command, tick) from one mailbox, in order: no
--- two decisions overlap.
local address = require("gate.address")
local control = require("gate.control")
local listeners = require("gate.listeners")
local log = require("gate.log")
local mailbox = require("rt.mailbox")
local process = require("rt.process")
local rollouts = require("gate.rollout")
local slots = require("gate.worker_slot")
local system = require("rt.system")
local task = require("rt.task")
local time = require("rt.time")

local M = {}

local TICK_MS = 200
local STALL_WHILE_BUSY_MS = 10000 -- a worker that starts or prepares compiles plugins, which takes its loop
local KILL_AFTER_DRAIN_MS = 2000
local EXIT_CONFIG, EXIT_START, EXIT_FORCED = 78, 70, 1

---@class gate.supervisor.Options
---@field collect fun(): table?, table? bundle and configuration; nil and problems { report = fn } or an err
---@field worker_args string[] Arguments that make this program a worker.
---@field version string?
---@field on_ready fun(config: table, addresses: string[])? Called once, when all workers serve for the first time.
---@field reopen_log fun()? On SIGHUP.
---@field serve_admin fun(supervisor: gate.Supervisor, config: table): (fun()?)? Opens the admin socket; returns its closer.

---@class gate.Supervisor
local Supervisor = {}
Supervisor.__index = Supervisor

local function text_of(err)
  if type(err) == "table" then
    return err.report and err:report() or err.message or err.code
  end
  return tostring(err)
end

-- ---- workers ----

--- Starts a worker in a slot and has it prepare a bundle.
function Supervisor:start_worker(slot, bundle_line)
  local ok, err = slot:start(self.options.worker_args, self.grace_s)
  if not ok then
    log.event("error", "worker_not_started", { worker = slot.index, message = text_of(err) })
    return nil, err
  end
  slot:send_line(bundle_line)
  return true
end

-- A slot without a process gets its successor, with the generation that is live now.
function Supervisor:restart(slot)
  if slot.state ~= "empty" or self.drain or not self.live then
    return
  end
  slot.restarts = slot.restarts + 1
  if not self:start_worker(slot, self.live.line) then
    self:restart_later(slot, 1000)
  end
end

function Supervisor:restart_later(slot, delay_ms)
  if delay_ms == 0 then
    return self:restart(slot)
  end
  local events, run = self.events, slot.run
  self:in_background(function()
    if time.sleep(delay_ms) then
      events:put({ type = "restart", slot = slot, run = run })
    end
  end)
end

-- Helper tasks end with the supervisor.
function Supervisor:in_background(fn)
  local background = self.background
  local own = {}
  background[own] = task.spawn(function()
    fn()
    background[own] = nil
  end)
  if background[own] and background[own]:is_done() then
    background[own] = nil
  end
end

function Supervisor:on_exit(slot, ended)
  local fields = {
    worker = slot.index, pid = slot.pid, signal = ended.signal, status = ended.status, breadcrumb = slot.page:crumb(),
    requests_lost = slot.page:get("requests_in_flight"),
  }
  local is_expected = self.drain ~= nil or slot.is_draining
  local delay_ms = slot:has_ended()
  slot.is_draining = nil
  if is_expected then
    log.event("info", "worker_ended", fields)
  else
    fields.restart_in_ms = self.live and delay_ms or nil
    log.event("error", "worker_died", fields)
  end
  if self.rollout then
    self.rollout:worker_ended(slot, ended)
  end
  if self.drain then
    return
  end
  if self.live then
    self:restart_later(slot, delay_ms)
  end
end

function Supervisor:on_message(slot, message)
  local kind = message.type
  local is_rollout = self.rollout and self.rollout:concerns(slot, message.number)
  if kind == "ready" and not is_rollout then
    if self.live and message.number == self.live.number then -- a successor
      slot:send({ type = "commit", number = message.number })
    else -- it comes too late: the rollout was abandoned
      slot:send({ type = "abandon", number = message.number })
    end
  elseif kind == "committed" then
    local was_starting = slot.state == "starting"
    slot:serves(message.number)
    if was_starting and slot.died_at_ms then
      log.event("info", "worker_replaced", {
        worker = slot.index, pid = slot.pid, after_ms = math.floor(time.monotonic_ms() - slot.died_at_ms),
      })
    end
  elseif kind == "failed" and slot.state == "starting" and not is_rollout then
    -- A successor cannot build what the others serve: something outside has changed. It ends and tries again.
    log.event("error", "worker_cannot_start", { worker = slot.index, report = message.report })
    slot:kill("KILL") -- (one that serves answers late to a rollout that was abandoned: nothing to do)
  elseif kind == "drained" then
    slot.is_draining = true
  end
  if self.rollout then
    self.rollout:worker_said(slot, message)
  end
end

-- ---- rollout of a generation ----

--- Reads the configuration and has all workers prepare it. `reply` gets { ok, report, number } at the end.
function Supervisor:reload(reply, reason)
  if self.rollout or self.drain then
    local why = self.drain and "the gateway is draining" or "a reload is under way"
    return reply and reply:put({ ok = false, report = why })
  end
  self.options.notify(("RELOADING=1\nMONOTONIC_USEC=%.0f"):format(time.monotonic_ms() * 1000))
  local is_read, bundle, config = pcall(self.options.collect)
  if not is_read then
    bundle, config = nil, bundle
  end
  if not bundle then
    return self:on_rollout_end({ ok = false, report = text_of(config), reply = reply, reason = reason })
  end
  self:roll_out(bundle, config, reply, reason)
end

function Supervisor:roll_out(bundle, config, reply, reason)
  self.last_number = self.last_number + 1
  bundle.number = self.last_number
  self.rollout = rollouts.new({
    number = bundle.number, bundle = bundle, config = config, reply = reply, reason = reason, slots = self.slots,
    line = control.encode({ type = "prepare", number = bundle.number, bundle = bundle }),
    start_worker = function(slot, line)
      return self:start_worker(slot, line)
    end,
    on_commit = function(rollout)
      self.live = { number = rollout.number, line = rollout.line, id = bundle.id, at_ms = time.now_ms() }
      self:take_timeouts(config)
      if self.sockets:differ(config.listen) or (config.workers or #self.slots) ~= #self.slots then
        log.event("warn", "restart_needed", { message = "`listen` and `workers` are taken only at the start" })
      end
    end,
    on_end = function(result)
      self.rollout = nil
      self:on_rollout_end(result)
    end,
  })
  self.rollout:begin()
end

function Supervisor:on_rollout_end(result)
  local number = result.number or self.last_number
  if result.ok then
    log.event("info", "generation_live", {
      number = number, generation = result.generation, reason = result.reason, ms = result.ms,
    })
  else
    log.event("error", "generation_refused", { number = number, reason = result.reason, report = result.report })
  end
  self.options.notify("READY=1")
  if result.reply then
    result.reply:put(result)
  end
  if result.reason == "start" then
    self.start_result = result
  end
  if self.wants_reload and not self.drain then
    self.wants_reload = nil
    self:reload(nil, "signal")
  end
end

function Supervisor:take_timeouts(config)
  local timeouts = config.timeouts or {}
  self.stall_ms = timeouts.stall_ms or 1000
  self.drain_ms = timeouts.drain_ms or 60000
  self.grace_s = math.ceil((self.drain_ms + KILL_AFTER_DRAIN_MS) / 1000)
end

-- ---- drain ----

--- Orderly end: workers finish what runs until drain_ms, then everything ends. A second call ends it at once.
function Supervisor:begin_drain(reason)
  if self.drain then
    log.event("warn", "drain_cut_short", { reason = reason })
    self.drain.is_forced = true
    for _, slot in ipairs(self.slots) do
      slot:kill("KILL")
    end
    return
  end
  log.event("info", "drain", { reason = reason, drain_ms = self.drain_ms })
  self.options.notify("STOPPING=1")
  self.drain = { until_ms = time.monotonic_ms() + self.drain_ms + KILL_AFTER_DRAIN_MS }
  if self.rollout then
    self.rollout:abandon("the gateway is draining")
  end
  for _, slot in ipairs(self.slots) do
    slot:send({ type = "drain", drain_ms = self.drain_ms })
  end
  self.sockets:close() -- the workers have their own; once they close them, connecting is refused
end

-- ---- watching ----

local function stall_limit_ms(self, slot)
  if slot.state == "starting" or (self.rollout and self.rollout:is_preparing()) then
    return math.max(self.stall_ms, STALL_WHILE_BUSY_MS)
  end
  return self.stall_ms
end

function Supervisor:on_tick()
  local now_ms = time.monotonic_ms()
  -- A machine that stood still (or a supervisor that did) makes all heartbeats old: they get a chance to beat first.
  local was_asleep = now_ms - self.ticked_at_ms > TICK_MS + self.stall_ms / 2
  self.ticked_at_ms = now_ms
  if self.drain and now_ms > self.drain.until_ms then
    for _, slot in ipairs(self.slots) do
      slot:kill("KILL")
    end
  end
  if self.rollout then
    self.rollout:on_tick(now_ms)
  end
  if was_asleep then
    return
  end
  for _, slot in ipairs(self.slots) do
    if slot.child and not slot.is_killed and slot.silent_since_ms and now_ms - slot.silent_since_ms > self.stall_ms then
      log.event("error", "worker_without_control", { worker = slot.index, pid = slot.pid })
      slot:kill("KILL") -- it runs, but nobody can tell it anything any more
    end
    local age_ms = slot.page and slot.page:age_ms() or 0
    if slot.child and not slot.is_killed and age_ms > stall_limit_ms(self, slot) then
      log.event("error", "worker_stuck", {
        worker = slot.index, pid = slot.pid, silent_ms = age_ms, breadcrumb = slot.page:crumb(),
        requests_lost = slot.page:get("requests_in_flight"),
      })
      slot:kill("KILL")
    end
  end
end

--- What the admin socket and `moongate status` show.
---@return table
function Supervisor:status()
  local workers = {}
  for i, slot in ipairs(self.slots) do
    workers[i] = slot:status()
  end
  return {
    version = self.options.version, pid = system.pid(), is_draining = self.drain ~= nil,
    is_reloading = self.rollout ~= nil, generation = self.live and self.live.id, number = self.live and self.live.number,
    generation_at_ms = self.live and self.live.at_ms, listen = self.sockets.addresses,
    up_ms = math.floor(time.monotonic_ms() - self.started_at_ms), memory_bytes = system.memory(), workers = workers,
  }
end

--- For the admin socket: asks the event task to do something and waits for the outcome.
---@param name "reload"|"drain"
---@return table? result { ok, report }
---@return gate.Err? err
function Supervisor:command(name)
  local reply = mailbox.new()
  self.events:put({ type = "command", name = name, reply = reply })
  return reply:take()
end

-- ---- life ----

local HANDLERS = {
  message = function(self, event)
    if event.run == event.slot.run and event.slot.child then
      self:on_message(event.slot, event.message)
    end
  end,
  silent = function(_, event)
    if event.run == event.slot.run and event.slot.child then -- most often it has just ended, which is told next
      event.slot.silent_since_ms = time.monotonic_ms()
    end
  end,
  exit = function(self, event)
    if event.run == event.slot.run then
      self:on_exit(event.slot, event.ended)
    end
  end,
  restart = function(self, event)
    if event.run == event.slot.run then
      self:restart(event.slot)
    end
  end,
  tick = Supervisor.on_tick,
  signal = function(self, event)
    if event.name ~= "HUP" then
      return self:begin_drain("signal " .. event.name)
    end
    if self.options.reopen_log then
      self.options.reopen_log()
    end
    if self.rollout then
      self.wants_reload = true -- what is on disk now may be newer than what is being prepared
    else
      self:reload(nil, "signal")
    end
  end,
  command = function(self, event)
    if event.name == "reload" then
      self:reload(event.reply, "command")
    else
      event.reply:put({ ok = true })
      self:begin_drain("command")
    end
  end,
}

-- Who has nothing left to wait for?
function Supervisor:is_finished()
  if not self.drain and not (self.start_result and not self.start_result.ok) then
    return false
  end
  for _, slot in ipairs(self.slots) do
    if slot.child then
      return false
    end
  end
  return true
end

function Supervisor:loop()
  while not self:is_finished() do
    local event = self.events:take()
    if not event then -- cancelled: the process ends
      return EXIT_FORCED
    end
    local ok, message = xpcall(HANDLERS[event.type], debug.traceback, self, event)
    if not ok then -- the gateway goes on: its workers serve
      log.event("error", "supervisor_error", { event = event.type, message = message })
    end
    local start = self.start_result
    if start and not start.is_handled then
      start.is_handled = true
      if start.ok then
        self:on_first_ready(start)
      else
        self.live = nil
        for _, slot in ipairs(self.slots) do
          slot:kill("KILL")
        end
      end
    end
  end
  if self.drain then
    return self.drain.is_forced and EXIT_FORCED or 0
  end
  io.stderr:write("moongate: ", self.start_result.report, "\n")
  return self.start_result.is_config and EXIT_CONFIG or EXIT_START
end

function Supervisor:on_first_ready(start)
  log.event("info", "ready", { listen = self.sockets.addresses, workers = #self.slots, ms = start.ms, pid = system.pid() })
  if self.options.serve_admin then
    self.close_admin = self.options.serve_admin(self, self.config)
  end
  if self.options.on_ready then
    self.options.on_ready(self.config, self.sockets.addresses)
  end
end

function Supervisor:watch_outside()
  self.signals = assert(process.signals({ "TERM", "INT", "HUP" }))
  self:in_background(function()
    while true do
      local name = self.signals:wait()
      if not name then
        return
      end
      self.events:put({ type = "signal", name = name })
    end
  end)
  self:in_background(function()
    while time.sleep(TICK_MS) do
      self.events:put({ type = "tick" })
    end
  end)
end

--- Runs until the gateway has drained. Call it in a task.
---@param options gate.supervisor.Options
---@return integer exit_status 0 after a drain; 78: the configuration is refused; 70: it could not start.
function M.run(options)
  options = setmetatable({ notify = options.notify or system.notify }, { __index = options })
  system.protect_memory()
  system.raise_file_limit()
  local bundle, config = options.collect()
  if not bundle then
    io.stderr:write("moongate: ", text_of(config), "\nnothing was started; `moongate check` tells all errors at once\n")
    return EXIT_CONFIG
  end
  local self = setmetatable({
    options = options, config = config, events = mailbox.new(), slots = {}, background = {}, last_number = 0,
    started_at_ms = time.monotonic_ms(), ticked_at_ms = time.monotonic_ms(),
  }, Supervisor)
  self:take_timeouts(config)
  local worker_count = config.workers or system.cpu_count()
  local sockets, err = listeners.open(config.listen, worker_count)
  if not sockets then
    io.stderr:write("moongate: ", address.advise(err, "`listen` in gate.lua"), "\n")
    return EXIT_START
  end
  self.sockets = sockets
  for i = 1, worker_count do
    self.slots[i] = slots.new(i, sockets.by_worker[i], self.events)
  end
  self:watch_outside()
  self:roll_out(bundle, config, nil, "start")
  local status = self:loop()
  for _, background in pairs(self.background) do
    background:cancel()
  end
  self.signals:close()
  if self.close_admin then
    self.close_admin()
  end
  self.sockets:close()
  return status
end

return M
