/* Durations as people write them. */
#ifndef QUEUECTL_DURATION_H
#define QUEUECTL_DURATION_H

#include "util.h"

/* "1h30m", "10m", "1.5s", "250ms": as in a jobs file. Yours to free. */
char *duration_text(int64_t ms);

#endif
