-- Work goes on when the store cannot be written for a while.

local t = require "support"
local Queue = require "worker.queue"

describe("a foreign program that holds the write lock", function()
    it("delays records, and no time limit", function()
        local q = Queue.new()
        local worker = q:worker("--count", "3")
        local timed = q:enqueue("trap 'date +%s%3N > ended; exit 1' TERM; date +%s%3N > began; "
                                .. "sleep 30 & wait", "--timeout", "1", "--retries", "0")
        local short = q:enqueue(Queue.until_file("locked") .. "; echo done")
        t.eventually(function() return t.exists(q:path("began")) end)
        local lock = t.spawn({ "sqlite3", "-batch", q.store }, { stdin = true })
        lock:write(".timeout 5000\nBEGIN IMMEDIATE; SELECT 'locked';\n")
        t.eventually(function() return lock:out() == "locked\n" end)
        t.write_file(q:path("locked"), "")
        local enqueue = t.spawn { t.binary, "--store", q.store, "enqueue", "--id", "late", "true" }
        t.eventually(function() return t.exists(q:path("ended")) end)
        assert.equal(0, (t.spawn({ "sleep", "2" }):wait()))
        assert.same({ "processing", "processing" }, { q:job(timed).state, q:job(short).state })
        assert.is_true(enqueue:running())
        lock:write("ROLLBACK;\n")
        lock:close_input()
        assert.equal(0, (lock:wait()))
        assert.equal(0, (enqueue:wait(5)))
        assert.equal("timeout", q:wait(timed, "dead").cause)
        assert.equal("done\n", q:logs(q:wait(short, "completed").id))
        q:wait("late", "completed")
        assert.is_true(worker:running())
        local took = tonumber(q:read("ended")) - tonumber(q:read("began"))
        assert.is_true(took >= 900 and took <= 1250, "TERM after " .. took .. " ms")
    end)

    it("for longer than 5 s makes enqueue give up, and nothing is stored", function()
        local q = Queue.new()
        q:q("init")
        local lock = t.spawn({ "sqlite3", "-batch", q.store }, { stdin = true })
        lock:write(".timeout 5000\nBEGIN IMMEDIATE; SELECT 'locked';\n")
        t.eventually(function() return lock:out() == "locked\n" end)
        local got = t.q(q.store, "enqueue", "true")
        assert.equal(6, got.code)
        assert.is_true(got.seconds >= 4.5 and got.seconds <= 6, "after " .. got.seconds)
        lock:write("ROLLBACK;\n")
        lock:close_input()
        lock:wait()
        assert.equal("0", t.sql(q.store, "SELECT count(*) FROM job")[1][1])
    end)
end)

describe("a full disk", function()
    -- A small file system that only the programs of this spec see.
    local function small_disk()
        local disk = t.tmpdir()
        local holder = t.spawn({ "unshare", "-m", "sh", "-c",
            'mount -t tmpfs -o size=3m none "$0" && echo mounted && cat', disk }, { stdin = true })
        t.eventually(function() return holder:out() == "mounted\n" end, 10, holder:err())
        local function inside(...)
            return { "nsenter", "-t", tostring(holder:pid()), "-m", "--", ... }
        end
        return disk, inside
    end

    it("makes enqueue fail; running jobs go on; all is recorded once there is room", function()
        local disk, inside = small_disk()
        local store, outside = disk .. "/queue.db", t.tmpdir()
        local function q(...) return t.run(inside(t.binary, "--store", store, ...)) end
        assert.equal(0, q("init").code)
        local worker = t.spawn(inside(t.binary, "--store", store, "worker", "start", "-c", "4"))
        local ids = {}
        for i = 1, 2 do
            ids[i] = ("running%d"):format(i)
            local job = ("cd %s; touch up%d; %s; head -c 50000 /dev/zero; touch ended%d"):format(
                outside, i, Queue.until_file("go"), i)
            assert.equal(0, q("enqueue", "--id", ids[i], job).code)
        end
        local function both(name)
            return t.eventually(function()
                return t.exists(outside .. name .. 1) and t.exists(outside .. name .. 2)
            end)
        end
        both "/up"

        t.run(inside("sh", "-c", "cat /dev/zero > " .. disk .. "/ballast"))
        local full = t.eventually(function()
            local got = q("enqueue", "true # " .. ("x"):rep(20000))
            if got.code == 0 then ids[#ids + 1] = got.out:sub(1, -2) end
            return got.code ~= 0 and got
        end)
        assert.equal(6, full.code)
        assert.matches("no space left", full.err)
        assert.equal("", full.out)
        t.write_file(outside .. "/go", "")
        both "/ended"
        t.eventually(function() return worker:err():find("event=store", 1, true) end)
        assert.is_true(worker:running())
        assert.equal("processing", t.json(q("show", "--json", ids[1]).out).state)

        assert.equal(0, t.run(inside("rm", disk .. "/ballast")).code)
        for _, id in ipairs(ids) do
            local job = t.eventually(function()
                local now = t.json(q("show", "--json", id).out)
                return now.state == "completed" and now
            end, 5)
            assert.equal(1, job.token)
        end
        assert.equal(0, q("enqueue", "true").code)
        local check = t.run(inside("sqlite3", store, "PRAGMA integrity_check"))
        assert.equal("ok\n", check.out)
    end)
end)

describe("a limit of file sizes", function()
    it("of the worker does not kill it", function()
        local q = Queue.new()
        q:q("init")
        local ids = {}
        for i = 1, 8 do ids[i] = q:enqueue("head -c 200000 /dev/zero") end
        local worker = t.spawn({ "sh", "-c", 'ulimit -f 1000; exec "$0" "$@"', t.binary, "--store",
                                 q.store, "worker", "start", "-c", "8" })
        t.eventually(function() return worker:err():find("event=store", 1, true) end)
        assert.is_true(worker:running())
        -- Told twice, it lets go of what it cannot record, and says so.
        worker:kill("TERM")
        t.eventually(function()
            worker:kill("TERM")
            return not worker:running()
        end)
        assert.equal(6, (worker:wait(5)))
        assert.is_truthy(worker:err():find("could not be stored; they run again", 1, true))
        -- Whatever it could not record: nothing is lost, and without the limit all is done.
        q:work()
        for _, id in ipairs(ids) do assert.equal("completed", q:job(id).state) end
        assert.equal("ok", t.sql(q.store, "PRAGMA integrity_check")[1][1])
    end)

    it("is as usual in a job", function()
        local q = Queue.new()
        local job = q:do_job("ulimit -f 8; exec head -c 100000 /dev/zero > file", "--retries", "0")
        assert.same({ "dead", "signal", 25 }, { job.state, job.cause, job.signal })
    end)
end)
