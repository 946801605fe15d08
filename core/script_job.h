/* The processes of Lua jobs. `queuectl --lua-warm` evaluates one program (descriptor 3) and forks a
 * job for each request of the guardian (4, guardian_warm.h); `queuectl --lua-job` is one job,
 * executed anew, with its program as descriptor 5. A job has its channel as 3, its facts as 4
 * (worker_program.c). */
#ifndef QUEUECTL_SCRIPT_JOB_H
#define QUEUECTL_SCRIPT_JOB_H

/* Exit code of the process. A fork of the warm process does not come back. */
int script_job_main(void);
int script_warm_main(void);

#endif
