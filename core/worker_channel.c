/* What a job tells beside its output: the channel of a Lua job, and the $QUEUECTL_OUTPUT file. A
 * message of the channel is its length (uint32_t, of what follows), a type and texts closed by NUL:
 *   v KEY VALUE          an output
 *   p FRACTION TEXT      progress
 *   r KIND MS TEXT       the result: ok, fail, fatal (no retry), snooze (for MS), cancel; skip and
 * go are the answers of a `when` e FIELDS             a job to add, see job_fields.h */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "pack.h"
#include "worker_impl.h"

enum { MESSAGE_MAX = 2 << 20, FILE_MAX = 1048576, VALUE_MAX = 65536, VALUES_MAX = 1048576 };

static bool is_promised(const struct job *j, const char *key, size_t len) {
    size_t pos = 0;
    for (const char *e; (e = pack_next(j->outputs.data, j->outputs.len, &pos));)
        if (strncmp(e + 1, key, len) == 0 && e[1 + len] == '\0')
            return true;
    return false;
}

/* The last value of a key counts. All together are bounded: who gives more gets the first of them.
 */
static void keep_value(struct slot *s, const char *key, const char *given) {
    char *value = secrets_mask(s, given, false);
    pack_drop(&s->values, key);
    if (s->values.len + strlen(value) <= VALUES_MAX)
        pack_add_value(&s->values, key, value);
    free(value);
}

static void on_result(struct slot *s, const char *kind, const char *ms, const char *text) {
    static const char *const kinds[] = {"",       "ok",     "fail", "fatal",
                                        "snooze", "cancel", "skip", "go"};
    int k = name_find(kinds, ARRAY_LEN(kinds), kind);
    s->lua.kind = k > 0 ? (enum lua_kind)k : LUA_FAIL;
    long long wait = strtoll(ms, NULL, 10);
    s->lua.snooze_ms = wait > 0 ? wait : 0;
    free(s->lua.text);
    s->lua.text = secrets_mask(s, text, true); /* it comes with at most 900 bytes */
}

static void on_progress(struct slot *s, const char *fraction, const char *text) {
    char *masked = secrets_mask(s, text, true);
    report_emit(&s->worker->report, &(struct report_event){.what = "progress",
                                                           .job = &s->job,
                                                           .fraction = strtod(fraction, NULL),
                                                           .text = masked,
                                                           .left = -1});
    free(masked);
}

static void on_message(struct slot *s, char type, const char *p, size_t len) {
    const char *texts[3] = {"", "", ""};
    if (type == 'e') {
        added_read(s, p, len);
        return;
    }
    for (int i = 0; i < 3 && len; i++) {
        size_t n = strnlen(p, len);
        if (n == len)
            return; /* not closed: not from us */
        texts[i] = p;
        p += n + 1;
        len -= n + 1;
    }
    if (type == 'v')
        keep_value(s, texts[0], texts[1]);
    else if (type == 'r')
        on_result(s, texts[0], texts[1], texts[2]);
    else if (type == 'p')
        on_progress(s, texts[0], texts[1]);
}

void channel_read(struct slot *s) {
    uint32_t len;
    while (s->channel.len >= sizeof(len)) {
        memcpy(&len, s->channel.data, sizeof(len));
        if (len < 1 || len > MESSAGE_MAX) {
            s->channel.len = 0; /* written by somebody else: the result will be missing */
            return;
        }
        if (s->channel.len < sizeof(len) + len)
            return;
        const char *body = s->channel.data + sizeof(len);
        on_message(s, body[0], body + 1, len - 1);
        buf_drop(&s->channel, sizeof(len) + len);
    }
}

/* ---- $QUEUECTL_OUTPUT: lines KEY=VALUE ---- */

static void take_line(struct slot *s, char *line, struct buf *others) {
    char *eq = strchr(line, '=');
    if (!eq)
        return;
    *eq = '\0';
    if (strlen(eq + 1) <= VALUE_MAX && is_promised(&s->job, line, strlen(line)))
        keep_value(s, line, eq + 1);
    else if (others->len < 200)
        buf_printf(others, "%s%s", others->len ? ", " : "", line);
}

static void read_file(struct slot *s, struct buf *others) {
    struct buf text = {0};
    if (file_read(s->output_path, FILE_MAX, &text, NULL) == 0) {
        char *rest = NULL;
        for (char *line = strtok_r(text.data, "\n", &rest); line;
             line = strtok_r(NULL, "\n", &rest))
            take_line(s, line, others);
    } else {
        buf_printf(others, "a file that cannot be read or is longer than 1 MiB");
    }
    buf_free(&text);
}

void channel_collect(struct slot *s, char **missing) {
    struct buf others = {0};
    size_t pos = 0;
    *missing = NULL;
    if (s->output_path)
        read_file(s, &others);
    for (const char *e;
         !*missing && (e = pack_next(s->job.outputs.data, s->job.outputs.len, &pos));) {
        if (pack_value(&s->values, e + 1))
            continue;
        *missing = xasprintf("promised output '%s' was not given%s%s%s", e + 1,
                             others.len ? " (given instead: " : "", others.len ? others.data : "",
                             others.len ? ")" : "; write a line KEY=VALUE to \"$QUEUECTL_OUTPUT\"");
    }
    buf_free(&others);
}
