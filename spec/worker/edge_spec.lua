-- Rare situations that once went wrong: each of these lost, kept or stopped something.

local t = require "support"
local Queue = require "worker.queue"

-- A jobs file run with this queue's store; exit code and output.
local function run_file(q, text, ...)
    t.write_file(q:path("jobs.lua"), text)
    return t.run({ t.binary, "--store", q.store, "run", q:path("jobs.lua"), ... },
        { timeout = 30 })
end

describe("a job", function()
    it("whose request would be too long fails with its reason, and holds nothing up", function()
        local q = Queue.new()
        local got = run_file(q, [[
            local keys = {}
            for i = 1, 8 do keys[i] = "k" .. i end
            local a = job "a" { outputs = keys, run = function()
                local out = {}
                for i = 1, 8 do out["k" .. i] = ("x"):rep(60000) end
                return out
            end }
            job "b" { retries = 0, run = { "true", a.out.k1, a.out.k2, a.out.k3, a.out.k4,
                a.out.k5, a.out.k6, a.out.k7, a.out.k8 } }
        ]])
        assert.equal(1, got.code, got.err)
        assert.matches("longer than 300 KiB together", got.out)
    end)

    it("for whose descriptors the guardian has no room is started a moment later", function()
        local q = Queue.new()
        t.write_file(q:path("jobs.lua"), [[
            for i = 1, 100 do job("j" .. i) { run = function() end } end
        ]])
        local got = t.run({ "sh", "-c", 'ulimit -n 80; exec "$@"', "sh", t.binary, "--store",
            q.store, "run", q:path("jobs.lua"), "-j", "2" }, { timeout = 60 })
        assert.equal(0, got.code, got.out .. got.err)
        assert.matches("100 completed", got.out)
        assert.matches("%(will run again%)", got.out)
    end)

    it("is cancelled although it failed before its worker heard of that", function()
        local q = Queue.new()
        local id = q:enqueue("while [ ! -e go ]; do sleep 0.01; done; exit 1")
        local worker = q:worker()
        t.eventually(function() return q:job(id).state == "processing" end)
        worker:kill("STOP")
        t.write_file(q:path("go"), "")
        t.eventually(function() return #t.processes("QUEUECTL_JOB_ID=" .. id) == 0 end)
        q:q("cancel", id)
        worker:kill("CONT")
        t.eventually(function() return q:job(id).state == "cancelled" end)
        assert.equal(1, q:job(id).token)
    end)

    it("that gave its $QUEUECTL_OUTPUT away for a FIFO does not stop the worker", function()
        local q = Queue.new()
        local got = run_file(q, [[
            job "a" { retries = 0, outputs = { "x" },
                run = 'rm "$QUEUECTL_OUTPUT"; mkfifo "$QUEUECTL_OUTPUT"' }
        ]])
        assert.equal(1, got.code)
        assert.matches("promised output 'x' was not given", got.out)
    end)

    it("that dies of a signal without a name says its number", function()
        local q = Queue.new()
        local job = q:do_job("kill -40 $$", "--retries", "0")
        assert.equal("killed by signal 40", job.last_error)
    end)

    it("may snooze for longer than a 32-bit number of milliseconds", function()
        local q = Queue.new()
        t.write_file(q:path("jobs.lua"),
            'job "a" { run = function(_, ctx) return ctx.snooze("30d") end }')
        local run = t.spawn { t.binary, "--store", q.store, "run", q:path("jobs.lua") }
        local wait = t.eventually(function()
            local row = t.sql(q.store, "SELECT run_at - updated_at FROM job WHERE starts = 1"
                .. " AND state = 1")[1]
            return row and tonumber(row[1])
        end)
        assert.is_true(wait > 29 * 86400000, wait)
        run:kill("TERM")
        run:wait(10)
    end)

    it("leaves nothing behind when a mark is the beginning of another's", function()
        local q = Queue.new()
        local long = q:enqueue("while [ ! -e go ]; do sleep 0.01; done")
        local worker = q:worker("--count", "2")
        t.eventually(function() return q:job(long).state == "processing" end)
        local ids = {}
        for i = 1, 12 do ids[i] = q:enqueue("setsid sleep 777 & exit 0") end
        for _, id in ipairs(ids) do
            t.eventually(function() return q:job(id).state == "completed" end, 40)
            assert.same({}, t.processes("QUEUECTL_JOB_ID=" .. id))
        end
        t.write_file(q:path("go"), "")
        t.eventually(function() return q:job(long).state == "completed" end)
        worker:kill("TERM")
        worker:wait(10)
    end)
end)

describe("a worker", function()
    it("goes on when its log cannot be written", function()
        local q = Queue.new()
        local id = q:enqueue("echo done")
        local got = t.run({ "sh", "-c", 'exec "$0" --store "$1" worker start --until-empty'
            .. " 2>/dev/full", t.binary, q.store })
        assert.equal(0, got.code)
        assert.equal("completed", q:job(id).state)
    end)

    it("goes on when nobody reads its log", function()
        local q = Queue.new()
        local lines = {}
        for i = 1, 1500 do lines[i] = ": " .. i end
        q:enqueue_lines(lines)
        -- A pipe that is never read: it takes 64 KiB and no more.
        local shell = t.spawn { "sh", "-c", '"$0" --store "$1" worker start --until-empty -c 4 2>&1'
            .. ' >/dev/null | { while [ ! -e "$2" ]; do sleep 0.01; done; }', t.binary, q.store,
            q:path("go") }
        t.eventually(function()
            return t.json(q:q("status", "--json").out).jobs.completed == 1500
        end, 30)
        t.write_file(q:path("go"), "")
        shell:wait(10)
    end)

    it("leaves alone what was there before it", function()
        local q = Queue.new()
        local got = t.run({ "sh", "-c", 'setsid sleep 300 </dev/null >/dev/null 2>&1 &'
            .. ' echo $! >"$2"; exec "$0" --store "$1" -q worker start --until-empty', t.binary,
            q.store, q:path("pid") })
        assert.equal(0, got.code, got.err)
        local pid = tonumber(t.read_file(q:path("pid")))
        assert.is_true(t.pid_alive(pid))
        t.kill(pid, "KILL")
    end)

    it("gives up to register when the store stays locked", function()
        local q = Queue.new()
        q:q("init")
        local lock = t.spawn({ "sqlite3", q.store }, { stdin = true })
        lock:write("BEGIN IMMEDIATE; SELECT 'locked';\n")
        t.eventually(function() return lock:out():find("locked", 1, true) end)
        local got = t.q(q.store, "worker", "start", { timeout = 20 })
        assert.equal(6, got.code)
        assert.matches("locked by another program", got.err)
        lock:close_input()
        lock:wait(5)
    end)
end)

describe("a command", function()
    it("takes ten thousand ids", function()
        local q = Queue.new()
        q:q("init")
        local got = t.run({ "sh", "-c", 'exec "$0" --store "$1" cancel $(seq 1 10000)', t.binary,
            q.store })
        assert.equal(3, got.code, got.err:sub(1, 200))
        assert.is_nil(got.err:find("traceback", 1, true))
    end)

    it("knows no run that is not there", function()
        local q = Queue.new()
        q:q("init")
        assert.equal(3, t.q(q.store, "list", "--run", "7").code)
        assert.equal(2, t.q(q.store, "list", "--run", "0").code)
    end)
end)
