/* Starting processes: the one vfork of the program. The parent stands still until the child has
 * executed, so nothing is copied and the child's failure is seen at once. */
#ifndef QUEUECTL_SPAWN_H
#define QUEUECTL_SPAWN_H

#include "spawn_limits.h"
#include "util.h"

enum { SPAWN_FDS = 8 };

/* All borrowed for the call. */
struct spawn {
    const char *file;      /* NULL: argv[0], looked up in env's PATH if it has no slash */
    char *const *argv;     /* NULL-terminated */
    char *const *fallback; /* executed when argv cannot be; NULL: none */
    char *const *env;      /* NULL-terminated */
    const char *cwd;       /* NULL: as it is */
    const struct spawn_limits *limits; /* NULL: none */
    int fds[SPAWN_FDS];                /* become 0, 1, 2 …; everything else is closed */
    int fds_len;
    bool session;      /* a session (and so a group) of its own */
    bool group;        /* a process group of its own, in this session */
    bool die_with_me;  /* SIGKILL when the thread that spawned ends */
    bool keep_hup_off; /* SIGHUP stays ignored (nohup); all other signals become default */
};

enum spawn_stage { SPAWN_OK, SPAWN_FORK, SPAWN_FD, SPAWN_CWD, SPAWN_LIMITS, SPAWN_EXEC };
struct spawn_failure {
    enum spawn_stage stage;
    int error;              /* errno */
    enum spawn_limit limit; /* SPAWN_LIMITS: which */
};

/* 0 with *pid, or -1 with *why: no process is left behind. */
int spawn(const struct spawn *s, pid_t *pid, struct spawn_failure *why);

struct spawn_end {
    int exit_code, signal; /* -1: not that way */
};
/* Wait for it. 1 it has ended, 0 not yet (only without block), -1 it is no child of ours. */
int spawn_wait(pid_t pid, bool block, struct spawn_end *end);

/* Path of this very program, also when it was replaced on disk meanwhile. */
extern const char spawn_self[];

#endif
