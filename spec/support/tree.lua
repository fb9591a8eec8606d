--- What the repository holds, and the little that specs about the tree itself ask of it.
local M = {}

local function lines_of(command)
  local pipe = assert(io.popen(command))
  local lines = {}
  for line in pipe:lines() do
    lines[#lines + 1] = line
  end
  pipe:close()
  return lines
end

--- Paths of all files that are, or would be, in the repository. Without git (a source archive): all files.
---@return string[]
function M.files()
  local paths = lines_of("git ls-files --cached --others --exclude-standard 2>/dev/null")
  if #paths == 0 then
    paths = lines_of("find . -type f -not -path './build/*' -not -path './data/*' -not -path '*/node_modules/*' " ..
      "-not -path './.git/*' | sed 's#^[.]/##'")
  end
  local there = {}
  for _, path in ipairs(paths) do
    local file = io.open(path, "rb")
    if file then -- a deleted file is still in the index
      file:close()
      there[#there + 1] = path
    end
  end
  return there
end

--- Those of the paths that match one of the Lua patterns.
---@param paths string[]
---@return string[]
function M.matching(paths, ...)
  local found = {}
  for _, path in ipairs(paths) do
    for _, pattern in ipairs({ ... }) do
      if path:find(pattern) then
        found[#found + 1] = path
        break
      end
    end
  end
  return found
end

---@param path string
---@return string
function M.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

--- Calls visit(line, number) for every line of a file.
---@param path string
---@param visit fun(line: string, number: integer)
function M.each_line(path, visit)
  local number = 0
  for line in M.read(path):gmatch("([^\n]*)\n?") do
    number = number + 1
    visit(line, number)
  end
end

M.lines_of = lines_of

return M
