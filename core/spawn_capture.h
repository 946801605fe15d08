/* Run a program and hear what it prints: for ctx.exec of Lua jobs. It runs in a process group of
 * its own, which gets all signals. */
#ifndef QUEUECTL_SPAWN_CAPTURE_H
#define QUEUECTL_SPAWN_CAPTURE_H

#include <signal.h>

#include "util.h"

enum {
    CAPTURE_MAX = 64 << 20, /* most that may be kept of a stream */
    CAPTURE_CHUNK = 65536,
};

/* All borrowed for the call of capture_start, but for `stop`. */
struct capture_request {
    char *const *argv, *const *env; /* NULL-terminated */
    const char *cwd;                /* NULL: as it is */
    const char *input;              /* standard input, NULL: none */
    size_t input_len;
    const char *input_path; /* or the file it is read from */
    int64_t timeout_ms;     /* 0: none. Then TERM … */
    int64_t kill_after_ms;  /* … and, this long after, KILL */
    size_t keep;            /* bytes kept of each stream: its beginning and its end, half each */
    const volatile sig_atomic_t *stop; /* once it becomes 1, TERM is passed on; NULL: never */
};

struct capture_stream {
    struct buf head, tail;
    uint64_t total; /* bytes printed */
    int fd;
};
struct capture {
    struct capture_stream streams[2]; /* standard output, standard error */
    int exit_code, signal;            /* at the end; -1: not that way */
    int64_t duration_ms;
    bool timed_out;
    /* private */
    pid_t pid; /* 0: not running */
    int end_fd;
    int64_t started_at, due_at, kill_after_ms;
    size_t keep;
    int signals_sent;
    bool stopped;
    const volatile sig_atomic_t *stop;
    size_t chunk_len;
    char chunk[CAPTURE_CHUNK];
};

/* 0, or -1 with err when it could not be started. */
int capture_start(const struct capture_request *r, struct capture *c, struct err *err);

/* The number (0 or 1) of a stream that printed `chunk`, or -1 at the end: it has ended and nobody
 * holds the other end of the pipes, or its time was up and all was done to end it. */
int capture_next(struct capture *c);

/* What was kept of a stream; if not all of it, with a line in the middle that says how much is
 * missing. Yours to free. */
struct buf capture_text(const struct capture *c, const struct capture_stream *s);

/* Kills it if it still runs. Does nothing to what was never started or is freed. */
void capture_free(struct capture *c);

#endif
