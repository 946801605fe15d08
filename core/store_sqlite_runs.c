/* Runs of jobs files, and workers. */
#include <stdlib.h>

#include "clock.h"
#include "store_sqlite_impl.h"

static struct sqlite_store *self(struct store *base) {
    return (struct sqlite_store *)base;
}

int op_source_add(struct store *base, const char *hash, struct bytes text, struct err *err) {
    return q_run(self(base), err, "INSERT OR IGNORE INTO source(hash, text) VALUES (?, ?)", "tb",
                 hash, text) < 0
               ? -1
               : 0;
}

int op_source(struct store *base, const char *hash, struct buf *out, struct err *err) {
    sqlite3_stmt *st = q_open(self(base), err, "SELECT text FROM source WHERE hash = ?", "t", hash);
    int rc = st ? q_row(self(base), st, err) : -1;
    if (rc <= 0)
        return rc;
    col_buf(st, 0, out);
    q_end(st);
    return 1;
}

int op_run_create(struct store *base, const struct run_spec *spec, int64_t *id, struct err *err) {
    struct sqlite_store *s = self(base);
    if (op_source_add(base, spec->hash, spec->text, err) < 0 ||
        q_run(s, err,
              "INSERT INTO run(path, source, started_at, fail_fast, detached, info)"
              " VALUES (?, ?, ?, ?, ?, ?)",
              "ttiiit", spec->path, spec->hash, clock_wall_ms(), (int64_t)spec->fail_fast,
              (int64_t)spec->detached, spec->info) < 0)
        return -1;
    *id = sqlite3_last_insert_rowid(s->db);
    return 0;
}

int op_run_attach(struct store *base, int64_t run, int64_t worker, struct err *err) {
    return q_run(self(base), err, "UPDATE run SET worker = ? WHERE id = ?", "ii", worker, run) < 0
               ? -1
               : 0;
}

#define RUN_COLUMNS                                                                                \
    "id, path, source, started_at, finished_at, first_seq, last_seq, left, failed, worker,"        \
    " fail_fast, halted, detached, cancelled, added, info"

static struct run read_run(sqlite3_stmt *st) {
    return (struct run){
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
        .fail_fast = sqlite3_column_int(st, 10),
        .halted = sqlite3_column_int64(st, 11) != 0,
        .detached = sqlite3_column_int(st, 12),
        .cancelled = sqlite3_column_int(st, 13),
        .added = sqlite3_column_int64(st, 14),
        .info = col_text(st, 15),
    };
}

int op_run_get(struct store *base, int64_t id, const char *path, struct run *out, struct err *err) {
    struct sqlite_store *s = self(base);
    sqlite3_stmt *st = q_open(s, err,
                              "SELECT " RUN_COLUMNS ", text"
                              " FROM run JOIN source ON source.hash = run.source"
                              " WHERE id = iif(?1, ?1, (SELECT max(id) FROM run WHERE path = ?2))",
                              "it", id, path);
    int rc = st ? q_row(s, st, err) : -1;
    if (rc <= 0)
        return rc;
    *out = read_run(st);
    out->text = col_text(st, 16);
    q_end(st);
    return 1;
}

int op_runs(struct store *base, const struct run_query *q, struct run *out, size_t *n,
            int64_t *next, struct err *err) {
    struct sqlite_store *s = self(base);
    int64_t before = q->after ? q->after : INT64_MAX, limit = q->limit;
    *n = 0;
    *next = 0;
    sqlite3_stmt *st =
        q->path ? q_open(s, err,
                         "SELECT " RUN_COLUMNS
                         " FROM run WHERE path = ? AND id < ? ORDER BY id DESC LIMIT ?",
                         "tii", q->path, before, limit)
                : q_open(s, err,
                         "SELECT " RUN_COLUMNS " FROM run WHERE id < ? ORDER BY id DESC LIMIT ?",
                         "ii", before, limit);
    int rc = st ? 0 : -1;
    while (st && (rc = q_row(s, st, err)) > 0)
        out[(*n)++] = read_run(st);
    if (rc < 0)
        while (*n)
            run_free(&out[--*n]);
    if (*n == (size_t)q->limit)
        *next = out[*n - 1].id;
    return rc;
}

int op_run_left(struct store *base, int64_t run, int64_t *left, bool *halted, struct err *err) {
    struct run_ref ref = {0};
    int rc = run_ref_get(self(base), run, &ref, err);
    *left = ref.left;
    *halted = ref.halted;
    return rc < 0 ? -1 : 0;
}

int op_run_times(struct store *base, int64_t run, struct buf *out, struct err *err) {
    struct sqlite_store *s = self(base);
    struct seqs done = {0};
    int rc = run_jobs(s, run, 1 << JOB_COMPLETED, &done, err);
    for (size_t i = 0; rc >= 0 && i < done.len; i++) {
        sqlite3_stmt *st = q_open(s, err,
                                  "SELECT '=' || duration_ms || ' ' || name FROM job"
                                  " JOIN spec USING(seq)"
                                  " JOIN attempt a ON a.job = seq AND a.token = job.starts"
                                  " WHERE seq = ? AND name IS NOT NULL",
                                  "i", done.items[i]);
        rc = st ? q_row(s, st, err) : -1;
        if (rc > 0) {
            col_buf(st, 0, out);
            buf_add(out, "", 1);
            q_end(st);
        }
    }
    free(done.items);
    return rc < 0 ? -1 : 0;
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
