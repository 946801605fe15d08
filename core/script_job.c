#include "script_job.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guardian_spawn.h"
#include "guardian_warm.h"
#include "job.h"
#include "pack.h"
#include "script.h"
#include "script_host.h"

enum {
    FACTS_FD = 4,
    TEXT_FD = 5,
    WARM_TEXT_FD = 3,
    WARM_SOCKET_FD = 4,
    MEMORY_MAX = 1 << 30, /* unless the job says otherwise */
    SAFE_FD = 64,         /* above those that a job gets */
};

static const char MAIN[] = "queuectl.lua_job_main";

/* All of a memory file. Another process may have it open, too: its position stays where it is. */
static int read_fd(int fd, struct buf *bytes, struct err *err) {
    char part[4096];
    ssize_t n;
    while ((n = pread(fd, part, sizeof(part), (off_t)bytes->len)) > 0)
        buf_add(bytes, part, (size_t)n);
    return n < 0 ? err_set(err, ERR_FAILED, "a memory file: %s", strerror(errno)) : 0;
}

/* main.load(text, path): pushes main and the program. */
static int load(lua_State *L, int fd, struct err *err) {
    struct buf text = {0};
    size_t pos = 0;
    int rc = read_fd(fd, &text, err);
    const char *path = rc < 0 ? NULL : pack_next(text.data, text.len, &pos);
    if (rc == 0 && !path)
        rc = err_set(err, ERR_FAILED, "no program to run");
    if (rc == 0)
        rc = script_require(L, MAIN, err); // main
    if (rc == 0) {
        lua_getfield(L, -1, "load");                         // main load
        lua_pushlstring(L, text.data + pos, text.len - pos); // main load text
        lua_pushstring(L, path + 1);                         // main load text path
        rc = script_call(L, 2, 1, err);                      // main program
    }
    buf_free(&text);
    return rc;
}

/* main.start(program, facts), with main and program on the stack. */
static int start(lua_State *L, struct bytes facts, struct err *err) {
    fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC);
    lua_getfield(L, -2, "start");              // main program start
    lua_pushvalue(L, -2);                      // main program start program
    lua_pushlstring(L, facts.data, facts.len); // main program start program facts
    return script_call(L, 2, 0, err);
}

static int start_from_file(lua_State *L, struct err *err) {
    struct buf facts = {0};
    fcntl(FACTS_FD, F_SETFD, FD_CLOEXEC);
    int rc = read_fd(FACTS_FD, &facts, err);
    if (rc == 0)
        rc = start(L, (struct bytes){facts.data ? facts.data : "", facts.len}, err);
    buf_free(&facts);
    return rc;
}

/* Facts come by a descriptor where none are given. Nothing more is done with the Lua state: the
 * process ends. */
static int run(lua_State *L, struct bytes facts) {
    struct err err = {0};
    int rc = facts.len ? start(L, facts, &err) : start_from_file(L, &err);
    fflush(stdout);
    if (rc < 0)
        fprintf(stderr, "%s\n", err.text);
    return rc < 0 ? 1 : 0;
}

/* A state with main and the program on its stack; NULL with err. */
static lua_State *prepare(int text_fd, struct err *err) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    lua_State *L = script_new("queuectl.host", script_open_host, MEMORY_MAX);
    if (!L)
        err_set(err, ERR_FAILED, "no memory for Lua");
    else if (load(L, text_fd, err) == 0)
        return L;
    if (L)
        script_free(L);
    return NULL;
}

int script_job_main(void) {
    struct err err = {0};
    fcntl(TEXT_FD, F_SETFD, FD_CLOEXEC);
    lua_State *L = prepare(TEXT_FD, &err);
    int rc = L ? run(L, (struct bytes){0}) : 1;
    if (L)
        script_free(L);
    else
        fprintf(stderr, "%s\n", err.text);
    return rc;
}

/* ---- warm ---- */

static void answer(int sock, const struct warm_answer *a) {
    struct iovec iov = {(void *)(uintptr_t)a, sizeof(*a)};
    if (packet_send(sock, &iov, 1, NULL, 0) < 0)
        spawn_leave(1); /* the guardian has given us up */
}

/* In the fork: become the job, say so, do it. */
static _Noreturn void become_job(lua_State *L, int sock, const struct packet *p,
                                 struct warm_answer *a) {
    struct guardian_request r;
    const char *request = p->data + sizeof(a->turn);
    struct guardian_given given = {p->fds, p->n_fds, true};
    memcpy(&r, request, sizeof(r));
    a->pid = getpid();
    guardian_enter(&r, request, &given, &a->why);
    answer(sock, a);
    close(sock);
    spawn_leave(a->why.error ? 1
                             : run(L, (struct bytes){guardian_facts(&r, request), r.facts_len}));
}

static void on_request(lua_State *L, int sock, struct packet *p) {
    struct guardian_request r;
    struct warm_answer a = {0};
    if (p->len < sizeof(a.turn) + sizeof(r))
        return;
    memcpy(&a.turn, p->data, sizeof(a.turn));
    memcpy(&r, p->data + sizeof(a.turn), sizeof(r));
    a.slot = r.slot;
    if (!p->whole) { /* we have no room for its descriptors */
        a.why = (struct spawn_failure){.stage = SPAWN_FD, .error = EMFILE};
        answer(sock, &a);
        return;
    }
    pid_t pid = spawn_sibling();
    if (pid == 0)
        become_job(L, sock, p, &a);
    if (r.secrets) /* of this job, and not of those that are forked after it */
        explicit_bzero(p->data, p->len);
    if (pid < 0) {
        a.why = (struct spawn_failure){.stage = SPAWN_FORK, .error = errno};
        answer(sock, &a);
    }
}

/* Takes what is free inside the heap: the holes, large ones first, then what glibc keeps ready by
 * size. Else each fork would put its first objects all over the heap, and every page touched is a
 * page copied: that took half of a short job's time. */
static void use_up_heap(void) {
#ifdef __SANITIZE_ADDRESS__
    return; /* another heap, and what is taken here would be reported as leaked */
#endif
    malloc_trim(0);
    const char *end = sbrk(0);
    for (size_t size = 65536; size >= 24; size -= size > 1024 ? size / 2 : 16)
        for (size_t left = mallinfo2().fordblks + 16 * size; left > size; left -= size) {
            char *p = malloc(size);
            if (p >= end || !p) /* no hole of that size any more */
                break;
        }
}

int script_warm_main(void) {
    struct err err = {0};
    static char data[sizeof(uint64_t) + GUARDIAN_PACKET_MAX]; /* the turn, the request */
    struct packet p = {.data = data, .cap = sizeof(data)};
    /* Both stay open: a job gets others at these numbers, which must not be those of its files. */
    fcntl(WARM_TEXT_FD, F_SETFD, FD_CLOEXEC);
    fcntl(WARM_SOCKET_FD, F_SETFD, FD_CLOEXEC);
    int sock = fcntl(WARM_SOCKET_FD, F_DUPFD_CLOEXEC, SAFE_FD);
    lua_State *L = sock < 0 ? NULL : prepare(WARM_TEXT_FD, &err);
    if (!L)
        return 1; /* the jobs are executed anew, and say what is wrong */
    lua_gc(L, LUA_GCCOLLECT, 0);
    use_up_heap();
    while (packet_receive(sock, &p, true) > 0) {
        on_request(L, sock, &p);
        packet_close_fds(&p);
    }
    script_free(L);
    return 0;
}
