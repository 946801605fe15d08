#include "script_job.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "pack.h"
#include "script.h"
#include "script_host.h"

enum { TEXT_FD = 3, TEXT_MAX = 64 << 20 };

static int read_text(struct buf *text, struct err *err) {
    char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", TEXT_FD);
    return file_read(path, TEXT_MAX, text, err);
}

/* Calls queuectl.lua_job_main.start(host, { name, deadline, path, text }). */
static int run(lua_State *L, const struct buf *text, struct err *err) {
    static const char *const names[] = {"name", "deadline", "path"};
    if (script_require(L, "queuectl.lua_job_main", err) < 0) // module
        return -1;
    lua_getfield(L, -1, "start"); // module start
    if (script_require(L, "queuectl.host", err) < 0)
        return -1;   // module start host
    lua_newtable(L); // module start host facts
    size_t pos = 0;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *e = pack_next(text->data, text->len, &pos);
        lua_pushstring(L, e ? e + 1 : "");
        lua_setfield(L, -2, names[i]);
    }
    lua_pushlstring(L, text->data + pos, text->len - pos);
    lua_setfield(L, -2, "text");
    return script_call(L, 2, 0, err);
}

int script_job_main(void) {
    struct buf text = {0};
    struct err err = {0};
    fcntl(TEXT_FD, F_SETFD, FD_CLOEXEC);
    fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC);
    setvbuf(stdout, NULL, _IOLBF, 0);
    lua_State *L = script_new("queuectl.host", script_open_host, LUA_JOB_MEMORY);
    int rc = L ? read_text(&text, &err) : err_set(&err, ERR_FAILED, "no memory for Lua");
    if (rc == 0)
        rc = run(L, &text, &err);
    fflush(stdout);
    if (rc < 0)
        fprintf(stderr, "%s\n", err.text);
    buf_free(&text);
    if (L)
        script_free(L);
    return rc < 0 ? 1 : 0;
}
