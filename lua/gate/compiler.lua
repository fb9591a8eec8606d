--- How LuaJIT's compiler is set in a worker, and how the collector makes room for it.
local jit_options = require("jit.opt")

local M = {}

-- A request is one long path of small functions that are called over and over. With the compiler's usual limits its
-- recordings are given up for unrolling too much, and what was given up is interpreted from then on.
local OPTIONS = {
  "loopunroll=60", "callunroll=10", "maxrecord=20000", "maxsnap=2000", "maxside=400", "maxirconst=4000",
  "maxtrace=8000", "maxmcode=8192",
}

local is_resting = false

-- A finalizer that runs while a trace is recorded ends the recording, and a function whose recordings end so often is
-- never compiled again. Documents have finalizers, so under load that is soon every hot function. So the collector
-- rests for the microseconds that a recording takes.
local function on_trace(what)
  if what == "start" then
    is_resting = true
    collectgarbage("stop")
  elseif is_resting then -- stop, abort, flush
    is_resting = false
    collectgarbage("restart")
  end
end

--- From now on, for this process.
function M.setup()
  jit_options.start(unpack(OPTIONS))
  jit.attach(on_trace, "trace") -- the one handler there can be
end

return M
