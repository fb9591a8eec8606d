--- Runs gate.supervisor with spec/support/echo_worker.lua: `--script spec/support/supervise.lua BUNDLE.json WORKERS`.
--- Every reload reads the JSON file anew: { word, refuse, ..., workers, drain_ms, stall_ms, error }.
local cjson = require("cjson")
local fs = require("rt.fs")
local log = require("gate.log")
local out = require("rt.log")
local supervisor = require("gate.supervisor")

local path, listen = arg[1], arg[2] or "127.0.0.1:0"
local here = arg[0]:match("^(.*/)") or ""
local writer = assert(out.open({ fd = 1 }))
log.configure({
  write = function(text)
    writer:write(text:sub(1, -2))
    writer:flush()
  end,
})

return supervisor.run({
  worker_args = { "--script", here .. "echo_worker.lua" },
  version = "spec",
  collect = function()
    local bundle = cjson.decode(assert(fs.read_file(path)))
    if bundle.error then
      return nil, { code = "bad_config", message = bundle.error }
    end
    return bundle, {
      listen = { { address = listen } }, workers = bundle.workers or 2,
      timeouts = { drain_ms = bundle.drain_ms or 5000, stall_ms = bundle.stall_ms or 1000 },
    }
  end,
})
