-- What holds of the SQLite backend alone: files, other databases, locks, the log.

local ffi = require "ffi"
local lfs = require "lfs"
local store = require "support.store"
local t = require "support"

ffi.cdef "unsigned umask(unsigned mask); int symlink(const char *to, const char *path);"

local function mode(path) return lfs.attributes(path, "permissions") end

local function umasked(mask, fn)
    local old = ffi.C.umask(mask)
    local ok, e = pcall(fn)
    ffi.C.umask(old)
    if not ok then error(e, 0) end
end

describe("store/sqlite: opening", function()
    it("makes files for nobody else, whatever the umask", function()
        local path = t.store()
        umasked(0, function()
            local s = store.open(path)
            s:enqueue()
            assert.equal("rw-------", mode(path))
            for _, suffix in ipairs { "-wal", "-shm" } do
                assert.equal("rw-------", mode(path .. suffix))
            end
            assert.equal(path .. ".run", s:side_dir())
            assert.equal("rwx------", mode(s:side_dir()))
            for name in lfs.dir(s:side_dir()) do
                if not name:find "^%.+$" then
                    assert.equal("rw-------", mode(s:side_dir() .. "/" .. name))
                end
            end
            s:close()
        end)
    end)

    it("takes a symbolic link for the file it leads to", function()
        local dir = t.tmpdir()
        local s = store.open(dir .. "/queue.db")
        ffi.C.symlink("queue.db", dir .. "/link.db")
        local other = store.open(dir .. "/link.db")
        local e = other:enqueue()
        assert.equal("pending", s:state(e.seq))
        assert.equal(s:side_dir(), other:side_dir())
        other:checkpoint(0)
        assert.is_false(t.exists(dir .. "/link.db-wal"))
        s:close()
        other:close()
    end)

    it("finds again what was stored", function()
        local path = t.store()
        local s = store.open(path)
        local e = s:enqueue { id = "kept" }
        s:close()
        s = store.open(path, 0)
        assert.same({ e.seq, 1 }, { s:get("kept").seq, s:counts().pending })
        s:close()
    end)

    it("makes nothing unless asked", function()
        local dir = t.tmpdir()
        local e = store.failure(store.open, dir .. "/queue.db", store.WAIT)
        assert.equal(6, e.code)
        assert.matches("no such store", e.text)
        for name in lfs.dir(dir) do assert.is_truthy(name:find "^%.+$") end
    end)

    it("refuses what is no file", function()
        local dir = t.tmpdir()
        t.run { "mkfifo", dir .. "/fifo" }
        t.run { "ln", "-s", dir .. "/nowhere", dir .. "/dangling" }
        t.mkdir_p(dir .. "/dir")
        for path, code in pairs { [dir .. "/fifo"] = 6, [dir .. "/dangling"] = 6,
                                  [dir .. "/dir"] = 6, ["/dev/null"] = 6, [""] = 2,
                                  [dir .. "/no/such/dir/q.db"] = 6, ["pg://x"] = 2 } do
            local e = store.failure(store.open, path)
            assert.same({ path, code }, { path, e.code })
            assert.is_true(path == "" or e.text:find(path, 1, true) ~= nil, e.text)
        end
        assert.is_false(t.exists(dir .. "/nowhere"))
    end)

    it("refuses, without a change, whatever is not its own", function()
        local dir = t.tmpdir()
        local function sqlite(name, sql)
            t.sql(dir .. "/" .. name, sql)
            return name
        end
        local newer = dir .. "/newer"
        store.open(newer):close()
        t.sql(newer, "PRAGMA user_version = 3; PRAGMA wal_checkpoint(TRUNCATE);")
        local names = {
            sqlite("foreign", "CREATE TABLE x(a); INSERT INTO x VALUES (1);"),
            sqlite("wal", "PRAGMA journal_mode = WAL; CREATE TABLE x(a);"),
            sqlite("versioned", "PRAGMA user_version = 1; CREATE TABLE x(a);"),
            sqlite("app", "PRAGMA application_id = 7;"),
            sqlite("view", "CREATE VIEW v AS SELECT 1;"),
            "newer", "text", "noise",
        }
        t.write_file(dir .. "/text", "this is not a database, but a long enough text of words")
        t.write_file(dir .. "/noise", ("\1\2\3\4"):rep(5000))
        for _, name in ipairs(names) do
            local path = dir .. "/" .. name
            local before = t.read_file(path)
            local had_side = t.exists(path .. ".run")
            local e = store.failure(store.open, path)
            assert.same({ name, 8 }, { name, e.code })
            assert.is_truthy(e.text:find(path, 1, true))
            assert.is_true(before == t.read_file(path), name .. " was changed")
            assert.equal(had_side, t.exists(path .. ".run"), name)
        end
        assert.matches("newer", store.failure(store.open, newer).text)
        assert.matches("another program", store.failure(store.open, dir .. "/foreign").text)
    end)

    it("makes a store of an empty file", function()
        local path = t.store()
        t.write_file(path, "")
        local s = store.open(path)
        assert.equal(0, s:counts().pending)
        s:close()
    end)

    it("is done once by many at the same time", function()
        for _ = 1, 5 do
            local path, children = t.store(), {}
            for i = 1, 6 do children[i] = store.child("enqueue", path, 3) end
            for _, child in ipairs(children) do
                assert.same({ 0 }, { child:wait() }, child:describe())
            end
            local s = store.open(path)
            assert.equal(18, s:counts().pending)
            s:close()
        end
    end)

    it("marks the file as its own, in WAL mode", function()
        local path = t.store()
        local s = store.open(path)
        assert.same({ { "1363366961", "2", "wal" } }, { {
            t.sql(path, "PRAGMA application_id")[1][1], t.sql(path, "PRAGMA user_version")[1][1],
            t.sql(path, "PRAGMA journal_mode")[1][1] } })
        s:close()
    end)
end)

describe("store/sqlite: the log", function()
    local s, path, wal
    before_each(function()
        path = t.store()
        wal = path .. "-wal"
        s = store.open(path)
    end)
    after_each(function() s:close() end)

    local function wal_size() return lfs.attributes(wal, "size") or 0 end

    local function write_much()
        for _ = 1, 40 do s:enqueue_many(100, { command = ("x"):rep(1000) }) end
    end

    it("grows without checkpoints and is bounded with them", function()
        write_much()
        local grown = wal_size()
        assert.is_true(grown > 4e6, tostring(grown))
        s:checkpoint(grown + 1) -- below its limit: nothing happens
        s:enqueue()
        assert.is_true(wal_size() > grown)
        local highest = 0
        for _ = 1, 4 do
            s:checkpoint(1)
            s:enqueue() -- starts the log anew
            assert.is_true(wal_size() <= 1048576 + 65536, tostring(wal_size()))
            write_much()
            highest = math.max(highest, wal_size())
        end
        assert.is_true(highest < 2 * grown)
        assert.equal(5 * 4000 + 5, s:counts().pending)
        assert.equal("ok", t.sql(path, "PRAGMA integrity_check")[1][1])
    end)

    it("is not waited for while somebody reads", function()
        local reader = t.spawn({ "sqlite3", "-batch", path }, { stdin = true })
        s:enqueue()
        reader:write "BEGIN; SELECT 'open', count(*) FROM job;\n"
        t.eventually(function() return reader:out():find "open|1" end)
        write_much()
        local from = t.now()
        s:checkpoint(0)
        s:enqueue()
        assert.is_true(t.now() - from < 1)
        reader:write "SELECT 'same', count(*) FROM job;\n"
        t.eventually(function() return reader:out():find "same|1" end)
        reader:write "COMMIT;\n"
        reader:close_input()
        reader:wait()
        s:checkpoint(0)
        s:enqueue()
        assert.is_true(wal_size() <= 1048576 + 65536)
    end)

    it("is not waited for while somebody writes", function()
        write_much()
        local holder = store.child("hold", path)
        store.wait_line(holder, "held")
        local from = t.now()
        s:checkpoint(0)
        assert.is_true(t.now() - from < 1)
        holder:write "\n"
        holder:wait()
        s:enqueue()
        assert.is_true(wal_size() > 4e6) -- it was not done, and nothing is broken
        s:checkpoint(0)
        s:enqueue()
        assert.is_true(wal_size() <= 1048576 + 65536)
    end)

    it("leaves a connection that waits waiting as before", function()
        s:checkpoint(0)
        local child = store.child("begin", path)
        s:begin()
        store.wait_line(child, "waiting")
        s:rollback()
        child:wait()
        assert.matches("got it", child:out())
        local holder = store.child("hold", path)
        store.wait_line(holder, "held")
        holder:write "\n"
        s:begin() -- may have to wait for the holder to leave, and does
        s:rollback()
    end)

    it("is not thrown away at close", function()
        s:enqueue { id = "kept" }
        assert.is_true(wal_size() > 0)
        local other = store.open(path)
        other:close()
        assert.is_true(wal_size() > 0)
        assert.equal("pending", s:state "kept")
    end)
end)

describe("store/sqlite: a lost worker", function()
    it("is told by its lock file closed for the last time", function()
        local s = store.open(t.store())
        local sys = require "support.sys"
        local watch = { fd = s:notify_fd(), events = sys.POLLIN }
        local lock = io.open(s:side_dir() .. "/some.lock", "w")
        s:notify_drain()
        lock:close()
        sys.poll({ watch }, 5)
        assert.is_true(watch.ready)
        assert.equal(2, s:notify_drain())
        io.open(s:side_dir() .. "/other.out", "w"):close()
        sys.poll({ watch }, 5)
        assert.equal(0, s:notify_drain())
        s:close()
    end)
end)
