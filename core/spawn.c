#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

const char spawn_self[] = "/proc/self/exe";

enum { FD_SAFE = 64 }; /* above every target number */

static const char *path_of(char *const *env) {
    for (; *env; env++)
        if (strncmp(*env, "PATH=", 5) == 0)
            return *env + 5;
    return "/usr/local/bin:/usr/bin:/bin";
}

/* "sh", room for the path, and the arguments: what runs a script without #!. Yours to free. */
static char **script_argv(char *const *argv) {
    size_t n = 0;
    while (argv[n])
        n++;
    char **script = xcalloc(n + 2, sizeof(*script));
    script[0] = (char *)"sh";
    if (n > 1)
        memcpy(script + 2, argv + 1, (n - 1) * sizeof(*script));
    return script;
}

/* A script without #! is run by the shell, as execvp does. */
static void exec_file(const char *file, char *const *argv, char **script, char *const *env) {
    execve(file, argv, env);
    if (errno != ENOEXEC)
        return;
    script[1] = (char *)file;
    execve("/bin/sh", script, env);
}

/* Runs in the vfork child: no allocation. Returns only on failure, with errno. */
static void exec_search(char *const *argv, char **script, char *const *env) {
    const char *name = argv[0], *dir = path_of(env);
    if (strchr(name, '/')) {
        exec_file(name, argv, script, env);
        return;
    }
    char file[4096];
    int seen = ENOENT;
    size_t name_len = strlen(name);
    for (;;) {
        size_t len = strcspn(dir, ":");
        if (len + name_len + 2 < sizeof(file)) {
            memcpy(file, len ? dir : ".", len ? len : 1);
            size_t at = len ? len : 1;
            file[at] = '/';
            memcpy(file + at + 1, name, name_len + 1);
            exec_file(file, argv, script, env);
            if (errno != ENOENT && errno != ENOTDIR)
                seen = errno;
        }
        if (!dir[len])
            break;
        dir += len + 1;
    }
    errno = seen;
}

/* Handlers go with exec, what is ignored stays: those are set back. Found out at the first spawn;
 * what a process ignores it ignores from its start. The kernel's own calls: sigaction() refuses the
 * two signals that libc keeps for itself, and posix_spawn starts programs with just those ignored.
 */
static bool ignored[NSIG];

struct kernel_action {
    void (*handler)(int);
    unsigned long rest[7];
};

static long kernel_sigaction(int sig, const struct kernel_action *to, struct kernel_action *was) {
    return syscall(SYS_rt_sigaction, sig, to, was, (size_t)NSIG / 8);
}

static void find_ignored(void) {
    static bool known;
    struct kernel_action now;
    if (known) /* nothing is written: in a fork that would be a page to copy */
        return;
    for (int sig = 1; sig < NSIG; sig++)
        ignored[sig] = kernel_sigaction(sig, NULL, &now) == 0 && now.handler == SIG_IGN;
    known = true;
}

static void reset_signals(bool keep_hup_off) {
    static const struct kernel_action by_default;
    for (int sig = 1; sig < NSIG; sig++)
        if (ignored[sig] && !(sig == SIGHUP && keep_hup_off))
            kernel_sigaction(sig, &by_default, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* None has the number that another one gets. */
static bool fds_are_apart(const struct spawn *s) {
    for (int i = 0; i < s->fds_len; i++)
        if (s->fds[i] < s->fds_len)
            return false;
    return true;
}

static int place_fds(const struct spawn *s) {
    int safe[SPAWN_FDS];
    bool apart = fds_are_apart(s);
    for (int i = 0; apart && i < s->fds_len; i++)
        if (dup2(s->fds[i], i) < 0)
            return -1;
    if (apart)
        return 0;
    for (int i = 0; i < s->fds_len; i++)
        if ((safe[i] = fcntl(s->fds[i], F_DUPFD_CLOEXEC, FD_SAFE)) < 0)
            return -1;
    for (int i = 0; i < s->fds_len; i++)
        if (dup2(safe[i], i) < 0)
            return -1;
    for (int i = 0; i < s->fds_len; i++)
        close(safe[i]);
    return 0;
}

static int enter(const struct spawn *s, struct spawn_failure *why) {
    if (s->session)
        setsid();
    else if (s->group)
        setpgid(0, 0);
    if (s->die_with_me)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    why->stage = SPAWN_FD;
    if (place_fds(s) < 0)
        return -1;
    why->stage = SPAWN_CWD;
    if (s->cwd && chdir(s->cwd) < 0)
        return -1;
    reset_signals(s->keep_hup_off);
    why->stage = SPAWN_LIMITS;
    if (s->limits && (why->limit = spawn_apply_limits(s->limits)) != LIMIT_NONE)
        return -1;
    return 0;
}

/* In the child, which shares the parent's memory: says in *why what failed. */
static void child(const struct spawn *s, char **script, struct spawn_failure *why) {
    if (enter(s, why) < 0)
        goto out;
    why->stage = SPAWN_EXEC;
    if (close_range((unsigned)s->fds_len, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
        goto out;
    if (s->file)
        exec_file(s->file, s->argv, script, s->env);
    else
        exec_search(s->argv, script, s->env);
    if (s->fallback)
        execve("/bin/sh", s->fallback, s->env);
out:
    why->error = errno;
}

int spawn(const struct spawn *s, pid_t *pid, struct spawn_failure *why) {
    /* volatile: written by the child in our memory while we stand still */
    static volatile struct spawn_failure shared;
    static char **script;
    shared = (struct spawn_failure){.stage = SPAWN_FORK};
    find_ignored();
    sigset_t all, before;
    script = script_argv(s->argv);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t p = vfork();
    if (p == 0) {
        child(s, script, (struct spawn_failure *)&shared);
        _exit(127);
    }
    int error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    free(script);
    *why = (struct spawn_failure){shared.stage, shared.error, shared.limit};
    if (p < 0) {
        why->error = error;
        return -1;
    }
    if (why->error) {
        waitpid(p, NULL, 0);
        return -1;
    }
    why->stage = SPAWN_OK;
    *pid = p;
    return 0;
}

/* glibc keeps the thread's number where the kernel was told to clear it, and wants it right in the
 * child (raise, abort): the kernel writes it there, as fork() has it done. */
pid_t spawn_sibling(void) {
    int *tid = NULL;
    unsigned long flags = CLONE_PARENT | SIGCHLD;
    fflush(NULL); /* else both would write what is buffered */
    find_ignored();
    if (prctl(PR_GET_TID_ADDRESS, &tid) == 0 && tid)
        flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
    return (pid_t)syscall(SYS_clone, flags, NULL, NULL, tid, NULL);
}

void spawn_leave(int exit_code) {
    fflush(NULL);
    _exit(exit_code);
}

int spawn_enter(const struct spawn *s, struct spawn_failure *why) {
    find_ignored();
    int rc = enter(s, why);
    why->error = rc < 0 ? errno : 0;
    int fds[SPAWN_FDS], n = 0;
    for (int i = 0; i < s->fds_len; i++)
        if (s->fds[i] >= s->fds_len)
            fds[n++] = s->fds[i];
    fds_close(fds, n);
    return rc;
}

void spawn_replace(const struct spawn *s) {
    close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    char **script = script_argv(s->argv);
    if (s->file)
        exec_file(s->file, s->argv, script, s->env);
    else
        exec_search(s->argv, script, s->env);
    int error = errno;
    if (s->fallback)
        execve("/bin/sh", s->fallback, s->env);
    dprintf(STDERR_FILENO, "could not start: %s: %s\n", s->argv[0], strerror(error));
    _exit(error == ENOENT ? 127 : 126);
}

int spawn_wait(pid_t pid, bool block, struct spawn_end *end) {
    int status = 0;
    pid_t got;
    do
        got = waitpid(pid, &status, block ? 0 : WNOHANG);
    while (got < 0 && errno == EINTR);
    *end = (struct spawn_end){.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
                              .signal = WIFSIGNALED(status) ? WTERMSIG(status) : -1};
    return got < 0 ? -1 : got > 0;
}
