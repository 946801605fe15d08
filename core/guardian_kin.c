/* Whose a child of the guardian is: a leader, of some job's tree, a warm process or its fork, or a
 * stranger. As sub-reaper it gets all whose parents have ended. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guardian_impl.h"
#include "guardian_warm.h"
#include "proc.h"

enum { STRANGERS_US = 100000 };

static bool belongs(const struct ward *w, pid_t pid) {
    return getpgid(pid) == w->leader || getsid(pid) == w->leader ||
           proc_has_mark(pid, w->mark, true);
}

static const struct ward *owner(pid_t pid) {
    for (uint32_t i = 0; i < guard.n; i++)
        if (ward_has_leader(&guard.wards[i]) && belongs(&guard.wards[i], pid))
            return &guard.wards[i];
    return NULL;
}

static bool is_leader(pid_t pid) {
    for (uint32_t i = 0; i < guard.n; i++)
        if (ward_has_leader(&guard.wards[i]) && guard.wards[i].leader == pid)
            return true;
    return false;
}

static bool any_running(void) {
    for (uint32_t i = 0; i < guard.n; i++)
        if (ward_is_active(&guard.wards[i]) && !guard.wards[i].exited)
            return true;
    return false;
}

/* Whether a child is a leader or a warm process, or dead and now reaped. A fork of a warm process
 * that has ended is a leader whose answer we may not have read yet. */
static bool is_known_or_reaped(pid_t pid) {
    siginfo_t info = {.si_pid = 0};
    if (is_leader(pid) || warm_is(pid))
        return true;
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
        return true;
    if (info.si_pid != pid)
        return false;
    warm_read();
    if (!is_leader(pid))
        waitpid(pid, NULL, WNOHANG);
    return true;
}

/* Whose a child is that is no leader. */
enum kin {
    KIN_MINE,
    KIN_OTHER,    /* of another job that runs */
    KIN_ORPHAN,   /* of a job that is over: it was in the middle of an exec when that was decided */
    KIN_STRANGER, /* in a session of its own and without our mark (emptied, or in an exec just now)
                   * or with that of a warm process (forked by a Lua job, and nothing executed) */
};

/* Some fork of a warm process has not said yet which job it is. */
static bool any_asked(void) {
    for (uint32_t i = 0; i < guard.n; i++)
        if (guard.wards[i].state == WARD_ASKED)
            return true;
    return false;
}

static enum kin kin_of(const struct ward *w, pid_t pid) {
    const struct ward *o = owner(pid);
    if (o)
        return o == w ? KIN_MINE : KIN_OTHER;
    if (!guard.own_mark || !proc_has_mark(pid, guard.own_mark, false))
        return KIN_STRANGER;
    if (!proc_has_mark(pid, guard.warm_mark, true))
        return KIN_ORPHAN;
    return any_asked() ? KIN_OTHER : KIN_STRANGER;
}

/* During an exec a process has no environment to read: look again, for some 3 ms. Who has been a
 * stranger for longer is left to kin_on_strangers. */
static enum kin kin_after_exec(const struct ward *w, pid_t pid) {
    enum kin kin = kin_of(w, pid);
    bool new = kin == KIN_STRANGER && !guard.strangers.due.pos;
    for (int i = 0; new &&kin == KIN_STRANGER &&i < 10; i++) {
        usleep(300);
        kin = kin_of(w, pid);
    }
    if (kin == KIN_STRANGER && !guard.strangers.due.pos)
        loop_timer(guard.loop, &guard.strangers, STRANGERS_US);
    return kin;
}

/* Our children. What a fork of a warm process has started is here only after the fork has answered:
 * with the answer read, its job is known. */
static ssize_t list_children(pid_t **pids) {
    ssize_t n = proc_children(pids);
    if (any_asked())
        warm_read();
    return n;
}

/* Processes whose parents ended come to us as sub-reaper; so a job's tree is gone when its leader
 * has ended and none of our other children is of it. Reaps the dead. A stranger goes when no job
 * runs that could have started it. */
bool kin_has_strays(const struct ward *w, int signo) {
    pid_t *pids;
    bool found = false;
    ssize_t n = list_children(&pids);
    for (ssize_t i = 0; i < n; i++) {
        if (is_known_or_reaped(pids[i]))
            continue;
        enum kin kin = kin_after_exec(w, pids[i]);
        bool mine = kin == KIN_MINE || (kin == KIN_STRANGER && !any_running());
        if (mine && signo)
            kill(pids[i], signo);
        if (kin == KIN_ORPHAN)
            kill(pids[i], SIGKILL);
        found = found || mine;
    }
    free(pids);
    return found;
}

void kin_reap(void) {
    pid_t *pids;
    ssize_t n = proc_children(&pids);
    for (ssize_t i = 0; i < n; i++)
        is_known_or_reaped(pids[i]);
    free(pids);
}

/* Look at strangers again: by now one may bear the mark of a job that is over. */
void kin_on_strangers(struct timer *t) {
    pid_t *pids;
    bool some = false;
    ssize_t n = list_children(&pids);
    for (ssize_t i = 0; i < n; i++) {
        if (is_known_or_reaped(pids[i]))
            continue;
        enum kin kin = kin_of(NULL, pids[i]);
        if (kin == KIN_ORPHAN || (kin == KIN_STRANGER && !any_running()))
            kill(pids[i], SIGKILL);
        some = some || kin == KIN_STRANGER;
    }
    free(pids);
    if (some)
        loop_timer(guard.loop, t, STRANGERS_US);
}
