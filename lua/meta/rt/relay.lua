---@meta rt.relay
--- Joins the answer of an upstream call with a server exchange. Bytes flow in C from socket to socket; Lua
--- sees only the events that the program hands out. All events of one upstream read leave in one write.
--- A slow client pauses the upstream: at 256 KB pending, until 64 KB.

---@class rt.relay
local relay = {}

---@class rt.Relay
local stream = {}

--- The same as rt.program.new().
---@param spec rt.program.Spec
---@return rt.Program
function relay.program(spec) end

--- Joins an event stream. From now on the call's body belongs to the relay.
---@param req rt.Request
---@param call rt.Call Whose body nobody has read from.
---@param program rt.Program
---@return rt.Relay? relay
---@return rt.Err? err `no_memory`.
function relay.new(req, call, program) end

--- Passes any body through until its end, after req:start(). Parks. The answer is not finished by this.
---@param req rt.Request
---@param call rt.Call
---@return integer? bytes
---@return rt.Err? err As for next().
function relay.copy(req, call) end

--- Waits for the first event that is no keep-alive. Nothing is forwarded, so that the answer may still become
--- something else; the event stays for next(). Parks.
---@return string? name
---@return string|rt.Err data The event's data; or err as for next(), `truncated` for a stream without an event.
function stream:first() end

--- Waits for the next event that is Lua's, while the program deals with the others. After req:start(). Parks.
---@return "event"|"end"|nil what "end": the upstream ended cleanly; whether all was said is for the caller to know.
---@return string|rt.Err? name The event's name; or err: `reset`, `timeout` (also: nothing but keep-alives for 5 minutes),
--- `truncated` (inside an event or a body), `too_large` (an event above 8 MB), `bad_response`, `client_closed`,
--- `stalled`, `closed`. What came before an upstream's error has been forwarded.
---@return string? data The event's JSON text.
function stream:next() end

--- Queues text for the client, behind what was forwarded. It leaves with what follows, at the latest at the end of
--- this turn of the loop.
---@param text string
---@return true?
---@return rt.Err? err `client_closed`.
function stream:emit(text) end

--- Sets a variable of the program; counts from the next event on.
---@param var integer 1 to 32.
---@param text string|number
function stream:set(var, text) end

--- What was lifted so far; also after the end. Raises on a name that the program does not have.
---@param name string
---@return number|string|nil
function stream:slot(name) end

--- Sends text while next() waits and nothing was sent for ms; never inside a passed event.
---@param ms integer 0: never.
---@param text string
function stream:ping_every(ms, text) end

--- Changes the limit for streams that send nothing but keep-alives; default 300000.
---@param ms integer
function stream:no_content_after(ms) end

--- Is the client's stream between two events, so that a frame may be emitted? (Always, when translating.)
---@return boolean
function stream:is_between() end

--- How many events had broken JSON.
---@return integer
function stream:bad_events() end

--- Closes the upstream call. Slots stay readable.
function stream:close() end

return relay
