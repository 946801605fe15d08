/* Starting processes: the one vfork of the program, and the one fork. After vfork the parent stands
 * still until the child has executed, so nothing is copied and its failure is seen at once. The
 * fork is for a process that is warm already and only goes on. */
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

/* A copy of this process, whose parent is ours and not we: 0 in it, -1 with errno. */
pid_t spawn_sibling(void);
/* The end of such a copy: what it has printed is written, nothing else is done. */
_Noreturn void spawn_leave(int exit_code);
/* Become, without executing anything, what `s` describes: session, descriptors, folder, signals.
 * `argv` and `env` do not count; descriptors beyond fds_len stay as they are, the given ones are
 * closed. 0, or -1 with *why. */
int spawn_enter(const struct spawn *s, struct spawn_failure *why);
/* Become the program: file, argv, fallback and env count; descriptors above 2 are closed. Where
 * that fails it says so on standard error and ends this process with 127 (there is none) or 126. */
_Noreturn void spawn_replace(const struct spawn *s);

struct spawn_end {
    int exit_code, signal; /* -1: not that way */
};
/* Wait for it. 1 it has ended, 0 not yet (only without block), -1 it is no child of ours. */
int spawn_wait(pid_t pid, bool block, struct spawn_end *end);

/* Path of this very program, also when it was replaced on disk meanwhile. */
extern const char spawn_self[];

#endif
