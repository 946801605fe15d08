/* From a request to a process: the packed texts become an argv and an environment. */
#ifndef QUEUECTL_GUARDIAN_SPAWN_H
#define QUEUECTL_GUARDIAN_SPAWN_H

#include "guardian.h"
#include "spawn.h"

struct guardian_given {
    const int *fds; /* become 0, 1, 2 … */
    int n_fds;
    bool keep_hup_off; /* SIGHUP was ignored when we started (nohup) */
};

/* `packet` is the whole request with its texts. As spawn(). */
int guardian_spawn(const struct guardian_request *r, const char *packet,
                   const struct guardian_given *given, pid_t *pid, struct spawn_failure *why);

/* In a process forked for it: become the job's process, environment included. As spawn_enter(). */
int guardian_enter(const struct guardian_request *r, const char *packet,
                   const struct guardian_given *given, struct spawn_failure *why);

/* The attempt's mark: points into the packet. */
const char *guardian_mark(const struct guardian_request *r, const char *packet);
/* The facts of a Lua job, facts_len of them: they point into the packet. */
const char *guardian_facts(const struct guardian_request *r, const char *packet);

#endif
