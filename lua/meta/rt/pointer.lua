---@meta rt.pointer

--- Light userdata as FFI pointers, so that the FFI call that takes one is compiled.
---@class rt.pointer
local pointer = {}

--- Writes an address into cdata whose first member is a pointer.
---@param slot ffi.cdata*
---@param light lightuserdata
function pointer.store(slot, light) end

return pointer
