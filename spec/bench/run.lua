--- make bench: build/moongate --script spec/bench/run.lua [--rows=a,b] [--rounds=5] [--seconds=2] [--targets=nginx,Moongate] [--write] [--list]
--- Measures Moongate beside nginx and prints a table. Must run on the load's core; gateways go to the first one.
if not os.getenv("MOONGATE_LUA_PATH") then
  io.stderr:write("start it with `make bench`\n")
  return 2
end

local load_of = require("spec.bench.load")
local machine = require("spec.bench.machine")
local report = require("spec.bench.report")
local rows_of = require("spec.bench.rows")
local system = require("rt.system")
local targets = require("spec.bench.targets")

local options = { rows = "", rounds = 5, seconds = 2 }
for _, argument in ipairs(arg) do
  local name, value = argument:match("^%-%-(%w+)=(.*)$")
  name = name or argument:match("^%-%-(%w+)$")
  if value ~= "" then
    options[name] = tonumber(value) or value or true
  end
end

local rows = rows_of.ROWS
if options.targets then
  local names = {}
  for name in options.targets:gmatch("[^,%s]+") do
    names[#names + 1] = name
  end
  rows_of.choose(names)
end

if options.list then
  for _, row in ipairs(rows) do
    print(("%-20s %s"):format(row.id, row.work))
  end
  return 0
end

local wanted = {}
for id in tostring(options.rows):gmatch("[^,%s]+") do
  wanted[id] = true
end

system.raise_file_limit()
io.stderr:write("load of this machine: ", machine.read("/proc/loadavg"))
local lines, problems = {}, 0
targets.start_upstream()
local ok, message = xpcall(function()
  for _, row in ipairs(rows) do
    if next(wanted) == nil or wanted[row.id] then
      io.stderr:write(row.id, ": ", row.work, "\n")
      local done, results, notes = xpcall(row.run, debug.traceback, row, options)
      if done then
        for name, note in pairs(notes) do
          io.stderr:write(("  %s cannot: %s\n"):format(name, note))
        end
        lines[#lines + 1] = report.line(row, results, notes)
        print(lines[#lines])
      else
        problems = problems + 1
        io.stderr:write("  ", results, "\n")
      end
    end
  end
end, debug.traceback)
targets.stop_upstream()
load_of.remove_files()
if not ok then
  error(message, 0)
end
local text = report.table(lines, options)
print("\n" .. text)
if options.write then
  report.write(text)
end
return problems > 0 and 1 or 0
