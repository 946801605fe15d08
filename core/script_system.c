/* queuectl.core: small questions to the system. */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <luajit.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "ids.h"
#include "script.h"
#include "script_fs.h"
#include "store_sqlite.h"

static int l_time(lua_State *L) {
    lua_pushnumber(L, (double)clock_wall_ms() / 1000);
    return 1;
}

static int l_monotonic(lua_State *L) {
    lua_pushnumber(L, (double)clock_mono_us() / 1e6);
    return 1;
}

static int l_isatty(lua_State *L) {
    lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
    return 1;
}

/* core.cpus() -> processors this process may use */
static int l_cpus(lua_State *L) {
    cpu_set_t set;
    CPU_ZERO(&set);
    int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    lua_pushinteger(L, n > 0 ? n : 1);
    return 1;
}

/* core.terminal_size(fd) -> columns, rows; 80, 24 when it is none */
static int l_terminal_size(lua_State *L) {
    struct winsize w = {0};
    bool known = ioctl((int)luaL_optinteger(L, 1, 1), TIOCGWINSZ, &w) == 0 && w.ws_col > 0;
    lua_pushinteger(L, known ? w.ws_col : 80);
    lua_pushinteger(L, known && w.ws_row > 0 ? w.ws_row : 24);
    return 2;
}

static int fail_errno(lua_State *L, const char *what) {
    struct err err = {0};
    enum err_code code = errno == ENOENT ? ERR_NOT_FOUND : errno == EACCES ? ERR_PERM : ERR_FAILED;
    err_set(&err, code, "%s: %s", what, strerror(errno));
    return script_fail(L, &err);
}

static int l_realpath(lua_State *L) {
    char real[PATH_MAX];
    const char *path = luaL_checkstring(L, 1);
    if (!realpath(path, real))
        return fail_errno(L, path);
    lua_pushstring(L, real);
    return 1;
}

static int l_cwd(lua_State *L) {
    char path[PATH_MAX];
    if (!getcwd(path, sizeof(path)))
        return fail_errno(L, "the current folder");
    lua_pushstring(L, path);
    return 1;
}

/* core.make_dirs(path): the missing folders, 0700 */
static int l_make_dirs(lua_State *L) {
    char path[PATH_MAX];
    size_t len;
    const char *p = luaL_checklstring(L, 1, &len);
    luaL_argcheck(L, len < sizeof(path), 1, "path too long");
    memcpy(path, p, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        char was = path[i];
        path[i] = '\0';
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
            return fail_errno(L, path);
        path[i] = was;
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* core.hash(bytes) -> 32 hex digits. To tell texts apart, no cryptography: two FNV-1a runs. */
static int l_hash(lua_State *L) {
    size_t len;
    const char *p = luaL_checklstring(L, 1, &len);
    uint64_t a = 14695981039346656037ULL, b = 0x9e3779b97f4a7c15ULL;
    for (size_t i = 0; i < len; i++) {
        a = (a ^ (unsigned char)p[i]) * 1099511628211ULL;
        b = (b ^ (unsigned char)p[len - 1 - i]) * 1099511628211ULL + (b >> 29);
    }
    char hex[33];
    snprintf(hex, sizeof(hex), "%016llx%016llx", (unsigned long long)a, (unsigned long long)b);
    lua_pushlstring(L, hex, 32);
    return 1;
}

static int l_is_job_id(lua_State *L) {
    size_t len;
    const char *id = luaL_checklstring(L, 1, &len);
    lua_pushboolean(L, strlen(id) == len && id_is_valid(id));
    return 1;
}

/* core.stat(path) -> "file", "dir" or "other", size; nil, message, code */
static int l_stat(lua_State *L) {
    struct stat st;
    const char *path = luaL_checkstring(L, 1);
    if (stat(path, &st) < 0)
        return fail_errno(L, path);
    lua_pushstring(L, S_ISREG(st.st_mode) ? "file" : S_ISDIR(st.st_mode) ? "dir" : "other");
    lua_pushnumber(L, (double)st.st_size);
    return 2;
}

/* core.write(fd, bytes) -> true, or nil, message, code: nothing is lost unseen */
static int l_write(lua_State *L) {
    int fd = (int)luaL_checkinteger(L, 1);
    size_t len;
    const char *p = luaL_checklstring(L, 2, &len);
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_errno(L, fd == STDOUT_FILENO ? "standard output" : "standard error");
        p += n;
        len -= (size_t)n;
    }
    lua_pushboolean(L, 1);
    return 1;
}

static int fill_file(int fd, const char *p, size_t len) {
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno != EINTR)
            return -1;
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
    return fsync(fd);
}

/* core.write_file(path, bytes) -> true, or nil, message, code. Only the owner may read it, and
 * whoever looks sees the old file or the whole new one. */
static int l_write_file(lua_State *L) {
    size_t len;
    const char *path = luaL_checkstring(L, 1), *p = luaL_checklstring(L, 2, &len);
    const char *temporary = lua_pushfstring(L, "%s.%d.tmp", path, (int)getpid()); // … temporary
    unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail_errno(L, path);
    int rc = fill_file(fd, p, len), saved = errno;
    close(fd);
    if (rc == 0 && rename(temporary, path) < 0) {
        rc = -1;
        saved = errno;
    }
    if (rc < 0) {
        unlink(temporary);
        errno = saved;
        return fail_errno(L, path);
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* core.version() -> { queuectl, commit, sqlite, sqlite_wal_reset_bug, luajit } */
static int l_version(lua_State *L) {
    bool bug;
    lua_createtable(L, 0, 5);
    lua_pushstring(L, QUEUECTL_VERSION);
    lua_setfield(L, -2, "queuectl");
    lua_pushstring(L, QUEUECTL_COMMIT);
    lua_setfield(L, -2, "commit");
    lua_pushstring(L, store_sqlite_version(&bug));
    lua_setfield(L, -2, "sqlite");
    lua_pushboolean(L, bug);
    lua_setfield(L, -2, "sqlite_wal_reset_bug");
    lua_pushstring(L, LUAJIT_VERSION);
    lua_setfield(L, -2, "luajit");
    return 1;
}

void script_add_system(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"time", l_time},
        {"monotonic", l_monotonic},
        {"isatty", l_isatty},
        {"cpus", l_cpus},
        {"terminal_size", l_terminal_size},
        {"realpath", l_realpath},
        {"cwd", l_cwd},
        {"make_dirs", l_make_dirs},
        {"hash", l_hash},
        {"is_job_id", l_is_job_id},
        {"stat", l_stat},
        {"write", l_write},
        {"write_file", l_write_file},
        {"append", script_append},
        {"version", l_version},
        {NULL, NULL},
    };
    luaL_register(L, NULL, functions);
}
