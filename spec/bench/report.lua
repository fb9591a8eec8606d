--- Results as a Markdown table, and into the README.
local machine = require("spec.bench.machine")
local statistics = require("spec.bench.statistics")

local M = {}

local BEGIN, END = "<!-- table of make bench -->", "<!-- end of table -->"
local README = "spec/bench/README.md"

local function verdict(goal, median)
  if median <= goal.aim then
    return "aim"
  end
  return median <= goal.at_most and "ok" or "**missed**"
end

local function cell(results, name, row)
  local figures = results[name] and results[name][row.shown]
  return figures and statistics.text(statistics.of(figures)) or "–"
end

--- One row of the table.
---@param row table
---@param results table<string, table<string, number[]>>
---@param notes table<string, string> Who could not do the work, and why.
function M.line(row, results, notes)
  local reached, wanted, verdicts = {}, {}, {}
  for i, goal in ipairs(row.goals) do
    local figures = results.Moongate and results.Moongate[goal.figure]
    local figure = figures and statistics.of(figures)
    reached[i] = figure and statistics.text(figure) .. " " .. goal.unit or "n/a"
    wanted[i] = ("%s; %s"):format(goal.at_most, goal.aim)
    verdicts[i] = figure and verdict(goal, figure.median) or "n/a"
  end
  if #row.goals == 0 then
    local figures = results.Moongate and results.Moongate.ratio
    reached[1] = figures and statistics.text(statistics.of(figures)) .. " x nginx" or "n/a"
  end
  local moongate = notes.Moongate and "n/a" or cell(results, "Moongate", row)
  return ("| %s | %s | %s | %s | %s | %s | %s | %s |"):format(row.work, row.unit, cell(results, "nginx", row),
    cell(results, "nginx+Lua", row), moongate, table.concat(reached, "<br>"), table.concat(wanted, "<br>"),
    table.concat(verdicts, "<br>"))
end

--- The whole table.
---@param lines string[]
function M.table(lines, options)
  local head = {
    ("%s; %s. Medians [smallest–largest] of %d rounds of %d s."):format(
      os.date("!%Y-%m-%d"), machine.describe(), options.rounds, options.seconds),
    "",
    "| work | unit | nginx | nginx+Lua | Moongate | reached | at most; aim | |",
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |",
  }
  return table.concat(head, "\n") .. "\n" .. table.concat(lines, "\n") .. "\n"
end

--- Puts the table between the marks in the README.
function M.write(text)
  local readme = machine.read(README)
  local from, to = readme:find(BEGIN, 1, true), readme:find(END, 1, true)
  assert(from and to, "the README has no place for the table")
  local file = assert(io.open(README, "wb"))
  file:write(readme:sub(1, from + #BEGIN - 1), "\n", text, readme:sub(to))
  file:close()
end

return M
