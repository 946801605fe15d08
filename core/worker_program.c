/* What the process of a Lua job reads: the program, once for all jobs of it, and the facts of the
 * attempt. The program is what the planner stored, word for word; C does not look into it.
 *
 * Facts are a packed list of KEY=VALUE, in this order: name, deadline (wall ms, 0: none), path. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "pack.h"
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

static int load(struct worker *w, const struct job *j, struct program *p, struct err *err) {
    struct run run = {0};
    struct buf text = {0};
    int rc = w->store->ops->run_get(w->store, j->run, NULL, &run, err);
    if (rc == 0)
        rc = err_set(err, ERR_CORRUPT, "its jobs file is not in the store");
    if (rc > 0) {
        pack_add(&text, PACK_TEXT, run.path);
        buf_add(&text, run.text, strlen(run.text));
        p->fd = memory_file("jobs.lua", &text, err);
        rc = p->fd;
    }
    if (rc >= 0) {
        p->hash = xstrdup(j->source);
        p->number = ++w->programs_made;
    }
    buf_free(&text);
    run_free(&run);
    return rc < 0 ? -1 : 0;
}

const struct program *program_of(struct worker *w, const struct job *j, struct err *err) {
    struct program *oldest = &w->programs[0];
    for (int i = 0; i < WORKER_PROGRAMS; i++) {
        struct program *p = &w->programs[i];
        if (p->hash && strcmp(p->hash, j->source) == 0) {
            p->used = ++w->programs_used;
            return p;
        }
        if (p->used < oldest->used)
            oldest = p;
    }
    program_close(oldest);
    if (load(w, j, oldest, err) < 0)
        return NULL;
    oldest->used = ++w->programs_used;
    return oldest;
}

/* ---- facts ---- */

static void add_fact(struct buf *b, const char *key, const char *value) {
    char *entry = xasprintf("%s=%s", key, value);
    pack_add(b, PACK_TEXT, entry);
    free(entry);
}

static void add_number(struct buf *b, const char *key, int64_t value) {
    char text[32];
    snprintf(text, sizeof(text), "%" PRId64, value);
    add_fact(b, key, text);
}

int program_facts(struct slot *s, struct err *err) {
    const struct job *j = &s->job;
    struct buf facts = {0};
    add_fact(&facts, "name", j->name ? j->name : "");
    add_number(&facts, "deadline", j->timeout_ms ? clock_wall_ms() + j->timeout_ms : 0);
    int fd = memory_file("facts", &facts, err);
    buf_free(&facts);
    return fd;
}
