/* The worker: one process, N slots, one event loop, one transaction for all that has ended and all
 * that is taken next. */
#ifndef QUEUECTL_WORKER_H
#define QUEUECTL_WORKER_H

#include "report.h"
#include "store.h"

struct worker_options {
    const char *store; /* URL or path */
    const char *name;  /* NULL: host-pid */
    int slots;
    int64_t lane;     /* a run's id, or LANE_COMMON */
    bool until_empty; /* leave when nothing is left to do (a run's worker always does) */
    enum report_format format;
    int report_fd;
};

/* Worker and guardian must not block each other: what the guardian has to say of all jobs in its
 * care (started, exited) fits unread into a socket of 425,984 bytes, the most an unprivileged
 * process gets: 554 events of 768 bytes each in the kernel, and 2 * 256 are possible (GUARD_GONE
 * answers a request). Jobs taken ahead come with at most AHEAD_SLOTS slots. */
enum { WORKER_SLOTS_MAX = 256 };

/* Work until told to stop. 0, or -1 with err. SIGINT and SIGTERM: once finishes what runs and takes
 * nothing new, twice stops the jobs and hands them back. */
int worker_main(const struct worker_options *o, struct err *err);

#endif
