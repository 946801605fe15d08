/* Ground of everything: errors, memory that aborts, byte buffers, small file helpers. */
#ifndef QUEUECTL_UTIL_H
#define QUEUECTL_UTIL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Kinds of failure. The value is the exit code of the program (the one table: README). */
enum err_code {
    ERR_NONE = 0,
    ERR_FAILED = 1,    /* ran and failed; anything without a better name */
    ERR_USAGE = 2,     /* the caller's input is wrong */
    ERR_NOT_FOUND = 3, /* no such job, run, worker */
    ERR_STATE = 4,     /* conflict, or the wrong state for this */
    ERR_PARTLY = 5,    /* done for some, not for all */
    ERR_STORE = 6,     /* store unreachable, full or locked: nothing was stored */
    ERR_PERM = 7,      /* not permitted */
    ERR_CORRUPT = 8,   /* the store is damaged, or newer than this program */
    ERR_UNKNOWN = 75,  /* a write whose outcome is not known */
    ERR_CONFIG = 78,   /* a bad Lua or configuration file */
    ERR_BUSY = 100,    /* internal: somebody else holds the store's write lock */
};

struct err {
    enum err_code code;
    char text[1024];
};

/* Fill err (may be NULL) and return -1. Only the top of the program prints it. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Allocation: never returns NULL, aborts instead (a crash is safe: claims are recovered). */
void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);
char *xmemdup0(const void *p, size_t len); /* copy plus a closing NUL */
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A growing byte string; always NUL-terminated once something was added. {0} is empty. */
struct buf {
    char *data;
    size_t len, cap;
};
void buf_add(struct buf *b, const void *p, size_t len);
void buf_str(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_json(struct buf *b, const char *p, size_t len); /* as a JSON string, bad UTF-8 -> U+FFFD */
void buf_drop(struct buf *b, size_t n);                  /* remove the first n bytes */
void buf_free(struct buf *b);

/* Length of the valid UTF-8 sequence at p (1..4), 0 if it is not one. */
size_t utf8_len(const char *p, size_t left);

/* Copy of text with control characters and bad UTF-8 written as \xNN; at most max bytes, then "…".
 * Yours to free. */
char *text_escape(const char *p, size_t len, size_t max);

/* Read at most max bytes of a regular file. Returns 0, or -1 with err. out->data yours to free. */
int file_read(const char *path, size_t max, struct buf *out, struct err *err);

/* Close if open, and mark as closed. */
void fd_close(int *fd);
/* The same for several, -1 among them: those whose numbers follow each other with one call. */
void fds_close(int *fds, int n);

/* A memory file of these bytes, to be read from its beginning; yours to close. -1 with err. */
int memory_file(const char *name, const struct buf *bytes, struct err *err);

#endif
