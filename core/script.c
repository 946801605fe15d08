#include "script.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#include "embedded.h"

int luaopen_cjson(lua_State *L);

/* ---- memory ---- */

struct budget {
    size_t used, cap;
};

/* The allocator of a state with a limit: realloc within a budget. */
static void *allocate(void *ud, void *p, size_t old, size_t size) {
    struct budget *b = ud;
    if (!p)
        old = 0;
    if (size > old && b->cap && b->used + (size - old) > b->cap)
        return NULL;
    b->used += size - old; /* wraps to the right value when it shrinks */
    if (size == 0) {
        free(p);
        return NULL;
    }
    void *q = realloc(p, size);
    if (!q)
        b->used -= size - old;
    return q;
}

static lua_State *new_limited(size_t cap) {
    struct budget *b = xcalloc(1, sizeof(*b));
    b->cap = cap;
    lua_State *L = lua_newstate(allocate, b);
    if (!L)
        free(b);
    return L;
}

/* NULL: the state has no limit, and LuaJIT's own allocator, which is the faster one. */
static struct budget *budget_of(lua_State *L) {
    void *budget;
    return lua_getallocf(L, &budget) == allocate ? budget : NULL;
}

/* ---- modules ---- */

static int by_name(const void *key, const void *entry) {
    return strcmp(key, ((const struct embedded_module *)entry)->name);
}

/* A package.loaders entry: embedded bytecode, loaded only when it is asked for. */
static int l_embedded_loader(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    const struct embedded_module *m =
        bsearch(name, embedded_modules, embedded_module_count, sizeof(*embedded_modules), by_name);
    if (!m) {
        lua_pushfstring(L, "\n\tno embedded module '%s'", name);
        return 1;
    }
    if (luaL_loadbuffer(L, (const char *)m->data, m->size, m->name) != 0)
        return lua_error(L);
    return 1;
}

static void preload(lua_State *L, const char *name, lua_CFunction open) {
    lua_getglobal(L, "package");    // package
    lua_getfield(L, -1, "preload"); // package preload
    lua_pushcfunction(L, open);     // package preload open
    lua_setfield(L, -2, name);      // package preload
    lua_pop(L, 2);                  //
}

/* Modules are never looked for in the current folder: `queuectl status` in a strange one must not
 * run what lies there. */
static void drop_relative_paths(lua_State *L, const char *field) {
    lua_getglobal(L, "package"); // package
    lua_getfield(L, -1, field);  // package path
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    bool first = true;
    for (const char *p = lua_tostring(L, -1); *p;) {
        size_t len = strcspn(p, ";");
        if (*p == '/') {
            if (!first)
                luaL_addchar(&b, ';');
            luaL_addlstring(&b, p, len);
            first = false;
        }
        p += len + (p[len] == ';');
    }
    luaL_pushresult(&b);        // package path new
    lua_setfield(L, -3, field); // package path
    lua_pop(L, 2);              //
}

/* Embedded modules come first, so that no file on a path can stand in for one. */
static void add_loader(lua_State *L) {
    lua_getglobal(L, "package");    // package
    lua_getfield(L, -1, "loaders"); // package loaders
    for (int i = (int)lua_objlen(L, -1); i >= 2; i--) {
        lua_rawgeti(L, -1, i);     // package loaders loader
        lua_rawseti(L, -2, i + 1); // package loaders
    }
    lua_pushcfunction(L, l_embedded_loader); // package loaders ours
    lua_rawseti(L, -2, 2);                   // package loaders
    lua_pop(L, 2);                           //
}

/* open(name, opener of the caller's module) */
static int l_open(lua_State *L) {
    luaL_openlibs(L);
    preload(L, "cjson", luaopen_cjson);
    preload(L, lua_tostring(L, 1), lua_tocfunction(L, 2));
    drop_relative_paths(L, "path");
    drop_relative_paths(L, "cpath");
    add_loader(L);
    return 0;
}

lua_State *script_new(const char *name, lua_CFunction open, size_t memory_cap) {
    lua_State *L = memory_cap ? new_limited(memory_cap) : luaL_newstate();
    if (!L)
        return NULL;
    lua_pushcfunction(L, l_open);
    lua_pushstring(L, name);
    lua_pushcfunction(L, open);
    if (script_call(L, 2, 0, NULL) < 0) {
        script_free(L);
        return NULL;
    }
    return L;
}

void script_free(lua_State *L) {
    struct budget *budget = budget_of(L);
    lua_close(L);
    free(budget);
}

void script_set_memory(lua_State *L, size_t memory_cap) {
    struct budget *budget = budget_of(L);
    if (budget)
        budget->cap = memory_cap;
}

/* ---- calls ---- */

static const char *message_of(lua_State *L) {
    if (lua_isstring(L, 1))
        return lua_tostring(L, 1);
    if (luaL_callmeta(L, 1, "__tostring") && lua_isstring(L, -1))
        return lua_tostring(L, -1);
    return lua_pushfstring(L, "(error object: a %s)", luaL_typename(L, 1));
}

static int l_traceback(lua_State *L) {
    luaL_traceback(L, L, message_of(L), 1);
    return 1;
}

int script_call(lua_State *L, int n_args, int n_results, struct err *err) {
    int base = lua_gettop(L) - n_args; // index of the function
    lua_pushcfunction(L, l_traceback); // f args… handler
    lua_insert(L, base);               // handler f args…
    int rc = lua_pcall(L, n_args, n_results, base);
    lua_remove(L, base);
    if (rc == 0)
        return 0;
    const char *text = lua_tostring(L, -1);
    err_set(err, ERR_FAILED, "%s", text ? text : "unknown Lua error");
    lua_pop(L, 1);
    return -1;
}

int script_require(lua_State *L, const char *name, struct err *err) {
    lua_getglobal(L, "require"); // require
    lua_pushstring(L, name);     // require name
    return script_call(L, 1, 1, err);
}

int script_fail(lua_State *L, const struct err *err) {
    enum err_code code = err->code == ERR_BUSY ? ERR_STORE : err->code;
    lua_pushnil(L);
    lua_pushstring(L, err->text);
    lua_pushinteger(L, code);
    return 3;
}
