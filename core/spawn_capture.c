#include "spawn_capture.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "spawn.h"

enum { PIPE_GRACE_MS = 2000 }; /* after KILL, for pipes somebody else still holds */

/* ---- start ---- */

static int input_file(const struct capture_request *r, struct err *err) {
    const char *path = r->input_path ? r->input_path : "/dev/null";
    int fd = r->input ? memory_file("stdin", r->input, r->input_len, NULL)
                      : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        err_set(err, ERR_FAILED, "stdin: %s%s%s", r->input ? "" : path, r->input ? "" : ": ",
                strerror(errno));
    return fd;
}

static int start(const struct capture_request *r, struct capture *c, const int fds[3],
                 struct err *err) {
    struct spawn_failure why = {0};
    struct spawn s = {.argv = r->argv,
                      .env = r->env,
                      .cwd = r->cwd,
                      .fds = {fds[0], fds[1], fds[2]},
                      .fds_len = 3,
                      .group = true};
    if (spawn(&s, &c->pid, &why) < 0) {
        c->pid = 0;
        return err_set(err, ERR_FAILED, "%s: %s",
                       why.stage == SPAWN_CWD && r->cwd ? r->cwd : r->argv[0], strerror(why.error));
    }
    /* Without it (ENOSYS, EMFILE) the end is waited for when the pipes are closed. */
    c->end_fd = (int)syscall(SYS_pidfd_open, c->pid, 0);
    return 0;
}

int capture_start(const struct capture_request *r, struct capture *c, struct err *err) {
    int out[2] = {-1, -1}, errs[2] = {-1, -1}, rc = -1;
    *c = (struct capture){.exit_code = -1,
                          .signal = -1,
                          .end_fd = -1,
                          .streams = {{.fd = -1}, {.fd = -1}},
                          .keep = r->keep,
                          .kill_after_ms = r->kill_after_ms,
                          .started_at = clock_mono_ms(),
                          .stop = r->stop};
    c->due_at = r->timeout_ms ? c->started_at + r->timeout_ms : INT64_MAX;
    int in = input_file(r, err);
    if (in < 0)
        return -1;
    if (pipe2(out, O_CLOEXEC) < 0 || pipe2(errs, O_CLOEXEC) < 0)
        err_set(err, ERR_FAILED, "pipe: %s", strerror(errno));
    else
        rc = start(r, c, (int[]){in, out[1], errs[1]}, err);
    c->streams[0].fd = out[0];
    c->streams[1].fd = errs[0];
    fd_close(&in);
    fd_close(&out[1]);
    fd_close(&errs[1]);
    if (rc < 0)
        capture_free(c);
    return rc;
}

/* ---- what it prints ---- */

static void keep_chunk(const struct capture *c, struct capture_stream *s) {
    size_t half = c->keep / 2, head = 0;
    if (s->head.len < half)
        head = c->chunk_len < half - s->head.len ? c->chunk_len : half - s->head.len;
    buf_add(&s->head, c->chunk, head);
    buf_add(&s->tail, c->chunk + head, c->chunk_len - head);
    s->total += c->chunk_len;
    size_t room = c->keep - half;
    if (s->tail.len > 2 * room + CAPTURE_CHUNK) /* not at every chunk: dropping moves the rest */
        buf_drop(&s->tail, s->tail.len - room);
}

struct buf capture_text(const struct capture *c, const struct capture_stream *s) {
    struct buf b = {0};
    size_t room = c->keep - c->keep / 2, drop = 0;
    buf_add(&b, s->head.data ? s->head.data : "", s->head.len);
    if (s->total > c->keep) {
        drop = s->tail.len - room;
        buf_printf(&b, "\n[... %" PRIu64 " bytes left out ...]\n", s->total - c->keep);
    }
    if (s->tail.len > drop)
        buf_add(&b, s->tail.data + drop, s->tail.len - drop);
    return b;
}

/* false at the end of the stream, too, which is closed then. */
static bool read_chunk(struct capture *c, struct capture_stream *s) {
    ssize_t n = read(s->fd, c->chunk, sizeof(c->chunk));
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return false;
    if (n <= 0) {
        fd_close(&s->fd);
        return false;
    }
    c->chunk_len = (size_t)n;
    keep_chunk(c, s);
    return true;
}

/* ---- its end ---- */

/* Its time is up: TERM, then KILL, then nothing is left to wait for: false. */
static bool press(struct capture *c) {
    if (c->signals_sent == 2)
        return false;
    c->timed_out = true;
    kill(-c->pid, c->signals_sent ? SIGKILL : SIGTERM);
    c->due_at = clock_mono_ms() + (c->signals_sent ? PIPE_GRACE_MS : c->kill_after_ms);
    c->signals_sent++;
    return true;
}

/* poll() that a TERM of ours ends: it is held back until we wait, so that none is missed. */
static int wait_some(struct capture *c, struct pollfd *p, nfds_t n) {
    sigset_t term, before;
    struct timespec left = {.tv_sec = 3600};
    if (c->due_at != INT64_MAX) {
        int64_t ms = c->due_at - clock_mono_ms();
        ms = ms < 0 ? 0 : ms;
        left = (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    }
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, &before);
    if (c->stop && *c->stop && !c->stopped) {
        c->stopped = true;
        kill(-c->pid, SIGTERM);
    }
    int got = ppoll(p, n, &left, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return got;
}

static void finish(struct capture *c) {
    struct spawn_end end;
    spawn_wait(c->pid, true, &end);
    c->pid = 0;
    c->exit_code = end.exit_code;
    c->signal = end.signal;
    c->duration_ms = clock_mono_ms() - c->started_at;
}

int capture_next(struct capture *c) {
    while (c->streams[0].fd >= 0 || c->streams[1].fd >= 0 || c->end_fd >= 0) {
        struct pollfd p[3] = {
            {c->streams[0].fd, POLLIN, 0}, {c->streams[1].fd, POLLIN, 0}, {c->end_fd, POLLIN, 0}};
        int n = wait_some(c, p, ARRAY_LEN(p));
        if (n == 0 && clock_mono_ms() >= c->due_at && !press(c))
            break;
        for (int i = 0; n > 0 && i < 2; i++)
            if (p[i].revents && read_chunk(c, &c->streams[i]))
                return i;
        if (n > 0 && p[2].revents)
            fd_close(&c->end_fd);
    }
    if (c->pid)
        finish(c);
    return -1;
}

void capture_free(struct capture *c) {
    if (c->pid) {
        kill(-c->pid, SIGKILL);
        finish(c);
    }
    for (int i = 0; i < 2; i++) {
        if (c->streams[i].fd > 0)
            fd_close(&c->streams[i].fd);
        buf_free(&c->streams[i].head);
        buf_free(&c->streams[i].tail);
    }
    if (c->end_fd > 0)
        fd_close(&c->end_fd);
}
