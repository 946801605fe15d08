/* What people want of jobs and runs that are on their way: cancel, redefine, move. */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "store_sqlite_impl.h"

int find_job(struct sqlite_store *s, const char *id, struct job_ref *out, struct err *err) {
    int64_t seq = 0;
    int rc = q_int(s, err, &seq, "SELECT seq FROM job WHERE id = ?", "t", id);
    return rc <= 0 ? rc : job_ref_get(s, seq, out, err);
}

int op_cancel(struct store *base, const char *id, enum job_state *after, struct err *err) {
    struct sqlite_store *s = (struct sqlite_store *)base;
    struct job_ref j;
    int rc = find_job(s, id, &j, err);
    if (rc <= 0)
        return rc;
    *after = JOB_CANCELLED;
    if (j.state == JOB_CANCELLED)
        return 1;
    if (j.state == JOB_PROCESSING) {
        *after = JOB_PROCESSING;
        return q_run(s, err, "UPDATE job SET cancel = 1 WHERE seq = ? AND state = 2", "i", j.seq);
    }
    if (!job_may_change(j.state, JOB_CANCELLED))
        return err_set(err, ERR_STATE, "job '%s' is %s; only unfinished jobs can be cancelled", id,
                       job_state_names[j.state]);
    if (leave_line(s, &j, err) < 0)
        return -1;
    return change_state(s, &j, JOB_CANCELLED, CAUSE_CANCELLED, err);
}

/* One that died counts as a failure of its run, or does not any more. */
static int recount(struct sqlite_store *s, const struct job_ref *j, bool allow_failure,
                   struct err *err) {
    struct job_ref after = *j;
    after.allow_failure = allow_failure;
    if (!j->run || j->state != JOB_DEAD || ended_badly(j) == ended_badly(&after))
        return 0;
    return q_run(s, err, "UPDATE run SET failed = failed + ?2 WHERE id = ?1", "ii", j->run,
                 ended_badly(&after) ? (int64_t)1 : (int64_t)-1);
}

/* Its time, priority and queue show in other tables than the spec. One that only waited for its old
 * start_at goes by the new one. */
static int replace(struct sqlite_store *s, struct job_ref *j, const struct job_spec *spec,
                   struct err *err) {
    bool in_line = j->state == JOB_PENDING || j->state == JOB_FAILED;
    int64_t now = clock_wall_ms(), run_at = 0;
    if (recount(s, j, spec->allow_failure, err) < 0 || leave_line(s, j, err) < 0 ||
        write_spec(s, spec, NULL, j->seq, err) < 0 ||
        q_int(s, err, &run_at,
              "UPDATE job SET queue = ?2, grp = ?3, priority = ?4, updated_at = ?5,"
              " retried_at = ?5, run_at = max(iif(run_at = ?6, ?5, run_at), ?7)"
              " WHERE seq = ?1 RETURNING run_at",
              "ittiiii", j->seq, spec->queue, spec->group, (int64_t)spec->priority, now,
              j->start_at, spec->start_at) < 0)
        return -1;
    count_change(s, j->queue, j->state, -1);
    count_change(s, spec->queue, j->state, +1);
    j->priority = spec->priority;
    return in_line ? line_up(s, j, run_at, now, err) : 0;
}

int op_redefine(struct store *base, const char *id, const struct job_spec *spec, struct err *err) {
    struct sqlite_store *s = (struct sqlite_store *)base;
    struct job_ref j;
    int rc = find_job(s, id, &j, err);
    if (rc <= 0)
        return rc;
    if (j.state == JOB_PROCESSING)
        return err_set(err, ERR_STATE, "job '%s' is processing; redefine it when it has ended", id);
    return replace(s, &j, spec, err) < 0 ? -1 : 1;
}

/* ---- whole runs ---- */

/* A worker that has one of the run's jobs in hand would put it back where it took it from. */
static int check_idle(struct sqlite_store *s, int64_t run, struct err *err) {
    struct seqs list = {0};
    int rc = run_jobs(s, run, 1 << JOB_PROCESSING, &list, err);
    if (rc == 0 && list.len) {
        sqlite3_stmt *st = q_open(s, err,
                                  "SELECT coalesce(p.name, j.id), w.name FROM job j"
                                  " JOIN spec p USING(seq) LEFT JOIN worker w ON w.id = j.worker"
                                  " WHERE j.seq = ?",
                                  "i", list.items[0]);
        rc = st ? q_row(s, st, err) : -1;
        if (rc > 0) {
            const char *worker = (const char *)sqlite3_column_text(st, 1);
            rc = err_set(err, ERR_STATE,
                         "job '%s' of run %lld is being processed by worker %s; wait for it, or"
                         " stop that worker",
                         (const char *)sqlite3_column_text(st, 0), (long long)run,
                         worker ? worker : "?");
            q_end(st);
        }
    }
    free(list.items);
    return rc < 0 ? -1 : 0;
}

static int move_job(struct sqlite_store *s, int64_t seq, int64_t lane, int64_t now,
                    struct err *err) {
    struct job_ref j;
    int64_t run_at = 0;
    if (job_ref_get(s, seq, &j, err) < 0 || leave_line(s, &j, err) < 0 ||
        q_int(s, err, &run_at, "UPDATE job SET lane = ?2 WHERE seq = ?1 RETURNING run_at", "ii",
              seq, lane) < 0)
        return -1;
    j.lane = lane;
    bool in_line = j.state == JOB_PENDING || j.state == JOB_FAILED;
    return in_line ? line_up(s, &j, run_at, now, err) : 0;
}

int op_move_run(struct store *base, int64_t run, bool detached, struct err *err) {
    struct sqlite_store *s = (struct sqlite_store *)base;
    struct run_ref ref;
    struct seqs list = {0};
    int rc = run_ref_get(s, run, &ref, err);
    if (rc <= 0 || ref.detached == detached)
        return rc;
    if (!detached && check_idle(s, run, err) < 0)
        return -1;
    int64_t now = clock_wall_ms();
    rc = q_run(s, err, "UPDATE run SET detached = ?2 WHERE id = ?1", "ii", run, (int64_t)detached);
    if (rc >= 0)
        rc = run_jobs(s, run, UNSTARTED | 1 << JOB_PROCESSING, &list, err);
    for (size_t i = 0; rc >= 0 && i < list.len; i++)
        rc = move_job(s, list.items[i], detached ? LANE_COMMON : run, now, err);
    free(list.items);
    return rc < 0 ? -1 : 1;
}

int op_cancel_run(struct store *base, int64_t run, size_t *n, size_t *running, struct err *err) {
    struct sqlite_store *s = (struct sqlite_store *)base;
    struct run_ref ref;
    struct seqs idle = {0}, busy = {0};
    *n = *running = 0;
    int rc = run_ref_get(s, run, &ref, err);
    if (rc <= 0 || !ref.left)
        return rc;
    if (run_jobs(s, run, UNSTARTED, &idle, err) < 0 ||
        run_jobs(s, run, 1 << JOB_PROCESSING, &busy, err) < 0 ||
        q_run(s, err, "UPDATE run SET cancelled = 1 WHERE id = ?", "i", run) < 0 ||
        end_jobs(s, &idle, JOB_CANCELLED, CAUSE_CANCELLED, err) < 0)
        rc = -1;
    for (size_t i = 0; rc >= 0 && i < busy.len; i++)
        if (q_run(s, err, "UPDATE job SET cancel = 1 WHERE seq = ? AND state = 2", "i",
                  busy.items[i]) < 0)
            rc = -1;
    *n = idle.len;
    *running = busy.len;
    free(idle.items);
    free(busy.items);
    return rc;
}
