/* The guardian: a small process between the worker and its jobs. It spawns them, keeps their time
 * limits, ends their process trees and reports exits. It holds no store and no Lua, so nothing that
 * happens there can stop it, and it shares the worker's lock: the lock is free only when both are
 * gone and, with them, every process of every job.
 *
 * It starts at most `limit` jobs at a time and keeps further requests in their order, so that the
 * next job starts the moment another has ended, without asking.
 *
 * Worker and guardian talk over a SOCK_SEQPACKET socket, one message a packet. When the worker's
 * end closes, the guardian kills what it looks after and leaves. */
#ifndef QUEUECTL_GUARDIAN_H
#define QUEUECTL_GUARDIAN_H

#include "spawn_limits.h"
#include "util.h"

enum guardian_request_type {
    GUARD_SPAWN,  /* start a job, now or when another one has ended; descriptors come along */
    GUARD_RECALL, /* not this one after all: GUARD_GONE if it had not started, else nothing */
    GUARD_CANCEL, /* TERM, CONT, kill_after, KILL */
    GUARD_END,    /* the job is over: kill what is left of its tree; answered by GUARD_GONE */
};

/* Followed by the texts, in this order; sizes in bytes. */
struct guardian_request {
    uint32_t type, slot;
    int64_t timeout_ms; /* 0: no limit */
    int64_t kill_after_ms;
    struct spawn_limits limits;
    uint32_t secrets;   /* not 0: values in env are secret */
    uint32_t argv_len;  /* packed: what to execute */
    uint32_t shell_len; /* text for /bin/sh -c, when argv is empty or cannot be executed */
    uint32_t env_len;   /* packed changes to the worker's environment */
    uint32_t cwd_len;
    uint32_t program;   /* a Lua job: number of its program, by which its warm process is known; the
                         * last descriptor is the program's text. 0: to be executed */
    uint32_t mark_len;  /* NAME=VALUE that stands in env and nowhere else: how stray processes of
                         * this attempt are recognised */
    uint32_t facts_len; /* a Lua job: its facts, where they are not the descriptor before the
                         * program's */
};

enum guardian_event_type {
    GUARD_STARTED, /* about to be: without it, it surely never ran */
    GUARD_FAILED,  /* could not be started: stage, error */
    GUARD_EXITED,  /* the leader has ended; clean: nothing of its tree is left */
    GUARD_GONE,    /* nothing of its tree is left */
};

struct guardian_event {
    uint32_t type, slot;
    int32_t stage, error;      /* enum spawn_stage, errno */
    int32_t limit;             /* enum spawn_limit, where that is the stage */
    int32_t exit_code, signal; /* -1: not that way */
    uint8_t clean, timed_out, cancelled, killed;
    int64_t cpu_ms, max_rss_kb; /* of the leader and those it waited for */
    int64_t duration_ms;
};

enum { GUARDIAN_PACKET_MAX = 300 * 1024, GUARDIAN_FDS = 6 };

/* ---- the worker's side ---- */

struct guardian {
    int fd; /* readable: an event, or the end of the guardian */
    pid_t pid;
};

/* Start one for `wards` jobs of which `limit` run at a time; it inherits lock_fd. 0 or -1. */
int guardian_start(struct guardian *g, int lock_fd, int wards, int limit, struct err *err);
/* Send a request with its texts (request->…_len are filled in here) and descriptors. -1 with errno:
 * EPIPE, ECONNRESET, ENOTCONN it is gone (read its end from fd); EMSGSIZE the texts are too long
 * for a packet; others are a shortage of the system. */
struct guardian_texts {
    struct bytes_view {
        const char *data;
        size_t len;
    } argv, shell, env, cwd, mark, facts;
};
int guardian_send(struct guardian *g, struct guardian_request *request,
                  const struct guardian_texts *texts, const int *fds, int n_fds);
/* Next event: 1, 0 none now, -1 the guardian is gone. */
int guardian_read(struct guardian *g, struct guardian_event *event);
/* Close the socket, wait for its end; kills what is left if the guardian was itself killed. */
void guardian_stop(struct guardian *g);

/* ---- the guardian itself: `queuectl --guardian WARDS LIMIT`, socket on 3, lock on 4 ---- */
int guardian_main(int wards, int limit);

#endif
