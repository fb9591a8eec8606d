--- A bundle: everything a generation is made of, as text: the configuration, the files it reads, the plugins.
--- The supervisor collects it and hands it to every worker, so all of them (and a worker that replaces a dead
--- one) build the same generation, whatever has changed on disk meanwhile.
local config_of = require("gate.config")
local crypto = require("rt.crypto")
local fs = require("rt.fs")
local text = require("gate.text")

local M = {}

local MAX_PLUGIN_BYTES = 4 * 1024 * 1024

-- Adds the modules below a folder: plugins/route.lua -> plugins.route, plugins/a/b.lua -> plugins.a.b. What is
-- there already stays: earlier folders win.
local function add_folder(modules, folder, shown, prefix)
  local names = fs.list(folder)
  for _, name in ipairs(names or {}) do
    local path = folder .. "/" .. name
    local stem = name:match("^([%w_]+)%.lua$")
    if stem then
      local module = stem == "init" and prefix or (prefix .. "." .. stem)
      if not modules[module] and module ~= "plugins" then
        local source, err = fs.read_file(path, { limit_bytes = MAX_PLUGIN_BYTES })
        if not source then
          return nil, err
        end
        modules[module] = { path = shown .. "/" .. name, text = source }
      end
    elseif name:find("^[%w_]+$") then
      local stat = fs.stat(path)
      if stat and stat.type == "folder" or stat and stat.type == "directory" then
        local ok, err = add_folder(modules, path, shown .. "/" .. name, prefix .. "." .. name)
        if not ok then
          return nil, err
        end
      end
    end
  end
  return true
end

local function directory_of(path)
  return path:match("^(.*)/[^/]*$") or "."
end

-- The same texts have the same id.
local function id_of(bundle)
  local parts = {}
  for _, path in ipairs(text.sorted_keys(bundle.files)) do
    parts[#parts + 1] = path .. "\0" .. crypto.sha256(bundle.files[path])
  end
  for _, name in ipairs(text.sorted_keys(bundle.modules)) do
    parts[#parts + 1] = name .. "\0" .. crypto.sha256(bundle.modules[name].text)
  end
  return crypto.sha256_hex(table.concat(parts, "\0")):sub(1, 12)
end

---@class gate.bundle.Options
---@field config_path string? nil: no configuration, defaults.
---@field home string The folder that holds plugins/.
---@field env fun(name: string): string?
---@field number integer?
---@field is_check boolean? Collect also what has errors: gate.loader tells them together with its own.
---@field quickstart_sha256 string? Hash of the key that serves while there is no configuration.

--- Collects a bundle.
---@param options gate.bundle.Options
---@return table? bundle
---@return table config_or_problems What the process itself needs (listen, workers, admin, log, timeouts, data_dir),
--- or the problems.
function M.collect(options)
  local files, raw = {}, {}
  local path = options.config_path
  local function read(name)
    local content, err = fs.read_file(name)
    if content then
      files[name] = content
    end
    return content, err and ("cannot " .. err.message) -- which begins with "read NAME: "
  end
  local problems = config_of.no_problems(path)
  if path then
    local source, message = read(path)
    if not source then
      problems:add_at(path, nil, "", message)
      return nil, problems
    end
    raw, problems = config_of.evaluate(path, source, read, options.env)
    if not raw then
      return nil, problems
    end
  end
  local evaluated = problems:count()
  local config = config_of.check_process(raw, problems)
  if problems:count() > evaluated and not options.is_check then
    return nil, problems
  end
  local modules, folders = {}, {}
  local config_dir = path and directory_of(path) or "."
  for _, folder in ipairs(config.plugin_dirs or {}) do
    local stat = fs.stat(config_of.resolve(config_dir, folder))
    if not stat then
      problems:add({ "plugin_dirs" }, "there is no folder " .. folder)
      return nil, problems
    end
    folders[#folders + 1] = { config_of.resolve(config_dir, folder), folder }
  end
  if path then
    folders[#folders + 1] = { config_of.resolve(config_dir, "plugins"), config_of.resolve(config_dir, "plugins") }
  end
  folders[#folders + 1] = { options.home .. "/plugins", "plugins" }
  for _, folder in ipairs(folders) do
    local ok, err = add_folder(modules, folder[1], folder[2], "plugins")
    if not ok then
      problems:add_at(folder[1], nil, "", err.message)
      return nil, problems
    end
  end
  local bundle = {
    number = options.number or 0, config_path = path, config_dir = config_dir, files = files, modules = modules,
    quickstart_sha256 = options.quickstart_sha256,
  }
  bundle.id = id_of(bundle)
  return bundle, config
end

return M
