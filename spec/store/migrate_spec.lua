-- Stores of version 1 become stores of this one, whole or not at all.

local store = require "support.store"
local t = require "support"

-- The tables as version 1 made them.
local SCHEMA_1 = [[
CREATE TABLE job( seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, queue TEXT NOT NULL, grp
    TEXT, run INTEGER NOT NULL, lane INTEGER NOT NULL, state INTEGER NOT NULL, cause INTEGER
    NOT NULL DEFAULT 0, priority INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0, starts
    INTEGER NOT NULL DEFAULT 0, deaths INTEGER NOT NULL DEFAULT 0, waits INTEGER NOT NULL
    DEFAULT 0, cancel INTEGER NOT NULL DEFAULT 0, run_at INTEGER NOT NULL, created_at
    INTEGER NOT NULL, updated_at INTEGER NOT NULL, started_at INTEGER NOT NULL DEFAULT 0,
    finished_at INTEGER NOT NULL DEFAULT 0, delay_ms INTEGER NOT NULL DEFAULT 0, worker
    INTEGER NOT NULL DEFAULT 0, exit_code INTEGER NOT NULL DEFAULT -1, signal INTEGER NOT
    NULL DEFAULT -1, error TEXT);
CREATE INDEX job_by_state ON job(state, seq) WHERE state NOT IN (1, 2);
CREATE INDEX job_by_worker ON job(worker) WHERE state = 2;
CREATE TABLE spec( seq INTEGER PRIMARY KEY, fingerprint INTEGER NOT NULL, name TEXT, kind
    INTEGER NOT NULL, command BLOB, env BLOB, cwd TEXT, stdin BLOB, stdin_path TEXT, retries
    INTEGER NOT NULL, timeout_ms INTEGER NOT NULL, kill_after_ms INTEGER NOT NULL, backoff
    TEXT, ok_codes BLOB, allow_failure INTEGER NOT NULL, outputs BLOB, description TEXT,
    tags TEXT, meta TEXT);
CREATE TABLE ready(lane INTEGER, rank, seq INTEGER, PRIMARY KEY(lane, rank, seq)) WITHOUT
    ROWID;
CREATE TABLE timed(lane INTEGER, run_at INTEGER, seq INTEGER, PRIMARY KEY(lane, run_at,
    seq)) WITHOUT ROWID;
CREATE TABLE dep(parent INTEGER, child INTEGER, cond INTEGER NOT NULL, settled INTEGER NOT
    NULL DEFAULT 0, PRIMARY KEY(parent, child)) WITHOUT ROWID;
CREATE TABLE attempt(job INTEGER, token INTEGER, try_no INTEGER NOT NULL, worker TEXT,
    started_at INTEGER NOT NULL, finished_at INTEGER NOT NULL, duration_ms INTEGER NOT NULL,
    cause INTEGER NOT NULL, exit_code INTEGER NOT NULL, signal INTEGER NOT NULL, cpu_ms
    INTEGER NOT NULL, max_rss_kb INTEGER NOT NULL, output_total INTEGER NOT NULL, incomplete
    INTEGER NOT NULL, error TEXT, PRIMARY KEY(job, token)) WITHOUT ROWID;
CREATE TABLE output(job INTEGER, token INTEGER, at_byte INTEGER, stream INTEGER NOT NULL, at
    INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY(job, token, at_byte)) WITHOUT ROWID;
CREATE TABLE value(job INTEGER, key TEXT, value BLOB, PRIMARY KEY(job, key)) WITHOUT ROWID;
CREATE TABLE source(hash TEXT PRIMARY KEY, text BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE run(id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL, source TEXT NOT
    NULL, started_at INTEGER NOT NULL, finished_at INTEGER NOT NULL DEFAULT 0, first_seq
    INTEGER NOT NULL DEFAULT 0, last_seq INTEGER NOT NULL DEFAULT -1, left INTEGER NOT NULL
    DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0, worker INTEGER NOT NULL DEFAULT 0);
CREATE INDEX run_by_path ON run(path, id);
CREATE TABLE counter(queue TEXT, state INTEGER, n INTEGER NOT NULL, PRIMARY KEY(queue,
    state)) WITHOUT ROWID;
CREATE TABLE worker(id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE, name
    TEXT NOT NULL, host TEXT NOT NULL, boot_id TEXT NOT NULL, pid INTEGER NOT NULL, pid_ns
    INTEGER NOT NULL, slots INTEGER NOT NULL, lane INTEGER NOT NULL, started_at INTEGER NOT
    NULL, heartbeat_at INTEGER NOT NULL, beat_boot_ms INTEGER NOT NULL, stop INTEGER NOT
    NULL DEFAULT 0);
]]

-- A run with one job that is dead and one that waits for a resume; a run whose job was retried into
-- the common lane, which version 1 did not count; jobs without a run, of
-- which j5 has the fingerprint that version 1 gave { id = "j5", priority = 7 }.
local DATA = [[
INSERT INTO source VALUES ('h1', 'job one');
INSERT INTO run(id, path, source, started_at, finished_at, first_seq, last_seq, left, failed)
    VALUES (1, '/a.lua', 'h1', 1000, 0, 1, 3, 1, 2), (2, '/b.lua', 'h1', 1000, 2000, 4, 4, 0, 0),
           (3, '/c.lua', 'h1', 1000, 2000, 0, -1, 0, 0);
INSERT INTO job(seq, id, queue, run, lane, state, cause, priority, waits, run_at, created_at,
    updated_at, finished_at, error, starts, tries) VALUES
    (1, 'j1', 'default', 1, 1, 5, 1, 0, 0, 1000, 1000, 1000, 1500, 'exit 1', 1, 1),
    (2, 'j2', 'default', 1, 1, 7, 10, 0, 1, 1000, 1000, 1000, 1500, 'needs one', 0, 0),
    (3, 'j3', 'default', 1, 1, 1, 0, 0, 0, 1000, 1000, 1000, 0, NULL, 0, 0),
    (4, 'j4', 'default', 2, 0, 1, 0, 0, 0, 1000, 1000, 1000, 0, NULL, 0, 0),
    (5, 'j5', 'default', 0, 0, 1, 0, 7, 0, 1000, 1000, 1000, 0, NULL, 0, 0),
    (6, 'j6', 'default', 0, 0, 0, 0, 0, 1, 1000, 1000, 1000, 0, NULL, 0, 0);
INSERT INTO spec(seq, fingerprint, name, kind, command, retries, timeout_ms, kill_after_ms,
    allow_failure) VALUES
    (1, 1, 'one', 0, 'false', 0, 0, 10000, 0), (2, 2, 'two', 0, 'true', 3, 0, 10000, 0),
    (3, 3, 'three', 0, 'true', 3, 0, 10000, 0), (4, 4, 'four', 2, NULL, 3, 0, 10000, 0),
    (5, -1465266536750791790, NULL, 0, 'true', 3, 0, 10000, 0),
    (6, 6, NULL, 0, 'true', 3, 0, 10000, 0);
INSERT INTO ready VALUES (1, 0, 3), (0, 0, 4), (0, -7, 5);
INSERT INTO dep VALUES (1, 2, 0, 1), (5, 6, 0, 0);
INSERT INTO attempt VALUES (1, 1, 1, 'w', 1, 2, 1, 1, 1, -1, 0, 0, 5, 0, 'exit 1');
INSERT INTO output VALUES (1, 1, 0, 1, 1, 'hello');
INSERT INTO value VALUES (5, 'k', 'v');
INSERT INTO counter VALUES ('default', 0, 1), ('default', 1, 3), ('default', 5, 1),
    ('default', 7, 1);
]]

local PRAGMAS = "PRAGMA journal_mode = WAL; PRAGMA application_id = 1363366961;" ..
                " PRAGMA user_version = 1;"

local function old_store()
    local path = t.store()
    t.sql(path, PRAGMAS .. SCHEMA_1 .. DATA .. "PRAGMA wal_checkpoint(TRUNCATE);")
    return path
end

describe("store/sqlite: a store of version 1", function()
    it("is migrated when it is opened, with all that is in it", function()
        local path = old_store()
        local s = store.open(path)
        assert.equal("2", t.sql(path, "PRAGMA user_version")[1][1])
        local one = s:get "j1"
        assert.same({ "dead", "exit 1", "h1", 0, false },
                    { one.state, one.error, one.source, one.start_at, one.fail_fast })
        assert.same({ 1, "hello", { k = "v" }, "job one" },
                    { #s:attempts(1), s:output(1, 1, 5), s:values(5), s:source "h1" })
        local run = s:run(1)
        assert.same({ 1, 2, false, false, 0 },
                    { run.left, run.failed, run.detached, run.halted, run.added })
        assert.is_true(s:enqueue({ id = "j5", priority = 7 }).existed)
        store.backends[1].close(s)
    end)

    it("counts the jobs that had left the lane of their run", function()
        local s = store.open(old_store())
        local run = s:run(2)
        assert.same({ 1, 0, true }, { run.left, run.finished_at, run.detached })
        s:work({}, 5)
        s:work({}, 4)
        s:work({}, 6)
        assert.equal(0, (s:run_left(2)))
        assert.same({ 0, 2000 }, { s:run(3).left, s:run(3).finished_at })
        assert.equal(2, s:revive(1))
        s:work({ lane = 1 }, 1)
        s:work({ lane = 1 }, 2)
        store.backends[1].close(s)
    end)

    it("has the same tables as a new one", function()
        local old, new = old_store(), t.store()
        store.open(old):close()
        store.open(new):close()
        local function tables(path)
            local out = {}
            for _, row in ipairs(t.sql(path, [[SELECT name, (SELECT group_concat(name || type) FROM
                pragma_table_info(m.name)) FROM sqlite_schema m ORDER BY name]])) do
                out[#out + 1] = table.concat(row, " ")
            end
            return out
        end
        assert.same(tables(new), tables(old))
    end)

    it("stays what it was when the migration fails", function()
        local path = old_store()
        t.sql(path, "CREATE TABLE artifact(x); PRAGMA wal_checkpoint(TRUNCATE);")
        local before = t.sql(path, "SELECT name, sql FROM sqlite_schema ORDER BY name")
        local e = store.failure(store.open, path)
        assert.equal(8, e.code)
        assert.same(before, t.sql(path, "SELECT name, sql FROM sqlite_schema ORDER BY name"))
        assert.equal("1", t.sql(path, "PRAGMA user_version")[1][1])
        t.sql(path, "DROP TABLE artifact")
        store.open(path):close()
    end)

    it("is migrated once, whoever comes first", function()
        local path, children = old_store(), {}
        for i = 1, 4 do children[i] = store.child("enqueue", path, 3) end
        for _, child in ipairs(children) do
            assert.same({ 0 }, { child:wait() }, child:describe())
        end
        local s = store.open(path)
        assert.equal(3 + 12, s:counts().pending)
        store.backends[1].close(s)
    end)

    it("may get its old number back from a worker of version 1 that still runs", function()
        local path = old_store()
        store.open(path):close()
        t.sql(path, "PRAGMA user_version = 1")
        local s = store.open(path)
        assert.equal("2", t.sql(path, "PRAGMA user_version")[1][1])
        store.backends[1].close(s)
    end)
end)
