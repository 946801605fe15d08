/* Files that a job promised to make. */
#ifndef QUEUECTL_ARTIFACTS_H
#define QUEUECTL_ARTIFACTS_H

#include "util.h"

/* Whoever looks waits for the file system, so all of a search is bounded: by what it finds, by what
 * it reads, and by time. (One call that never returns, as on a dead network mount, is not.) */
enum { ARTIFACTS_MAX = 1000, ARTIFACTS_ENTRIES = 100000, ARTIFACTS_MS = 2000 };

/* Expand each pattern of the packed list as the shell does (glob(7): files or directories, hidden
 * ones only where the pattern says so), relative to `cwd` (NULL: where we are). What is found is
 * added to *found, packed "=SIZE PATH" each, at most ARTIFACTS_MAX in all; PATH as the pattern
 * gives it, SIZE that of a regular file, else 0. 0, or -1 with err in the words for the job: a
 * pattern that nothing matches, or a search beyond its bounds. */
int artifacts_find(const char *patterns, size_t len, const char *cwd, struct buf *found,
                   struct err *err);

#endif
