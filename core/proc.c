#include "proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

/* The kernel's list, which a guardian reads with each end of a job: the file stays open. */
static int read_children(struct buf *text) {
    static int fd = -1;
    char path[64], part[4096];
    ssize_t n;
    if (fd < 0) {
        snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    while ((n = pread(fd, part, sizeof(part), (off_t)text->len)) > 0)
        buf_add(text, part, (size_t)n);
    return n < 0 ? -1 : 0;
}

ssize_t proc_children(pid_t **pids) {
    struct buf text = {0};
    *pids = NULL;
    if (read_children(&text) < 0) {
        buf_free(&text);
        return -1;
    }
    ssize_t n = 0;
    for (char *p = text.data, *end; (p && *p); p = end) {
        long pid = strtol(p, &end, 10);
        if (end == p)
            break;
        *pids = xrealloc(*pids, (size_t)(n + 1) * sizeof(**pids));
        (*pids)[n++] = (pid_t)pid;
        end += strspn(end, " \n");
    }
    buf_free(&text);
    return n;
}

bool proc_has_mark(pid_t pid, const char *mark, bool whole) {
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/environ", pid);
    struct buf env = {0};
    bool found = false;
    if (file_read(path, 8 << 20, &env, NULL) == 0)
        for (size_t at = 0; !found && at < env.len; at += strlen(env.data + at) + 1)
            found = strncmp(env.data + at, mark, strlen(mark) + whole) == 0;
    buf_free(&env);
    return found;
}

static void nap(int ms) {
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

static int sweep_once(const char *mark) {
    DIR *dir = opendir("/proc");
    if (!dir)
        return -1;
    int found = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
        if (pid <= 0 || pid == getpid() || !proc_has_mark(pid, mark, false))
            continue;
        kill(pid, SIGKILL);
        found++;
    }
    closedir(dir);
    return found;
}

int proc_sweep(const char *mark, int max_ms) {
    int64_t until = clock_mono_ms() + max_ms;
    for (int empty = 0; empty < 2;) {
        int found = sweep_once(mark);
        if (found < 0)
            return -1;
        if (found == 0) {
            empty++;
            continue;
        }
        empty = 0;
        if (clock_mono_ms() > until)
            return -1;
        nap(2);
    }
    return 0;
}

static pid_t *spared;
static ssize_t spared_len;

void proc_spare_children(void) {
    free(spared);
    spared_len = proc_children(&spared);
}

static bool is_spared(pid_t pid) {
    for (ssize_t i = 0; i < spared_len; i++)
        if (spared[i] == pid)
            return true;
    return false;
}

/* How many there were. Whoever was reaped may have left its own children to us: look again. */
static int kill_children(pid_t keep) {
    pid_t *pids;
    int found = 0;
    ssize_t n = proc_children(&pids);
    for (ssize_t i = 0; i < n; i++) {
        if (pids[i] == keep || is_spared(pids[i]))
            continue;
        kill(pids[i], SIGKILL);
        if (getpgid(pids[i]) == pids[i])
            kill(-pids[i], SIGKILL);
        waitpid(pids[i], NULL, WNOHANG);
        found++;
    }
    free(pids);
    return found;
}

int proc_end_children(pid_t keep, int max_ms) {
    int64_t until = clock_mono_ms() + max_ms;
    while (kill_children(keep)) {
        if (clock_mono_ms() > until)
            return -1;
        nap(1);
    }
    return 0;
}

int64_t proc_pid_ns(void) {
    struct stat st;
    return stat("/proc/self/ns/pid", &st) == 0 ? (int64_t)st.st_ino : 0;
}
