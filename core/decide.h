/* What becomes of a job after an attempt: the decision built into the program. Pure. */
#ifndef QUEUECTL_DECIDE_H
#define QUEUECTL_DECIDE_H

#include "job.h"

/* True if the attempt ended as the job wanted it to. */
bool outcome_is_success(const struct job *j, const struct outcome *o);

/* Success: completed. Snoozed, interrupted or never started: back in the line after wait_ms. Lost
 * worker: back in the line, dead at the DEATHS_MAX-th time. None of these costs a try. Else failed
 * until the tries are used up, with the job's backoff; then dead. Not wanted any more (its `when`,
 * its max_age): skipped. `random` in [0, 1). */
struct decision decide(const struct job *j, const struct outcome *o, int64_t wait_ms,
                       double random);

#endif
