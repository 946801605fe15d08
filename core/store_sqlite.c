/* SQLite backend: connection, transactions, prepared queries, counters, the table of operations.
 *
 * WAL with synchronous=FULL; BEGIN IMMEDIATE only, because a read transaction that turns into a
 * writer fails at once whatever timeout is set. The database files are never opened or closed by
 * hand: closing any descriptor of a file drops all POSIX locks the process holds on it. */
#include "store_sqlite_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct sqlite_store *self(struct store *base) {
    return (struct sqlite_store *)base;
}

/* ---- counters ---- */

void count_change(struct sqlite_store *s, const char *queue, enum job_state state, int64_t by) {
    for (size_t i = 0; i < s->deltas_len; i++)
        if (strcmp(s->deltas[i].queue, queue) == 0) {
            s->deltas[i].by_state[state] += by;
            return;
        }
    s->deltas = xrealloc(s->deltas, (s->deltas_len + 1) * sizeof(*s->deltas));
    struct counter_delta *d = &s->deltas[s->deltas_len++];
    *d = (struct counter_delta){0};
    memcpy(d->queue, queue, strnlen(queue, QUEUE_MAX_LEN));
    d->by_state[state] = by;
}

static int write_counters(struct sqlite_store *s, struct err *err) {
    for (size_t i = 0; i < s->deltas_len; i++)
        for (int state = 0; state < JOB_STATES; state++) {
            int64_t by = s->deltas[i].by_state[state];
            if (by && q_run(s, err,
                            "INSERT INTO counter(queue, state, n) VALUES (?, ?, ?)"
                            " ON CONFLICT(queue, state) DO UPDATE SET n = n + excluded.n",
                            "tii", s->deltas[i].queue, (int64_t)state, by) < 0)
                return -1;
        }
    s->deltas_len = 0;
    return 0;
}

/* ---- transactions ---- */

static int tx_begin(struct store *base, struct err *err) {
    struct sqlite_store *s = self(base);
    if (s->broken)
        return err_set(err, ERR_STORE, "%s: an earlier I/O error ended this connection", s->path);
    s->deltas_len = 0;
    return q_run(s, err, "BEGIN IMMEDIATE", "") < 0 ? -1 : 0;
}

static void tx_rollback(struct store *base) {
    struct sqlite_store *s = self(base);
    s->deltas_len = 0;
    if (!sqlite3_get_autocommit(s->db))
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}

static int tx_commit(struct store *base, struct err *err) {
    struct sqlite_store *s = self(base);
    if (write_counters(s, err) < 0 || q_run(s, err, "COMMIT", "") < 0) {
        if (s->broken && err)
            err->code = ERR_UNKNOWN;
        tx_rollback(base);
        return -1;
    }
    return 0;
}

/* ---- open and close ---- */

static int make_dir(const char *path, struct err *err) {
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    return err_set(err, errno == EACCES ? ERR_PERM : ERR_STORE, "%s: %s", path, strerror(errno));
}

/* SQLite gives -wal and -shm the mode of the main file, so that is made 0600 first. O_EXCL, so that
 * only a file that did not exist is ever opened and closed here. */
static int make_file(const char *path, struct err *err) {
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0 || errno == EEXIST) {
        fd_close(&fd);
        return 0;
    }
    return err_set(err, errno == EACCES ? ERR_PERM : ERR_STORE, "%s: %s", path, strerror(errno));
}

static int check_file(const char *path, unsigned flags, struct err *err) {
    struct stat st;
    if (lstat(path, &st) == 0) {
        if (S_ISLNK(st.st_mode) && stat(path, &st) < 0)
            return err_set(err, ERR_STORE, "%s: a symbolic link that leads nowhere", path);
        if (!S_ISREG(st.st_mode))
            return err_set(err, ERR_STORE, "%s is not a regular file; a store is a file", path);
        return 0;
    }
    if (errno != ENOENT || !(flags & STORE_CREATE))
        return err_set(err, errno == EACCES ? ERR_PERM : ERR_STORE, "%s: %s", path,
                       errno == ENOENT ? "no such store; create it with: queuectl init"
                                       : strerror(errno));
    return make_file(path, err);
}

static int make_side(struct sqlite_store *s, struct err *err) {
    s->side_dir = xasprintf("%s.run", s->path);
    s->bell = xasprintf("%s/bell", s->side_dir);
    if (make_dir(s->side_dir, err) < 0)
        return -1;
    return make_file(s->bell, err);
}

static int configure(struct sqlite_store *s, struct err *err) {
    sqlite3_extended_result_codes(s->db, 1);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
    sqlite3_limit(s->db, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_limit(s->db, SQLITE_LIMIT_LENGTH, 16 * 1024 * 1024);
    wait_for_lock(s, true);
    /* A log that begins anew is cut to this size: short after a command, which measures by it when
     * the next checkpoint is due; long under a worker, where overwriting is cheaper than growing.
     */
    const char *log_limit = s->flags & STORE_WAIT ? "PRAGMA journal_size_limit = 65536"
                                                  : "PRAGMA journal_size_limit = 4194304";
    int rc = sqlite3_exec(s->db,
                          "PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = FULL;"
                          "PRAGMA mmap_size = 0; PRAGMA cell_size_check = ON;"
                          "PRAGMA temp_store = MEMORY;",
                          NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(s->db, log_limit, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : q_fail(s, err, rc);
}

static void op_close(struct store *base) {
    struct sqlite_store *s = self(base);
    for (size_t i = 0; i < STATEMENT_SLOTS; i++)
        sqlite3_finalize(s->statements[i].stmt);
    sqlite3_close(s->db);
    fd_close(&s->notify_fd);
    free(s->deltas);
    free(s->path);
    free(s->side_dir);
    free(s->bell);
    free(s);
}

static int op_open(const char *path, unsigned flags, struct store **out, struct err *err) {
    if (!*path)
        return err_set(err, ERR_USAGE, "--store: an empty path; give a file's path");
    if (check_file(path, flags, err) < 0)
        return -1;
    struct sqlite_store *s = xcalloc(1, sizeof(*s));
    s->base.ops = &store_sqlite_ops;
    s->path = realpath(path, NULL); /* one side directory, whatever link leads here */
    if (!s->path)
        s->path = xstrdup(path);
    s->flags = flags;
    s->notify_fd = -1;
    int rc = sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    rc = rc == SQLITE_OK ? 0 : q_fail(s, err, rc);
    if (rc == 0)
        rc = configure(s, err);
    if (rc == 0)
        rc = schema_ready(s, err);
    if (rc == 0)
        rc = make_side(s, err);
    if (rc < 0) {
        if (err && err->code == ERR_BUSY)
            err->code = ERR_STORE;
        op_close(&s->base);
        return -1;
    }
    if (!(flags & STORE_WAIT))
        wait_for_lock(s, false);
    *out = &s->base;
    return 0;
}

static const char *op_side_dir(struct store *base) {
    return self(base)->side_dir;
}

const char *store_sqlite_version(bool *wal_reset_bug) {
    int v = sqlite3_libversion_number();
    *wal_reset_bug = v < 3051003 && v != 3050007 && v != 3044006;
    return sqlite3_libversion();
}

const struct store_ops store_sqlite_ops = {
    .scheme = "sqlite",
    .open = op_open,
    .close = op_close,
    .side_dir = op_side_dir,
    .begin = tx_begin,
    .commit = tx_commit,
    .rollback = tx_rollback,
    .ring = op_ring,
    .enqueue = op_enqueue,
    .source_add = op_source_add,
    .source = op_source,
    .run_create = op_run_create,
    .run_attach = op_run_attach,
    .run_get = op_run_get,
    .runs = op_runs,
    .run_left = op_run_left,
    .revive = op_revive,
    .move_run = op_move_run,
    .cancel_run = op_cancel_run,
    .run_times = op_run_times,
    .worker_add = op_worker_add,
    .worker_beat = op_worker_beat,
    .worker_stop = op_worker_stop,
    .workers = op_workers,
    .orders = op_orders,
    .promote = op_promote,
    .claim = op_claim,
    .finish = op_finish,
    .output_add = op_output_add,
    .value_set = op_value_set,
    .artifact_set = op_artifact_set,
    .recover = op_recover,
    .has_work = op_has_work,
    .get = op_get,
    .list = op_list,
    .counts = op_counts,
    .attempts = op_attempts,
    .output_next = op_output_next,
    .values = op_values,
    .artifacts = op_artifacts,
    .needs = op_needs,
    .cancel = op_cancel,
    .retry = op_retry,
    .redefine = op_redefine,
    .notify_fd = op_notify_fd,
    .notify_drain = op_notify_drain,
    .changed = op_changed,
    .checkpoint = op_checkpoint,
};
