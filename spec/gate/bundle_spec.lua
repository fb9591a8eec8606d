local bundle_of = require("gate.bundle")
local process = require("spec.support.process")
local system = require("rt.system")

describe("gate.bundle", function()
  local folder

  before_each(function()
    folder = process.folder()
  end)
  after_each(function()
    process.remove_folder(folder)
  end)

  local function collect(files, env)
    for path, text in pairs(files) do
      process.write_file(folder .. "/" .. path, text)
    end
    return bundle_of.collect({
      config_path = files["gate.lua"] and folder .. "/gate.lua" or nil, home = system.home(),
      env = function(name) return (env or {})[name] end,
    })
  end

  it("takes the configuration, all it reads, and every plugin", function()
    local bundle, config = collect({
      ["gate.lua"] = 'return { listen = { "127.0.0.1:1" }, workers = 3, models = include("models.lua"),\n'
        .. 'accounts = { a = { key = secret.file("key") } } }',
      ["models.lua"] = "return {}", key = "hidden",
    })
    assert.is_table(bundle, bundle == nil and config:report() or nil)
    assert.equal("hidden", bundle.files[folder .. "/key"])
    assert.equal("return {}", bundle.files[folder .. "/models.lua"])
    assert.is_string(bundle.modules["plugins.route"].text)
    assert.is_string(bundle.modules["plugins.catalog"].text)
    assert.is_string(bundle.modules["plugins.catalog.models"].text)
    assert.equal(3, config.workers)
    assert.equal("127.0.0.1", config.listen[1].host)
  end)

  it("has an id that follows from what is in it", function()
    local files = { ["gate.lua"] = "return {}" }
    local a, b = collect(files), collect(files)
    assert.equal(a.id, b.id)
    local c = collect({ ["gate.lua"] = "return { }" })
    assert.are_not.equal(a.id, c.id)
    local d = collect({ ["gate.lua"] = "return {}", ["plugins/mine.lua"] = "return {}" })
    assert.are_not.equal(a.id, d.id)
    assert.equal("return {}", d.modules["plugins.mine"].text)
  end)

  it("prefers the operator's plugin to the built-in one of that name", function()
    local bundle = collect({ ["gate.lua"] = 'return { plugin_dirs = { "own" } }', ["own/route.lua"] = "-- mine" })
    assert.equal("-- mine", bundle.modules["plugins.route"].text)
    assert.equal("own/route.lua", bundle.modules["plugins.route"].path)
  end)

  it("says what cannot be read, with its line", function()
    local bundle, problems = bundle_of.collect({ config_path = folder .. "/none.lua", home = "/", env = function() end })
    assert.is_nil(bundle)
    assert.truthy(problems:report():find("none.lua: cannot read", 1, true))
    bundle, problems = collect({ ["gate.lua"] = 'return {\n plugin_dirs = { "gone" } }' })
    assert.is_nil(bundle)
    assert.truthy(problems:report():find("gate.lua:2: plugin_dirs: there is no folder gone", 1, true))
    bundle, problems = collect({ ["gate.lua"] = "return {\n listen = 7 }" })
    assert.is_nil(bundle)
    assert.truthy(problems:report():find("gate.lua:2: listen: must be a list, is 7", 1, true))
  end)

  it("leaves what only workers can judge to them, also a secret that is missing", function()
    assert.is_table((collect({ ["gate.lua"] = 'return { accounts = { a = { key = secret.env("NOPE") } }, plugins = { "x" } }' })))
  end)
end)
