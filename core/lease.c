#include "lease.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "clock.h"
#include "proc.h"

enum {
    REGISTER_TRIES = 2500, /* 2 ms apart, as long as a command waits for a lock */
    SWEEP_MS = 100,        /* the worker stands still meanwhile; it comes back to it */
    /* In another PID namespace nobody can look for what a killed guardian left: then its
     * heartbeat must be this old, too. */
    LEASE_MS = 30000,
};

static char *lock_path(struct store *s, const char *uid) {
    return xasprintf("%s/%s.lock", s->ops->side_dir(s), uid);
}

static int take_lock(struct lease *l, struct store *s, struct err *err) {
    if (uid_make(l->uid, err) < 0)
        return -1;
    l->lock_path = lock_path(s, l->uid);
    l->lock_fd = open(l->lock_path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (l->lock_fd < 0)
        return err_set(err, errno == EACCES || errno == EROFS ? ERR_PERM : ERR_STORE, "%s: %s",
                       l->lock_path, strerror(errno));
    if (flock(l->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return err_set(err, ERR_STORE, "flock %s: %s", l->lock_path, strerror(errno));
    return 0;
}

/* Nobody else works its run: jobs of one that were worked by two would show up with neither. */
static int attach(struct store *s, const struct worker_spec *spec, int64_t id, struct err *err) {
    if (!spec->lane)
        return 0;
    if (lease_check_run(s, spec->lane, false, err) < 0)
        return -1;
    return s->ops->run_attach(s, spec->lane, id, err);
}

static int add(struct store *s, const struct worker_spec *spec, int64_t *id, struct err *err) {
    if (s->ops->begin(s, err) < 0)
        return -1;
    if (s->ops->worker_add(s, spec, id, err) < 0 || attach(s, spec, *id, err) < 0) {
        s->ops->rollback(s);
        return -1;
    }
    return s->ops->commit(s, err);
}

int lease_take(struct lease *l, struct store *s, const char *name, int slots, int64_t lane,
               struct err *err) {
    char host[65] = "localhost", made[96];
    *l = (struct lease){.lock_fd = -1};
    if (take_lock(l, s, err) < 0)
        return -1;
    gethostname(host, sizeof(host) - 1);
    snprintf(made, sizeof(made), "%s-%d", host, getpid());
    struct worker_spec spec = {.uid = l->uid,
                               .name = name ? name : made,
                               .host = host,
                               .boot_id = clock_boot_id(),
                               .pid = getpid(),
                               .pid_ns = proc_pid_ns(),
                               .slots = slots,
                               .lane = lane};
    int rc = -1;
    for (int i = 0; i < REGISTER_TRIES; i++) {
        rc = add(s, &spec, &l->worker, err);
        if (rc == 0 || err->code != ERR_BUSY)
            return rc;
        usleep(2000);
    }
    return rc;
}

char *lease_output_path(struct store *s, const char *uid, int slot) {
    return xasprintf("%s/%s.%d.out", s->ops->side_dir(s), uid, slot);
}

char *lease_report_path(struct store *s, const char *uid, uint64_t attempt) {
    return xasprintf("%s/%s.%" PRIu64 ".report", s->ops->side_dir(s), uid, attempt);
}

/* The lock, what its jobs wrote to $QUEUECTL_OUTPUT, and reports that came too late: UID.lock,
 * UID.N.out, UID.N.report. */
static void remove_files(struct store *s, const char *uid) {
    DIR *dir = opendir(s->ops->side_dir(s));
    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir));)
        if (strncmp(e->d_name, uid, UID_LEN) == 0 && e->d_name[UID_LEN] == '.')
            unlinkat(dirfd(dir), e->d_name, 0);
    closedir(dir);
}

/* Also puts back what it could not record: no job may belong to a worker that is not there. */
static int unregister(const struct lease *l, struct store *s, struct err *err) {
    size_t jobs;
    if (s->ops->begin(s, err) < 0)
        return -1;
    if (s->ops->recover(s, l->worker, clock_wall_ms(), &jobs, err) < 0) {
        s->ops->rollback(s);
        return -1;
    }
    return s->ops->commit(s, err);
}

void lease_release(struct lease *l, struct store *s) {
    struct err err = {0};
    int rc = 0;
    for (int i = 0; l->worker && i < REGISTER_TRIES; i++) {
        rc = unregister(l, s, &err);
        if (rc == 0 || err.code != ERR_BUSY)
            break;
        usleep(2000);
    }
    /* A worker that is still registered needs its lock file: a free lock says that it is dead. */
    if (l->lock_path && rc == 0)
        remove_files(s, l->uid);
    fd_close(&l->lock_fd);
    free(l->lock_path);
    *l = (struct lease){.lock_fd = -1};
}

/* The lock when it is free (*fd, to be closed), else -1. Read-only, so that closing it does not
 * look like the end of a worker to those who watch. */
static int grab_lock(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0)
        fd_close(&fd);
    return fd;
}

static bool same_boot(const struct worker_info *w) {
    return strcmp(w->boot_id, clock_boot_id()) == 0;
}

static bool has_process(const struct worker_info *w) {
    char path[64];
    snprintf(path, sizeof(path), "/proc/%lld", (long long)w->pid);
    return w->pid_ns == proc_pid_ns() && access(path, F_OK) == 0;
}

/* Somebody removed its lock file: go by process and heartbeat then. */
static bool seems_alive(const struct worker_info *w) {
    return same_boot(w) && (has_process(w) || clock_boot_ms() - w->beat_boot_ms < LEASE_MS);
}

static bool is_dead(const struct worker_info *w, const char *path, int *fd) {
    *fd = grab_lock(path);
    if (*fd < 0)
        return access(path, F_OK) < 0 && errno == ENOENT && !seems_alive(w);
    if (!same_boot(w) || w->pid_ns == proc_pid_ns())
        return true;
    return clock_boot_ms() - w->beat_boot_ms >= LEASE_MS;
}

bool lease_is_alive(struct store *s, const struct worker_info *w) {
    char *path = lock_path(s, w->uid);
    int fd;
    bool dead = is_dead(w, path, &fd);
    fd_close(&fd);
    free(path);
    return !dead;
}

/* The pid of the worker with this number, if it lives. 1 it does, 0. One that was killed does not,
 * though its guardian still ends its jobs: another may wait for that. */
static int living_pid(struct store *s, int64_t worker, int64_t *pid, struct err *err) {
    struct worker_info *list;
    size_t len;
    int alive = 0;
    if (s->ops->workers(s, &list, &len, err) < 0)
        return -1;
    for (size_t i = 0; i < len; i++) {
        if (list[i].id == worker) {
            *pid = list[i].pid;
            alive = lease_is_alive(s, &list[i]) &&
                    (has_process(&list[i]) || list[i].pid_ns != proc_pid_ns());
        }
        worker_info_free(&list[i]);
    }
    free(list);
    return alive;
}

int lease_check_run(struct store *s, int64_t run, bool detached_ok, struct err *err) {
    struct run r;
    int64_t pid = 0;
    int rc = s->ops->run_get(s, run, NULL, &r, err);
    if (rc == 0)
        return err_set(err, ERR_NOT_FOUND, "no run %lld; see them with: queuectl runs list",
                       (long long)run);
    if (rc < 0)
        return -1;
    int64_t worker = r.worker;
    bool detached = r.detached;
    run_free(&r);
    if (worker && (rc = living_pid(s, worker, &pid, err)) != 1)
        worker = 0;
    if (rc < 0)
        return -1;
    if (worker)
        return err_set(err, ERR_STATE,
                       "run %lld is being worked on by process %lld; wait for its end, or press"
                       " Ctrl-C there",
                       (long long)run, (long long)pid);
    if (detached && !detached_ok)
        return err_set(err, ERR_STATE,
                       "run %lld was given to the workers meanwhile; see: queuectl runs show %lld",
                       (long long)run, (long long)run);
    return 0;
}

static int put_back(struct store *s, const struct worker_info *w, size_t *n, struct err *err) {
    size_t jobs = 0;
    if (s->ops->begin(s, err) < 0)
        return -1;
    if (s->ops->recover(s, w->id, clock_wall_ms(), &jobs, err) < 0) {
        s->ops->rollback(s);
        return -1;
    }
    if (s->ops->commit(s, err) < 0)
        return -1;
    *n += jobs;
    return 0;
}

static int recover_one(struct store *s, const struct worker_info *w, size_t *n, struct err *err) {
    char *path = lock_path(s, w->uid), mark[64];
    int fd, rc = 0;
    snprintf(mark, sizeof(mark), "%s=%s", LEASE_MARK, w->uid);
    /* The lock is held meanwhile: nobody else recovers the same worker. */
    if (is_dead(w, path, &fd) && (!same_boot(w) || proc_sweep(mark, SWEEP_MS) == 0)) {
        rc = put_back(s, w, n, err);
        if (rc == 0)
            remove_files(s, w->uid);
    }
    fd_close(&fd);
    free(path);
    return rc;
}

int lease_recover(struct store *s, int64_t me, size_t *n, struct err *err) {
    struct worker_info *list;
    size_t len;
    *n = 0;
    if (s->ops->workers(s, &list, &len, err) < 0)
        return -1;
    int rc = 0;
    for (size_t i = 0; i < len; i++) {
        if (rc == 0 && list[i].id != me)
            rc = recover_one(s, &list[i], n, err);
        worker_info_free(&list[i]);
    }
    free(list);
    return rc;
}
