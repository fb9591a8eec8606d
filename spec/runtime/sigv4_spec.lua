local crypto = require("rt.crypto")
local sigv4 = require("rt.sigv4")

local SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
local BODY = '{"model":"claude-sonnet-4-6","max_tokens":16,"messages":[{"role":"user","content":"Hello"}]}'

local function new_signer(changes)
  local options = {
    access_key_id = "AKIDEXAMPLE", secret_access_key = SECRET,
    region = "us-west-2", service = "aws-external-anthropic",
  }
  for name, value in pairs(changes or {}) do
    options[name] = value
  end
  return sigv4.signer(options)
end

local function new_request(changes)
  local request = {
    method = "POST", target = "/v1/messages", body = BODY, time_s = 1795305600,
    headers = {
      "host", "aws-external-anthropic.us-west-2.api.aws", "content-type", "application/json",
      "anthropic-version", "2023-06-01", "anthropic-workspace-id", "wrkspc_01AbCdEf23GhIj",
    },
  }
  for name, value in pairs(changes or {}) do
    request[name] = value
  end
  return request
end

local function signature(list)
  return list[#list]:match("Signature=(%x+)$")
end

describe("rt.sigv4", function()
  it("signs as the vendor's signer does", function()
    local list = new_signer():sign(new_request())
    assert.same({
      "x-amz-date", "20261122T000000Z",
      "x-amz-content-sha256", "10af2eaff3ae6ad0975713623f6d8f2f78232eb1e76c03508cbaa53d4deb854a",
      "authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261122/us-west-2/aws-external-anthropic/aws4_request,"
        .. " SignedHeaders=anthropic-version;anthropic-workspace-id;content-type;host;x-amz-content-sha256;x-amz-date,"
        .. " Signature=3ec336254f4a90b64410f881d8721f7ecf3e4c7e259f576267c6a0caa2d5a327",
    }, list)
  end)

  it("signs a session token, and a body known by its digest", function()
    local signer = new_signer({ session_token = "FwoGZXIvYXdzEXAMPLE/+==\n" })
    local list = signer:sign(new_request({ content_sha256 = crypto.sha256_hex(BODY) }))
    assert.equal("69d4d3d6e7d52dbce6402bee4e128f250f76cf0d25e46c5ee196b79e79d668ac", signature(list))
    assert.same({ "x-amz-security-token", "FwoGZXIvYXdzEXAMPLE/+==" }, { list[5], list[6] })
  end)

  it("leaves x-amz-content-sha256 out where the service does not want it", function()
    local list = new_signer({ content_sha256 = false }):sign(new_request())
    assert.same({ "x-amz-date", "authorization" }, { list[1], list[3] })
    assert.is_nil(list[5])
  end)

  it("announces an unsigned body", function()
    local signer = new_signer()
    local list = signer:sign(new_request({ content_sha256 = "UNSIGNED-PAYLOAD" }))
    assert.equal("UNSIGNED-PAYLOAD", list[4])
    assert.not_equal(signature(list), signature(signer:sign(new_request())))
  end)

  it("takes no body for an empty one", function()
    local request = new_request()
    request.body = nil
    local signer = new_signer()
    assert.equal(signature(signer:sign(new_request({ body = "" }))), signature(signer:sign(request)))
  end)

  it("adds the clock's offset, and signs with the wall clock by default", function()
    local signer = new_signer()
    assert.equal("20261121T235459Z", signer:sign(new_request({ clock_offset_s = -301 }))[2])
    assert.equal("20261122T000000Z", signer:sign(new_request({ time_s = 1795305600.9 }))[2])
    local request = new_request()
    request.time_s = nil
    local before, now, after = os.date("!%Y%m%dT%H%M%SZ"), signer:sign(request)[2], os.date("!%Y%m%dT%H%M%SZ")
    assert.is_true(before <= now and now <= after)
  end)

  it("says what is wrong with a request", function()
    local signer = new_signer()
    assert.equal("bad_header", select(2, signer:sign(new_request({ headers = { "a", "b" } }))).code)
    assert.equal("bad_header", select(2, signer:sign(new_request({ headers = { "host", "h", "a b", "c" } }))).code)
    assert.equal("bad_time", select(2, signer:sign(new_request({ time_s = -1 }))).code)
    assert.equal("too_large", select(2, signer:sign(new_request({ target = "/?" .. ("a&"):rep(65) }))).code)
  end)

  it("raises for arguments of a wrong shape", function()
    local signer = new_signer()
    for pattern, changes in pairs({
      ["name, value, name, value"] = { headers = { "host" } },
      ["headers%[2%]: string expected, got number"] = { headers = { "host", 1 } },
      ["headers: list expected"] = { headers = "host" },
      ["method: string expected"] = { method = 1 },
      ["body: string, bytes or output expected"] = { body = {} },
      ["content_sha256: 64 hexadecimal digits or UNSIGNED%-PAYLOAD"] = { content_sha256 = "abc" },
      ["time_s: seconds expected"] = { time_s = 0 / 0 },
    }) do
      assert.error_matches(function() signer:sign(new_request(changes)) end, pattern)
    end
  end)

  it("refuses credentials that cannot be sent, without repeating them", function()
    for name, value in pairs({
      access_key_id = "", secret_access_key = " \n", session_token = "canary\r\nx: y",
      region = "us west", service = "a/b",
    }) do
      local signer, err = new_signer({ [name] = value })
      assert.is_nil(signer)
      assert.equal("bad_credential", err.code)
      assert.is_truthy(err.message:find(name, 1, true))
      assert.is_nil(err.message:find("canary", 1, true))
    end
    assert.error_matches(function() sigv4.signer({ access_key_id = "a" }) end, "secret_access_key: string expected")
  end)

  it("shows no secret, and none is left after close", function()
    local signer = new_signer()
    assert.is_nil(tostring(signer):find(SECRET, 1, true))
    assert.equal("rt.sigv4.signer", getmetatable(signer))
    signer:close()
    signer:close()
    assert.equal("closed", select(2, signer:sign(new_request())).code)
  end)

  it("gives the form of a query that is safe to send", function()
    assert.equal("a=x%20y&b=2", sigv4.canonical_query("b=2&a=x+y"))
    assert.equal("", sigv4.canonical_query(""))
    assert.equal("too_large", select(2, sigv4.canonical_query(("a&"):rep(65))).code)
  end)
end)
