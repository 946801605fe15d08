#include "spawn_capture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "spawn.h"

enum { TERM_GRACE_MS = 2000 };

static int input_file(const struct capture_request *r) {
    if (!r->input)
        return open("/dev/null", O_RDONLY | O_CLOEXEC);
    int fd = memfd_create("stdin", MFD_CLOEXEC);
    size_t done = 0;
    while (fd >= 0 && done < r->input_len) {
        ssize_t n = write(fd, r->input + done, r->input_len - done);
        if (n <= 0)
            fd_close(&fd);
        else
            done += (size_t)n;
    }
    if (fd >= 0)
        lseek(fd, 0, SEEK_SET);
    return fd;
}

/* false at the end of the stream, or when it is too long. */
static bool read_some(int fd, struct buf *b) {
    char data[65536];
    ssize_t n = read(fd, data, sizeof(data));
    if (n < 0)
        return errno == EINTR || errno == EAGAIN;
    if (n == 0 || b->len + (size_t)n > CAPTURE_MAX)
        return false;
    buf_add(b, data, (size_t)n);
    return true;
}

static int left_ms(int64_t until) {
    int64_t left = until - clock_mono_ms();
    return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

/* Read both pipes until they are closed. Times out by signals to the group: the pipes close then,
 * or are given up. */
static void collect(const struct capture_request *r, pid_t pid, int fds[2], struct capture *c) {
    struct pollfd p[2] = {{fds[0], POLLIN, 0}, {fds[1], POLLIN, 0}};
    int64_t until = r->timeout_ms ? clock_mono_ms() + r->timeout_ms : INT64_MAX;
    int sent = 0;
    while (p[0].fd >= 0 || p[1].fd >= 0) {
        int n = poll(p, 2, until == INT64_MAX ? -1 : left_ms(until));
        if (n == 0 && clock_mono_ms() >= until) {
            if (sent == 2)
                return;
            c->timed_out = true;
            kill(-pid, sent++ ? SIGKILL : SIGTERM);
            until = clock_mono_ms() + TERM_GRACE_MS;
        }
        for (int i = 0; n > 0 && i < 2; i++)
            if (p[i].revents && !read_some(p[i].fd, i ? &c->err : &c->out))
                p[i].fd = -1;
    }
}

int spawn_capture(const struct capture_request *r, struct capture *c, struct err *err) {
    int out[2] = {-1, -1}, errs[2] = {-1, -1}, in = input_file(r), rc = -1;
    struct spawn_failure why = {0};
    pid_t pid = 0;
    *c = (struct capture){.exit_code = -1, .signal = -1};
    if (in < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(errs, O_CLOEXEC) < 0) {
        err_set(err, ERR_FAILED, "pipe: %s", strerror(errno));
        goto out;
    }
    int64_t start = clock_mono_ms();
    struct spawn s = {.argv = r->argv,
                      .env = r->env,
                      .cwd = r->cwd,
                      .fds = {in, out[1], errs[1]},
                      .fds_len = 3,
                      .group = true};
    if (spawn(&s, &pid, &why) < 0) {
        err_set(err, ERR_FAILED, "%s: %s", why.stage == SPAWN_CWD && r->cwd ? r->cwd : r->argv[0],
                strerror(why.error));
        goto out;
    }
    fd_close(&out[1]);
    fd_close(&errs[1]);
    int ends[2] = {out[0], errs[0]};
    collect(r, pid, ends, c);
    bool too_long = c->out.len > CAPTURE_MAX - 65536 || c->err.len > CAPTURE_MAX - 65536;
    if (too_long)
        kill(-pid, SIGKILL);
    struct spawn_end end;
    spawn_wait(pid, true, &end);
    c->exit_code = end.exit_code;
    c->signal = end.signal;
    c->duration_ms = clock_mono_ms() - start;
    rc = too_long ? err_set(err, ERR_FAILED, "%s printed more than 64 MiB", r->argv[0]) : 0;
out:
    fd_close(&in);
    fd_close(&out[0]);
    fd_close(&out[1]);
    fd_close(&errs[0]);
    fd_close(&errs[1]);
    return rc;
}

void capture_free(struct capture *c) {
    buf_free(&c->out);
    buf_free(&c->err);
}
