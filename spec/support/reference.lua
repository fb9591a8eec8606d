--- The reference, made from the data that the gateway itself goes by: schemas, hooks, errors, commands, and the
--- table of Chat Completions fields. `make reference` (this file as a program) writes the pages; spec/reference_spec.lua
--- fails when a page in the tree says something else.
local cli = require("gate.cli")
local config_schema = require("gate.config_schema")
local defaults = require("plugins.defaults")
local errors = require("gate.errors")
local fields = require("plugins.openai_chat.fields")
local pipeline = require("gate.pipeline")
local text = require("gate.text")
local tree = require("spec.support.tree")

local M = {}

local MADE = "<!-- Made by `make reference` from %s. Edits here are lost. -->"

-- What a field's schema says in words.
local function describe(field)
  if type(field) == "string" then
    return field
  elseif field.secret then
    return "secret"
  elseif field.choose then
    return "table"
  elseif field.list_of then
    local element = type(field.list_of) == "table" and describe(field.list_of) or field.list_of
    return element == "any" and "list" or "list of " .. element
  elseif field.map_of then
    local bounds = { type = field.map_of, min = field.min, max = field.max }
    return "name -> " .. describe(type(field.map_of) == "table" and field.map_of or bounds)
  elseif field.fields then
    return "table"
  elseif field.enum then
    local names = {}
    for i, name in ipairs(field.enum) do
      names[i] = ("%q"):format(name)
    end
    return table.concat(names, ", ")
  end
  local is_number = field.type == "integer" or field.type == "number"
  if is_number and field.min and field.max then
    return ("%s, %s to %s"):format(field.type, field.min, field.max)
  elseif is_number and field.min then
    return ("%s, at least %s"):format(field.type, field.min)
  elseif field.type == "string" and field.pattern then
    return ("string like `%s`"):format(field.pattern)
  end
  return field.type
end

-- A default as gate.lua would write it.
local function spell(value)
  if type(value) == "string" then
    return ("%q"):format(value)
  elseif type(value) ~= "table" then
    return tostring(value)
  end
  local parts = {}
  if #value > 0 or next(value) == nil then
    for i, entry in ipairs(value) do
      parts[i] = spell(entry)
    end
  else
    for _, key in ipairs(text.sorted_keys(value)) do
      parts[#parts + 1] = key .. " = " .. spell(value[key])
    end
  end
  return #parts == 0 and "{}" or "{ " .. table.concat(parts, ", ") .. " }"
end

local function cell(value)
  return (value:gsub("|", "\\|"))
end

-- Rows of one table; inner tables become dotted names. A field without a text is a mistake of whoever added it.
local function add_rows(out, schema, prefix, missing)
  for _, name in ipairs(text.sorted_keys(schema)) do
    local field = schema[name]
    if type(field) == "string" then
      field = { type = field }
    end
    local path = prefix .. name
    if not field.doc and not field.fields then
      missing[#missing + 1] = path
    end
    if field.doc or not field.fields then
      local default = ""
      if field.required then
        default = "required"
      elseif field.secret and field.default ~= nil then
        default = "there is one"
      elseif field.default ~= nil then
        default = "`" .. spell(field.default) .. "`"
      end
      out[#out + 1] = ("| `%s` | %s | %s | %s |"):format(path, cell(describe(field)), cell(default), cell(field.doc or ""))
    end
    if field.fields then
      add_rows(out, field.fields, path .. ".", missing)
    elseif type(field.list_of) == "table" and field.list_of.fields then
      add_rows(out, field.list_of.fields, path .. "[].", missing)
    elseif field.choose then
      for _, case in ipairs(text.sorted_keys(field.cases)) do
        out[#out + 1] = ("| `%s.%s` | `%q` | | |"):format(path, field.choose, case)
        add_rows(out, field.cases[case], path .. ".", missing)
      end
    end
  end
end

local HEAD = { "| field | type | default | what it is |", "| --- | --- | --- | --- |" }

local function add_table(out, schema, prefix, missing)
  if next(schema) == nil then
    out[#out + 1] = "No options."
  else
    out[#out + 1], out[#out + 2] = HEAD[1], HEAD[2]
    add_rows(out, schema, prefix, missing)
  end
  out[#out + 1] = ""
end

local function add(out, ...)
  for _, line in ipairs({ ... }) do
    out[#out + 1] = line
  end
end

--- The plugins in the tree, by name.
---@return table[]
function M.plugins()
  local found = {}
  for _, path in ipairs(tree.matching(tree.files(), "^plugins/[%w_]+%.lua$", "^plugins/[%w_]+/init%.lua$")) do
    local module = require((path:gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")))
    if type(module) == "table" and module.api then
      found[#found + 1] = module
    end
  end
  table.sort(found, function(a, b) return a.name < b.name end)
  return found
end

local function add_configuration(out, missing)
  add(out, "## Configuration", "",
    "`gate.lua` returns a table with these fields. An unknown field is an error. Every field may be left out unless it is required.", "")
  add_table(out, config_schema.top, "", missing)
  add(out, "### `listen`", "", 'An entry is "host:port" or a table:', "")
  add_table(out, config_schema.listener, "", missing)
  add(out, "### `accounts`", "", "What every account has, whatever its provider; its provider's own fields follow.", "")
  add_table(out, config_schema.account, "", missing)
  add(out, "### `models`", "", "A name with `targets` is a virtual model, `account/model` with a `price` has that price.", "")
  add_table(out, config_schema.model, "", missing)
  add(out, "### `keys`", "")
  add_table(out, config_schema.key, "", missing)
end

local function add_providers(out, plugins, missing)
  add(out, "## Providers", "", "Fields of an account with this `provider`.", "")
  for _, plugin in ipairs(plugins) do
    if plugin.kind == "provider" then
      add(out, "### `" .. plugin.name .. "`", "")
      local own = {}
      for name, field in pairs(plugin.account_schema or {}) do
        if not config_schema.account[name] then
          own[name] = field
        end
      end
      add_table(out, own, "", missing)
    end
  end
end

local function add_policies(out, plugins, missing)
  add(out, "## Plugins", "",
    "Options beside the name in `plugins`. Without `plugins` a configuration has `" .. table.concat(defaults.plugins, "`, `") .. "`.", "",
    "`trusted = true` beside any of them lifts the sandbox for that plugin.", "")
  for _, plugin in ipairs(plugins) do
    if (plugin.kind or "policy") == "policy" then
      local hooks = {}
      for _, phase in ipairs(pipeline.PHASES) do
        if plugin[phase] then
          hooks[#hooks + 1] = "`" .. phase .. "`"
        end
      end
      add(out, "### `" .. plugin.name .. "`", "",
        ("Hooks: %s. When it raises: %s."):format(table.concat(hooks, ", "),
          plugin.fail == "open" and "it is skipped" or "the request is refused"), "")
      add_table(out, plugin.schema or {}, "", missing)
    end
  end
end

local function add_surfaces(out, plugins)
  add(out, "## Surfaces", "",
    "Without `surfaces` a configuration has `" .. table.concat(defaults.surfaces, "`, `") .. "`.", "",
    "| surface | route | body at most |", "| --- | --- | --- |")
  for _, plugin in ipairs(plugins) do
    for _, route in ipairs(plugin.kind == "surface" and plugin.routes or {}) do
      add(out, ("| `%s` | `%s %s` | %s |"):format(plugin.name, route.method, route.path,
        route.body_limit_bytes and ("%d bytes"):format(route.body_limit_bytes) or ""))
    end
  end
  add(out, "")
end

local function add_hooks(out)
  add(out, "## Hooks", "", "In the order of a request. Each may return nothing: go on. README.md says what the arguments are.", "",
    "| hook | when | what it may do |", "| --- | --- | --- |")
  for _, hook in ipairs(pipeline.HOOKS) do
    add(out, ("| `%s(ctx, conf, state%s)` | %s | %s |"):format(hook.name, hook.extra and ", " .. hook.extra or "", cell(hook.when),
      cell(hook.may .. (hook.note and ". " .. hook.note or ""))))
  end
  add(out, "")
end

local function add_errors(out)
  add(out, "## Errors", "",
    "Code as in the log and for plugins; status and types as clients see them. A status or type that the upstream gave for the client's",
    "own mistake is passed on. 529 is 503 for OpenAI clients, many of which do not know it.", "",
    "| code | status | Anthropic type | OpenAI type | OpenAI code | what it means |", "| --- | --- | --- | --- | --- | --- |")
  for _, row in ipairs(errors.list()) do
    local status = tostring(row.status)
    local other = errors.status({ code = row.code }, "openai")
    if other ~= row.status then
      status = ("%s; OpenAI %d"):format(status, other)
    end
    add(out, ("| `%s` | %s | `%s` | `%s` | %s | %s |"):format(row.code, status, row.types.anthropic, row.types.openai,
      row.detail and "`" .. row.detail .. "`" or "null", cell(row.doc or "")))
  end
  add(out, "")
end

local function add_commands(out)
  add(out, "## Command line", "", "| command | what it does |", "| --- | --- |")
  for _, name in ipairs(cli.COMMANDS) do
    local command = require("gate.cli." .. name)
    add(out, ("| `moongate %s` | %s |"):format(cell(command.usage), cell(command.summary)))
  end
  add(out, "", "Exit status: 0 done, 1 refused (the configuration has errors, the reload failed), 2 wrong usage, 3 no gateway answers.", "")
end

--- The reference of configuration, plugins, hooks, errors and commands.
---@return string page
---@return string[] missing Fields of which no text says what they are.
function M.gate_page()
  local out, missing, plugins = {}, {}, M.plugins()
  add(out, MADE:format("schemas, hooks, errors and commands"), "# Reference", "")
  add_configuration(out, missing)
  add_providers(out, plugins, missing)
  add_surfaces(out, plugins)
  add_policies(out, plugins, missing)
  add_hooks(out)
  add_errors(out)
  add_commands(out)
  for _, row in ipairs(errors.list()) do
    if not row.doc then
      missing[#missing + 1] = "error " .. row.code
    end
  end
  out[#out] = nil
  return table.concat(out, "\n") .. "\n", missing
end

local CHAT_PROSE = [[
# plugins/openai_chat: Chat Completions in front of Claude

`request.lua` and `messages.lua` write a Messages request out of what the client sends, `answer.lua` and `stream.lua` write what comes back
as the client expects it. Opaque values are the client's bytes, keys come in one fixed order, so a longer conversation begins with the
bytes of the shorter one and prompt caches hit.

What happens to a field stands in `fields.lua` and nowhere else: to serve one more, change its row, and run `make reference`. A field without a
row is refused: `unknown field`. `null` counts as absent. What is left out with a warning is named in the answer's `x-moongate-warnings` and in
the log.

## Read

| field | what becomes of it |
| --- | --- |
]]

local function names_of(does)
  local names = {}
  for _, name in ipairs(text.sorted_keys(fields)) do
    if fields[name].does == does then
      names[#names + 1] = name
    end
  end
  return names
end

--- The page of the openai_chat plugin.
---@return string page
---@return string[] missing
function M.chat_page()
  local out, missing = {}, {}
  for _, name in ipairs(names_of("read")) do
    if not fields[name].to then
      missing[#missing + 1] = name
    end
    out[#out + 1] = ("| `%s` | %s |"):format(name, fields[name].to or "")
  end
  add(out, "", "## Claude's own", "", "Passed on under the same name, as the client wrote them:",
    "`" .. table.concat(names_of("splice"), "`, `") .. "`.", "")
  local kinds = {
    { "drop", "Left out, with a warning", "They change no meaning that matters." },
    { "refuse", "Refused", "400 that names the field." },
  }
  for _, kind in ipairs(kinds) do
    add(out, "## " .. kind[2], "", kind[3] .. " Values in the last column ask for nothing and pass in silence.", "",
      "| field | why | silent |", "| --- | --- | --- |")
    for _, name in ipairs(names_of(kind[1])) do
      local row = fields[name]
      if not row.why or (row.quiet and not row.quiet_doc) then
        missing[#missing + 1] = name
      end
      add(out, ("| `%s` | %s | %s |"):format(name, row.why or "", row.quiet_doc or ""))
    end
    add(out, "")
  end
  out[#out] = nil
  return MADE:format("fields.lua") .. "\n" .. CHAT_PROSE .. table.concat(out, "\n") .. "\n", missing
end

--- Path -> function that makes the page.
M.PAGES = { ["lua/gate/REFERENCE.md"] = M.gate_page, ["plugins/openai_chat/README.md"] = M.chat_page }

--- Writes all pages.
function M.write()
  for _, path in ipairs(text.sorted_keys(M.PAGES)) do
    local file = assert(io.open(path, "wb"))
    file:write((M.PAGES[path]()))
    file:close()
  end
end

return M
