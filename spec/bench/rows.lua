--- The rows of the table: what is measured, against whom, and what must be reached (issue 2, "What it must reach").
local bodies = require("spec.bench.bodies")
local load_of = require("spec.bench.load")
local machine = require("spec.bench.machine")
local statistics = require("spec.bench.statistics")
local targets = require("spec.bench.targets")
local time = require("rt.time")

local KB, MB = 1024, 1024 * 1024
local GATEWAYS = { "nginx", "nginx+Lua", "Moongate" }
local STREAMS, EVENTS = 32, 200
local SLOW_STREAMS, SLOW_EVENTS, SLOW_GAP_MS = 2000, 20000, 100
local SETTLE_MS = 1000

local M = {}

--- Measures only some of them.
---@param names string[]
function M.choose(names)
  GATEWAYS = names
end

-- Rounds over targets, each target in turn. measure(target) -> number or table of numbers.
local function rounds_of(row, list, rounds, measure)
  local results = {}
  for round = 1, rounds do
    for _, target in ipairs(list) do
      local figures = measure(target)
      for name, value in pairs(figures) do
        local of_target = results[target.name] or {}
        results[target.name] = of_target
        of_target[name] = of_target[name] or {}
        of_target[name][round] = value
      end
      io.stderr:write(("  %s, round %d, %s:"):format(row.id, round, target.name))
      for name, value in pairs(figures) do
        io.stderr:write(" ", name, "=", statistics.short(value))
      end
      io.stderr:write("\n")
    end
  end
  return results
end

local function stop_all(list)
  for _, target in ipairs(list) do
    target.stop()
  end
end

-- Starts targets, runs fn(list), stops them whatever happens.
local function with_targets(names, options, fn)
  local list = {}
  local ok, result = xpcall(function()
    for i, name in ipairs(names) do
      list[i] = targets.start(name, options)
    end
    return fn(list)
  end, debug.traceback)
  stop_all(list)
  if not ok then
    error(result, 0)
  end
  return result
end

-- Targets that cannot do this work are left out, with the reason.
local function able(list, surface, body, expected, notes)
  local out = {}
  for _, target in ipairs(list) do
    local problem = targets.check(target.port, surface, body, target.name ~= "nginx" and expected or nil)
    if problem then
      notes[target.name] = problem
    else
      out[#out + 1] = target
    end
  end
  return out
end

local EXPECTED = { messages = '"type":"message"', chat = '"object":"chat.completion' }

local function check_failures(figures, target)
  if (figures.failed or 0) > 0 then
    error(("%s: %d requests or streams failed"):format(target.name, figures.failed))
  end
end

-- Ratios to nginx, round by round.
local function add_ratios(results)
  local base = results.nginx
  for name, of_target in pairs(results) do
    if base and name ~= "nginx" and of_target.cpu_us then
      of_target.ratio = statistics.combine(of_target.cpu_us, base.cpu_us, function(a, b)
        return a / b
      end)
    end
  end
  return results
end

-- ---- kinds of rows ----

local function run_requests(row, options)
  local body, notes = row.body(), {}
  local file = load_of.body_file(row.id, body)
  local load = { surface = row.surface, body_file = file, connections = row.connections or 64 }
  local results = with_targets(GATEWAYS, { is_tls = row.is_tls }, function(list)
    list = able(list, row.surface, body, EXPECTED[row.surface], notes)
    for _, target in ipairs(list) do
      load_of.requests(target, load, 1) -- warm: connections, compiled traces
    end
    return rounds_of(row, list, options.rounds, function(target)
      local figures = load_of.requests(target, load, options.seconds)
      check_failures(figures, target)
      return { cpu_us = figures.cpu_us, p50_us = figures.p50_us, p99_us = figures.p99_us, per_second = figures.per_second }
    end)
  end)
  return add_ratios(results), notes
end

local function run_events(row, options)
  local body, notes = bodies.stream(EVENTS), {}
  local load = {
    surface = row.surface, body_file = load_of.body_file(row.id, body), streams = STREAMS, events = EVENTS,
  }
  local results = with_targets(GATEWAYS, {}, function(list)
    list = able(list, row.surface, body, row.surface == "chat" and "[DONE]" or "message_stop", notes)
    for _, target in ipairs(list) do
      load_of.streams(target, load, 1)
    end
    return rounds_of(row, list, options.rounds, function(target)
      local figures = load_of.streams(target, load, options.seconds)
      check_failures(figures, target)
      return { cpu_us = figures.cpu_us, per_second = figures.per_second }
    end)
  end)
  return add_ratios(results), notes
end

-- 2,000 slow streams on a gateway that was just started: memory of each, and latency of their events.
local function slow_once(name, row, options, seconds)
  local load = {
    surface = row.surface, streams = SLOW_STREAMS, events = SLOW_EVENTS,
    body_file = load_of.body_file(row.id, bodies.stream(SLOW_EVENTS, SLOW_GAP_MS)),
  }
  return with_targets({ name }, options, function(list)
    local target, open_kib = list[1], nil
    time.sleep(SETTLE_MS)
    target.pids = target.program.pid and machine.tree(target.program.pid) or {}
    local idle_kib = machine.pss_kib(target.pids)
    local figures = load_of.streams(target, load, seconds, function()
      open_kib = machine.pss_kib(target.pids)
    end)
    check_failures(figures, target)
    if figures.streams ~= SLOW_STREAMS then
      error(("%s: only %d streams were open"):format(name, figures.streams))
    end
    return {
      kib = (open_kib - idle_kib) / SLOW_STREAMS, p50_us = figures.p50_us, p99_us = figures.p99_us,
      cpu_us = figures.cpu_us,
    }
  end)
end

local function run_slow(row, options)
    local list, seconds = {}, math.max(options.seconds, 4)
  list[1] = row.has_direct and { name = "direct" } or nil
  for _, name in ipairs(GATEWAYS) do
    list[#list + 1] = { name = name }
  end
  local results = rounds_of(row, list, math.min(options.rounds, 3), function(target)
    return slow_once(target.name, row, { is_tls = row.is_tls }, seconds)
  end)
  local base = results.direct
  if base then
    for _, name in ipairs(GATEWAYS) do
      for _, part in ipairs({ "p50", "p99" }) do
        results[name]["added_" .. part .. "_ms"] = statistics.combine(
          results[name][part .. "_us"], base[part .. "_us"], function(a, b)
            return (a - b) / 1000
          end)
      end
    end
  end
  return results, {}
end

local function run_keys(row, options)
  local file = load_of.body_file(row.id, bodies.text(KB))
  local list = {}
  local ok, results = xpcall(function()
    for i, keys in ipairs({ 1, 10000 }) do
      list[i] = targets.start("Moongate", { keys = keys })
      list[i].name, list[i].keys = keys == 1 and "one key" or "10,000 keys", keys
      load_of.requests(list[i], { surface = "messages", body_file = file, connections = 64, keys = keys }, 2)
    end
    return rounds_of(row, list, options.rounds, function(target)
      local figures = load_of.requests(target, {
        surface = "messages", body_file = file, connections = 64, keys = target.keys,
      }, options.seconds)
      check_failures(figures, target)
      return { cpu_us = figures.cpu_us, p99_us = figures.p99_us }
    end)
  end, debug.traceback)
  stop_all(list)
  if not ok then
    error(results, 0)
  end
  local one, many = results["one key"], results["10,000 keys"]
  local function part(a, b)
    return a / b
  end
  return { Moongate = {
    cpu_us = many.cpu_us, cpu_ratio = statistics.combine(many.cpu_us, one.cpu_us, part),
    p99_ratio = statistics.combine(many.p99_us, one.p99_us, part),
  } }, {}
end

local function run_start(row, options)
  local list = {}
  for i, name in ipairs(GATEWAYS) do
    list[i] = { name = name }
  end
  return rounds_of(row, list, options.rounds, function(target)
    return with_targets({ target.name }, {}, function(started)
      time.sleep(SETTLE_MS)
      return { start_ms = started[1].start_ms, idle_mib = machine.pss_kib(machine.tree(started[1].program.pid)) / 1024 }
    end)
  end), {}
end

-- ---- the table ----

---@class bench.Goal
---@field figure string Name of the figure of Moongate that counts.
---@field at_most number
---@field aim number
---@field unit string

local function ratio(at_most, aim)
  return { { figure = "ratio", at_most = at_most, aim = aim, unit = "x nginx" } }
end

local function text_of(size)
  return function()
    return bodies.text(size)
  end
end

M.ROWS = {
  { id = "messages-1k", work = "1 KB Messages: key, policy hook, signed, metered", run = run_requests, surface = "messages",
    body = text_of(KB), shown = "cpu_us", unit = "µs", goals = ratio(1.25, 1.0) },
  { id = "chat-1k", work = "1 KB Chat Completions, translated both ways, signed", run = run_requests, surface = "chat",
    body = text_of(KB), shown = "cpu_us", unit = "µs", goals = ratio(2.0, 1.5) },
  { id = "messages-100k", work = "100 KB Messages, signed", run = run_requests, surface = "messages",
    body = text_of(100 * KB), shown = "cpu_us", unit = "µs", goals = {} },
  { id = "chat-100k", work = "100 KB Chat Completions, translated, signed", run = run_requests, surface = "chat",
    body = text_of(100 * KB), shown = "cpu_us", unit = "µs", goals = {} },
  { id = "event-passed", work = "one streamed event passed through", run = run_events, surface = "messages",
    shown = "cpu_us", unit = "µs", goals = ratio(1.05, 1.0) },
  { id = "event-translated", work = "one streamed event translated", run = run_events, surface = "chat",
    shown = "cpu_us", unit = "µs", goals = ratio(1.2, 1.08) },
  { id = "messages-4m", work = "4 MB Messages body, signed", run = run_requests, surface = "messages", connections = 8,
    body = function()
      return bodies.image(4 * MB)
    end, shown = "cpu_us", unit = "µs", goals = ratio(3.1, 2.2) },
  { id = "image-4m", work = "4 MB Chat body with an image, translated, signed", run = run_requests, surface = "chat",
    connections = 8, body = function()
      return bodies.chat_image(4 * MB)
    end, shown = "cpu_us", unit = "µs", goals = ratio(3.8, 2.8) },
  { id = "history", work = "1.6 MB Chat history of 900 messages, translated, signed", run = run_requests, surface = "chat",
    connections = 8, body = bodies.chat_history, shown = "cpu_us", unit = "µs", goals = ratio(5, 3.7) },
  { id = "tls-1k", work = "TLS upstream, kept alive, 1 KB Messages", run = run_requests, surface = "messages", is_tls = true,
    body = text_of(KB), shown = "cpu_us", unit = "µs", goals = ratio(1.7, 1.2) },
  { id = "memory", work = "memory per open stream, 2,000 streams", run = run_slow, surface = "messages",
    shown = "kib", unit = "KiB", goals = { { figure = "kib", at_most = 8, aim = 3, unit = "KiB" } } },
  { id = "memory-translated", work = "memory per open translated stream", run = run_slow, surface = "chat",
    shown = "kib", unit = "KiB", goals = { { figure = "kib", at_most = 8, aim = 3, unit = "KiB" } } },
  { id = "memory-tls", work = "memory per open stream over a TLS upstream", run = run_slow, surface = "messages",
    is_tls = true, shown = "kib", unit = "KiB", goals = { { figure = "kib", at_most = 41, aim = 25, unit = "KiB" } } },
  { id = "slow", work = "latency added to a translated event, 2,000 streams, one event per 100 ms", run = run_slow,
    surface = "chat", has_direct = true, shown = "added_p50_ms", unit = "ms", goals = {
      { figure = "added_p50_ms", at_most = 0.10, aim = 0.10, unit = "ms p50" },
      { figure = "added_p99_ms", at_most = 0.30, aim = 0.30, unit = "ms p99" },
    } },
  { id = "keys", work = "10,000 keys against one: CPU, p99", run = run_keys, shown = "cpu_us", unit = "µs", goals = {
    { figure = "cpu_ratio", at_most = 1.02, aim = 1.0, unit = "x CPU" },
    { figure = "p99_ratio", at_most = 1.1, aim = 1.0, unit = "x p99" },
  } },
  { id = "start", work = "start to first answer; idle PSS", run = run_start, shown = "start_ms", unit = "ms", goals = {
    { figure = "start_ms", at_most = 50, aim = 50, unit = "ms" },
    { figure = "idle_mib", at_most = 15, aim = 15, unit = "MiB" },
  } },
}

return M
