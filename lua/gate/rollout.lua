--- One rollout of a generation: every worker prepares it; only when all have, all commit; else all abandon and the
--- old one goes on. Knows no file and no clock but the one it is given.
local control = require("gate.control")
local log = require("gate.log")
local time = require("rt.time")

local M = {}

local PREPARE_LIMIT_MS, COMMIT_LIMIT_MS = 60000, 10000

---@class gate.Rollout
---@field phase "preparing"|"committing"|"ended"
---@field waiting table<gate.Slot, true> Who has not answered yet.
local Rollout = {}
Rollout.__index = Rollout

---@param fields table number, line (the prepare message), slots, start_worker, on_commit, on_end, reply, reason
---@return gate.Rollout
function M.new(fields)
  fields.phase = "preparing"
  fields.waiting = {}
  fields.participants = {}
  fields.started_at_ms = time.monotonic_ms()
  return setmetatable(fields, Rollout)
end

--- Sends the bundle to all. A slot without a process gets one: it may be the old generation that kills it.
function Rollout:begin()
  for _, slot in ipairs(self.slots) do
    self.waiting[slot] = true
    self.participants[slot] = true
  end
  for _, slot in ipairs(self.slots) do
    local ok, err = true, nil
    if slot.state == "empty" then
      ok, err = self.start_worker(slot, self.line)
    elseif slot.state == "serving" then
      slot:send_line(self.line)
    else
      slot.prepares_later = self -- it still prepares the old one
    end
    if not ok then
      return self:abandon("worker " .. slot.index .. " could not be started: " .. tostring(err.message))
    end
  end
end

---@return boolean
function Rollout:is_preparing()
  return self.phase == "preparing"
end

--- Is this answer one to this rollout?
function Rollout:concerns(slot, number)
  return self.participants[slot] == true and number == self.number and self.phase ~= "ended"
end

function Rollout:worker_said(slot, message)
  if message.type == "committed" and slot.prepares_later == self and message.number ~= self.number then
    slot.prepares_later = nil
    slot:send_line(self.line)
    return
  end
  if message.number ~= self.number or not self.waiting[slot] then
    return
  end
  if message.type == "failed" and self.phase == "committing" then
    slot:kill("KILL") -- it said it could; a successor will
  elseif message.type == "failed" then
    self.is_config = true
    self.problems = message.problems
    self:abandon(message.report or "a worker refused the generation")
  elseif (message.type == "ready" and self.phase == "preparing") or (message.type == "committed" and self.phase == "committing") then
    self:answered(slot)
  end
end

-- The process is gone. While preparing this is the new generation's fault until proved otherwise; while committing
-- the decision stands, and the successor begins with the new one.
function Rollout:worker_ended(slot, ended)
  slot.prepares_later = nil
  if self.phase == "preparing" and self.participants[slot] then
    self.participants[slot] = nil
    self:abandon(("worker %d died while it prepared the generation (%s)"):format(slot.index,
      ended.signal and "signal " .. ended.signal or "exit status " .. ended.status))
  elseif self.phase == "committing" and self.waiting[slot] then
    self:answered(slot)
  end
end

function Rollout:answered(slot)
  self.waiting[slot] = nil
  if next(self.waiting) ~= nil then
    return
  end
  if self.phase == "preparing" then
    return self:commit()
  end
  self:finish({ ok = true })
end

function Rollout:commit()
  self.phase = "committing"
  self.committed_at_ms = time.monotonic_ms()
  self.on_commit(self)
  local line = control.encode({ type = "commit", number = self.number })
  for slot in pairs(self.participants) do
    self.waiting[slot] = true
    slot:send_line(line)
  end
end

--- Nothing changes anywhere.
---@param report string Why.
function Rollout:abandon(report)
  if self.phase ~= "preparing" then
    return
  end
  local line = control.encode({ type = "abandon", number = self.number })
  for slot in pairs(self.participants) do
    if slot.prepares_later == self then
      slot.prepares_later = nil
    elseif slot.state == "starting" then
      slot:kill("KILL") -- it was started for this generation and serves nothing
    else
      slot:send_line(line)
    end
  end
  self:finish({ ok = false, report = report, problems = self.problems, is_config = self.is_config })
end

function Rollout:finish(result)
  self.phase = "ended"
  result.number, result.reply, result.reason = self.number, self.reply, self.reason
  result.generation = self.bundle.id
  result.ms = math.floor(time.monotonic_ms() - self.started_at_ms)
  self.on_end(result)
end

function Rollout:on_tick(now_ms)
  if self.phase == "preparing" and now_ms - self.started_at_ms > PREPARE_LIMIT_MS then
    self:abandon(("not all workers prepared the generation within %d s"):format(PREPARE_LIMIT_MS / 1000))
  elseif self.phase == "committing" and now_ms - self.committed_at_ms > COMMIT_LIMIT_MS then
    for slot in pairs(self.waiting) do -- it said it could; a successor will
      log.event("error", "worker_does_not_commit", { worker = slot.index, pid = slot.pid })
      slot:kill("KILL")
    end
  end
end

return M
