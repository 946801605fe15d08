/* Warm Lua processes: each has evaluated one program and forks a job when it is asked, which takes
 * a fraction of executing a program anew. The fork's parent is the guardian, as that of any job.
 *
 * A message to it is a uint64_t (the turn, which comes back) and a guardian request with its texts;
 * its descriptors become the job's. The answer comes from the forked process, before it runs
 * anything of the job: what has not answered has done nothing. */
#ifndef QUEUECTL_GUARDIAN_WARM_H
#define QUEUECTL_GUARDIAN_WARM_H

#include "guardian_packet.h"
#include "loop.h"
#include "spawn.h"

struct warm_answer {
    uint64_t turn;
    uint32_t slot;
    int32_t pid;
    struct spawn_failure why; /* error 0: it runs */
};

struct warm_events {
    void (*answered)(const struct warm_answer *answer);
    /* What it was asked and did not answer will not be: to be executed anew. */
    void (*lost)(uint32_t program);
};

/* keep_hup_off: SIGHUP was ignored when the guardian started (nohup). */
void warm_init(struct loop *loop, const struct warm_events *events, bool keep_hup_off);
/* Ask the program's process, started if there is none. `p` is the request as it came, with the
 * program's text as last descriptor; `mark` NAME=VALUE of the attempt. 0, or -1: execute it anew.
 */
int warm_ask(uint32_t program, const struct packet *p, uint64_t turn, const char *mark);
/* Take the answers that are there. */
void warm_read(void);
/* End the program's process and forget what it was asked; the answers that are there must have been
 * read. A fork that has not answered by now cannot any more, and leaves. for_good: it is not tried
 * again if it has never answered. */
void warm_give_up(uint32_t program, bool for_good);
bool warm_is(pid_t pid);

#endif
