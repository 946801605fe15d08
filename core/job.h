/* Words of the trade: what a job is, how it can end, and which changes of state are allowed. */
#ifndef QUEUECTL_JOB_H
#define QUEUECTL_JOB_H

#include "util.h"

/* The numbers stand in stores: never renumber. */
enum job_state {
    JOB_WAITING = 0,    /* for jobs it depends on */
    JOB_PENDING = 1,    /* may start, now or at run_at */
    JOB_PROCESSING = 2, /* a worker has it */
    JOB_COMPLETED = 3,
    JOB_FAILED = 4, /* will be tried again at run_at */
    JOB_DEAD = 5,   /* dead letter queue */
    JOB_CANCELLED = 6,
    JOB_SKIPPED = 7, /* a dependency made it pointless */
    JOB_HELD = 8,    /* until released */
    JOB_STATES
};
enum job_kind { JOB_SHELL = 0, JOB_ARGV = 1, JOB_LUA = 2, JOB_KINDS };
enum job_on { ON_SUCCESS = 0, ON_FAILURE = 1, ON_DONE = 2, JOB_ONS };

/* Why an attempt ended, or why a job is where it is. Stored as number, shown as word. */
enum job_cause {
    CAUSE_NONE = 0,
    CAUSE_EXIT = 1,        /* exited; exit_code says with what */
    CAUSE_SIGNAL = 2,      /* a signal ended it */
    CAUSE_TIMEOUT = 3,     /* its time limit */
    CAUSE_SPAWN = 4,       /* could not be started */
    CAUSE_LUA = 5,         /* the Lua function raised, returned a failure or never finished */
    CAUSE_WORKER_LOST = 6, /* the worker or its guardian died */
    CAUSE_CANCELLED = 7,   /* somebody cancelled it */
    CAUSE_INTERRUPTED = 8, /* handed back by a stopping worker: not a failure */
    CAUSE_OUTPUTS = 9,     /* promised an output and did not deliver it */
    CAUSE_DEPENDENCY = 10, /* skipped: something it needs did not succeed */
    CAUSE_NOT_NEEDED = 11, /* skipped: what it was waiting for did not happen */
    CAUSE_SNOOZE = 12,     /* asked to be run again later: not a failure */
    CAUSE_WHEN = 13,       /* skipped: its `when` said no, which is no failure */
    CAUSE_FAIL_FAST = 14,  /* skipped: its run stops at the first failure */
    CAUSE_EXPIRED = 15,    /* dead: it came to its turn later than its max_age allows */
    CAUSES
};

extern const char *const job_state_names[JOB_STATES];
extern const char *const job_kind_names[JOB_KINDS];
extern const char *const job_on_names[JOB_ONS];
extern const char *const job_cause_names[CAUSES];

/* Number of the name in names[0..n), or -1. */
int name_find(const char *const *names, int n, const char *name);

bool job_may_change(enum job_state from, enum job_state to);
bool job_is_final(enum job_state state); /* completed, dead, cancelled, skipped */
/* Skipped without anything having gone wrong: what needs its success is not needed either. */
bool job_skip_is_neutral(enum job_cause cause);

/* Limits of one job, checked when it is enqueued. An argument of 131,072 bytes is one too many for
 * execve (MAX_ARG_STRLEN of Linux counts the closing NUL). */
enum {
    COMMAND_MAX = 131071,
    ENV_MAX = 65536,
    STDIN_MAX = 1048576,
    NAME_MAX_LEN = 200,
    QUEUE_MAX_LEN = 64,
    RETRIES_MAX = 1000000,
    DEATHS_MAX = 3, /* worker deaths after which a job is given up */
};

struct bytes {
    const char *data; /* NULL: none */
    size_t len;
};

struct job_need {
    int64_t parent; /* index of an earlier spec of the same call, or a job's seq if by_seq */
    bool by_seq;
    enum job_on on;
};

/* A job to be enqueued. Everything is borrowed for the call. */
struct job_spec {
    const char *id; /* NULL: one is made */
    const char *name, *queue, *group;
    enum job_kind kind;
    struct bytes command; /* shell text, or packed argv; none for Lua */
    struct bytes env;     /* packed; PACK_LATER parents are indexes, as in needs */
    const char *cwd;      /* NULL: the worker's */
    struct bytes stdin_text;
    const char *stdin_path;
    int32_t priority, retries;
    int64_t timeout_ms;    /* 0: no limit */
    int64_t kill_after_ms; /* between TERM and KILL */
    int64_t delay_ms;      /* from being ready to start, or 0 */
    const char *backoff;   /* stored form of backoff.h, NULL: default */
    struct bytes ok_codes; /* exit codes that count as success, a byte each; none: just 0 */
    bool allow_failure;
    struct bytes outputs;                  /* packed names promised through $QUEUECTL_OUTPUT */
    struct bytes artifacts;                /* packed patterns of files to keep, relative to cwd */
    bool when;                             /* its program is asked whether it is to run */
    bool fail_fast;                        /* its death halts its run */
    int64_t start_at;                      /* wall ms, not before; 0: none */
    int64_t max_age_ms;                    /* from its creation, or from when it was put
                                            * back by hand, to its start; 0: no limit */
    const char *limits;                    /* stored form, see struct job; NULL: none */
    const char *source;                    /* hash of a program of its own; NULL: its run's */
    int64_t done_as;                       /* seq of a completed job whose result it takes over */
    const char *description, *tags, *meta; /* the last two: JSON text */
    const struct job_need *needs;
    size_t needs_len;
};

/* A job as stored. Strings belong to the job: job_free. NULL where there is none. */
struct job {
    int64_t seq; /* number in the store: FIFO order */
    char *id, *name, *queue, *group;
    int64_t run; /* 0: none */
    enum job_state state;
    enum job_kind kind;
    enum job_cause cause;
    int32_t priority, retries;
    int32_t tries;  /* count against the limit: what people see as attempts */
    int64_t starts; /* all starts ever; the fencing token */
    int32_t deaths; /* workers that died with it */
    int32_t waits;  /* dependencies not finished yet */
    bool cancel;    /* somebody asked the worker to stop it */
    bool allow_failure;
    int64_t run_at, created_at, updated_at, started_at, finished_at; /* wall ms, 0: not yet */
    int64_t timeout_ms, kill_after_ms, delay_ms;
    int64_t worker;        /* 0: none */
    int exit_code, signal; /* of the last attempt; -1: none */
    char *error;           /* last_error */
    struct buf command, env, ok_codes, outputs, stdin_text;
    char *cwd, *stdin_path, *backoff, *description, *tags, *meta;
    struct buf artifacts;
    bool when, fail_fast;
    bool agreed; /* its `when` has said yes */
    int64_t start_at, max_age_ms;
    int64_t retried_at; /* wall ms, when somebody last put it back by hand: its age begins anew */
    char *limits; /* "MEMORY_BYTES CPU_SECONDS FILES NICE", 0: none of it; NULL: none at all */
    char *source; /* hash of its program: its own, or else its run's */
};
void job_free(struct job *j);

/* How an attempt ended. Borrowed for the call. */
struct outcome {
    enum job_cause cause;
    int exit_code, signal; /* -1: none */
    int64_t started_at, finished_at, duration_ms;
    int64_t cpu_ms, max_rss_kb;
    int64_t output_total;    /* bytes printed, stored or not */
    const char *error;       /* what people read, at most 1 KiB; NULL after success */
    bool incomplete;         /* something that outlived the job still held its output */
    const char *class;       /* what kind of failure its function called it; NULL: nothing */
    struct bytes report;     /* packed "=KEY=VALUE": what it wrote to $QUEUECTL_REPORT */
    const char *report_note; /* what of that was not taken, and why; NULL: nothing */
    bool agreed;             /* its `when` was asked and said yes */
};

/* What becomes of the job. */
struct decision {
    enum job_state state; /* completed, failed, dead, cancelled, skipped, or pending (snooze,
                           * handed back) */
    int64_t delay_ms;     /* failed, pending: wait from now */
    bool keep_try;        /* this attempt does not count against the limit */
    bool too_old;         /* dead because its max_age leaves no time for a further try */
};

/* An attempt as stored. */
struct attempt {
    int64_t token;
    int32_t try_no;
    struct outcome outcome;
    char *error;       /* owned; outcome.error points here */
    char *worker_name; /* owned */
    struct buf report; /* owned, as are its note and what outcome has of both */
    char *report_note, *class;
};
void attempt_free(struct attempt *a);

#endif
