--- Runs spec files inside the gateway's own loop: `build/moongate --script spec/run.lua FILE... [--filter=PATTERN]`
--- (PATTERN: a Lua pattern of test names). Each test is a function in one task, so it may call what waits.
--- A file fails also when it runs no test, marks one as pending, or leaves a task, loop handle or file
--- descriptor behind. The last line of output is "N passed, N failed"; the exit status says the same.
--- busted's command line is left aside: it would end the process without closing the runtime.

-- make says where busted is; without make, what make would say is read from where it says it.
if not os.getenv("MOONGATE_LUA_PATH") then
  local root = "build/deps/root"
  for line in io.lines("build/deps/deps.mk") do
    local kind, value = line:match("^DEPS_LUA_(C?PATH) = (.*)$")
    if kind then
      local field = kind == "PATH" and "path" or "cpath"
      package[field] = package[field] .. ";" .. value:gsub("%$%(DEPS_ROOT%)", root)
    end
  end
end

local leaks = require("spec.support.leaks")
local time = require("rt.time")

local files, filter = {}, nil
for _, argument in ipairs(arg) do
  local pattern = argument:match("^%-%-filter=(.*)$")
  if pattern then
    filter = pattern
  else
    files[#files + 1] = argument
  end
end

local busted = require("busted.core")()
require("busted")(busted)
require("busted.modules.filter_loader")()(busted, {
  tags = {}, excludeTags = {}, filter = filter and { filter } or {}, name = {}, filterOut = {}, nokeepgoing = false,
})

require("busted.languages.en")

local passed, failed = 0, 0
local file = { passed = 0, failed = 0 } -- the running one; before the first, what goes wrong while loading

local function full_name(element)
  local names = {}
  while element and element.descriptor ~= "file" and (element.name or element.descriptor) do
    table.insert(names, 1, tostring(element.name or element.descriptor))
    element = busted.context.parent(element)
  end
  return table.concat(names, " ")
end

local function report(kind, what, message, trace)
  io.stdout:write("  ", kind, ": ", what, "\n    ", (tostring(message):gsub("\n", "\n    ")), "\n")
  if kind == "error" and trace and trace.traceback then
    io.stdout:write("    ", (trace.traceback:gsub("^%s+", ""):gsub("\n", "\n    ")), "\n")
  end
end

busted.subscribe({ "test", "end" }, function(_, _, status)
  if status == "success" then
    file.passed = file.passed + 1
  elseif status == "pending" then
    file.failed = file.failed + 1
    report("pending", "a test that is not run counts as failed", "")
  else
    file.failed = file.failed + 1
  end
  return nil, true
end)

for _, kind in ipairs({ "failure", "error" }) do
  busted.subscribe({ kind }, function(element, _, message, trace)
    report(kind, full_name(element), message, trace)
    if element.descriptor ~= "it" then -- in a hook, a describe or the file: no test stands for it
      file.failed = file.failed + 1
    end
    return nil, true
  end)
end

local before
busted.subscribe({ "file", "start" }, function(element)
  failed = failed + (file.name and 0 or file.failed)
  file = { name = element.name, passed = 0, failed = 0, started_at_ms = time.monotonic_ms() }
  before = leaks.snapshot()
  return nil, true
end)

busted.subscribe({ "file", "end" }, function()
  local left = leaks.compare(before)
  if left then
    report("leak", file.name, left)
    file.failed = file.failed + 1
  end
  if file.passed + file.failed == 0 and not filter then
    report("empty", file.name, "ran no test")
    file.failed = 1
  end
  io.stdout:write(("%s: %d passed, %d failed, %d ms\n"):format(
    file.name, file.passed, file.failed, time.monotonic_ms() - file.started_at_ms))
  io.stdout:flush()
  passed, failed = passed + file.passed, failed + file.failed
  return nil, true
end)

local load_files = require("busted.modules.test_file_loader")(busted, { "lua" })
load_files(files, { "_spec%.lua$" }, { excludes = {}, recursive = true })
require("busted.execute")(busted)(1, {})

failed = failed + (file.name and 0 or file.failed)
if passed + failed == 0 then
  report("empty", table.concat(files, " "), "ran no test")
  failed = 1
end
io.stdout:write(("%d passed, %d failed\n"):format(passed, failed))
io.stdout:flush()
return failed > 0 and 1 or 0
