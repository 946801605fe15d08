/* Transitions. All of them come through change_state, which guards them by the state they expect,
 * keeps the counters and, when a job is final, moves those that waited for it. */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "store_sqlite_impl.h"

int job_ref_get(struct sqlite_store *s, int64_t seq, struct job_ref *out, struct err *err) {
    sqlite3_stmt *st =
        q_open(s, err,
               "SELECT lane, run, delay_ms, state, priority, queue, allow_failure,"
               " cause, start_at, fail_fast FROM job JOIN spec USING(seq) WHERE seq = ?",
               "i", seq);
    if (!st)
        return -1;
    int rc = q_row(s, st, err);
    if (rc <= 0)
        return rc;
    *out = (struct job_ref){
        .seq = seq,
        .lane = sqlite3_column_int64(st, 0),
        .run = sqlite3_column_int64(st, 1),
        .delay_ms = sqlite3_column_int64(st, 2),
        .state = (enum job_state)sqlite3_column_int(st, 3),
        .priority = sqlite3_column_int(st, 4),
        .allow_failure = sqlite3_column_int(st, 6),
        .cause = (enum job_cause)sqlite3_column_int(st, 7),
        .start_at = sqlite3_column_int64(st, 8),
        .fail_fast = sqlite3_column_int(st, 9),
    };
    const char *queue = (const char *)sqlite3_column_text(st, 5);
    memcpy(out->queue, queue, strnlen(queue, QUEUE_MAX_LEN));
    q_end(st);
    return 1;
}

/* ---- the line: ready table and time index ---- */

int line_up(struct sqlite_store *s, const struct job_ref *j, int64_t run_at, int64_t now,
            struct err *err) {
    if (run_at > now)
        return q_run(s, err, "INSERT OR IGNORE INTO timed(lane, run_at, seq) VALUES (?, ?, ?)",
                     "iii", j->lane, run_at, j->seq) < 0
                   ? -1
                   : 0;
    return q_run(s, err, "INSERT OR IGNORE INTO ready(lane, rank, seq) VALUES (?, ?, ?)", "iii",
                 j->lane, -(int64_t)j->priority, j->seq) < 0
               ? -1
               : 0;
}

int leave_line(struct sqlite_store *s, const struct job_ref *j, struct err *err) {
    if (q_run(s, err, "DELETE FROM ready WHERE lane = ? AND rank = ? AND seq = ?", "iii", j->lane,
              -(int64_t)j->priority, j->seq) < 0)
        return -1;
    return q_run(s, err,
                 "DELETE FROM timed WHERE lane = ?1 AND seq = ?2"
                 " AND run_at = (SELECT run_at FROM job WHERE seq = ?2)",
                 "ii", j->lane, j->seq) < 0
               ? -1
               : 0;
}

int64_t first_start(int64_t now, int64_t delay_ms, int64_t start_at) {
    return now + delay_ms > start_at ? now + delay_ms : start_at;
}

/* ---- dependants ---- */

/* What a final job is to those that wait for it. */
enum ending { ENDED_WELL, ENDED_BADLY, ENDED_NEUTRAL };

struct ended {
    int64_t seq;
    enum ending how;
};
struct ended_list {
    struct ended *items;
    size_t len, cap;
};

static void push(struct ended_list *l, int64_t seq, enum ending how) {
    if (l->len == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 16;
        l->items = xrealloc(l->items, l->cap * sizeof(*l->items));
    }
    l->items[l->len++] = (struct ended){seq, how};
}

static enum ending ending(const struct job_ref *j, enum job_state to, enum job_cause cause) {
    if (to == JOB_COMPLETED || (to == JOB_DEAD && j->allow_failure))
        return ENDED_WELL;
    if (to == JOB_SKIPPED && job_skip_is_neutral(cause))
        return ENDED_NEUTRAL;
    return ENDED_BADLY;
}

bool ended_badly(const struct job_ref *j) {
    return ending(j, j->state, j->cause) == ENDED_BADLY;
}

enum verdict { GO_ON, SKIP_FAILED, SKIP_NOT_NEEDED };

/* [condition][how the parent ended] */
static const enum verdict verdicts[JOB_ONS][3] = {
    [ON_SUCCESS] =
        {[ENDED_WELL] = GO_ON, [ENDED_BADLY] = SKIP_FAILED, [ENDED_NEUTRAL] = SKIP_NOT_NEEDED},
    [ON_FAILURE] =
        {[ENDED_WELL] = SKIP_NOT_NEEDED, [ENDED_BADLY] = GO_ON, [ENDED_NEUTRAL] = SKIP_NOT_NEEDED},
    [ON_DONE] = {[ENDED_WELL] = GO_ON, [ENDED_BADLY] = GO_ON, [ENDED_NEUTRAL] = GO_ON},
};

static int count_run_down(struct sqlite_store *s, const struct job_ref *j, enum ending how,
                          struct err *err) {
    if (!j->run)
        return 0;
    return q_run(s, err,
                 "UPDATE run SET left = left - 1, failed = failed + ?2,"
                 " finished_at = iif(left = 1, ?3, 0) WHERE id = ?1",
                 "iii", j->run, (int64_t)(how == ENDED_BADLY), clock_wall_ms()) < 0
               ? -1
               : 0;
}

int set_state(struct sqlite_store *s, const struct job_ref *j, enum job_state to,
              enum job_cause cause, struct err *err) {
    if (!job_may_change(j->state, to))
        return err_set(err, ERR_STATE, "a %s job cannot become %s", job_state_names[j->state],
                       job_state_names[to]);
    int64_t now = clock_wall_ms();
    int n = q_run(s, err,
                  "UPDATE job SET state = ?2, cause = ?3, updated_at = ?4,"
                  " finished_at = iif(?5, ?4, finished_at) WHERE seq = ?1 AND state = ?6",
                  "iiiiii", j->seq, (int64_t)to, (int64_t)cause, now, (int64_t)job_is_final(to),
                  (int64_t)j->state);
    if (n == 1) {
        count_change(s, j->queue, j->state, -1);
        count_change(s, j->queue, to, +1);
    }
    return n;
}

/* One dependency of a waiting job is over, and as it should be. */
static int release(struct sqlite_store *s, const struct job_ref *child, struct err *err) {
    int64_t waits = 0, now = clock_wall_ms();
    if (q_run(s, err, "UPDATE job SET waits = waits - 1 WHERE seq = ?", "i", child->seq) < 0 ||
        q_int(s, err, &waits, "SELECT waits FROM job WHERE seq = ?", "i", child->seq) < 0)
        return -1;
    if (waits > 0)
        return 0;
    int64_t run_at = first_start(now, child->delay_ms, child->start_at);
    if (set_state(s, child, JOB_PENDING, CAUSE_NONE, err) < 0 ||
        q_run(s, err, "UPDATE job SET run_at = ? WHERE seq = ?", "ii", run_at, child->seq) < 0)
        return -1;
    return line_up(s, child, run_at, now, err);
}

static int skip(struct sqlite_store *s, const struct job_ref *child, enum job_cause cause,
                int64_t parent, struct ended_list *todo, struct err *err) {
    if (set_state(s, child, JOB_SKIPPED, cause, err) < 0)
        return -1;
    enum ending how = ending(child, JOB_SKIPPED, cause);
    if (q_run(s, err,
              "UPDATE job SET error = (SELECT 'needs ' || coalesce('''' || spec.name || '''',"
              " job.id) || CASE WHEN ?3 AND job.state != 7 THEN ' to fail' ELSE ', which is ' ||"
              " CASE job.state WHEN 5 THEN 'dead' WHEN 6 THEN 'cancelled' ELSE 'skipped' END END"
              " FROM job JOIN spec USING(seq) WHERE seq = ?2) WHERE seq = ?1",
              "iii", child->seq, parent, (int64_t)(cause == CAUSE_NOT_NEEDED)) < 0 ||
        count_run_down(s, child, how, err) < 0)
        return -1;
    push(todo, child->seq, how);
    return 0;
}

static int settle_child(struct sqlite_store *s, const struct ended *parent, int64_t seq,
                        enum job_on on, struct ended_list *todo, struct err *err) {
    struct job_ref child;
    int rc = job_ref_get(s, seq, &child, err);
    if (rc <= 0 || child.state != JOB_WAITING)
        return rc < 0 ? -1 : 0;
    switch (verdicts[on][parent->how]) {
    case SKIP_FAILED:
        return skip(s, &child, CAUSE_DEPENDENCY, parent->seq, todo, err);
    case SKIP_NOT_NEEDED:
        return skip(s, &child, CAUSE_NOT_NEEDED, parent->seq, todo, err);
    default:
        return release(s, &child, err);
    }
}

/* The children of one ended job: read whole before any of them changes, since the query is shared.
 * Once each: a job that is retried ends again, and must not release anybody twice. */
static int settle_children(struct sqlite_store *s, const struct ended *parent,
                           struct ended_list *todo, struct err *err) {
    struct buf children = {0};
    sqlite3_stmt *st = q_open(
        s, err, "SELECT child, cond FROM dep WHERE parent = ? AND settled = 0", "i", parent->seq);
    int rc = st ? 0 : -1;
    while (st && (rc = q_row(s, st, err)) > 0) {
        int64_t pair[2] = {sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1)};
        buf_add(&children, pair, sizeof(pair));
    }
    if (rc == 0 && children.len)
        rc = q_run(s, err, "UPDATE dep SET settled = 1 WHERE parent = ? AND settled = 0", "i",
                   parent->seq) < 0
                 ? -1
                 : 0;
    for (size_t at = 0; rc == 0 && at < children.len; at += 2 * sizeof(int64_t)) {
        int64_t pair[2];
        memcpy(pair, children.data + at, sizeof(pair));
        enum job_on on = pair[1] >= 0 && pair[1] < JOB_ONS ? (enum job_on)pair[1] : ON_SUCCESS;
        rc = settle_child(s, parent, pair[0], on, todo, err);
    }
    buf_free(&children);
    return rc;
}

/* Whoever waits for one of the list, which is freed. It grows on the way, instead of recursion: a
 * chain of any length may be skipped at once. */
static int settle_all(struct sqlite_store *s, struct ended_list *todo, struct err *err) {
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < todo->len; i++) {
        struct ended parent = todo->items[i];
        rc = settle_children(s, &parent, todo, err);
    }
    free(todo->items);
    return rc;
}

static int settle(struct sqlite_store *s, int64_t seq, enum ending how, struct err *err) {
    struct ended_list todo = {0};
    push(&todo, seq, how);
    return settle_all(s, &todo, err);
}

int settle_if_final(struct sqlite_store *s, int64_t seq, struct err *err) {
    struct job_ref j;
    int rc = job_ref_get(s, seq, &j, err);
    if (rc == 0)
        return err_set(err, ERR_NOT_FOUND, "no job number %lld to wait for", (long long)seq);
    if (rc < 0)
        return -1;
    return job_is_final(j.state) ? settle(s, seq, ending(&j, j.state, j.cause), err) : 0;
}

/* ---- runs ---- */

void seqs_add(struct seqs *l, int64_t seq) {
    if (l->len == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 16;
        l->items = xrealloc(l->items, l->cap * sizeof(*l->items));
    }
    l->items[l->len++] = seq;
}

int run_ref_get(struct sqlite_store *s, int64_t run, struct run_ref *out, struct err *err) {
    sqlite3_stmt *st = q_open(s, err,
                              "SELECT fail_fast, halted, detached, cancelled,"
                              " last_seq >= first_seq, left FROM run WHERE id = ?",
                              "i", run);
    int rc = st ? q_row(s, st, err) : -1;
    if (rc <= 0)
        return rc;
    *out = (struct run_ref){
        .fail_fast = sqlite3_column_int(st, 0),
        .halted = sqlite3_column_int64(st, 1),
        .detached = sqlite3_column_int(st, 2),
        .cancelled = sqlite3_column_int(st, 3),
        .has_jobs = sqlite3_column_int(st, 4),
        .left = sqlite3_column_int64(st, 5),
    };
    q_end(st);
    return 1;
}

int run_jobs(struct sqlite_store *s, int64_t run, unsigned states, struct seqs *out,
             struct err *err) {
    sqlite3_stmt *st =
        q_open(s, err,
               "SELECT j.seq FROM run r JOIN job j ON j.seq BETWEEN r.first_seq AND r.last_seq"
               " WHERE r.id = ?1 AND j.run = ?1 AND (?2 >> j.state) & 1"
               " UNION ALL SELECT j.seq FROM run_job a JOIN job j USING(seq)"
               " WHERE a.run = ?1 AND (?2 >> j.state) & 1 ORDER BY 1",
               "ii", run, (int64_t)states);
    int rc = st ? 0 : -1;
    while (st && (rc = q_row(s, st, err)) > 0)
        seqs_add(out, sqlite3_column_int64(st, 0));
    return rc;
}

int outlives_halt(struct sqlite_store *s, int64_t seq, struct err *err) {
    int64_t one = 0;
    return q_int(s, err, &one, "SELECT 1 FROM dep WHERE child = ? AND cond != 0 LIMIT 1", "i", seq);
}

int note_halt(struct sqlite_store *s, const struct job_ref *j, struct err *err) {
    return q_run(s, err,
                 "UPDATE job SET error = (SELECT 'not started after the failure of '"
                 " || coalesce('''' || spec.name || '''', p.id) || ' (fail_fast)'"
                 " FROM run JOIN job p ON p.seq = run.halted JOIN spec ON spec.seq = p.seq"
                 " WHERE run.id = ?2) WHERE seq = ?1",
                 "ii", j->seq, j->run) < 0
               ? -1
               : 0;
}

static int end_one(struct sqlite_store *s, int64_t seq, enum job_state to, enum job_cause cause,
                   struct ended_list *todo, struct err *err) {
    struct job_ref j;
    int rc = job_ref_get(s, seq, &j, err);
    if (rc <= 0 || !(UNSTARTED & 1U << j.state))
        return rc < 0 ? -1 : 0;
    if (to == JOB_SKIPPED && j.state == JOB_FAILED) {
        to = JOB_DEAD;
        cause = j.cause;
    }
    enum ending how = ending(&j, to, cause);
    if (leave_line(s, &j, err) < 0 || set_state(s, &j, to, cause, err) < 0 ||
        count_run_down(s, &j, how, err) < 0)
        return -1;
    push(todo, seq, how);
    return cause == CAUSE_FAIL_FAST ? note_halt(s, &j, err) : 0;
}

int end_jobs(struct sqlite_store *s, const struct seqs *list, enum job_state to,
             enum job_cause cause, struct err *err) {
    struct ended_list todo = {0};
    for (size_t i = 0; i < list->len; i++)
        if (end_one(s, list->items[i], to, cause, &todo, err) < 0) {
            free(todo.items);
            return -1;
        }
    return settle_all(s, &todo, err);
}

int halt_jobs(struct sqlite_store *s, const struct seqs *list, struct err *err) {
    struct seqs ending = {0};
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < list->len; i++) {
        rc = outlives_halt(s, list->items[i], err);
        if (rc == 0)
            seqs_add(&ending, list->items[i]);
    }
    if (rc >= 0)
        rc = end_jobs(s, &ending, JOB_SKIPPED, CAUSE_FAIL_FAST, err);
    free(ending.items);
    return rc < 0 ? -1 : 0;
}

/* A job of a run died. */
static int halt_run(struct sqlite_store *s, const struct job_ref *j, struct err *err) {
    struct run_ref run;
    int rc = run_ref_get(s, j->run, &run, err);
    if (rc <= 0 || run.halted || !(run.fail_fast || j->fail_fast))
        return rc < 0 ? -1 : 0;
    struct seqs list = {0};
    rc = q_run(s, err, "UPDATE run SET halted = ? WHERE id = ?", "ii", j->seq, j->run);
    if (rc >= 0)
        rc = run_jobs(s, j->run, UNSTARTED, &list, err);
    if (rc >= 0)
        rc = halt_jobs(s, &list, err);
    free(list.items);
    return rc < 0 ? -1 : 0;
}

int change_state(struct sqlite_store *s, const struct job_ref *j, enum job_state to,
                 enum job_cause cause, struct err *err) {
    int rc = set_state(s, j, to, cause, err);
    if (rc <= 0 || !job_is_final(to))
        return rc;
    enum ending how = ending(j, to, cause);
    if (count_run_down(s, j, how, err) < 0 || settle(s, j->seq, how, err) < 0)
        return -1;
    if (to == JOB_DEAD && j->run && !j->allow_failure && halt_run(s, j, err) < 0)
        return -1;
    return 1;
}
