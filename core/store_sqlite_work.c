/* A worker's side: promote, claim, record, recover. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "decide.h"
#include "pack.h"
#include "store_sqlite_impl.h"

static struct sqlite_store *self(struct store *base) {
    return (struct sqlite_store *)base;
}

/* At most this many jobs become ready in one transaction: a million due at once must not hold the
 * write lock for seconds. */
enum { PROMOTE_MAX = 1000 };

static int promote_one(struct sqlite_store *s, int64_t lane, int64_t run_at, int64_t seq,
                       struct err *err) {
    if (q_run(s, err, "DELETE FROM timed WHERE lane = ? AND run_at = ? AND seq = ?", "iii", lane,
              run_at, seq) < 0)
        return -1;
    return q_run(s, err,
                 "INSERT OR IGNORE INTO ready(lane, rank, seq)"
                 " SELECT lane, -priority, seq FROM job WHERE seq = ? AND state IN (1, 4)",
                 "i", seq) < 0
               ? -1
               : 0;
}

int op_promote(struct store *base, int64_t lane, int64_t now, int64_t *next_due, struct err *err) {
    struct sqlite_store *s = self(base);
    *next_due = 0;
    for (int i = 0; i < PROMOTE_MAX; i++) {
        sqlite3_stmt *st = q_open(
            s, err, "SELECT run_at, seq FROM timed WHERE lane = ? ORDER BY run_at, seq LIMIT 1",
            "i", lane);
        int rc = st ? q_row(s, st, err) : -1;
        if (rc <= 0) {
            *next_due = 0;
            return rc;
        }
        int64_t run_at = sqlite3_column_int64(st, 0), seq = sqlite3_column_int64(st, 1);
        q_end(st);
        *next_due = run_at;
        if (run_at > now)
            return 0;
        if (promote_one(s, lane, run_at, seq, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- values known only now ---- */

static int value_get(struct sqlite_store *s, int64_t parent, const char *key, size_t key_len,
                     struct buf *out, struct err *err) {
    sqlite3_stmt *st =
        q_open(s, err, "SELECT value FROM value WHERE job = ? AND key = CAST(? AS TEXT)", "ib",
               parent, (struct bytes){key, key_len});
    int rc = st ? q_row(s, st, err) : -1;
    if (rc <= 0)
        return rc;
    col_buf(st, 0, out);
    q_end(st);
    return 1;
}

static void missing_value(struct sqlite_store *s, struct job *j, int64_t parent, const char *key,
                          size_t key_len) {
    char *name = NULL;
    sqlite3_stmt *st =
        q_open(s, NULL, "SELECT coalesce(name, id) FROM job JOIN spec USING(seq) WHERE seq = ?",
               "i", parent);
    if (st && q_row(s, st, NULL) > 0) {
        name = col_text(st, 0);
        q_end(st);
    }
    free(j->error);
    j->error =
        xasprintf("output '%.*s' of job '%s' was never set", (int)key_len, key, name ? name : "?");
    free(name);
}

static int fill_entry(struct sqlite_store *s, struct job *j, const char *entry, struct buf *out,
                      struct err *err) {
    long long parent;
    const char *key, *name;
    size_t key_len;
    if (entry[0] != PACK_LATER || pack_later(entry + 1, &parent, &key, &key_len, &name) < 0) {
        buf_add(out, entry, strlen(entry) + 1);
        return 0;
    }
    struct buf value = {0};
    int rc = value_get(s, parent, key, key_len, &value, err);
    if (rc == 0)
        missing_value(s, j, parent, key, key_len);
    buf_printf(out, "%c%s%s", PACK_TEXT, name ? name : "", name ? "=" : "");
    buf_add(out, value.data, value.data ? strnlen(value.data, value.len) : 0);
    buf_add(out, "", 1);
    buf_free(&value);
    return rc < 0 ? -1 : 0;
}

static int fill_list(struct sqlite_store *s, struct job *j, struct buf *list, struct err *err) {
    if (!list->len || !memchr(list->data, PACK_LATER, list->len))
        return 0;
    struct buf out = {0};
    size_t pos = 0;
    int rc = 0;
    const char *entry;
    while (rc == 0 && (entry = pack_next(list->data, list->len, &pos)))
        rc = fill_entry(s, j, entry, &out, err);
    buf_free(list);
    *list = out;
    return rc;
}

/* ---- claim ---- */

static int take(struct sqlite_store *s, const struct claim_query *q, struct job *j,
                struct err *err) {
    int n = q_run(s, err,
                  "UPDATE job SET state = 2, cause = 0, worker = ?2, starts = starts + 1,"
                  " tries = tries + 1, started_at = ?3, updated_at = ?3, cancel = 0, error = NULL"
                  " WHERE seq = ?1 AND state IN (1, 4)",
                  "iii", j->seq, q->worker, q->now);
    if (n <= 0)
        return n;
    count_change(s, j->queue, j->state, -1);
    count_change(s, j->queue, JOB_PROCESSING, +1);
    j->state = JOB_PROCESSING;
    j->worker = q->worker;
    j->starts++;
    j->tries++;
    j->started_at = q->now;
    free(j->error);
    j->error = NULL;
    if (fill_list(s, j, &j->env, err) < 0)
        return -1;
    if (j->kind == JOB_ARGV && fill_list(s, j, &j->command, err) < 0)
        return -1;
    return 1;
}

struct place { /* in the ready table */
    int64_t rank, seq;
};

static int next_places(struct sqlite_store *s, const struct claim_query *q, struct place *out,
                       size_t *n, struct err *err) {
    *n = 0;
    sqlite3_stmt *st =
        q_open(s, err, "SELECT rank, seq FROM ready WHERE lane = ? ORDER BY rank, seq LIMIT ?",
               "ii", q->lane, (int64_t)q->max);
    int rc = st ? 0 : -1;
    while (st && (rc = q_row(s, st, err)) > 0)
        out[(*n)++] = (struct place){sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1)};
    return rc;
}

/* 1 claimed into *j, 0 it could not be, and is out of the line. */
static int claim_one(struct sqlite_store *s, const struct claim_query *q, const struct place *at,
                     struct job *j, struct err *err) {
    if (q_run(s, err, "DELETE FROM ready WHERE lane = ? AND rank = ? AND seq = ?", "iii", q->lane,
              at->rank, at->seq) < 0)
        return -1;
    int rc = j->id ? take(s, q, j, err) : 0;
    if (rc <= 0)
        job_free(j);
    return rc;
}

/* Two deaths already: with the third the job is given up, so it runs alone and no innocent job is
 * counted with it. */
static bool must_be_alone(const struct job *j) {
    return j->deaths >= DEATHS_MAX - 1;
}

int op_claim(struct store *base, const struct claim_query *q, struct job *out, size_t *n,
             bool *alone, struct err *err) {
    struct sqlite_store *s = self(base);
    struct place *places = xcalloc((size_t)q->max, sizeof(*places));
    size_t found = 0;
    *n = 0;
    *alone = false;
    int rc = next_places(s, q, places, &found, err);
    for (size_t i = 0; rc == 0 && i < found; i++) {
        struct job *j = &out[*n];
        if (op_get(base, NULL, places[i].seq, j, err) < 0)
            rc = -1;
        *alone = rc == 0 && must_be_alone(j);
        if (rc < 0 || (*alone && (!q->idle || *n > 0))) {
            job_free(j);
            break;
        }
        int got = claim_one(s, q, &places[i], j, err);
        rc = got < 0 ? -1 : 0;
        *n += got > 0;
        if (*alone)
            break;
    }
    free(places);
    if (rc < 0)
        while (*n)
            job_free(&out[--*n]);
    return rc;
}

/* ---- record ---- */

static int attempt_add(struct sqlite_store *s, const struct job *j, const struct outcome *o,
                       struct err *err) {
    return q_run(s, err,
                 "INSERT INTO attempt(job, token, try_no, worker, started_at, finished_at,"
                 " duration_ms, cause, exit_code, signal, cpu_ms, max_rss_kb, output_total,"
                 " incomplete, error, report, report_note)"
                 " VALUES (?,?,?,(SELECT name FROM worker WHERE id = ?),?,?,?,?,?,?,?,?,?,?,?,?,?)",
                 "iiiiiiiiiiiiiitbt", j->seq, j->starts, (int64_t)j->tries, j->worker,
                 o->started_at, o->finished_at, o->duration_ms, (int64_t)o->cause,
                 (int64_t)o->exit_code, (int64_t)o->signal, o->cpu_ms, o->max_rss_kb,
                 o->output_total, (int64_t)o->incomplete, o->error, o->report, o->report_note);
}

/* 1 found. Where it stands, and whether somebody wants it cancelled. */
static int standing(struct sqlite_store *s, const struct job *j, int64_t *lane, bool *cancel,
                    struct err *err) {
    sqlite3_stmt *st = q_open(s, err, "SELECT lane, cancel FROM job WHERE seq = ?", "i", j->seq);
    int rc = st ? q_row(s, st, err) : -1;
    if (rc <= 0)
        return rc;
    *lane = sqlite3_column_int64(st, 0);
    *cancel = sqlite3_column_int(st, 1);
    q_end(st);
    return 1;
}

/* Where the job would run again, who says that it shall not: somebody who cancelled it, or the
 * halt of its run. What was tried and failed is dead then, and what was handed back is skipped. */
static int hold_back(struct sqlite_store *s, const struct job *j, bool cancel, struct decision *d,
                     enum job_cause *cause, struct err *err) {
    struct run_ref run = {0};
    if (job_is_final(d->state))
        return 0;
    if (cancel) {
        *d = (struct decision){.state = JOB_CANCELLED};
        *cause = CAUSE_CANCELLED;
        return 0;
    }
    if (!j->run)
        return 0;
    int rc = run_ref_get(s, j->run, &run, err);
    if (rc <= 0 || !run.halted)
        return rc < 0 ? -1 : 0;
    rc = outlives_halt(s, j->seq, err);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    bool tried = d->state == JOB_FAILED;
    *d = (struct decision){.state = tried ? JOB_DEAD : JOB_SKIPPED, .keep_try = d->keep_try};
    *cause = tried ? *cause : CAUSE_FAIL_FAST;
    return 0;
}

/* The guarded update of what an attempt leaves in the job, the state excepted. */
static int record_job(struct sqlite_store *s, const struct job *j, const struct outcome *o,
                      const struct decision *d, int64_t run_at, struct err *err) {
    return q_run(s, err,
                 "UPDATE job SET worker = 0, tries = tries - ?4, exit_code = ?5, signal = ?6,"
                 " error = ?7, delay_ms = ?8, run_at = iif(?9, ?10, run_at), cancel = 0,"
                 " deaths = deaths + ?11"
                 " WHERE seq = ?1 AND state = 2 AND starts = ?2 AND worker = ?3",
                 "iiiiiitiiii", j->seq, j->starts, j->worker, (int64_t)d->keep_try,
                 (int64_t)o->exit_code, (int64_t)o->signal, o->error, d->delay_ms,
                 (int64_t)!job_is_final(d->state), run_at,
                 (int64_t)(o->cause == CAUSE_WORKER_LOST));
}

static int forget_artifacts(struct sqlite_store *s, const struct job *j, struct err *err) {
    if (!j->artifacts.len)
        return 0;
    return q_run(s, err, "DELETE FROM artifact WHERE job = ?", "i", j->seq);
}

int op_finish(struct store *base, const struct job *j, const struct outcome *o, struct decision *d,
              struct err *err) {
    struct sqlite_store *s = self(base);
    struct job_ref ref = {.seq = j->seq,
                          .run = j->run,
                          .state = JOB_PROCESSING,
                          .priority = j->priority,
                          .allow_failure = j->allow_failure,
                          .fail_fast = j->fail_fast};
    bool cancel = false;
    enum job_cause cause = o->cause;
    int rc = standing(s, j, &ref.lane, &cancel, err);
    if (rc <= 0)
        return rc;
    if (hold_back(s, j, cancel, d, &cause, err) < 0)
        return -1;
    int64_t now = clock_wall_ms(), run_at = now + d->delay_ms;
    rc = record_job(s, j, o, d, run_at, err);
    if (rc <= 0)
        return rc;
    memcpy(ref.queue, j->queue, strnlen(j->queue, QUEUE_MAX_LEN));
    bool tried = o->cause != CAUSE_NONE && o->cause != CAUSE_EXPIRED;
    if ((tried && attempt_add(s, j, o, err) < 0) ||
        (d->state == JOB_COMPLETED && forget_artifacts(s, j, err) < 0) ||
        change_state(s, &ref, d->state, cause, err) < 0)
        return -1;
    if (cause == CAUSE_FAIL_FAST && note_halt(s, &ref, err) < 0)
        return -1;
    if (!job_is_final(d->state) && line_up(s, &ref, run_at, now, err) < 0)
        return -1;
    return 1;
}

int op_output_add(struct store *base, const struct job *j, const struct chunk *chunks, size_t n,
                  int64_t total, struct err *err) {
    struct sqlite_store *s = self(base);
    for (size_t i = 0; i < n; i++)
        if (q_run(s, err,
                  "INSERT OR IGNORE INTO output(job, token, at_byte, stream, at, data)"
                  " VALUES (?,?,?,?,?,?)",
                  "iiiiib", j->seq, j->starts, chunks[i].offset, (int64_t)chunks[i].stream,
                  chunks[i].at, chunks[i].data) < 0)
            return -1;
    if (total <= OUTPUT_HEAD + OUTPUT_TAIL)
        return 0;
    return q_run(s, err,
                 "DELETE FROM output WHERE job = ? AND token = ? AND at_byte >= ?"
                 " AND at_byte + length(data) <= ?",
                 "iiii", j->seq, j->starts, (int64_t)OUTPUT_HEAD, total - OUTPUT_TAIL) < 0
               ? -1
               : 0;
}

int op_value_set(struct store *base, int64_t seq, const char *key, struct bytes value,
                 struct err *err) {
    return q_run(self(base), err,
                 "INSERT INTO value(job, key, value) VALUES (?, ?, ?)"
                 " ON CONFLICT(job, key) DO UPDATE SET value = excluded.value",
                 "itb", seq, key, value) < 0
               ? -1
               : 0;
}

int op_artifact_set(struct store *base, int64_t seq, const char *path, int64_t size,
                    struct err *err) {
    return q_run(self(base), err,
                 "INSERT INTO artifact(job, path, size) VALUES (?, ?, ?)"
                 " ON CONFLICT(job, path) DO UPDATE SET size = excluded.size",
                 "iti", seq, path, size) < 0
               ? -1
               : 0;
}

/* ---- recover ---- */

static int recover_one(struct store *base, struct job *j, int64_t now, struct err *err) {
    char *why =
        xasprintf("the worker died while this ran (%d of %d times)", j->deaths + 1, DEATHS_MAX);
    struct outcome o = {.cause = CAUSE_WORKER_LOST,
                        .exit_code = -1,
                        .signal = -1,
                        .started_at = j->started_at,
                        .finished_at = now,
                        .duration_ms = now > j->started_at ? now - j->started_at : 0,
                        .error = why};
    if (j->cancel)
        o.cause = CAUSE_CANCELLED;
    struct decision d = decide(j, &o, 0, now, 0);
    int rc = op_finish(base, j, &o, &d, err);
    free(why);
    return rc < 0 ? -1 : 0;
}

int op_recover(struct store *base, int64_t worker, int64_t now, size_t *n, struct err *err) {
    struct sqlite_store *s = self(base);
    *n = 0;
    for (;;) {
        int64_t seq = 0;
        int rc = q_int(s, err, &seq,
                       "SELECT seq FROM job WHERE state = 2 AND worker = ? ORDER BY seq LIMIT 1",
                       "i", worker);
        if (rc < 0)
            return -1;
        if (rc == 0)
            break;
        struct job j = {0};
        rc = op_get(base, NULL, seq, &j, err);
        if (rc > 0)
            rc = recover_one(base, &j, now, err);
        job_free(&j);
        if (rc < 0)
            return -1;
        (*n)++;
    }
    return remove_worker(self(base), worker, err);
}

int op_has_work(struct store *base, int64_t lane, struct err *err) {
    int64_t one = 0;
    return q_int(self(base), err, &one,
                 "SELECT 1 WHERE EXISTS (SELECT 1 FROM ready WHERE lane = ?1)"
                 " OR EXISTS (SELECT 1 FROM job WHERE state = 4 AND lane = ?1)"
                 " OR EXISTS (SELECT 1 FROM job WHERE state = 2 AND lane = ?1)"
                 " OR EXISTS (SELECT 1 FROM timed t JOIN job USING(seq)"
                 "   WHERE t.lane = ?1 AND state = 1 AND starts > 0)",
                 "i", lane);
}
