--- Environments for text that operators and plugin authors write: configuration and plugins. They are
--- trusted, their mistakes are not: no ffi, debug, io, bytecode, new globals. Not a border against hostile code.
--- Ownership: every environment has its own copies of the standard tables, so none can change another's.
local M = {}

-- A method of any string value could otherwise make bytecode: ("").dump is the host's string.dump.
rawset(string, "dump", nil)
debug.getmetatable("").__metatable = "string"

local STRING = {
  "byte", "char", "find", "format", "gmatch", "gsub", "len", "lower", "match", "rep", "reverse", "sub", "upper",
}
local TABLE = { "concat", "insert", "maxn", "remove", "sort", "move" }
local BASE = {
  "assert", "error", "pcall", "rawequal", "rawget", "rawset", "select", "tonumber", "tostring", "type", "unpack",
  "xpcall",
}
local COROUTINE = { "create", "resume", "running", "status", "wrap", "yield" }
local OS = { "clock", "date", "difftime", "time" }

local function pick(from, names)
  local out = {}
  for _, name in ipairs(names) do
    out[name] = from[name]
  end
  return out
end

local function copy(from)
  local out = {}
  for key, value in next, from do
    out[key] = value
  end
  return out
end

-- LuaJIT's own pairs and ipairs do not ask metatables (whether they do depends on how it was built).
local function safe_pairs(value)
  local meta = debug.getmetatable(value)
  local walk = type(meta) == "table" and rawget(meta, "__pairs")
  if walk then
    return walk(value)
  end
  return pairs(value)
end

local function safe_ipairs(value)
  local meta = debug.getmetatable(value)
  local walk = type(meta) == "table" and rawget(meta, "__ipairs")
  if walk then
    return walk(value)
  end
  return ipairs(value)
end

local function safe_setmetatable(value, meta)
  if type(value) ~= "table" then
    error("setmetatable: a table is needed", 2)
  end
  return setmetatable(value, meta)
end

local function safe_getmetatable(value)
  return type(value) == "table" and getmetatable(value) or nil
end

--- The safe standard library, fresh tables each time.
---@return table
function M.library()
  local env = pick(_G, BASE)
  env.next, env.pairs, env.ipairs = next, safe_pairs, safe_ipairs
  env.setmetatable, env.getmetatable = safe_setmetatable, safe_getmetatable
  env.string = pick(string, STRING)
  env.table = pick(table, TABLE)
  env.table.new, env.table.clear = require("table.new"), require("table.clear")
  env.math = copy(math)
  env.bit = copy(require("bit"))
  env.coroutine = pick(coroutine, COROUTINE)
  env.os = pick(os, OS)
  env._VERSION = _VERSION
  return env
end

local function forbid(env, name)
  return setmetatable(env, {
    __metatable = "environment",
    __index = function(_, key)
      error(string.format("%s: undefined variable '%s'", name, tostring(key)), 2)
    end,
    __newindex = function(_, key)
      error(string.format("%s: global '%s' may not be set: declare it local", name, tostring(key)), 2)
    end,
  })
end

--- An environment for one plugin.
---@param name string For messages.
---@param require_module fun(name: string): any
---@return table
function M.plugin(name, require_module)
  local env = M.library()
  env.require = require_module
  return forbid(env, name)
end

--- An environment for a configuration file; `extra` are its own functions.
---@param name string
---@param extra table<string, any>
---@return table
function M.config(name, extra)
  local env = M.library()
  env.coroutine = nil
  for key, value in pairs(extra) do
    env[key] = value
  end
  return forbid(env, name)
end

--- An environment without walls, for a plugin that the configuration calls trusted.
---@param require_module fun(name: string): any
---@return table
function M.trusted(require_module)
  return setmetatable({ require = require_module }, { __index = _G })
end

--- Compiles text, never bytecode.
---@param source string
---@param chunk_name string Shown in messages.
---@param env table
---@return function?
---@return string? message With file and line.
function M.compile(source, chunk_name, env)
  return load(source, "@" .. chunk_name, "t", env)
end

--- Calls a function with a limit on executed instructions; for text that is run once (configuration).
---@param limit integer Instructions.
---@param fn function
---@return boolean ok
---@return any ... Results or the message.
function M.call_limited(limit, fn, ...)
  -- A hook never fires inside a compiled loop, so nothing is compiled meanwhile.
  local was_on = jit.status()
  jit.off()
  debug.sethook(function()
    debug.sethook()
    error("runs too long: more than " .. limit .. " instructions", 0)
  end, "", limit)
  local function done(...)
    debug.sethook()
    if was_on then
      jit.on()
    end
    return ...
  end
  return done(pcall(fn, ...))
end

return M
