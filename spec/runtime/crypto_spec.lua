local crypto = require("rt.crypto")

describe("rt.crypto", function()
  it("hashes", function()
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", crypto.sha256_hex("abc"))
    assert.equal(crypto.sha256_hex("a\0b"), crypto.hex_encode(crypto.sha256("a\0b")))
    assert.equal("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
      crypto.hex_encode(crypto.hmac_sha256("Jefe", "what do ya want for nothing?")))
  end)

  it("hashes shared bytes without making a string of them, and forgets when they change", function()
    local ffi = require("ffi")
    ffi.cdef([[
      struct bytes *bytes_copy(const char *data, size_t size);
      bool bytes_append_grow(struct bytes *b, const char *data, size_t size);
      void bytes_drop(struct bytes *b);
    ]])
    local shared = ffi.C.bytes_copy("abc", 3)
    assert.equal(crypto.sha256_hex("abc"), crypto.sha256_hex(shared))
    assert.is_true(ffi.C.bytes_append_grow(shared, "d", 1))
    assert.equal(crypto.sha256_hex("abcd"), crypto.sha256_hex(shared))
    ffi.C.bytes_drop(shared)
  end)

  it("refuses what it cannot hash", function()
    assert.error_matches(function() crypto.sha256({}) end, "string, bytes or output expected")
    assert.error_matches(function() crypto.sha256_hex(nil) end, "string, bytes or output expected")
    assert.error_matches(function() crypto.sha256(12) end, "string, bytes or output expected")
  end)

  it("gives random bytes of any size, never twice the same", function()
    assert.equal("", crypto.random_bytes(0))
    for _, count in ipairs({ 1, 16, 256, 257, 5000, 1048576 }) do
      assert.equal(count, #crypto.random_bytes(count))
      assert.equal(2 * count, #crypto.random_hex(count))
    end
    local seen = {}
    for _ = 1, 1000 do
      local id = crypto.random_hex(16)
      assert.matches("^%x+$", id)
      assert.is_nil(seen[id])
      seen[id] = true
    end
    for _, count in ipairs({ -1, 1.5, 1048577, 0 / 0, 1 / 0 }) do
      assert.error_matches(function() crypto.random_bytes(count) end, "0 to 1048576 bytes")
    end
  end)

  it("compares secrets", function()
    assert.is_true(crypto.equal("", ""))
    assert.is_true(crypto.equal("a\0b", "a\0b"))
    assert.is_false(crypto.equal("a\0b", "a\0c"))
    assert.is_false(crypto.equal("a", "ab"))
    assert.is_false(crypto.equal("ab", ""))
  end)

  it("encodes and decodes base64 in both alphabets", function()
    assert.equal("+/++", crypto.base64_encode("\251\255\190"))
    assert.equal("-_--", crypto.base64url_encode("\251\255\190"))
    assert.equal("Zg==", crypto.base64_encode("f"))
    assert.equal("Zg", crypto.base64url_encode("f"))
    for size = 0, 20 do
      local bytes = crypto.random_bytes(size)
      assert.equal(bytes, crypto.base64_decode(crypto.base64_encode(bytes)))
      assert.equal(bytes, crypto.base64url_decode(crypto.base64url_encode(bytes)))
    end
  end)

  it("says what is not base64 or hexadecimal", function()
    for _, text in ipairs({ "Zg", "Zg=", "Zh==", "Zm9 ", "-_--", "Zm9v\n" }) do
      local bytes, err = crypto.base64_decode(text)
      assert.is_nil(bytes)
      assert.equal("bad_base64", err.code)
    end
    assert.equal("bad_base64", select(2, crypto.base64url_decode("Zg==")).code)
    assert.equal("\0\127\255", crypto.hex_decode("007FfF"))
    assert.equal("", crypto.hex_decode(""))
    assert.equal("bad_hex", select(2, crypto.hex_decode("0")).code)
    assert.equal("bad_hex", select(2, crypto.hex_decode("0g")).code)
  end)
end)
