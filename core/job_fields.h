/* A job to be enqueued, written as fields KEY:LEN:BYTES one after the other: texts packed and
 * numbers written as the store has them. It comes from a process that runs somebody's code, so
 * nothing of it is believed: what is not in the table of fields, or not as there, is refused. */
#ifndef QUEUECTL_JOB_FIELDS_H
#define QUEUECTL_JOB_FIELDS_H

#include "job.h"

/* `texts`: room for len + 1 bytes, which *out points into. What is not given has the default of
 * enqueue. Needs and values of other jobs cannot be written in this way. 0, or -1 with *why, yours
 * to free. Limits are left to whoever knows them. */
int job_fields_read(const char *p, size_t len, char *texts, struct job_spec *out, char **why);

#endif
