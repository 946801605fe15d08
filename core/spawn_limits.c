#include "spawn_limits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "duration.h"

static int set_both(int resource, int64_t soft, int64_t hard) {
    return setrlimit((__rlimit_resource_t)resource,
                     &(struct rlimit){.rlim_cur = (rlim_t)soft, .rlim_max = (rlim_t)hard});
}

enum spawn_limit spawn_apply_limits(const struct spawn_limits *l) {
    if (l->nice && setpriority(PRIO_PROCESS, 0, l->nice) < 0)
        return LIMIT_NICE;
    if (l->files && set_both(RLIMIT_NOFILE, l->files, l->files) < 0)
        return LIMIT_FILES;
    if (l->cpu_s && set_both(RLIMIT_CPU, l->cpu_s, l->cpu_s + SPAWN_CPU_GRACE_S) < 0)
        return LIMIT_CPU;
    /* Last: whoever calls may have more than that already. */
    if (l->memory_bytes && set_both(RLIMIT_AS, l->memory_bytes, l->memory_bytes) < 0)
        return LIMIT_MEMORY;
    return LIMIT_NONE;
}

static bool read_number(const char **text, int64_t min, int64_t max, int64_t *out) {
    char *end = NULL;
    errno = 0;
    *out = strtoll(*text, &end, 10);
    bool good = end != *text && errno == 0 && *out >= min && *out <= max;
    *text = end;
    return good;
}

int spawn_limits_parse(const char *text, struct spawn_limits *out) {
    int64_t files = 0, nice = 0;
    *out = (struct spawn_limits){0};
    if (!text)
        return 0;
    if (!read_number(&text, 0, INT64_MAX, &out->memory_bytes) ||
        !read_number(&text, 0, INT32_MAX, &out->cpu_s) ||
        !read_number(&text, 0, INT32_MAX, &files) || !read_number(&text, -20, 19, &nice) || *text)
        return -1;
    out->files = (int32_t)files;
    out->nice = (int32_t)nice;
    return 0;
}

static char *size_words(int64_t bytes) {
    static const char units[] = "BKMGT";
    int unit = 0;
    for (; bytes % 1024 == 0 && units[unit + 1]; bytes /= 1024)
        unit++;
    return xasprintf("memory %" PRId64 "%.*s", bytes, unit > 0, &units[unit]);
}

char *spawn_limits_words(const struct spawn_limits *l, enum spawn_limit which) {
    char *time = NULL, *words;
    switch (which) {
    case LIMIT_MEMORY:
        return size_words(l->memory_bytes);
    case LIMIT_FILES:
        return xasprintf("files %d", l->files);
    case LIMIT_NICE:
        return xasprintf("nice %d", l->nice);
    case LIMIT_CPU:
    case LIMIT_NONE:
        break;
    }
    time = duration_text(l->cpu_s * 1000);
    words = xasprintf("cpu %s", time);
    free(time);
    return words;
}
