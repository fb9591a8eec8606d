--- Secrets that other users of this machine may read: written out in a configuration whose file is open to them, or in
--- a file of its own that is. A warning, no error: the machine may have no other users.
local fs = require("rt.fs")

local M = {}

local OTHERS_READ = tonumber("004", 8)

local function is_open(path, about)
  about[path] = about[path] or fs.stat(path) or { mode = 0 }
  return bit.band(about[path].mode, OTHERS_READ) ~= 0
end

--- What is open, and what to do.
---@param secrets gate.NotedSecret[] Of gate.problems.
---@param files table<string, string> The bundle's texts by path.
---@return string[] warnings Without the secrets.
function M.find(secrets, files)
  local warnings, about = {}, {}
  for _, noted in ipairs(secrets) do
    local text = noted.file and files[noted.file]
    if noted.is_file_of_its_own then
      if is_open(noted.file, about) then
        warnings[#warnings + 1] = ("%s: every user of this machine may read this secret: chmod 600 %s"):format(noted.file, noted.file)
      end
    elseif text and text:find(noted.value, 1, true) and is_open(noted.file, about) then -- or else it is of env.NAME
      warnings[#warnings + 1] = ("%s:%d: %s: every user of this machine may read this secret: chmod 600 %s, or take it "
        .. "from secret.env or secret.file"):format(noted.file, noted.line or 1, noted.path, noted.file)
    end
  end
  return warnings
end

return M
