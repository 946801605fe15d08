/* What /proc says about other processes, for finding and ending what a job left behind. */
#ifndef QUEUECTL_PROC_H
#define QUEUECTL_PROC_H

#include "util.h"

/* Direct children of this process, zombies included. Complete as long as only this thread reaps
 * them. *pids yours to free. Returns how many, or -1. */
ssize_t proc_children(pid_t **pids);

/* True if the process was started with `mark` ("NAME=VALUE", or a beginning of it) in its
 * environment. False also when that cannot be read. */
bool proc_has_mark(pid_t pid, const char *mark);

/* SIGKILL every process that carries the mark, this one excepted, until two scans in a row find
 * none (a scan can miss what is being forked). Waits at most max_ms. 0: none is left, -1: some are
 * still there. */
int proc_sweep(const char *mark, int max_ms);

/* Kill and reap all children but `keep` (0: all), and what they leave to us as sub-reaper, until
 * none is left; at most max_ms. 0 or -1. */
int proc_end_children(pid_t keep, int max_ms);

/* Inode of the PID namespace: pids compare only within one. */
int64_t proc_pid_ns(void);

#endif
