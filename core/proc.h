/* What /proc says about other processes, for finding and ending what a job left behind. */
#ifndef QUEUECTL_PROC_H
#define QUEUECTL_PROC_H

#include "util.h"

/* Direct children of this process, zombies included. Complete as long as only this thread reaps
 * them. *pids yours to free. Returns how many, or -1. */
ssize_t proc_children(pid_t **pids);

/* True if the process was started with `mark` in its environment: the whole "NAME=VALUE", or else a
 * beginning of it. False also when that cannot be read. */
bool proc_has_mark(pid_t pid, const char *mark, bool whole);

/* SIGKILL every process whose environment has an entry that begins with the mark, this one
 * excepted, until two scans in a row find none (a scan can miss what is being forked). Waits at
 * most max_ms. 0: none is left, -1: some are still there, or it could not look. */
int proc_sweep(const char *mark, int max_ms);

/* The children there are now (whoever executed this program may have left some) are not ours to
 * end: proc_end_children spares them. */
void proc_spare_children(void);

/* Kill and reap all other children but `keep` (0: none), and what they leave to us as sub-reaper,
 * until none is left; at most max_ms. 0 or -1. */
int proc_end_children(pid_t keep, int max_ms);

/* Inode of the PID namespace: pids compare only within one. */
int64_t proc_pid_ns(void);

#endif
