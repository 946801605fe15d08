/* Queries: prepared once a connection, bound by a format, stepped, and their errors told apart. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "store_sqlite_impl.h"

int q_fail(struct sqlite_store *s, struct err *err, int rc) {
    const char *text = s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc);
    switch (rc & 0xff) {
    case SQLITE_BUSY:
        return err_set(err, ERR_BUSY, "%s is locked by another program", s->path);
    case SQLITE_FULL:
        return err_set(err, ERR_STORE, "no space left for %s; free some and repeat", s->path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return err_set(err, ERR_CORRUPT, "%s is damaged or no queuectl store (%s)", s->path, text);
    case SQLITE_IOERR:
        if (rc == SQLITE_IOERR_WRITE) /* as a full disk: a limit of file size, for one */
            return err_set(err, ERR_STORE, "%s cannot be written (%s)", s->path, strerror(errno));
        s->broken = true;
        return err_set(err, ERR_STORE, "%s: %s (I/O error %d)", s->path, text, rc);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return err_set(err, ERR_PERM, "%s: %s", s->path, text);
    case SQLITE_CANTOPEN:
        if (access(s->path, R_OK | W_OK) < 0)
            return err_set(err, errno == EACCES ? ERR_PERM : ERR_STORE, "%s: %s", s->path,
                           strerror(errno));
        return err_set(err, ERR_STORE, "%s: %s", s->path, text);
    case SQLITE_LOCKED:
    case SQLITE_NOMEM:
        return err_set(err, ERR_STORE, "%s: %s", s->path, text);
    default: /* a table or a value that should not be: trying again would not help */
        return err_set(err, ERR_CORRUPT, "%s: %s (SQLite error %d)", s->path, text, rc);
    }
}

static struct statement *find_statement(struct sqlite_store *s, const char *sql) {
    size_t i = ((uintptr_t)sql >> 3) % STATEMENT_SLOTS;
    while (s->statements[i].sql && s->statements[i].sql != sql)
        i = (i + 1) % STATEMENT_SLOTS;
    return &s->statements[i];
}

static int bind_one(sqlite3_stmt *st, int at, char kind, va_list *ap) {
    switch (kind) {
    case 'i':
        return sqlite3_bind_int64(st, at, va_arg(*ap, int64_t));
    case 'd':
        return sqlite3_bind_double(st, at, va_arg(*ap, double));
    case 't':
        return sqlite3_bind_text(st, at, va_arg(*ap, const char *), -1, SQLITE_STATIC);
    default: {
        struct bytes b = va_arg(*ap, struct bytes);
        return sqlite3_bind_blob64(st, at, b.data, b.len, SQLITE_STATIC);
    }
    }
}

static sqlite3_stmt *prepare(struct sqlite_store *s, struct err *err, const char *sql,
                             const char *fmt, va_list *ap) {
    struct statement *entry = find_statement(s, sql);
    if (!entry->stmt) {
        entry->sql = sql;
        int rc = sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &entry->stmt, NULL);
        if (rc != SQLITE_OK) {
            q_fail(s, err, rc);
            return NULL;
        }
    }
    for (int i = 0; fmt[i]; i++) {
        int rc = bind_one(entry->stmt, i + 1, fmt[i], ap);
        if (rc != SQLITE_OK) {
            q_fail(s, err, rc);
            return NULL;
        }
    }
    return entry->stmt;
}

int q_row(struct sqlite_store *s, sqlite3_stmt *st, struct err *err) {
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        return 1;
    if (rc != SQLITE_DONE)
        q_fail(s, err, rc);
    q_end(st);
    return rc == SQLITE_DONE ? 0 : -1;
}

void q_end(sqlite3_stmt *st) {
    sqlite3_reset(st);
    sqlite3_clear_bindings(st); /* nothing borrowed outlives the call */
}

sqlite3_stmt *q_open(struct sqlite_store *s, struct err *err, const char *sql, const char *fmt,
                     ...) {
    va_list ap;
    va_start(ap, fmt);
    sqlite3_stmt *st = prepare(s, err, sql, fmt, &ap);
    va_end(ap);
    return st;
}

int q_run(struct sqlite_store *s, struct err *err, const char *sql, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    sqlite3_stmt *st = prepare(s, err, sql, fmt, &ap);
    va_end(ap);
    if (!st)
        return -1;
    int rc;
    while ((rc = q_row(s, st, err)) > 0)
        ;
    return rc < 0 ? -1 : sqlite3_changes(s->db);
}

int q_int(struct sqlite_store *s, struct err *err, int64_t *out, const char *sql, const char *fmt,
          ...) {
    va_list ap;
    va_start(ap, fmt);
    sqlite3_stmt *st = prepare(s, err, sql, fmt, &ap);
    va_end(ap);
    if (!st)
        return -1;
    int rc = q_row(s, st, err);
    if (rc > 0) {
        *out = sqlite3_column_int64(st, 0);
        q_end(st);
    }
    return rc;
}

char *col_text(sqlite3_stmt *st, int col) {
    if (sqlite3_column_type(st, col) == SQLITE_NULL)
        return NULL;
    const void *p = sqlite3_column_blob(st, col); /* NULL also when it is empty */
    return xmemdup0(p, (size_t)sqlite3_column_bytes(st, col));
}

void col_buf(sqlite3_stmt *st, int col, struct buf *out) {
    const void *p = sqlite3_column_blob(st, col);
    if (p)
        buf_add(out, p, (size_t)sqlite3_column_bytes(st, col));
}

/* ---- locks ---- */

/* Constant interval: the built-in handler's growing one lets newcomers overtake those who have
 * waited long. 2 ms, 2,500 times. */
static int wait_busy(void *unused, int tries) {
    (void)unused;
    if (tries >= 2500)
        return 0;
    usleep(2000);
    return 1;
}

void wait_for_lock(struct sqlite_store *s, bool wait) {
    sqlite3_busy_handler(s->db, wait ? wait_busy : NULL, NULL);
}
