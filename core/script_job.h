/* The process of a Lua job: what runs as `queuectl --lua-job`. Descriptor 3 holds the facts and the
 * text of the jobs file (worker_start.c), 4 is the channel to the worker (worker_channel.c). */
#ifndef QUEUECTL_SCRIPT_JOB_H
#define QUEUECTL_SCRIPT_JOB_H

enum { LUA_JOB_MEMORY = 1 << 30 };

/* Exit code of the process. */
int script_job_main(void);

#endif
