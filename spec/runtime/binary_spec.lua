--- The one binary: what it needs at run time, how it is hardened, where it finds its Lua; and that the build
--- does nothing twice.
local http = require("spec.support.http")
local process = require("spec.support.process")
local tree = require("spec.support.tree")

local is_sanitized = os.getenv("MOONGATE_VARIANT") == "-san"
local binary = "build/moongate" .. (is_sanitized and "-san" or "")

local function readelf(flags)
  return table.concat(tree.lines_of("LC_ALL=C readelf -W " .. flags .. " " .. binary), "\n")
end

-- A make of its own, not a child of the one that runs the tests.
local function make(arguments)
  return process.run({
    file = "/usr/bin/env",
    args = { "-u", "MAKEFLAGS", "-u", "MAKELEVEL", "-u", "MFLAGS", "make", unpack(arguments) },
    cwd = require("lfs").currentdir(),
    limit_ms = 120000,
  })
end
local variant = is_sanitized and "SAN=1" or "SAN="

describe("the binary", function()
  it("needs only libc", function()
    local allowed = { ["libc"] = true, ["libm"] = true, ["ld-linux-x86-64"] = true, ["ld-linux-aarch64"] = true }
    if is_sanitized then
      allowed.libasan, allowed.libubsan, allowed.libgcc_s = true, true, true
    end
    local count = 0
    for name in readelf("-d"):gmatch("%(NEEDED%)%s+Shared library: %[([^%].]+)") do
      assert(allowed[name], name)
      count = count + 1
    end
    assert.is_true(count > 0)
  end)

  it("is position independent, bound at start and read-only after, with no executable stack", function()
    assert.matches("Type:%s+DYN", readelf("-h"))
    local dynamic, segments = readelf("-d"), readelf("-l")
    assert.matches("BIND_NOW", dynamic)
    assert.matches("GNU_RELRO", segments)
    assert.matches("GNU_STACK[^\n]* RW ", segments)
    for flags in segments:gmatch("LOAD%s+0x%x+ 0x%x+ 0x%x+ 0x%x+ 0x%x+ (%u ?%u? ?%u?) ") do
      assert.is_nil(flags:find("W.*E"), "a segment is writable and executable")
    end
  end)

  it("checks stack and buffers", function()
    if not is_sanitized then
      local symbols = readelf("--dyn-syms")
      assert.matches("__stack_chk_fail", symbols)
      assert.matches("__%w+_chk@", (symbols:gsub("__stack_chk_fail@", "")))
    end
  end)

  it("gives its functions to Lua's FFI", function()
    assert.matches(" bytes_new\n", readelf("--dyn-syms") .. "\n")
  end)

  it("does nothing when it is built again", function()
    local status, output = make({ "-q", "all", variant })
    assert(status == 0, output)
  end)

  it("is installed with its Lua, its plugins and a unit, and runs from there", function()
    local folder = process.folder()
    local status, output = make({ "-s", "install", "DESTDIR=" .. folder, "PREFIX=/usr", variant })
    assert(status == 0, output)
    for _, path in ipairs({ "bin/moongate", "share/moongate/lua/gate/plugin.lua", "lib/systemd/system/moongate.service" }) do
      assert(process.read_file(folder .. "/usr/" .. path), path .. " is not installed")
    end
    assert.is_nil(process.read_file(folder .. "/usr/share/moongate/lua/gate/README.md"))
    assert.matches("ExecStart=/usr/bin/moongate run", process.read_file(folder .. "/usr/lib/systemd/system/moongate.service"))
    process.write_file(folder .. "/where.lua", "io.write(require('rt.system').home())")
    status, output = process.run({
      file = folder .. "/usr/bin/moongate",
      args = { "--script", folder .. "/where.lua" },
    })
    assert.equal(0, status, output)
    assert.equal(folder .. "/usr/share/moongate", output)
    local file = folder .. "/usr/bin/moongate"
    status, output = process.run({ file = file, args = { "version" } })
    assert.equal(0, status, output)
    local files = { ["gate.lua"] = 'return { listen = { "127.0.0.1:0" }, accounts = { sim = { provider = "simulator" } } }' }
    status, output = process.run({ file = file, args = { "check" }, files = files })
    assert.equal(0, status, output)
    local gateway = process.start({ file = file, args = { "run" }, files = files })
    local port = tonumber(gateway:wait_for("http://127%.0%.0%.1:(%d+)"))
    assert.equal(200, http.ask(port, "GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").status)
    assert.same({ status = 0 }, gateway:stop())
    process.remove_folder(folder)
  end)
end)
