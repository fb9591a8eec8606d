---@meta rt.keyring
-- Types of rt.keyring (runtime/bind/l_keyring.c). Read by editors and specs, never loaded.

---@class rt.keyring
local M = {}

--- Client keys in C memory: the SHA-256 of each with a record of the owner's own. Filled once; the first look-up
--- makes it immutable.
---@class rt.keyring.Ring
local Ring = {}

---@return rt.keyring.Ring?
---@return gate.Err? err `no_memory`
function M.new() end

---@param sha256 string 64 hexadecimal digits, or 32 bytes.
---@param record? string Any text.
---@return true?
---@return gate.Err? err `bad_key`, `duplicate`, `sealed`, `too_large`, `no_memory`
function Ring:add(sha256, record) end

--- Adds many: a line is 64 hexadecimal digits, a blank and the record. Empty lines and lines that begin with "#" are
--- left out.
---@param text string
---@return integer? count How many were added.
---@return gate.Err? err As add, with the number of the line; the lines before it have been added.
function Ring:add_lines(text) end

--- Looks up a key as a client presented it, in a time that depends neither on the number of keys nor on how much of
--- one was right.
---@param presented string
---@return integer? index From 1, in order of adding.
---@return string? record
function Ring:find(presented) end

--- As find, without making a string of the record: for callers that keep what they read from it by index.
---@param presented string
---@return integer? index
function Ring:index_of(presented) end

---@param index integer
---@return string
function Ring:record(index) end

---@return integer
function Ring:count() end

--- Makes the ring immutable and gives spare memory back.
function Ring:seal() end

---@return integer
function Ring:memory_bytes() end

return M
