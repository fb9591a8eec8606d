// rt.page: the memory a worker shares with its supervisor (page.h).
// Ownership: the userdata owns the mapping and, on the side that made it, the descriptor. The heartbeat's timer
// belongs to the loop; it is one per process, because a process beats for itself only.
#include "page.h"
#include "rt.h"

#include <string.h>
#include <unistd.h>

typedef struct page_box {
    shared_page *page;
    int fd;
} page_box;

static uv_timer_t beat;
static shared_page *beating;

#define NAME_OF(name) #name,
#define CDEF_OF(name) "uint64_t " #name ";"
static const char *const counter_names[] = {PAGE_COUNTERS(NAME_OF) NULL};
static const char cdef[] =
    "typedef struct rt_shared_page { uint32_t magic; uint32_t crumb; uint64_t heartbeat_ms;" PAGE_COUNTERS(
        CDEF_OF) "uint32_t label_count; } rt_shared_page;";

static page_box *check_page(lua_State *L)
{
    page_box *box = luaL_checkudata(L, 1, "rt.page");
    if (!box->page)
        luaL_argerror(L, 1, "the page is closed");
    return box;
}

static page_box *new_box(lua_State *L)
{
    page_box *box = lua_newuserdata(L, sizeof(*box));
    *box = (page_box){NULL, -1};
    luaL_getmetatable(L, "rt.page");
    lua_setmetatable(L, -2);
    return box;
}

// page.create() -> page | nil, err
static int l_create(lua_State *L)
{
    page_box *box = new_box(L);
    int rc = 0;
    box->page = page_create(&box->fd, &rc);
    return box->page ? 1 : rt_fail_uv(L, rc, "page", "create");
}

// page.open(fd) -> page | nil, err. The descriptor is closed: the mapping is enough.
static int l_open(lua_State *L)
{
    int fd = (int)luaL_checkinteger(L, 1), rc = 0;
    page_box *box = new_box(L);
    box->page = page_map(fd, &rc);
    close(fd);
    return box->page ? 1 : rt_fail_uv(L, rc, "page", "open");
}

static int l_fd(lua_State *L)
{
    lua_pushinteger(L, check_page(L)->fd);
    return 1;
}

// page:label(text) -> index for the crumb; 0 when there is no room
static int l_label(lua_State *L)
{
    page_box *box = check_page(L);
    lua_pushinteger(L, page_label(box->page, luaL_checkstring(L, 2)));
    return 1;
}

// page:set_crumb(index): what runs now. gate writes it by FFI where it is hot.
static int l_set_crumb(lua_State *L)
{
    page_box *box = check_page(L);
    box->page->crumb = (uint32_t)luaL_checkinteger(L, 2);
    return 0;
}

// page:crumb() -> text | nil
static int l_crumb(lua_State *L)
{
    char text[PAGE_LABEL_BYTES + 1];
    page_crumb(check_page(L)->page, text, sizeof(text));
    if (!text[0])
        return 0;
    lua_pushstring(L, text);
    return 1;
}

static uint64_t *check_counter(lua_State *L)
{
    page_box *box = check_page(L);
    int at = luaL_checkoption(L, 2, NULL, counter_names);
    return &box->page->requests_total + at;
}

// page:get(name) -> number
static int l_get(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)__atomic_load_n(check_counter(L), __ATOMIC_RELAXED));
    return 1;
}

// page:set(name, number), page:add(name, number)
static int l_set(lua_State *L)
{
    uint64_t *counter = check_counter(L);
    __atomic_store_n(counter, (uint64_t)luaL_checknumber(L, 3), __ATOMIC_RELAXED);
    return 0;
}

static int l_add(lua_State *L)
{
    uint64_t *counter = check_counter(L);
    *counter += (uint64_t)(int64_t)luaL_checknumber(L, 3);
    return 0;
}

// page:age_ms() -> milliseconds since the last heartbeat
static int l_age_ms(lua_State *L)
{
    uint64_t at_ms = __atomic_load_n(&check_page(L)->page->heartbeat_ms, __ATOMIC_RELAXED), now_ms = page_now_ms();
    lua_pushnumber(L, now_ms > at_ms ? (lua_Number)(now_ms - at_ms) : 0);
    return 1;
}

// page:beat(interval_ms): from now on the loop of this process beats on this page, which stays mapped.
static int l_beat(lua_State *L)
{
    page_box *box = check_page(L);
    lua_Integer interval_ms = luaL_checkinteger(L, 2);
    luaL_argcheck(L, interval_ms >= 1, 2, "milliseconds");
    if (beating && beating != box->page)
        return luaL_error(L, "page:beat: this process beats on another page");
    if (!beating)
        uv_timer_init(rt_loop(L), &beat);
    beating = box->page;
    page_beat(box->page, &beat, (uint64_t)interval_ms);
    return 0;
}

// page:pointer() -> lightuserdata, for ffi.cast("rt_shared_page *", p) after ffi.cdef(page.CDEF)
static int l_pointer(lua_State *L)
{
    lua_pushlightuserdata(L, check_page(L)->page);
    return 1;
}

static int l_close(lua_State *L)
{
    page_box *box = luaL_checkudata(L, 1, "rt.page");
    if (box->page != beating) // the loop still writes there
        page_unmap(box->page);
    box->page = NULL;
    if (box->fd >= 0)
        close(box->fd);
    box->fd = -1;
    return 0;
}

static int open_page(lua_State *L)
{
    static const luaL_Reg methods[] = {{"fd", l_fd},           {"label", l_label},   {"set_crumb", l_set_crumb},
                                       {"crumb", l_crumb},     {"get", l_get},       {"set", l_set},
                                       {"add", l_add},         {"age_ms", l_age_ms}, {"beat", l_beat},
                                       {"pointer", l_pointer}, {"close", l_close},   {NULL, NULL}};
    static const luaL_Reg functions[] = {{"create", l_create}, {"open", l_open}, {NULL, NULL}};
    luaL_newmetatable(L, "rt.page");
    lua_pushcfunction(L, l_close);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    lua_pushstring(L, cdef);
    lua_setfield(L, -2, "CDEF");
    return 1;
}
RT_MODULE("rt.page", open_page)
