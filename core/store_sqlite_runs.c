/* Runs of jobs files, and workers. */
#include <stdlib.h>

#include "clock.h"
#include "store_sqlite_impl.h"

static struct sqlite_store *self(struct store *base) {
    return (struct sqlite_store *)base;
}

int op_run_create(struct store *base, const struct run_spec *spec, int64_t *id, struct err *err) {
    struct sqlite_store *s = self(base);
    if (q_run(s, err, "INSERT OR IGNORE INTO source(hash, text) VALUES (?, ?)", "tb", spec->hash,
              spec->text) < 0 ||
        q_run(s, err, "INSERT INTO run(path, source, started_at) VALUES (?, ?, ?)", "tti",
              spec->path, spec->hash, clock_wall_ms()) < 0)
        return -1;
    *id = sqlite3_last_insert_rowid(s->db);
    return 0;
}

int op_run_attach(struct store *base, int64_t run, int64_t worker, struct err *err) {
    return q_run(self(base), err, "UPDATE run SET worker = ? WHERE id = ?", "ii", worker, run) < 0
               ? -1
               : 0;
}

int op_run_get(struct store *base, int64_t id, const char *path, struct run *out, struct err *err) {
    struct sqlite_store *s = self(base);
    sqlite3_stmt *st = q_open(
        s, err,
        "SELECT id, path, source, started_at, finished_at, first_seq, last_seq, left, failed,"
        " worker, text FROM run JOIN source ON source.hash = run.source"
        " WHERE id = iif(?1, ?1, (SELECT max(id) FROM run WHERE path = ?2))",
        "it", id, path);
    int rc = st ? q_row(s, st, err) : -1;
    if (rc <= 0)
        return rc;
    *out = (struct run){
        .id = sqlite3_column_int64(st, 0),
        .path = col_text(st, 1),
        .hash = col_text(st, 2),
        .started_at = sqlite3_column_int64(st, 3),
        .finished_at = sqlite3_column_int64(st, 4),
        .first_seq = sqlite3_column_int64(st, 5),
        .last_seq = sqlite3_column_int64(st, 6),
        .left = sqlite3_column_int64(st, 7),
        .failed = sqlite3_column_int64(st, 8),
        .worker = sqlite3_column_int64(st, 9),
        .text = col_text(st, 10),
    };
    q_end(st);
    return 1;
}

int op_run_left(struct store *base, int64_t run, int64_t *left, struct err *err) {
    *left = 0;
    return q_int(self(base), err, left, "SELECT left FROM run WHERE id = ?", "i", run) < 0 ? -1 : 0;
}

int op_worker_add(struct store *base, const struct worker_spec *w, int64_t *id, struct err *err) {
    struct sqlite_store *s = self(base);
    int64_t now = clock_wall_ms();
    if (q_run(s, err,
              "INSERT INTO worker(uid, name, host, boot_id, pid, pid_ns, slots, lane, started_at,"
              " heartbeat_at, beat_boot_ms) VALUES (?,?,?,?,?,?,?,?,?,?9,?)",
              "ttttiiiiii", w->uid, w->name, w->host, w->boot_id, w->pid, w->pid_ns,
              (int64_t)w->slots, w->lane, now, clock_boot_ms()) < 0)
        return -1;
    *id = sqlite3_last_insert_rowid(s->db);
    return 0;
}

int remove_worker(struct sqlite_store *s, int64_t id, struct err *err) {
    if (q_run(s, err, "UPDATE run SET worker = 0 WHERE worker = ?", "i", id) < 0)
        return -1;
    return q_run(s, err, "DELETE FROM worker WHERE id = ?", "i", id) < 0 ? -1 : 0;
}

int op_worker_beat(struct store *base, int64_t id, struct err *err) {
    return q_run(self(base), err,
                 "UPDATE worker SET heartbeat_at = ?, beat_boot_ms = ? WHERE id = ?", "iii",
                 clock_wall_ms(), clock_boot_ms(), id) < 0
               ? -1
               : 0;
}

int op_worker_stop(struct store *base, int64_t id, enum worker_stop how, struct err *err) {
    return q_run(self(base), err, "UPDATE worker SET stop = max(stop, ?) WHERE id = ?", "ii",
                 (int64_t)how, id);
}

static struct worker_info read_worker(sqlite3_stmt *st) {
    return (struct worker_info){
        .id = sqlite3_column_int64(st, 0),
        .uid = col_text(st, 1),
        .name = col_text(st, 2),
        .host = col_text(st, 3),
        .boot_id = col_text(st, 4),
        .pid = sqlite3_column_int64(st, 5),
        .pid_ns = sqlite3_column_int64(st, 6),
        .slots = sqlite3_column_int(st, 7),
        .lane = sqlite3_column_int64(st, 8),
        .started_at = sqlite3_column_int64(st, 9),
        .heartbeat_at = sqlite3_column_int64(st, 10),
        .beat_boot_ms = sqlite3_column_int64(st, 11),
        .stop = (enum worker_stop)sqlite3_column_int(st, 12),
        .busy = sqlite3_column_int(st, 13),
    };
}

int op_workers(struct store *base, struct worker_info **out, size_t *n, struct err *err) {
    struct sqlite_store *s = self(base);
    struct worker_info *list = NULL;
    *n = 0;
    sqlite3_stmt *st =
        q_open(s, err,
               "SELECT id, uid, name, host, boot_id, pid, pid_ns, slots, lane, started_at,"
               " heartbeat_at, beat_boot_ms, stop,"
               " (SELECT count(*) FROM job WHERE state = 2 AND job.worker = worker.id)"
               " FROM worker ORDER BY id",
               "");
    int rc = st ? 0 : -1;
    while (st && (rc = q_row(s, st, err)) > 0) {
        list = xrealloc(list, (*n + 1) * sizeof(*list));
        list[(*n)++] = read_worker(st);
    }
    if (rc < 0) {
        while (*n)
            worker_info_free(&list[--*n]);
        free(list);
        list = NULL;
    }
    *out = list;
    return rc;
}

int op_orders(struct store *base, int64_t worker, struct orders *orders, struct err *err) {
    struct sqlite_store *s = self(base);
    int64_t how = 0;
    orders->n = 0;
    if (q_int(s, err, &how, "SELECT stop FROM worker WHERE id = ?", "i", worker) < 0)
        return -1;
    orders->stop = (enum worker_stop)how;
    sqlite3_stmt *st = q_open(s, err,
                              "SELECT seq FROM job WHERE state = 2 AND worker = ? AND cancel = 1"
                              " LIMIT ?",
                              "ii", worker, (int64_t)orders->max);
    int rc = st ? 0 : -1;
    while (st && (rc = q_row(s, st, err)) > 0)
        orders->cancel[orders->n++] = sqlite3_column_int64(st, 0);
    return rc;
}
