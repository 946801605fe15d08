#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int err_set(struct err *err, enum err_code code, const char *fmt, ...) {
    if (!err)
        return -1;
    va_list ap;
    va_start(ap, fmt);
    err->code = code;
    vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    return -1;
}

static void *checked(void *p) {
    if (p)
        return p;
    static const char text[] = "queuectl: out of memory\n";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);
    (void)ignored;
    abort();
}

void *xmalloc(size_t size) {
    return checked(malloc(size ? size : 1));
}

void *xcalloc(size_t n, size_t size) {
    return checked(calloc(n ? n : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t size) {
    return checked(realloc(p, size ? size : 1));
}

char *xstrdup(const char *s) {
    return checked(strdup(s));
}

char *xmemdup0(const void *p, size_t len) {
    char *copy = xmalloc(len + 1);
    if (len)
        memcpy(copy, p, len);
    copy[len] = '\0';
    return copy;
}

char *xasprintf(const char *fmt, ...) {
    va_list ap;
    char *out = NULL;
    va_start(ap, fmt);
    if (vasprintf(&out, fmt, ap) < 0)
        out = NULL;
    va_end(ap);
    return checked(out);
}

static void buf_reserve(struct buf *b, size_t more) {
    size_t need = b->len + more + 1;
    if (need <= b->cap)
        return;
    size_t cap = b->cap ? b->cap : 64;
    while (cap < need)
        cap *= 2;
    b->data = xrealloc(b->data, cap);
    b->cap = cap;
}

void buf_add(struct buf *b, const void *p, size_t len) {
    buf_reserve(b, len);
    if (len)
        memcpy(b->data + b->len, p, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void buf_str(struct buf *b, const char *s) {
    buf_add(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n > 0) {
        buf_reserve(b, (size_t)n);
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void buf_drop(struct buf *b, size_t n) {
    if (!b->data)
        return;
    if (n > b->len)
        n = b->len;
    memmove(b->data, b->data + n, b->len - n + 1);
    b->len -= n;
}

void buf_free(struct buf *b) {
    free(b->data);
    *b = (struct buf){0};
}

/* Smallest code point that may be written with n bytes: shorter forms must be used (RFC 3629). */
static const uint32_t utf8_min[5] = {0, 0, 0x80, 0x800, 0x10000};

size_t utf8_len(const char *text, size_t left) {
    const unsigned char *p = (const unsigned char *)text;
    if (!left)
        return 0;
    if (p[0] < 0x80)
        return 1;
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n > left)
        return 0;
    uint32_t code = p[0] & (0xffU >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (p[i] & 0x3fU);
    }
    bool bad = code < utf8_min[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff);
    return bad ? 0 : n;
}

/* ASCII's and, in UTF-8, the C1 ones U+0080 to U+009F: terminals obey both. */
static bool is_control(const char *p, size_t n) {
    unsigned char c = (unsigned char)p[0];
    return c < 0x20 || c == 0x7f || (n == 2 && c == 0xc2 && (unsigned char)p[1] < 0xa0);
}

static void json_char(struct buf *b, unsigned char c) {
    switch (c) {
    case '"':
        buf_str(b, "\\\"");
        break;
    case '\\':
        buf_str(b, "\\\\");
        break;
    case '\n':
        buf_str(b, "\\n");
        break;
    case '\t':
        buf_str(b, "\\t");
        break;
    default:
        buf_printf(b, "\\u%04x", c);
    }
}

void buf_json(struct buf *b, const char *p, size_t len) {
    buf_add(b, "\"", 1);
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)p[i];
        size_t n = utf8_len(p + i, len - i);
        if (n == 0)
            buf_str(b, "\xef\xbf\xbd");
        else if (n == 2 && is_control(p + i, n))
            buf_printf(b, "\\u00%02x", (unsigned char)p[i + 1]);
        else if (is_control(p + i, n) || c == '"' || c == '\\')
            json_char(b, c);
        else
            buf_add(b, p + i, n);
        i += n ? n : 1;
    }
    buf_add(b, "\"", 1);
}

char *text_escape(const char *p, size_t len, size_t max) {
    struct buf b = {0};
    buf_add(&b, "", 0);
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)p[i];
        size_t n = utf8_len(p + i, len - i);
        if (b.len + 4 > max) {
            buf_str(&b, "…");
            break;
        }
        if (n > 0 && !is_control(p + i, n)) {
            buf_add(&b, p + i, n);
        } else {
            buf_printf(&b, c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\x%02x", c);
            n = 1; /* the rest of a C1 one is no valid start and escaped next */
        }
        i += n;
    }
    return b.data;
}

static int read_all(int fd, size_t max, struct buf *out) {
    char chunk[65536];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return (int)n;
        if (out->len + (size_t)n > max) {
            errno = EFBIG;
            return -1;
        }
        buf_add(out, chunk, (size_t)n);
    }
}

int file_read(const char *path, size_t max, struct buf *out, struct err *err) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO would keep us waiting */
    if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
        close(fd);
        return err_set(err, ERR_FAILED, "%s is not a regular file", path);
    }
    if (fd < 0)
        return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_FAILED, "%s: %s", path,
                       strerror(errno));
    buf_add(out, "", 0);
    int rc = read_all(fd, max, out);
    if (rc < 0)
        err_set(err, ERR_FAILED, "%s: %s", path, strerror(errno));
    close(fd);
    return rc;
}

void fd_close(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void fds_close(int *fds, int n) {
    for (int from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && fds[from] >= 0 && fds[to] == fds[to - 1] + 1;)
            to++;
        if (to - from > 1)
            close_range((unsigned)fds[from], (unsigned)fds[to - 1], 0);
        else if (fds[from] >= 0)
            close(fds[from]);
        for (int i = from; i < to; i++)
            fds[i] = -1;
    }
}

int memory_file(const char *name, const struct buf *bytes, struct err *err) {
    int fd = memfd_create(name, MFD_CLOEXEC);
    size_t done = 0;
    while (fd >= 0 && done < bytes->len) {
        ssize_t n = write(fd, bytes->data + done, bytes->len - done);
        if (n < 0)
            fd_close(&fd);
        else
            done += (size_t)n;
    }
    if (fd < 0 || lseek(fd, 0, SEEK_SET) < 0) {
        err_set(err, ERR_FAILED, "memory file: %s", strerror(errno));
        fd_close(&fd);
    }
    return fd;
}
