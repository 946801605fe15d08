/* The guardian process. One table row a slot; the kill ladder is the row's state:
 *
 *   RUNNING --time limit, cancel--> TERMED (TERM, CONT) --kill_after--> KILLED (KILL, again and
 *   again until nothing is left)
 *
 * The leader of a job is not reaped while anything else of its tree lives: as long as it is a
 * zombie its process group number cannot be given to anybody else. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "guardian_spawn.h"
#include "loop.h"
#include "proc.h"
#include "spawn.h"

enum { SOCKET_FD = 3, LOCK_FD = 4, SWEEP_US = 2000, STRANGERS_US = 100000 };

enum ward_state { WARD_FREE, WARD_QUEUED, WARD_RUNNING, WARD_TERMED, WARD_KILLED };

/* A job in our care. */
struct ward {
    enum ward_state state;
    pid_t leader;
    bool exited;   /* the leader is a zombie, not reaped yet */
    bool reported; /* GUARD_EXITED was sent; GUARD_END will come */
    bool ending;   /* GUARD_END came; GUARD_GONE is due when nothing is left */
    bool timed_out, cancelled, killed;
    int64_t started_ms, kill_after_ms;
    char *mark;
    struct timer timer; /* time limit, kill_after or next sweep, by state */
    /* WARD_QUEUED: the request, to be started in its turn */
    struct buf packet;
    int fds[GUARDIAN_FDS], n_fds;
    uint64_t turn;
};

static struct {
    struct loop *loop;
    struct watch socket;
    struct ward *wards;
    uint32_t n, limit;
    uint64_t turns;
    bool keep_hup_off;
    bool gone; /* the worker is */
    struct buf packet;
    char *own_mark;         /* beginning of the mark of every attempt of this worker */
    struct timer strangers; /* runs while there are some */
} g;

/* ---- who is whose ---- */

static bool is_active(const struct ward *w) {
    return w->state != WARD_FREE && w->state != WARD_QUEUED;
}

static bool belongs(const struct ward *w, pid_t pid) {
    return getpgid(pid) == w->leader || getsid(pid) == w->leader ||
           proc_has_mark(pid, w->mark, true);
}

static const struct ward *owner(pid_t pid) {
    for (uint32_t i = 0; i < g.n; i++)
        if (is_active(&g.wards[i]) && belongs(&g.wards[i], pid))
            return &g.wards[i];
    return NULL;
}

static bool is_leader(pid_t pid) {
    for (uint32_t i = 0; i < g.n; i++)
        if (is_active(&g.wards[i]) && g.wards[i].leader == pid)
            return true;
    return false;
}

static bool any_running(void) {
    for (uint32_t i = 0; i < g.n; i++)
        if (is_active(&g.wards[i]) && !g.wards[i].exited)
            return true;
    return false;
}

/* Whose a child is that is no leader. */
enum kin {
    KIN_MINE,
    KIN_OTHER,    /* of another job that runs */
    KIN_ORPHAN,   /* of a job that is over: it was in the middle of an exec when that was decided */
    KIN_STRANGER, /* in a session of its own and without our mark: emptied, or in an exec just now
                   */
};

static enum kin kin_of(const struct ward *w, pid_t pid) {
    const struct ward *o = owner(pid);
    if (o)
        return o == w ? KIN_MINE : KIN_OTHER;
    return g.own_mark && proc_has_mark(pid, g.own_mark, false) ? KIN_ORPHAN : KIN_STRANGER;
}

/* During an exec a process has no environment to read: look again, for some 3 ms. Who has been a
 * stranger for longer is left to on_strangers. */
static enum kin kin_after_exec(const struct ward *w, pid_t pid) {
    enum kin kin = kin_of(w, pid);
    bool new = kin == KIN_STRANGER && !g.strangers.due.pos;
    for (int i = 0; new &&kin == KIN_STRANGER &&i < 10; i++) {
        usleep(300);
        kin = kin_of(w, pid);
    }
    if (kin == KIN_STRANGER && !g.strangers.due.pos)
        loop_timer(g.loop, &g.strangers, STRANGERS_US);
    return kin;
}

/* Processes whose parents ended come to us as sub-reaper; so a job's tree is gone when its leader
 * has ended and none of our other children is of it. Reaps the dead. A stranger goes when no job
 * runs that could have started it. */
static bool has_strays(const struct ward *w, int signo) {
    pid_t *pids;
    bool found = false;
    ssize_t n = proc_children(&pids);
    for (ssize_t i = 0; i < n; i++) {
        if (is_leader(pids[i]) || waitpid(pids[i], NULL, WNOHANG) != 0)
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

static void reap_strays(void) {
    pid_t *pids;
    ssize_t n = proc_children(&pids);
    for (ssize_t i = 0; i < n; i++)
        if (!is_leader(pids[i]))
            waitpid(pids[i], NULL, WNOHANG);
    free(pids);
}

/* Look at strangers again: by now one may bear the mark of a job that is over. */
static void on_strangers(struct timer *t) {
    pid_t *pids;
    bool some = false;
    ssize_t n = proc_children(&pids);
    for (ssize_t i = 0; i < n; i++) {
        if (is_leader(pids[i]) || waitpid(pids[i], NULL, WNOHANG) != 0)
            continue;
        enum kin kin = kin_of(NULL, pids[i]);
        if (kin == KIN_ORPHAN || (kin == KIN_STRANGER && !any_running()))
            kill(pids[i], SIGKILL);
        some = some || kin == KIN_STRANGER;
    }
    free(pids);
    if (some)
        loop_timer(g.loop, t, STRANGERS_US);
}

/* ---- telling the worker ---- */

static void tell(const struct guardian_event *event) {
    ssize_t n;
    do
        n = send(SOCKET_FD, event, sizeof(*event), MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        g.gone = true;
}

static uint32_t slot_of(const struct ward *w) {
    return (uint32_t)(w - g.wards);
}

static void forget(struct ward *w) {
    loop_timer_stop(g.loop, &w->timer);
    free(w->mark);
    buf_free(&w->packet);
    for (int i = 0; i < w->n_fds; i++)
        close(w->fds[i]);
    *w = (struct ward){.timer = w->timer};
}

static int64_t cpu_ms(const struct rusage *u) {
    int64_t s = u->ru_utime.tv_sec + u->ru_stime.tv_sec;
    return s * 1000 + (u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1000;
}

static void tell_exit(struct ward *w, const siginfo_t *info, const struct rusage *u, bool clean) {
    bool exited = info->si_code == CLD_EXITED;
    tell(&(struct guardian_event){.type = GUARD_EXITED,
                                  .slot = slot_of(w),
                                  .exit_code = exited ? info->si_status : -1,
                                  .signal = exited ? -1 : info->si_status,
                                  .clean = clean,
                                  .timed_out = w->timed_out,
                                  .cancelled = w->cancelled,
                                  .killed = w->killed,
                                  .cpu_ms = cpu_ms(u),
                                  .max_rss_kb = u->ru_maxrss,
                                  .duration_ms = clock_mono_ms() - w->started_ms});
    w->reported = true;
}

/* ---- the end of a job ---- */

/* The raw call also gives resource usage without reaping. */
static bool leader_ended(const struct ward *w, siginfo_t *info, struct rusage *u) {
    info->si_pid = 0;
    long rc = syscall(SYS_waitid, P_PID, w->leader, info, WEXITED | WNOHANG | WNOWAIT, u);
    return rc == 0 && info->si_pid == w->leader;
}

static void all_gone(struct ward *w) {
    waitpid(w->leader, NULL, WNOHANG);
    if (w->ending)
        tell(&(struct guardian_event){.type = GUARD_GONE, .slot = slot_of(w)});
    forget(w);
}

static void kill_tree(struct ward *w) {
    kill(-w->leader, SIGKILL);
    w->state = WARD_KILLED;
    loop_timer(g.loop, &w->timer, SWEEP_US);
}

/* Something may have ended, or a sweep is due. Tells whether the leader has ended. */
static bool look_after(struct ward *w) {
    siginfo_t info;
    struct rusage usage;
    if (!leader_ended(w, &info, &usage))
        return false;
    w->exited = true;
    bool strays = has_strays(w, w->state == WARD_KILLED ? SIGKILL : 0);
    if (!strays && !w->reported) {
        tell_exit(w, &info, &usage, true);
        all_gone(w);
    } else if (!strays && w->ending) {
        all_gone(w);
    } else if (strays && w->state == WARD_RUNNING && !w->reported) {
        /* It left something behind. After TERM that would have its kill_after first. */
        tell_exit(w, &info, &usage, false);
        loop_timer_stop(g.loop, &w->timer);
    } else if (w->state == WARD_KILLED) {
        loop_timer(g.loop, &w->timer, SWEEP_US);
    }
    return true;
}

static void term_tree(struct ward *w) {
    kill(-w->leader, SIGTERM);
    kill(-w->leader, SIGCONT); /* a stopped process with a TERM handler needs it */
    has_strays(w, SIGTERM);    /* in sessions of their own */
    w->state = WARD_TERMED;
    loop_timer(g.loop, &w->timer, w->kill_after_ms * 1000);
}

static void on_timer(struct timer *t) {
    struct ward *w = (struct ward *)((char *)t - offsetof(struct ward, timer));
    switch (w->state) {
    case WARD_RUNNING:
        w->timed_out = true;
        term_tree(w);
        break;
    case WARD_TERMED:
        w->killed = true;
        kill_tree(w);
        look_after(w);
        break;
    case WARD_KILLED:
        look_after(w);
        break;
    case WARD_FREE:
    case WARD_QUEUED:
        break;
    }
}

static void on_signal(int signo, void *arg) {
    (void)signo;
    (void)arg;
    bool leaders = false;
    for (uint32_t i = 0; i < g.n; i++)
        if (is_active(&g.wards[i]))
            leaders = look_after(&g.wards[i]) || leaders;
    if (!leaders)
        reap_strays();
}

/* ---- requests ---- */

/* Start what is queued in w. */
static void start_queued(struct ward *w) {
    struct guardian_request r;
    memcpy(&r, w->packet.data, sizeof(r));
    const char *mark = guardian_mark(&r, w->packet.data);
    struct guardian_given given = {w->fds, w->n_fds, g.keep_hup_off};
    struct spawn_failure why;
    /* Said first: a job may kill us before we come back. */
    tell(&(struct guardian_event){.type = GUARD_STARTED, .slot = r.slot});
    if (guardian_spawn(&r, w->packet.data, &given, &w->leader, &why) < 0) {
        tell(&(struct guardian_event){.type = GUARD_FAILED,
                                      .slot = r.slot,
                                      .stage = (int32_t)why.stage,
                                      .error = why.error,
                                      .limit = (int32_t)why.limit});
        forget(w);
        return;
    }
    w->state = WARD_RUNNING;
    w->mark = xstrdup(mark);
    if (!g.own_mark) /* "QUEUECTL_WORKER=UID." of "QUEUECTL_WORKER=UID.N" */
        g.own_mark = xmemdup0(mark, strcspn(mark, ".") + 1);
    w->started_ms = clock_mono_ms();
    w->kill_after_ms = r.kill_after_ms;
    if (r.timeout_ms > 0)
        loop_timer(g.loop, &w->timer, r.timeout_ms * 1000);
    buf_free(&w->packet);
    for (int i = 0; i < w->n_fds; i++)
        close(w->fds[i]);
    w->n_fds = 0;
}

/* As many as may run. */
static void start_next(void) {
    for (;;) {
        struct ward *next = NULL;
        uint32_t active = 0;
        for (uint32_t i = 0; i < g.n; i++) {
            struct ward *w = &g.wards[i];
            active += is_active(w);
            if (w->state == WARD_QUEUED && (!next || w->turn < next->turn))
                next = w;
        }
        if (!next || active >= g.limit)
            return;
        start_queued(next);
    }
}

static void queue(struct ward *w, const char *packet, size_t len, const int *fds, int n_fds) {
    w->state = WARD_QUEUED;
    w->turn = ++g.turns;
    buf_add(&w->packet, packet, len);
    memcpy(w->fds, fds, (size_t)n_fds * sizeof(int));
    w->n_fds = n_fds;
}

static void unqueue(struct ward *w) {
    tell(&(struct guardian_event){.type = GUARD_GONE, .slot = slot_of(w)});
    forget(w);
}

/* A request about a ward that is started. One for a free ward has crossed with its end. */
static void on_order(struct ward *w, uint32_t type) {
    switch (type) {
    case GUARD_CANCEL:
        w->cancelled = true;
        if (w->state == WARD_RUNNING)
            term_tree(w);
        break;
    case GUARD_END:
        w->ending = true;
        kill_tree(w);
        look_after(w);
        break;
    }
}

static bool on_request(const struct guardian_request *r, size_t len, const int *fds, int n_fds) {
    struct ward *w = &g.wards[r->slot];
    bool is_new = r->type == GUARD_SPAWN && w->state == WARD_FREE;
    if (is_new)
        queue(w, g.packet.data, len, fds, n_fds);
    else if (w->state == WARD_QUEUED)
        unqueue(w);
    else if (w->state != WARD_FREE)
        on_order(w, r->type);
    return is_new;
}

static size_t texts_len(const struct guardian_request *r) {
    return (size_t)r->argv_len + r->shell_len + r->env_len + r->cwd_len + r->mark_len;
}

/* 1 a request was handled, 0 none now, -1 the worker is gone. */
static int read_request(void) {
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(GUARDIAN_FDS * sizeof(int))];
    } control;
    struct iovec iov = {g.packet.data, g.packet.cap};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.space,
                         .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(SOCKET_FD, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    int fds[GUARDIAN_FDS], n_fds = 0;
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    if (c && c->cmsg_type == SCM_RIGHTS) {
        n_fds = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(fds, CMSG_DATA(c), (size_t)n_fds * sizeof(int));
    }
    struct guardian_request r;
    bool kept = false;
    if ((size_t)n >= sizeof(r)) {
        memcpy(&r, g.packet.data, sizeof(r));
        bool whole =
            !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) && texts_len(&r) + sizeof(r) == (size_t)n;
        if (r.slot < g.n && whole)
            kept = on_request(&r, (size_t)n, fds, n_fds);
        else if (r.slot < g.n && r.type == GUARD_SPAWN) /* descriptors may have been dropped */
            tell(&(struct guardian_event){
                .type = GUARD_FAILED, .slot = r.slot, .stage = SPAWN_FD, .error = EMFILE});
    }
    for (int i = 0; !kept && i < n_fds; i++)
        close(fds[i]);
    return n == 0 ? -1 : 1;
}

static void on_socket(struct watch *watch, uint32_t events) {
    (void)watch;
    (void)events;
    int rc;
    while ((rc = read_request()) > 0)
        start_next();
    if (rc < 0)
        g.gone = true;
}

static int set_up(struct err *err) {
    sigset_t set;
    struct sigaction hup;
    sigaction(SIGHUP, NULL, &hup);
    g.keep_hup_off = hup.sa_handler == SIG_IGN;
    /* The terminal's signals are the worker's business. */
    const int ignored[] = {SIGHUP,  SIGINT,  SIGTERM, SIGQUIT, SIGPIPE,
                           SIGXFSZ, SIGTSTP, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
        signal(ignored[i], SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    fcntl(SOCKET_FD, F_SETFD, FD_CLOEXEC);
    fcntl(LOCK_FD, F_SETFD, FD_CLOEXEC);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    g.wards = xcalloc(g.n, sizeof(*g.wards));
    g.packet.data = xmalloc(GUARDIAN_PACKET_MAX);
    g.packet.cap = GUARDIAN_PACKET_MAX;
    for (uint32_t i = 0; i < g.n; i++)
        g.wards[i].timer.fn = on_timer;
    g.strangers.fn = on_strangers;
    g.socket = (struct watch){.fn = on_socket, .fd = SOCKET_FD};
    if (loop_new(&g.loop, err) < 0 || loop_signals(g.loop, &set, on_signal, NULL, err) < 0)
        return -1;
    return loop_watch(g.loop, &g.socket, EPOLLIN, err);
}

int guardian_main(int wards, int limit) {
    struct err err = {0};
    g.n = wards > 0 ? (uint32_t)wards : 1;
    g.limit = limit > 0 ? (uint32_t)limit : 1;
    int rc = set_up(&err);
    while (rc == 0 && !g.gone) {
        rc = loop_once(g.loop, true, &err);
        start_next(); /* something may have ended */
    }
    for (uint32_t i = 0; i < g.n; i++)
        if (is_active(&g.wards[i]))
            kill(-g.wards[i].leader, SIGKILL);
    proc_end_children(0, 60000);
    return rc < 0 ? 1 : 0;
}
