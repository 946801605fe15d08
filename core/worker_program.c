/* What the process of a Lua job reads: the program, once for all jobs of it, and the facts of the
 * attempt. The program is what the planner stored, word for word; C does not look into it.
 *
 * Facts are a packed list of KEY=VALUE, in this order: name, deadline (wall ms, 0: none), when (1:
 * to be asked now), kind, memory (bytes; 0: the usual), arg (each of a program's) or shell (text),
 * and for each job it needs: need (its name), state, error, output (KEY=VALUE, each). */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "pack.h"
#include "spawn_limits.h"
#include "worker_impl.h"

static void program_close(struct program *p) {
    if (p->hash)
        fd_close(&p->fd);
    free(p->hash);
    *p = (struct program){0};
}

void programs_free(struct worker *w) {
    for (int i = 0; i < WORKER_PROGRAMS; i++)
        program_close(&w->programs[i]);
}

static bool asks_when(const struct job *j) {
    return j->when && !j->agreed;
}

bool starts_in_lua(const struct job *j) {
    return j->kind == JOB_LUA || asks_when(j);
}

/* The text, behind the path of the jobs file. */
static int read_program(struct worker *w, const struct job *j, struct buf *text, struct err *err) {
    struct run run = {0};
    int rc = w->store->ops->run_get(w->store, j->run, NULL, &run, err);
    if (rc > 0) {
        pack_add(text, PACK_TEXT, run.path);
        rc = w->store->ops->source(w->store, j->source, text, err);
    }
    if (rc == 0)
        err_set(err, ERR_CORRUPT, "its jobs file is not in the store");
    run_free(&run);
    return rc > 0 ? 0 : -1;
}

static int load(struct worker *w, const struct job *j, struct program *p, struct err *err) {
    struct buf text = {0};
    int rc = read_program(w, j, &text, err);
    p->fd = rc < 0 ? -1 : memory_file("jobs.lua", text.data, text.len, err);
    if (p->fd >= 0) {
        p->hash = xstrdup(j->source);
        p->number = ++w->programs_made;
    }
    buf_free(&text);
    return p->fd < 0 ? -1 : 0;
}

const struct program *program_of(struct worker *w, const struct job *j, struct err *err) {
    struct program *oldest = &w->programs[0];
    for (int i = 0; i < WORKER_PROGRAMS; i++) {
        struct program *p = &w->programs[i];
        if (p->hash && j->source && strcmp(p->hash, j->source) == 0) {
            p->used = ++w->programs_used;
            return p;
        }
        if (p->used < oldest->used)
            oldest = p;
    }
    if (!j->source) {
        err_set(err, ERR_CORRUPT, "it has no jobs file");
        return NULL;
    }
    program_close(oldest);
    if (load(w, j, oldest, err) < 0)
        return NULL;
    oldest->used = ++w->programs_used;
    return oldest;
}

/* ---- facts ---- */

static void add_command(struct buf *b, const struct job *j) {
    size_t pos = 0;
    if (j->kind == JOB_ARGV)
        for (const char *e; (e = pack_next(j->command.data, j->command.len, &pos));)
            pack_add_value(b, "arg", e + 1);
    else if (j->kind == JOB_SHELL)
        pack_add_value(b, "shell", j->command.data);
}

int program_facts(struct slot *s, struct buf *facts, struct err *err) {
    const struct job *j = &s->job;
    struct spawn_limits limits = {0};
    pack_add_value(facts, "name", j->name ? j->name : "");
    pack_add_number(facts, "deadline", j->timeout_ms ? clock_wall_ms() + j->timeout_ms : 0);
    pack_add_value(facts, "when", asks_when(j) ? "1" : "0");
    pack_add_value(facts, "kind", job_kind_names[j->kind]);
    if (spawn_limits_parse(j->limits, &limits) == 0)
        pack_add_number(facts, "memory", limits.memory_bytes);
    add_command(facts, j);
    return s->worker->store->ops->needs(s->worker->store, j->seq, facts, err);
}
