#include "guardian_warm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "spawn.h"

extern char **environ;

enum {
    WARM_MAX = 4,          /* programs at a time; the one not used for longest goes */
    IDLE_US = 60 * 1000000 /* without a question: its memory is worth more than its warmth */
};

struct warm {
    uint32_t program; /* 0: free */
    pid_t pid;        /* 0: it has ended without ever answering, and is not tried again */
    struct watch watch;
    struct timer idle;
    unsigned asked; /* and not answered */
    uint64_t used;
    bool proved; /* has answered */
};

static struct loop *loop;
static struct warm_events events;
static struct warm table[WARM_MAX];
static uint64_t uses;
static bool hup_off;

#define OWNER(member, p) ((struct warm *)((char *)(p)-offsetof(struct warm, member)))

static void end(struct warm *w) {
    if (w->pid)
        kill(w->pid, SIGKILL); /* reaped with the other children that are no jobs */
    if (w->watch.fd >= 0)
        loop_unwatch(loop, &w->watch);
    fd_close(&w->watch.fd);
    loop_timer_stop(loop, &w->idle);
    w->pid = 0;
    w->asked = 0;
}

static void lose(struct warm *w) {
    uint32_t program = w->program;
    end(w);
    if (w->proved)
        w->program = 0;
    events.lost(program);
}

/* ---- answers ---- */

/* When it dies with requests unread, ECONNRESET comes first, and after that what its forks said. */
static void read_answers(struct warm *w) {
    struct warm_answer a;
    struct packet p = {.data = (char *)&a, .cap = sizeof(a)};
    int rc;
    while (w->pid && (rc = packet_receive(w->watch.fd, &p, false)) != 0) {
        packet_close_fds(&p);
        if (rc < 0 && errno == ECONNRESET)
            continue;
        if (rc < 0) {
            lose(w);
            return;
        }
        if (p.len != sizeof(a))
            continue;
        w->proved = true;
        w->asked -= w->asked > 0;
        events.answered(&a);
    }
}

static void on_readable(struct watch *watch, uint32_t what) {
    (void)what;
    read_answers(OWNER(watch, watch));
}

static void on_idle(struct timer *t) {
    struct warm *w = OWNER(idle, t);
    if (w->asked) { /* its jobs see to that */
        loop_timer(loop, t, IDLE_US);
    } else {
        end(w);
        w->program = 0;
    }
}

void warm_read(void) {
    for (int i = 0; i < WARM_MAX; i++)
        if (table[i].pid)
            read_answers(&table[i]);
}

void warm_give_up(uint32_t program, bool for_good) {
    for (int i = 0; i < WARM_MAX; i++)
        if (table[i].program == program && table[i].pid) {
            table[i].proved = table[i].proved || !for_good;
            lose(&table[i]);
            return;
        }
    events.lost(program);
}

bool warm_is(pid_t pid) {
    for (int i = 0; i < WARM_MAX; i++)
        if (table[i].pid == pid)
            return true;
    return false;
}

/* ---- starting and asking ---- */

/* Our environment and the mark. What /proc shows of a fork is the environment of this exec. */
static char **marked_env(const char *mark) {
    size_t n = 0;
    while (environ[n])
        n++;
    char **env = xcalloc(n + 2, sizeof(*env));
    memcpy(env, environ, n * sizeof(*env));
    env[n] = (char *)(uintptr_t)mark;
    return env;
}

static int launch(struct warm *w, int text_fd, const char *mark, int sock) {
    char *argv[] = {(char *)"queuectl-lua", (char *)"--lua-warm", NULL};
    char **env = marked_env(mark);
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct spawn s = {.file = spawn_self,
                      .argv = argv,
                      .env = env,
                      .fds = {null_fd, null_fd, null_fd, text_fd, sock},
                      .fds_len = 5,
                      .session = true,
                      .die_with_me = true,
                      .keep_hup_off = hup_off};
    struct spawn_failure why;
    int rc = null_fd < 0 ? -1 : spawn(&s, &w->pid, &why);
    fd_close(&null_fd);
    free(env);
    return rc;
}

static int start(struct warm *w, int text_fd, const char *mark) {
    int pair[2];
    if (packet_pair(pair) < 0)
        return -1;
    int rc = launch(w, text_fd, mark, pair[1]);
    fd_close(&pair[1]);
    w->watch.fd = pair[0];
    if (rc == 0) {
        fcntl(pair[0], F_SETFL, O_NONBLOCK); /* we never wait for it */
        rc = loop_watch(loop, &w->watch, EPOLLIN, NULL);
    }
    if (rc < 0)
        end(w);
    return rc;
}

/* The program's entry; a new one takes the place of the one not used for longest, unless that is
 * just being asked something: NULL. */
static struct warm *entry(uint32_t program) {
    struct warm *oldest = NULL;
    for (int i = 0; i < WARM_MAX; i++) {
        struct warm *w = &table[i];
        if (w->program == program)
            return w;
        if (!w->asked && (!oldest || w->used < oldest->used))
            oldest = w;
    }
    if (!oldest)
        return NULL;
    end(oldest);
    *oldest = (struct warm){.watch = {.fn = on_readable, .fd = -1}, .idle = {.fn = on_idle}};
    return oldest;
}

int warm_ask(uint32_t program, const struct packet *p, uint64_t turn, const char *mark) {
    struct warm *w = entry(program);
    if (!w || (w->program && !w->pid))
        return -1;
    if (!w->program && start(w, p->fds[p->n_fds - 1], mark) < 0)
        return -1;
    w->program = program;
    w->used = ++uses;
    loop_timer(loop, &w->idle, IDLE_US);
    struct iovec iov[2] = {{&turn, sizeof(turn)}, {p->data, p->len}};
    if (packet_send(w->watch.fd, iov, 2, p->fds, p->n_fds - 1) < 0)
        return -1;
    w->asked++;
    return 0;
}

void warm_init(struct loop *l, const struct warm_events *e, bool keep_hup_off) {
    loop = l;
    hup_off = keep_hup_off;
    events = *e;
    for (int i = 0; i < WARM_MAX; i++)
        table[i].watch.fd = -1;
}
