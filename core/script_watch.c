/* queuectl.core: waiting for files to change (inotify). A file is watched through its folder, since
 * editors put a new file in the place of the old one. */
#include <dirent.h>
#include <errno.h>
#include <lauxlib.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "script.h"

static const char WATCHER[] = "queuectl.watcher";
enum {
    CHANGES = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB |
              IN_DELETE_SELF | IN_MOVE_SELF,
    QUIET_MS = 100, /* a change is over when nothing more has come for so long */
    FOLDERS_MAX = 20000,
};

/* A watched folder: of a tree, where everything counts, or for one file in it. */
struct target {
    int wd;
    char *path; /* of the folder */
    char *name; /* NULL: everything but dot files */
};

struct watcher {
    int fd;
    struct target *targets;
    size_t len;
};

static int add_target(struct watcher *w, const char *path, const char *name, struct err *err) {
    int wd = inotify_add_watch(w->fd, path, CHANGES | IN_ONLYDIR);
    if (wd < 0)
        return err_set(
            err, errno == ENOENT ? ERR_NOT_FOUND : ERR_FAILED, "cannot watch %s: %s", path,
            errno == ENOSPC ? "too many folders (fs.inotify.max_user_watches)" : strerror(errno));
    w->targets = xrealloc(w->targets, (w->len + 1) * sizeof(*w->targets));
    w->targets[w->len++] = (struct target){wd, xstrdup(path), name ? xstrdup(name) : NULL};
    return 0;
}

static bool is_folder(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int add_below(struct watcher *w, const char *folder, const char *name, struct err *err) {
    char *path = xasprintf("%s/%s", folder, name);
    struct err found = {0};
    int rc = is_folder(path) ? add_target(w, path, NULL, &found) : 0;
    free(path);
    if (rc == 0 || found.code == ERR_NOT_FOUND) /* it is gone again */
        return 0;
    return err_set(err, found.code, "%s", found.text);
}

/* The folder and those below it, from the first of `targets` that is new on: no recursion. */
static int add_tree(struct watcher *w, const char *path, struct err *err) {
    size_t at = w->len;
    if (add_target(w, path, NULL, err) < 0)
        return -1;
    int rc = 0;
    for (; rc == 0 && at < w->len; at++) {
        if (w->len > FOLDERS_MAX)
            return err_set(err, ERR_USAGE, "%s has more than %d folders; watch a smaller one", path,
                           FOLDERS_MAX);
        DIR *dir = opendir(w->targets[at].path);
        for (struct dirent *e; rc == 0 && dir && (e = readdir(dir));)
            if (e->d_name[0] != '.')
                rc = add_below(w, w->targets[at].path, e->d_name, err);
        if (dir)
            closedir(dir);
    }
    return rc;
}

static int add_file(struct watcher *w, const char *path, struct err *err) {
    const char *slash = strrchr(path, '/');
    char *folder = slash > path ? xmemdup0(path, (size_t)(slash - path)) : xstrdup("/");
    int rc = add_target(w, folder, slash + 1, err);
    free(folder);
    return rc;
}

/* core.watcher() -> watcher */
static int l_watcher(lua_State *L) {
    struct watcher *w = lua_newuserdata(L, sizeof(*w)); // watcher
    *w = (struct watcher){.fd = -1};
    luaL_getmetatable(L, WATCHER);
    lua_setmetatable(L, -2);
    w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    struct err err = {0};
    if (w->fd >= 0)
        return 1;
    err_set(&err, ERR_FAILED, "inotify: %s", strerror(errno));
    return script_fail(L, &err);
}

/* watcher:add(absolute path of a file, or of a folder with all below it) -> true | nil, message,
 * code */
static int l_add(lua_State *L) {
    struct watcher *w = luaL_checkudata(L, 1, WATCHER);
    const char *path = luaL_checkstring(L, 2);
    luaL_argcheck(L, path[0] == '/', 2, "not an absolute path");
    struct err err = {0};
    int rc = is_folder(path) ? add_tree(w, path, &err) : add_file(w, path, &err);
    if (rc < 0)
        return script_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* What an event is about: the path, yours, or NULL when nobody watches that. */
static char *changed_path(struct watcher *w, const struct inotify_event *e) {
    for (size_t i = 0; i < w->len; i++) {
        const struct target *t = &w->targets[i];
        if (t->wd != e->wd)
            continue;
        if (e->mask & (IN_DELETE_SELF | IN_MOVE_SELF))
            return xstrdup(t->path);
        if (!e->len)
            continue;
        if (t->name ? strcmp(t->name, e->name) == 0 : e->name[0] != '.')
            return xasprintf("%s/%s", t->path, e->name);
    }
    return NULL;
}

/* Reads what is there; *path: the first thing that changed, yours. */
static void read_events(struct watcher *w, char **path) {
    union {
        struct inotify_event align;
        char bytes[16384];
    } data;
    ssize_t n;
    while ((n = read(w->fd, data.bytes, sizeof(data.bytes))) > 0)
        for (char *p = data.bytes; p < data.bytes + n;) {
            const struct inotify_event *e = (const struct inotify_event *)(void *)p;
            char *changed = changed_path(w, e);
            if (changed && (e->mask & IN_ISDIR) && is_folder(changed))
                add_tree(w, changed, NULL);
            if (*path)
                free(changed);
            else
                *path = changed;
            p += sizeof(*e) + e->len;
        }
}

/* watcher:wait() -> path that changed since it was added, or nil, number of a signal. */
static int l_wait(lua_State *L) {
    struct watcher *w = luaL_checkudata(L, 1, WATCHER);
    struct pollfd p[2] = {{w->fd, POLLIN, 0}, {script_signal_fd(), POLLIN, 0}};
    char *path = NULL;
    for (;;) {
        int n = poll(p, 2, path ? QUIET_MS : -1);
        int signo = n > 0 && p[1].revents ? script_read_signal() : 0;
        if (signo) {
            free(path);
            lua_pushnil(L);
            lua_pushinteger(L, signo);
            return 2;
        }
        if (n == 0)
            break;
        read_events(w, &path);
    }
    lua_pushstring(L, path);
    free(path);
    return 1;
}

static int l_gc(lua_State *L) {
    struct watcher *w = luaL_checkudata(L, 1, WATCHER);
    fd_close(&w->fd);
    while (w->len) {
        struct target *t = &w->targets[--w->len];
        free(t->path);
        free(t->name);
    }
    free(w->targets);
    w->targets = NULL;
    return 0;
}

void script_add_watch(lua_State *L) {
    static const luaL_Reg methods[] = {{"add", l_add}, {"wait", l_wait}, {NULL, NULL}};
    luaL_newmetatable(L, WATCHER); // core meta
    luaL_register(L, NULL, methods);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, l_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1); // core
    lua_pushcfunction(L, l_watcher);
    lua_setfield(L, -2, "watcher");
}
