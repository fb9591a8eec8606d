--- The messages of a Chat Completions request as Claude's system blocks and turns. The client's bytes are
--- spliced: a plain message is the same object on both sides, and a text part too. Runs of one role become
--- one turn; system and developer messages move to the front, in their order.
--- The same messages always give the same bytes, and a longer conversation begins with the bytes of the
--- shorter one: prompt caches depend on it.
--- Source: translation.md section 3 (2026-11-22).
local json = require("gate.json")

local M = {}

local ROLES = { system = "system", developer = "system", user = "user", assistant = "assistant" }
-- Roles and parts that Chat Completions has and that are refused by name.
local REFUSED_ROLES = { tool = true, ["function"] = true }
local REFUSED_PARTS = { image_url = true, input_audio = true, file = true }

local function refuse(param, format, ...)
  return nil, { code = "bad_request", message = param .. ": " .. format:format(...), param = param }
end

local function unsupported(param, what)
  return nil, { code = "unsupported", message = ("%s: %s is not translated to Claude"):format(param, what), param = param }
end

local PROBE_BYTES = 64

-- Whether the text at `field` is nothing but white space. Long texts never become Lua strings for it.
local function is_blank(node, field)
  local text = node:node(field)
  if text:prefix(PROBE_BYTES):find("%S") then
    return false
  end
  return not text:get():find("%S")
end

--- Looks at one content part. Returns the field that holds its text, or false for a part that is blank.
local function read_part(part, param, role)
  if json.type(part) ~= "object" then
    return refuse(param, "a content part must be an object")
  end
  local kind = part:get("type")
  if kind == "text" then
    if part:type("text") ~= "string" then
      return refuse(param .. ".text", "a string is required")
    end
    return not is_blank(part, "text") and "text" or false
  elseif kind == "refusal" and role == "assistant" then
    if part:type("refusal") ~= "string" then
      return refuse(param .. ".refusal", "a string is required")
    end
    return not is_blank(part, "refusal") and "refusal" or false
  elseif type(kind) == "string" and REFUSED_PARTS[kind] then
    return unsupported(param .. ".type", "content of type " .. kind)
  end
  return refuse(param .. ".type", "unknown content part type %s", type(kind) == "string" and ("%q"):format(kind) or "")
end

local KNOWN = { role = true, content = true, name = true, refusal = true, cache_control = true, tool_calls = true, function_call = true,
  audio = true, tool_call_id = true, reasoning_content = true, thinking_blocks = true, annotations = true, reasoning = true }

-- Fields that make a message more than role and content. Returns true, whether a name was seen.
local function check_fields(message, param, role)
  local has_name, has_more = false, false
  for key in json.keys(message) do -- not the values: a content may be long
    local kind = key ~= "role" and key ~= "content" and message:type(key)
    if kind and kind ~= "null" then
      has_more = true
      if key == "name" then
        has_name = true
      elseif key == "tool_calls" or key == "function_call" or key == "audio" or key == "thinking_blocks" or key == "cache_control" then
        if (kind ~= "array" and kind ~= "object") or message:count(key) > 0 then
          return unsupported(param .. "." .. key, key)
        end
      elseif key == "refusal" and role ~= "assistant" or not KNOWN[key] then
        return refuse(param .. "." .. key, "unknown field")
      end
    end
  end
  return true, has_more, has_name
end

--- One message: what of it goes into a turn.
---   { role, node, text = true }             plain: the object itself may be spliced when `is_bare`
---   { role, node, parts = { {part, field} } } field: where the part's text is
---   nil                                     nothing of it: blank
local function read_message(message, param)
  if json.type(message) ~= "object" then
    return refuse(param, "a message must be an object")
  end
  local name = message:get("role")
  local role = type(name) == "string" and ROLES[name]
  if not role then
    if REFUSED_ROLES[name] then
      return unsupported(param .. ".role", "a message of role " .. name)
    end
    return refuse(param .. ".role", "must be system, developer, user or assistant")
  end
  local ok, has_more, has_name = check_fields(message, param, role)
  if not ok then
    return nil, has_more
  end
  local item = { role = role, node = message, has_name = has_name, is_bare = not has_more and role ~= "system" and #message == 2 }
  local kind = message:type("content")
  if kind == "string" then
    item.is_blank = is_blank(message, "content")
    return item
  elseif kind == nil or kind == "null" then
    if role ~= "assistant" then
      return refuse(param .. ".content", "a string or a list of parts is required")
    end
    if message:type("refusal") == "string" and not is_blank(message, "refusal") then
      item.field = "refusal"
    else
      item.is_blank = true
    end
    return item
  elseif kind ~= "array" then
    return refuse(param .. ".content", "a string or a list of parts is required")
  end
  item.parts = {}
  for i, part in json.ipairs(message:get("content")) do
    local field, err = read_part(part, ("%s.content.%d"):format(param, i - 1), role)
    if field == nil then
      return nil, err
    end
    if field then
      item.parts[#item.parts + 1] = { part, field }
    end
  end
  item.is_blank = #item.parts == 0
  return item
end

-- A text block around the string node `node[field]`.
local function write_text_block(w, node, field, cache_control)
  w:open_object()
  w:key("type")
  w:string("text")
  w:key("text")
  w:node(node:node(field))
  if cache_control ~= nil and cache_control ~= json.null then
    w:key("cache_control")
    w:node(node:node("cache_control"))
  end
  w:close_object()
end

local function write_blocks(w, item)
  if not item.parts then
    return write_text_block(w, item.node, item.field or "content")
  end
  for _, pair in ipairs(item.parts) do
    write_text_block(w, pair[1], pair[2], pair[1]:get("cache_control"))
  end
end

--- Reads all messages. Nothing is written yet, so a bad request is refused before any work.
---@param ctx gate.Ctx
---@param node any The client's `messages`.
---@return { system: table[], turns: table[] }?
---@return gate.Err? err `bad_request`, `unsupported`, with the path of the field.
function M.read(ctx, node)
  if json.type(node) ~= "array" or #node == 0 then
    return refuse("messages", "a list with at least one message is required")
  end
  local system, turns, has_user, named = {}, {}, false, false
  local last_role
  for i, message in json.ipairs(node) do
    local item, err = read_message(message, "messages." .. (i - 1))
    if not item then
      return nil, err
    end
    named = named or item.has_name
    if not item.is_blank then
      if item.role == "system" then
        if turns[1] then
          ctx:warn("changed", "messages.%d: moved to the system prompt, where Claude takes instructions", i - 1)
        end
        system[#system + 1] = item
      else
        has_user = has_user or item.role == "user"
        if item.role == last_role then
          local turn = turns[#turns]
          turn[#turn + 1] = item
        else
          turns[#turns + 1] = { item, role = item.role }
          last_role = item.role
        end
      end
    end
  end
  if not has_user then
    return refuse("messages", "at least one user message with content is required")
  end
  if named then
    ctx:warn("dropped", "messages.name: Claude knows no names of participants")
  end
  return { system = system, turns = turns }
end

--- Writes "system": [...] where there is one, in one form for ever: a list of text blocks.
function M.write_system(w, read)
  if #read.system == 0 then
    return
  end
  w:key("system")
  w:open_array()
  for _, item in ipairs(read.system) do
    write_blocks(w, item)
  end
  w:close_array()
end

-- The last turn of the assistant is a prefill; the upstream refuses white space at its end.
local function write_prefill(w, turn)
  local texts = {}
  for _, item in ipairs(turn) do
    for _, pair in ipairs(item.parts or { { item.node, item.field or "content" } }) do
      texts[#texts + 1] = pair[1]:get(pair[2])
    end
  end
  w:open_object()
  w:key("role")
  w:string("assistant")
  w:key("content")
  w:string((table.concat(texts):gsub("%s+$", "")))
  w:close_object()
end

function M.write_turns(w, read)
  local turns = read.turns
  w:key("messages")
  w:open_array()
  if turns[1].role == "assistant" then
    -- A conversation must begin with the user (older models refuse it otherwise): a fixed turn.
    w:raw('{"role":"user","content":"."}')
  end
  for i, turn in ipairs(turns) do
    local first = turn[1]
    if i == #turns and turn.role == "assistant" then
      write_prefill(w, turn)
    elseif #turn == 1 and first.is_bare and not first.parts then
      w:node(first.node)
    else
      w:open_object()
      w:key("role")
      w:string(turn.role)
      w:key("content")
      w:open_array()
      for _, item in ipairs(turn) do
        write_blocks(w, item)
      end
      w:close_array()
      w:close_object()
    end
  end
  w:close_array()
end

return M
