/* queuectl.host: what the Lua side of a job's process does through C. */
#include "script_host.h"

#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "pack.h"
#include "script.h"
#include "script_fs.h"
#include "script_values.h"
#include "spawn.h"
#include "spawn_capture.h"

extern char **environ;

/* ---- the channel ---- */

/* Closes the message in `b`, which began with begin_message, and sends it in one write. */
static void end_message(struct buf *b) {
    uint32_t len = (uint32_t)(b->len - sizeof(len));
    memcpy(b->data, &len, sizeof(len));
    write_all(CHANNEL_FD, b->data, b->len); /* fails when nobody is left to tell */
    buf_free(b);
}

static struct buf begin_message(char type) {
    struct buf b = {0};
    buf_add(&b, "\0\0\0\0", sizeof(uint32_t));
    buf_add(&b, &type, 1);
    return b;
}

/* One message of the Lua strings at first..last. */
static int send_message(lua_State *L, char type, int first, int last) {
    struct buf b = begin_message(type);
    for (int i = first; i <= last; i++) {
        size_t n;
        const char *s = lua_tolstring(L, i, &n);
        n = strnlen(s ? s : "", n);
        buf_add(&b, s, n);
        buf_add(&b, "", 1);
    }
    end_message(&b);
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
    const char *text = luaL_optstring(L, snooze ? 3 : 2, "");
    const char *class = snooze ? "" : luaL_optstring(L, 3, "");
    fflush(stdout);
    lua_pushstring(L, kind);
    char ms[32] = "0";
    if (snooze)
        snprintf(ms, sizeof(ms), "%.0f", luaL_checknumber(L, 2) * 1000);
    lua_pushstring(L, ms);
    lua_pushlstring(L, text, strnlen(text, 900)); /* last_error holds 1 KiB */
    lua_pushstring(L, class);
    int top = lua_gettop(L);
    return send_message(L, 'r', top - 3, top);
}

/* host.log(level, text): a line of the job's output */
static int l_log(lua_State *L) {
    fflush(stdout);
    fprintf(stderr, "%s: %s\n", luaL_checkstring(L, 1), luaL_checkstring(L, 2));
    return 0;
}

/* host.write(1 or 2, text): as it is, to the job's own output */
static int l_write(lua_State *L) {
    int fd = luaL_checkint(L, 1);
    size_t len;
    const char *text = luaL_checklstring(L, 2, &len);
    luaL_argcheck(L, fd == STDOUT_FILENO || fd == STDERR_FILENO, 1, "1 or 2");
    fflush(stdout);
    write_all(fd, text, len);
    return 0;
}

/* host.enqueue(fields as "KEY:LEN:BYTES"…) */
static int l_enqueue(lua_State *L) {
    size_t len;
    const char *fields = luaL_checklstring(L, 1, &len);
    struct buf b = begin_message('e');
    buf_add(&b, fields, len);
    end_message(&b);
    return 0;
}

/* ---- being asked to stop ---- */

static volatile sig_atomic_t stopped;
static bool stop_seen; /* the job has been told */

static void on_term(int sig) {
    (void)sig;
    stopped = 1;
}

/* host.cancelled() -> whether TERM has come. The first call takes over the signal: until then it
 * ends the process, as a job expects that never asks. */
static int l_cancelled(lua_State *L) {
    static bool asked;
    if (!asked) {
        struct sigaction a = {.sa_handler = on_term, .sa_flags = SA_RESTART};
        sigemptyset(&a.sa_mask);
        sigaction(SIGTERM, &a, NULL);
        asked = true;
    }
    stop_seen = stopped;
    lua_pushboolean(L, stop_seen);
    return 1;
}

/* ---- programs ---- */

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

#define PROGRAM_META "queuectl.program"

static struct capture *to_program(lua_State *L) {
    return luaL_checkudata(L, 1, PROGRAM_META);
}

/* program:stop(), also __gc: kills it if it still runs */
static int l_program_stop(lua_State *L) {
    capture_free(to_program(L));
    return 0;
}

static const char *const stream_names[] = {"stdout", "stderr"};

/* program:next() -> "stdout" or "stderr", bytes; nil at the end */
static int l_program_next(lua_State *L) {
    struct capture *c = to_program(L);
    int stream = capture_next(c);
    if (stream < 0)
        return 0;
    lua_pushstring(L, stream_names[stream]);
    lua_pushlstring(L, c->chunk, c->chunk_len);
    return 2;
}

static int l_free_text(lua_State *L) {
    buf_free(lua_touserdata(L, 1));
    return 0;
}

/* Sets the field of the table on top. The text hangs on userdata: Lua may be out of memory. */
static void set_stream(lua_State *L, const struct capture *c, int stream) {
    struct buf *text = memset(lua_newuserdata(L, sizeof(*text)), 0, sizeof(*text)); // t text
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, l_free_text);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2); // t text
    *text = capture_text(c, &c->streams[stream]);
    lua_pushlstring(L, text->data, text->len); // t text string
    buf_free(text);
    lua_setfield(L, -3, stream_names[stream]); // t text
    lua_pop(L, 1);                             // t
}

/* program:result() -> { exit_code, signal, stdout, stderr, printed = { stdout, stderr: bytes },
 * duration, timed_out }: waits for its end */
static int l_program_result(lua_State *L) {
    struct capture *c = to_program(L);
    while (capture_next(c) >= 0)
        ;
    lua_createtable(L, 0, 8);
    for (int i = 0; i < 2; i++)
        set_stream(L, c, i);
    lua_createtable(L, 0, 2);
    for (int i = 0; i < 2; i++) {
        lua_pushnumber(L, (double)c->streams[i].total);
        lua_setfield(L, -2, stream_names[i]);
    }
    lua_setfield(L, -2, "printed");
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
    capture_free(c);
    return 1;
}

static struct capture *new_program(lua_State *L) {
    static const luaL_Reg methods[] = {{"next", l_program_next},
                                       {"result", l_program_result},
                                       {"stop", l_program_stop},
                                       {NULL, NULL}};
    struct capture *c = memset(lua_newuserdata(L, sizeof(*c)), 0, sizeof(*c)); // program
    if (luaL_newmetatable(L, PROGRAM_META)) {
        lua_pushcfunction(L, l_program_stop);
        lua_setfield(L, -2, "__gc");
        lua_newtable(L);
        luaL_register(L, NULL, methods);
        lua_setfield(L, -2, "__index");
    }
    lua_setmetatable(L, -2);
    return c;
}

/* host.exec(argv, { cwd, env (map, false: unset), stdin, stdin_file, timeout_ms, kill_after_ms,
 * keep (bytes) }) -> program | nil, message, code */
static int l_exec(lua_State *L) {
    lua_settop(L, 2);
    luaL_checktype(L, 2, LUA_TTABLE);
    struct bytes input = script_bytes(L, 2, "stdin");
    struct capture_request r = {
        .argv = (char *const *)(uintptr_t)string_list(L, 1),
        .cwd = script_string(L, 2, "cwd"),
        .input = input.data,
        .input_len = input.len,
        .input_path = script_string(L, 2, "stdin_file"),
        .timeout_ms = (int64_t)script_number(L, 2, "timeout_ms", 0),
        .kill_after_ms = (int64_t)script_number(L, 2, "kill_after_ms", 10000),
        .keep = (size_t)script_number(L, 2, "keep", CAPTURE_MAX),
        /* What is started by a job that knows cleans up, and is left alone. */
        .stop = stop_seen ? NULL : &stopped,
    };
    luaL_argcheck(L, r.argv[0] != NULL, 1, "an empty list");
    lua_getfield(L, 2, "env");
    r.env = (char *const *)(uintptr_t)merged_env(L, lua_gettop(L));
    struct capture *c = new_program(L);
    struct err err = {0};
    fflush(stdout);
    if (capture_start(&r, c, &err) < 0)
        return script_fail(L, &err);
    return 1;
}

/* ---- becoming the job's own command ---- */

/* The words of a shell text that needs no shell, NULL-terminated, or NULL; owned by a userdata. */
static char **plain_words(lua_State *L, const char *text, size_t len) {
    struct buf words = {0};
    char **list = NULL;
    if (command_words(text, len, &words)) {
        char *copy = memcpy(lua_newuserdata(L, words.len + 1), words.data, words.len);
        list = lua_newuserdata(L, (words.len / 2 + 2) * sizeof(*list));
        size_t pos = 0, n = 0;
        for (const char *e; (e = pack_next(copy, words.len, &pos));)
            list[n++] = (char *)(uintptr_t)(e + 1);
        list[n] = NULL;
    }
    buf_free(&words);
    return list;
}

/* host.execute(argv or shell text): does not return */
static int l_execute(lua_State *L) {
    char *shell[] = {(char *)"sh", (char *)"-c", NULL, NULL};
    struct spawn s = {.env = environ};
    if (lua_istable(L, 1)) {
        s.argv = (char *const *)(uintptr_t)string_list(L, 1);
        luaL_argcheck(L, s.argv[0] != NULL, 1, "an empty list");
    } else {
        size_t len;
        shell[2] = (char *)(uintptr_t)luaL_checklstring(L, 1, &len);
        s.argv = plain_words(L, shell[2], len);
        s.fallback = s.argv ? shell : NULL;
        s.file = s.argv ? NULL : "/bin/sh";
        s.argv = s.argv ? s.argv : shell;
    }
    fflush(NULL);
    signal(SIGTERM, SIG_DFL);
    if (stopped) /* told while the job was still asked whether it should run */
        raise(SIGTERM);
    spawn_replace(&s);
}

/* host.cwd() */
static int l_cwd(lua_State *L) {
    char path[PATH_MAX];
    if (!getcwd(path, sizeof(path))) {
        lua_pushnil(L);
        lua_pushstring(L, strerror(errno));
        return 2;
    }
    lua_pushstring(L, path);
    return 1;
}

/* host.limit_memory(bytes): what Lua may hold from now on */
static int l_limit_memory(lua_State *L) {
    double bytes = luaL_checknumber(L, 1);
    luaL_argcheck(L, bytes >= 1 && bytes < (double)(SIZE_MAX / 2), 1, "out of range");
    script_set_memory(L, (size_t)bytes);
    return 0;
}

int script_open_host(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"output", l_output},
        {"progress", l_progress},
        {"finish", l_finish},
        {"log", l_log},
        {"write", l_write},
        {"enqueue", l_enqueue},
        {"exec", l_exec},
        {"execute", l_execute},
        {"cancelled", l_cancelled},
        {"cwd", l_cwd},
        {"limit_memory", l_limit_memory},
        {NULL, NULL},
    };
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    lua_newtable(L); // host fs
    script_add_fs(L);
    lua_setfield(L, -2, "fs"); // host
    return 1;
}
