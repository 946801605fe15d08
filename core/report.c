#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "pack.h"

const char *const report_formats[REPORT_FORMATS] = {
    [REPORT_NONE] = "none",
    [REPORT_TEXT] = "text",
    [REPORT_KV] = "kv",
    [REPORT_JSON] = "json",
};

static const char *label(const struct job *j) {
    return j->name ? j->name : j->id;
}

static void add_number(struct buf *b, const char *key, double v) {
    buf_printf(b, ",\"%s\":%.10g", key, v);
}

static void add_string(struct buf *b, const char *key, const char *v) {
    if (!v)
        return;
    buf_printf(b, ",\"%s\":", key);
    buf_json(b, v, strlen(v));
}

static void add_time(struct buf *b, const char *key, int64_t ms) {
    char text[32];
    struct tm tm;
    time_t s = ms / 1000;
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", gmtime_r(&s, &tm));
    buf_printf(b, ",\"%s\":\"%s.%03dZ\"", key, text, (int)(ms % 1000));
}

/* What the job reported about this attempt. */
static void add_report(struct buf *b, const struct outcome *o) {
    size_t pos = 0;
    const char *between = "";
    if (o->report.len)
        buf_str(b, ",\"report\":{");
    for (const char *e; (e = pack_next(o->report.data, o->report.len, &pos)); between = ",") {
        size_t len = strcspn(e + 1, "=");
        buf_printf(b, "%s\"%.*s\":", between, (int)len, e + 1);
        buf_json(b, e + 1 + len + 1, strlen(e + 1 + len + 1));
    }
    if (o->report.len)
        buf_str(b, "}");
    add_string(b, "report_note", o->report_note);
}

static void add_outcome(struct buf *b, const struct outcome *o) {
    add_string(b, "cause", job_cause_names[o->cause]);
    if (o->exit_code >= 0)
        add_number(b, "exit_code", o->exit_code);
    if (o->signal >= 0)
        add_number(b, "signal", o->signal);
    add_number(b, "duration", (double)o->duration_ms / 1000);
    add_time(b, "started_at", o->started_at);
    add_string(b, "error", o->error);
    add_report(b, o);
}

static void emit_json(struct buf *b, const struct report_event *e) {
    buf_str(b, "{\"event\":");
    buf_json(b, e->what, strlen(e->what));
    add_time(b, "time", clock_wall_ms());
    if (e->job) {
        add_string(b, "job", e->job->id);
        add_string(b, "name", e->job->name);
        add_number(b, "seq", (double)e->job->seq);
        add_number(b, "attempt", e->job->tries);
        add_number(b, "of", (double)e->job->retries + 1);
        if (e->job->allow_failure)
            buf_str(b, ",\"allow_failure\":true");
    }
    if (e->outcome)
        add_outcome(b, e->outcome);
    if (e->decision && e->decision->delay_ms)
        add_number(b, "delay", (double)e->decision->delay_ms / 1000);
    if (e->fraction >= 0)
        add_number(b, "fraction", e->fraction);
    add_string(b, "text", e->text);
    if (e->left >= 0)
        add_number(b, "left", (double)e->left);
    buf_str(b, "}\n");
}

static void reason(struct buf *b, const struct report_event *e) {
    const char *error = e->outcome->error ? e->outcome->error : "";
    char *line = text_escape(error, strcspn(error, "\n"), 200);
    buf_str(b, line);
    free(line);
}

static void emit_text(struct buf *b, const struct report_event *e) {
    const struct job *j = e->job;
    double seconds = e->outcome ? (double)e->outcome->duration_ms / 1000 : 0;
    if (!j) {
        buf_printf(b, "%s%s%s\n", e->what, e->text ? " " : "", e->text ? e->text : "");
        return;
    }
    if (strcmp(e->what, "picked") == 0) {
        buf_printf(b, "picked %s priority %d attempt %d of %" PRId64 "\n", label(j), j->priority,
                   j->tries, (int64_t)j->retries + 1);
        return;
    }
    if (strcmp(e->what, "completed") == 0) {
        buf_printf(b, "%s completed in %.2f s\n", label(j), seconds);
        return;
    }
    if (strcmp(e->what, "dead") == 0)
        buf_printf(b, "%s dead after %d attempt%s", label(j), j->tries, j->tries == 1 ? "" : "s");
    else
        buf_printf(b, "%s %s", label(j), e->what);
    if (e->outcome && e->outcome->error) {
        buf_str(b, " (");
        reason(b, e);
        buf_str(b, ")");
    } else if (e->text) {
        char *text = text_escape(e->text, strlen(e->text), 200);
        buf_printf(b, ": %s", text);
        free(text);
    }
    if (e->decision && strcmp(e->what, "failed") == 0)
        buf_printf(b, ", retrying in %.3g s", (double)e->decision->delay_ms / 1000);
    buf_str(b, "\n");
}

static void emit_kv(struct buf *b, const struct report_event *e) {
    buf_printf(b, "time=%.3f event=%s", (double)clock_wall_ms() / 1000, e->what);
    if (e->job) {
        buf_printf(b, " job=%s", e->job->id);
        if (e->job->name) {
            buf_str(b, " name=");
            buf_json(b, e->job->name, strlen(e->job->name));
        }
        buf_printf(b, " attempt=%d of=%" PRId64, e->job->tries, (int64_t)e->job->retries + 1);
    }
    if (e->outcome)
        buf_printf(b, " cause=%s exit_code=%d duration=%.3f", job_cause_names[e->outcome->cause],
                   e->outcome->exit_code, (double)e->outcome->duration_ms / 1000);
    size_t pos = 0;
    for (const char *r;
         e->outcome && (r = pack_next(e->outcome->report.data, e->outcome->report.len, &pos));) {
        size_t len = strcspn(r + 1, "=");
        buf_printf(b, " report.%.*s=", (int)len, r + 1);
        buf_json(b, r + 1 + len + 1, strlen(r + 1 + len + 1));
    }
    if (e->decision && e->decision->delay_ms)
        buf_printf(b, " delay=%.3f", (double)e->decision->delay_ms / 1000);
    if (e->text) {
        buf_str(b, " text=");
        buf_json(b, e->text, strlen(e->text));
    }
    buf_str(b, "\n");
}

enum {
    PENDING_LOG = 65536,       /* a log that nobody takes in loses lines beyond this */
    PENDING_PROGRESS = 262144, /* beyond this a reader has other worries than progress */
    LOG_PIECE = 4096,          /* what a pipe that is writable surely takes */
};

static bool is_dropped(const struct report *r, const struct report_event *e) {
    if (r->format == REPORT_JSON)
        return r->pending.len > PENDING_PROGRESS && strcmp(e->what, "progress") == 0;
    return r->pending.len > PENDING_LOG;
}

void report_emit(struct report *r, const struct report_event *e) {
    if (is_dropped(r, e))
        return;
    switch (r->format) {
    case REPORT_NONE:
    case REPORT_FORMATS:
        return;
    case REPORT_TEXT:
        emit_text(&r->pending, e);
        break;
    case REPORT_KV:
        emit_kv(&r->pending, e);
        break;
    case REPORT_JSON:
        emit_json(&r->pending, e);
        break;
    }
    if (r->pending.len > 32768)
        report_flush(r);
}

/* A log belongs to others, too (a terminal): it is not made non-blocking but asked first. One that
 * cannot be written is no reason to stop working. */
static ssize_t write_log(const struct report *r) {
    struct pollfd p = {r->fd, POLLOUT, 0};
    if (poll(&p, 1, 0) <= 0) {
        errno = EAGAIN;
        return -1;
    }
    return write(r->fd, r->pending.data, r->pending.len < LOG_PIECE ? r->pending.len : LOG_PIECE);
}

bool report_flush(struct report *r) {
    bool log = r->format != REPORT_JSON;
    while (r->pending.len && !r->broken) {
        ssize_t n = log ? write_log(r) : write(r->fd, r->pending.data, r->pending.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return true;
        if (n < 0) {
            r->broken = !log;
            r->pending.len = 0;
            break;
        }
        buf_drop(&r->pending, (size_t)n);
    }
    return !r->broken;
}
