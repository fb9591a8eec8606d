---@meta rt.sse
--- Server-sent events for Lua code that has a text whole or in pieces: specs, tools, the simulator. All
--- line endings, a byte order mark, comments and several data lines are understood (WHATWG HTML 9.2.6).

---@class rt.sse
local sse = {}

---@class rt.sse.Event
---@field name string "message" where the event has none.
---@field data string Data lines joined by "\n".
---@field id? string
---@field retry_ms? integer

---@class rt.sse.Reader
local reader = {}

--- Makes a reader for one stream.
---@param limit_bytes? integer Of one event; default and most 8 MB.
---@return rt.sse.Reader
function sse.reader(limit_bytes) end

--- Reads the next piece of the stream.
---@param text string Cut anywhere.
---@return rt.sse.Event[]? events Those that are complete now.
---@return rt.Err? err `too_large`; stays so.
function reader:feed(text) end

--- Ends the stream. The reader can then be used for another one.
---@return true?
---@return rt.Err? err `truncated`: the stream ended inside an event, which is lost.
function reader:finish() end

--- Writes one frame. Line ends in data become lines of their own.
---@param name? string Without line ends.
---@param data string
---@return string frame
function sse.encode(name, data) end

return sse
