/* Who is alive. A worker holds an flock on a file of its own in the store's side directory, shared
 * with its guardian: the kernel frees it when both have ended, whatever time it is. */
#ifndef QUEUECTL_LEASE_H
#define QUEUECTL_LEASE_H

#include "ids.h"
#include "store.h"

struct lease {
    char uid[UID_LEN + 1];
    int lock_fd;
    char *lock_path;
    int64_t worker; /* number in the store, 0: not registered */
};

/* Environment variable that marks every process of a worker's jobs: UID.ATTEMPT. */
#define LEASE_MARK "QUEUECTL_WORKER"

/* Take the lock, then register. `name` NULL: host-pid. 0 or -1. */
int lease_take(struct lease *l, struct store *s, const char *name, int slots, int64_t lane,
               struct err *err);
/* Unregister (if the store can be written) and let go. */
void lease_release(struct lease *l, struct store *s);

/* File that a job in this slot writes its $QUEUECTL_OUTPUT to. Yours to free. */
char *lease_output_path(struct store *s, const char *uid, int slot);

/* What is named by $QUEUECTL_REPORT in the worker's attempt of this number. Yours to free. */
char *lease_report_path(struct store *s, const char *uid, uint64_t attempt);

bool lease_is_alive(struct store *s, const struct worker_info *w);

/* [tx] ERR_STATE where a living worker has the run, or unless detached_ok the workers of the common
 * lane are to; ERR_NOT_FOUND where there is no such run. */
int lease_check_run(struct store *s, int64_t run, bool detached_ok, struct err *err);

/* Make sure that nothing of dead workers lives and put their jobs back. *n: how many jobs. -1 only
 * for trouble with the store; ERR_BUSY: later. */
int lease_recover(struct store *s, int64_t me, size_t *n, struct err *err);

#endif
