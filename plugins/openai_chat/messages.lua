--- The messages of a Chat Completions request as Claude's system blocks and turns. The client's bytes are
--- spliced: a plain message is the same object on both sides, and a text part too. Runs of one role become
--- one turn; system and developer messages move to the front, in their order.
--- The same messages always give the same bytes, and a longer conversation begins with the bytes of the
--- shorter one: prompt caches depend on it.
--- Source: translation.md section 3 (2026-11-22).
local json = require("gate.json")

local M = {}

local ROLES = { system = "system", developer = "system", user = "user", assistant = "assistant" }
local WORDS = { "user", "assistant", "system", "developer" }
local USER, ASSISTANT = 0, 1 -- in WORDS; what is above is a system message

-- A message of one role and one text is common: C tells so, and nothing is made for it in Lua. The others, and
-- content in parts, are looked at one by one.
local rows = json.rows("role", WORDS, "content")
local parts = json.rows("type", { "text" }, "text")
local items = {} -- by position from 0: what is known of a message that is not common
local has_items = false
local array_id = 0 -- of the messages that were read last
-- Position of the first turn where the messages are one after the other as they are, with at most one system message
-- before them and the user's at the end; false: they are looked at one by one. No loop then: a request of any length is one compiled trace.
local plain_from = false

-- A conversation must begin with the user (older models refuse it otherwise): a fixed turn.
local FIRST_TURN = '{"role":"user","content":"."}'

-- Marks of a row, for what becomes of it. 0: nothing, it is blank.
local FIRST, NEXT, SYSTEM = 1, 2, 3 -- begins a turn; goes on with it; goes to the system prompt
local ARRAY = json.kind.ARRAY

-- Roles and parts that Chat Completions has and that are refused by name.
local REFUSED_ROLES = { tool = true, ["function"] = true }
local REFUSED_PARTS = { image_url = true, input_audio = true, file = true }

local function refuse(param, format, ...)
  return nil, { code = "bad_request", message = param .. ": " .. format:format(...), param = param }
end

local function unsupported(param, what)
  return nil, { code = "unsupported", message = ("%s: %s is not translated to Claude"):format(param, what), param = param }
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
    return not part:is_blank("text") and "text" or false
  elseif kind == "refusal" and role == "assistant" then
    if part:type("refusal") ~= "string" then
      return refuse(param .. ".refusal", "a string is required")
    end
    return not part:is_blank("refusal") and "refusal" or false
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

-- Reads content in parts: where the texts are, two entries each: id of the text, and of its cache_control or false.
local function read_parts(doc, content_id, param, role)
  local texts = {}
  for i = 0, parts:read(doc, content_id) - 1 do
    local row = parts.list[i]
    if row.is_common ~= 0 then
      texts[#texts + 1], texts[#texts + 2] = row.value, false
    else
      local part = parts:element(doc, i)
      local field, err = read_part(part, ("%s.content.%d"):format(param, i), role)
      if field == nil then
        return nil, err
      elseif field then
        local cache_control = part:node("cache_control")
        local is_cached = cache_control and cache_control:type() ~= "null"
        texts[#texts + 1], texts[#texts + 2] = part:node(field).id, is_cached and cache_control.id or false
      end
    end
  end
  return texts
end

--- One message that is not common: what of it goes into a turn.
---   { role, is_blank, has_name, texts } texts: as read_parts() gives them
local function read_message(doc, position, param)
  local message = rows:element(doc, position)
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
  local item = { role = role, has_name = has_name, is_blank = false, texts = nil, is_bare = nil }
  local kind = message:type("content")
  if kind == "string" then
    item.is_blank = message:is_blank("content")
    item.texts = { message:node("content").id, false }
    return item
  elseif kind == nil or kind == "null" then
    if role ~= "assistant" then
      return refuse(param .. ".content", "a string or a list of parts is required")
    end
    if message:type("refusal") == "string" and not message:is_blank("refusal") then
      item.texts = { message:node("refusal").id, false }
    else
      item.is_blank = true
    end
    return item
  elseif kind ~= "array" then
    return refuse(param .. ".content", "a string or a list of parts is required")
  end
  local err
  item.texts, err = read_parts(doc, message:node("content").id, param, role)
  if not item.texts then
    return nil, err
  end
  item.is_blank = #item.texts == 0
  return item
end

local NUMBER_OF_ROLE = { user = USER, assistant = ASSISTANT, system = ASSISTANT + 1 }

--- Reads all messages. Nothing is written yet, so a bad request is refused before any work. What was read is good for
--- write_system() and write_turns() until the next read().
---@param ctx gate.Ctx
---@param doc gate.json.Doc
---@param id integer The client's `messages`.
---@param kind integer Its type.
---@return true? ok
---@return gate.Err? err `bad_request`, `unsupported`, with the path of the field.
function M.read(ctx, doc, id, kind)
  local count = kind == ARRAY and rows:read(doc, id)
  if not count or count == 0 then
    return refuse("messages", "a list with at least one message is required")
  end
  if has_items then
    items, has_items = {}, false
  end
  array_id = id
  local seen = rows.seen
  if seen.uncommon == count and seen.repeated == count and rows.list[count - 1].word == USER then
    local systems = seen.words[2] + seen.words[3]
    if systems == 0 or systems == 1 and rows.list[0].word > ASSISTANT then
      plain_from = systems
      return true
    end
  end
  plain_from = false
  local list, last_role, has_user, named = rows.list, -1, false, false
  for i = 0, count - 1 do
    local role, is_blank = list[i].word, false
    if list[i].is_common == 0 then
      local item, err = read_message(doc, i, "messages." .. i)
      if not item then
        return nil, err
      end
      role, is_blank, named = NUMBER_OF_ROLE[item.role], item.is_blank, named or item.has_name
      items[i], has_items = item, true
    end
    if is_blank then
      list[i].mark = 0
    elseif role > ASSISTANT then
      if last_role >= 0 then
        ctx:warn("changed", "messages.%d: moved to the system prompt, where Claude takes instructions", i)
      end
      list[i].mark = SYSTEM
    else
      list[i].mark = role == last_role and NEXT or FIRST
      has_user = has_user or role == USER
      last_role = role
    end
  end
  if not has_user then
    return refuse("messages", "at least one user message with content is required")
  end
  if named then
    ctx:warn("dropped", "messages.name: Claude knows no names of participants")
  end
  return true
end

-- A text block around the string `text_id`.
local function write_text_block(w, doc, text_id, cache_id)
  w:open_object()
  w:key("type")
  w:string("text")
  w:key("text")
  w:at(doc, text_id)
  if cache_id then
    w:key("cache_control")
    w:at(doc, cache_id)
  end
  w:close_object()
end

-- The texts of one message as blocks.
local function write_blocks(w, doc, position)
  local item = items[position]
  if not item then
    return write_text_block(w, doc, rows.list[position].value, false)
  end
  local texts = item.texts
  for i = 1, #texts, 2 do
    write_text_block(w, doc, texts[i], texts[i + 1])
  end
end

--- Writes "system": [...] where there is one, in one form for ever: a list of text blocks.
---@param w gate.json.Writer
---@param doc gate.json.Doc
function M.write_system(w, doc)
  if plain_from then
    if plain_from == 1 then
      w:key("system")
      w:open_array()
      write_text_block(w, doc, rows.list[0].value, false)
      w:close_array()
    end
    return
  end
  local is_open = false
  for i = 0, rows.seen.count - 1 do
    if rows.list[i].mark == SYSTEM then
      if not is_open then
        is_open = true
        w:key("system")
        w:open_array()
      end
      write_blocks(w, doc, i)
    end
  end
  if is_open then
    w:close_array()
  end
end

-- Position behind the turn that begins at a position: that of the next turn's beginning, or the number of messages.
local function turn_end(position)
  local list, count = rows.list, rows.seen.count
  repeat
    position = position + 1
  until position == count or list[position].mark == FIRST
  return position
end

local function is_assistant(position)
  local item = items[position]
  if item then
    return item.role == "assistant"
  end
  return rows.list[position].word == ASSISTANT
end

-- Whether the turn is one message that may stay as it is.
local function is_alone(from, behind)
  local list = rows.list
  for i = from + 1, behind - 1 do
    if list[i].mark == NEXT then
      return false
    end
  end
  return list[from].is_common ~= 0
end

-- The last turn of the assistant is a prefill; the upstream refuses white space at its end.
local function write_prefill(w, doc, from, behind)
  local texts = {}
  for i = from, behind - 1 do
    local mark = rows.list[i].mark
    if mark == FIRST or mark == NEXT then
      local ids = items[i] and items[i].texts or { rows.list[i].value, false }
      for k = 1, #ids, 2 do
        texts[#texts + 1] = doc:at(ids[k])
      end
    end
  end
  w:open_object()
  w:key("role")
  w:string("assistant")
  w:key("content")
  w:string((table.concat(texts):gsub("%s+$", "")))
  w:close_object()
end

local function write_turn(w, doc, from, behind)
  w:open_object()
  w:key("role")
  w:string(is_assistant(from) and "assistant" or "user")
  w:key("content")
  w:open_array()
  for i = from, behind - 1 do
    local mark = rows.list[i].mark
    if mark == FIRST or mark == NEXT then
      write_blocks(w, doc, i)
    end
  end
  w:close_array()
  w:close_object()
end

--- Writes "messages": [...].
---@param w gate.json.Writer
---@param doc gate.json.Doc
function M.write_turns(w, doc)
  local list, count = rows.list, rows.seen.count
  if plain_from then
    w:key("messages")
    w:open_array()
    if list[plain_from].word == ASSISTANT then
      w:raw(FIRST_TURN)
    end
    w:elements(doc, array_id, plain_from, count - plain_from)
    w:close_array()
    return
  end
  local from = list[0].mark == FIRST and 0 or turn_end(0)
  w:key("messages")
  w:open_array()
  if is_assistant(from) then
    w:raw(FIRST_TURN)
  end
  local run = from -- messages from here on stay as they are, and are written together
  while from < count do
    local behind = turn_end(from)
    local is_prefill = behind == count and is_assistant(from)
    if is_prefill or not is_alone(from, behind) then
      w:elements(doc, array_id, run, from - run)
      if is_prefill then
        write_prefill(w, doc, from, behind)
      else
        write_turn(w, doc, from, behind)
      end
      run = behind
    elseif behind > from + 1 then -- what lies between this turn and the next is no part of any
      w:elements(doc, array_id, run, from + 1 - run)
      run = behind
    end
    from = behind
  end
  w:elements(doc, array_id, run, count - run)
  w:close_array()
end

return M
