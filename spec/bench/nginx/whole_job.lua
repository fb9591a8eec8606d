--- The gateway's job as one would write it for nginx with its Lua module: what make bench compares with.
--- Runs in nginx (LuaJIT, lua-cjson, OpenSSL's SHA-256 by FFI), never in Moongate.
local cjson = require("cjson")
local ffi = require("ffi")
local ngx = ngx -- luacheck: ignore 113

ffi.cdef([[
  unsigned char *SHA256(const unsigned char *data, size_t size, unsigned char *digest);
  const void *EVP_sha256(void);
  unsigned char *HMAC(const void *md, const void *key, int key_size, const unsigned char *data, size_t size,
                      unsigned char *mac, unsigned int *mac_size);
]])

local M = {}

local ACCESS_KEY_ID, SECRET_ACCESS_KEY = "AKIDBENCH", "benchbenchbenchbenchbenchbenchbenchbench"
local REGION, SERVICE, WORKSPACE = "us-west-2", "aws-external-anthropic", "wrkspc_01Bench"
local MODELS = { ["claude-sonnet-4-6"] = true, ["claude-haiku-4-5"] = true }
local FINISH = { end_turn = "stop", stop_sequence = "stop", max_tokens = "length", tool_use = "tool_calls" }
local SIGNED = "anthropic-version;anthropic-workspace-id;content-type;host;x-amz-content-sha256;x-amz-date"

local digest, mac_size = ffi.new("unsigned char[32]"), ffi.new("unsigned int[1]")
local keys = {}

local HEX = {}
for i = 0, 255 do
  HEX[i] = ("%02x"):format(i)
end

local function hex_of(raw)
  local parts = {}
  for i = 1, 32 do
    parts[i] = HEX[raw:byte(i)]
  end
  return table.concat(parts)
end

local function sha256_hex(text)
  ffi.C.SHA256(text, #text, digest)
  return hex_of(ffi.string(digest, 32))
end

local function hmac(key, text)
  ffi.C.HMAC(ffi.C.EVP_sha256(), key, #key, text, #text, digest, mac_size)
  return ffi.string(digest, 32)
end

--- One "sha256-hex name" a line.
function M.load_keys(path)
  for line in io.lines(path) do
    local hash, name = line:match("^(%x+) (%S+)$")
    keys[hash] = { user = name }
  end
end

local function refuse(status, text)
  ngx.status = status
  ngx.header["content-type"] = "application/json"
  ngx.say(cjson.encode({ type = "error", error = { type = "invalid_request_error", message = text } }))
  return ngx.exit(status)
end

local function check_key()
  local key = ngx.var.http_x_api_key
  if not key then
    key = (ngx.var.http_authorization or ""):match("^Bearer (.+)$") or ""
  end
  local identity = keys[sha256_hex(key)]
  if not identity then
    return refuse(401, "invalid API key")
  end
  ngx.var.job_user = identity.user
end

local function read_body()
  ngx.req.read_body()
  local text = ngx.req.get_body_data()
  local ok, body = pcall(cjson.decode, text or "")
  if not ok or type(body) ~= "table" then
    return refuse(400, "the body is not JSON")
  elseif not MODELS[body.model] then
    return refuse(404, "no such model")
  end
  return text, body
end

local signing_day, signing_key

local function sign(text)
  local now = ngx.time()
  local stamp = os.date("!%Y%m%dT%H%M%SZ", now)
  local day = stamp:sub(1, 8)
  if day ~= signing_day then
    signing_key = hmac(hmac(hmac(hmac("AWS4" .. SECRET_ACCESS_KEY, day), REGION), SERVICE), "aws4_request")
    signing_day = day
  end
  local version = ngx.var.http_anthropic_version or "2023-06-01"
  local hash = sha256_hex(text)
  local canonical = "POST\n/v1/messages\n\nanthropic-version:" .. version .. "\nanthropic-workspace-id:" .. WORKSPACE
    .. "\ncontent-type:application/json\nhost:upstream\nx-amz-content-sha256:" .. hash .. "\nx-amz-date:" .. stamp
    .. "\n\n" .. SIGNED .. "\n" .. hash
  local scope = day .. "/" .. REGION .. "/" .. SERVICE .. "/aws4_request"
  local to_sign = "AWS4-HMAC-SHA256\n" .. stamp .. "\n" .. scope .. "\n" .. sha256_hex(canonical)
  ngx.req.set_header("anthropic-version", version)
  ngx.req.set_header("anthropic-workspace-id", WORKSPACE)
  ngx.req.set_header("x-amz-content-sha256", hash)
  ngx.req.set_header("x-amz-date", stamp)
  ngx.req.set_header("authorization", "AWS4-HMAC-SHA256 Credential=" .. ACCESS_KEY_ID .. "/" .. scope
    .. ", SignedHeaders=" .. SIGNED .. ", Signature=" .. hex_of(hmac(signing_key, to_sign)))
end

function M.messages()
  check_key()
  sign((read_body()))
end

--- Usage of an answer that is one document.
function M.meter()
  local chunk = ngx.arg[1]
  if ngx.header["content-type"] ~= "application/json" or chunk == "" then
    return
  end
  local input, output = chunk:match('"input_tokens":(%d+)'), chunk:match('"output_tokens":(%d+)')
  if output then
    ngx.var.job_input, ngx.var.job_output = input or "", output
  end
end

local function text_of(content)
  if type(content) == "string" then
    return content
  end
  local parts = {}
  for i, part in ipairs(content) do
    if part.type ~= "text" then
      return refuse(400, "only text is translated")
    end
    parts[i] = part.text
  end
  return table.concat(parts)
end

local function to_messages(chat)
  local system, messages = {}, {}
  for _, message in ipairs(chat.messages) do
    if message.role == "system" or message.role == "developer" then
      system[#system + 1] = { type = "text", text = text_of(message.content) }
    else
      local last = messages[#messages]
      local block = { type = "text", text = text_of(message.content) }
      if last and last.role == message.role then
        last.content[#last.content + 1] = block
      else
        messages[#messages + 1] = { role = message.role, content = { block } }
      end
    end
  end
  return {
    model = chat.model, max_tokens = chat.max_completion_tokens or chat.max_tokens or 8192,
    system = system[1] and system or nil, messages = messages, temperature = chat.temperature,
    stop_sequences = type(chat.stop) == "string" and { chat.stop } or chat.stop, stream = chat.stream or nil,
  }
end

function M.chat()
  check_key()
  local _, chat = read_body()
  ngx.ctx.stream = chat.stream == true and { pending = "", created = ngx.time(), model = chat.model } or nil
  ngx.ctx.model = chat.model
  local text = cjson.encode(to_messages(chat))
  ngx.req.set_body_data(text)
  sign(text)
end

function M.chat_head()
  ngx.header["content-length"] = nil
end

local function usage_of(usage)
  local prompt = usage.input_tokens + (usage.cache_creation_input_tokens or 0) + (usage.cache_read_input_tokens or 0)
  ngx.var.job_input, ngx.var.job_output = prompt, usage.output_tokens
  return {
    prompt_tokens = prompt, completion_tokens = usage.output_tokens, total_tokens = prompt + usage.output_tokens,
    prompt_tokens_details = { cached_tokens = usage.cache_read_input_tokens or 0 },
  }
end

local function to_completion(text)
  local message = cjson.decode(text)
  local parts = {}
  for i, block in ipairs(message.content) do
    parts[i] = block.text
  end
  return cjson.encode({
    id = "chatcmpl-" .. message.id:sub(5), object = "chat.completion", created = ngx.time(), model = ngx.ctx.model,
    choices = { {
      index = 0, message = { role = "assistant", content = table.concat(parts) },
      finish_reason = FINISH[message.stop_reason] or "stop",
    } },
    usage = usage_of(message.usage),
  })
end

local function chunk_of(stream, delta, finish_reason)
  return "data: " .. cjson.encode({
    id = stream.id, object = "chat.completion.chunk", created = stream.created, model = stream.model,
    choices = { { index = 0, delta = delta, finish_reason = finish_reason or cjson.null } },
  }) .. "\n\n"
end

local on = {}

function on.message_start(stream, event)
  stream.id, stream.usage = "chatcmpl-" .. event.message.id:sub(5), event.message.usage
  return chunk_of(stream, { role = "assistant", content = "" })
end

function on.content_block_delta(stream, event)
  return event.delta.text and chunk_of(stream, { content = event.delta.text })
end

function on.message_delta(stream, event)
  stream.usage.output_tokens = event.usage.output_tokens
  usage_of(stream.usage)
  return chunk_of(stream, {}, FINISH[event.delta.stop_reason] or "stop")
end

function on.message_stop()
  return "data: [DONE]\n\n"
end

local function translate_events(stream, chunk)
  local text, out, at = stream.pending .. chunk, {}, 1
  while true do
    local stop, after = text:find("\n\n", at, true)
    if not stop then
      break
    end
    local data = text:sub(at, stop - 1):match("data: (.*)")
    if data then
      local event = cjson.decode(data)
      local handle = on[event.type]
      out[#out + 1] = handle and handle(stream, event) or nil
    end
    at = after + 1
  end
  stream.pending = text:sub(at)
  return table.concat(out)
end

function M.chat_body()
  local ctx, chunk, is_last = ngx.ctx, ngx.arg[1], ngx.arg[2]
  if ngx.status ~= 200 then
    return
  elseif ctx.stream then
    ngx.arg[1] = translate_events(ctx.stream, chunk)
    return
  end
  ctx.answer = ctx.answer and ctx.answer .. chunk or chunk
  ngx.arg[1] = is_last and to_completion(ctx.answer) or nil
end

return M
