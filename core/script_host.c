#include "script_host.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "script.h"
#include "spawn_capture.h"

extern char **environ;

/* ---- the channel ---- */

static void write_all(const char *p, size_t len) {
    while (len) {
        ssize_t n = write(HOST_CHANNEL_FD, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* the worker is gone: nobody is left to tell */
        p += n;
        len -= (size_t)n;
    }
}

/* One message of the Lua strings at first..last, in one write. */
static int send_message(lua_State *L, char type, int first, int last) {
    struct buf b = {0};
    uint32_t len = 0;
    buf_add(&b, (const char *)&len, sizeof(len));
    buf_add(&b, &type, 1);
    for (int i = first; i <= last; i++) {
        size_t n;
        const char *s = lua_tolstring(L, i, &n);
        n = strnlen(s ? s : "", n);
        buf_add(&b, s, n);
        buf_add(&b, "", 1);
    }
    len = (uint32_t)(b.len - sizeof(len));
    memcpy(b.data, &len, sizeof(len));
    write_all(b.data, b.len);
    buf_free(&b);
    return 0;
}

/* host.output(key, value) */
static int l_output(lua_State *L) {
    luaL_checkstring(L, 1);
    luaL_checkstring(L, 2);
    return send_message(L, 'v', 1, 2);
}

/* host.progress(fraction, text) */
static int l_progress(lua_State *L) {
    luaL_checknumber(L, 1);
    luaL_optstring(L, 2, "");
    lua_settop(L, 2);
    return send_message(L, 'p', 1, 2);
}

/* host.finish(kind, message or seconds, reason or class) */
static int l_finish(lua_State *L) {
    const char *kind = luaL_checkstring(L, 1);
    bool snooze = strcmp(kind, "snooze") == 0;
    double ms = snooze ? luaL_checknumber(L, 2) * 1000 : 0;
    const char *text = luaL_optstring(L, snooze ? 3 : 2, "");
    fflush(stdout);
    lua_pushstring(L, kind);
    char number[32];
    snprintf(number, sizeof(number), "%.0f", ms);
    lua_pushstring(L, number);
    lua_pushlstring(L, text, strnlen(text, 900)); /* last_error holds 1 KiB */
    int top = lua_gettop(L);
    return send_message(L, 'r', top - 2, top);
}

/* host.log(level, text): a line of the job's output */
static int l_log(lua_State *L) {
    fflush(stdout);
    fprintf(stderr, "%s: %s\n", luaL_checkstring(L, 1), luaL_checkstring(L, 2));
    return 0;
}

/* ---- host.exec ---- */

/* The strings of the list at `index`, NULL-terminated; owned by a userdata that is pushed. */
static const char **string_list(lua_State *L, int index) {
    luaL_checktype(L, index, LUA_TTABLE);
    size_t n = lua_objlen(L, index);
    const char **list = lua_newuserdata(L, (n + 1) * sizeof(*list));
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, index, (int)i + 1);
        list[i] = luaL_checkstring(L, -1);
        lua_pop(L, 1);
    }
    list[n] = NULL;
    return list;
}

/* Our environment with the map at `index` (VALUE false: unset) on top. */
static const char **merged_env(lua_State *L, int index) {
    size_t n = 0, more = 0;
    while (environ[n])
        n++;
    if (lua_istable(L, index))
        for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
            more++;
    const char **env = lua_newuserdata(L, (n + more + 1) * sizeof(*env)); // env
    lua_newtable(L);                                                      // env texts
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        lua_pushlstring(L, environ[i], strcspn(environ[i], "="));
        if (lua_istable(L, index))
            lua_gettable(L, index);
        else
            lua_pop(L, 1), lua_pushnil(L);
        if (lua_isnil(L, -1))
            env[len++] = environ[i];
        lua_pop(L, 1);
    }
    for (lua_pushnil(L); lua_istable(L, index) && lua_next(L, index);) { // env texts key value
        if (lua_isstring(L, -1) && lua_type(L, -2) == LUA_TSTRING) {
            env[len++] = lua_pushfstring(L, "%s=%s", lua_tostring(L, -2), lua_tostring(L, -1));
            lua_rawseti(L, -4, (int)len); // keeps it alive
        }
        lua_pop(L, 1); // env texts key
    }
    if (!lua_istable(L, index))
        lua_pop(L, 1);
    env[len] = NULL;
    return env;
}

static int l_capture_gc(lua_State *L) {
    capture_free(lua_touserdata(L, 1));
    return 0;
}

static struct capture *new_capture(lua_State *L) {
    struct capture *c = memset(lua_newuserdata(L, sizeof(*c)), 0, sizeof(*c));
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, l_capture_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return c;
}

static void push_capture(lua_State *L, const struct capture *c) {
    lua_createtable(L, 0, 6);
    lua_pushlstring(L, c->out.data ? c->out.data : "", c->out.len);
    lua_setfield(L, -2, "stdout");
    lua_pushlstring(L, c->err.data ? c->err.data : "", c->err.len);
    lua_setfield(L, -2, "stderr");
    lua_pushnumber(L, (double)c->duration_ms / 1000);
    lua_setfield(L, -2, "duration");
    lua_pushboolean(L, c->timed_out);
    lua_setfield(L, -2, "timed_out");
    if (c->exit_code >= 0) {
        lua_pushinteger(L, c->exit_code);
        lua_setfield(L, -2, "exit_code");
    }
    if (c->signal >= 0) {
        lua_pushinteger(L, c->signal);
        lua_setfield(L, -2, "signal");
    }
}

/* host.exec(argv, {cwd, env, stdin, timeout_ms}) -> { exit_code, signal, stdout, stderr, duration,
 * timed_out } | nil, message, code */
static int l_exec(lua_State *L) {
    lua_settop(L, 2);
    if (!lua_istable(L, 2)) {
        lua_newtable(L);
        lua_replace(L, 2);
    }
    struct capture_request r = {0};
    r.argv = (char *const *)(uintptr_t)string_list(L, 1);
    luaL_argcheck(L, r.argv[0] != NULL, 1, "an empty list");
    lua_getfield(L, 2, "cwd");
    r.cwd = luaL_optstring(L, -1, NULL);
    lua_getfield(L, 2, "stdin");
    r.input = luaL_optlstring(L, -1, NULL, &r.input_len);
    lua_getfield(L, 2, "timeout_ms");
    r.timeout_ms = (int64_t)luaL_optnumber(L, -1, 0);
    lua_getfield(L, 2, "env");
    r.env = (char *const *)(uintptr_t)merged_env(L, lua_gettop(L));
    struct capture *c = new_capture(L);
    struct err err = {0};
    fflush(stdout);
    if (spawn_capture(&r, c, &err) < 0)
        return script_fail(L, &err);
    push_capture(L, c);
    return 1;
}

/* The module queuectl.host. */
int script_open_host(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"output", l_output}, {"progress", l_progress}, {"finish", l_finish},
        {"log", l_log},       {"exec", l_exec},         {NULL, NULL},
    };
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
