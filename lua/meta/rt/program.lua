---@meta rt.program
--- Rules over event streams whose data is JSON. They run in C, without a Lua string per event; what they
--- do not take is handed to Lua. rt.relay runs them between sockets; program:run() runs them over text.

---@class rt.program
local program = {}

--- Keys and positions (from 1) that lead to a value.
---@alias rt.program.Path (string|integer)[]

--- One of equals, var, is.
---@class rt.program.Condition
---@field path rt.program.Path
---@field equals? string Raw JSON text, compared byte by byte: '"text_delta"', "3", "null".
---@field var? integer Variable whose text the raw value must equal; one that is not set equals nothing.
---@field is? "present"|"absent"|"string"|"number"|"object"|"array" null counts as absent.

--- A literal text, a variable, or the raw JSON of a value (strings with quotes and escapes as they came).
---@alias rt.program.Piece string|{ var: integer }|{ raw: rt.program.Path }

---@class rt.program.Lift
---@field path rt.program.Path
---@field slot string A later value overwrites; null, nothing or another type leaves the old one.
---@field kind "integer"|"string"|"raw" integer: 64 bits, held at their ends. Texts above 1 MB are not lifted.

--- The first rule of an event's name whose conditions hold acts. It does not hold where one of its raw
--- pieces is missing. Broken JSON goes through no rule of a name that is looked into: it is handed to Lua.
---@class rt.program.Rule
---@field event string
---@field when? rt.program.Condition[] All must hold.
---@field emit? rt.program.Piece[] Written to the client; at most 32. Nothing: the event is dropped.
---@field lift? rt.program.Lift[]
---@field wake? boolean The event is also handed to Lua, after this.

---@class rt.program.Spec
---@field rules? rt.program.Rule[]
---@field pass? boolean Bytes are forwarded untouched; rules only lift and wake. Default false: only what rules emit
--- is sent, and an event that no rule takes is handed to Lua.
---@field wake_on? string[] Events of these names are always handed to Lua, after the rules.
---@field idle? string[] Names that are no content: relay:first() skips them, they do not count as a sign of life.
--- Without a rule they are dropped. Default { "ping" }.

---@class rt.Program
local compiled = {}

--- Compiles a spec. Raises where it is wrong, with the number of the rule.
---@param spec rt.program.Spec
---@return rt.Program program Immutable; may serve any number of streams.
function program.new(spec) end

--- The names of all slots, in the order of the spec.
---@return string[]
function compiled:slots() end

--- Begins a run over text, without sockets.
---@return rt.program.Run
function compiled:run() end

---@class rt.program.Run
local run = {}

--- Hands in more of the stream, cut anywhere. Raises while next() has not used up what came before.
---@param text string
function run:feed(text) end

--- Goes on to the next event that is Lua's.
---@return string? name nil without err: all that was fed is used up.
---@return string|rt.Err data The event's JSON text; or err `too_large`.
function run:next() end

--- What the rules wrote since the last call.
---@return string
function run:output() end

--- Sets a variable.
---@param var integer 1 to 32.
---@param text string|number
function run:set(var, text) end

--- What was lifted so far. Raises on a name that the program does not have.
---@param name string
---@return number|string|nil
function run:slot(name) end

--- How many events had broken JSON.
---@return integer
function run:bad_events() end

return program
