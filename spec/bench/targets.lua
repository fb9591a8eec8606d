--- Who is measured: nginx as a plain proxy, nginx with its Lua module, Moongate; each pinned to the first core.
--- The upstream, its TLS side and the load run where this script runs, on the second.
local certificates = require("spec.support.certificates")
local crypto = require("rt.crypto")
local lfs = require("lfs")
local machine = require("spec.bench.machine")
local process = require("spec.support.process")
local time = require("rt.time")

local M = {}

local ROOT = lfs.currentdir()
local GATEWAY_CORE = "0"
local TOOLS = ROOT .. "/build/tools"

---@class bench.Options
---@field is_tls? boolean The upstream is reached over TLS.
---@field keys? integer How many keys the gateway knows; default 1.

-- ---- what does not change ----

local upstream, tls_side

--- Starts the upstream and its TLS side.
function M.start_upstream()
  local port = machine.free_port()
  upstream = process.start({ file = ROOT .. "/build/bench/upstream", args = { tostring(port) } })
  upstream.port = port
  upstream:wait_for("(ready)")
  tls_side = M.nginx("tls.conf", {}, false)
end

function M.stop_upstream()
  for _, program in ipairs({ tls_side, upstream }) do
    program:stop("TERM") -- not KILL: nginx would leave its workers behind
  end
  certificates.remove()
end

local function upstream_port(options)
  return options.is_tls and tls_side.port or upstream.port
end

local function key_of(number)
  return ("mg-bench-%05d"):format(number)
end

-- ---- nginx ----

local function modules_folder()
  for _, folder in ipairs({ TOOLS .. "/nginx/usr/lib/nginx/modules", "/usr/lib/nginx/modules" }) do
    if lfs.attributes(folder .. "/ngx_http_lua_module.so") then
      return folder
    end
  end
  error("nginx's Lua module is not there (runtime/build/tools.sh nginx)")
end

local TLS_CLIENT = [[proxy_ssl_verify on;
      proxy_ssl_trusted_certificate @AUTHORITY@;
      proxy_ssl_name localhost;
      proxy_ssl_server_name on;
      proxy_ssl_protocols TLSv1.2 TLSv1.3;]]

local function key_list(count)
  local lines = {}
  for i = 1, count do
    lines[i] = crypto.sha256_hex(key_of(i)) .. " user" .. i .. "\n"
  end
  return table.concat(lines)
end

--- Starts nginx with one of spec/bench/nginx/*.conf.
function M.nginx(conf, options, is_pinned)
  local folder, port = process.folder(), machine.free_port()
  local lua = TOOLS .. "/nginx/usr/share/lua/5.1"
  local values = {
    FOLDER = folder, PORT = tostring(port), UPSTREAM_PORT = tostring(upstream_port(options)),
    SCHEME = options.is_tls and "https" or "http", TLS_CLIENT = options.is_tls and TLS_CLIENT or "",
    AUTHORITY = certificates.path("authority.pem"), CERTIFICATE = certificates.path("good.pem"),
    KEY = certificates.path("good.key"), LOG = "/dev/null", KEYS_FILE = folder .. "/keys",
    LUA_PATH = ROOT .. "/spec/bench/nginx/?.lua;" .. lua .. "/?.lua;/usr/share/lua/5.1/?.lua",
    LUA_CPATH = os.getenv("MOONGATE_LUA_CPATH") or "", LOAD_MODULES = "",
  }
  if conf == "whole_job.conf" then
    local modules = modules_folder()
    values.LOAD_MODULES = ("load_module %s/ndk_http_module.so;\nload_module %s/ngx_http_lua_module.so;"):format(modules, modules)
    process.write_file(values.KEYS_FILE, key_list(options.keys or 1))
  end
  local text = assert(process.read_file("spec/bench/nginx/" .. conf))
  for _ = 1, 2 do -- a value may have values in it
    text = text:gsub("@([A-Z_]+)@", values)
  end
  process.write_file(folder .. "/nginx.conf", text)
  local args = { TOOLS .. "/bin/nginx", "-p", folder, "-c", folder .. "/nginx.conf" }
  local program
  if is_pinned == false then
    program = process.start({ file = table.remove(args, 1), args = args, folder = folder })
  else
    program = process.start({ file = "taskset", args = { "-c", GATEWAY_CORE, unpack(args) }, folder = folder })
  end
  program.port = port
  return program
end

-- ---- Moongate ----

local GATE = [[
local keys = {}
for hash, user in ("%s"):gmatch("(%%x+) (%%S+)") do
  keys[#keys + 1] = { name = user, user = user, sha256 = hash }
end
return {
  listen = { "127.0.0.1:%d" },
  admin = { socket = "%s/admin.sock" },
  data_dir = "%s",
  workers = 1,
  log = { output = "/dev/null" },
  timeouts = { connect_ms = 60000 }, -- nginx's; 2,000 handshakes at once take their time
  client = { ca_file = %s, proxy = "off", max_idle_per_origin = 4096 },
  plugin_dirs = { "%s/spec/bench/plugins" },
  accounts = {
    aws = {
      provider = "claude_aws", region = "us-west-2", workspace_id = "wrkspc_01Bench", base_url = "%s",
      auth = { method = "access_key", access_key_id = "AKIDBENCH", secret_access_key = ("bench"):rep(8) },
    },
  },
  keys = keys,
  plugins = { "access", "bench_policy", "route", "model_limits", "reasoning_budget" },
}
]]

--- Starts Moongate: one worker, one signed account, a policy hook, its log line on.
---@param options bench.Options
function M.moongate(options)
  local folder, port = process.folder(), machine.free_port()
  local base_url = (options.is_tls and "https://localhost:%d" or "http://127.0.0.1:%d"):format(upstream_port(options))
  local ca_file = options.is_tls and ("%q"):format(certificates.path("authority.pem")) or "nil"
  process.write_file(folder .. "/gate.lua", GATE:format(
    key_list(options.keys or 1):gsub("\n", " "), port, folder, folder, ca_file, ROOT, base_url))
  local program = process.start({
    file = "taskset", folder = folder,
    args = { "-c", GATEWAY_CORE, ROOT .. "/build/moongate", "run", "--config", folder .. "/gate.lua" },
  })
  program.port = port
  return program
end

-- ---- all alike ----

local START = {
  nginx = function(options)
    return M.nginx("plain.conf", options)
  end,
  ["nginx+Lua"] = function(options)
    return M.nginx("whole_job.conf", options)
  end,
  Moongate = M.moongate,
  direct = function()
    return { port = upstream.port, is_direct = true }
  end,
}

M.HEADERS = {
  messages = { "x-api-key: %s", "anthropic-version: 2023-06-01" },
  chat = { "authorization: Bearer %s" },
}
M.PATHS = { messages = "/v1/messages", chat = "/v1/chat/completions" }

--- The headers of a request with the first key.
---@param surface "messages"|"chat"
function M.headers(surface)
  local list = {}
  for i, header in ipairs(M.HEADERS[surface]) do
    list[i] = header:format(key_of(1))
  end
  return list
end

local SMALL = '{"model":"claude-sonnet-4-6","max_tokens":16,"messages":[{"role":"user","content":"hello"}]}'

--- Sends one request and says what is wrong with the answer, or nothing. `expected`: text of the body.
function M.check(port, surface, body, expected)
  local headers = table.concat(M.headers(surface), "\r\n") .. "\r\n"
  local status, text = machine.post(port, M.PATHS[surface], headers, body or SMALL)
  if status ~= 200 then
    return ("status %s: %s"):format(tostring(status), text:match("\r\n\r\n(.*)") or text)
  elseif expected and not text:find(expected, 1, true) then
    return "unexpected answer: " .. text:sub(1, 2000)
  end
end

--- Starts a target by name and waits for its first good answer.
---@param name "nginx"|"nginx+Lua"|"Moongate"|"direct"
---@param options? bench.Options
---@return table target With port, pids, start_ms and stop().
function M.start(name, options)
  local from = machine.now_ms()
  local target = { name = name, program = START[name](options or {}) }
  target.port = target.program.port
  local problem
  repeat
    problem = M.check(target.port, "messages")
    if problem then
      if machine.now_ms() - from > 15000 then
        local output = target.program:output()
        target.program:stop("KILL")
        error(("%s does not serve (%s):\n%s"):format(name, problem, output))
      end
      time.sleep(1)
    end
  until not problem
  target.start_ms = machine.now_ms() - from
  target.pids = target.program.pid and machine.tree(target.program.pid) or {}
  function target.stop()
    if target.program.stop then
      target.program:stop("TERM")
    end
  end
  return target
end

return M
