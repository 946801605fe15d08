/* The worker's side of the guardian: start it, talk to it. */
#include "guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guardian_packet.h"
#include "proc.h"
#include "spawn.h"

extern char **environ;

static int launch(struct guardian *g, int sock, int lock_fd, char *const *argv, struct err *err) {
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    /* argv[0] is what people see in ps; the file is this program itself. */
    struct spawn s = {.file = spawn_self,
                      .argv = argv,
                      .env = environ,
                      .fds = {null_fd, STDERR_FILENO, STDERR_FILENO, sock, lock_fd},
                      .fds_len = 5,
                      .session = true,
                      .keep_hup_off = true}; /* it passes on what nohup set */
    struct spawn_failure why;
    int rc = spawn(&s, &g->pid, &why);
    fd_close(&null_fd);
    if (rc < 0)
        return err_set(err, ERR_FAILED, "cannot start the guardian process: %s",
                       strerror(why.error));
    return 0;
}

int guardian_start(struct guardian *g, int lock_fd, int wards, int limit, struct err *err) {
    char count[16], most[16];
    snprintf(count, sizeof(count), "%d", wards);
    snprintf(most, sizeof(most), "%d", limit);
    char *argv[] = {(char *)"queuectl-guardian", (char *)"--guardian", count, most, NULL};
    int pair[2];
    *g = (struct guardian){.fd = -1};
    if (packet_pair(pair) < 0)
        return err_set(err, ERR_FAILED, "socketpair: %s", strerror(errno));
    /* Should the guardian be killed, its orphans come to us. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    int rc = launch(g, pair[1], lock_fd, argv, err);
    fd_close(&pair[1]);
    if (rc < 0) {
        fd_close(&pair[0]);
        return -1;
    }
    g->fd = pair[0];
    return 0;
}

static void add_text(struct iovec *iov, int *n, uint32_t *len, const struct bytes_view *v) {
    *len = (uint32_t)v->len;
    if (v->len)
        iov[(*n)++] = (struct iovec){(void *)(uintptr_t)v->data, v->len};
}

int guardian_send(struct guardian *g, struct guardian_request *request,
                  const struct guardian_texts *texts, const int *fds, int n_fds) {
    struct iovec iov[7] = {{request, sizeof(*request)}};
    int n = 1;
    if (texts) {
        add_text(iov, &n, &request->argv_len, &texts->argv);
        add_text(iov, &n, &request->shell_len, &texts->shell);
        add_text(iov, &n, &request->env_len, &texts->env);
        add_text(iov, &n, &request->cwd_len, &texts->cwd);
        add_text(iov, &n, &request->mark_len, &texts->mark);
        add_text(iov, &n, &request->facts_len, &texts->facts);
    }
    size_t size = 0;
    for (int i = 0; i < n; i++)
        size += iov[i].iov_len;
    if (size > GUARDIAN_PACKET_MAX) {
        errno = EMSGSIZE;
        return -1;
    }
    return packet_send(g->fd, iov, n, fds, n_fds);
}

int guardian_read(struct guardian *g, struct guardian_event *event) {
    ssize_t n;
    /* When it dies with requests unread the first answer is ECONNRESET; what it said before comes
     * after that. */
    do
        n = recv(g->fd, event, sizeof(*event), MSG_DONTWAIT);
    while (n < 0 && (errno == EINTR || errno == ECONNRESET));
    if (n == (ssize_t)sizeof(*event))
        return 1;
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : -1;
}

void guardian_stop(struct guardian *g) {
    struct spawn_end end;
    fd_close(&g->fd);
    if (g->pid > 0)
        spawn_wait(g->pid, true, &end);
    g->pid = 0;
    /* Nothing is here unless it was killed: then its jobs are our children now. */
    proc_end_children(0, 10000);
}
