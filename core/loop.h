/* The event loop behind a handful of calls: descriptors, one-shot timers on the monotonic clock,
 * signals as data. Single-threaded; sleeps until something is due and never polls. */
#ifndef QUEUECTL_LOOP_H
#define QUEUECTL_LOOP_H

#include <signal.h>

#include "heap.h"
#include "util.h"

struct loop;

/* A watched descriptor or timer, embedded in its owner, who outlives the watch. `events`: EPOLL*.
 */
struct watch {
    void (*fn)(struct watch *w, uint32_t events);
    int fd;
    bool on;
};
struct timer {
    struct heap_item due; /* due.at: clock_mono_us */
    void (*fn)(struct timer *t);
};

int loop_new(struct loop **out, struct err *err);
void loop_free(struct loop *l);

/* Watch w->fd for `events` (EPOLLIN, EPOLLOUT; 0 = errors only); again = change them. */
int loop_watch(struct loop *l, struct watch *w, uint32_t events, struct err *err);
/* Must come before close(): a child between vfork and exec may still hold the descriptor open, and
 * epoll would go on reporting it. */
void loop_unwatch(struct loop *l, struct watch *w);

/* Arm (or move) a one-shot timer, in microseconds from now. */
void loop_timer(struct loop *l, struct timer *t, int64_t in_us);
void loop_timer_stop(struct loop *l, struct timer *t);

/* Block these signals and deliver them to fn from inside the loop. */
int loop_signals(struct loop *l, const sigset_t *set, void (*fn)(int signo, void *arg), void *arg,
                 struct err *err);

/* Run what is due; with `wait`, sleep until something is. 0, or -1 with err. */
int loop_once(struct loop *l, bool wait, struct err *err);

#endif
