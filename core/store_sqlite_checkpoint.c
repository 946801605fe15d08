/* Checkpoints. SQLite before 3.51.3 can corrupt a database when a second checkpoint runs right
 * after a completed one while another connection commits. It needs somebody to commit during a
 * checkpoint, so ours holds the write lock on this connection while a second one checkpoints
 * passively: that waits for nobody and the next commit restarts the log. */
#include <stdlib.h>
#include <sys/stat.h>

#include "store_sqlite_impl.h"

static int64_t wal_bytes(const struct sqlite_store *s) {
    struct stat st;
    char *wal = xasprintf("%s-wal", s->path);
    int64_t size = stat(wal, &st) == 0 ? (int64_t)st.st_size : 0;
    free(wal);
    return size;
}

static void copy_pages(const struct sqlite_store *s) {
    sqlite3 *db = NULL;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
    if (sqlite3_open_v2(s->path, &db, flags, NULL) == SQLITE_OK) {
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        sqlite3_exec(db, "PRAGMA synchronous = FULL; PRAGMA mmap_size = 0;", NULL, NULL, NULL);
        sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    }
    sqlite3_close(db);
}

/* Any commit after it begins the log anew. Ours does at once: a process that opens the store later,
 * alone, reads the whole log and does not know that it was copied, so it would only grow. */
static void begin_log_anew(struct sqlite_store *s) {
    char sql[64];
    int64_t version = 0; /* a newer program may have migrated the store under us */
    if (sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        return;
    int rc = q_int(s, NULL, &version, "PRAGMA user_version", "");
    sqlite3_snprintf(sizeof(sql), sql, "PRAGMA user_version = %lld; COMMIT", (long long)version);
    if (rc <= 0 || sqlite3_exec(s->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}

void op_checkpoint(struct store *base, int64_t min_bytes) {
    struct sqlite_store *s = (struct sqlite_store *)base;
    if (s->broken || wal_bytes(s) < min_bytes)
        return;
    wait_for_lock(s, false);
    if (sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK) {
        copy_pages(s);
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
        begin_log_anew(s);
    }
    wait_for_lock(s, s->flags & STORE_WAIT);
}
