// rt.fs: small files, at once: configuration, plugins, sockets' folders. Not for the way of a request: the
// loop stands still meanwhile.
#include "rt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_LIMIT_BYTES = 16 << 20 };

static int fail_errno(lua_State *L, const char *what, const char *path)
{
    return rt_fail_uv(L, -errno, what, path);
}

static bool option(lua_State *L, int index, const char *name)
{
    if (!lua_istable(L, index))
        return false;
    lua_getfield(L, index, name);
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

static lua_Integer option_integer(lua_State *L, int index, const char *name, lua_Integer value)
{
    if (!lua_istable(L, index))
        return value;
    lua_getfield(L, index, name);
    value = luaL_optinteger(L, -1, value);
    lua_pop(L, 1);
    return value;
}

static const char *type_name(mode_t mode)
{
    return S_ISREG(mode)    ? "file"
           : S_ISDIR(mode)  ? "folder"
           : S_ISLNK(mode)  ? "link"
           : S_ISSOCK(mode) ? "socket"
                            : "other";
}

// Who else may read or change a secret's file? NULL: nobody.
static const char *why_not_private(const struct stat *about)
{
    if (about->st_uid != geteuid() && about->st_uid != 0)
        return "belongs to another user";
    if (about->st_mode & (S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH))
        return "is open to others than its owner";
    return NULL;
}

static int read_all(lua_State *L, int fd, const char *path, size_t limit)
{
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    size_t size = 0;
    for (;;) {
        ssize_t got = read(fd, luaL_prepbuffer(&text), LUAL_BUFFERSIZE);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            int error = errno;
            close(fd);
            return rt_fail_uv(L, -error, "read", path);
        }
        if (got == 0)
            break;
        size += (size_t)got;
        if (size > limit) {
            close(fd);
            return rt_fail(L, "too_large", "read %s: more than %lu bytes", path, (unsigned long)limit);
        }
        luaL_addsize(&text, (size_t)got);
    }
    close(fd);
    luaL_pushresult(&text);
    return 1;
}

// fs.read_file(path[, { limit_bytes = 16 MiB, no_link, private }]) -> text | nil, err (not_found, not_permitted,
// too_large, not_a_file, not_private). no_link refuses a symbolic link as the last part of the path; private
// refuses a file that others than its owner can read or change.
static int l_read_file(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    size_t limit = (size_t)option_integer(L, 2, "limit_bytes", READ_LIMIT_BYTES);
    bool is_private = option(L, 2, "private");
    int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (option(L, 2, "no_link") ? O_NOFOLLOW : 0);
    int fd = open(path, flags);
    if (fd < 0 && errno == ELOOP)
        return rt_fail(L, "not_a_file", "read %s: it is a symbolic link", path);
    if (fd < 0)
        return fail_errno(L, "read", path);
    struct stat about;
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) { // a pipe could keep us waiting for ever
        close(fd);
        return rt_fail(L, "not_a_file", "read %s: it is not a regular file", path);
    }
    const char *why = is_private ? why_not_private(&about) : NULL;
    if (why) {
        close(fd);
        return rt_fail(L, "not_private", "read %s: the file %s", path, why);
    }
    return read_all(L, fd, path, limit);
}

static int write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t done = write(fd, data, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        data += done;
        size -= (size_t)done;
    }
    return 0;
}

// fs.write_file(path, text[, { mode = 0640 }]) -> true | nil, err. The file is there whole or not at all, also
// after a power cut: a temporary file beside it is synchronized and renamed.
static int l_write_file(lua_State *L)
{
    size_t size;
    const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &size);
    mode_t mode = (mode_t)option_integer(L, 3, "mode", 0640);
    char temporary[PATH_MAX], folder[PATH_MAX];
    if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= (int)sizeof(temporary))
        return rt_fail_uv(L, UV_ENAMETOOLONG, "write", path);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return fail_errno(L, "write", path);
    bool is_ok = write_all(fd, text, size) == 0 && fchmod(fd, mode) == 0 && fsync(fd) == 0;
    int error = errno;
    close(fd);
    if (is_ok && rename(temporary, path) != 0) {
        is_ok = false;
        error = errno;
    }
    if (!is_ok) {
        unlink(temporary);
        return rt_fail_uv(L, -error, "write", path);
    }
    snprintf(folder, sizeof(folder), "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd); // the name; some file systems refuse, and then it is as safe as they make it
        close(fd);
    }
    return rt_true(L);
}

// fs.stat(path[, { no_link }]) -> { type, size, mode, user_id, modified_at_ms, inode } | nil, err
static int l_stat(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct stat about;
    int rc = option(L, 2, "no_link") ? lstat(path, &about) : stat(path, &about);
    if (rc != 0)
        return fail_errno(L, "stat", path);
    lua_createtable(L, 0, 6);
    lua_pushstring(L, type_name(about.st_mode));
    lua_setfield(L, -2, "type");
    lua_pushnumber(L, (lua_Number)about.st_size);
    lua_setfield(L, -2, "size");
    lua_pushinteger(L, about.st_mode & 07777);
    lua_setfield(L, -2, "mode");
    lua_pushnumber(L, (lua_Number)about.st_uid);
    lua_setfield(L, -2, "user_id");
    lua_pushnumber(L, (lua_Number)about.st_mtim.tv_sec * 1e3 + (lua_Number)(about.st_mtim.tv_nsec / 1000000));
    lua_setfield(L, -2, "modified_at_ms");
    lua_pushnumber(L, (lua_Number)about.st_ino);
    lua_setfield(L, -2, "inode");
    return 1;
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name); // not by locale: the same order everywhere
}

// fs.list(path) -> { name, ... } sorted, without "." and ".." | nil, err
static int l_list(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, compare_names);
    if (count < 0)
        return fail_errno(L, "list", path);
    lua_createtable(L, count, 0);
    int at = 0;
    for (int i = 0; i < count; i++) {
        if (strcmp(entries[i]->d_name, ".") != 0 && strcmp(entries[i]->d_name, "..") != 0) {
            lua_pushstring(L, entries[i]->d_name);
            lua_rawseti(L, -2, ++at);
        }
        free(entries[i]);
    }
    free(entries);
    return 1;
}

// fs.mkdir(path[, { mode = 0750 }]) -> true | nil, err. Makes missing folders above it, too; one that is there is fine.
static int l_mkdir(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    mode_t mode = (mode_t)option_integer(L, 2, "mode", 0750);
    char part[PATH_MAX];
    if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part))
        return rt_fail_uv(L, UV_ENAMETOOLONG, "mkdir", path);
    for (char *at = part + 1; *part; at++) {
        char kept = *at;
        if (kept != '/' && kept != '\0')
            continue;
        *at = '\0';
        if (mkdir(part, mode) != 0 && errno != EEXIST)
            return fail_errno(L, "mkdir", part);
        *at = kept;
        if (kept == '\0')
            break;
    }
    struct stat about;
    if (stat(path, &about) == 0 && S_ISDIR(about.st_mode))
        return rt_true(L);
    return rt_fail_uv(L, UV_ENOTDIR, "mkdir", path);
}

// fs.unlink(path), fs.rmdir(path) (empty), fs.rename(from, to) -> true | nil, err
static int l_unlink(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    return unlink(path) == 0 ? rt_true(L) : fail_errno(L, "unlink", path);
}

static int l_rmdir(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    return rmdir(path) == 0 ? rt_true(L) : fail_errno(L, "rmdir", path);
}

static int l_rename(lua_State *L)
{
    const char *from = luaL_checkstring(L, 1), *to = luaL_checkstring(L, 2);
    return rename(from, to) == 0 ? rt_true(L) : fail_errno(L, "rename", from);
}

// fs.chmod(path, mode) -> true | nil, err
static int l_chmod(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    return chmod(path, (mode_t)luaL_checkinteger(L, 2)) == 0 ? rt_true(L) : fail_errno(L, "chmod", path);
}

// fs.realpath(path) -> absolute path without links | nil, err
static int l_realpath(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    char real[PATH_MAX];
    if (!realpath(path, real))
        return fail_errno(L, "realpath", path);
    lua_pushstring(L, real);
    return 1;
}

// fs.current_folder() -> path
static int l_current_folder(lua_State *L)
{
    char path[PATH_MAX];
    if (!getcwd(path, sizeof(path)))
        return fail_errno(L, "current_folder", "");
    lua_pushstring(L, path);
    return 1;
}

// fs.temporary_folder(prefix) -> path of a new folder that only this user enters | nil, err
static int l_temporary_folder(lua_State *L)
{
    const char *prefix = luaL_checkstring(L, 1), *root = getenv("TMPDIR");
    char path[PATH_MAX];
    if (snprintf(path, sizeof(path), "%s/%s.XXXXXX", root && *root ? root : "/tmp", prefix) >= (int)sizeof(path))
        return rt_fail_uv(L, UV_ENAMETOOLONG, "temporary_folder", prefix);
    if (!mkdtemp(path))
        return fail_errno(L, "temporary_folder", path);
    lua_pushstring(L, path);
    return 1;
}

static int open_fs(lua_State *L)
{
    static const luaL_Reg functions[] = {{"read_file", l_read_file},
                                         {"write_file", l_write_file},
                                         {"stat", l_stat},
                                         {"list", l_list},
                                         {"mkdir", l_mkdir},
                                         {"unlink", l_unlink},
                                         {"rmdir", l_rmdir},
                                         {"rename", l_rename},
                                         {"chmod", l_chmod},
                                         {"realpath", l_realpath},
                                         {"current_folder", l_current_folder},
                                         {"temporary_folder", l_temporary_folder},
                                         {NULL, NULL}};
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
RT_MODULE("rt.fs", open_fs)
