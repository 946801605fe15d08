/* What an attempt reports about itself: lines KEY=VALUE in the file $QUEUECTL_REPORT. Each attempt
 * is given the name of a file of its own that nobody has made yet, so one that reports nothing
 * costs an open() that finds nothing. A report never changes how the attempt has ended: what is
 * wrong with it is left out, and said in a note beside it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pack.h"
#include "worker_impl.h"

enum { FILE_BYTES = 16384, NAMES = 64, LINE_SHOWN = 60 };

struct reader {
    struct slot *slot;
    struct buf note;
    size_t names, wrong; /* names taken, lines left out */
};

/* The first line that is wrong is shown, others are counted. */
static void refuse(struct reader *r, const char *line, size_t len, const char *why) {
    if (r->wrong++)
        return;
    char *shown = text_escape(line, len, LINE_SHOWN);
    buf_printf(&r->note, "%signored '%s': %s", r->note.len ? "; " : "", shown, why);
    free(shown);
}

static bool is_name(const char *p, size_t len) {
    if (!len || (p[0] >= '0' && p[0] <= '9'))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!((p[i] >= 'a' && p[i] <= 'z') || (p[i] >= '0' && p[i] <= '9') || p[i] == '_'))
            return false;
    return true;
}

static bool has_control(const char *p, size_t len) {
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f)
            return true;
    return false;
}

static const char *fault_of(const char *line, size_t len, const char *eq) {
    if (has_control(line, len))
        return "holds a control character";
    if (!eq)
        return "is not NAME=VALUE";
    return is_name(line, (size_t)(eq - line)) ? NULL : "a name is small letters, digits and _";
}

static void take(struct reader *r, const char *line, size_t len) {
    struct slot *s = r->slot;
    const char *eq = memchr(line, '=', len), *fault = fault_of(line, len, eq);
    if (fault) {
        refuse(r, line, len, fault);
        return;
    }
    char *name = xmemdup0(line, (size_t)(eq - line));
    bool again = pack_drop(&s->report, name);
    if (again || r->names < NAMES)
        pack_add_value(&s->report, name, eq + 1);
    else
        refuse(r, line, len, "more than 64 names");
    r->names += !again && r->names < NAMES;
    free(name);
}

/* Masked before anything else is done with it: notes are read, too. */
static void take_line(struct reader *r, const char *p, size_t len) {
    char *line = xmemdup0(p, len);
    if (memchr(p, '\0', len)) {
        refuse(r, "", 0, "holds a NUL");
    } else if (len) {
        char *masked = secrets_mask(r->slot, line, false);
        take(r, masked, strlen(masked));
        free(masked);
    }
    free(line);
}

static void take_lines(struct reader *r, const char *p, size_t len) {
    while (len) {
        const char *newline = memchr(p, '\n', len);
        size_t n = newline ? (size_t)(newline - p) : len;
        take_line(r, p, n);
        p += n + (newline != NULL);
        len -= n + (newline != NULL);
    }
}

/* Of one that is too long the end is taken, from the first whole line on: the last value counts. */
static void read_end(struct reader *r, int fd, off_t size) {
    char text[FILE_BYTES + 1];
    bool cut = size > FILE_BYTES;
    ssize_t n = pread(fd, text, sizeof(text), cut ? size - (off_t)sizeof(text) : 0);
    const char *from = text;
    if (n < 0) {
        buf_printf(&r->note, "cannot be read: %s", strerror(errno));
        return;
    }
    if (cut) {
        const char *newline = memchr(text, '\n', (size_t)n);
        from = newline ? newline + 1 : text + n;
        buf_str(&r->note, "longer than 16 KiB: only its end was read");
    }
    take_lines(r, from, (size_t)(text + n - from));
}

/* A FIFO would not keep us waiting, and a link is not followed. */
static bool open_file(struct reader *r, const char *path) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return false;
    if (fd < 0 && errno != ELOOP && errno != ENXIO)
        buf_printf(&r->note, "cannot be read: %s", strerror(errno));
    else if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        buf_str(&r->note, "not read: not a regular file");
    else
        read_end(r, fd, st.st_size);
    fd_close(&fd);
    return true;
}

void report_read(struct slot *s) {
    struct reader r = {.slot = s};
    if (s->report_read || !s->started || s->failure)
        return;
    s->report_read = true; /* once: the outcome is asked for again when a commit fails */
    char *path = lease_report_path(s->worker->store, s->worker->lease.uid, s->mark);
    if (open_file(&r, path))
        remove(path);
    free(path);
    if (r.wrong > 1)
        buf_printf(&r.note, " (and %zu more line%s)", r.wrong - 1, r.wrong > 2 ? "s" : "");
    s->report_note = r.note.data;
}
