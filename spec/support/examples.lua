--- The examples of a README, run as a reader would run them. A fenced block says by the comment right above it
--- what becomes of it:
---   <!-- example: says "text" -->                run; its output must contain the text (`says` any number of times)
---   <!-- example: plugin NAME -->                a plugin (lua): loaded by the gateway as NAME
---   <!-- example: config -->                     a gate.lua (lua): `moongate check` must find nothing wrong
---   <!-- example: not run, because REASON -->    left alone
--- sh, js and lua blocks without such a comment are an error: nobody would notice when they break. In what runs, the
--- address http://127.0.0.1:8787 stands for the gateway under test, $MOONGATE_KEY for a key of it.
local lfs = require("lfs")
local process = require("spec.support.process")

local M = {}

local DEFAULT_URL = "http://127.0.0.1:8787"
local RUNNABLE = { sh = true, js = true, lua = true }

---@class spec.Example
---@field language "sh"|"js"|"lua"|string
---@field text string
---@field at string "README.md:12"
---@field says string[] What its output must contain.
---@field plugin? string
---@field is_config boolean
---@field is_left_alone boolean

local function read_mark(mark, example)
  example.plugin = mark:match("^plugin ([%w_]+)")
  example.is_config = mark == "config"
  example.is_left_alone = mark:find("^not run, because %S") ~= nil
  for text in mark:gmatch('says "([^"]+)"') do
    example.says[#example.says + 1] = text
  end
  local does_something = example.plugin or example.is_config or example.is_left_alone or #example.says > 0
  if not does_something then
    return ("%s: what does %q mean?"):format(example.at, mark)
  end
end

--- Finds the fenced blocks of a text.
---@param text string
---@param name string Of the file, for messages.
---@return spec.Example[] examples Only those that a comment speaks of.
---@return string[] problems Blocks that nobody says anything about.
function M.find(text, name)
  local examples, problems = {}, {}
  local current, lines, mark
  local number = 0
  for line in (text .. "\n"):gmatch("([^\n]*)\n") do
    number = number + 1
    local language = line:match("^```(%w+)%s*$")
    if current and line:find("^```%s*$") then
      current.text = table.concat(lines, "\n") .. "\n"
      current = nil
    elseif current then
      lines[#lines + 1] = line
    elseif language then
      current, lines = { language = language, at = name .. ":" .. number, says = {}, is_left_alone = false }, {}
      if mark then
        problems[#problems + 1] = read_mark(mark, current)
        examples[#examples + 1] = current
      elseif RUNNABLE[language] then
        problems[#problems + 1] = current.at .. ": a block of " .. language .. " without <!-- example: ... -->"
      end
      mark = nil
    elseif line:find("%S") then
      mark = line:match("^<!%-%- example: (.-) %-%->%s*$")
    end
  end
  return examples, problems
end

local function escape(text)
  return (text:gsub("%p", "%%%0"))
end

--- Runs an example of sh or js and raises when it fails or does not say what it should.
---@param example spec.Example
---@param env { url: string, key: string }
function M.run(example, env)
  local folder = process.folder()
  local text = example.text:gsub(escape(DEFAULT_URL), (env.url:gsub("%%", "%%%%")))
  local file, args
  if example.language == "js" then
    process.write_file(folder .. "/example.mjs", text)
    assert(lfs.link(lfs.currentdir() .. "/spec/clients/node_modules", folder .. "/node_modules", true))
    file, args = os.getenv("MOONGATE_NODE") or lfs.currentdir() .. "/build/tools/bin/node", { folder .. "/example.mjs" }
  elseif example.language == "sh" then
    file, args = "/bin/sh", { "-ec", text }
  else
    error(example.at .. ": cannot run " .. example.language, 2)
  end
  local ok, status, output = pcall(process.run, {
    file = file,
    args = args,
    folder = folder,
    env = { MOONGATE_KEY = env.key, PATH = lfs.currentdir() .. "/build/tools/bin:" .. os.getenv("PATH") },
    limit_ms = 60000,
  })
  process.remove_folder(folder)
  if not ok then
    error(example.at .. ": " .. tostring(status), 0)
  elseif status ~= 0 then
    error(("%s: ended with %d:\n%s"):format(example.at, status, output), 0)
  end
  for _, expected in ipairs(example.says) do
    if not output:find(expected, 1, true) then
      error(("%s: did not say %q:\n%s"):format(example.at, expected, output), 0)
    end
  end
end

return M
