#include "guardian_spawn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pack.h"

extern char **environ;

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
        "QUEUECTL_JOB_ID=", "QUEUECTL_JOB_NAME=", "QUEUECTL_RUN=",    "QUEUECTL_ATTEMPT=",
        "QUEUECTL_TOKEN=",  "QUEUECTL_WORKER=",   "QUEUECTL_OUTPUT=", "QUEUECTL_REPORT="};
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
    const char *argv, *shell, *env, *cwd, *mark, *facts;
};

static struct texts texts_of(const struct guardian_request *r, const char *packet) {
    struct texts t = {.argv = packet + sizeof(*r)};
    t.shell = t.argv + r->argv_len;
    t.env = t.shell + r->shell_len;
    t.cwd = t.env + r->env_len;
    t.mark = t.cwd + r->cwd_len;
    t.facts = t.mark + r->mark_len;
    return t;
}

static void build_env(const struct guardian_request *r, const struct texts *t,
                      struct strings *env) {
    base_env(env);
    apply_env(t->env, r->env_len, env);
    if (!env->items)
        strings_add(env, "PATH=/usr/local/bin:/usr/bin:/bin");
}

static struct spawn describe(const struct guardian_request *r, const struct texts *t,
                             const struct guardian_given *given) {
    struct spawn s = {.cwd = r->cwd_len ? t->cwd : NULL,
                      .limits = &r->limits,
                      .session = true,
                      .die_with_me = true,
                      .keep_hup_off = given->keep_hup_off,
                      .fds_len = given->n_fds};
    memcpy(s.fds, given->fds, (size_t)given->n_fds * sizeof(int));
    return s;
}

/* What is executed anew reads its facts from a descriptor, which stands before the program's. */
static int add_facts(const struct guardian_request *r, const struct texts *t, struct spawn *s,
                     int *fd) {
    struct buf facts = {.data = (char *)(uintptr_t)t->facts, .len = r->facts_len};
    int last = s->fds_len - 1;
    *fd = -1;
    if (!r->facts_len)
        return 0;
    if (last < 0 || s->fds_len == SPAWN_FDS || (*fd = memory_file("facts", &facts, NULL)) < 0)
        return -1;
    s->fds[s->fds_len++] = s->fds[last];
    s->fds[last] = *fd;
    return 0;
}

int guardian_spawn(const struct guardian_request *r, const char *packet,
                   const struct guardian_given *given, pid_t *pid, struct spawn_failure *why) {
    struct texts t = texts_of(r, packet);
    struct strings argv = {0}, env = {0};
    char *shell[] = {(char *)"sh", (char *)"-c", (char *)(uintptr_t)t.shell, NULL};
    unpack_argv(t.argv, r->argv_len, &argv);
    build_env(r, &t, &env);
    struct spawn s = describe(r, &t, given);
    s.argv = argv.len ? argv.items : shell;
    s.file = argv.len ? NULL : "/bin/sh";
    s.fallback = argv.len && r->shell_len ? shell : NULL;
    s.env = env.items;
    int facts_fd, rc = add_facts(r, &t, &s, &facts_fd);
    if (rc < 0)
        *why = (struct spawn_failure){.stage = SPAWN_FD, .error = errno};
    else
        rc = spawn(&s, pid, why);
    fd_close(&facts_fd);
    free(argv.items);
    free(env.items);
    return rc;
}

int guardian_enter(const struct guardian_request *r, const char *packet,
                   const struct guardian_given *given, struct spawn_failure *why) {
    struct texts t = texts_of(r, packet);
    struct strings env = {0};
    build_env(r, &t, &env);
    environ = env.items; /* with the packet's texts, for as long as the process lives */
    struct spawn s = describe(r, &t, given);
    return spawn_enter(&s, why);
}

const char *guardian_mark(const struct guardian_request *r, const char *packet) {
    return texts_of(r, packet).mark;
}

const char *guardian_facts(const struct guardian_request *r, const char *packet) {
    return texts_of(r, packet).facts;
}
