/* Run a program to its end and keep what it prints: for ctx.exec of Lua jobs. */
#ifndef QUEUECTL_SPAWN_CAPTURE_H
#define QUEUECTL_SPAWN_CAPTURE_H

#include "util.h"

enum { CAPTURE_MAX = 64 << 20 }; /* bytes per stream; more is an error */

struct capture_request {
    char *const *argv, *const *env; /* NULL-terminated */
    const char *cwd;                /* NULL: as it is */
    const char *input;              /* standard input, NULL: none */
    size_t input_len;
    int64_t timeout_ms; /* 0: none. Then TERM to its group, KILL 2 s later */
};
struct capture {
    struct buf out, err;
    int exit_code, signal; /* -1: not that way */
    int64_t duration_ms;
    bool timed_out;
};

/* 0, or -1 with err when it could not be started or printed too much. */
int spawn_capture(const struct capture_request *r, struct capture *c, struct err *err);
void capture_free(struct capture *c);

#endif
