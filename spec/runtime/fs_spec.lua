local fs = require("rt.fs")

describe("rt.fs", function()
  local folder

  before_each(function()
    folder = assert(fs.temporary_folder("moongate-spec"))
  end)
  after_each(function()
    os.execute("rm -rf '" .. folder .. "'")
  end)

  local function code_of(_, err)
    return err and err.code
  end

  it("writes a file whole or not at all, and reads it", function()
    local path = folder .. "/a"
    assert.is_true(fs.write_file(path, "one\0two"))
    assert.equal("one\0two", fs.read_file(path))
    assert.equal(416, fs.stat(path).mode) -- 0640
    assert.is_true(fs.write_file(path, "", { mode = 384 }))
    assert.equal("", fs.read_file(path))
    assert.equal(384, fs.stat(path).mode)
    assert.equal("not_found", code_of(fs.write_file(folder .. "/none/a", "x")))
    assert.is_true(fs.mkdir(folder .. "/taken"))
    assert.is_string(code_of(fs.write_file(folder .. "/taken", "x")))
    assert.same({ "a", "taken" }, fs.list(folder)) -- no temporary file is left
  end)

  it("reads up to a limit, and only regular files", function()
    local path = folder .. "/a"
    local text = ("x"):rep(100000)
    fs.write_file(path, text)
    assert.is_true(text == fs.read_file(path, { limit_bytes = 100000 }))
    assert.equal("too_large", code_of(fs.read_file(path, { limit_bytes = 99999 })))
    assert.equal("not_found", code_of(fs.read_file(folder .. "/none")))
    assert.equal("not_a_file", code_of(fs.read_file(folder)))
    assert.equal("not_a_file", code_of(fs.read_file("/dev/zero")))
    os.execute("mkfifo '" .. folder .. "/pipe'")
    assert.equal("not_a_file", code_of(fs.read_file(folder .. "/pipe")))
  end)

  it("refuses links and files of others where asked", function()
    local path, link = folder .. "/a", folder .. "/link"
    fs.write_file(path, "secret", { mode = 384 })
    os.execute(("ln -s a '%s'"):format(link))
    assert.equal("secret", fs.read_file(link))
    assert.equal("not_a_file", code_of(fs.read_file(link, { no_link = true })))
    assert.equal("secret", fs.read_file(path, { no_link = true, private = true }))
    for _, mode in ipairs({ 416, 388, 400, 386 }) do
      fs.chmod(path, mode)
      assert.equal("not_private", code_of(fs.read_file(path, { private = true })))
    end
    assert.equal("link", fs.stat(link, { no_link = true }).type)
    assert.equal("file", fs.stat(link).type)
    assert.equal(fs.realpath(path), fs.realpath(link))
  end)

  it("makes, lists and removes folders", function()
    assert.is_true(fs.mkdir(folder .. "/x/y/z", { mode = 448 }))
    assert.is_true(fs.mkdir(folder .. "/x/y/z"))
    assert.equal("folder", fs.stat(folder .. "/x/y").type)
    fs.write_file(folder .. "/file", "")
    assert.is_string(code_of(fs.mkdir(folder .. "/file")))
    assert.is_string(code_of(fs.mkdir(folder .. "/file/below")))
    assert.same({ "file", "x" }, fs.list(folder))
    assert.equal("not_found", code_of(fs.list(folder .. "/none")))
    assert.is_string(code_of(fs.rmdir(folder .. "/x")))
    assert.is_true(fs.rmdir(folder .. "/x/y/z"))
    assert.is_true(fs.rename(folder .. "/file", folder .. "/moved"))
    assert.is_true(fs.unlink(folder .. "/moved"))
    assert.equal("not_found", code_of(fs.unlink(folder .. "/moved")))
  end)
end)
