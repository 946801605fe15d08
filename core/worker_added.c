/* Jobs that a job adds to its run. Each comes in a message of its channel: fields KEY:LEN:BYTES one
 * after the other, texts packed and numbers written as the store has them. The sender is a process
 * that runs the job's own code, so nothing of it is believed: every field has its row in a table.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "backoff.h"
#include "ids.h"
#include "pack.h"
#include "worker_impl.h"

enum { ADDED_MAX = 1000, ADDED_BYTES = 4 << 20, KEY_MAX = 32, PATH_LEN = 4096, TEXT_LEN = 65536 };

#define LONGEST_MS (INT64_C(36500) * 86400000)

enum field_type {
    FIELD_TEXT,
    FIELD_BYTES,
    FIELD_ARGV,
    FIELD_ENV,
    FIELD_INT,
    FIELD_INT64,
    FIELD_BOOL,
    FIELD_KIND
};

struct field {
    const char *key;
    enum field_type type;
    size_t at;        /* in struct job_spec */
    int64_t min, max; /* of the number, or of the length */
};

#define TEXT(name, max)                                                                            \
    { #name, FIELD_TEXT, offsetof(struct job_spec, name), 1, max }
#define NUMBER(type, name, min, max)                                                               \
    { #name, type, offsetof(struct job_spec, name), min, max }

static const struct field fields[] = {
    TEXT(id, ID_MAX),
    TEXT(name, NAME_MAX_LEN),
    TEXT(queue, QUEUE_MAX_LEN),
    TEXT(group, NAME_MAX_LEN),
    TEXT(cwd, PATH_LEN),
    TEXT(backoff, TEXT_LEN),
    TEXT(description, TEXT_LEN),
    TEXT(tags, TEXT_LEN),
    TEXT(meta, TEXT_LEN),
    TEXT(limits, 100),
    {"stdin_file", FIELD_TEXT, offsetof(struct job_spec, stdin_path), 1, PATH_LEN},
    {"kind", FIELD_KIND, offsetof(struct job_spec, kind), 1, 16},
    {"command", FIELD_BYTES, offsetof(struct job_spec, command), 0, COMMAND_MAX},
    {"stdin", FIELD_BYTES, offsetof(struct job_spec, stdin_text), 0, STDIN_MAX},
    {"ok_codes", FIELD_BYTES, offsetof(struct job_spec, ok_codes), 1, 256},
    {"env", FIELD_ENV, offsetof(struct job_spec, env), 1, ENV_MAX},
    {"outputs", FIELD_ARGV, offsetof(struct job_spec, outputs), 1, ENV_MAX},
    {"artifacts", FIELD_ARGV, offsetof(struct job_spec, artifacts), 1, ENV_MAX},
    NUMBER(FIELD_INT, priority, INT32_MIN + 1, INT32_MAX),
    NUMBER(FIELD_INT, retries, 0, RETRIES_MAX),
    NUMBER(FIELD_INT64, timeout_ms, 0, LONGEST_MS),
    NUMBER(FIELD_INT64, kill_after_ms, 0, LONGEST_MS),
    NUMBER(FIELD_INT64, delay_ms, 0, LONGEST_MS),
    NUMBER(FIELD_INT64, start_at, 0, INT64_MAX / 2),
    NUMBER(FIELD_INT64, max_age_ms, 0, LONGEST_MS),
    NUMBER(FIELD_BOOL, allow_failure, 0, 1),
    NUMBER(FIELD_BOOL, fail_fast, 0, 1),
    NUMBER(FIELD_BOOL, when, 0, 1),
};

/* What a field may not be is said once, and the job fails with it. */
static int refuse(struct slot *s, const char *why, const char *key) {
    if (!s->refused)
        s->refused = xasprintf("%s%s%s", why, key ? " " : "", key ? key : "");
    return -1;
}

/* ---- one field ---- */

/* Entries of these kinds, each closed, none empty. */
static bool is_packed(const char *p, size_t len, const char *kinds, bool named) {
    size_t pos = 0;
    for (const char *e; (e = pack_next(p, len, &pos));)
        if (!strchr(kinds, e[0]) || (named && (e[1] == '=' || !e[1])) ||
            (named && e[0] != PACK_UNSET && !strchr(e + 1, '=')))
            return false;
    return pos == len;
}

static bool read_int(const char *p, const struct field *f, int64_t *out) {
    char *end = NULL;
    errno = 0;
    *out = strtoll(p, &end, 10);
    return end != p && !*end && errno == 0 && *out >= f->min && *out <= f->max;
}

static bool set_number(struct job_spec *j, const struct field *f, const char *p) {
    char *to = (char *)j + f->at;
    int64_t v;
    if (!read_int(p, f, &v))
        return false;
    if (f->type == FIELD_INT)
        *(int32_t *)(void *)to = (int32_t)v;
    else if (f->type == FIELD_INT64)
        *(int64_t *)(void *)to = v;
    else
        *(bool *)to = v != 0;
    return true;
}

static bool set_field(struct job_spec *j, const struct field *f, const char *p, size_t len) {
    char *to = (char *)j + f->at;
    bool text = f->type == FIELD_TEXT || f->type == FIELD_KIND;
    if (f->type >= FIELD_INT && f->type <= FIELD_BOOL)
        return strlen(p) == len && set_number(j, f, p);
    if ((int64_t)len < f->min || (int64_t)len > f->max || (text && strlen(p) != len))
        return false;
    if (f->type == FIELD_KIND) {
        int kind = name_find(job_kind_names, JOB_KINDS, p);
        j->kind = kind < 0 ? JOB_SHELL : (enum job_kind)kind;
        return kind >= 0;
    }
    if (f->type == FIELD_TEXT) {
        *(const char **)(void *)to = p;
        return true;
    }
    if ((f->type == FIELD_ENV && !is_packed(p, len, "=-$", true)) ||
        (f->type == FIELD_ARGV && !is_packed(p, len, "=", false)))
        return false;
    *(struct bytes *)(void *)to = (struct bytes){p, len};
    return true;
}

/* ---- a job ---- */

/* Takes "KEY:LEN:" off the front of p. */
static const char *read_head(const char *p, const char *end, char key[KEY_MAX], size_t *len) {
    const char *colon = memchr(p, ':', (size_t)(end - p));
    if (!colon || colon == p || colon - p >= KEY_MAX)
        return NULL;
    memcpy(key, p, (size_t)(colon - p));
    key[colon - p] = '\0';
    size_t n = 0;
    for (p = colon + 1; p < end && *p >= '0' && *p <= '9' && n < ADDED_BYTES; p++)
        n = n * 10 + (size_t)(*p - '0');
    if (p == colon + 1 || p >= end || *p != ':' || n > (size_t)(end - p - 1))
        return NULL;
    *len = n;
    return p + 1;
}

static size_t field_of(const char *key) {
    size_t i = 0;
    while (i < ARRAY_LEN(fields) && strcmp(fields[i].key, key) != 0)
        i++;
    return i;
}

/* The values are copied to `to`, each closed by a NUL: no more room is needed than the message
 * takes. */
static int read_fields(struct slot *s, const char *p, const char *end, char *to,
                       struct job_spec *j) {
    uint64_t seen = 0;
    while (p < end) {
        char key[KEY_MAX];
        size_t len = 0;
        p = read_head(p, end, key, &len);
        if (!p)
            return refuse(s, "a field is not KEY:LEN:BYTES", NULL);
        size_t i = field_of(key);
        if (i == ARRAY_LEN(fields))
            return refuse(s, "unknown field", key);
        if (seen & UINT64_C(1) << i)
            return refuse(s, "twice: field", key);
        seen |= UINT64_C(1) << i;
        memcpy(to, p, len);
        to[len] = '\0';
        if (!set_field(j, &fields[i], to, len))
            return refuse(s, "bad value of field", key);
        to += len + 1;
        p += len;
    }
    return 0;
}

static int check_whole(struct slot *s, const struct job_spec *j) {
    struct spawn_limits limits;
    struct backoff backoff;
    if (j->kind == JOB_LUA ? !j->name : !j->command.len)
        return refuse(s, j->kind == JOB_LUA ? "a function without a name" : "no command", NULL);
    if (j->kind == JOB_ARGV && !is_packed(j->command.data, j->command.len, "=", false))
        return refuse(s, "bad value of field command", NULL);
    if (j->kind == JOB_SHELL && strlen(j->command.data) != j->command.len)
        return refuse(s, "a command with a NUL in it", NULL);
    if (j->backoff && backoff_parse(j->backoff, &backoff, NULL) < 0)
        return refuse(s, "bad value of field backoff", NULL);
    if (spawn_limits_parse(j->limits, &limits) < 0)
        return refuse(s, "bad value of field limits", NULL);
    return 0;
}

void added_read(struct slot *s, const char *p, size_t len) {
    struct added *a = &s->added;
    struct job_spec j = {
        .queue = "default", .retries = 3, .timeout_ms = 3600000, .kill_after_ms = 10000};
    if (s->refused)
        return;
    if (a->n == ADDED_MAX || a->bytes + len > ADDED_BYTES) {
        refuse(s, "at most 1000 jobs of 4 MiB together can be added by a job", NULL);
        return;
    }
    /* It would be stored. */
    if (secrets_are_in(s, p, len)) {
        refuse(s, "the value of a secret stands in the new job: give it the secret itself", NULL);
        return;
    }
    char *text = xmalloc(len + 1);
    if (read_fields(s, p, p + len, text, &j) < 0 || check_whole(s, &j) < 0) {
        free(text);
        return;
    }
    if (j.kind == JOB_LUA || j.when)
        j.source = s->job.source; /* its function stands there, and perhaps not in its run's */
    a->specs = xrealloc(a->specs, (a->n + 1) * sizeof(*a->specs));
    a->texts = xrealloc(a->texts, (a->n + 1) * sizeof(*a->texts));
    a->specs[a->n] = j;
    a->texts[a->n++] = text;
    a->bytes += len;
}

int added_store(struct slot *s, struct err *err) {
    struct added *a = &s->added;
    if (!a->n)
        return 0;
    struct store *store = s->worker->store;
    struct enqueued *out = xcalloc(a->n, sizeof(*out));
    int rc = store->ops->enqueue(store, s->job.run, a->specs, a->n, out, err);
    free(out);
    if (rc < 0 && (err->code == ERR_STATE || err->code == ERR_USAGE)) {
        refuse(s, err->text, NULL);
        err->code = ERR_BUSY; /* the tick is done again, and this job fails in it */
    }
    return rc;
}

void added_free(struct slot *s) {
    struct added *a = &s->added;
    for (size_t i = 0; i < a->n; i++)
        free(a->texts[i]);
    free(a->specs);
    free(a->texts);
    *a = (struct added){0};
}
