/* What a job may use at most, as the kernel keeps it: each of its processes for itself. */
#ifndef QUEUECTL_SPAWN_LIMITS_H
#define QUEUECTL_SPAWN_LIMITS_H

#include "util.h"

struct spawn_limits {     /* 0: none, each */
    int64_t memory_bytes; /* of address space */
    int64_t cpu_s;        /* SIGXCPU then, SIGKILL SPAWN_CPU_GRACE_S later */
    int32_t files;        /* open at a time */
    int32_t nice;
};

enum { SPAWN_CPU_GRACE_S = 5 };

enum spawn_limit { LIMIT_NONE, LIMIT_MEMORY, LIMIT_CPU, LIMIT_FILES, LIMIT_NICE };

/* Set them for the calling process, which is about to become a job. Async-signal-safe. LIMIT_NONE,
 * or the first that could not be set, with errno. */
enum spawn_limit spawn_apply_limits(const struct spawn_limits *l);

/* The stored form "MEMORY_BYTES CPU_SECONDS FILES NICE"; NULL: no limits. 0 or -1. */
int spawn_limits_parse(const char *text, struct spawn_limits *out);

/* "nice -5", "memory 2G", "cpu 10m": yours to free. */
char *spawn_limits_words(const struct spawn_limits *l, enum spawn_limit which);

#endif
