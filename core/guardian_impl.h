/* Inside of the guardian: shared by guardian_main.c and guardian_kin.c, included by nothing else.
 */
#ifndef QUEUECTL_GUARDIAN_IMPL_H
#define QUEUECTL_GUARDIAN_IMPL_H

#include "guardian_packet.h"
#include "loop.h"

enum ward_state { WARD_FREE, WARD_QUEUED, WARD_ASKED, WARD_RUNNING, WARD_TERMED, WARD_KILLED };

/* A job in our care. */
struct ward {
    enum ward_state state;
    pid_t leader;
    bool exited;   /* the leader is a zombie, not reaped yet */
    bool reported; /* GUARD_EXITED was sent; GUARD_END will come */
    bool ending;   /* GUARD_END came; GUARD_GONE is due when nothing is left */
    bool timed_out, cancelled, killed;
    int64_t started_ms, kill_after_ms;
    char *mark;
    struct timer timer; /* patience, time limit, kill_after or next sweep, by state */
    /* WARD_QUEUED, WARD_ASKED: the request */
    struct buf packet;
    int fds[GUARDIAN_FDS], n_fds;
    uint64_t turn;
};

/* The process. */
struct guard {
    struct loop *loop;
    struct watch socket;
    struct ward *wards;
    uint32_t n, limit;
    uint64_t turns;
    bool keep_hup_off;
    bool gone;       /* the worker is */
    bool new_leader; /* while we looked after the others */
    struct packet packet;
    char *own_mark;         /* beginning of the mark of every attempt of this worker */
    char *warm_mark;        /* the mark of warm processes, and in /proc of their forks */
    struct timer strangers; /* runs while there are some */
};
extern struct guard guard; /* guardian_main.c */

/* It takes one of the places. */
static inline bool ward_is_active(const struct ward *w) {
    return w->state != WARD_FREE && w->state != WARD_QUEUED;
}

static inline bool ward_has_leader(const struct ward *w) {
    return ward_is_active(w) && w->state != WARD_ASKED;
}

/* --- guardian_kin.c: whose our children are --- */
/* Whether anything of the job's tree lives beside its leader; it gets signo, 0: none. Reaps the
 * dead, and ends what is left of jobs that are over. */
bool kin_has_strays(const struct ward *w, int signo);
/* Reap the dead that are no leaders. */
void kin_reap(void);
/* Timer of guard.strangers: look at them again. */
void kin_on_strangers(struct timer *t);

#endif
