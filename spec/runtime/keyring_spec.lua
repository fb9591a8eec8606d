local crypto = require("rt.crypto")
local keyring = require("rt.keyring")

describe("rt.keyring", function()
  it("finds what was added, and nothing else", function()
    local ring = keyring.new()
    assert.is_true(ring:add(crypto.sha256_hex("mg-one"), '{"user":"one"}'))
    assert.is_true(ring:add(crypto.sha256_hex("mg-two"):upper(), "two\0two"))
    assert.is_true(ring:add(crypto.sha256("mg-three")))
    assert.equal(3, ring:count())
    assert.same({ 1, '{"user":"one"}' }, { ring:find("mg-one") })
    assert.same({ 2, "two\0two" }, { ring:find("mg-two") })
    assert.same({ 3, "" }, { ring:find("mg-three") })
    assert.equal(2, ring:index_of("mg-two"))
    assert.equal("two\0two", ring:record(2))
    for _, wrong in ipairs({ "", "mg-on", "mg-onee", "MG-ONE", "mg-one\0", crypto.sha256_hex("mg-one") }) do
      assert.is_nil((ring:find(wrong)))
      assert.is_nil((ring:index_of(wrong)))
    end
  end)

  it("refuses a bad digest, a double one, and any change once it is in use", function()
    local ring = keyring.new()
    for _, bad in ipairs({ "", "abc", ("g"):rep(64), ("a"):rep(63), ("a"):rep(33) }) do
      assert.equal("bad_key", select(2, ring:add(bad, "r")).code)
    end
    assert.is_true(ring:add(crypto.sha256_hex("k"), "first"))
    assert.equal("duplicate", select(2, ring:add(crypto.sha256("k"), "second")).code)
    assert.same({ 1, "first" }, { ring:find("k") })
    assert.equal("sealed", select(2, ring:add(crypto.sha256_hex("l"), "r")).code)
    assert.equal(1, ring:count())
  end)

  it("takes many keys as lines", function()
    local ring = keyring.new()
    assert.equal(3, ring:add_lines(table.concat({
      "# name of the file's owner", crypto.sha256_hex("a") .. " record a", "",
      crypto.sha256_hex("b"), crypto.sha256_hex("c") .. "  c with a blank\r", "",
    }, "\n")))
    ring:seal()
    assert.same({ 1, "record a" }, { ring:find("a") })
    assert.same({ 2, "" }, { ring:find("b") })
    assert.same({ 3, " c with a blank" }, { ring:find("c") })
  end)

  it("names the line that is wrong", function()
    local ring = keyring.new()
    local digest = crypto.sha256_hex("a")
    for _, bad in ipairs({ "xyz", digest .. "record", digest:sub(2), digest:sub(2) .. "g" }) do
      local count, err = ring:add_lines("\n" .. bad)
      assert.is_nil(count)
      assert.same({ "bad_key", "line 2" }, { err.code, err.message:match("^line 2") })
    end
    local _, err = ring:add_lines(digest .. " x\n" .. digest .. " y\n")
    assert.same({ "duplicate", "line 2" }, { err.code, err.message:match("^line 2") })
    assert.equal(1, ring:count())
  end)

  it("keeps 100,000 keys off the Lua heap", function()
    collectgarbage()
    local before = collectgarbage("count")
    local ring = keyring.new()
    for i = 1, 100000 do
      ring:add(crypto.sha256("key " .. i), "record " .. i)
    end
    collectgarbage()
    assert.is_true(collectgarbage("count") - before < 64)
    assert.is_true(ring:memory_bytes() < 20e6)
    assert.same({ 77777, "record 77777" }, { ring:find("key 77777") })
    assert.is_nil((ring:find("key 100001")))
  end)

  it("raises for a wrong index and a wrong self", function()
    local ring = keyring.new()
    assert.error_matches(function() ring:record(1) end, "index out of range")
    assert.error_matches(function() ring:record(0) end, "index out of range")
    assert.error_matches(function() ring.find({}, "x") end, "rt.keyring expected")
    assert.is_nil((ring:find("x")))
  end)
end)
