--- Test certificates in a temporary directory, made by build/obj/test/tls_test when first asked for (so that
--- nothing committed can expire): authority, good (localhost), address (127.0.0.1), expired, future, stranger
--- (signed by other, whom nobody trusts); each as NAME.pem and NAME.key.
local lfs = require("lfs")

local M = {}

local directory

local function test_binary()
  local binary = "build/obj/test/tls_test"
  local maps = assert(io.open("/proc/self/cmdline")):read("*a")
  if maps:match("^[^%z]*moongate%-san") then
    binary = "build/obj-san/test/tls_test"
  end
  return binary
end

--- Path of a file, e.g. path("good.pem").
function M.path(name)
  if not directory then
    directory = os.tmpname()
    os.remove(directory)
    assert(lfs.mkdir(directory))
    local command = test_binary() .. " --certificates " .. directory
    assert(os.execute(command) == 0, "cannot run " .. command .. " (make test-core builds it)")
  end
  return directory .. "/" .. name
end

--- What rt.tcp.listen and rt.server.listen take as `tls`.
function M.server(name)
  return { certificate = M.path(name .. ".pem"), key = M.path(name .. ".key") }
end

--- Removes the files.
function M.remove()
  if not directory then
    return
  end
  for file in lfs.dir(directory) do
    if file ~= "." and file ~= ".." then
      os.remove(directory .. "/" .. file)
    end
  end
  lfs.rmdir(directory)
  directory = nil
end

return M
