/* Everything of the worker that touches the store. One tick is one transaction: record what has
 * ended, store new output, take new jobs; the jobs are started after its commit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "decide.h"
#include "pack.h"
#include "worker_impl.h"

enum {
    BUSY_RETRY_US = 3000,
    BUSY_SAY_MS = 5000, /* then it is said, and tried less often */
    BUSY_LONG_RETRY_US = 50000,
    FULL_RETRY_US = 1000000,
    REPORT_HIGH = 256 * 1024, /* a reader this far behind stops the taking of jobs */
    CHECKPOINT_TICKS = 400,
    CHECKPOINT_BYTES = 4 << 20,
};

/* An ended job on its way into the store. */
struct record {
    struct slot *slot;
    struct outcome outcome;
    struct decision decision;
    char *text; /* owns outcome.error */
    bool stale;
};

struct tick {
    struct record *records;
    size_t records_len;
    struct job *jobs;
    size_t jobs_len;
    int64_t next_due;
    bool stored_output;
};

/* How many jobs to take now. */
static int wanted(const struct worker *w) {
    bool ahead = w->mean_ms < AHEAD_BELOW_MS && w->options->slots <= AHEAD_SLOTS;
    return w->options->slots + (ahead ? AHEAD_JOBS : 0) - w->running - w->queued;
}

static bool may_claim(const struct worker *w) {
    return w->claim_due && w->mode == MODE_WORK && w->report.pending.len < REPORT_HIGH &&
           wanted(w) > 0;
}

/* ---- inside the transaction ---- */

static int store_output(struct worker *w, struct slot *s, struct err *err) {
    if (!s->output.pieces_len)
        return 0;
    struct chunk *chunks;
    size_t n = output_unstored(&s->output, &chunks);
    int rc = w->store->ops->output_add(w->store, &s->job, chunks, n, s->output.total, err);
    free(chunks);
    return rc;
}

static int store_values(struct worker *w, const struct slot *s, struct err *err) {
    size_t pos = 0;
    for (const char *e; (e = pack_next(s->values.data, s->values.len, &pos));) {
        size_t len = strcspn(e + 1, "=");
        char *key = xmemdup0(e + 1, len);
        const char *value = e + 1 + len + 1;
        int rc = w->store->ops->value_set(w->store, s->job.seq, key,
                                          (struct bytes){value, strlen(value)}, err);
        free(key);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static int store_artifacts(struct worker *w, const struct slot *s, struct err *err) {
    size_t pos = 0;
    int rc = 0;
    for (const char *e; rc == 0 && (e = pack_next(s->artifacts.data, s->artifacts.len, &pos));) {
        char *end = NULL;
        int64_t size = strtoll(e + 1, &end, 10);
        char *path = secrets_mask(s, end + 1, false);
        rc = w->store->ops->artifact_set(w->store, s->job.seq, path, size, err);
        free(path);
    }
    return rc;
}

static struct decision decision_for(const struct slot *s, const struct outcome *o) {
    int64_t wait = o->cause == CAUSE_SNOOZE ? s->lua.snooze_ms : s->failure ? 1000 : 0;
    struct decision d = decide(&s->job, o, wait, clock_wall_ms(), decision_random(&s->job));
    if (o->cause == CAUSE_LUA && s->lua.kind == LUA_FATAL)
        d = (struct decision){.state = JOB_DEAD};
    return d;
}

static int record_one(struct worker *w, struct record *r, struct err *err) {
    struct slot *s = r->slot;
    int rc = w->store->ops->finish(w->store, &s->job, &r->outcome, &r->decision, err);
    r->stale = rc == 0;
    if (rc <= 0)
        return rc;
    if (store_output(w, s, err) < 0)
        return -1;
    if (r->decision.state != JOB_COMPLETED)
        return 0;
    return store_values(w, s, err) < 0 || store_artifacts(w, s, err) < 0 ? -1 : added_store(s, err);
}

/* A death may halt the job's run. */
static int look_at_run(struct worker *w, const struct record *r, struct err *err) {
    int64_t run = r->slot->job.run, left;
    bool halted = false;
    if (!run || r->stale || r->decision.state != JOB_DEAD)
        return 0;
    int rc = w->store->ops->run_left(w->store, run, &left, &halted, err);
    w->recall_due = w->recall_due || halted;
    return rc;
}

static int record_all(struct worker *w, struct tick *t, struct err *err) {
    for (size_t i = 0; i < t->records_len; i++)
        if (record_one(w, &t->records[i], err) < 0 || look_at_run(w, &t->records[i], err) < 0)
            return -1;
    return 0;
}

static int store_running(struct worker *w, struct tick *t, struct err *err) {
    if (!w->flush_due)
        return 0;
    t->stored_output = true;
    for (int i = 0; i < w->n_slots; i++) {
        struct slot *s = &w->slots[i];
        if (s->state != SLOT_FREE && s->state != SLOT_QUEUED && s->state != SLOT_DONE &&
            store_output(w, s, err) < 0)
            return -1;
    }
    return 0;
}

static int claim(struct worker *w, struct tick *t, struct err *err) {
    int64_t now = clock_wall_ms();
    bool idle = w->running + w->queued == 0;
    if (!may_claim(w) || (w->wait_alone && !idle))
        return 0;
    struct claim_query q = {.lane = w->options->lane,
                            .worker = w->lease.worker,
                            .now = now,
                            .max = wanted(w),
                            .idle = idle};
    bool alone = false;
    t->jobs = xcalloc((size_t)q.max, sizeof(*t->jobs));
    if (w->store->ops->promote(w->store, q.lane, now, &t->next_due, err) < 0 ||
        w->store->ops->claim(w->store, &q, t->jobs, &t->jobs_len, &alone, err) < 0)
        return -1;
    w->wait_alone = alone;
    w->claim_due = alone || t->jobs_len == (size_t)q.max || (t->next_due && t->next_due <= now);
    return 0;
}

static int look_at_lane(struct worker *w, struct err *err) {
    bool halted;
    if (!w->options->lane)
        return 0;
    return w->store->ops->run_left(w->store, w->options->lane, &w->run_left, &halted, err);
}

static int beat(struct worker *w, struct err *err) {
    if (!w->beat_due)
        return 0;
    return w->store->ops->worker_beat(w->store, w->lease.worker, err);
}

static int transact(struct worker *w, struct tick *t, struct err *err) {
    struct store *s = w->store;
    if (s->ops->begin(s, err) < 0)
        return -1;
    int rc = record_all(w, t, err);
    if (rc == 0)
        rc = store_running(w, t, err);
    if (rc == 0)
        rc = claim(w, t, err);
    if (rc == 0)
        rc = beat(w, err);
    if (rc == 0 && t->records_len)
        rc = look_at_lane(w, err);
    if (rc < 0) {
        s->ops->rollback(s);
        return -1;
    }
    return s->ops->commit(s, err);
}

/* ---- after it ---- */

static const char *event_name(const struct record *r) {
    if (r->stale)
        return "stale";
    if (r->decision.state != JOB_PENDING)
        return job_state_names[r->decision.state];
    if (r->outcome.cause == CAUSE_SNOOZE)
        return "snoozed";
    return r->outcome.cause == CAUSE_INTERRUPTED ? "handed back" : "recovered";
}

static void report_record(struct worker *w, const struct record *r) {
    if (r->outcome.cause == CAUSE_NONE)
        return; /* nothing was said of its start either */
    report_emit(&w->report, &(struct report_event){.what = event_name(r),
                                                   .job = &r->slot->job,
                                                   .outcome = &r->outcome,
                                                   .decision = &r->decision,
                                                   .fraction = -1,
                                                   .left = w->run_left});
}

static void start_claimed(struct worker *w, struct tick *t) {
    int at = 0;
    for (size_t i = 0; i < t->jobs_len; i++) {
        while (w->slots[at].state != SLOT_FREE)
            at++;
        slot_take(&w->slots[at], &t->jobs[i]);
    }
    t->jobs_len = 0;
    if (w->queued && !w->ahead.due.pos)
        loop_timer(w->loop, &w->ahead, AHEAD_WAIT_US);
}

static void wake_when_due(struct worker *w, int64_t next_due) {
    loop_timer_stop(w->loop, &w->due);
    if (next_due)
        loop_timer(w->loop, &w->due, (next_due - clock_wall_ms()) * 1000);
}

static void committed(struct worker *w, struct tick *t) {
    w->storing_failed = false;
    w->failing_since_ms = 0;
    for (size_t i = 0; i < t->records_len; i++) {
        report_record(w, &t->records[i]);
        if (t->records[i].outcome.cause != CAUSE_NONE)
            w->mean_ms += ((double)t->records[i].outcome.duration_ms - w->mean_ms) / 16;
        slot_free(t->records[i].slot);
    }
    for (int i = 0; t->stored_output && i < w->n_slots; i++)
        output_stored(&w->slots[i].output);
    if (t->jobs)
        wake_when_due(w, t->next_due);
    if (w->recall_due)
        worker_recall(w);
    w->recall_due = false;
    start_claimed(w, t);
    w->flush_due = w->flush_due && !t->stored_output;
    w->beat_due = false;
    static unsigned ticks;
    if (++ticks % CHECKPOINT_TICKS == 0)
        w->store->ops->checkpoint(w->store, CHECKPOINT_BYTES);
    /* For those who wait and follow. Our own ring is drained at once; what else rang meanwhile
     * shows in the data version. */
    w->store->ops->ring(w->store);
    if (w->store->ops->notify_drain(w->store) & NOTIFY_WORKER_GONE)
        w->recover_due = true;
    if (w->store->ops->changed(w->store))
        w->claim_due = w->orders_due = true;
    /* Done already: it could not be started. */
    w->tick_due = w->done || (may_claim(w) && !w->wait_alone);
}

/* Nothing was stored: keep everything and say when to try again. */
static int failed(struct worker *w, struct tick *t, struct err *err) {
    while (t->jobs_len)
        job_free(&t->jobs[--t->jobs_len]);
    w->claim_due = true;
    w->tick_due = false;
    if (!w->failing_since_ms)
        w->failing_since_ms = clock_mono_ms();
    if (err->code == ERR_BUSY && clock_mono_ms() - w->failing_since_ms < BUSY_SAY_MS) {
        loop_timer(w->loop, &w->retry, BUSY_RETRY_US);
        return 0;
    }
    if (err->code != ERR_STORE && err->code != ERR_BUSY) {
        w->err = *err;
        return -1;
    }
    if (!w->storing_failed)
        report_emit(
            &w->report,
            &(struct report_event){.what = "store", .text = err->text, .fraction = -1, .left = -1});
    w->storing_failed = true;
    if (err->code == ERR_STORE)
        w->store->ops->checkpoint(w->store, 0); /* what is in the log twice makes room */
    loop_timer(w->loop, &w->retry, err->code == ERR_BUSY ? BUSY_LONG_RETRY_US : FULL_RETRY_US);
    return 0;
}

static void collect_records(struct worker *w, struct tick *t) {
    if (w->done)
        w->claim_due = true; /* there is room, and dependants may be ready */
    t->records = xcalloc((size_t)w->done, sizeof(*t->records));
    for (int i = 0; i < w->n_slots; i++) {
        struct slot *s = &w->slots[i];
        if (s->state != SLOT_DONE)
            continue;
        struct record *r = &t->records[t->records_len++];
        r->slot = s;
        r->outcome = slot_outcome(s, &r->text);
        r->decision = decision_for(s, &r->outcome);
        if (r->decision.too_old)
            outcome_add_age(&r->outcome, &r->text, &s->job);
    }
}

/* ---- orders and the dead ---- */

static struct slot *slot_of(struct worker *w, int64_t seq) {
    for (int i = 0; i < w->n_slots; i++)
        if (w->slots[i].state != SLOT_FREE && w->slots[i].job.seq == seq)
            return &w->slots[i];
    return NULL;
}

static int follow_orders(struct worker *w, struct err *err) {
    struct orders o = {.max = (size_t)w->n_slots};
    o.cancel = xcalloc(o.max, sizeof(*o.cancel));
    int rc = w->store->ops->orders(w->store, w->lease.worker, &o, err);
    for (size_t i = 0; rc == 0 && i < o.n; i++) {
        struct slot *s = slot_of(w, o.cancel[i]);
        if (s && !s->cancelled)
            slot_cancel(s, false);
    }
    free(o.cancel);
    if (rc == 0) /* others may have cancelled what was waiting */
        rc = look_at_lane(w, err);
    if (rc == 0 && o.stop != STOP_NONE)
        w->asked = o.stop == STOP_NOW ? MODE_STOP : MODE_DRAIN;
    return rc;
}

/* Reading may meet a lock too, rarely: later then. */
static int settle(struct worker *w) {
    struct err err = {0};
    size_t n = 0;
    if (w->orders_due && follow_orders(w, &err) == 0)
        w->orders_due = false;
    if (w->recover_due && lease_recover(w->store, w->lease.worker, &n, &err) == 0)
        w->recover_due = false;
    if (n) {
        w->claim_due = w->tick_due = true;
        char text[64];
        snprintf(text, sizeof(text), "%zu job%s of a dead worker", n, n == 1 ? "" : "s");
        report_emit(&w->report, &(struct report_event){
                                    .what = "recovered", .text = text, .fraction = -1, .left = -1});
    }
    if (err.code == ERR_NONE || err.code == ERR_BUSY || err.code == ERR_STORE) {
        if (err.code != ERR_NONE)
            loop_timer(w->loop, &w->retry, BUSY_RETRY_US);
        return 0;
    }
    w->err = err;
    return -1;
}

static bool has_to_write(const struct worker *w) {
    return w->done || w->flush_due || w->beat_due || may_claim(w);
}

int worker_tick(struct worker *w) {
    if ((w->orders_due || w->recover_due) && settle(w) < 0)
        return -1;
    if (w->done && !w->queued)
        w->tick_due = true;
    else if (w->done && !w->batch.due.pos)
        loop_timer(w->loop, &w->batch, BATCH_US);
    if (!w->tick_due || w->retry.due.pos)
        return 0;
    w->tick_due = false;
    loop_timer_stop(w->loop, &w->batch);
    if (!has_to_write(w))
        return 0;
    struct tick t = {0};
    struct err err = {0};
    collect_records(w, &t);
    int rc = transact(w, &t, &err);
    if (rc == 0)
        committed(w, &t);
    else
        rc = failed(w, &t, &err);
    for (size_t i = 0; i < t.records_len; i++)
        free(t.records[i].text);
    free(t.records);
    free(t.jobs);
    return rc;
}
