--- What a spec file must give back: tasks, handles of the loop, file descriptors. Closing takes a turn or
--- two of the loop, so the comparison waits, for a bounded time, until things are as they were.
local eventually = require("spec.support.eventually")
local ffi = require("ffi")
local lfs = require("lfs")
local task = require("rt.task")

ffi.cdef([[
  typedef struct uv_loop_s uv_loop_t;
  typedef struct uv_handle_s uv_handle_t;
  uv_loop_t *rt_loop(void *L);
  void uv_walk(uv_loop_t *loop, void (*on_handle)(uv_handle_t *, void *), void *data);
  int uv_is_closing(const uv_handle_t *handle);
  int uv_handle_get_type(const uv_handle_t *handle);
  const char *uv_handle_type_name(int type);
  size_t uv_handle_size(int type);
  int uv_pipe_init(uv_loop_t *loop, uv_handle_t *pipe, int ipc);
  void uv_close(uv_handle_t *handle, void (*on_close)(uv_handle_t *));
  intptr_t readlink(const char *path, char *target, size_t size);
]])

local M = {}

local PATIENCE_MS = 3000

local function read_link(path)
  local buffer = ffi.new("char[?]", 512)
  local length = ffi.C.readlink(path, buffer, 511)
  return length > 0 and ffi.string(buffer, length) or "?"
end

local function count_descriptors()
  local open, count = {}, 0
  for name in lfs.dir("/proc/self/fd") do
    local target = tonumber(name) and read_link("/proc/self/fd/" .. name)
    if target and not target:find("/fd$") then -- the directory that is being read
      open[name] = target
      count = count + 1
    end
  end
  return open, count
end

local handles
local on_handle = ffi.cast("void (*)(uv_handle_t *, void *)", function(handle)
  if ffi.C.uv_is_closing(handle) ~= 0 then
    return
  end
  local kind = ffi.string(ffi.C.uv_handle_type_name(ffi.C.uv_handle_get_type(handle)))
  handles[kind] = (handles[kind] or 0) + 1
end)

local function count_handles()
  handles = {}
  ffi.C.uv_walk(ffi.C.rt_loop(nil), on_handle, nil)
  return handles
end
jit.off(count_handles) -- it calls back into Lua

-- libuv keeps a descriptor of /dev/null in reserve from the first stream on: let it be there from the start.
local UV_NAMED_PIPE = 7
local has_reserve = false

local function make_reserve()
  local stream = ffi.new("char[?]", tonumber(ffi.C.uv_handle_size(UV_NAMED_PIPE)))
  local handle = ffi.cast("uv_handle_t *", stream)
  ffi.C.uv_pipe_init(ffi.C.rt_loop(nil), handle, 0)
  ffi.C.uv_close(handle, nil)
  eventually.turns() -- the loop has let go of `stream` after this
  has_reserve = true
end

--- Notes what is alive now.
---@return table snapshot For compare().
function M.snapshot()
  if not has_reserve then
    make_reserve()
  end
  collectgarbage()
  collectgarbage()
  local descriptors, descriptor_count = count_descriptors()
  return {
    tasks = task.count(),
    handles = count_handles(),
    descriptors = descriptors,
    descriptor_count = descriptor_count,
  }
end

local function differences(before, now)
  local found = {}
  if now.tasks ~= before.tasks then
    found[#found + 1] = ("%d tasks, before %d"):format(now.tasks, before.tasks)
  end
  for kind, count in pairs(now.handles) do
    if count > (before.handles[kind] or 0) then
      found[#found + 1] = ("%d %s handles, before %d"):format(count, kind, before.handles[kind] or 0)
    end
  end
  if now.descriptor_count > before.descriptor_count then
    for name, target in pairs(now.descriptors) do
      if before.descriptors[name] ~= target then
        found[#found + 1] = ("descriptor %s -> %s"):format(name, target)
      end
    end
  end
  return #found > 0 and table.concat(found, "\n") or nil
end

--- Compares with an earlier snapshot, waiting for what is still being closed.
---@param before table
---@param patience_ms? integer Default 3000.
---@return string? left What is alive that was not; nil: nothing.
function M.compare(before, patience_ms)
  local left
  pcall(eventually.is, function()
    left = differences(before, M.snapshot())
    return not left
  end, patience_ms or PATIENCE_MS)
  return left
end

return M
