/* What a job is started with: pipes, environment, standard input, and the request itself. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "command.h"
#include "pack.h"
#include "secret.h"
#include "spawn.h"
#include "worker_impl.h"

/* Descriptors the job gets, in order: 0 1 2, and for Lua its channel (3), its facts (4) unless they
 * are short, and the program, which is the worker's and stays with it. */
struct job_fds {
    int fds[GUARDIAN_FDS];
    int n;
    uint32_t program;
    struct buf facts; /* those that travel in the packet */
};

enum { FACTS_IN_PACKET = 16384 };

/* 1 it has secrets, 0 none, -1 one cannot be had. */
static int job_env(struct slot *s, const char *mark, struct buf *env, struct err *err) {
    const struct job *j = &s->job;
    int secrets = secrets_resolve(s, env, err);
    if (secrets < 0)
        return -1;
    pack_add_value(env, "QUEUECTL_JOB_ID", j->id);
    pack_add_value(env, "QUEUECTL_JOB_NAME", j->name ? j->name : "");
    if (j->run)
        pack_add_number(env, "QUEUECTL_RUN", j->run);
    pack_add_number(env, "QUEUECTL_ATTEMPT", j->tries);
    pack_add_number(env, "QUEUECTL_TOKEN", j->starts);
    pack_add_value(env, "QUEUECTL_STORE", s->worker->store_path);
    char *report = lease_report_path(s->worker->store, s->worker->lease.uid, s->mark);
    pack_add_value(env, "QUEUECTL_REPORT", report);
    free(report);
    pack_add(env, PACK_TEXT, mark);
    if (s->output_path)
        pack_add_value(env, "QUEUECTL_OUTPUT", s->output_path);
    return secrets;
}

/* ---- standard input ---- */

static int stdin_from_file(const struct job *j, struct err *err) {
    char *path = j->stdin_path[0] == '/' || !j->cwd ? xstrdup(j->stdin_path)
                                                    : xasprintf("%s/%s", j->cwd, j->stdin_path);
    /* A FIFO without a writer would block us. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        err_set(err, ERR_FAILED, "stdin: %s: %s", path, strerror(errno));
    else
        fcntl(fd, F_SETFL, 0);
    free(path);
    return fd;
}

static int open_stdin(const struct job *j, struct err *err) {
    return j->stdin_path ? stdin_from_file(j, err)
                         : memory_file("stdin", j->stdin_text.data, j->stdin_text.len, err);
}

/* ---- pipes ---- */

static int open_pipe(struct slot_stream *st, int *child_end, struct err *err) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_set(err, ERR_FAILED, "pipe: %s", strerror(errno));
    fcntl(ends[0], F_SETFL, O_NONBLOCK); /* our end only: the job's must block as usual */
    st->watch.fd = ends[0];
    *child_end = ends[1];
    st->slot->has_channel = st->slot->has_channel || st->stream == 0;
    return loop_watch(st->slot->worker->loop, &st->watch, EPOLLIN, err);
}

static int open_lua_fds(struct slot *s, struct job_fds *f, struct err *err) {
    const struct program *p = program_of(s->worker, &s->job, err);
    if (!p || open_pipe(&s->streams[PIPE_CHANNEL], &f->fds[f->n++], err) < 0 ||
        program_facts(s, &f->facts, err) < 0)
        return -1;
    if (f->facts.len > FACTS_IN_PACKET) {
        if ((f->fds[f->n] = memory_file("facts", f->facts.data, f->facts.len, err)) < 0)
            return -1;
        f->n++;
        buf_free(&f->facts);
    }
    f->fds[f->n++] = p->fd;
    f->program = p->number;
    return 0;
}

static int open_fds(struct slot *s, struct job_fds *f, struct err *err) {
    f->n = 3;
    bool has_stdin = s->job.stdin_path || s->job.stdin_text.len;
    f->fds[0] = has_stdin ? open_stdin(&s->job, err) : s->worker->null_fd;
    if (f->fds[0] < 0 || open_pipe(&s->streams[PIPE_OUT], &f->fds[1], err) < 0 ||
        open_pipe(&s->streams[PIPE_ERR], &f->fds[2], err) < 0)
        return -1;
    return starts_in_lua(&s->job) ? open_lua_fds(s, f, err) : 0;
}

static int make_output_file(struct slot *s, struct err *err) {
    if (!s->job.outputs.len || s->job.kind == JOB_LUA)
        return 0;
    s->output_path = lease_output_path(s->worker->store, s->worker->lease.uid, (int)s->number);
    int fd = open(s->output_path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(err, ERR_FAILED, "%s: %s", s->output_path, strerror(errno));
    fd_close(&fd);
    return 0;
}

/* ---- the request ---- */

static void job_argv(const struct job *j, struct buf *argv, struct guardian_texts *t) {
    if (starts_in_lua(j)) {
        pack_add(argv, PACK_TEXT, spawn_self);
        pack_add(argv, PACK_TEXT, "--lua-job");
    } else if (j->kind == JOB_ARGV) {
        buf_add(argv, j->command.data, j->command.len);
    } else {
        command_words(j->command.data, j->command.len, argv);
        /* with the closing NUL, which buf keeps behind the text */
        t->shell.data = j->command.data;
        t->shell.len = j->command.len + 1;
    }
    t->argv.data = argv->data;
    t->argv.len = argv->len;
}

static int give_to_guardian(struct worker *w, struct guardian_request *r,
                            const struct guardian_texts *t, const struct job_fds *f,
                            struct err *err) {
    int rc = guardian_send(&w->guardian, r, t, f->fds, f->n);
    if (rc < 0 && errno == EMSGSIZE)
        err_set(err, ERR_FAILED, "command and environment are longer than 300 KiB together");
    else if (rc < 0 && (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN))
        rc = 0; /* the guardian is gone: SLOT_EV_LOST will come for this slot */
    else if (rc < 0)
        err_set(err, ERR_FAILED, "guardian: %s", strerror(errno));
    return rc;
}

static int send_request(struct slot *s, struct job_fds *f, struct err *err) {
    const struct job *j = &s->job;
    struct worker *w = s->worker;
    struct buf argv = {0}, env = {0};
    char mark[80];
    s->mark = ++w->marks;
    snprintf(mark, sizeof(mark), "%s=%s.%" PRIu64, LEASE_MARK, w->lease.uid, s->mark);
    int secrets = job_env(s, mark, &env, err);
    if (secrets < 0) {
        secret_wipe(&env);
        return -1;
    }
    struct guardian_request r = {.type = GUARD_SPAWN,
                                 .slot = s->number,
                                 .program = f->program,
                                 .secrets = (uint32_t)secrets,
                                 .timeout_ms = j->timeout_ms,
                                 .kill_after_ms = j->kill_after_ms};
    struct guardian_texts t = {.env = {env.data, env.len}, .mark = {mark, strlen(mark) + 1}};
    t.facts = (struct bytes_view){f->facts.data, f->facts.len};
    if (j->cwd)
        t.cwd = (struct bytes_view){j->cwd, strlen(j->cwd) + 1};
    job_argv(j, &argv, &t);
    int rc = spawn_limits_parse(j->limits, &r.limits);
    if (rc < 0)
        err_set(err, ERR_CORRUPT, "limits: not understood: %s", j->limits);
    else
        rc = give_to_guardian(w, &r, &t, f, err);
    buf_free(&argv);
    secret_wipe(&env);
    return rc;
}

bool is_shortage(int error) {
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == EAGAIN ||
           error == ENOBUFS || error == ETOOMANYREFS;
}

int start_job(struct slot *s, struct err *err) {
    struct job_fds f = {.fds = {-1, -1, -1, -1, -1, -1}};
    int rc, own;
    errno = 0;
    if (s->job.error) /* a value it needs is missing: claim said so */
        rc = err_set(err, ERR_FAILED, "%s", s->job.error);
    else if ((rc = make_output_file(s, err)) == 0 && (rc = open_fds(s, &f, err)) == 0) {
        errno = 0; /* not one that something met on the way and overcame */
        rc = send_request(s, &f, err);
    }
    s->shortage = rc < 0 && is_shortage(errno);
    own = f.fds[0] == s->worker->null_fd ? 1 : 0;
    fds_close(f.fds + own, (f.program ? f.n - 1 : f.n) - own);
    buf_free(&f.facts);
    return rc;
}
