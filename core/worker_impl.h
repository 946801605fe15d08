/* Inside of the worker: shared by worker*.c, included by nothing else. */
#ifndef QUEUECTL_WORKER_IMPL_H
#define QUEUECTL_WORKER_IMPL_H

#include "guardian.h"
#include "lease.h"
#include "loop.h"
#include "output.h"
#include "worker.h"

struct worker;

enum slot_state {
    SLOT_FREE,
    SLOT_QUEUED,   /* the guardian has it, and starts it in its turn */
    SLOT_RUNNING,  /* the job's leader lives */
    SLOT_DRAINING, /* it has ended; something still holds its output */
    SLOT_ENDING,   /* the guardian is killing what is left of its tree */
    SLOT_DONE,     /* over, and not recorded yet */
    SLOT_STATES
};
enum slot_event {
    SLOT_EV_START,  /* it has started */
    SLOT_EV_STOP,   /* somebody wants it stopped */
    SLOT_EV_RECALL, /* it shall not start any more */
    SLOT_EV_EXIT,   /* the leader ended, and nothing is left of the tree */
    SLOT_EV_LEFT,   /* the leader ended, and left something behind */
    SLOT_EV_EOF,    /* the last of the job's pipes is closed */
    SLOT_EV_GRACE,  /* time to let go of the pipes is over */
    SLOT_EV_GONE,   /* nothing is left of the tree */
    SLOT_EV_LOST,   /* the guardian died, and the tree with it */
    SLOT_EVENTS
};

enum slot_pipe { PIPE_OUT, PIPE_ERR, PIPE_CHANNEL, SLOT_PIPES };

struct slot_stream {
    struct watch watch; /* watch.fd: our end, -1 when closed */
    struct slot *slot;
    int stream; /* 1 stdout, 2 stderr, 0 channel of a Lua job */
};

/* What a Lua function said with its last message. */
enum lua_kind {
    LUA_NO_RESULT,
    LUA_OK,
    LUA_FAIL,
    LUA_FATAL, /* a failure that is not tried again */
    LUA_SNOOZE,
    LUA_CANCEL,
    LUA_SKIP, /* its `when` said no */
    LUA_GO,   /* its `when` said yes, and the process executes the command itself now */
};
struct lua_result {
    enum lua_kind kind;
    char *text;
    int64_t snooze_ms;
};

/* Jobs that a job adds to its run when it is completed. */
struct added {
    struct job_spec *specs;
    char **texts; /* what they point into */
    size_t n, bytes;
};

struct slot_secrets; /* of worker_secret.c */

struct slot {
    struct worker *worker;
    uint32_t number;
    enum slot_state state;
    struct job job;
    struct slot_stream streams[SLOT_PIPES];
    struct output output;
    struct buf channel; /* bytes of the channel, up to the next whole message */
    struct buf values;  /* packed =KEY=VALUE: outputs the job gave */
    bool has_channel;   /* a Lua function has the first word: the job itself, or its `when` */
    struct lua_result lua;
    struct added added;
    char *refused;                /* why those jobs cannot be added, NULL: they can */
    struct slot_secrets *secrets; /* NULL: nothing is to be masked */
    struct buf artifacts;         /* packed "=SIZE PATH" */
    struct timer grace;
    int64_t grace_until_us; /* the hard end of it */
    struct guardian_event exit;
    int64_t ended_at;  /* wall */
    char *output_path; /* file behind $QUEUECTL_OUTPUT, NULL: none */
    bool collected;    /* $QUEUECTL_OUTPUT was read, and artifacts were looked for */
    uint64_t mark;     /* number of this attempt among the worker's */
    bool report_read;  /* … of $QUEUECTL_REPORT was looked for, and taken away: */
    struct buf report; /* packed =KEY=VALUE */
    char *report_note; /* what of it was not taken, NULL: nothing */
    char *missing;     /* what was promised and not given, NULL: nothing */
    char *failure;     /* why it could not be started, NULL: it was */
    bool shortage;     /* … because the machine was short of something */
    int failure_code;  /* exit code a shell would give: 126, 127; -1 */
    bool expired;      /* it came to its turn too late */
    bool started;
    bool interrupted; /* stopped because the worker stops */
    bool cancelled;   /* somebody cancelled it */
    bool incomplete;  /* output may be */
    bool lost;        /* the guardian died */
};

/* Where jobs are short, some are taken before the last ones have ended: the guardian then starts
 * them without asking anybody, and what has ended meanwhile is recorded in one transaction. They
 * are called back when their turn does not come soon. */
enum {
    AHEAD_BELOW_MS = 20, /* mean duration under which jobs are taken ahead */
    AHEAD_JOBS = 16,
    AHEAD_SLOTS = 64,       /* with more of them one that waits for a commit is not missed */
    AHEAD_WAIT_US = 100000, /* then they go back */
    BATCH_US = 5000,        /* an end is recorded this much later at most, while others go on */
    MEAN_UNKNOWN_MS = 1000,
};

enum worker_mode { MODE_WORK, MODE_DRAIN, MODE_STOP };

/* What Lua jobs execute, as it was when their run was planned: kept open for the next ones. */
struct program {
    char *hash; /* NULL: free */
    int fd;     /* a memory file: the packed path of the jobs file, then the text */
    uint32_t number;
    uint64_t used;
};
enum { WORKER_PROGRAMS = 4 };

struct worker {
    const struct worker_options *options;
    struct loop *loop;
    struct store *store;
    char *store_path; /* absolute */
    int null_fd;      /* standard input of most jobs */
    struct lease lease;
    struct guardian guardian;
    struct watch guardian_watch, notify_watch, report_watch;
    struct timer retry, due, flush, backstop;
    struct slot *slots;
    int n_slots;                  /* for those that run, those taken ahead, those to be recorded */
    int queued;                   /* slots by state: SLOT_QUEUED */
    int running;                  /* SLOT_RUNNING to SLOT_ENDING */
    int done;                     /* SLOT_DONE */
    double mean_ms;               /* how long jobs take these days */
    struct timer ahead;           /* jobs taken ahead have waited too long */
    struct timer batch;           /* what has ended is to be recorded */
    enum worker_mode mode, asked; /* asked: through the store */
    bool tick_due;                /* something is to be written or claimed */
    bool claim_due;               /* there may be ready work */
    bool wait_alone;              /* the head of the line must run alone: let the slots run empty */
    bool flush_due, orders_due, recover_due, beat_due;
    bool storing_failed;      /* said so already */
    int64_t failing_since_ms; /* the store could not be written, 0: it can */
    int64_t beat_at_ms;
    int64_t run_left; /* unfinished jobs of the run, -1 unknown */
    bool recall_due;  /* a run was halted: what has not started goes back */
    uint64_t marks;   /* attempts started: makes each one's mark unique */
    struct report report;
    struct program programs[WORKER_PROGRAMS];
    uint32_t programs_made;
    uint64_t programs_used;
    bool finished; /* leave the loop */
    int rc;
    struct err err;
};

/* --- worker_slot.c --- */
void slot_init(struct slot *s, struct worker *w, uint32_t number);
/* Take the job (the slot's from now on) and give it to the guardian. If that is not possible the
 * slot is SLOT_DONE at once. */
void slot_take(struct slot *s, struct job *job);
void slot_event(struct slot *s, enum slot_event event);
void slot_cancel(struct slot *s, bool interrupted);
void slot_free(struct slot *s);

/* --- worker_start.c: what a job is started with --- */
int start_job(struct slot *s, struct err *err);
/* errno of a machine that is short of processes, memory or descriptors: not the job's fault. */
bool is_shortage(int error);

/* --- worker_program.c: what the process of a Lua job reads --- */
/* A Lua function has the first word: the job itself, or its `when`, which is asked once, before the
 * first try. */
bool starts_in_lua(const struct job *j);
/* The program of the job: NULL with err. Valid until the next call. */
const struct program *program_of(struct worker *w, const struct job *j, struct err *err);
void programs_free(struct worker *w);
/* Add the facts of this attempt. -1 with err. */
int program_facts(struct slot *s, struct buf *facts, struct err *err);

/* --- worker_channel.c: what a job tells beside its output --- */
void channel_read(struct slot *s);
/* $QUEUECTL_OUTPUT, and whether all that was promised is there: *missing says what is not (yours).
 */
void channel_collect(struct slot *s, char **missing);

/* --- worker_report.c --- */
/* What the attempt, which has ended, reported about itself: s->report and its note. */
void report_read(struct slot *s);

/* --- worker_added.c: jobs that a job adds --- */
/* The message that describes one. */
void added_read(struct slot *s, const char *p, size_t len);
/* [tx] Insert them. -1 with ERR_BUSY and s->refused set: they can never be, and the job has failed.
 */
int added_store(struct slot *s, struct err *err);
void added_free(struct slot *s);

/* --- worker_secret.c --- */
/* Add the job's environment to *env, with values in place of secrets. 1 there are some, 0 none, -1
 * one cannot be had. */
int secrets_resolve(struct slot *s, struct buf *env, struct err *err);
/* Output of the job (1 stdout, 2 stderr), masked; and its end. */
void secrets_output(struct slot *s, int stream, const char *data, size_t len);
void secrets_output_end(struct slot *s);
/* A copy of what the job said, masked; `cut`: the rest of it may be missing. Yours to free. */
char *secrets_mask(const struct slot *s, const char *text, bool cut);
bool secrets_are_in(const struct slot *s, const char *data, size_t len);
void secrets_free(struct slot *s);

/* --- worker_outcome.c --- */
/* *text owns outcome.error: yours to free. */
struct outcome slot_outcome(struct slot *s, char **text);
/* The decision was that it is too old for a further try: say so, too. */
void outcome_add_age(struct outcome *o, char **text, const struct job *j);
double decision_random(const struct job *j);

/* --- worker.c --- */
/* Call back the jobs that the guardian has not started yet. */
void worker_recall(struct worker *w);

/* --- worker_tick.c: everything that touches the store --- */
int worker_tick(struct worker *w);

#endif
