--- Structured log: one JSON object per line. Nothing secret and nothing of a prompt may be given to it; what
--- is given is escaped, so a line stays a line. rt.log buffers in C and never blocks; here is only the shape.
local buffer = require("string.buffer")
local ffi = require("ffi")
local secret = require("gate.secret")
local text = require("gate.text")
local time = require("rt.time")

local M = {}

local quote, is_plain, floor, wall_ms = text.quote, text.is_plain, math.floor, time.now_ms
local LEVELS = { debug = 1, info = 2, warn = 3, error = 4 }
local threshold = LEVELS.info
local line = buffer.new(1024)

ffi.cdef("bool log_append(void *log, const char *line, size_t size);") -- runtime/log.h

--- Where lines go until somebody says otherwise.
function M.write_stderr(text_line)
  io.stderr:write(text_line, "\n")
end

local target -- log_writer * of rt.log; nil: `write`
local write = M.write_stderr

--- Sets where lines go and from which level on.
---@param options { pointer: lightuserdata?, write: fun(line: string)?, level: string? } pointer: rt.log's
--- log:pointer().
function M.configure(options)
  if options.pointer then
    target = ffi.cast("void *", options.pointer)
  elseif options.write then
    target, write = nil, options.write
  end
  threshold = LEVELS[options.level or "info"] or threshold
end

-- The finished line leaves; no Lua string is made of it on its way to C.
local function send()
  if target then
    local text_pointer, size = line:ref()
    ffi.C.log_append(target, text_pointer, size)
  else
    write(line:tostring())
  end
end

-- A text as JSON, straight into the line.
local function put_quoted(name, value)
  if is_plain(value) then
    line:put(name, '"', value, '"')
  else
    line:put(name, quote(value))
  end
end

local clock_second, clock_text = -1, ""

--- Wall time as RFC 3339 with milliseconds; the text of a second is made once.
local function stamp(now_ms)
  local second = floor(now_ms / 1000)
  if second ~= clock_second then
    clock_second, clock_text = second, os.date("!%Y-%m-%dT%H:%M:%S", second)
  end
  local ms = now_ms - second * 1000
  line:put('{"time":"', clock_text, ms < 10 and ".00" or ms < 100 and ".0" or ".", floor(ms), 'Z"')
end

local function put_value(out, value)
  local kind = type(value)
  if kind == "string" then
    out:put(quote(value))
  elseif kind == "number" then
    if value == floor(value) and math.abs(value) < 2 ^ 53 then
      out:putf("%.0f", value)
    elseif value == value and math.abs(value) ~= math.huge then
      out:put(tostring(value))
    else
      out:put("null")
    end
  elseif kind == "boolean" then
    out:put(value and "true" or "false")
  elseif secret.is(value) then
    out:put('"[secret]"')
  elseif kind == "table" and (#value > 0 or next(value) == nil) then
    out:put("[")
    for i = 1, #value do
      if i > 1 then
        out:put(",")
      end
      put_value(out, value[i])
    end
    out:put("]")
  elseif kind == "table" then
    out:put("{")
    for i, key in ipairs(text.sorted_keys(value)) do
      out:put(i > 1 and "," or "", quote(tostring(key)), ":")
      put_value(out, value[key])
    end
    out:put("}")
  else
    out:put(quote(tostring(value)))
  end
end

--- One event that is not a request.
---@param level "debug"|"info"|"warn"|"error"
---@param event string
---@param fields table<string, any>?
---@param plugin string?
function M.event(level, event, fields, plugin)
  if (LEVELS[level] or LEVELS.info) < threshold then
    return
  end
  line:reset()
  stamp(wall_ms())
  line:put(',"level":', quote(level), ',"event":', quote(event))
  if plugin then
    line:put(',"plugin":', quote(plugin))
  end
  if fields then
    for _, key in ipairs(text.sorted_keys(fields)) do
      line:put(",", quote(tostring(key)), ":")
      put_value(line, fields[key])
    end
  end
  line:put("}")
  send()
end

-- Names, users and models repeat: their quoted form is kept, in a table that starts anew when it is full.
local QUOTED_MAX = 512
local quoted, quoted_count = {}, 0

local function quote_kept(value)
  local known = quoted[value]
  if not known then
    if quoted_count >= QUOTED_MAX then
      quoted, quoted_count = {}, 0
    end
    known = quote(tostring(value))
    quoted[value], quoted_count = known, quoted_count + 1
  end
  return known
end

local function put_attempts(attempts)
  line:put(',"attempts":[')
  for i = 1, #attempts do
    local attempt = attempts[i]
    line:put(i > 1 and ',{"account":' or '{"account":', quote_kept(attempt.account), ',"model":',
      quote_kept(attempt.target.model))
    if attempt.status then
      line:put(',"status":', attempt.status)
    end
    if attempt.error then
      line:put(',"error":', quote(attempt.error.code), ',"message":',
        quote(attempt.error.log_message or attempt.error.message or ""))
    end
    line:put(',"ms":', floor((attempt.ended_at_ms or attempt.started_at_ms) - attempt.started_at_ms), "}")
  end
  line:put("]")
end

local function put_upstream_ids(list)
  for i = 1, #list, 2 do
    line:put(i == 1 and ',"upstream_ids":{' or ",", quote_kept(list[i]))
    put_quoted(":", list[i + 1])
  end
  line:put("}")
end

local function put_counter(name, value)
  if value then
    line:put(name, value)
  end
end

local function put_usage(usage)
  put_counter(',"input_tokens":', usage.input_tokens)
  put_counter(',"output_tokens":', usage.output_tokens)
  put_counter(',"cache_creation_input_tokens":', usage.cache_creation_input_tokens)
  put_counter(',"cache_read_input_tokens":', usage.cache_read_input_tokens)
  put_counter(',"cache_creation_5m_input_tokens":', usage.cache_creation_5m_input_tokens)
  put_counter(',"cache_creation_1h_input_tokens":', usage.cache_creation_1h_input_tokens)
  put_counter(',"thinking_tokens":', usage.thinking_tokens)
end

local function put_warnings(warnings)
  line:put(',"warnings":[')
  for i = 1, #warnings do
    line:put(i > 1 and "," or "", quote(warnings[i].code))
  end
  line:put("]")
end

--- The line of one request: the only one, written when it has ended.
---@param ctx gate.Ctx
---@param ended_at_ms number Monotonic.
---@param bytes_out integer?
function M.request(ctx, ended_at_ms, bytes_out)
  line:reset()
  stamp(wall_ms())
  local identity, started_at_ms = ctx.identity, ctx._started_at_ms
  line:put(',"level":"info","event":"request","id":"', ctx.id, '","generation":"', ctx.generation, '","surface":"',
    ctx.surface, '","stream":', ctx.is_stream and "true" or "false", ',"status":', ctx._status, ',"ms":',
    floor(ended_at_ms - started_at_ms), ',"bytes_in":', ctx._bytes_in, ',"bytes_out":', bytes_out or 0)
  if identity then
    line:put(',"key":', quote_kept(identity.name))
    if identity.user then
      line:put(',"user":', quote_kept(identity.user))
    end
  end
  if ctx.model then
    line:put(',"model":', quote_kept(ctx.model))
  end
  local attempts = ctx.attempts
  local count = #attempts
  if count > 0 then
    local attempt = attempts[count]
    line:put(',"account":', quote_kept(attempt.account), ',"target":', quote_kept(attempt.target.model))
    if attempt.first_byte_at_ms then
      line:put(',"first_byte_ms":', floor(attempt.first_byte_at_ms - started_at_ms))
    end
    if count > 1 or attempt.error then
      put_attempts(attempts)
    end
  end
  if ctx.usage then
    put_usage(ctx.usage)
  end
  if ctx.cost then
    line:put(',"cost_micro_usd":', ctx.cost)
  end
  local warnings = rawget(ctx, "warnings")
  if warnings and #warnings > 0 then
    put_warnings(warnings)
  end
  local err = ctx._error
  if err then
    put_quoted(',"error":', err.code)
    put_quoted(',"message":', err.log_message or err.message or "")
  end
  if ctx._upstream_ids then
    put_upstream_ids(ctx._upstream_ids)
  end
  line:put("}")
  send()
end

return M
