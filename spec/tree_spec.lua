--- Rules about the tree that no compiler checks: which layer may know which, how long a file may be, what must
--- not be in the repository.
local tree = require("spec.support.tree")

-- "About 400": beyond these a file is cut in two.
local MAX_LINES, MAX_TEST_LINES = 480, 600
local files = tree.files()

-- Fails with all findings at once.
local function none(findings)
  if #findings > 0 then
    error(table.concat(findings, "\n"), 0)
  end
  assert.equal(0, #findings)
end

local function required_by(path)
  local names = {}
  tree.each_line(path, function(line, number)
    local code = line:gsub("%-%-.*$", "")
    for name in code:gmatch("require%s*%(?%s*[\"']([^\"']+)[\"']") do
      names[#names + 1] = { name = name, at = path .. ":" .. number }
    end
  end)
  return names
end

-- Every require of the files must match one of the patterns.
local function only_requires(paths, ...)
  local findings = {}
  for _, path in ipairs(paths) do
    for _, required in ipairs(required_by(path)) do
      if #tree.matching({ required.name }, ...) == 0 then
        findings[#findings + 1] = required.at .. ": requires " .. required.name
      end
    end
  end
  none(findings)
end

local function no_line_matches(paths, what, matches)
  local findings = {}
  for _, path in ipairs(paths) do
    tree.each_line(path, function(line, number)
      if matches(line) then
        findings[#findings + 1] = ("%s:%d: %s: %s"):format(path, number, what, line)
      end
    end)
  end
  none(findings)
end

describe("layers: plugins -> gate -> rt -> core", function()
  it("runtime/core knows neither Lua nor libuv nor sockets", function()
    local sources = tree.matching(files, "^runtime/core/.*%.[ch]$")
    assert.is_true(#sources > 10)
    no_line_matches(sources, "not for the core", function(line)
      local header = line:match('^%s*#%s*include%s*[<"]([^>"]+)')
      return header and (header:find("^lua") or header:find("lauxlib") or header:find("^uv") or header == "rt.h" or
        header:find("^sys/socket") or header:find("^sys/epoll") or header:find("^netinet/") or header:find("^%.%./"))
    end)
  end)

  it("lua/gate requires rt.*, gate.* and LuaJIT's own, and no plugin", function()
    only_requires(tree.matching(files, "^lua/gate/.*%.lua$"),
      "^rt%.[%w_.]+$", "^gate%.[%w_.]+$", "^cjson$", "^ffi$", "^bit$", "^jit[%w_.]*$", "^string%.buffer$", "^table%.[%w]+$")
  end)

  it("lua/gate names no vendor but the two dialects of errors", function()
    local dialects = { openai = true, anthropic = true }
    no_line_matches(tree.matching(files, "^lua/gate/.*%.lua$"), "a vendor in the kernel", function(line)
      local code = line:gsub("%-%-.*$", ""):lower():gsub("a gateway for claude", "") -- what the product is
      for word in code:gmatch("%a+") do
        if word == "claude" or word == "bedrock" or word == "amazonaws" or word == "aws" or word == "amazon" then
          return true
        end
      end
      code = code:gsub('"(%a+)"', function(word)
        return dialects[word] and "" or nil
      end)
      -- the functions that shape the two dialects, and the header by which one is told
      code = code:gsub("%f[%a](%a+)_body%f[^%w_]", ""):gsub('"anthropic%-[%a]+"', "")
      return code:find("openai", 1, true) or code:find("anthropic", 1, true)
    end)
  end)

  it("plugins require gate.plugin, gate.json, gate.errors, gate.pivot, cjson and plugins", function()
    only_requires(tree.matching(files, "^plugins/.*%.lua$", "^examples/.*%.lua$"),
      "^gate%.plugin$", "^gate%.json$", "^gate%.errors$", "^gate%.pivot$", "^cjson$", "^plugins%.[%w_.]+$")
  end)
end)

describe("the tree", function()
  it("has no file too long to hold in one's head", function()
    local findings = {}
    for _, path in ipairs(tree.matching(files, "%.[ch]$", "%.lua$", "%.m?js$")) do
      local _, count = tree.read(path):gsub("\n", "")
      local limit = path:find("^spec/") and MAX_TEST_LINES or MAX_LINES
      if count > limit and not path:find("^plugins/catalog/") then -- the catalogue is data
        findings[#findings + 1] = ("%s: %d lines, at most %d"):format(path, count, limit)
      end
    end
    none(findings)
  end)

  it("is finished by its own words", function()
    local marks = { "TO" .. "DO", "FIX" .. "ME", "XX" .. "X", "HA" .. "CK" }
    local sources = tree.matching(files, "%.[ch]$", "%.lua$", "%.m?js$", "%.sh$", "^Makefile$", "%.md$")
    no_line_matches(sources, "unfinished", function(line)
      for _, mark in ipairs(marks) do
        if line:find("%f[%w_]" .. mark .. "%f[^%w_]") then
          return true
        end
      end
    end)
  end)

  it("skips no test and keeps no test to itself", function()
    no_line_matches(tree.matching(files, "^spec/.*_spec%.lua$", "^spec/clients/.*%.mjs$"), "skipped", function(line)
      return line:find("^%s*pending%s*%(") or line:find("%.skip%s*%(") or line:find("%.only%s*%(") or line:find("skip:%s*true")
    end)
  end)

  it("has a README in every folder that a reader opens", function()
    local findings, seen = {}, {}
    for _, path in ipairs(tree.matching(files, "%.[ch]$", "%.lua$", "%.sh$", "%.m?js$")) do
      local folder = path:match("^(.*)/[^/]+$") or "."
      -- spec/ mirrors the tree: its folders are explained there, spec/support by spec/README.md; the parts of a plugin
      -- by the head of its init.lua; lua/meta is for editors
      local is_mirror = folder:find("^spec/runtime") or folder:find("^spec/gate") or folder:find("^spec/plugins") or folder == "spec/examples"
      if not seen[folder] and not is_mirror and not folder:find("^lua/meta") and folder ~= "spec/support" and
        not folder:find("^plugins/.") and not folder:find("^examples/.-/") and not folder:find("^lua/gate/.") then
        seen[folder] = true
        local file = io.open(folder .. "/README.md")
        if file then
          file:close()
        else
          findings[#findings + 1] = folder .. "/README.md is missing"
        end
      end
    end
    none(findings)
  end)

  it("names no host of a package registry", function()
    local hosts = tree.lines_of(
      "{ sed -nE 's#^(URIs: *|deb [^h]*)https?://([^/ ]+).*#\\2#p' /etc/apt/sources.list /etc/apt/sources.list.d/*; " ..
      "cat ~/.npmrc /etc/npmrc spec/clients/.npmrc | sed -nE 's#^registry *= *https?://([^/:]+).*#\\1#p'; } 2>/dev/null | sort -u")
    hosts[#hosts + 1] = "registry." .. "npmjs.org"
    hosts[#hosts + 1] = "deb." .. "debian.org"
    no_line_matches(files, "a registry's host", function(line)
      for _, host in ipairs(hosts) do
        if line:find(host, 1, true) then
          return true
        end
      end
    end)
  end)
end)
