/* The worker's life: set up, loop, stop. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "clock.h"
#include "proc.h"
#include "spawn.h"
#include "worker_impl.h"

enum {
    BACKSTOP_US = 2000000, /* look around although nothing rang */
    BEAT_MS = 10000,
};

#define OWNER(type, member, p) ((type *)((char *)(p)-offsetof(type, member)))

static void say(struct worker *w, const char *what, const char *text) {
    report_emit(&w->report,
                &(struct report_event){.what = what, .text = text, .fraction = -1, .left = -1});
}

/* ---- stopping ---- */

void worker_recall(struct worker *w) {
    for (int i = 0; i < w->n_slots; i++)
        slot_event(&w->slots[i], SLOT_EV_RECALL);
}

static void stop(struct worker *w, enum worker_mode mode) {
    if (mode <= w->mode)
        return;
    w->mode = mode;
    worker_recall(w);
    if (mode == MODE_DRAIN && w->running)
        say(w, "draining", "finishing what runs; once more to stop it now");
    if (mode == MODE_STOP)
        for (int i = 0; i < w->n_slots; i++)
            slot_cancel(&w->slots[i], true);
}

static void on_signal(int signo, void *arg) {
    struct worker *w = arg;
    bool at_once = signo == SIGQUIT || w->mode != MODE_WORK;
    stop(w, at_once ? MODE_STOP : MODE_DRAIN);
}

/* Told to stop at once while the store cannot be written: the results are let go, and the jobs put
 * back as those of a dead worker. */
static bool gives_up(struct worker *w) {
    if (w->mode != MODE_STOP || !w->storing_failed)
        return false;
    w->rc = err_set(&w->err, ERR_STORE,
                    "the results of %d jobs could not be stored; they run again", w->done);
    return true;
}

static bool is_over(struct worker *w) {
    struct err err = {0};
    if (w->queued || w->running || (w->done && !gives_up(w)))
        return false;
    if (w->mode != MODE_WORK)
        return true;
    if (w->options->lane)
        return w->run_left == 0;
    if (!w->options->until_empty || w->claim_due)
        return false;
    return w->store->ops->has_work(w->store, LANE_COMMON, &err) == 0;
}

/* ---- what wakes us ---- */

static void on_guardian_lost(struct worker *w) {
    struct spawn_end end;
    say(w, "guardian", "the guardian process was killed; its jobs are ended and run again");
    loop_unwatch(w->loop, &w->guardian_watch);
    fd_close(&w->guardian.fd);
    spawn_wait(w->guardian.pid, true, &end);
    proc_end_children(0, 10000);
    for (int i = 0; i < w->n_slots; i++)
        slot_event(&w->slots[i], SLOT_EV_LOST);
    if (guardian_start(&w->guardian, w->lease.lock_fd, w->n_slots, w->options->slots, &w->err) <
        0) {
        w->rc = -1;
        w->finished = true;
        return;
    }
    w->guardian_watch.fd = w->guardian.fd;
    loop_watch(w->loop, &w->guardian_watch, EPOLLIN, &w->err);
}

static void on_failed(struct slot *s, const struct guardian_event *e) {
    static const char *const stages[] = {"", "fork", "descriptors", "cwd", "limits", ""};
    const char *stage = stages[e->stage];
    char *limit = NULL;
    const char *program =
        s->job.kind == JOB_ARGV && s->job.command.len ? s->job.command.data + 1 : "";
    if (e->stage == SPAWN_LIMITS) {
        struct spawn_limits l;
        spawn_limits_parse(s->job.limits, &l);
        limit = spawn_limits_words(&l, (enum spawn_limit)e->limit);
    }
    const char *what = e->stage == SPAWN_CWD    ? s->job.cwd
                       : e->stage == SPAWN_EXEC ? program
                       : limit                  ? limit
                                                : "";
    s->failure = xasprintf("%s%s%s%s%s", stage, *stage ? ": " : "", what, *what ? ": " : "",
                           strerror(e->error));
    free(limit);
    s->shortage = (e->stage == SPAWN_FORK || e->stage == SPAWN_FD) && is_shortage(e->error);
    s->failure_code = e->stage == SPAWN_EXEC ? (e->error == ENOENT ? 127 : 126) : -1;
    s->exit = *e;
    s->exit.clean = 1;
    slot_event(s, SLOT_EV_EXIT);
}

static void on_guardian_event(struct worker *w, const struct guardian_event *e) {
    struct slot *s = &w->slots[e->slot];
    switch (e->type) {
    case GUARD_STARTED:
        slot_event(s, SLOT_EV_START);
        break;
    case GUARD_FAILED:
        on_failed(s, e);
        break;
    case GUARD_EXITED:
        s->exit = *e;
        slot_event(s, e->clean ? SLOT_EV_EXIT : SLOT_EV_LEFT);
        break;
    case GUARD_GONE:
        slot_event(s, SLOT_EV_GONE);
        break;
    }
}

static void on_guardian(struct watch *watch, uint32_t events) {
    (void)events;
    struct worker *w = OWNER(struct worker, guardian_watch, watch);
    struct guardian_event e;
    int rc;
    while ((rc = guardian_read(&w->guardian, &e)) > 0)
        on_guardian_event(w, &e);
    if (rc < 0)
        on_guardian_lost(w);
}

static void on_notify(struct watch *watch, uint32_t events) {
    (void)events;
    struct worker *w = OWNER(struct worker, notify_watch, watch);
    unsigned rang = w->store->ops->notify_drain(w->store);
    w->store->ops->changed(w->store);
    w->claim_due = w->orders_due = w->tick_due = true;
    if (!w->storing_failed)
        loop_timer_stop(w->loop, &w->retry); /* whoever held the lock has just let go of it */
    w->wait_alone = false;                   /* another one may stand at the head of the line now */
    w->recover_due = w->recover_due || (rang & NOTIFY_WORKER_GONE);
}

static void on_report_pipe(struct watch *watch, uint32_t events) {
    struct worker *w = OWNER(struct worker, report_watch, watch);
    if (events & (EPOLLERR | EPOLLHUP))
        w->report.broken = true;
    w->tick_due = true; /* there may be room for more jobs now */
}

static void on_retry(struct timer *t) {
    OWNER(struct worker, retry, t)->tick_due = true;
}

static void on_batch(struct timer *t) {
    OWNER(struct worker, batch, t)->tick_due = true;
}

static void on_due(struct timer *t) {
    struct worker *w = OWNER(struct worker, due, t);
    w->claim_due = w->tick_due = true;
}

static void on_flush(struct timer *t) {
    struct worker *w = OWNER(struct worker, flush, t);
    w->flush_due = w->tick_due = true;
}

/* What runs turned out to be long: somebody else may have room for what was taken ahead. */
static void on_ahead(struct timer *t) {
    struct worker *w = OWNER(struct worker, ahead, t);
    w->mean_ms = MEAN_UNKNOWN_MS;
    worker_recall(w);
}

static void on_backstop(struct timer *t) {
    struct worker *w = OWNER(struct worker, backstop, t);
    loop_timer(w->loop, &w->backstop, BACKSTOP_US);
    w->recover_due = true;
    if (w->store->ops->changed(w->store))
        w->claim_due = w->orders_due = w->tick_due = true;
    if (w->due.due.pos) /* the wall clock may have been set meanwhile */
        w->claim_due = w->tick_due = true;
    if (clock_mono_ms() - w->beat_at_ms >= BEAT_MS) {
        w->beat_at_ms = clock_mono_ms();
        w->beat_due = w->tick_due = true;
    }
    if (!w->running)
        w->store->ops->checkpoint(w->store, 1 << 20);
}

/* ---- set up and take down ---- */

static int catch_signals(struct worker *w, struct err *err) {
    sigset_t set;
    struct sigaction hup;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGQUIT);
    sigaction(SIGHUP, NULL, &hup);
    if (hup.sa_handler != SIG_IGN)
        sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a full quota is an error of write, not our end */
    signal(SIGCHLD, SIG_DFL); /* inherited as ignored it would make waiting fail */
    return loop_signals(w->loop, &set, on_signal, w, err);
}

static int watch_all(struct worker *w, struct err *err) {
    w->guardian_watch = (struct watch){.fn = on_guardian, .fd = w->guardian.fd};
    w->notify_watch = (struct watch){.fn = on_notify, .fd = w->store->ops->notify_fd(w->store)};
    w->report_watch = (struct watch){.fn = on_report_pipe, .fd = w->report.fd};
    if (loop_watch(w->loop, &w->guardian_watch, EPOLLIN, err) < 0)
        return -1;
    if (w->notify_watch.fd >= 0 && loop_watch(w->loop, &w->notify_watch, EPOLLIN, err) < 0)
        return -1;
    if (w->report.format != REPORT_JSON)
        return 0;
    fcntl(w->report.fd, F_SETFL, O_NONBLOCK);
    return loop_watch(w->loop, &w->report_watch, 0, err);
}

static int set_up(struct worker *w, struct err *err) {
    const struct worker_options *o = w->options;
    proc_spare_children();
    if (loop_new(&w->loop, err) < 0 || catch_signals(w, err) < 0)
        return -1;
    w->null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (w->null_fd < 0)
        return err_set(err, ERR_FAILED, "/dev/null: %s", strerror(errno));
    if (store_open(o->store, STORE_CREATE, &w->store, err) < 0)
        return -1;
    w->store_path = realpath(o->store, NULL);
    if (!w->store_path)
        return err_set(err, ERR_STORE, "%s: %s", o->store, strerror(errno));
    w->n_slots = 2 * (o->slots + AHEAD_JOBS);
    w->slots = xcalloc((size_t)w->n_slots, sizeof(*w->slots));
    for (int i = 0; i < w->n_slots; i++)
        slot_init(&w->slots[i], w, (uint32_t)i);
    if (lease_take(&w->lease, w->store, o->name, o->slots, o->lane, err) < 0 ||
        guardian_start(&w->guardian, w->lease.lock_fd, w->n_slots, o->slots, err) < 0 ||
        watch_all(w, err) < 0)
        return -1;
    bool halted;
    if (o->lane && w->store->ops->run_left(w->store, o->lane, &w->run_left, &halted, err) < 0)
        return -1;
    w->beat_at_ms = clock_mono_ms();
    w->claim_due = w->tick_due = w->recover_due = w->orders_due = true;
    loop_timer(w->loop, &w->backstop, BACKSTOP_US);
    return 0;
}

static void tear_down(struct worker *w) {
    if (w->guardian.pid > 0)
        guardian_stop(&w->guardian);
    for (int i = 0; w->slots && i < w->n_slots; i++)
        slot_free(&w->slots[i]);
    free(w->slots);
    if (w->store) {
        lease_release(&w->lease, w->store);
        w->store->ops->checkpoint(w->store, 1 << 20);
        w->store->ops->close(w->store);
    }
    fd_close(&w->null_fd);
    free(w->store_path);
    programs_free(w);
    buf_free(&w->report.pending);
    loop_free(w->loop);
}

static void say_started(struct worker *w) {
    char text[128];
    snprintf(text, sizeof(text), "pid %d slots %d", getpid(), w->options->slots);
    say(w, "started", text);
}

static int run_loop(struct worker *w, struct err *err) {
    while (!w->finished) {
        if (worker_tick(w) < 0) {
            *err = w->err;
            return -1;
        }
        stop(w, w->asked);
        if (!report_flush(&w->report))
            stop(w, MODE_STOP); /* whoever runs these jobs is gone */
        if (w->report.format == REPORT_JSON && !w->report.broken)
            loop_watch(w->loop, &w->report_watch, w->report.pending.len ? EPOLLOUT : 0, NULL);
        if (is_over(w))
            break;
        bool wait = !w->tick_due || w->retry.due.pos;
        if (loop_once(w->loop, wait, err) < 0)
            return -1;
    }
    if (w->rc < 0)
        *err = w->err;
    return w->rc;
}

int worker_main(const struct worker_options *o, struct err *err) {
    struct worker w = {.options = o,
                       .lease = {.lock_fd = -1},
                       .guardian = {.fd = -1},
                       .null_fd = -1,
                       .run_left = -1,
                       .report = {.format = o->format, .fd = o->report_fd},
                       .retry = {.fn = on_retry},
                       .due = {.fn = on_due},
                       .flush = {.fn = on_flush},
                       .backstop = {.fn = on_backstop},
                       .ahead = {.fn = on_ahead},
                       .batch = {.fn = on_batch},
                       .mean_ms = MEAN_UNKNOWN_MS};
    int rc = set_up(&w, err);
    if (rc == 0) {
        say_started(&w);
        rc = run_loop(&w, err);
        say(&w, "stopped", NULL);
        report_flush(&w.report);
    }
    tear_down(&w);
    return rc;
}
