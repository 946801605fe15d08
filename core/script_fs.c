/* host.fs: what ctx.fs (lua/queuectl/jobs/ctx/fs.lua) is made of. Failures of the world are nil,
 * the reason and whether it is that there is no such file; paths are the caller's to name. */
#include "script_fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ids.h"
#include "util.h"

static int fail_with(lua_State *L, int error) {
    lua_pushnil(L);
    lua_pushstring(L, strerror(error));
    lua_pushboolean(L, error == ENOENT || error == ENOTDIR);
    return 3;
}

static int done(lua_State *L, int rc) {
    if (rc < 0)
        return fail_with(L, errno);
    lua_pushboolean(L, true);
    return 1;
}

/* ---- questions ---- */

static const char *kind_of(mode_t mode) {
    return S_ISREG(mode) ? "file" : S_ISDIR(mode) ? "dir" : S_ISLNK(mode) ? "link" : "other";
}

/* fs.stat(path, follow) -> kind, size, mtime (seconds) */
static int l_stat(lua_State *L) {
    struct stat st;
    const char *path = luaL_checkstring(L, 1);
    int flags = lua_toboolean(L, 2) ? 0 : AT_SYMLINK_NOFOLLOW;
    if (fstatat(AT_FDCWD, path, &st, flags) < 0)
        return fail_with(L, errno);
    lua_pushstring(L, kind_of(st.st_mode));
    lua_pushnumber(L, (double)st.st_size);
    lua_pushnumber(L, (double)st.st_mtim.tv_sec + (double)st.st_mtim.tv_nsec / 1e9);
    return 3;
}

static int l_realpath(lua_State *L) {
    char real[PATH_MAX];
    if (!realpath(luaL_checkstring(L, 1), real))
        return fail_with(L, errno);
    lua_pushstring(L, real);
    return 1;
}

static int l_close_dir(lua_State *L) {
    DIR **d = lua_touserdata(L, 1);
    if (*d)
        closedir(*d);
    return 0;
}

/* fs.list(path) -> names in no order, without . and .. */
static int l_list(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    DIR **d = lua_newuserdata(L, sizeof(*d)); // owner
    *d = NULL;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, l_close_dir);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2); // owner
    *d = opendir(path);
    if (!*d)
        return fail_with(L, errno);
    lua_newtable(L); // owner names
    int n = 0;
    errno = 0;
    for (struct dirent *e; (e = readdir(*d)); errno = 0) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        lua_pushstring(L, e->d_name);
        lua_rawseti(L, -2, ++n); // owner names
    }
    if (errno)
        return fail_with(L, errno);
    closedir(*d);
    *d = NULL;
    return 1;
}

static int l_free_glob(lua_State *L) {
    globfree(lua_touserdata(L, 1));
    return 0;
}

/* fs.glob(pattern) -> paths, sorted by bytes */
static int l_glob(lua_State *L) {
    const char *pattern = luaL_checkstring(L, 1);
    glob_t *g = memset(lua_newuserdata(L, sizeof(*g)), 0, sizeof(*g)); // owner
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, l_free_glob);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2); // owner
    int rc = glob(pattern, GLOB_BRACE, NULL, g);
    if (rc && rc != GLOB_NOMATCH) {
        lua_pushnil(L);
        lua_pushstring(L, rc == GLOB_NOSPACE ? strerror(ENOMEM) : "a folder cannot be read");
        return 2;
    }
    lua_newtable(L); // owner paths
    for (size_t i = 0; i < g->gl_pathc; i++) {
        lua_pushstring(L, g->gl_pathv[i]);
        lua_rawseti(L, -2, (int)i + 1); // owner paths
    }
    return 1;
}

/* ---- folders ---- */

static bool is_dir(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* fs.mkdir(path): the missing ones above it as well */
static int l_mkdir(lua_State *L) {
    char path[PATH_MAX];
    size_t len;
    const char *given = luaL_checklstring(L, 1, &len);
    if (len >= sizeof(path))
        return fail_with(L, ENAMETOOLONG);
    memcpy(path, given, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        char was = path[i];
        path[i] = '\0';
        if (mkdir(path, 0777) < 0) {
            int error = errno; /* a read-only place says so before it says that it is there */
            if (!is_dir(path))
                return fail_with(L, error == EEXIST ? ENOTDIR : error);
        }
        path[i] = was;
    }
    return done(L, 0);
}

/* fs.make_temp_dir(parent) -> path, 0700 */
static int l_make_temp_dir(lua_State *L) {
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s/queuectl-XXXXXX", luaL_checkstring(L, 1));
    if (n < 0 || (size_t)n >= sizeof(path))
        return fail_with(L, ENAMETOOLONG);
    if (!mkdtemp(path))
        return fail_with(L, errno);
    lua_pushstring(L, path);
    return 1;
}

/* Links are removed, never followed: nothing outside of the tree is touched, whoever changes it
 * meanwhile. */
static int remove_tree(int dir_fd, const char *name);

static int remove_entries(DIR *d) {
    errno = 0;
    for (struct dirent *e; (e = readdir(d)); errno = 0) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (remove_tree(dirfd(d), e->d_name) < 0)
            return -1;
    }
    return errno ? -1 : 0;
}

static int remove_tree(int dir_fd, const char *name) {
    if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR)
        return -1;
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        int error = errno;
        fd_close(&fd);
        errno = error;
        return -1;
    }
    int rc = remove_entries(d), error = errno;
    closedir(d);
    errno = error;
    return rc < 0 ? -1 : unlinkat(dir_fd, name, AT_REMOVEDIR);
}

/* fs.remove(path): a file, a link or a whole tree */
static int l_remove(lua_State *L) {
    return done(L, remove_tree(AT_FDCWD, luaL_checkstring(L, 1)));
}

/* ---- writing ---- */

/* A file that takes its place whole or not at all. */
struct replacement {
    char path[PATH_MAX], temporary[PATH_MAX];
    int fd;
    bool direct; /* no file (/dev/null, a FIFO): written to, never replaced */
};

/* What is there keeps its permissions, and a link still leads where it led. */
static int replacement_open(struct replacement *r, const char *path, mode_t mode) {
    struct stat st;
    char uid[UID_LEN + 1];
    bool exists = realpath(path, r->path) != NULL && stat(r->path, &st) == 0;
    r->fd = -1;
    r->direct = exists && !S_ISREG(st.st_mode);
    if (r->direct)
        r->fd = open(r->path, O_WRONLY | O_CLOEXEC);
    if (r->direct)
        return r->fd < 0 ? -1 : 0;
    int n = exists ? 0 : snprintf(r->path, sizeof(r->path), "%s", path);
    if (uid_make(uid, NULL) < 0 || n < 0 || (size_t)n + 12 >= sizeof(r->path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    snprintf(r->temporary, sizeof(r->temporary), "%.*s.%.8s~", (int)sizeof(r->path) - 12, r->path,
             uid);
    r->fd = open(r->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (r->fd >= 0 && exists)
        fchmod(r->fd, st.st_mode & 07777);
    return r->fd < 0 ? -1 : 0;
}

/* rc: whether all was written. */
static int replacement_close(struct replacement *r, int rc) {
    int error = errno;
    if (close(r->fd) < 0 && rc == 0) {
        error = errno;
        rc = -1;
    }
    if (rc == 0 && !r->direct && rename(r->temporary, r->path) < 0) {
        error = errno;
        rc = -1;
    }
    if (rc < 0 && !r->direct)
        unlink(r->temporary);
    errno = error;
    return rc;
}

static int write_text(int fd, const char *text, size_t len) {
    while (len) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        text += n;
        len -= (size_t)n;
    }
    return 0;
}

/* fs.write(path, text) */
static int l_write(lua_State *L) {
    struct replacement r;
    size_t len;
    const char *text = luaL_checklstring(L, 2, &len);
    if (replacement_open(&r, luaL_checkstring(L, 1), 0644) < 0)
        return fail_with(L, errno);
    return done(L, replacement_close(&r, write_text(r.fd, text, len)));
}

int script_append(lua_State *L) {
    size_t len;
    const char *text = luaL_checklstring(L, 2, &len);
    int flags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    int fd = open(luaL_checkstring(L, 1), flags, 0600);
    if (fd < 0)
        return fail_with(L, errno);
    ssize_t n;
    do
        n = write(fd, text, len);
    while (n < 0 && errno == EINTR);
    int error = n < 0 ? errno : (size_t)n < len ? ENOSPC : 0;
    close(fd);
    return error ? fail_with(L, error) : done(L, 0);
}

static int copy_bytes(int from, int to) {
    for (;;) {
        ssize_t n = sendfile(to, from, NULL, 1 << 30);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return (int)n;
    }
}

static int copy_file(int from, const char *to) {
    struct stat st;
    struct replacement r;
    if (fstat(from, &st) < 0)
        return -1;
    if (!S_ISREG(st.st_mode)) {
        errno = EINVAL;
        return -1;
    }
    if (replacement_open(&r, to, st.st_mode & 0777) < 0)
        return -1;
    return replacement_close(&r, copy_bytes(from, r.fd));
}

/* fs.copy_file(from, to): bytes and permissions */
static int l_copy_file(lua_State *L) {
    const char *from = luaL_checkstring(L, 1), *to = luaL_checkstring(L, 2);
    int fd = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail_with(L, errno);
    int rc = copy_file(fd, to), error = errno;
    close(fd);
    errno = error;
    return done(L, rc);
}

/* fs.copy_link(from, to): the link itself; what stands at `to` must be gone */
static int l_copy_link(lua_State *L) {
    char target[PATH_MAX];
    ssize_t n = readlink(luaL_checkstring(L, 1), target, sizeof(target) - 1);
    if (n < 0)
        return fail_with(L, errno);
    target[n] = '\0';
    return done(L, symlink(target, luaL_checkstring(L, 2)));
}

/* fs.rename(from, to) -> true; "elsewhere" when they are on different file systems */
static int l_rename(lua_State *L) {
    int rc = rename(luaL_checkstring(L, 1), luaL_checkstring(L, 2));
    if (rc < 0 && errno == EXDEV) {
        lua_pushliteral(L, "elsewhere");
        return 1;
    }
    return done(L, rc);
}

void script_add_fs(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"stat", l_stat},
        {"realpath", l_realpath},
        {"list", l_list},
        {"glob", l_glob},
        {"mkdir", l_mkdir},
        {"make_temp_dir", l_make_temp_dir},
        {"remove", l_remove},
        {"write", l_write},
        {"copy_file", l_copy_file},
        {"copy_link", l_copy_link},
        {"rename", l_rename},
        {"append", script_append},
        {NULL, NULL},
    };
    luaL_register(L, NULL, functions);
}
