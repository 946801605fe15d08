#include "guardian_packet.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
    struct cmsghdr align;
    char space[CMSG_SPACE(GUARDIAN_FDS * sizeof(int))];
};

int packet_pair(int pair[2]) {
    int size = 2 * GUARDIAN_PACKET_MAX;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -1;
    for (int i = 0; i < 2; i++)
        if (setsockopt(pair[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
            setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    return 0;
}

int packet_send(int fd, const struct iovec *iov, int n_iov, const int *fds, int n_fds) {
    union control control = {0};
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n_iov};
    if (n_fds > 0) {
        msg.msg_control = control.space;
        msg.msg_controllen = CMSG_SPACE((size_t)n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN((size_t)n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, (size_t)n_fds * sizeof(int));
    }
    ssize_t sent;
    do
        sent = sendmsg(fd, &msg, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -1 : 0;
}

int packet_receive(int fd, struct packet *p, bool wait) {
    union control control;
    struct iovec iov = {p->data, p->cap};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.space,
                         .msg_controllen = sizeof(control)};
    ssize_t n;
    do
        n = recvmsg(fd, &msg, (wait ? 0 : MSG_DONTWAIT) | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR && wait);
    p->n_fds = 0;
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    if (c && c->cmsg_type == SCM_RIGHTS) {
        p->n_fds = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(p->fds, CMSG_DATA(c), (size_t)p->n_fds * sizeof(int));
    }
    if (n == 0)
        errno = 0;
    p->len = (size_t)n;
    p->whole = !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
    return n == 0 ? -1 : 1;
}

void packet_close_fds(struct packet *p) {
    fds_close(p->fds, p->n_fds);
    p->n_fds = 0;
}
