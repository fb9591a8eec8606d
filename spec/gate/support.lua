--- What the kernel's specs share: bundles made from texts, and a loader without sockets.
local M = {}

M.DEFAULTS = [[return { surfaces = { "door" }, plugins = { "gatekeeper" }, catalog = "book", providers = { "cloud" },
  embedded = { name = "inside", provider = "cloud" } }]]

M.PLUGINS = {
  door = [[return { name = "door", version = "1", api = 1, kind = "surface", dialect = "anthropic", native = true,
    routes = { { method = "POST", path = "/v1/messages" } , { method = "GET", path = "/v1/models/{id}" } },
    read = function(ctx, _, _, request) ctx.body = request.doc; ctx.model = request.doc:get("model") end }]],
  gatekeeper = [[return { name = "gatekeeper", version = "1", api = 1, schema = { rpm = { type = "integer", min = 1 } },
    on_access = function(ctx) ctx.identity = { name = "k", models = "all" } end,
    on_route = function(ctx) return { { account = "aws", model = ctx.model } } end }]],
  book = [[return { name = "book", version = "1", api = 1, kind = "catalog",
    find = function(name) return { name = name, price = { input = 1, output = 2 } } end,
    list = function() return {} end, cost = function() return 0 end }]],
  cloud = [[local M = { name = "cloud", version = "1", api = 1, kind = "provider", native = true,
    account_schema = { region = { type = "string", default = "us-west-2", pattern = "^[a-z0-9-]+$" },
      key = { secret = true } } }
    function M.setup_account(conf, info) return { region = conf.region, origin = info.origin } end
    function M.from_env(env) return env.CLOUD_REGION and { name = "aws", provider = "cloud",
      region = env.CLOUD_REGION } or nil end
    function M.build(attempt, account) return { origin = "http://127.0.0.1:1", target = "/", headers = {},
      body = attempt.body } end
    function M.read_error(call, text) return { code = "upstream_error", message = text } end
    return M]],
}

--- A bundle: `config` is the text of gate.lua or nil, `plugins` replaces or adds plugin texts.
function M.bundle(config, plugins, files)
  local modules = { ["plugins.defaults"] = { path = "plugins/defaults.lua", text = M.DEFAULTS } }
  for name, text in pairs(M.PLUGINS) do
    modules["plugins." .. name] = { path = "plugins/" .. name .. ".lua", text = text }
  end
  for name, text in pairs(plugins or {}) do
    modules["plugins." .. name] = { path = "plugins/" .. name .. ".lua", text = text }
  end
  local all = files or {}
  all["gate.lua"] = config
  return { id = "g1", number = 1, config_path = config and "gate.lua" or nil, config_dir = ".", files = all,
    modules = modules }
end

--- Options of the loader that open nothing.
function M.options(env)
  return {
    env = function(name)
      return (env or {})[name]
    end,
    number = 1,
    embed = function()
      return "http://127.0.0.1:9", function() end
    end,
    compile_program = function(spec)
      return spec
    end,
  }
end

--- Builds a generation; in case of failure the lines of the report.
function M.build(config, plugins, files, env)
  local generation, problems = require("gate.loader").build(M.bundle(config, plugins, files), M.options(env))
  if generation then
    return generation
  end
  local lines = {}
  for _, problem in ipairs(problems:sorted()) do
    lines[#lines + 1] = problems.format(problem)
  end
  return nil, lines
end

return M
