local fs = require("rt.fs")
local listeners = require("gate.listeners")
local process = require("spec.support.process")

describe("gate.listeners", function()
  it("opens one socket for each worker on each address", function()
    local opened = assert(listeners.open({ "127.0.0.1:0", { address = "127.0.0.1:0" } }, 3))
    assert.equal(6, #opened.fds)
    local seen = {}
    for i = 1, 3 do
      for at = 1, 2 do
        assert.is_nil(seen[opened.by_worker[i][at]])
        seen[opened.by_worker[i][at]] = true
      end
    end
    assert.is_true(opened.addresses[1] ~= opened.addresses[2])
    assert.is_false(opened:differ({ "127.0.0.1:0", "127.0.0.1:0" }))
    assert.is_true(opened:differ({ "127.0.0.1:0" }))
    assert.is_true(opened:differ({ "127.0.0.1:0", "127.0.0.1:1" }))
    opened:close()
    opened:close()
  end)

  it("shares a Unix socket and removes it", function()
    local folder = process.folder()
    local path = folder .. "/public"
    local opened = assert(listeners.open({ { address = "unix:" .. path, mode = 438 } }, 2))
    assert.equal(opened.by_worker[1][1], opened.by_worker[2][1])
    assert.equal(438, fs.stat(path).mode)
    opened:close()
    assert.is_nil((fs.stat(path)))
    process.remove_folder(folder)
  end)

  it("opens all or none", function()
    local first = assert(listeners.open({ "127.0.0.1:0" }, 1))
    local opened, err = listeners.open({ "127.0.0.1:0", first.addresses[1] }, 2)
    assert.is_nil(opened)
    assert.equal("address_in_use", err.code)
    first:close()
  end)
end)
