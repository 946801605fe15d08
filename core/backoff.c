#include "backoff.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const backoff_names[BACKOFF_KINDS] = {
    [BACKOFF_EXPONENTIAL] = "exponential",   [BACKOFF_LINEAR] = "linear", [BACKOFF_FIXED] = "fixed",
    [BACKOFF_DECORRELATED] = "decorrelated", [BACKOFF_LIST] = "list",
};
const char *const jitter_names[JITTERS] = {
    [JITTER_NONE] = "none",
    [JITTER_EQUAL] = "equal",
    [JITTER_FULL] = "full",
};
const struct backoff backoff_default = {
    .kind = BACKOFF_EXPONENTIAL, .first_ms = 2000, .factor = 2, .cap_ms = 300000};

static double curve(const struct backoff *b, int tries, int64_t last_ms, double random) {
    double first = (double)b->first_ms;
    switch (b->kind) {
    case BACKOFF_LINEAR:
        return first * tries;
    case BACKOFF_FIXED:
        return first;
    case BACKOFF_DECORRELATED: {
        double high = 3 * (double)(last_ms > b->first_ms ? last_ms : b->first_ms);
        return first + random * (high - first);
    }
    case BACKOFF_LIST:
        if (!b->list_len)
            return first;
        return (double)
            b->list_ms[(size_t)tries < b->list_len ? (size_t)tries - 1 : b->list_len - 1];
    default:
        return first * pow(b->factor, tries - 1);
    }
}

int64_t backoff_delay(const struct backoff *b, int tries, int64_t last_ms, double random) {
    double cap = (double)b->cap_ms;
    double ms = curve(b, tries > 1 ? tries : 1, last_ms, random);
    if (!(ms <= cap)) /* also infinity and NaN, which compare false */
        ms = cap;
    if (b->jitter == JITTER_FULL)
        ms *= random;
    else if (b->jitter == JITTER_EQUAL)
        ms = ms / 2 + ms / 2 * random;
    return ms > 0 ? (int64_t)ms : 0;
}

void backoff_print(const struct backoff *b, struct buf *out) {
    buf_printf(out, "%s %s", backoff_names[b->kind], jitter_names[b->jitter]);
    if (b->kind != BACKOFF_LIST) {
        buf_printf(out, " %" PRId64 " %.17g %" PRId64, b->first_ms, b->factor, b->cap_ms);
        return;
    }
    buf_printf(out, " %" PRId64, b->cap_ms);
    for (size_t i = 0; i < b->list_len; i++)
        buf_printf(out, " %" PRId64, b->list_ms[i]);
}

static int find(const char *const *names, int n, const char *word) {
    for (int i = 0; word && i < n; i++)
        if (strcmp(names[i], word) == 0)
            return i;
    return -1;
}

/* One number of the stored form; NaN when there is none, which no check below accepts. */
static double number(char **rest) {
    char *word = strtok_r(NULL, " ", rest);
    char *end = NULL;
    double v = word ? strtod(word, &end) : NAN;
    return word && *end == '\0' ? v : NAN;
}

static bool is_ms(double v) {
    return v >= 0 && v <= 1e15;
}

static int parse_list(struct backoff *b, char **rest) {
    double v = number(rest);
    if (!is_ms(v))
        return -1;
    b->cap_ms = (int64_t)v;
    while (b->list_len < BACKOFF_LIST_MAX && is_ms(v = number(rest)))
        b->list_ms[b->list_len++] = (int64_t)v;
    return b->list_len ? 0 : -1;
}

static int parse_curve(struct backoff *b, char **rest) {
    double first = number(rest), factor = number(rest), cap = number(rest);
    if (!is_ms(first) || !is_ms(cap) || !(factor >= 1 && factor <= 1e6))
        return -1;
    b->first_ms = (int64_t)first;
    b->factor = factor;
    b->cap_ms = (int64_t)cap;
    return 0;
}

static bool is_printed(const struct backoff *b, const char *text) {
    struct buf again = {0};
    backoff_print(b, &again);
    bool same = strcmp(again.data, text) == 0;
    buf_free(&again);
    return same;
}

int backoff_parse(const char *text, struct backoff *out, struct err *err) {
    *out = backoff_default;
    if (!text || !*text)
        return 0;
    char *copy = xstrdup(text), *rest = NULL;
    int kind = find(backoff_names, BACKOFF_KINDS, strtok_r(copy, " ", &rest));
    int jitter = find(jitter_names, JITTERS, strtok_r(NULL, " ", &rest));
    int rc = kind < 0 || jitter < 0 ? -1 : 0;
    if (rc == 0) {
        out->kind = (enum backoff_kind)kind;
        out->jitter = (enum backoff_jitter)jitter;
        rc = kind == BACKOFF_LIST ? parse_list(out, &rest) : parse_curve(out, &rest);
    }
    free(copy);
    if (rc == 0 && !is_printed(out, text))
        rc = -1;
    if (rc < 0)
        err_set(err, ERR_CORRUPT, "bad stored backoff \"%.100s\"", text);
    return rc;
}
