/* Another chance: jobs that are over run or wait again, and with them those that were skipped
 * because of them. A job that waits again has all its needs open; what has ended of them and stays
 * ended then settles it as ever, so that one that needs another failed job is skipped once more. */
#include <stdlib.h>

#include "clock.h"
#include "store_sqlite_impl.h"

static int count_run_up(struct sqlite_store *s, const struct job_ref *j, struct err *err) {
    if (!j->run || !job_is_final(j->state))
        return 0;
    return q_run(s, err,
                 "UPDATE run SET left = left + 1, failed = failed - ?2, finished_at = 0,"
                 " halted = 0, cancelled = 0 WHERE id = ?1",
                 "ii", j->run, (int64_t)ended_badly(j)) < 0
               ? -1
               : 0;
}

/* Back with fresh tries, its `when` to be asked, to where j->lane says. Only one that never ran has
 * its delay before it. */
static int restart(struct sqlite_store *s, const struct job_ref *j, int64_t waits, int64_t now,
                   struct err *err) {
    enum job_state to = waits ? JOB_WAITING : JOB_PENDING;
    int64_t run_at = first_start(now, 0, j->start_at);
    if (count_run_up(s, j, err) < 0 || set_state(s, j, to, CAUSE_NONE, err) < 0 ||
        q_run(s, err,
              "UPDATE job SET lane = ?2, tries = 0, deaths = 0, waits = ?3, error = NULL,"
              " worker = 0, cancel = 0, run_at = ?4, exit_code = -1, signal = -1,"
              " delay_ms = iif(starts OR NOT ?3, 0, delay_ms), finished_at = 0, retried_at = ?5"
              " WHERE seq = ?1",
              "iiiii", j->seq, j->lane, waits, run_at, now) < 0 ||
        q_run(s, err, "UPDATE spec SET wants_when = ?2 WHERE seq = ?1 AND wants_when = ?3", "iii",
              j->seq, (int64_t)WHEN_TO_ASK, (int64_t)WHEN_AGREED) < 0)
        return -1;
    return waits ? 0 : line_up(s, j, run_at, now, err);
}

struct place { /* where jobs of this run go, and when */
    int64_t run, lane, now;
};

/* One that was skipped or cancelled waits for all it needs, and one that died for nothing more. */
static int wake(struct sqlite_store *s, int64_t seq, const struct place *to, struct err *err) {
    struct job_ref j;
    if (job_ref_get(s, seq, &j, err) < 0)
        return -1;
    int waits = j.state == JOB_DEAD
                    ? 0
                    : q_run(s, err, "UPDATE dep SET settled = 0 WHERE child = ?", "i", seq);
    if (j.run == to->run)
        j.lane = to->lane;
    return waits < 0 ? -1 : restart(s, &j, waits, to->now, err);
}

/* Results of a query of seqs, read whole before anything changes. */
static int collect(struct sqlite_store *s, sqlite3_stmt *st, struct seqs *out, struct err *err) {
    int rc = st ? 0 : -1;
    while (st && (rc = q_row(s, st, err)) > 0)
        seqs_add(out, sqlite3_column_int64(st, 0));
    return rc;
}

/* What has ended already of all that those of the list need. */
static int settle_woken(struct sqlite_store *s, const struct seqs *woken, struct err *err) {
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < woken->len; i++) {
        struct seqs parents = {0};
        rc = collect(s,
                     q_open(s, err,
                            "SELECT parent FROM dep JOIN job p ON p.seq = parent"
                            " WHERE child = ? AND settled = 0 AND p.state IN (3, 5, 6, 7)",
                            "i", woken->items[i]),
                     &parents, err);
        for (size_t k = 0; rc >= 0 && k < parents.len; k++)
            rc = settle_if_final(s, parents.items[k], err);
        free(parents.items);
    }
    return rc < 0 ? -1 : 0;
}

/* Those that were skipped because of the job, directly or through others that were. */
static int wake_dependants(struct sqlite_store *s, const struct job_ref *j, int64_t now,
                           struct err *err) {
    struct seqs woken = {0}, found = {0};
    struct place to = {.run = j->run, .lane = j->lane, .now = now};
    int rc = 0;
    seqs_add(&woken, j->seq);
    for (size_t i = 0; rc >= 0 && i < woken.len; i++) {
        found.len = 0;
        rc = collect(s,
                     q_open(s, err,
                            "SELECT child FROM dep JOIN job c ON c.seq = child"
                            " WHERE parent = ? AND c.state = 7 AND c.cause IN (10, 14)",
                            "i", woken.items[i]),
                     &found, err);
        for (size_t k = 0; rc >= 0 && k < found.len; k++) {
            rc = wake(s, found.items[k], &to, err);
            seqs_add(&woken, found.items[k]);
        }
    }
    if (rc >= 0)
        rc = settle_woken(s, &woken, err);
    free(woken.items);
    free(found.items);
    return rc < 0 ? -1 : 0;
}

/* A run that is over and that nobody works becomes one of the common lane, so that its job does not
 * wait for a worker that never comes. One that was interrupted is gone on with as a whole. */
static int lane_for_retry(struct sqlite_store *s, struct job_ref *j, struct err *err) {
    struct run_ref run = {0};
    int64_t live = 0;
    if (!j->run)
        return 0;
    if (run_ref_get(s, j->run, &run, err) < 0 ||
        q_int(s, err, &live,
              "SELECT count(*) FROM run JOIN worker ON worker.id = run.worker WHERE run.id = ?",
              "i", j->run) < 0)
        return -1;
    if (live || run.left || run.detached) {
        j->lane = run.detached ? LANE_COMMON : j->run;
        return 0;
    }
    j->lane = LANE_COMMON;
    return q_run(s, err, "UPDATE run SET detached = 1 WHERE id = ?", "i", j->run);
}

static int check_retry(const struct job_ref *j, const char *id, bool again, struct err *err) {
    bool may = j->state == JOB_DEAD || j->state == JOB_FAILED || j->state == JOB_CANCELLED ||
               (j->state == JOB_COMPLETED && again);
    if (may)
        return 0;
    return err_set(err, ERR_STATE, "job '%s' is %s; %s", id, job_state_names[j->state],
                   j->state == JOB_COMPLETED ? "to run it once more: queuectl retry --again"
                                             : "only dead, failed and cancelled jobs are retried");
}

int op_retry(struct store *base, const char *id, bool again, enum job_state *before,
             struct err *err) {
    struct sqlite_store *s = (struct sqlite_store *)base;
    struct job_ref j;
    int rc = find_job(s, id, &j, err);
    if (rc <= 0)
        return rc;
    *before = j.state;
    int64_t waits = 0, now = clock_wall_ms();
    if (check_retry(&j, id, again, err) < 0 || leave_line(s, &j, err) < 0 ||
        lane_for_retry(s, &j, err) < 0)
        return -1;
    if (j.state == JOB_CANCELLED &&
        q_int(s, err, &waits, "SELECT count(*) FROM dep WHERE child = ? AND settled = 0", "i",
              j.seq) < 0)
        return -1;
    if (restart(s, &j, waits, now, err) < 0 || wake_dependants(s, &j, now, err) < 0)
        return -1;
    return 1;
}

static int wake_all(struct sqlite_store *s, const struct seqs *list, const struct place *to,
                    struct err *err) {
    for (size_t i = 0; i < list->len; i++)
        if (wake(s, list->items[i], to, err) < 0)
            return -1;
    return settle_woken(s, list, err);
}

/* Of those that are over, which went wrong. */
static int keep_bad(struct sqlite_store *s, struct seqs *list, struct err *err) {
    size_t kept = 0;
    for (size_t i = 0; i < list->len; i++) {
        struct job_ref j;
        if (job_ref_get(s, list->items[i], &j, err) < 0)
            return -1;
        if (ended_badly(&j))
            list->items[kept++] = j.seq;
    }
    list->len = kept;
    return 0;
}

/* What had not started when the run stopped is no older than what starts with it again. */
static int rejuvenate(struct sqlite_store *s, int64_t run, int64_t now, struct err *err) {
    struct seqs list = {0};
    int rc = run_jobs(s, run, UNSTARTED, &list, err);
    for (size_t i = 0; rc >= 0 && i < list.len; i++)
        rc = q_run(s, err, "UPDATE job SET retried_at = ?2 WHERE seq = ?1", "ii", list.items[i],
                   now);
    free(list.items);
    return rc < 0 ? -1 : 0;
}

int op_revive(struct store *base, int64_t run, size_t *n, struct err *err) {
    struct sqlite_store *s = (struct sqlite_store *)base;
    struct run_ref before, after;
    struct seqs list = {0};
    *n = 0;
    int rc = run_ref_get(s, run, &before, err);
    if (rc <= 0)
        return rc;
    struct place to = {
        .run = run, .lane = before.detached ? LANE_COMMON : run, .now = clock_wall_ms()};
    if (rejuvenate(s, run, to.now, err) < 0 ||
        run_jobs(s, run, 1 << JOB_DEAD | 1 << JOB_CANCELLED | 1 << JOB_SKIPPED, &list, err) < 0 ||
        keep_bad(s, &list, err) < 0 || wake_all(s, &list, &to, err) < 0 ||
        run_ref_get(s, run, &after, err) < 0)
        rc = -1;
    else
        *n = (size_t)(after.left - before.left);
    free(list.items);
    return rc;
}
