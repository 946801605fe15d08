/* queuectl.core: the worker process that `run` starts and listens to, and this process's signals.
 */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "clock.h"
#include "script.h"
#include "spawn.h"

extern char **environ;

static const char CHILD[] = "queuectl.child";
static int signal_fd = -1; /* of the process: -1 until core.catch_signals */

struct child {
    pid_t pid;        /* 0: ended and waited for */
    int fd;           /* its standard output, -1: closed */
    int64_t heard_us; /* when something last came from it */
};

/* What comes soon after something else is left to gather so long: to be woken for each event of
 * short jobs would cost more than to show them. */
enum { GATHER_US = 20000 };

/* core.catch_signals(): from now on INT, TERM and HUP come from child:poll */
static int l_catch_signals(lua_State *L) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    struct sigaction hup;
    sigaction(SIGHUP, NULL, &hup);
    if (hup.sa_handler != SIG_IGN) /* nohup */
        sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal_fd = signalfd(signal_fd, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return signal_fd < 0 ? luaL_error(L, "signalfd: %s", strerror(errno)) : 0;
}

int script_signal_fd(void) {
    return signal_fd;
}

int script_read_signal(void) {
    struct signalfd_siginfo info;
    bool got = read(signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info);
    return got ? (int)info.ssi_signo : 0;
}

static int l_child_gc(lua_State *L) {
    struct child *c = luaL_checkudata(L, 1, CHILD);
    fd_close(&c->fd);
    return 0;
}

static void start(struct child *c, char *const *argv, struct err *err) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        err_set(err, ERR_FAILED, "pipe: %s", strerror(errno));
        return;
    }
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    /* A group of its own: the terminal's Ctrl-C comes to us, and we say what it means. */
    struct spawn s = {.file = spawn_self,
                      .argv = argv,
                      .env = environ,
                      .fds = {null_fd, ends[1], STDERR_FILENO},
                      .fds_len = 3,
                      .group = true,
                      .keep_hup_off = true};
    struct spawn_failure why;
    if (spawn(&s, &c->pid, &why) < 0)
        err_set(err, ERR_FAILED, "cannot start a worker process: %s", strerror(why.error));
    else
        c->fd = ends[0];
    fd_close(&ends[1]);
    fd_close(&null_fd);
    if (c->fd < 0)
        close(ends[0]);
}

/* core.start{args…} -> child: this program again, with its standard output to be read by child:poll
 */
static int l_start(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    size_t n = lua_objlen(L, 1);
    const char **argv = lua_newuserdata(L, (n + 2) * sizeof(*argv)); // argv
    argv[0] = "queuectl";
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, 1, (int)i + 1);
        argv[i + 1] = luaL_checkstring(L, -1);
        lua_pop(L, 1); // held by the table
    }
    argv[n + 1] = NULL;
    struct child *c = lua_newuserdata(L, sizeof(*c)); // argv child
    *c = (struct child){.fd = -1};
    luaL_getmetatable(L, CHILD);
    lua_setmetatable(L, -2);
    struct err err = {0};
    start(c, (char *const *)(uintptr_t)argv, &err);
    return err.code ? script_fail(L, &err) : 1;
}

static int wait_for(const struct child *c, short events, int ms, struct pollfd p[2]) {
    p[0] = (struct pollfd){signal_fd, POLLIN, 0};
    p[1] = (struct pollfd){c->fd, events, 0};
    return poll(p, 2, ms);
}

/* Without looking for data: its end and signals are seen at once. */
static int gather(const struct child *c, struct pollfd p[2]) {
    int64_t left_us = c->heard_us + GATHER_US - clock_mono_us();
    return left_us > 0 ? wait_for(c, 0, (int)((left_us + 999) / 1000), p) : 0;
}

/* child:poll(seconds) -> "data", bytes | "end" | "signal", number | "idle" */
static int l_child_poll(lua_State *L) {
    struct child *c = luaL_checkudata(L, 1, CHILD);
    double seconds = luaL_checknumber(L, 2);
    struct pollfd p[2];
    int n = gather(c, p);
    if (n == 0 || !p[0].revents)
        n = wait_for(c, POLLIN, (int)(seconds * 1000), p);
    int signo = n > 0 && p[0].revents ? script_read_signal() : 0;
    if (signo) {
        lua_pushliteral(L, "signal");
        lua_pushinteger(L, signo);
        return 2;
    }
    if (n <= 0 || !p[1].revents) {
        lua_pushliteral(L, "idle");
        return 1;
    }
    char data[65536];
    ssize_t got = read(c->fd, data, sizeof(data));
    lua_pushstring(L, got > 0 ? "data" : "end");
    if (got <= 0) {
        fd_close(&c->fd);
        return 1;
    }
    c->heard_us = clock_mono_us();
    lua_pushlstring(L, data, (size_t)got);
    return 2;
}

/* child:signal(number) */
static int l_child_signal(lua_State *L) {
    struct child *c = luaL_checkudata(L, 1, CHILD);
    if (c->pid > 0)
        kill(c->pid, (int)luaL_checkinteger(L, 2));
    return 0;
}

/* child:wait() -> exit code or nil, signal or nil */
static int l_child_wait(lua_State *L) {
    struct child *c = luaL_checkudata(L, 1, CHILD);
    struct spawn_end end = {.exit_code = -1, .signal = -1};
    if (c->pid > 0)
        spawn_wait(c->pid, true, &end);
    c->pid = 0;
    if (end.exit_code >= 0)
        lua_pushinteger(L, end.exit_code);
    else
        lua_pushnil(L);
    if (end.signal < 0)
        return 1;
    lua_pushinteger(L, end.signal);
    return 2;
}

void script_add_process(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"poll", l_child_poll},
        {"signal", l_child_signal},
        {"wait", l_child_wait},
        {NULL, NULL},
    };
    static const luaL_Reg functions[] = {
        {"start", l_start},
        {"catch_signals", l_catch_signals},
        {NULL, NULL},
    };
    luaL_newmetatable(L, CHILD); // core meta
    luaL_register(L, NULL, methods);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, l_child_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1); // core
    luaL_register(L, NULL, functions);
}
