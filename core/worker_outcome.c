/* How an attempt ended, in the words people will read. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "artifacts.h"
#include "decide.h"
#include "duration.h"
#include "spawn.h"
#include "worker_impl.h"

enum { ERROR_MAX = 1024 };

/* The last lines of stderr, from the beginning of a line where there is one. */
static void add_stderr(const struct slot *s, struct buf *b) {
    const char *p = s->output.error_tail;
    size_t len = s->output.error_len, room = ERROR_MAX - 64 - (b->len < 800 ? b->len : 800);
    while (len && (p[len - 1] == '\n' || p[len - 1] == '\r'))
        len--;
    if (len > room) {
        p += len - room;
        len = room;
        const char *newline = memchr(p, '\n', len);
        if (newline && (size_t)(newline - p) + 1 < len) {
            len -= (size_t)(newline - p) + 1;
            p = newline + 1;
        }
    }
    if (!len)
        return;
    buf_str(b, ": ");
    for (size_t i = 0; i < len;) {
        size_t n = utf8_len(p + i, len - i);
        bool bad = n == 0 || ((unsigned char)p[i] < 0x20 && p[i] != '\n' && p[i] != '\t');
        buf_add(b, bad ? "?" : p + i, bad ? 1 : n);
        i += n ? n : 1;
    }
}

static void say_signal(int signo, struct buf *b) {
    const char *name = sigabbrev_np(signo); /* real-time signals have none */
    buf_printf(b, "killed by signal %d%s%s%s", signo, name ? " (" : "", name ? name : "",
               name ? ")" : "");
}

static void say_timeout(const struct slot *s, struct buf *b) {
    buf_printf(b, "timed out after %.10g s%s", (double)s->job.timeout_ms / 1000,
               s->exit.killed ? ", killed" : "");
    add_stderr(s, b);
}

/* The leader itself, or one whose end a shell passes on. */
static bool add_cpu_limit(const struct slot *s, struct buf *b) {
    struct spawn_limits l;
    const struct guardian_event *e = &s->exit;
    if (spawn_limits_parse(s->job.limits, &l) < 0 || !l.cpu_s)
        return false;
    bool by_limit = e->signal == SIGXCPU || e->exit_code == 128 + SIGXCPU ||
                    (e->signal == SIGKILL && e->cpu_ms >= l.cpu_s * 1000);
    if (!by_limit)
        return false;
    char *limit = duration_text(l.cpu_s * 1000);
    buf_printf(b, "%sused more than its limit of %s CPU time", b->len ? ": " : "", limit);
    free(limit);
    return true;
}

static void say_exit(const struct slot *s, struct outcome *o, struct buf *b) {
    if (o->cause != CAUSE_SIGNAL) {
        buf_printf(b, "exit %d", o->exit_code);
        add_cpu_limit(s, b);
    } else if (!add_cpu_limit(s, b)) {
        say_signal(o->signal, b);
    }
    add_stderr(s, b);
}

static void lua_outcome(const struct slot *s, struct outcome *o, struct buf *b) {
    const char *text = s->lua.text ? s->lua.text : "";
    switch (s->lua.kind) {
    case LUA_OK:
        o->cause = CAUSE_EXIT;
        o->exit_code = 0;
        return;
    case LUA_FAIL:
    case LUA_FATAL:
        o->cause = CAUSE_LUA;
        buf_str(b, text);
        return;
    case LUA_SNOOZE:
        o->cause = CAUSE_SNOOZE;
        buf_printf(b, "snoozed%s%s", *text ? ": " : "", text);
        return;
    case LUA_CANCEL:
        o->cause = CAUSE_CANCELLED;
        buf_str(b, *text ? text : "cancelled by its function");
        return;
    case LUA_SKIP:
        o->cause = CAUSE_WHEN;
        buf_str(b, *text ? text : "its 'when' said no");
        return;
    case LUA_GO:
    case LUA_NO_RESULT:
        break;
    }
    if (o->signal >= 0) {
        o->cause = CAUSE_SIGNAL;
        if (!add_cpu_limit(s, b)) {
            buf_str(b, "the Lua process was ");
            say_signal(o->signal, b);
        }
    } else {
        o->cause = CAUSE_LUA;
        buf_printf(b,
                   "the function ended its process with exit code %d instead of returning"
                   " (os.exit?)",
                   o->exit_code);
    }
    add_stderr(s, b);
}

static void spawn_outcome(const struct slot *s, struct outcome *o, struct buf *b) {
    o->cause = CAUSE_SPAWN;
    o->exit_code = s->failure_code;
    o->signal = -1;
    buf_printf(b, "could not start: %s", s->failure);
}

static void expired_outcome(const struct slot *s, struct outcome *o, struct buf *b) {
    char *age = duration_text(s->job.max_age_ms);
    o->cause = CAUSE_EXPIRED;
    buf_printf(b, "not started: older than its max_age of %s", age);
    free(age);
}

static void own_outcome(const struct slot *s, struct outcome *o, struct buf *b) {
    bool is_command = s->job.kind != JOB_LUA && (!s->has_channel || s->lua.kind == LUA_GO);
    if (!is_command) {
        lua_outcome(s, o, b);
        return;
    }
    o->cause = s->exit.signal >= 0 ? CAUSE_SIGNAL : CAUSE_EXIT;
    if (!outcome_is_success(&s->job, o))
        say_exit(s, o, b);
}

static void choose_cause(struct slot *s, struct outcome *o, struct buf *b) {
    o->exit_code = s->exit.exit_code;
    o->signal = s->exit.signal;
    /* One that had ended before the order came has ended as it did. */
    bool stopped = s->exit.cancelled || !s->started;
    if (s->lost) {
        o->cause = CAUSE_WORKER_LOST;
        o->exit_code = o->signal = -1;
        buf_printf(b, "the guardian process died while this ran (%d of %d times)",
                   s->job.deaths + 1, DEATHS_MAX);
    } else if (s->expired) {
        expired_outcome(s, o, b);
    } else if (s->failure && s->shortage) {
        o->cause = CAUSE_INTERRUPTED;
        buf_printf(b, "could not start: %s; trying again", s->failure);
    } else if (s->failure) {
        spawn_outcome(s, o, b);
    } else if (s->cancelled && stopped) {
        o->cause = CAUSE_CANCELLED;
        buf_str(b, s->started ? "cancelled while it ran" : "cancelled before it started");
    } else if (!s->started) {
        o->cause = CAUSE_NONE;
    } else if (s->interrupted && stopped) {
        o->cause = CAUSE_INTERRUPTED;
        buf_str(b, "interrupted: the worker was stopped");
    } else if (s->exit.timed_out) {
        o->cause = CAUSE_TIMEOUT;
        say_timeout(s, b);
    } else {
        own_outcome(s, o, b);
    }
}

/* Once: this may be asked for again, for the commit can fail. */
static void collect(struct slot *s) {
    struct err err = {0};
    const struct buf *patterns = &s->job.artifacts;
    if (s->collected)
        return;
    s->collected = true;
    channel_collect(s, &s->missing);
    if (!s->missing &&
        artifacts_find(patterns->data, patterns->len, s->job.cwd, &s->artifacts, &err) < 0)
        s->missing = xstrdup(err.text);
}

static void cut(struct buf *b, size_t max) {
    if (b->len <= max)
        return;
    while (max && ((unsigned char)b->data[max] & 0xc0) == 0x80)
        max--;
    b->data[max] = '\0';
    b->len = max;
}

void outcome_add_age(struct outcome *o, char **text, const struct job *j) {
    char *age = duration_text(j->max_age_ms);
    char *note = xasprintf(" (no further try: older than its max_age of %s)", age);
    struct buf b = {0};
    buf_str(&b, *text ? *text : "");
    cut(&b, ERROR_MAX - strlen(note));
    buf_str(&b, note);
    free(age);
    free(note);
    free(*text);
    *text = b.data;
    o->error = b.data;
}

struct outcome slot_outcome(struct slot *s, char **text) {
    struct outcome o = {.started_at = s->job.started_at,
                        .finished_at = s->ended_at,
                        .duration_ms = s->exit.duration_ms,
                        .cpu_ms = s->exit.cpu_ms,
                        .max_rss_kb = s->exit.max_rss_kb,
                        .output_total = s->output.total,
                        .incomplete = s->incomplete};
    struct buf b = {0};
    report_read(s);
    o.report = (struct bytes){s->report.data, s->report.len};
    o.report_note = s->report_note;
    choose_cause(s, &o, &b);
    if (outcome_is_success(&s->job, &o))
        collect(s);
    if (s->missing) {
        o.cause = CAUSE_OUTPUTS;
        buf_str(&b, s->missing);
    } else if (s->refused && outcome_is_success(&s->job, &o)) {
        o.cause = CAUSE_LUA;
        buf_printf(&b, "ctx.enqueue: %s", s->refused);
    }
    if (s->secrets && b.len) {
        char *masked = secrets_mask(s, b.data, false);
        b.len = 0;
        buf_str(&b, masked);
        free(masked);
    }
    cut(&b, ERROR_MAX);
    *text = b.data;
    o.error = b.len ? b.data : NULL;
    return o;
}

/* Equal jobs and attempts draw equal numbers, so that a decision can be repeated (splitmix64). */
double decision_random(const struct job *j) {
    uint64_t x = 14695981039346656037ULL;
    for (const char *p = j->id; *p; p++)
        x = (x ^ (unsigned char)*p) * 1099511628211ULL;
    x += (uint64_t)j->starts * 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    x ^= x >> 31;
    return (double)(x >> 11) / 9007199254740992.0;
}
