/* The guardian process. One table row a slot; the kill ladder is the row's state:
 *
 *   QUEUED   its turn:               RUNNING, or for a Lua job ASKED
 *   ASKED    its warm process forked: RUNNING
 *   RUNNING  time limit, cancel:      TERMED (TERM, CONT)
 *   TERMED   kill_after:              KILLED (KILL, again and again until nothing is left)
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
#include "guardian_impl.h"
#include "guardian_spawn.h"
#include "guardian_warm.h"
#include "proc.h"
#include "secret.h"
#include "spawn.h"

enum { SOCKET_FD = 3, LOCK_FD = 4, SWEEP_US = 2000 };

/* A warm process that does not answer hangs in its program's text. For a job that is cancelled
 * nobody waits so long. */
enum { PATIENCE_US = 10000000, CANCELLED_PATIENCE_US = 100000 };

struct guard guard;

static struct guardian_request request_of(const struct ward *w) {
    struct guardian_request r;
    memcpy(&r, w->packet.data, sizeof(r));
    return r;
}

/* ---- telling the worker ---- */

static void tell(const struct guardian_event *event) {
    ssize_t n;
    do
        n = send(SOCKET_FD, event, sizeof(*event), MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        guard.gone = true;
}

static uint32_t slot_of(const struct ward *w) {
    return (uint32_t)(w - guard.wards);
}

static void close_fds(struct ward *w) {
    fds_close(w->fds, w->n_fds);
    w->n_fds = 0;
}

static void forget(struct ward *w) {
    loop_timer_stop(guard.loop, &w->timer);
    free(w->mark);
    secret_wipe(&w->packet);
    close_fds(w);
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
    loop_timer(guard.loop, &w->timer, SWEEP_US);
}

/* Something may have ended, or a sweep is due. Tells whether the leader has ended. */
static bool look_after(struct ward *w) {
    siginfo_t info;
    struct rusage usage;
    if (!leader_ended(w, &info, &usage))
        return false;
    w->exited = true;
    bool strays = kin_has_strays(w, w->state == WARD_KILLED ? SIGKILL : 0);
    if (!strays && !w->reported) {
        tell_exit(w, &info, &usage, true);
        all_gone(w);
    } else if (!strays && w->ending) {
        all_gone(w);
    } else if (strays && w->state == WARD_RUNNING && !w->reported) {
        /* It left something behind. After TERM that would have its kill_after first. */
        tell_exit(w, &info, &usage, false);
        loop_timer_stop(guard.loop, &w->timer);
    } else if (w->state == WARD_KILLED) {
        loop_timer(guard.loop, &w->timer, SWEEP_US);
    }
    return true;
}

static void term_tree(struct ward *w) {
    kill(-w->leader, SIGTERM);
    kill(-w->leader, SIGCONT);  /* a stopped process with a TERM handler needs it */
    kin_has_strays(w, SIGTERM); /* in sessions of their own */
    w->state = WARD_TERMED;
    loop_timer(guard.loop, &w->timer, w->kill_after_ms * 1000);
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
    case WARD_ASKED:
        warm_read();
        if (w->state == WARD_ASKED)
            warm_give_up(request_of(w).program, !w->cancelled);
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
    do {
        guard.new_leader = false;
        for (uint32_t i = 0; i < guard.n; i++)
            if (ward_has_leader(&guard.wards[i]))
                leaders = look_after(&guard.wards[i]) || leaders;
        if (!leaders)
            kin_reap();
    } while (guard.new_leader);
}

/* ---- requests ---- */

/* From now on it runs. */
static void begin(struct ward *w, pid_t leader) {
    struct guardian_request r = request_of(w);
    w->leader = leader;
    w->state = WARD_RUNNING;
    w->mark = xstrdup(guardian_mark(&r, w->packet.data));
    w->started_ms = clock_mono_ms();
    w->kill_after_ms = r.kill_after_ms;
    loop_timer_stop(guard.loop, &w->timer);
    if (r.timeout_ms > 0)
        loop_timer(guard.loop, &w->timer, r.timeout_ms * 1000);
    secret_wipe(&w->packet);
    close_fds(w);
    if (w->cancelled)
        term_tree(w);
}

static void fail(struct ward *w, const struct spawn_failure *why) {
    tell(&(struct guardian_event){.type = GUARD_FAILED,
                                  .slot = slot_of(w),
                                  .stage = (int32_t)why->stage,
                                  .error = why->error,
                                  .limit = (int32_t)why->limit});
    forget(w);
}

static void execute(struct ward *w) {
    struct guardian_request r = request_of(w);
    struct guardian_given given = {w->fds, w->n_fds, guard.keep_hup_off};
    struct spawn_failure why;
    pid_t leader;
    if (guardian_spawn(&r, w->packet.data, &given, &leader, &why) < 0)
        fail(w, &why);
    else
        begin(w, leader);
}

static bool ask_warm(struct ward *w, uint32_t program) {
    struct packet p = {.data = w->packet.data, .len = w->packet.len, .n_fds = w->n_fds};
    memcpy(p.fds, w->fds, sizeof(p.fds));
    if (!program || warm_ask(program, &p, w->turn, guard.warm_mark) < 0)
        return false;
    w->state = WARD_ASKED;
    loop_timer(guard.loop, &w->timer, PATIENCE_US);
    return true;
}

static void start_queued(struct ward *w) {
    struct guardian_request r = request_of(w);
    const char *mark = guardian_mark(&r, w->packet.data);
    if (!guard.own_mark) { /* "QUEUECTL_WORKER=UID." of "QUEUECTL_WORKER=UID.N" */
        guard.own_mark = xmemdup0(mark, strcspn(mark, ".") + 1);
        guard.warm_mark = xasprintf("%s0", guard.own_mark);
    }
    /* Said first: a job may kill us before we come back. */
    tell(&(struct guardian_event){.type = GUARD_STARTED, .slot = r.slot});
    if (!ask_warm(w, r.program))
        execute(w);
}

static void on_answer(const struct warm_answer *a) {
    struct ward *w = a->slot < guard.n ? &guard.wards[a->slot] : NULL;
    if (!w || w->state != WARD_ASKED || w->turn != a->turn) {
        if (a->pid > 0 && !a->why.error)
            kill(a->pid, SIGKILL); /* too late: it is executed already */
    } else if (a->why.error && (a->why.stage == SPAWN_FORK || a->why.stage == SPAWN_FD)) {
        execute(w); /* what it lacks may be what its program has taken */
    } else if (a->why.error) {
        fail(w, &a->why);
    } else {
        begin(w, a->pid);
        guard.new_leader = true;
    }
}

/* Its warm process will not fork it. A job that is cancelled meanwhile never was. */
static void start_anew(struct ward *w) {
    if (!w->cancelled) {
        execute(w);
        return;
    }
    tell(&(struct guardian_event){.type = GUARD_EXITED,
                                  .slot = slot_of(w),
                                  .exit_code = -1,
                                  .signal = SIGTERM,
                                  .clean = true,
                                  .cancelled = true});
    forget(w);
}

static void on_warm_lost(uint32_t program) {
    for (uint32_t i = 0; i < guard.n; i++)
        if (guard.wards[i].state == WARD_ASKED && request_of(&guard.wards[i]).program == program)
            start_anew(&guard.wards[i]);
}

/* As many as may run. */
static void start_next(void) {
    for (;;) {
        struct ward *next = NULL;
        uint32_t active = 0;
        for (uint32_t i = 0; i < guard.n; i++) {
            struct ward *w = &guard.wards[i];
            active += ward_is_active(w);
            if (w->state == WARD_QUEUED && (!next || w->turn < next->turn))
                next = w;
        }
        if (!next || active >= guard.limit)
            return;
        start_queued(next);
    }
}

static void queue(struct ward *w, const struct guardian_request *r, struct packet *p) {
    w->state = WARD_QUEUED;
    w->turn = ++guard.turns;
    buf_add(&w->packet, p->data, p->len);
    memcpy(w->fds, p->fds, sizeof(w->fds));
    w->n_fds = p->n_fds;
    p->n_fds = 0;
    if (r->secrets) {
        secret_guard_memory();
        explicit_bzero(p->data, p->len);
    }
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
        if (w->state == WARD_ASKED)
            loop_timer(guard.loop, &w->timer, CANCELLED_PATIENCE_US);
        break;
    case GUARD_END:
        w->ending = true;
        kill_tree(w);
        look_after(w);
        break;
    }
}

static void on_request(const struct guardian_request *r, struct packet *p) {
    struct ward *w = &guard.wards[r->slot];
    if (r->type == GUARD_SPAWN && w->state == WARD_FREE)
        queue(w, r, p);
    else if (w->state == WARD_QUEUED)
        unqueue(w);
    else if (w->state != WARD_FREE)
        on_order(w, r->type);
}

static size_t texts_len(const struct guardian_request *r) {
    return (size_t)r->argv_len + r->shell_len + r->env_len + r->cwd_len + r->mark_len +
           r->facts_len;
}

/* Descriptors of the request were dropped on the way: we may have no more. As with every job that
 * cannot be started it is said that it was to be. */
static void refuse(uint32_t slot) {
    tell(&(struct guardian_event){.type = GUARD_STARTED, .slot = slot});
    tell(&(struct guardian_event){
        .type = GUARD_FAILED, .slot = slot, .stage = SPAWN_FD, .error = EMFILE});
}

/* 1 a request was handled, 0 none now, -1 the worker is gone. */
static int read_request(void) {
    struct packet *p = &guard.packet;
    struct guardian_request r;
    int rc = packet_receive(SOCKET_FD, p, false);
    if (rc > 0 && p->len >= sizeof(r)) {
        memcpy(&r, p->data, sizeof(r));
        bool whole = p->whole && texts_len(&r) + sizeof(r) == p->len;
        if (r.slot < guard.n && whole)
            on_request(&r, p);
        else if (r.slot < guard.n && r.type == GUARD_SPAWN)
            refuse(r.slot);
    }
    packet_close_fds(p);
    return rc;
}

static void on_socket(struct watch *watch, uint32_t events) {
    (void)watch;
    (void)events;
    int rc;
    while ((rc = read_request()) > 0)
        start_next();
    if (rc < 0)
        guard.gone = true;
}

static int set_up(struct err *err) {
    sigset_t set;
    struct sigaction hup;
    sigaction(SIGHUP, NULL, &hup);
    guard.keep_hup_off = hup.sa_handler == SIG_IGN;
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
    guard.wards = xcalloc(guard.n, sizeof(*guard.wards));
    guard.packet.data = xmalloc(GUARDIAN_PACKET_MAX);
    guard.packet.cap = GUARDIAN_PACKET_MAX;
    for (uint32_t i = 0; i < guard.n; i++)
        guard.wards[i].timer.fn = on_timer;
    guard.strangers.fn = kin_on_strangers;
    guard.socket = (struct watch){.fn = on_socket, .fd = SOCKET_FD};
    if (loop_new(&guard.loop, err) < 0 || loop_signals(guard.loop, &set, on_signal, NULL, err) < 0)
        return -1;
    warm_init(guard.loop, &(struct warm_events){on_answer, on_warm_lost}, guard.keep_hup_off);
    return loop_watch(guard.loop, &guard.socket, EPOLLIN, err);
}

int guardian_main(int wards, int limit) {
    struct err err = {0};
    guard.n = wards > 0 ? (uint32_t)wards : 1;
    guard.limit = limit > 0 ? (uint32_t)limit : 1;
    int rc = set_up(&err);
    while (rc == 0 && !guard.gone) {
        rc = loop_once(guard.loop, true, &err);
        start_next(); /* something may have ended */
    }
    for (uint32_t i = 0; i < guard.n; i++)
        if (ward_has_leader(&guard.wards[i]))
            kill(-guard.wards[i].leader, SIGKILL);
    proc_end_children(0, 60000);
    return rc < 0 ? 1 : 0;
}
