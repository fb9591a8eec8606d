---@meta rt.fs
-- Types of rt.fs (runtime/bind/l_fs.c). Read by editors and specs, never loaded.

--- Small files, at once: configuration and plugins. The loop stands still meanwhile, so not on a request's way.
---@class rt.fs
local M = {}

---@param path string
---@param options? { limit_bytes: integer?, no_link: boolean?, private: boolean? } Limit: 16 MiB unless given.
---@return string? text
---@return gate.Err? err not_found, not_permitted, too_large, not_a_file, not_private
function M.read_file(path, options) end

--- The file is there whole or not at all, also after a power cut.
---@param path string
---@param text string
---@param options? { mode: integer? } Default 0640.
---@return true? ok
---@return gate.Err? err
function M.write_file(path, text, options) end

---@class rt.fs.Stat
---@field type "file"|"folder"|"link"|"socket"|"other"
---@field size integer Bytes.
---@field mode integer Permission bits.
---@field user_id integer
---@field modified_at_ms number
---@field inode integer

---@param path string
---@param options? { no_link: boolean? } no_link: of the link itself.
---@return rt.fs.Stat? stat
---@return gate.Err? err
function M.stat(path, options) end

---@param path string
---@return string[]? names Sorted by bytes, without "." and "..".
---@return gate.Err? err
function M.list(path) end

--- Makes missing folders above it, too; one that is there is fine.
---@param path string
---@param options? { mode: integer? } Default 0750.
---@return true? ok
---@return gate.Err? err
function M.mkdir(path, options) end

---@return true? ok
---@return gate.Err? err
function M.unlink(path) end

---@return true? ok
---@return gate.Err? err
function M.rmdir(path) end

---@return true? ok
---@return gate.Err? err
function M.rename(from, to) end

---@return true? ok
---@return gate.Err? err
function M.chmod(path, mode) end

---@return string? path Absolute, without links.
---@return gate.Err? err
function M.realpath(path) end

---@return string? path
---@return gate.Err? err
function M.current_folder() end

---@param prefix string
---@return string? path A new folder that only this user enters.
---@return gate.Err? err
function M.temporary_folder(prefix) end

return M
