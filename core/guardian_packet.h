/* Packets with descriptors over a SOCK_SEQPACKET socket: how worker, guardian and warm process
 * talk.
 */
#ifndef QUEUECTL_GUARDIAN_PACKET_H
#define QUEUECTL_GUARDIAN_PACKET_H

#include <sys/uio.h>

#include "guardian.h"

struct packet {
    char *data; /* the receiver's, `cap` bytes */
    size_t cap, len;
    int fds[GUARDIAN_FDS], n_fds; /* the receiver's to close */
    bool whole;                   /* nothing of it was cut off */
};

/* A pair of sockets that hold a large packet. -1 with errno. */
int packet_pair(int pair[2]);
/* One packet. -1 with errno; never SIGPIPE. */
int packet_send(int fd, const struct iovec *iov, int n_iov, const int *fds, int n_fds);
/* 1 one came, 0 none now (only without `wait`), -1 the other end is gone:
 * errno, or 0 at its end. */
int packet_receive(int fd, struct packet *p, bool wait);
void packet_close_fds(struct packet *p);

#endif
