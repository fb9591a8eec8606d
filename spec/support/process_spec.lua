local process = require("spec.support.process")
local rt_process = require("rt.process")

describe("spec.support.process", function()
  it("waits for what a program says and ends it by its id", function()
    local program = process.start({
      file = "/bin/sh",
      args = { "-c", "echo port $PORT; cat input; kill -STOP $$" },
      env = { PORT = "17" },
      files = { input = "hello\n" },
    })
    finally(function()
      program:stop("KILL")
    end)
    assert.equal("17", program:wait_for("port (%d+)"))
    assert.equal("hello", program:wait_for("(hello)"))
    local pid = program.pid
    assert.is_true(rt_process.kill(pid, 0))
    program:stop("KILL")
    local _, err = rt_process.kill(pid, 0)
    assert.is_table(err)
    assert.is_nil(process.read_file(program.folder .. "/output"))
  end)

  it("shows what was said when a program ends too early", function()
    local program = process.start({ file = "/bin/sh", args = { "-c", "echo no luck >&2; exit 3" } })
    local ok, message = pcall(program.wait_for, program, "ready")
    assert.is_false(ok)
    assert.matches("no luck", message, 1, true)
    assert.same({ status = 3 }, program:wait())
    program:stop()
  end)

  it("runs a program to its end", function()
    local status, output = process.run({ file = "/bin/sh", args = { "-c", "echo done; exit 4" } })
    assert.equal(4, status)
    assert.equal("done\n", output)
  end)

  it("stops waiting for one that does not end", function()
    local ok, message = pcall(process.run, { file = "/bin/sh", args = { "-c", "kill -STOP $$" }, limit_ms = 1 })
    assert.is_false(ok)
    assert.matches("still runs", message, 1, true)
  end)
end)
