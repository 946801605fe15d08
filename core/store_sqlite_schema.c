/* The tables, and how a store comes to have them. Forward only, one transaction a version. */
#include <string.h>

#include "store_sqlite_impl.h"

/* job:   what changes; kept narrow, as each transition rewrites the row.
 * spec:  what does not change after enqueue.
 * ready: what may start now, in order. Anything that may not start is not in it.
 * timed: what becomes ready at run_at.
 * dep:   child waits for parent; rows stay as history, settled once the parent has ended. */
static const char schema_1[] =
    "CREATE TABLE job("
    "  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, queue TEXT NOT NULL, grp TEXT,"
    "  run INTEGER NOT NULL, lane INTEGER NOT NULL, state INTEGER NOT NULL,"
    "  cause INTEGER NOT NULL DEFAULT 0, priority INTEGER NOT NULL,"
    "  tries INTEGER NOT NULL DEFAULT 0, starts INTEGER NOT NULL DEFAULT 0,"
    "  deaths INTEGER NOT NULL DEFAULT 0, waits INTEGER NOT NULL DEFAULT 0,"
    "  cancel INTEGER NOT NULL DEFAULT 0, run_at INTEGER NOT NULL, created_at INTEGER NOT NULL,"
    "  updated_at INTEGER NOT NULL, started_at INTEGER NOT NULL DEFAULT 0,"
    "  finished_at INTEGER NOT NULL DEFAULT 0, delay_ms INTEGER NOT NULL DEFAULT 0,"
    "  worker INTEGER NOT NULL DEFAULT 0, exit_code INTEGER NOT NULL DEFAULT -1,"
    "  signal INTEGER NOT NULL DEFAULT -1, error TEXT);"
    "CREATE INDEX job_by_state ON job(state, seq) WHERE state NOT IN (1, 2);"
    "CREATE INDEX job_by_worker ON job(worker) WHERE state = 2;"
    "CREATE TABLE spec("
    "  seq INTEGER PRIMARY KEY, fingerprint INTEGER NOT NULL, name TEXT, kind INTEGER NOT NULL,"
    "  command BLOB, env BLOB, cwd TEXT, stdin BLOB, stdin_path TEXT, retries INTEGER NOT NULL,"
    "  timeout_ms INTEGER NOT NULL, kill_after_ms INTEGER NOT NULL, backoff TEXT, ok_codes BLOB,"
    "  allow_failure INTEGER NOT NULL, outputs BLOB, description TEXT, tags TEXT, meta TEXT);"
    "CREATE TABLE ready(lane INTEGER, rank, seq INTEGER, PRIMARY KEY(lane, rank, seq))"
    "  WITHOUT ROWID;"
    "CREATE TABLE timed(lane INTEGER, run_at INTEGER, seq INTEGER,"
    "  PRIMARY KEY(lane, run_at, seq)) WITHOUT ROWID;"
    "CREATE TABLE dep(parent INTEGER, child INTEGER, cond INTEGER NOT NULL,"
    "  settled INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(parent, child)) WITHOUT ROWID;"
    "CREATE TABLE attempt(job INTEGER, token INTEGER, try_no INTEGER NOT NULL, worker TEXT,"
    "  started_at INTEGER NOT NULL, finished_at INTEGER NOT NULL, duration_ms INTEGER NOT NULL,"
    "  cause INTEGER NOT NULL, exit_code INTEGER NOT NULL, signal INTEGER NOT NULL,"
    "  cpu_ms INTEGER NOT NULL, max_rss_kb INTEGER NOT NULL, output_total INTEGER NOT NULL,"
    "  incomplete INTEGER NOT NULL, error TEXT, PRIMARY KEY(job, token)) WITHOUT ROWID;"
    "CREATE TABLE output(job INTEGER, token INTEGER, at_byte INTEGER, stream INTEGER NOT NULL,"
    "  at INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY(job, token, at_byte)) WITHOUT ROWID;"
    "CREATE TABLE value(job INTEGER, key TEXT, value BLOB, PRIMARY KEY(job, key)) WITHOUT ROWID;"
    "CREATE TABLE source(hash TEXT PRIMARY KEY, text BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE run(id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL,"
    "  source TEXT NOT NULL, started_at INTEGER NOT NULL, finished_at INTEGER NOT NULL DEFAULT 0,"
    "  first_seq INTEGER NOT NULL DEFAULT 0, last_seq INTEGER NOT NULL DEFAULT -1,"
    "  left INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,"
    "  worker INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX run_by_path ON run(path, id);"
    "CREATE TABLE counter(queue TEXT, state INTEGER, n INTEGER NOT NULL,"
    "  PRIMARY KEY(queue, state)) WITHOUT ROWID;"
    "CREATE TABLE worker(id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE,"
    "  name TEXT NOT NULL, host TEXT NOT NULL, boot_id TEXT NOT NULL, pid INTEGER NOT NULL,"
    "  pid_ns INTEGER NOT NULL, slots INTEGER NOT NULL, lane INTEGER NOT NULL,"
    "  started_at INTEGER NOT NULL, heartbeat_at INTEGER NOT NULL,"
    "  beat_boot_ms INTEGER NOT NULL, stop INTEGER NOT NULL DEFAULT 0);";

/* Columns of spec, attempt and run (wants_when of spec does change: enum in store_sqlite_impl.h),
 * and:
 * run_job:  jobs added to a run beside its own, which are a range of seqs.
 * artifact: files a job has kept.
 * job.retried_at: when somebody last put it back by hand.
 * Counters of a run now follow all of its jobs, also those that left its lane by a retry; a run
 * whose unfinished jobs all did so is what is called detached from here on. */
static const char schema_2[] =
    "ALTER TABLE job ADD COLUMN retried_at INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE spec ADD COLUMN source TEXT;"
    "ALTER TABLE spec ADD COLUMN start_at INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE spec ADD COLUMN max_age_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE spec ADD COLUMN wants_when INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE spec ADD COLUMN fail_fast INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE spec ADD COLUMN artifacts BLOB;"
    "ALTER TABLE spec ADD COLUMN limits TEXT;"
    "ALTER TABLE attempt ADD COLUMN report BLOB;"
    "ALTER TABLE attempt ADD COLUMN report_note TEXT;"
    "ALTER TABLE attempt ADD COLUMN class TEXT;"
    "ALTER TABLE run ADD COLUMN fail_fast INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE run ADD COLUMN halted INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE run ADD COLUMN detached INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE run ADD COLUMN cancelled INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE run ADD COLUMN added INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE run ADD COLUMN info TEXT;"
    "CREATE TABLE run_job(run INTEGER, seq INTEGER, PRIMARY KEY(run, seq)) WITHOUT ROWID;"
    "CREATE TABLE artifact(job INTEGER, path TEXT, size INTEGER NOT NULL, PRIMARY KEY(job, path))"
    "  WITHOUT ROWID;"
    "CREATE INDEX dep_by_child ON dep(child);"
    "UPDATE run SET (left, failed, detached) ="
    "  (SELECT coalesce(sum(state NOT IN (3, 5, 6, 7)), 0),"
    "    coalesce(sum((state = 5 AND NOT allow_failure) OR state = 6"
    "      OR (state = 7 AND cause != 11)), 0),"
    "    coalesce(min(lane = 0) FILTER (WHERE state NOT IN (3, 5, 6, 7)), 0)"
    "    FROM job JOIN spec USING(seq)"
    "    WHERE seq BETWEEN run.first_seq AND run.last_seq AND job.run = run.id);"
    "UPDATE run SET finished_at = 0 WHERE left > 0;";

/* steps[v]: from version v to v + 1. */
static const char *const steps[SCHEMA_VERSION] = {schema_1, schema_2};

static int version(struct sqlite_store *s, int64_t *user, int64_t *app, struct err *err) {
    if (q_int(s, err, user, "PRAGMA user_version", "") < 0)
        return -1;
    return q_int(s, err, app, "PRAGMA application_id", "") < 0 ? -1 : 0;
}

static int refuse(const struct sqlite_store *s, int64_t user, int64_t app, struct err *err) {
    if (app != APPLICATION_ID)
        return err_set(err, ERR_CORRUPT,
                       "%s is an SQLite database of another program; give another --store",
                       s->path);
    return err_set(err, ERR_CORRUPT,
                   "%s has schema %lld, this queuectl knows %d; use a newer queuectl", s->path,
                   (long long)user, SCHEMA_VERSION);
}

/* A worker of version 1 that goes on while its store is migrated may write its own number over the
 * new one; what it does to the tables fits both. */
static int is_done(struct sqlite_store *s, int64_t from, struct err *err) {
    int64_t tables = 0;
    if (from != 1)
        return 0;
    return q_int(s, err, &tables, "SELECT count(*) FROM sqlite_schema WHERE name = 'run_job'", "") <
                   0
               ? -1
               : tables > 0;
}

static int upgrade(struct sqlite_store *s, int64_t from, struct err *err) {
    char sql[96];
    sqlite3_snprintf(sizeof(sql), sql, "PRAGMA application_id = %d; PRAGMA user_version = %d;",
                     APPLICATION_ID, SCHEMA_VERSION);
    int rc = SQLITE_OK, done = is_done(s, from, err);
    if (done < 0)
        return -1;
    for (int64_t v = from + done; rc == SQLITE_OK && v < SCHEMA_VERSION; v++)
        rc = sqlite3_exec(s->db, steps[v], NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : q_fail(s, err, rc);
}

static bool is_ours(int64_t user, int64_t app) {
    return app == APPLICATION_ID && user > 0 && user <= SCHEMA_VERSION;
}

/* Nothing may be in a database that becomes ours. */
static int is_empty(struct sqlite_store *s, struct err *err) {
    int64_t tables = 0;
    if (q_int(s, err, &tables, "SELECT count(*) FROM sqlite_schema", "") < 0)
        return -1;
    return tables == 0;
}

static int migrate(struct sqlite_store *s, struct err *err) {
    int64_t user = 0, app = 0;
    if (version(s, &user, &app, err) < 0)
        return -1;
    if (is_ours(user, app)) /* perhaps by now: somebody else may have been quicker */
        return user == SCHEMA_VERSION ? 0 : upgrade(s, user, err);
    int empty = is_empty(s, err);
    if (empty < 0)
        return -1;
    return empty && app == 0 && user == 0 ? upgrade(s, 0, err) : refuse(s, user, app, err);
}

static int migrate_in_tx(struct sqlite_store *s, struct err *err) {
    if (s->base.ops->begin(&s->base, err) < 0)
        return -1;
    if (migrate(s, err) < 0) {
        s->base.ops->rollback(&s->base);
        return -1;
    }
    return s->base.ops->commit(&s->base, err);
}

/* Switching to WAL takes a lock of its own that no busy handler waits for everywhere. */
static int switch_to_wal(struct sqlite_store *s, struct err *err) {
    int rc = sqlite3_exec(s->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
    for (int i = 0; rc == SQLITE_BUSY && i < 1000; i++) {
        sqlite3_sleep(5);
        rc = sqlite3_exec(s->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
    }
    return rc == SQLITE_OK ? 0 : q_fail(s, err, rc);
}

int schema_ready(struct sqlite_store *s, struct err *err) {
    int64_t user = 0, app = 0;
    if (version(s, &user, &app, err) < 0)
        return -1;
    int empty = is_ours(user, app) ? 0 : is_empty(s, err);
    if (empty < 0)
        return -1;
    if (!empty && version(s, &user, &app, err) < 0) /* somebody else may have made it just now */
        return -1;
    if (is_ours(user, app))
        return user == SCHEMA_VERSION ? 0 : migrate_in_tx(s, err);
    if (app != 0 || user != 0 || !empty) /* before anything is written to it */
        return refuse(s, user, app, err);
    return switch_to_wal(s, err) < 0 ? -1 : migrate_in_tx(s, err);
}
