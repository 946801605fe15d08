/* The storage interface, at the level of jobs. One table of operations per backend; callers never
 * see SQL. Every change of state is one guarded update (id, state and token must match), checked
 * against job_may_change.
 *
 * Conventions of all operations: 0 done, -1 failed with err filled; those that may meet "nothing"
 * return 1 done / 0 nothing / -1. Arguments are borrowed for the call. Times are wall ms.
 * Operations marked [tx] need an open transaction (begin … commit); their effects, counters and
 * dependants included, appear together or not at all. After -1 inside one, roll back. */
#ifndef QUEUECTL_STORE_H
#define QUEUECTL_STORE_H

#include "job.h"

struct store {
    const struct store_ops *ops;
};

enum store_flags {
    STORE_CREATE = 1, /* make the store if it is not there */
    STORE_WAIT = 2,   /* begin waits up to 5 s for the write lock (commands); without it, it fails
                       * at once with ERR_BUSY (workers, which retry from a timer) */
};

struct enqueued {
    int64_t seq;
    bool existed; /* a job of this id and these settings was there: nothing added */
    enum job_state state;
    int64_t run_at;
    char id[129];
};

struct run_spec {
    const char *path; /* real path of the jobs file */
    const char *hash; /* of the text */
    struct bytes text;
    bool fail_fast;   /* the first death halts it */
    bool detached;    /* its jobs are for the workers of the common lane */
    const char *info; /* JSON for people, opaque here; NULL: none */
};
/* Strings belong to the run: run_free. */
struct run {
    int64_t id;
    char *path, *hash, *text; /* text: only from run_get */
    int64_t started_at, finished_at;
    int64_t first_seq, last_seq; /* its jobs are these, and those added later */
    int64_t added;               /* how many those are */
    int64_t left;                /* jobs that are not final yet */
    int64_t failed;              /* dead (not allow_failure), cancelled, skipped by a failure */
    int64_t worker;              /* that works it, 0: none */
    bool fail_fast, detached;
    bool halted;    /* a death of a fail_fast job has stopped it */
    bool cancelled; /* somebody cancelled all of it */
    char *info;
};
struct run_query {
    const char *path; /* NULL: of all files */
    int64_t after;    /* cursor: value of `next` of the page before, 0: first page */
    int limit;
};

enum { LANE_COMMON = 0 }; /* lane of ordinary jobs; a run's lane is its id */

struct worker_spec {
    const char *uid, *name, *host, *boot_id;
    int64_t pid, pid_ns; /* inode of its PID namespace */
    int slots;
    int64_t lane;
};
enum worker_stop { STOP_NONE = 0, STOP_DRAIN = 1, STOP_NOW = 2 };
/* Strings belong to the worker: worker_info_free. */
struct worker_info {
    int64_t id;
    char *uid, *name, *host, *boot_id;
    int64_t pid, pid_ns, lane, started_at, heartbeat_at;
    int64_t beat_boot_ms; /* of the heartbeat, on the boot clock */
    int slots, busy;
    enum worker_stop stop;
};

struct orders {
    enum worker_stop stop;
    int64_t *cancel; /* the caller's array of max: seqs of its jobs to cancel */
    size_t max, n;
};

struct chunk {
    int64_t offset; /* in the attempt's whole output, both streams in order of reading */
    int stream;     /* 1 stdout, 2 stderr */
    int64_t at;
    struct bytes data;
};

/* Where a page ended: what its last job was sorted by, so that the next one goes on there whatever
 * has become of that job. {0}: before the first page, and behind the last. Opaque to callers. */
struct list_cursor {
    int64_t part, lane, at, seq;
};
struct list_query {
    int state;                /* enum job_state, or -1: all */
    int64_t run;              /* 0: any */
    struct list_cursor after; /* `next` of the page before */
    int limit;
};

struct claim_query {
    int64_t lane, worker, now;
    int max;
    bool idle; /* the worker runs nothing: it may take a job that must run alone */
};

enum notify { NOTIFY_WORK = 1, NOTIFY_WORKER_GONE = 2 };

struct store_ops {
    const char *scheme;

    /* Open, creating or migrating if asked. A newer schema or a foreign database is refused
     * untouched (ERR_CORRUPT). *out is yours: close. */
    int (*open)(const char *path, unsigned flags, struct store **out, struct err *err);
    void (*close)(struct store *s);
    /* Where files that go with the store live (locks, doorbell): valid while it is open. */
    const char *(*side_dir)(struct store *s);

    int (*begin)(struct store *s, struct err *err);
    /* Durable when it returns 0. -1 with ERR_STORE: rolled back, nothing stored; ERR_UNKNOWN: it
     * may or may not be stored, and this connection must not be used any more. */
    int (*commit)(struct store *s, struct err *err);
    void (*rollback)(struct store *s);
    /* Wake waiting workers; after the commit. */
    void (*ring)(struct store *s);

    /* [tx] Add specs[0..n) as jobs of `run` (0: none). out[i] tells what became of specs[i]. An id
     * that exists with other settings: ERR_STATE naming it. Jobs of a run that has some already are
     * added ones: they count as its others do, and meet a run that was halted or cancelled as those
     * did. One with done_as comes to the world completed, with the values and artifacts of that
     * job, which must be (ERR_STATE). */
    int (*enqueue)(struct store *s, int64_t run, const struct job_spec *specs, size_t n,
                   struct enqueued *out, struct err *err);

    /* [tx] Keep a program's text under its hash. */
    int (*source_add)(struct store *s, const char *hash, struct bytes text, struct err *err);
    /* 1 found (added to *out), 0 not. */
    int (*source)(struct store *s, const char *hash, struct buf *out, struct err *err);

    /* [tx] */
    int (*run_create)(struct store *s, const struct run_spec *spec, int64_t *id, struct err *err);
    /* [tx] Give the run to a worker (0: nobody). */
    int (*run_attach)(struct store *s, int64_t run, int64_t worker, struct err *err);
    /* 1 found (yours: run_free), 0 no such run. id 0: the last run of `path`. */
    int (*run_get)(struct store *s, int64_t id, const char *path, struct run *out, struct err *err);

    /* A page, newest first, without texts: out[0..*n) yours: run_free each. *next: 0 at the end. */
    int (*runs)(struct store *s, const struct run_query *q, struct run *out, size_t *n,
                int64_t *next, struct err *err);

    /* How many of its jobs are not final yet, and whether those that did not start shall not. */
    int (*run_left)(struct store *s, int64_t run, int64_t *left, bool *halted, struct err *err);
    /* [tx] The following four: 1 done, 0 no such run. */
    /* All that went wrong gets another chance with fresh tries: dead (not allow_failure) and
     * cancelled jobs, and those skipped because of a failure, which wait again for what they need.
     * The age of all that is unfinished begins anew. *n: how many may run again. */
    int (*revive)(struct store *s, int64_t run, size_t *n, struct err *err);
    /* Its unfinished jobs go to the common lane, or back to its own. Back, ERR_STATE while a worker
     * processes one of them. */
    int (*move_run)(struct store *s, int64_t run, bool detached, struct err *err);
    /* All of its unfinished jobs: *n are cancelled at once, *running have a worker that is asked to
     * stop them. */
    int (*cancel_run)(struct store *s, int64_t run, size_t *n, size_t *running, struct err *err);
    /* Packed "=MS NAME": how long the last attempt of each completed, named job took. */
    int (*run_times)(struct store *s, int64_t run, struct buf *out, struct err *err);

    /* [tx] */
    int (*worker_add)(struct store *s, const struct worker_spec *spec, int64_t *id,
                      struct err *err);
    int (*worker_beat)(struct store *s, int64_t id, struct err *err);
    /* [tx] Ask it to stop: 1 asked, 0 no such worker. */
    int (*worker_stop)(struct store *s, int64_t id, enum worker_stop how, struct err *err);
    /* All of them, *out yours: worker_info_free each, then free. */
    int (*workers)(struct store *s, struct worker_info **out, size_t *n, struct err *err);
    /* What was asked of this worker. */
    int (*orders)(struct store *s, int64_t worker, struct orders *orders, struct err *err);

    /* [tx] Jobs that became due move to the ready table; *next_due: when the next one will (0:
     * none). */
    int (*promote)(struct store *s, int64_t lane, int64_t now, int64_t *next_due, struct err *err);
    /* [tx] Take up to q->max ready jobs in order: out[0..*n), yours: job_free. Values known only
     * now (outputs of other jobs) are filled in; where one is missing, job.error says so and the
     * job must be failed without starting. A job that one more worker death would kill comes
     * alone, and only to an idle worker; *alone tells that one is at the head of the line. */
    int (*claim)(struct store *s, const struct claim_query *q, struct job *out, size_t *n,
                 bool *alone, struct err *err);
    /* [tx] Record the attempt (none for CAUSE_NONE and CAUSE_EXPIRED: it was never started) and
     * move the job on; dependants follow. 1 done, 0 stale: the job is not in the hands of this
     * token any more and nothing was changed. Where it would have been run again, one that somebody
     * cancelled meanwhile is cancelled, and one whose run was halted is dead or skipped; *d then
     * says so. */
    int (*finish)(struct store *s, const struct job *j, const struct outcome *o, struct decision *d,
                  struct err *err);
    /* [tx] Store output of a running attempt; what lies more than `tail` bytes before `total` and
     * not in the first `head` is dropped. */
    int (*output_add)(struct store *s, const struct job *j, const struct chunk *chunks, size_t n,
                      int64_t total, struct err *err);
    /* [tx] A value other jobs may use. */
    int (*value_set)(struct store *s, int64_t seq, const char *key, struct bytes value,
                     struct err *err);
    /* [tx] A file that the job has kept; those of an earlier completion went with `finish`. */
    int (*artifact_set)(struct store *s, int64_t seq, const char *path, int64_t size,
                        struct err *err);
    /* [tx] A worker is gone: its jobs go back to the line (DEATHS_MAX deaths: dead), its entry
     * goes. *n: how many jobs. The caller has made sure that nothing of it lives. */
    int (*recover)(struct store *s, int64_t worker, int64_t now, size_t *n, struct err *err);
    /* 1: a job of this lane is ready, running, snoozed or to be tried again; 0: nothing but first
     * runs in the future. */
    int (*has_work)(struct store *s, int64_t lane, struct err *err);

    /* 1 found (yours: job_free), 0 not. With `id` NULL, by seq. */
    int (*get)(struct store *s, const char *id, int64_t seq, struct job *out, struct err *err);
    /* A page: out[0..*n) yours: job_free each. *next: cursor of the next page, {0} at the end.
     * Pending and failed in running order, the others newest first; a run's in order of definition.
     */
    int (*list)(struct store *s, const struct list_query *q, struct job *out, size_t *n,
                struct list_cursor *next, struct err *err);
    int (*counts)(struct store *s, int64_t counts[JOB_STATES], struct err *err);
    /* Yours: free each .error and .worker_name, then the array. */
    int (*attempts)(struct store *s, int64_t seq, struct attempt **out, size_t *n, struct err *err);
    /* The first chunk of an attempt's output that begins at out->offset or later: 1 found
     * (out->data.data yours to free), 0 no more yet. */
    int (*output_next)(struct store *s, int64_t seq, int64_t token, struct chunk *out,
                       struct err *err);
    /* Values the job gave: one packed "=KEY=VALUE" each. */
    int (*values)(struct store *s, int64_t seq, struct buf *out, struct err *err);
    /* Packed "=SIZE PATH" each, by path. */
    int (*artifacts)(struct store *s, int64_t seq, struct buf *out, struct err *err);
    /* What it needs, in order of definition, packed: =need=NAME =state=WORD [=error=TEXT]
     * =output=KEY=VALUE …; a job without a name goes by its id. */
    int (*needs)(struct store *s, int64_t seq, struct buf *out, struct err *err);

    /* [tx] Waiting and pending jobs at once (*after: cancelled), running ones by asking their
     * worker (*after: processing). 1 done, 0 no such job; final already: ERR_STATE unless
     * cancelled. */
    int (*cancel)(struct store *s, const char *id, enum job_state *after, struct err *err);
    /* [tx] Back to pending with fresh tries (a cancelled one to waiting, while something it needs
     * has not ended) and with a new age; jobs that were skipped because of it wait again. 1 done, 0
     * no such job; ERR_STATE where it may not (`again` allows completed ones). *before: the state
     * it was in. A job of a finished run that nobody works is for the workers of the common lane
     * from then on.
     */
    int (*retry)(struct store *s, const char *id, bool again, enum job_state *before,
                 struct err *err);
    /* [tx] Give it the settings of the spec; its id, needs and history stay, and its age begins
     * anew. PACK_LATER parents of
     * the spec are seqs here. 1 done, 0 no such job; ERR_STATE while it runs. */
    int (*redefine)(struct store *s, const char *id, const struct job_spec *spec, struct err *err);

    /* Readable when something may have changed. */
    int (*notify_fd)(struct store *s);
    /* Empty it; the set of enum notify that rang. */
    unsigned (*notify_drain)(struct store *s);
    /* 1 if another connection has committed since the last call. */
    int (*changed)(struct store *s);
    /* Tidy the log; never waits for anybody, failure is harmless. min_bytes: only above. */
    void (*checkpoint)(struct store *s, int64_t min_bytes);
};

/* Open by URL or path. An unknown scheme is ERR_USAGE. */
int store_open(const char *url, unsigned flags, struct store **out, struct err *err);

void run_free(struct run *r);
void worker_info_free(struct worker_info *w);

/* Output kept per attempt: the first head and the last tail bytes. */
enum { OUTPUT_HEAD = 64 * 1024, OUTPUT_TAIL = 192 * 1024 };

#endif
