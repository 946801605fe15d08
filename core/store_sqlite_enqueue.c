/* Into the store: jobs, their settings and what they need. */
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

/* Settings that came with version 2 of the schema. Where none is used the fingerprint is what it
 * was, so that a job of an older store is recognised. */
static uint64_t mix_newer(uint64_t h, const struct job_spec *j) {
    if (!j->start_at && !j->max_age_ms && !j->when && !j->fail_fast && !j->artifacts.len &&
        !j->limits && !j->source)
        return h;
    int64_t numbers[] = {j->start_at, j->max_age_ms, j->when, j->fail_fast};
    h = mix(h, numbers, sizeof(numbers));
    h = mix(h, j->artifacts.data, j->artifacts.len);
    return mix_text(mix_text(h, j->limits), j->source);
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
    return (int64_t)mix_newer(h, j);
}

struct batch { /* of one call */
    int64_t run, lane, now;
    const struct job_spec *specs;
    struct enqueued *out;
    size_t n;
    struct run_ref ref;
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

static int insert_job(struct sqlite_store *s, const struct batch *b, const struct job_spec *spec,
                      struct enqueued *out, struct err *err) {
    int64_t waits = out->state == JOB_WAITING ? (int64_t)spec->needs_len : 0;
    return q_run(s, err,
                 "INSERT INTO job(id, queue, grp, run, lane, state, priority, waits, run_at,"
                 " created_at, updated_at, delay_ms) VALUES (?,?,?,?,?,?,?,?,?,?,?10,?)",
                 "tttiiiiiiii", out->id, spec->queue, spec->group, b->run, b->lane,
                 (int64_t)out->state, (int64_t)spec->priority, waits, out->run_at, b->now,
                 spec->delay_ms);
}

/* A made id may be taken already, rarely: another one is made. */
static int insert_named(struct sqlite_store *s, const struct batch *b, const struct job_spec *spec,
                        struct enqueued *out, struct err *err) {
    for (int tries = 0; tries < 1000; tries++) {
        if (spec->id)
            memcpy(out->id, spec->id, strlen(spec->id) + 1);
        else
            id_make(out->id);
        if (insert_job(s, b, spec, out, err) == 1) {
            out->seq = sqlite3_last_insert_rowid(s->db);
            return 0;
        }
        if (spec->id || sqlite3_extended_errcode(s->db) != SQLITE_CONSTRAINT_UNIQUE)
            return -1;
    }
    return -1;
}

/* Parents stand as indexes in a spec's packed lists (without `done`: as seqs) and as seqs in the
 * store. */
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
        buf_printf(out, "%c%lld:%s", PACK_LATER, done ? (long long)done[index].seq : index, key);
        buf_add(out, "", 1);
    }
}

int write_spec(struct sqlite_store *s, const struct job_spec *j, const struct enqueued *done,
               int64_t seq, struct err *err) {
    struct buf command = {0}, env = {0};
    if (j->kind == JOB_ARGV)
        number_parents(j->command, done, &command);
    else
        buf_add(&command, j->command.data, j->command.len);
    number_parents(j->env, done, &env);
    int rc = q_run(s, err,
                   "INSERT OR REPLACE INTO spec(seq, fingerprint, name, kind, command, env, cwd,"
                   " stdin, stdin_path, retries, timeout_ms, kill_after_ms, backoff, ok_codes,"
                   " allow_failure, outputs, description, tags, meta, source, start_at, max_age_ms,"
                   " wants_when, fail_fast, artifacts, limits)"
                   " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                   "iitibbtbtiiitbibttttiiiibt", seq, fingerprint(j), j->name, (int64_t)j->kind,
                   (struct bytes){command.data, command.len}, (struct bytes){env.data, env.len},
                   j->cwd, j->stdin_text, j->stdin_path, (int64_t)j->retries, j->timeout_ms,
                   j->kill_after_ms, j->backoff, j->ok_codes, (int64_t)j->allow_failure, j->outputs,
                   j->description, j->tags, j->meta, j->source, j->start_at, j->max_age_ms,
                   (int64_t)j->when, (int64_t)j->fail_fast, j->artifacts, j->limits);
    buf_free(&command);
    buf_free(&env);
    return rc < 0 ? -1 : 0;
}

static int64_t parent_seq(const struct job_need *need, const struct enqueued *done) {
    return need->by_seq ? need->parent : done[need->parent].seq;
}

/* One that is over from the beginning waits for nothing; its needs stand as history. */
static int insert_needs(struct sqlite_store *s, const struct job_spec *j,
                        const struct enqueued *done, int64_t seq, struct err *err) {
    int64_t waits = 0;
    for (size_t i = 0; i < j->needs_len; i++) {
        int n = q_run(s, err,
                      "INSERT OR IGNORE INTO dep(parent, child, cond, settled) VALUES (?,?,?,?)",
                      "iiii", parent_seq(&j->needs[i], done), seq, (int64_t)j->needs[i].on,
                      (int64_t)(j->done_as != 0));
        if (n < 0)
            return -1;
        waits += n;
    }
    if (waits == (int64_t)j->needs_len || j->done_as)
        return 0;
    return q_run(s, err, "UPDATE job SET waits = ? WHERE seq = ?", "ii", waits, seq) < 0 ? -1 : 0;
}

static int refresh(struct sqlite_store *s, struct enqueued *out, struct err *err) {
    int64_t state = out->state;
    if (q_int(s, err, &state, "SELECT state FROM job WHERE seq = ?", "i", out->seq) < 0 ||
        q_int(s, err, &out->run_at, "SELECT run_at FROM job WHERE seq = ?", "i", out->seq) < 0)
        return -1;
    out->state = (enum job_state)state;
    return 0;
}

/* Needs of jobs that were there before the call, or came completed, and may have ended. 1: there
 * are some, 0 none. */
static int settle_needs(struct sqlite_store *s, const struct batch *b, size_t at, struct err *err) {
    const struct job_spec *j = &b->specs[at];
    bool any = false;
    for (size_t i = 0; i < j->needs_len; i++) {
        const struct job_need *need = &j->needs[i];
        if (!need->by_seq && !b->out[need->parent].existed && !b->specs[need->parent].done_as)
            continue;
        any = true;
        if (settle_if_final(s, parent_seq(need, b->out), err) < 0)
            return -1;
    }
    return any;
}

static int take_result(struct sqlite_store *s, int64_t seq, int64_t from, struct err *err) {
    struct job_ref old;
    int rc = job_ref_get(s, from, &old, err);
    if (rc == 0)
        return err_set(err, ERR_NOT_FOUND, "no job number %lld to take the result of",
                       (long long)from);
    if (rc > 0 && old.state != JOB_COMPLETED)
        return err_set(err, ERR_STATE,
                       "job number %lld is %s; only the result of a completed job can be taken"
                       " over",
                       (long long)from, job_state_names[old.state]);
    if (rc < 0 ||
        q_run(s, err,
              "UPDATE job SET (cause, started_at, finished_at, exit_code) ="
              " (SELECT cause, started_at, finished_at, exit_code FROM job WHERE seq = ?2)"
              " WHERE seq = ?1",
              "ii", seq, from) < 0 ||
        q_run(s, err, "INSERT INTO value SELECT ?1, key, value FROM value WHERE job = ?2", "ii",
              seq, from) < 0 ||
        q_run(s, err, "INSERT INTO artifact SELECT ?1, path, size FROM artifact WHERE job = ?2",
              "ii", seq, from) < 0)
        return -1;
    return 0;
}

static enum job_state first_state(const struct job_spec *spec) {
    if (spec->done_as)
        return JOB_COMPLETED;
    return spec->needs_len ? JOB_WAITING : JOB_PENDING;
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
    out->state = first_state(spec);
    out->run_at = first_start(b->now, spec->delay_ms, spec->start_at);
    if (insert_named(s, b, spec, out, err) < 0)
        return -1;
    count_change(s, spec->queue, out->state, +1);
    if (spec->done_as)
        return take_result(s, out->seq, spec->done_as, err);
    struct job_ref ref = {.seq = out->seq, .lane = b->lane, .priority = spec->priority};
    return spec->needs_len ? 0 : line_up(s, &ref, out->run_at, b->now, err);
}

/* Specs and dependencies come second: a parent may stand after its child. */
static int enqueue_rest(struct sqlite_store *s, const struct batch *b, struct err *err) {
    for (size_t i = 0; i < b->n; i++) {
        const struct enqueued *out = &b->out[i];
        if (out->existed)
            continue;
        if (write_spec(s, &b->specs[i], b->out, out->seq, err) < 0 ||
            insert_needs(s, &b->specs[i], b->out, out->seq, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- jobs of a run ---- */

static int find_run(struct sqlite_store *s, struct batch *b, struct err *err) {
    if (!b->run)
        return 0;
    int rc = run_ref_get(s, b->run, &b->ref, err);
    if (rc == 0)
        return err_set(err, ERR_NOT_FOUND, "no run %lld to add jobs to", (long long)b->run);
    b->lane = b->ref.detached ? LANE_COMMON : b->run;
    return rc < 0 ? -1 : 0;
}

static int add_to_run(struct sqlite_store *s, const struct batch *b, int64_t n, int64_t left,
                      struct err *err) {
    for (size_t i = 0; i < b->n; i++)
        if (!b->out[i].existed && q_run(s, err, "INSERT INTO run_job(run, seq) VALUES (?, ?)", "ii",
                                        b->run, b->out[i].seq) < 0)
            return -1;
    return q_run(s, err,
                 "UPDATE run SET added = added + ?2, left = left + ?3,"
                 " finished_at = iif(?3 > 0, 0, finished_at) WHERE id = ?1",
                 "iii", b->run, n, left) < 0
               ? -1
               : 0;
}

static int count_jobs(struct sqlite_store *s, const struct batch *b, struct err *err) {
    int64_t n = 0, left = 0, first = 0, last = 0;
    for (size_t i = 0; i < b->n; i++) {
        if (b->out[i].existed)
            continue;
        last = b->out[i].seq;
        first = first ? first : last;
        left += !b->specs[i].done_as;
        n++;
    }
    if (!b->run || !n)
        return 0;
    if (b->ref.has_jobs)
        return add_to_run(s, b, n, left, err);
    return q_run(s, err,
                 "UPDATE run SET first_seq = ?2, last_seq = ?3, left = ?4,"
                 " finished_at = iif(?4 > 0, 0, ?5) WHERE id = ?1",
                 "iiiii", b->run, first, last, left, b->now) < 0
               ? -1
               : 0;
}

/* Jobs added to a run that was halted or cancelled meanwhile. 1: it was, 0 not. */
static int meet_the_end(struct sqlite_store *s, const struct batch *b, struct err *err) {
    if (!b->ref.has_jobs || !(b->ref.halted || b->ref.cancelled))
        return 0;
    struct seqs list = {0};
    for (size_t i = 0; i < b->n; i++)
        if (!b->out[i].existed)
            seqs_add(&list, b->out[i].seq);
    int rc = b->ref.cancelled ? end_jobs(s, &list, JOB_CANCELLED, CAUSE_CANCELLED, err)
                              : halt_jobs(s, &list, err);
    free(list.items);
    return rc < 0 ? -1 : 1;
}

int op_enqueue(struct store *base, int64_t run, const struct job_spec *specs, size_t n,
               struct enqueued *out, struct err *err) {
    struct sqlite_store *s = (struct sqlite_store *)base;
    struct batch b = {.run = run, .now = clock_wall_ms(), .specs = specs, .out = out, .n = n};
    if (find_run(s, &b, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (enqueue_one(s, &b, i, err) < 0)
            return -1;
    if (enqueue_rest(s, &b, err) < 0 || count_jobs(s, &b, err) < 0)
        return -1;
    int changed = 0;
    for (size_t i = 0; changed >= 0 && i < n; i++) {
        int rc = out[i].existed ? 0 : settle_needs(s, &b, i, err);
        changed = rc ? rc : changed;
    }
    int ended = changed < 0 ? -1 : meet_the_end(s, &b, err);
    for (size_t i = 0; ended >= 0 && (changed || ended) && i < n; i++)
        if (refresh(s, &out[i], err) < 0)
            return -1;
    return ended < 0 ? -1 : 0;
}
