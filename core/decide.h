/* What becomes of a job after an attempt: the decision built into the program. Pure. */
#ifndef QUEUECTL_DECIDE_H
#define QUEUECTL_DECIDE_H

#include "job.h"

/* True if the attempt ended as the job wanted it to. */
bool outcome_is_success(const struct job *j, const struct outcome *o);

/* True if the job, by its max_age, is not to start at `at` (wall ms) any more. */
bool job_is_too_old(const struct job *j, int64_t at);

/* Success: completed. Snoozed, interrupted or never started: back in the line after wait_ms. Lost
 * worker: back in the line, dead at the DEATHS_MAX-th time. None of these costs a try. Else failed
 * until the tries are used up, with the job's backoff; then dead. One
 * that would be too old at its next start is dead at once (too_old tells). Not started for its age:
 * dead; not wanted by its `when`: skipped. `now` is wall ms, `random` in [0, 1). */
struct decision decide(const struct job *j, const struct outcome *o, int64_t wait_ms, int64_t now,
                       double random);

#endif
