--- Where this process's log lines go: the file or descriptor that the configuration names. Opened anew at every
--- commit, so a rotated file is followed by a reload; one that cannot be opened leaves the old one in place.
local log = require("gate.log")
local log_of = require("rt.log")

local M = {}

local FDS = { stdout = 1, stderr = 2 }
local writer, output

--- Follows a configuration.
---@param config table
function M.open(config)
  local wanted = config.log.output
  log.configure({ level = config.log.level })
  if wanted == output then
    local ok, err = writer:reopen()
    if not ok and err then
      log.event("error", "log_not_reopened", { output = wanted, message = err.message })
    end
    return
  end
  local opened, err = log_of.open(FDS[wanted] and { fd = FDS[wanted] } or { path = wanted })
  if not opened then
    log.event("error", "log_not_opened", { output = wanted, message = err.message })
    return
  end
  local old = writer
  writer, output = opened, wanted
  log.configure({ pointer = opened:pointer() })
  if old then
    old:close()
  end
end

--- Writes what is left.
function M.close()
  if writer then
    log.configure({ write = log.write_stderr })
    writer:close()
    writer, output = nil, nil
  end
end

return M
