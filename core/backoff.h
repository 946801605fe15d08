/* Built-in backoff: how long a failed job waits before its next try. Pure: the random number is an
 * argument. Curves: exponential first * factor^(n-1); linear first * n; fixed first; list its n-th
 * entry, then the last for ever; decorrelated random in [first, 3 * the wait before] (AWS
 * Architecture Blog, "Exponential Backoff and Jitter"). */
#ifndef QUEUECTL_BACKOFF_H
#define QUEUECTL_BACKOFF_H

#include "util.h"

enum backoff_kind {
    BACKOFF_EXPONENTIAL,
    BACKOFF_LINEAR,
    BACKOFF_FIXED,
    BACKOFF_DECORRELATED,
    BACKOFF_LIST,
    BACKOFF_KINDS
};
enum backoff_jitter { JITTER_NONE, JITTER_EQUAL, JITTER_FULL, JITTERS };
enum { BACKOFF_LIST_MAX = 64 };

struct backoff {
    enum backoff_kind kind;
    enum backoff_jitter jitter;
    int64_t first_ms, cap_ms;
    double factor;
    int64_t list_ms[BACKOFF_LIST_MAX];
    size_t list_len;
};

/* 2 s, 4 s, 8 s … at most 300 s: backoff_base ^ attempts with the base 2. */
extern const struct backoff backoff_default;
extern const char *const backoff_names[BACKOFF_KINDS];
extern const char *const jitter_names[JITTERS];

/* Wait in ms before the try after `tries` (from 1) failed ones; `last_ms` is the wait before the
 * try that just failed (0: none), `random` in [0, 1). Never negative, never above cap_ms. */
int64_t backoff_delay(const struct backoff *b, int tries, int64_t last_ms, double random);

/* The stored form, for example "exponential none 2000 2 300000" or "list none 300000 1000 5000". */
void backoff_print(const struct backoff *b, struct buf *out);
/* NULL or "" is the default. -1 with err on anything else that backoff_print does not write. */
int backoff_parse(const char *text, struct backoff *out, struct err *err);

#endif
