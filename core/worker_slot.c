/* A slot: one running job after another. What may happen in which state is the table at the end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "clock.h"
#include "decide.h"
#include "worker_impl.h"

enum {
    READ_ROUNDS = 8,        /* of 64 KiB per wake-up, so that a flood does not starve the others */
    IDLE_GRACE_US = 500000, /* after the leader's end, without output from what it left */
    HARD_GRACE_US = 2000000 /* the same, with output */
};

static void close_stream(struct slot_stream *st) {
    if (st->watch.fd < 0)
        return;
    loop_unwatch(st->slot->worker->loop, &st->watch);
    fd_close(&st->watch.fd);
}

static bool all_closed(const struct slot *s) {
    for (int i = 0; i < SLOT_PIPES; i++)
        if (s->streams[i].watch.fd >= 0)
            return false;
    return true;
}

static void close_all(struct slot *s) {
    for (int i = 0; i < SLOT_PIPES; i++)
        close_stream(&s->streams[i]);
}

/* ---- output ---- */

static void flush_soon(struct worker *w) {
    if (!w->flush.due.pos && !w->flush_due)
        loop_timer(w->loop, &w->flush, 250000);
}

static void take_bytes(struct slot_stream *st, const char *data, size_t len) {
    struct slot *s = st->slot;
    if (st->stream == 0) {
        buf_add(&s->channel, data, len);
        channel_read(s);
        return;
    }
    secrets_output(s, st->stream, data, len);
    if (s->output.pieces_len > OUTPUT_PIECES)
        s->worker->flush_due = s->worker->tick_due = true;
    else
        flush_soon(s->worker);
}

static void read_stream(struct slot_stream *st, int rounds) {
    static char data[65536];
    while (st->watch.fd >= 0 && rounds-- > 0) {
        ssize_t n = read(st->watch.fd, data, sizeof(data));
        if (n > 0) {
            take_bytes(st, data, (size_t)n);
            if ((size_t)n < sizeof(data) && rounds > 1)
                rounds = 1; /* probably empty: one more look for the end */
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        close_stream(st);
    }
}

static void read_all(struct slot *s) {
    for (int i = 0; i < SLOT_PIPES; i++)
        read_stream(&s->streams[i], READ_ROUNDS);
}

static void rearm_grace(struct slot *s) {
    int64_t left = s->grace_until_us - clock_mono_us();
    loop_timer(s->worker->loop, &s->grace, left < IDLE_GRACE_US ? left : IDLE_GRACE_US);
}

static void on_readable(struct watch *watch, uint32_t events) {
    (void)events;
    struct slot_stream *st =
        (struct slot_stream *)((char *)watch - offsetof(struct slot_stream, watch));
    struct slot *s = st->slot;
    read_stream(st, READ_ROUNDS);
    if (all_closed(s))
        slot_event(s, SLOT_EV_EOF);
    else if (s->state == SLOT_DRAINING)
        rearm_grace(s);
}

static void on_grace(struct timer *t) {
    slot_event((struct slot *)((char *)t - offsetof(struct slot, grace)), SLOT_EV_GRACE);
}

/* ---- what happens when: each returns the next state ---- */

static enum slot_state done(struct slot *s) {
    loop_timer_stop(s->worker->loop, &s->grace);
    read_all(s);
    close_all(s);
    secrets_output_end(s);
    s->ended_at = clock_wall_ms();
    return SLOT_DONE;
}

static enum slot_state started(struct slot *s) {
    struct worker *w = s->worker;
    s->started = true;
    s->job.started_at = clock_wall_ms();
    loop_timer_stop(w->loop, &w->ahead); /* the line moves */
    if (w->queued > 1)
        loop_timer(w->loop, &w->ahead, AHEAD_WAIT_US);
    report_emit(&w->report, &(struct report_event){
                                .what = "picked", .job = &s->job, .fraction = -1, .left = -1});
    return SLOT_RUNNING;
}

/* TERM, and the rest of the ladder, is the guardian's; it will tell of the end. */
static enum slot_state stop(struct slot *s) {
    struct guardian_request r = {.type = GUARD_CANCEL, .slot = s->number};
    guardian_send(&s->worker->guardian, &r, NULL, NULL, 0);
    return s->state;
}

static enum slot_state recall(struct slot *s) {
    struct guardian_request r = {.type = GUARD_RECALL, .slot = s->number};
    guardian_send(&s->worker->guardian, &r, NULL, NULL, 0);
    return s->state;
}

static enum slot_state not_started(struct slot *s) {
    s->exit = (struct guardian_event){.exit_code = -1, .signal = -1};
    return done(s);
}

static enum slot_state end_tree(struct slot *s) {
    struct guardian_request r = {.type = GUARD_END, .slot = s->number};
    loop_timer_stop(s->worker->loop, &s->grace);
    guardian_send(&s->worker->guardian, &r, NULL, NULL, 0);
    return SLOT_ENDING;
}

static enum slot_state pipes_closed(struct slot *s) {
    return s->exit.clean ? done(s) : end_tree(s);
}

static enum slot_state leader_ended(struct slot *s) {
    read_all(s);
    if (all_closed(s))
        return pipes_closed(s);
    s->grace_until_us = clock_mono_us() + HARD_GRACE_US;
    rearm_grace(s);
    return SLOT_DRAINING;
}

static enum slot_state grace_over(struct slot *s) {
    s->incomplete = true;
    return s->exit.clean ? done(s) : end_tree(s);
}

static enum slot_state tree_lost(struct slot *s) {
    s->lost = true;
    return done(s);
}

static enum slot_state (*const transitions[SLOT_STATES][SLOT_EVENTS])(struct slot *s) = {
    [SLOT_QUEUED] = {[SLOT_EV_START] = started,
                     [SLOT_EV_STOP] = stop,
                     [SLOT_EV_RECALL] = recall,
                     [SLOT_EV_GONE] = not_started,
                     [SLOT_EV_LOST] = not_started},
    [SLOT_RUNNING] = {[SLOT_EV_STOP] = stop,
                      [SLOT_EV_EXIT] = leader_ended,
                      [SLOT_EV_LEFT] = leader_ended,
                      [SLOT_EV_LOST] = tree_lost},
    [SLOT_DRAINING] = {[SLOT_EV_STOP] = stop,
                       [SLOT_EV_EOF] = pipes_closed,
                       [SLOT_EV_GRACE] = grace_over,
                       [SLOT_EV_LOST] = tree_lost},
    [SLOT_ENDING] = {[SLOT_EV_GONE] = done, [SLOT_EV_LOST] = done},
};

/* How many slots are in which state. */
static void count(struct slot *s, enum slot_state state, int by) {
    struct worker *w = s->worker;
    if (state == SLOT_QUEUED)
        w->queued += by;
    else if (state == SLOT_DONE)
        w->done += by;
    else if (state != SLOT_FREE)
        w->running += by;
}

static void enter(struct slot *s, enum slot_state state) {
    count(s, s->state, -1);
    s->state = state;
    count(s, s->state, +1);
}

void slot_event(struct slot *s, enum slot_event event) {
    enum slot_state (*act)(struct slot *) = transitions[s->state][event];
    if (act)
        enter(s, act(s));
}

/* ---- life ---- */

void slot_init(struct slot *s, struct worker *w, uint32_t number) {
    *s = (struct slot){.worker = w, .number = number, .grace = {.fn = on_grace}};
    for (int i = 0; i < SLOT_PIPES; i++)
        s->streams[i] = (struct slot_stream){.watch = {.fn = on_readable, .fd = -1},
                                             .slot = s,
                                             .stream = i == PIPE_OUT   ? 1
                                                       : i == PIPE_ERR ? 2
                                                                       : 0};
}

void slot_take(struct slot *s, struct job *job) {
    struct err err = {0};
    s->job = *job;
    *job = (struct job){0};
    s->failure_code = -1;
    enter(s, SLOT_QUEUED);
    s->expired = job_is_too_old(&s->job, s->job.started_at);
    if (s->expired) {
        enter(s, not_started(s));
        return;
    }
    if (start_job(s, &err) == 0)
        return;
    s->failure = xstrdup(err.text);
    enter(s, started(s));
    enter(s, done(s));
}

void slot_cancel(struct slot *s, bool interrupted) {
    if (!transitions[s->state][SLOT_EV_STOP])
        return;
    if (interrupted)
        s->interrupted = true;
    else
        s->cancelled = true;
    slot_event(s, SLOT_EV_STOP);
}

void slot_free(struct slot *s) {
    struct worker *w = s->worker;
    close_all(s);
    loop_timer_stop(w->loop, &s->grace);
    job_free(&s->job);
    output_free(&s->output);
    buf_free(&s->channel);
    buf_free(&s->values);
    free(s->lua.text);
    free(s->failure);
    free(s->missing);
    free(s->refused);
    buf_free(&s->report);
    free(s->report_note);
    buf_free(&s->artifacts);
    added_free(s);
    secrets_free(s);
    if (s->output_path)
        unlink(s->output_path);
    free(s->output_path);
    enter(s, SLOT_FREE);
    slot_init(s, w, s->number);
}
