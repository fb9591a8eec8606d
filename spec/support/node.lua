--- Runs tests written for node:test (spec/clients/*.mjs) and makes each of them a test of the spec that
--- calls: the real SDKs are the judges, busted counts.
local lfs = require("lfs")
local process = require("spec.support.process")

local M = {}

local RUN_LIMIT_MS = 120000

local function unescape(name)
  return (name:gsub("\\(.)", "%1"))
end

-- What `node --test-reporter=tap` says of the outermost tests.
local function read_tap(text)
  local results, current = {}, nil
  for line in text:gmatch("[^\n]*") do
    local verdict, name = line:match("^(n?o?t? ?ok) %d+ %- (.*)$")
    if name then
      local directive = name:match(" # (%u+)")
      current = { is_ok = verdict == "ok" and not directive, lines = {} }
      results[unescape(name:gsub(" # %u+.*$", ""))] = current
    elseif current and line:find("^  ") then
      current.lines[#current.lines + 1] = line
    end
  end
  return results
end

local function names_in(text)
  local names = {}
  for quote, name in ("\n" .. text):gmatch("\ntest%(%s*([\"'`])(.-)%1") do
    assert(quote ~= "`" or not name:find("${", 1, true), "a test's name must be plain text: " .. name)
    names[#names + 1] = name
  end
  return names
end

--- Runs a file with Node and returns the results of its outermost tests.
---@param path string
---@param env table<string, string> Beside this process's.
---@return table<string, { is_ok: boolean, lines: string[] }> results By name.
---@return integer status
---@return string output
function M.run(path, env)
  local node = os.getenv("MOONGATE_NODE") or lfs.currentdir() .. "/build/tools/bin/node"
  local status, output = process.run({
    file = node,
    args = { "--test-reporter=tap", path:find("^/") and path or lfs.currentdir() .. "/" .. path },
    env = env,
    limit_ms = RUN_LIMIT_MS,
  })
  return read_tap(output), status, output
end

--- Makes an `it` of every `test("name", ...)` that begins a line of a file. The file runs once, when its first
--- test is asked for.
---@param it function busted's.
---@param path string "spec/clients/openai.mjs"
---@param environment fun(): table<string, string> Called right before the run: addresses and keys.
function M.tests(it, path, environment)
  local names = names_in(assert(process.read_file(path), path))
  assert(#names > 0, path .. " has no test")
  local results, status, output
  local function run_once()
    if not results then
      results, status, output = M.run(path, environment())
    end
  end
  for _, name in ipairs(names) do
    it(name, function()
      run_once()
      local result = results[name]
      if not result then
        error(("%s did not run (status %d):\n%s"):format(name, status, output), 0)
      elseif not result.is_ok then
        error(path .. ": " .. name .. "\n" .. table.concat(result.lines, "\n"), 0)
      end
    end)
  end
  it(path .. " runs nothing else and ends in order", function()
    run_once()
    local all_ok = true
    for name, result in pairs(results) do
      all_ok = all_ok and result.is_ok
      local is_listed = false
      for _, listed in ipairs(names) do
        is_listed = is_listed or listed == name
      end
      assert(is_listed, "not found in the source, so not counted: " .. name)
    end
    assert(status == 0 or not all_ok, output) -- a test that failed has been counted already
  end)
end

return M
