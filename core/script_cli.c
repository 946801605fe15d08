#include "script_cli.h"

#include <luajit.h>
#include <stdlib.h>

#include "script.h"

static char *field_text(lua_State *L, const char *name) {
    lua_getfield(L, -1, name);
    char *text = lua_isstring(L, -1) ? xstrdup(lua_tostring(L, -1)) : NULL;
    lua_pop(L, 1);
    return text;
}

static double field_number(lua_State *L, const char *name) {
    lua_getfield(L, -1, name);
    double v = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return v;
}

/* The table on top, which cmd/worker.lua made: plain fields, so nothing here can raise. */
static void read_worker(lua_State *L, struct cli_result *out) {
    out->work = true;
    out->store = field_text(L, "store");
    out->name = field_text(L, "name");
    out->format = field_text(L, "format");
    out->slots = (int)field_number(L, "slots");
    out->run = (int64_t)field_number(L, "run");
    lua_getfield(L, -1, "until_empty");
    out->until_empty = lua_toboolean(L, -1);
    lua_pop(L, 1);
}

/* queuectl.cli.main(args) -> exit code [, worker] */
static int run(lua_State *L, int argc, char **argv, struct cli_result *out, struct err *err) {
    if (script_require(L, "queuectl.cli", err) < 0) // cli
        return -1;
    lua_getfield(L, -1, "main"); // cli main
    lua_newtable(L);             // cli main args
    for (int i = 1; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i);
    }
    if (script_call(L, 1, 2, err) < 0) // cli code worker
        return -1;
    out->exit_code = (int)lua_tointeger(L, -2);
    if (lua_istable(L, -1))
        read_worker(L, out);
    return 0;
}

/* The module queuectl.core. */
static int l_open_core(lua_State *L) {
    lua_newtable(L); // core
    script_add_store(L);
    script_add_system(L);
    script_add_process(L);
    script_add_watch(L);
    return 1;
}

int script_cli(int argc, char **argv, struct cli_result *out, struct err *err) {
    lua_State *L = script_new("queuectl.core", l_open_core, 0);
    if (!L)
        return err_set(err, ERR_FAILED, "no memory for Lua");
    /* Planning is as fast without the compiler, and LuaJIT 2.1.0-beta3 has crashed in what it had
     * compiled of it, about once in some thousand runs. */
    luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    int rc = run(L, argc, argv, out, err);
    script_free(L);
    return rc;
}

void cli_result_free(struct cli_result *r) {
    free(r->store);
    free(r->name);
    free(r->format);
}
