/* Secret values of jobs: a job knows only the place of one; its value is read when it starts. */
#ifndef QUEUECTL_SECRET_H
#define QUEUECTL_SECRET_H

#include "util.h"

enum { SECRET_MAX = 65536 };

/* Add the value at "env:NAME" (of this process's environment) or "file:/PATH" (a regular file of at
 * most SECRET_MAX bytes; one newline at its end does not count) to *out. 0, or -1 with err, which
 * names the place and never the value. From the first value on this process leaves no core dump:
 * as it is then closed to other processes of its user, too (/proc/PID/mem, ptrace). */
int secret_read(const char *place, struct buf *out, struct err *err);

/* Leave no core dump from now on. What is executed later is not meant. */
void secret_guard_memory(void);

/* Free what holds secrets, and leave nothing of it in memory. */
void secret_wipe(struct buf *b);

#endif
