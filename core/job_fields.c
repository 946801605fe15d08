#include "job_fields.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "backoff.h"
#include "ids.h"
#include "pack.h"

/* Lists are packed: an entry takes up to twice what the kernel counts for it, and for a secret its
 * place. What they may hold was checked where they were written. */
enum {
    KEY_MAX = 32,
    PATH_LEN = 4096,
    TEXT_LEN = 65536,
    ARGV_LEN = 2 * (COMMAND_MAX + 1),
    ENV_LEN = 2 * ENV_MAX,
    PATTERNS_LEN = 100 * (PATH_LEN + 1),
};

#define LONGEST_MS (INT64_C(36500) * 86400000)
#define LATEST_MS INT64_C(253402300799999) /* the end of the year 9999 */

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

#define TEXT(name, min, max)                                                                       \
    { #name, FIELD_TEXT, offsetof(struct job_spec, name), min, max }
#define NUMBER(type, name, min, max)                                                               \
    { #name, type, offsetof(struct job_spec, name), min, max }

static const struct field fields[] = {
    TEXT(id, 1, ID_MAX),
    TEXT(name, 1, NAME_MAX_LEN),
    TEXT(queue, 1, QUEUE_MAX_LEN),
    TEXT(group, 1, NAME_MAX_LEN),
    TEXT(cwd, 1, PATH_LEN),
    TEXT(backoff, 1, TEXT_LEN),
    TEXT(description, 0, TEXT_LEN),
    TEXT(tags, 0, TEXT_LEN),
    TEXT(meta, 0, TEXT_LEN),
    TEXT(limits, 1, 100),
    {"stdin_file", FIELD_TEXT, offsetof(struct job_spec, stdin_path), 1, PATH_LEN},
    {"kind", FIELD_KIND, offsetof(struct job_spec, kind), 1, 16},
    {"command", FIELD_BYTES, offsetof(struct job_spec, command), 0, ARGV_LEN},
    {"stdin", FIELD_BYTES, offsetof(struct job_spec, stdin_text), 0, STDIN_MAX},
    {"ok_codes", FIELD_BYTES, offsetof(struct job_spec, ok_codes), 1, 256},
    {"env", FIELD_ENV, offsetof(struct job_spec, env), 1, ENV_LEN},
    {"outputs", FIELD_ARGV, offsetof(struct job_spec, outputs), 1, ENV_MAX},
    {"artifacts", FIELD_ARGV, offsetof(struct job_spec, artifacts), 1, PATTERNS_LEN},
    NUMBER(FIELD_INT, priority, INT32_MIN, INT32_MAX),
    NUMBER(FIELD_INT, retries, 0, RETRIES_MAX),
    NUMBER(FIELD_INT64, timeout_ms, 0, LONGEST_MS),
    NUMBER(FIELD_INT64, kill_after_ms, 0, LONGEST_MS),
    NUMBER(FIELD_INT64, delay_ms, 0, LONGEST_MS),
    NUMBER(FIELD_INT64, start_at, 0, LATEST_MS),
    NUMBER(FIELD_INT64, max_age_ms, 0, LONGEST_MS),
    NUMBER(FIELD_BOOL, allow_failure, 0, 1),
    NUMBER(FIELD_BOOL, fail_fast, 0, 1),
    NUMBER(FIELD_BOOL, when, 0, 1),
};

static int refuse(char **why, const char *what, const char *key) {
    *why = xasprintf("%s%s%s", what, key ? " " : "", key ? key : "");
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
    for (p = colon + 1; p < end && *p >= '0' && *p <= '9' && n <= STDIN_MAX; p++)
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
static int read_fields(const char *p, const char *end, char *to, struct job_spec *j, char **why) {
    uint64_t seen = 0;
    while (p < end) {
        char key[KEY_MAX];
        size_t len = 0;
        p = read_head(p, end, key, &len);
        if (!p)
            return refuse(why, "a field is not KEY:LEN:BYTES", NULL);
        size_t i = field_of(key);
        if (i == ARRAY_LEN(fields))
            return refuse(why, "unknown field", key);
        if (seen & UINT64_C(1) << i)
            return refuse(why, "twice: field", key);
        seen |= UINT64_C(1) << i;
        memcpy(to, p, len);
        to[len] = '\0';
        if (!set_field(j, &fields[i], to, len))
            return refuse(why, "bad value of field", key);
        to += len + 1;
        p += len;
    }
    return 0;
}

static int check_whole(const struct job_spec *j, char **why) {
    struct backoff backoff;
    if (j->kind == JOB_LUA ? !j->name : !j->command.len)
        return refuse(why, j->kind == JOB_LUA ? "a function without a name" : "no command", NULL);
    if (j->kind == JOB_ARGV && !is_packed(j->command.data, j->command.len, "=", false))
        return refuse(why, "bad value of field command", NULL);
    if (j->kind == JOB_SHELL && j->command.len > COMMAND_MAX)
        return refuse(why, "bad value of field command", NULL);
    if (j->kind == JOB_SHELL && strlen(j->command.data) != j->command.len)
        return refuse(why, "a command with a NUL in it", NULL);
    if (j->backoff && backoff_parse(j->backoff, &backoff, NULL) < 0)
        return refuse(why, "bad value of field backoff", NULL);
    return 0;
}

int job_fields_read(const char *p, size_t len, char *texts, struct job_spec *out, char **why) {
    *out = (struct job_spec){
        .queue = "default", .retries = 3, .timeout_ms = 3600000, .kill_after_ms = 10000};
    *why = NULL;
    return read_fields(p, p + len, texts, out, why) < 0 ? -1 : check_whole(out, why);
}
