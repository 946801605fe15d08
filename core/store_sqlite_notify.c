/* The doorbell. Three things are watched with inotify:
 *   the bell file, touched after a commit of ours: work is surely there;
 *   the WAL: a hint only, it changes before a foreign program's commit is complete;
 *   the side directory: a lock file that is closed for the last time is a worker that has gone. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stdlib.h>

#include "store_sqlite_impl.h"

static struct sqlite_store *self(struct store *base) {
    return (struct sqlite_store *)base;
}

static void watch_wal(struct sqlite_store *s) {
    char *wal = xasprintf("%s-wal", s->path);
    s->wal_wd = inotify_add_watch(s->notify_fd, wal, IN_MODIFY | IN_DELETE_SELF | IN_MOVE_SELF);
    free(wal);
}

int op_notify_fd(struct store *base) {
    struct sqlite_store *s = self(base);
    if (s->notify_fd >= 0)
        return s->notify_fd;
    s->notify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (s->notify_fd < 0)
        return -1;
    s->bell_wd = inotify_add_watch(s->notify_fd, s->bell, IN_ATTRIB | IN_DELETE_SELF);
    s->dir_wd = inotify_add_watch(s->notify_fd, s->side_dir, IN_CLOSE_WRITE);
    watch_wal(s);
    return s->notify_fd;
}

static unsigned meaning(const struct sqlite_store *s, const struct inotify_event *ev) {
    if (ev->wd != s->dir_wd)
        return NOTIFY_WORK;
    size_t len = ev->len ? strlen(ev->name) : 0;
    bool lock = len > 5 && strcmp(ev->name + len - 5, ".lock") == 0;
    return lock ? NOTIFY_WORKER_GONE : 0;
}

unsigned op_notify_drain(struct store *base) {
    struct sqlite_store *s = self(base);
    char raw[4096] __attribute__((aligned(8)));
    unsigned set = 0;
    ssize_t n;
    while (s->notify_fd >= 0 && (n = read(s->notify_fd, raw, sizeof(raw))) > 0) {
        for (char *p = raw; p < raw + n;) {
            const struct inotify_event *ev = (const struct inotify_event *)(const void *)p;
            set |= meaning(s, ev);
            if (ev->wd == s->wal_wd && (ev->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF)))
                watch_wal(s);
            p += sizeof(*ev) + ev->len;
        }
    }
    return set;
}

int op_changed(struct store *base) {
    struct sqlite_store *s = self(base);
    int64_t now = 0;
    if (q_int(s, NULL, &now, "PRAGMA data_version", "") <= 0)
        return 0;
    bool changed = now != s->data_version;
    s->data_version = now;
    return changed;
}

void op_ring(struct store *base) {
    utimensat(AT_FDCWD, self(base)->bell, NULL, 0);
}
