/* Questions: nothing here writes. */
#include <stdlib.h>
#include <string.h>

#include "store_sqlite_impl.h"

static struct sqlite_store *self(struct store *base) {
    return (struct sqlite_store *)base;
}

/* A macro, because a query's text must be one literal: its address is the key of its statement. */
#define JOB_COLUMNS                                                                                \
    "j.seq, j.id, j.queue, j.grp, j.run, j.state, j.cause, j.priority, j.tries, j.starts,"         \
    " j.deaths, j.waits, j.cancel, j.run_at, j.created_at, j.updated_at, j.started_at,"            \
    " j.finished_at, j.delay_ms, j.worker, j.exit_code, j.signal, j.error, p.name, p.kind,"        \
    " p.command, p.env, p.cwd, p.stdin, p.stdin_path, p.retries, p.timeout_ms, p.kill_after_ms,"   \
    " p.backoff, p.ok_codes, p.allow_failure, p.outputs, p.description, p.tags, p.meta,"           \
    " coalesce(p.source, (SELECT source FROM run WHERE run.id = j.run)), p.start_at,"              \
    " p.max_age_ms, p.wants_when, p.fail_fast, p.artifacts, p.limits, j.retried_at"
enum { JOB_COLUMNS_LEN = 48 };
#define JOB_FROM " FROM job j JOIN spec p USING(seq) "

static void read_job_row(sqlite3_stmt *st, struct job *j) {
    j->seq = sqlite3_column_int64(st, 0);
    j->id = col_text(st, 1);
    j->queue = col_text(st, 2);
    j->group = col_text(st, 3);
    j->run = sqlite3_column_int64(st, 4);
    j->state = (enum job_state)sqlite3_column_int(st, 5);
    j->cause = (enum job_cause)sqlite3_column_int(st, 6);
    j->priority = sqlite3_column_int(st, 7);
    j->tries = sqlite3_column_int(st, 8);
    j->starts = sqlite3_column_int64(st, 9);
    j->deaths = sqlite3_column_int(st, 10);
    j->waits = sqlite3_column_int(st, 11);
    j->cancel = sqlite3_column_int(st, 12);
    j->run_at = sqlite3_column_int64(st, 13);
    j->created_at = sqlite3_column_int64(st, 14);
    j->updated_at = sqlite3_column_int64(st, 15);
    j->started_at = sqlite3_column_int64(st, 16);
    j->finished_at = sqlite3_column_int64(st, 17);
    j->delay_ms = sqlite3_column_int64(st, 18);
    j->worker = sqlite3_column_int64(st, 19);
    j->exit_code = sqlite3_column_int(st, 20);
    j->signal = sqlite3_column_int(st, 21);
    j->error = col_text(st, 22);
    j->retried_at = sqlite3_column_int64(st, JOB_COLUMNS_LEN - 1);
}

static void read_spec_row(sqlite3_stmt *st, struct job *j) {
    j->name = col_text(st, 23);
    j->kind = (enum job_kind)sqlite3_column_int(st, 24);
    col_buf(st, 25, &j->command);
    col_buf(st, 26, &j->env);
    j->cwd = col_text(st, 27);
    if (sqlite3_column_type(st, 28) != SQLITE_NULL)
        buf_add(&j->stdin_text, "", 0);
    col_buf(st, 28, &j->stdin_text);
    j->stdin_path = col_text(st, 29);
    j->retries = sqlite3_column_int(st, 30);
    j->timeout_ms = sqlite3_column_int64(st, 31);
    j->kill_after_ms = sqlite3_column_int64(st, 32);
    j->backoff = col_text(st, 33);
    col_buf(st, 34, &j->ok_codes);
    j->allow_failure = sqlite3_column_int(st, 35);
    col_buf(st, 36, &j->outputs);
    j->description = col_text(st, 37);
    j->tags = col_text(st, 38);
    j->meta = col_text(st, 39);
    j->source = col_text(st, 40);
    j->start_at = sqlite3_column_int64(st, 41);
    j->max_age_ms = sqlite3_column_int64(st, 42);
    j->when = sqlite3_column_int(st, 43) != WHEN_NONE;
    j->agreed = sqlite3_column_int(st, 43) == WHEN_AGREED;
    j->fail_fast = sqlite3_column_int(st, 44);
    col_buf(st, 45, &j->artifacts);
    j->limits = col_text(st, 46);
}

static void read_job(sqlite3_stmt *st, struct job *out) {
    *out = (struct job){0};
    read_job_row(st, out);
    read_spec_row(st, out);
}

int op_get(struct store *base, const char *id, int64_t seq, struct job *out, struct err *err) {
    struct sqlite_store *s = self(base);
    *out = (struct job){0};
    sqlite3_stmt *st =
        id ? q_open(s, err, "SELECT " JOB_COLUMNS JOB_FROM "WHERE j.id = ?", "t", id)
           : q_open(s, err, "SELECT " JOB_COLUMNS JOB_FROM "WHERE j.seq = ?", "i", seq);
    int rc = st ? q_row(s, st, err) : -1;
    if (rc > 0) {
        read_job(st, out);
        q_end(st);
    }
    return rc;
}

/* ---- lists: pages by key, so that page 1,000 costs what page 1 costs ---- */

/* Parts of a list, in their order. */
enum { FROM_THE_START, BY_SEQ, IN_READY, IN_TIMED };

struct page {
    struct sqlite_store *s;
    const struct list_query *q;
    struct job *out;
    size_t *n;
    struct list_cursor *next;
    struct err *err;
};

static int64_t room(const struct page *p) {
    return p->q->limit - (int64_t)*p->n;
}

/* Reads the rows of one part. Their last columns are where they stand in it; the last one of a full
 * page is the cursor. */
static int collect(const struct page *p, int part, sqlite3_stmt *st) {
    int rc = st ? 0 : -1;
    while (st && (rc = q_row(p->s, st, p->err)) > 0) {
        struct job *j = &p->out[(*p->n)++];
        read_job(st, j);
        if (!room(p))
            *p->next = (struct list_cursor){part, sqlite3_column_int64(st, JOB_COLUMNS_LEN),
                                            sqlite3_column_int64(st, JOB_COLUMNS_LEN + 1), j->seq};
    }
    return rc;
}

/* Pending and failed jobs stand in the ready table and in the time index, the order in which they
 * will run. */
static int list_in_line(const struct page *p) {
    const struct list_query *q = p->q;
    const struct list_cursor top = {0, INT64_MIN, INT64_MIN, INT64_MIN};
    struct list_cursor c = q->after.part == IN_READY ? q->after : top;
    int64_t state = q->state;
    if (q->after.part != IN_TIMED &&
        collect(p, IN_READY,
                q_open(p->s, p->err,
                       "SELECT " JOB_COLUMNS ", r.lane, r.rank"
                       " FROM ready r JOIN job j USING(seq) JOIN spec p USING(seq)"
                       " WHERE j.state = ? AND (r.lane, r.rank, r.seq) > (?, ?, ?)"
                       " ORDER BY r.lane, r.rank, r.seq LIMIT ?",
                       "iiiii", state, c.lane, c.at, c.seq, room(p))) < 0)
        return -1;
    if (!room(p))
        return 0;
    c = q->after.part == IN_TIMED ? q->after : top;
    return collect(p, IN_TIMED,
                   q_open(p->s, p->err,
                          "SELECT " JOB_COLUMNS ", t.lane, t.run_at"
                          " FROM timed t JOIN job j USING(seq) JOIN spec p USING(seq)"
                          " WHERE j.state = ? AND (t.lane, t.run_at, t.seq) > (?, ?, ?)"
                          " ORDER BY t.lane, t.run_at, t.seq LIMIT ?",
                          "iiiii", state, c.lane, c.at, c.seq, room(p)));
}

/* Its own jobs, then those added to it: these have later seqs. */
static int list_run(const struct page *p) {
    const struct list_query *q = p->q;
    int64_t state = q->state;
    if (collect(p, BY_SEQ,
                q_open(p->s, p->err,
                       "SELECT " JOB_COLUMNS ", 0, 0" JOB_FROM
                       "WHERE j.seq > max(?2, (SELECT first_seq - 1 FROM run WHERE id = ?1))"
                       " AND j.seq <= (SELECT last_seq FROM run WHERE id = ?1)"
                       " AND (?3 < 0 OR j.state = ?3) ORDER BY j.seq LIMIT ?4",
                       "iiii", q->run, q->after.seq, state, room(p))) < 0)
        return -1;
    if (!room(p))
        return 0;
    return collect(p, BY_SEQ,
                   q_open(p->s, p->err,
                          "SELECT " JOB_COLUMNS ", 0, 0 FROM run_job a"
                          " JOIN job j USING(seq) JOIN spec p USING(seq)"
                          " WHERE a.run = ?1 AND a.seq > ?2 AND (?3 < 0 OR j.state = ?3)"
                          " ORDER BY a.seq LIMIT ?4",
                          "iiii", q->run, q->after.seq, state, room(p)));
}

static sqlite3_stmt *newest(struct sqlite_store *s, const struct list_query *q, struct err *err) {
    int64_t before = q->after.part ? q->after.seq : INT64_MAX, limit = q->limit;
    if (q->state < 0)
        return q_open(s, err,
                      "SELECT " JOB_COLUMNS ", 0, 0" JOB_FROM
                      "WHERE j.seq < ? ORDER BY j.seq DESC LIMIT ?",
                      "ii", before, limit);
    if (q->state == JOB_PROCESSING)
        return q_open(s, err,
                      "SELECT " JOB_COLUMNS ", 0, 0" JOB_FROM
                      "WHERE j.state = 2 AND j.seq < ? ORDER BY j.seq DESC LIMIT ?",
                      "ii", before, limit);
    return q_open(s, err,
                  "SELECT " JOB_COLUMNS ", 0, 0" JOB_FROM
                  "WHERE j.state = ? AND j.state NOT IN (1, 2) AND j.seq < ?"
                  " ORDER BY j.seq DESC LIMIT ?",
                  "iii", (int64_t)q->state, before, limit);
}

int op_list(struct store *base, const struct list_query *q, struct job *out, size_t *n,
            struct list_cursor *next, struct err *err) {
    struct page p = {self(base), q, out, n, next, err};
    bool in_line = q->state == JOB_PENDING || q->state == JOB_FAILED;
    int rc;
    *n = 0;
    *next = (struct list_cursor){0};
    if (q->run)
        rc = list_run(&p);
    else if (in_line)
        rc = list_in_line(&p);
    else
        rc = collect(&p, BY_SEQ, newest(p.s, q, err));
    if (rc < 0)
        while (*n)
            job_free(&out[--*n]);
    return rc;
}

int op_counts(struct store *base, int64_t counts[JOB_STATES], struct err *err) {
    struct sqlite_store *s = self(base);
    memset(counts, 0, JOB_STATES * sizeof(*counts));
    sqlite3_stmt *st = q_open(s, err, "SELECT state, sum(n) FROM counter GROUP BY state", "");
    int rc = st ? 0 : -1;
    while (st && (rc = q_row(s, st, err)) > 0) {
        int state = sqlite3_column_int(st, 0);
        if (state >= 0 && state < JOB_STATES)
            counts[state] = sqlite3_column_int64(st, 1);
    }
    return rc;
}

static struct attempt read_attempt(sqlite3_stmt *st) {
    struct attempt a = {
        .token = sqlite3_column_int64(st, 0),
        .try_no = sqlite3_column_int(st, 1),
        .worker_name = col_text(st, 2),
        .error = col_text(st, 13),
        .report_note = col_text(st, 15),
        .class = col_text(st, 16),
        .outcome = {.started_at = sqlite3_column_int64(st, 3),
                    .finished_at = sqlite3_column_int64(st, 4),
                    .duration_ms = sqlite3_column_int64(st, 5),
                    .cause = (enum job_cause)sqlite3_column_int(st, 6),
                    .exit_code = sqlite3_column_int(st, 7),
                    .signal = sqlite3_column_int(st, 8),
                    .cpu_ms = sqlite3_column_int64(st, 9),
                    .max_rss_kb = sqlite3_column_int64(st, 10),
                    .output_total = sqlite3_column_int64(st, 11),
                    .incomplete = sqlite3_column_int(st, 12)},
    };
    col_buf(st, 14, &a.report);
    a.outcome.error = a.error;
    a.outcome.report = (struct bytes){a.report.data, a.report.len};
    a.outcome.report_note = a.report_note;
    a.outcome.class = a.class;
    return a;
}

int op_attempts(struct store *base, int64_t seq, struct attempt **out, size_t *n, struct err *err) {
    struct sqlite_store *s = self(base);
    struct attempt *list = NULL;
    *n = 0;
    sqlite3_stmt *st = q_open(
        s, err,
        "SELECT token, try_no, worker, started_at, finished_at, duration_ms,"
        " cause, exit_code, signal, cpu_ms, max_rss_kb, output_total,"
        " incomplete, error, report, report_note, class FROM attempt WHERE job = ? ORDER BY token",
        "i", seq);
    int rc = st ? 0 : -1;
    while (st && (rc = q_row(s, st, err)) > 0) {
        list = xrealloc(list, (*n + 1) * sizeof(*list));
        list[(*n)++] = read_attempt(st);
    }
    *out = list;
    return rc;
}

int op_output_next(struct store *base, int64_t seq, int64_t token, struct chunk *out,
                   struct err *err) {
    struct sqlite_store *s = self(base);
    sqlite3_stmt *st =
        q_open(s, err,
               "SELECT at_byte, stream, at, data FROM output"
               " WHERE job = ? AND token = ? AND at_byte >= ? ORDER BY at_byte LIMIT 1",
               "iii", seq, token, out->offset);
    int rc = st ? q_row(s, st, err) : -1;
    if (rc <= 0)
        return rc;
    size_t len = (size_t)sqlite3_column_bytes(st, 3);
    *out = (struct chunk){.offset = sqlite3_column_int64(st, 0),
                          .stream = sqlite3_column_int(st, 1),
                          .at = sqlite3_column_int64(st, 2),
                          .data = {col_text(st, 3), len}};
    q_end(st);
    return 1;
}

int op_values(struct store *base, int64_t seq, struct buf *out, struct err *err) {
    struct sqlite_store *s = self(base);
    sqlite3_stmt *st = q_open(
        s, err, "SELECT '=' || key || '=', value FROM value WHERE job = ? ORDER BY key", "i", seq);
    int rc = st ? 0 : -1;
    while (st && (rc = q_row(s, st, err)) > 0) {
        col_buf(st, 0, out);
        col_buf(st, 1, out);
        buf_add(out, "", 1);
    }
    return rc;
}

int op_artifacts(struct store *base, int64_t seq, struct buf *out, struct err *err) {
    struct sqlite_store *s = self(base);
    sqlite3_stmt *st = q_open(
        s, err, "SELECT '=' || size || ' ' || path FROM artifact WHERE job = ? ORDER BY path", "i",
        seq);
    int rc = st ? 0 : -1;
    while (st && (rc = q_row(s, st, err)) > 0) {
        col_buf(st, 0, out);
        buf_add(out, "", 1);
    }
    return rc;
}

/* ---- what a job needs ---- */

static void add_entry(struct buf *out, const char *key, const void *value, size_t len) {
    buf_printf(out, "=%s=", key);
    buf_add(out, value, value ? strnlen(value, len) : 0); /* a NUL would end the entry */
    buf_add(out, "", 1);
}

static void add_column(struct buf *out, const char *key, sqlite3_stmt *st, int col) {
    const void *value = sqlite3_column_blob(st, col);
    add_entry(out, key, value, (size_t)sqlite3_column_bytes(st, col));
}

static void add_output(struct buf *out, sqlite3_stmt *st) {
    struct buf pair = {0};
    col_buf(st, 4, &pair);
    buf_add(&pair, "=", 1);
    col_buf(st, 5, &pair);
    add_entry(out, "output", pair.data, pair.len);
    buf_free(&pair);
}

int op_needs(struct store *base, int64_t seq, struct buf *out, struct err *err) {
    struct sqlite_store *s = self(base);
    int64_t last = 0;
    sqlite3_stmt *st =
        q_open(s, err,
               "SELECT coalesce(p.name, j.id), j.state, j.error, j.seq, v.key, v.value FROM dep d"
               " JOIN job j ON j.seq = d.parent JOIN spec p ON p.seq = d.parent"
               " LEFT JOIN value v ON v.job = d.parent"
               " WHERE d.child = ? ORDER BY d.parent, v.key",
               "i", seq);
    int rc = st ? 0 : -1;
    while (st && (rc = q_row(s, st, err)) > 0) {
        if (sqlite3_column_int64(st, 3) != last) {
            const char *state = job_state_names[sqlite3_column_int(st, 1) % JOB_STATES];
            add_column(out, "need", st, 0);
            add_entry(out, "state", state, strlen(state));
            if (sqlite3_column_type(st, 2) != SQLITE_NULL)
                add_column(out, "error", st, 2);
            last = sqlite3_column_int64(st, 3);
        }
        if (sqlite3_column_type(st, 4) != SQLITE_NULL)
            add_output(out, st);
    }
    return rc;
}
