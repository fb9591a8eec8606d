--- The one place where specs wait for what tells nobody that it has happened. Where there is an event (a read, a join, a
--- mailbox), wait for that. Nothing here hopes that a time is long enough.
local task = require("rt.task")
local time = require("rt.time")

local M = {}

local LIMIT_MS = 20000
local PAUSE_MS = 1
local STILL_TURNS = 2000

--- Lets the loop go round. What this process has sent itself over loop-back is read after a turn or two, alone; a spec
--- that needs more than that must wait for an event.
---@param count? integer Default 3.
function M.turns(count)
  for _ = 1, count or 3 do
    assert(time.sleep(0))
  end
end

--- Waits until a function says something other than nil or false; raises after 20 s, or when the task is cancelled. The
--- task's own deadline does not count meanwhile.
---@param holds fun(): any
---@param limit_ms? integer
---@return any value What it said.
function M.is(holds, limit_ms)
  local value = holds()
  if value then
    return value
  end
  local remaining_ms = task.remaining()
  task.deadline(nil)
  local until_ms = time.monotonic_ms() + (limit_ms or LIMIT_MS)
  local ok, err = true, nil
  while ok and not value do
    if time.monotonic_ms() > until_ms then
      ok, err = false, { code = "timeout", message = "what was waited for has not come about" }
    else
      ok, err = time.sleep(PAUSE_MS)
      value = ok and holds()
    end
  end
  task.deadline(remaining_ms and math.max(remaining_ms, 1) or nil)
  if not ok then
    error(err.message or err.code, 2)
  end
  return value
end

--- Waits until a figure has not changed for 2000 turns of the loop: whoever moved it, in this process, is held up.
---@param read fun(): number
---@return number figure
function M.still(read)
  local before, unchanged = read(), 0
  while unchanged < STILL_TURNS do
    M.turns(1)
    local now = read()
    unchanged = now == before and unchanged + 1 or 0
    before = now
  end
  return before
end

return M
