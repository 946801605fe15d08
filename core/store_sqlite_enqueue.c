/* Into the store, and what people do to jobs there: enqueue, cancel, retry. */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "ids.h"
#include "pack.h"
#include "store_sqlite_impl.h"

static uint64_t mix(uint64_t hash, const void *p, size_t len) {
    const unsigned char *c = p;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ c[i]) * 1099511628211ULL; /* FNV-1a */
    return (hash ^ len) * 1099511628211ULL;
}

static uint64_t mix_text(uint64_t hash, const char *s) {
    return s ? mix(hash, s, strlen(s)) : mix(hash, "\377", 1);
}

/* Equal settings have equal fingerprints: how a repeated enqueue of the same id is recognised. */
static int64_t fingerprint(const struct job_spec *j) {
    int64_t numbers[] = {j->kind,          j->priority, j->retries,      j->timeout_ms,
                         j->kill_after_ms, j->delay_ms, j->allow_failure};
    uint64_t h = mix(14695981039346656037ULL, numbers, sizeof(numbers));
    const struct bytes blobs[] = {j->command, j->env, j->ok_codes, j->outputs, j->stdin_text};
    for (size_t i = 0; i < ARRAY_LEN(blobs); i++)
        h = mix(h, blobs[i].data, blobs[i].len);
    const char *texts[] = {j->name,       j->queue,       j->group, j->cwd, j->backoff,
                           j->stdin_path, j->description, j->tags,  j->meta};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        h = mix_text(h, texts[i]);
    return (int64_t)h;
}

struct batch { /* of one call */
    int64_t run, now;
    const struct job_spec *specs;
    struct enqueued *out;
};

/* Fingerprint of a job of this very call, whose spec is not in the store yet. */
static int64_t fingerprint_in(const struct batch *b, int64_t seq) {
    size_t i = 0;
    while (b->out[i].seq != seq)
        i++;
    return fingerprint(&b->specs[i]);
}

/* An id that is taken: 1 the same job, 0 free, -1 another job or trouble. */
static int same_job(struct sqlite_store *s, const struct batch *b, size_t i, struct err *err) {
    const struct job_spec *spec = &b->specs[i];
    struct enqueued *out = &b->out[i];
    sqlite3_stmt *st = q_open(s, err,
                              "SELECT seq, state, run_at, fingerprint"
                              " FROM job LEFT JOIN spec USING(seq) WHERE id = ?",
                              "t", spec->id);
    if (!st)
        return -1;
    int rc = q_row(s, st, err);
    if (rc <= 0)
        return rc;
    out->seq = sqlite3_column_int64(st, 0);
    out->state = (enum job_state)sqlite3_column_int(st, 1);
    out->run_at = sqlite3_column_int64(st, 2);
    out->existed = true;
    int64_t print = sqlite3_column_type(st, 3) == SQLITE_NULL ? fingerprint_in(b, out->seq)
                                                              : sqlite3_column_int64(st, 3);
    q_end(st);
    bool same = print == fingerprint(spec);
    if (same)
        return 1;
    return err_set(err, ERR_STATE,
                   "job '%s' exists with other settings and is %s; choose another id", spec->id,
                   job_state_names[out->state]);
}

static int insert_job(struct sqlite_store *s, int64_t run, const struct job_spec *spec, int64_t now,
                      struct enqueued *out, struct err *err) {
    return q_run(s, err,
                 "INSERT INTO job(id, queue, grp, run, lane, state, priority, waits, run_at,"
                 " created_at, updated_at, delay_ms) VALUES (?,?,?,?,?4,?,?,?,?,?,?9,?)",
                 "tttiiiiiii", out->id, spec->queue, spec->group, run, (int64_t)out->state,
                 (int64_t)spec->priority, (int64_t)spec->needs_len, out->run_at, now,
                 spec->delay_ms);
}

/* A made id may be taken already, rarely: another one is made. */
static int insert_named(struct sqlite_store *s, int64_t run, const struct job_spec *spec,
                        int64_t now, struct enqueued *out, struct err *err) {
    for (int tries = 0; tries < 1000; tries++) {
        if (spec->id)
            memcpy(out->id, spec->id, strlen(spec->id) + 1);
        else
            id_make(out->id);
        if (insert_job(s, run, spec, now, out, err) == 1) {
            out->seq = sqlite3_last_insert_rowid(s->db);
            return 0;
        }
        if (spec->id || sqlite3_extended_errcode(s->db) != SQLITE_CONSTRAINT_UNIQUE)
            return -1;
    }
    return -1;
}

/* Parents stand as indexes in a spec's packed lists and as seqs in the store. */
static void number_parents(struct bytes list, const struct enqueued *done, struct buf *out) {
    size_t pos = 0;
    const char *entry;
    while ((entry = pack_next(list.data, list.len, &pos))) {
        long long index;
        const char *key, *name;
        size_t key_len;
        if (entry[0] != PACK_LATER || pack_later(entry + 1, &index, &key, &key_len, &name) < 0) {
            buf_add(out, entry, strlen(entry) + 1);
            continue;
        }
        buf_printf(out, "%c%lld:%s", PACK_LATER, (long long)done[index].seq, key);
        buf_add(out, "", 1);
    }
}

static int insert_spec(struct sqlite_store *s, const struct job_spec *j,
                       const struct enqueued *done, int64_t seq, struct err *err) {
    struct buf command = {0}, env = {0};
    if (j->kind == JOB_ARGV)
        number_parents(j->command, done, &command);
    else
        buf_add(&command, j->command.data, j->command.len);
    number_parents(j->env, done, &env);
    int rc = q_run(s, err,
                   "INSERT INTO spec(seq, fingerprint, name, kind, command, env, cwd, stdin,"
                   " stdin_path, retries, timeout_ms, kill_after_ms, backoff, ok_codes,"
                   " allow_failure, outputs, description, tags, meta)"
                   " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                   "iitibbtbtiiitbibttt", seq, fingerprint(j), j->name, (int64_t)j->kind,
                   (struct bytes){command.data, command.len}, (struct bytes){env.data, env.len},
                   j->cwd, j->stdin_text, j->stdin_path, (int64_t)j->retries, j->timeout_ms,
                   j->kill_after_ms, j->backoff, j->ok_codes, (int64_t)j->allow_failure, j->outputs,
                   j->description, j->tags, j->meta);
    buf_free(&command);
    buf_free(&env);
    return rc < 0 ? -1 : 0;
}

static int64_t parent_seq(const struct job_need *need, const struct enqueued *done) {
    return need->by_seq ? need->parent : done[need->parent].seq;
}

static int insert_needs(struct sqlite_store *s, const struct job_spec *j,
                        const struct enqueued *done, int64_t seq, struct err *err) {
    int64_t waits = 0;
    for (size_t i = 0; i < j->needs_len; i++) {
        int n = q_run(s, err, "INSERT OR IGNORE INTO dep(parent, child, cond) VALUES (?, ?, ?)",
                      "iii", parent_seq(&j->needs[i], done), seq, (int64_t)j->needs[i].on);
        if (n < 0)
            return -1;
        waits += n;
    }
    if (waits == (int64_t)j->needs_len)
        return 0;
    return q_run(s, err, "UPDATE job SET waits = ? WHERE seq = ?", "ii", waits, seq) < 0 ? -1 : 0;
}

/* Needs of jobs that were there before the call, and may have ended. */
static int settle_needs(struct sqlite_store *s, const struct job_spec *j,
                        const struct enqueued *done, struct enqueued *out, struct err *err) {
    bool any = false;
    for (size_t i = 0; i < j->needs_len; i++) {
        const struct job_need *need = &j->needs[i];
        if (!need->by_seq && !done[need->parent].existed)
            continue;
        any = true;
        if (settle_if_final(s, parent_seq(need, done), err) < 0)
            return -1;
    }
    int64_t state = out->state;
    if (any &&
        (q_int(s, err, &state, "SELECT state FROM job WHERE seq = ?", "i", out->seq) < 0 ||
         q_int(s, err, &out->run_at, "SELECT run_at FROM job WHERE seq = ?", "i", out->seq) < 0))
        return -1;
    out->state = (enum job_state)state;
    return 0;
}

static int enqueue_one(struct sqlite_store *s, const struct batch *b, size_t i, struct err *err) {
    const struct job_spec *spec = &b->specs[i];
    struct enqueued *out = &b->out[i];
    *out = (struct enqueued){0};
    if (spec->id) {
        int rc = same_job(s, b, i, err);
        if (rc != 0) {
            memcpy(out->id, spec->id, strlen(spec->id) + 1);
            return rc < 0 ? -1 : 0;
        }
    }
    out->state = spec->needs_len ? JOB_WAITING : JOB_PENDING;
    out->run_at = b->now + spec->delay_ms;
    if (insert_named(s, b->run, spec, b->now, out, err) < 0)
        return -1;
    count_change(s, spec->queue, out->state, +1);
    struct job_ref ref = {.seq = out->seq, .lane = b->run, .priority = spec->priority};
    return spec->needs_len ? 0 : line_up(s, &ref, out->run_at, b->now, err);
}

/* Specs and dependencies come second: a parent may stand after its child. */
static int enqueue_rest(struct sqlite_store *s, const struct job_spec *specs, size_t n,
                        const struct enqueued *out, struct err *err) {
    for (size_t i = 0; i < n; i++) {
        if (out[i].existed)
            continue;
        if (insert_spec(s, &specs[i], out, out[i].seq, err) < 0 ||
            insert_needs(s, &specs[i], out, out[i].seq, err) < 0)
            return -1;
    }
    return 0;
}

int op_enqueue(struct store *base, int64_t run, const struct job_spec *specs, size_t n,
               struct enqueued *out, struct err *err) {
    struct sqlite_store *s = (struct sqlite_store *)base;
    struct batch b = {.run = run, .now = clock_wall_ms(), .specs = specs, .out = out};
    for (size_t i = 0; i < n; i++)
        if (enqueue_one(s, &b, i, err) < 0)
            return -1;
    if (enqueue_rest(s, specs, n, out, err) < 0)
        return -1;
    if (run && n &&
        q_run(s, err, "UPDATE run SET first_seq = ?, last_seq = ?, left = ? WHERE id = ?", "iiii",
              out[0].seq, out[n - 1].seq, (int64_t)n, run) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (!out[i].existed && settle_needs(s, &specs[i], out, &out[i], err) < 0)
            return -1;
    return 0;
}

static int find(struct sqlite_store *s, const char *id, struct job_ref *out, struct err *err) {
    int64_t seq = 0;
    int rc = q_int(s, err, &seq, "SELECT seq FROM job WHERE id = ?", "t", id);
    return rc <= 0 ? rc : job_ref_get(s, seq, out, err);
}

int op_cancel(struct store *base, const char *id, enum job_state *after, struct err *err) {
    struct sqlite_store *s = (struct sqlite_store *)base;
    struct job_ref j;
    int rc = find(s, id, &j, err);
    if (rc <= 0)
        return rc;
    *after = JOB_CANCELLED;
    if (j.state == JOB_CANCELLED)
        return 1;
    if (j.state == JOB_PROCESSING) {
        *after = JOB_PROCESSING;
        return q_run(s, err, "UPDATE job SET cancel = 1 WHERE seq = ? AND state = 2", "i", j.seq);
    }
    if (!job_may_change(j.state, JOB_CANCELLED))
        return err_set(err, ERR_STATE, "job '%s' is %s; only unfinished jobs can be cancelled", id,
                       job_state_names[j.state]);
    if (leave_line(s, &j, err) < 0)
        return -1;
    return change_state(s, &j, JOB_CANCELLED, CAUSE_CANCELLED, err);
}

/* The run a job belongs to takes it back only while it is being worked; else it is everybody's, and
 * stays so: the run counts only jobs of its own lane. */
static int lane_for_retry(struct sqlite_store *s, struct job_ref *j, struct err *err) {
    int64_t live = 0;
    if (j->lane == LANE_COMMON)
        return 0;
    if (q_int(s, err, &live,
              "SELECT count(*) FROM run JOIN worker ON worker.id = run.worker"
              " WHERE run.id = ?",
              "i", j->run) < 0)
        return -1;
    if (!live) {
        j->lane = LANE_COMMON;
        return 0;
    }
    bool failed = j->state == JOB_CANCELLED || (j->state == JOB_DEAD && !j->allow_failure);
    return q_run(s, err,
                 "UPDATE run SET left = left + 1, failed = failed - ?2, finished_at = 0"
                 " WHERE id = ?1",
                 "ii", j->run, (int64_t)failed);
}

int op_retry(struct store *base, const char *id, bool again, enum job_state *before,
             struct err *err) {
    struct sqlite_store *s = (struct sqlite_store *)base;
    struct job_ref j;
    int rc = find(s, id, &j, err);
    if (rc <= 0)
        return rc;
    *before = j.state;
    bool may = j.state == JOB_DEAD || j.state == JOB_FAILED || j.state == JOB_CANCELLED ||
               (j.state == JOB_COMPLETED && again);
    if (!may)
        return err_set(err, ERR_STATE, "job '%s' is %s; %s", id, job_state_names[j.state],
                       j.state == JOB_COMPLETED
                           ? "to run it once more: queuectl retry --again"
                           : "only dead, failed and cancelled jobs are retried");
    if (leave_line(s, &j, err) < 0 || (j.state != JOB_FAILED && lane_for_retry(s, &j, err) < 0) ||
        change_state(s, &j, JOB_PENDING, CAUSE_NONE, err) < 0)
        return -1;
    int64_t now = clock_wall_ms();
    if (q_run(s, err,
              "UPDATE job SET lane = ?2, tries = 0, deaths = 0, waits = 0, error = NULL,"
              " worker = 0, cancel = 0, run_at = ?3, exit_code = -1, signal = -1, delay_ms = 0,"
              " finished_at = 0 WHERE seq = ?1",
              "iii", j.seq, j.lane, now) < 0 ||
        line_up(s, &j, now, now, err) < 0)
        return -1;
    return 1;
}
