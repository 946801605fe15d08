/* Inside of the SQLite backend: shared by its files, included by nothing else. */
#ifndef QUEUECTL_STORE_SQLITE_IMPL_H
#define QUEUECTL_STORE_SQLITE_IMPL_H

#include <sqlite3.h>

#include "store_sqlite.h"

enum { STATEMENT_SLOTS = 256, SCHEMA_VERSION = 2, APPLICATION_ID = 0x51435431 /* "QCT1" */ };

/* spec.wants_when: what has become of the job's `when`. */
enum { WHEN_NONE = 0, WHEN_TO_ASK = 1, WHEN_AGREED = 2 };

/* Changes of the counters in this transaction: written once, at its commit. */
struct counter_delta {
    char queue[QUEUE_MAX_LEN + 1];
    int64_t by_state[JOB_STATES];
};

struct sqlite_store {
    struct store base; /* first: a struct store is one of these */
    sqlite3 *db;
    char *path, *side_dir, *bell;
    unsigned flags;
    bool broken; /* an I/O error: the outcome of a commit is not known, nothing more is written */
    struct statement {
        const char *sql; /* the literal's address is the key */
        sqlite3_stmt *stmt;
    } statements[STATEMENT_SLOTS];
    struct counter_delta *deltas;
    size_t deltas_len;
    int64_t data_version;
    int notify_fd, wal_wd, bell_wd, dir_wd;
};

/* --- queries (store_sqlite_query.c). `fmt` names what follows: i int64_t, t text or NULL, b struct
 * bytes or NULL, d double. Statements are prepared once per connection; sql must be a literal. ---
 */

/* Run to the end: number of rows changed, or -1. */
int q_run(struct sqlite_store *s, struct err *err, const char *sql, const char *fmt, ...);
/* Begin a query: rows by q_row until it returns 0 or -1 (both end it), or q_end. NULL on error. */
sqlite3_stmt *q_open(struct sqlite_store *s, struct err *err, const char *sql, const char *fmt,
                     ...);
int q_row(struct sqlite_store *s, sqlite3_stmt *st, struct err *err);
void q_end(sqlite3_stmt *st);
/* One integer: 1 found, 0 no row, -1. */
int q_int(struct sqlite_store *s, struct err *err, int64_t *out, const char *sql, const char *fmt,
          ...);
int q_fail(struct sqlite_store *s, struct err *err, int rc);
char *col_text(sqlite3_stmt *st, int col); /* copy, NULL stays NULL */
void col_buf(sqlite3_stmt *st, int col, struct buf *out);

/* Whether statements wait for the write lock, or fail at once. */
void wait_for_lock(struct sqlite_store *s, bool wait);

/* --- store_sqlite.c --- */
void count_change(struct sqlite_store *s, const char *queue, enum job_state state, int64_t by);

/* --- store_sqlite_schema.c --- */
int schema_ready(struct sqlite_store *s, struct err *err);

/* --- store_sqlite_notify.c --- */
int op_notify_fd(struct store *base);
unsigned op_notify_drain(struct store *base);
int op_changed(struct store *base);
void op_ring(struct store *base);

/* --- store_sqlite_checkpoint.c --- */
void op_checkpoint(struct store *base, int64_t min_bytes);

/* --- store_sqlite_state.c: where every transition goes through --- */
struct job_ref { /* what a transition needs to know of a job */
    int64_t seq, lane, run, delay_ms, start_at;
    enum job_state state;
    enum job_cause cause; /* only from job_ref_get */
    int32_t priority;
    bool allow_failure, fail_fast;
    char queue[QUEUE_MAX_LEN + 1];
};
/* States of jobs nobody works on that are not final, as bits. */
enum { UNSTARTED = 1 << JOB_WAITING | 1 << JOB_PENDING | 1 << JOB_FAILED | 1 << JOB_HELD };
/* 1 found, 0 not. */
int job_ref_get(struct sqlite_store *s, int64_t seq, struct job_ref *out, struct err *err);
/* Put into the ready table, or into the time index when run_at is later than now. */
int line_up(struct sqlite_store *s, const struct job_ref *j, int64_t run_at, int64_t now,
            struct err *err);
int leave_line(struct sqlite_store *s, const struct job_ref *j, struct err *err);
/* When a job that becomes ready now may start. */
int64_t first_start(int64_t now, int64_t delay_ms, int64_t start_at);
/* Whether a final job is a failure to those that need it, and to its run. */
bool ended_badly(const struct job_ref *j);
/* The guarded update alone: 1 done, 0 the job is not in j->state any more. */
int set_state(struct sqlite_store *s, const struct job_ref *j, enum job_state to,
              enum job_cause cause, struct err *err);
/* Guarded change of state with its counters; 1 done, 0 the job is not in j->state any more. A final
 * state releases or skips dependants and counts the run down; a death may halt it. */
int change_state(struct sqlite_store *s, const struct job_ref *j, enum job_state to,
                 enum job_cause cause, struct err *err);

/* What a run is to its jobs. */
struct run_ref {
    bool fail_fast, halted, detached, cancelled;
    bool has_jobs;
    int64_t left;
};
/* 1 found, 0 not. */
int run_ref_get(struct sqlite_store *s, int64_t run, struct run_ref *out, struct err *err);
/* A list of seqs: {0} is empty, free(items) at its end. */
struct seqs {
    int64_t *items;
    size_t len, cap;
};
void seqs_add(struct seqs *l, int64_t seq);
/* The run's jobs in these states (bits 1 << state), in order of definition. */
int run_jobs(struct sqlite_store *s, int64_t run, unsigned states, struct seqs *out,
             struct err *err);
/* End jobs that are waiting or in line: all of them first, and only then whoever waits for one. Of
 * those whose try failed and was to be repeated, `skipped` makes dead ones. */
int end_jobs(struct sqlite_store *s, const struct seqs *list, enum job_state to,
             enum job_cause cause, struct err *err);
/* Whether the job may go on although its run is halted: it is there for what goes wrong. 1, 0. */
int outlives_halt(struct sqlite_store *s, int64_t seq, struct err *err);
/* The unstarted jobs of the list end as their run is halted. */
int halt_jobs(struct sqlite_store *s, const struct seqs *list, struct err *err);
/* Its error says which failure keeps it from starting. */
int note_halt(struct sqlite_store *s, const struct job_ref *j, struct err *err);

/* A new dependant of a job that may have ended before: release or skip it then. */
int settle_if_final(struct sqlite_store *s, int64_t seq, struct err *err);

/* --- store_sqlite_read.c --- */
int op_get(struct store *base, const char *id, int64_t seq, struct job *out, struct err *err);
int op_list(struct store *base, const struct list_query *q, struct job *out, size_t *n,
            struct list_cursor *next, struct err *err);
int op_counts(struct store *base, int64_t counts[JOB_STATES], struct err *err);
int op_attempts(struct store *base, int64_t seq, struct attempt **out, size_t *n, struct err *err);
int op_output_next(struct store *base, int64_t seq, int64_t token, struct chunk *out,
                   struct err *err);
int op_values(struct store *base, int64_t seq, struct buf *out, struct err *err);
int op_artifacts(struct store *base, int64_t seq, struct buf *out, struct err *err);
int op_needs(struct store *base, int64_t seq, struct buf *out, struct err *err);

/* --- store_sqlite_enqueue.c --- */
int op_enqueue(struct store *base, int64_t run, const struct job_spec *specs, size_t n,
               struct enqueued *out, struct err *err);
/* New or instead of what was there. `done` numbers the parents of PACK_LATER entries; without it
 * they are seqs already. */
int write_spec(struct sqlite_store *s, const struct job_spec *j, const struct enqueued *done,
               int64_t seq, struct err *err);

/* --- store_sqlite_revive.c --- */
int op_retry(struct store *base, const char *id, bool again, enum job_state *before,
             struct err *err);
int op_revive(struct store *base, int64_t run, size_t *n, struct err *err);

/* --- store_sqlite_orders.c --- */
/* 1 found, 0 not. */
int find_job(struct sqlite_store *s, const char *id, struct job_ref *out, struct err *err);
int op_cancel(struct store *base, const char *id, enum job_state *after, struct err *err);
int op_redefine(struct store *base, const char *id, const struct job_spec *spec, struct err *err);
int op_move_run(struct store *base, int64_t run, bool detached, struct err *err);
int op_cancel_run(struct store *base, int64_t run, size_t *n, size_t *running, struct err *err);

/* --- store_sqlite_work.c --- */
int op_promote(struct store *base, int64_t lane, int64_t now, int64_t *next_due, struct err *err);
int op_claim(struct store *base, const struct claim_query *q, struct job *out, size_t *n,
             bool *alone, struct err *err);
int op_finish(struct store *base, const struct job *j, const struct outcome *o, struct decision *d,
              struct err *err);
int op_output_add(struct store *base, const struct job *j, const struct chunk *chunks, size_t n,
                  int64_t total, struct err *err);
int op_value_set(struct store *base, int64_t seq, const char *key, struct bytes value,
                 struct err *err);
int op_artifact_set(struct store *base, int64_t seq, const char *path, int64_t size,
                    struct err *err);
int op_recover(struct store *base, int64_t worker, int64_t now, size_t *n, struct err *err);
int op_has_work(struct store *base, int64_t lane, struct err *err);

/* --- store_sqlite_runs.c --- */
int op_source_add(struct store *base, const char *hash, struct bytes text, struct err *err);
int op_source(struct store *base, const char *hash, struct buf *out, struct err *err);
int op_run_create(struct store *base, const struct run_spec *spec, int64_t *id, struct err *err);
int op_run_attach(struct store *base, int64_t run, int64_t worker, struct err *err);
int op_run_get(struct store *base, int64_t id, const char *path, struct run *out, struct err *err);
int op_runs(struct store *base, const struct run_query *q, struct run *out, size_t *n,
            int64_t *next, struct err *err);
int op_run_left(struct store *base, int64_t run, int64_t *left, bool *halted, struct err *err);
int op_run_times(struct store *base, int64_t run, struct buf *out, struct err *err);
int op_worker_add(struct store *base, const struct worker_spec *spec, int64_t *id, struct err *err);
int remove_worker(struct sqlite_store *s, int64_t id, struct err *err);
int op_worker_beat(struct store *base, int64_t id, struct err *err);
int op_worker_stop(struct store *base, int64_t id, enum worker_stop how, struct err *err);
int op_workers(struct store *base, struct worker_info **out, size_t *n, struct err *err);
int op_orders(struct store *base, int64_t worker, struct orders *orders, struct err *err);

#endif
