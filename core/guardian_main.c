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
#include "guardian.h"
#include "loop.h"
#include "pack.h"
#include "proc.h"
#include "spawn.h"

extern char **environ;

enum { SOCKET_FD = 3, LOCK_FD = 4, SWEEP_US = 2000 };

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
    int null_fd;
    struct buf packet;
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

/* Processes whose parents ended come to us as sub-reaper; so a job's tree is gone when its leader
 * has ended and none of our other children is of it. Reaps the dead. A child that no job owns up to
 * (new session and emptied environment) goes when no job runs that could have started it. */
static bool has_strays(const struct ward *w, int signo) {
    pid_t *pids;
    bool found = false;
    ssize_t n = proc_children(&pids);
    for (ssize_t i = 0; i < n; i++) {
        if (is_leader(pids[i]) || waitpid(pids[i], NULL, WNOHANG) != 0)
            continue;
        const struct ward *o = owner(pids[i]);
        bool mine = o == w || (!o && !any_running());
        if (mine && signo)
            kill(pids[i], signo);
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

/* Pointers to the entries of a packed list; for an environment, applied to ours. */
struct strings {
    char **items;
    size_t len, cap;
};

static void strings_add(struct strings *l, const char *text) {
    if (l->len + 1 >= l->cap) {
        l->cap = l->cap ? l->cap * 2 : 32;
        l->items = xrealloc(l->items, l->cap * sizeof(*l->items));
    }
    l->items[l->len++] = (char *)(uintptr_t)text;
    l->items[l->len] = NULL;
}

static void unpack_argv(const char *list, size_t len, struct strings *out) {
    size_t pos = 0;
    for (const char *e; (e = pack_next(list, len, &pos));)
        strings_add(out, e + 1);
}

static size_t find_name(const struct strings *env, const char *name, size_t len) {
    for (size_t i = 0; i < env->len; i++)
        if (strncmp(env->items[i], name, len) == 0 && env->items[i][len] == '=')
            return i;
    return env->len;
}

static void apply_env(const char *list, size_t len, struct strings *env) {
    size_t pos = 0;
    for (const char *e; (e = pack_next(list, len, &pos));) {
        size_t name_len = strcspn(e + 1, "=");
        size_t at = find_name(env, e + 1, name_len);
        if (e[0] == PACK_TEXT && at == env->len)
            strings_add(env, e + 1);
        else if (e[0] == PACK_TEXT)
            env->items[at] = (char *)(uintptr_t)(e + 1);
        else if (at < env->len) {
            env->items[at] = env->items[--env->len];
            env->items[env->len] = NULL;
        }
    }
}

/* What our own job (a worker may run inside one) was told is not for those we start. */
static bool is_own_variable(const char *entry) {
    static const char *const names[] = {
        "QUEUECTL_JOB_ID=", "QUEUECTL_JOB_NAME=", "QUEUECTL_RUN=",   "QUEUECTL_ATTEMPT=",
        "QUEUECTL_TOKEN=",  "QUEUECTL_WORKER=",   "QUEUECTL_OUTPUT="};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strncmp(entry, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static void base_env(struct strings *out) {
    for (char **e = environ; *e; e++)
        if (!is_own_variable(*e))
            strings_add(out, *e);
}

struct texts {
    const char *argv, *shell, *env, *cwd, *mark;
};

static struct texts texts_of(const struct guardian_request *r, const char *packet) {
    struct texts t = {.argv = packet + sizeof(*r)};
    t.shell = t.argv + r->argv_len;
    t.env = t.shell + r->shell_len;
    t.cwd = t.env + r->env_len;
    t.mark = t.cwd + r->cwd_len;
    return t;
}

static int start(const struct guardian_request *r, const struct texts *t, const int *fds, int n_fds,
                 pid_t *pid, struct spawn_failure *why) {
    struct strings argv = {0}, env = {0};
    char *shell[] = {(char *)"sh", (char *)"-c", (char *)(uintptr_t)t->shell, NULL};
    unpack_argv(t->argv, r->argv_len, &argv);
    base_env(&env);
    apply_env(t->env, r->env_len, &env);
    if (!env.items)
        strings_add(&env, "PATH=/usr/local/bin:/usr/bin:/bin");
    struct spawn s = {.argv = argv.len ? argv.items : shell,
                      .file = argv.len ? NULL : "/bin/sh",
                      .fallback = argv.len && r->shell_len ? shell : NULL,
                      .env = env.items,
                      .cwd = r->cwd_len ? t->cwd : NULL,
                      .session = true,
                      .die_with_me = true,
                      .keep_hup_off = g.keep_hup_off};
    s.fds[0] = g.null_fd;
    s.fds_len = n_fds;
    memcpy(s.fds, fds, (size_t)n_fds * sizeof(int));
    int rc = spawn(&s, pid, why);
    free(argv.items);
    free(env.items);
    return rc;
}

/* Start what is queued in w. */
static void start_queued(struct ward *w) {
    struct guardian_request r;
    memcpy(&r, w->packet.data, sizeof(r));
    struct texts t = texts_of(&r, w->packet.data);
    struct spawn_failure why;
    /* Said first: a job may kill us before we come back. */
    tell(&(struct guardian_event){.type = GUARD_STARTED, .slot = r.slot});
    if (start(&r, &t, w->fds, w->n_fds, &w->leader, &why) < 0) {
        tell(&(struct guardian_event){
            .type = GUARD_FAILED, .slot = r.slot, .stage = (int32_t)why.stage, .error = why.error});
        forget(w);
        return;
    }
    w->state = WARD_RUNNING;
    w->mark = xstrdup(t.mark);
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
    g.null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (uint32_t i = 0; i < g.n; i++)
        g.wards[i].timer.fn = on_timer;
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
