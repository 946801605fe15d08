#include "artifacts.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"
#include "pack.h"

/* glob gives its callbacks no argument of ours. */
static struct {
    int entries;
    int64_t until_ms;
    bool over; /* the bounds are reached: from here on every directory looks empty */
} search;

static bool may_go_on(void) {
    if (++search.entries > ARTIFACTS_ENTRIES || clock_mono_ms() > search.until_ms)
        search.over = true;
    return !search.over;
}

static void *open_dir(const char *path) {
    return may_go_on() ? opendir(path) : NULL;
}

static struct dirent *read_dir(void *dir) {
    return may_go_on() ? readdir(dir) : NULL;
}

static void close_dir(void *dir) {
    closedir(dir);
}

static int stat_one(const char *path, struct stat *st) {
    if (may_go_on())
        return stat(path, st);
    errno = ENOENT;
    return -1;
}

static int lstat_one(const char *path, struct stat *st) {
    if (may_go_on())
        return lstat(path, st);
    errno = ENOENT;
    return -1;
}

/* The folder's name as a pattern that matches just it, and a slash. */
static void add_folder(struct buf *b, const char *cwd) {
    for (const char *p = cwd; *p; p++) {
        if (strchr("*?[]\\", *p))
            buf_add(b, "\\", 1);
        buf_add(b, p, 1);
    }
    buf_str(b, "/");
}

static void keep(const char *path, size_t skip, size_t *n, struct buf *found) {
    struct stat st;
    if (*n >= ARTIFACTS_MAX || stat_one(path, &st) < 0)
        return;
    char *entry =
        xasprintf("%" PRId64 " %s", S_ISREG(st.st_mode) ? (int64_t)st.st_size : 0, path + skip);
    pack_add(found, PACK_TEXT, entry);
    free(entry);
    ++*n;
}

static int find_one(const char *pattern, const char *cwd, size_t *n, struct buf *found,
                    struct err *err) {
    struct buf full = {0};
    bool relative = pattern[0] != '/' && cwd;
    size_t skip = relative ? strlen(cwd) + 1 : 0;
    if (relative)
        add_folder(&full, cwd);
    buf_str(&full, pattern);
    glob_t g = {.gl_opendir = open_dir,
                .gl_readdir = read_dir,
                .gl_closedir = close_dir,
                .gl_stat = stat_one,
                .gl_lstat = lstat_one};
    int rc = glob(full.data, GLOB_ALTDIRFUNC, NULL, &g);
    size_t before = *n;
    for (size_t i = 0; rc == 0 && i < g.gl_pathc; i++)
        keep(g.gl_pathv[i], skip, n, found);
    bool none = rc != 0 || (*n == before && before < ARTIFACTS_MAX);
    if (rc == 0)
        globfree(&g);
    buf_free(&full);
    if (search.over)
        return err_set(err, ERR_FAILED,
                       "looking for promised artifact '%s' was given up after %d files or %d s:"
                       " name its folder more closely",
                       pattern, ARTIFACTS_ENTRIES, ARTIFACTS_MS / 1000);
    return none ? err_set(err, ERR_FAILED, "promised artifact '%s' was not made", pattern) : 0;
}

int artifacts_find(const char *patterns, size_t len, const char *cwd, struct buf *found,
                   struct err *err) {
    size_t pos = 0, n = 0;
    search.entries = 0;
    search.until_ms = clock_mono_ms() + ARTIFACTS_MS;
    search.over = false;
    for (const char *e; (e = pack_next(patterns, len, &pos));)
        if (find_one(e + 1, cwd, &n, found, err) < 0)
            return -1;
    return 0;
}
