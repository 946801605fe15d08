#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "clock.h"

struct loop {
    int epoll_fd;
    struct heap timers;
    struct watch signals;
    void (*signal_fn)(int signo, void *arg);
    void *signal_arg;
    struct epoll_event events[64];
    int n_events; /* of the batch being run; unwatch blanks its entries */
};

int loop_new(struct loop **out, struct err *err) {
    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0)
        return err_set(err, ERR_FAILED, "epoll_create1: %s", strerror(errno));
    struct loop *l = xcalloc(1, sizeof(*l));
    l->epoll_fd = fd;
    l->signals.fd = -1;
    *out = l;
    return 0;
}

void loop_free(struct loop *l) {
    if (!l)
        return;
    fd_close(&l->signals.fd);
    close(l->epoll_fd);
    heap_free(&l->timers);
    free(l);
}

int loop_watch(struct loop *l, struct watch *w, uint32_t events, struct err *err) {
    struct epoll_event ev = {.events = events, .data = {.ptr = w}};
    if (epoll_ctl(l->epoll_fd, w->on ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, w->fd, &ev) < 0)
        return err_set(err, ERR_FAILED, "epoll_ctl: %s", strerror(errno));
    w->on = true;
    return 0;
}

void loop_unwatch(struct loop *l, struct watch *w) {
    if (!w->on)
        return;
    epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
    w->on = false;
    for (int i = 0; i < l->n_events; i++)
        if (l->events[i].data.ptr == w)
            l->events[i].data.ptr = NULL;
}

void loop_timer(struct loop *l, struct timer *t, int64_t in_us) {
    heap_set(&l->timers, &t->due, clock_mono_us() + (in_us > 0 ? in_us : 0));
}

void loop_timer_stop(struct loop *l, struct timer *t) {
    heap_remove(&l->timers, &t->due);
}

static void on_signal(struct watch *w, uint32_t events) {
    (void)events;
    struct signalfd_siginfo info;
    struct loop *l = (struct loop *)((char *)w - offsetof(struct loop, signals));
    while (read(w->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        l->signal_fn((int)info.ssi_signo, l->signal_arg);
}

int loop_signals(struct loop *l, const sigset_t *set, void (*fn)(int signo, void *arg), void *arg,
                 struct err *err) {
    sigprocmask(SIG_BLOCK, set, NULL);
    l->signals.fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (l->signals.fd < 0)
        return err_set(err, ERR_FAILED, "signalfd: %s", strerror(errno));
    l->signal_fn = fn;
    l->signal_arg = arg;
    l->signals.fn = on_signal;
    return loop_watch(l, &l->signals, EPOLLIN, err);
}

static void run_timers(struct loop *l) {
    int64_t now = clock_mono_us();
    struct heap_item *top;
    while ((top = heap_top(&l->timers)) && top->at <= now) {
        struct timer *t = (struct timer *)((char *)top - offsetof(struct timer, due));
        heap_remove(&l->timers, top);
        t->fn(t);
    }
}

static struct timespec until_next(const struct loop *l) {
    int64_t left = heap_top(&l->timers)->at - clock_mono_us();
    if (left < 0)
        left = 0;
    return (struct timespec){.tv_sec = left / 1000000, .tv_nsec = left % 1000000 * 1000};
}

int loop_once(struct loop *l, bool wait, struct err *err) {
    struct timespec left = {0};
    bool forever = wait && !heap_top(&l->timers);
    if (wait && !forever)
        left = until_next(l);
    int n =
        epoll_pwait2(l->epoll_fd, l->events, ARRAY_LEN(l->events), forever ? NULL : &left, NULL);
    if (n < 0 && errno != EINTR)
        return err_set(err, ERR_FAILED, "epoll_pwait2: %s", strerror(errno));
    l->n_events = n > 0 ? n : 0;
    for (int i = 0; i < l->n_events; i++) {
        struct watch *w = l->events[i].data.ptr;
        if (w)
            w->fn(w, l->events[i].events);
    }
    l->n_events = 0;
    run_timers(l);
    return 0;
}
