-- How workers take jobs, wait for them, and stop.

local t = require "support"
local Queue = require "worker.queue"

-- ms since 1970 of a column of the job
local function column(q, id, name)
    return tonumber(t.sql(q.store, ("SELECT %s FROM job WHERE id = '%s'"):format(name, id))[1][1])
end

describe("slots", function()
    it("run eight jobs at once", function()
        local q = Queue.new()
        t.mkdir_p(q:path("here"))
        local barrier = "touch here/$QUEUECTL_JOB_ID; i=0; while [ $(ls here | wc -l) -lt 8 ]; do "
            .. "i=$((i+1)); [ $i -lt 500 ] || exit 1; sleep 0.02; done"
        local lines = {}
        for i = 1, 8 do lines[i] = barrier end
        q:enqueue_lines(lines, "--retries", "0")
        q:work("--count", "8")
        for _, job in pairs(q:jobs()) do assert.equal("completed", job.state) end
    end)

    it("run no more jobs at once than there are", function()
        local q = Queue.new()
        t.mkdir_p(q:path("now"))
        local lines = {}
        for i = 1, 30 do
            lines[i] = "touch now/$$; ls now | wc -l >> counts; sleep 0.02; rm now/$$"
        end
        q:enqueue_lines(lines)
        q:work("--count", "3")
        local most = 0
        for _, line in ipairs(q:lines("counts")) do most = math.max(most, tonumber(line)) end
        assert.equal(30, #q:lines("counts"))
        assert.equal(3, most)
    end)
end)

describe("an idle worker", function()
    it("is woken by new work", function()
        local q = Queue.new()
        local worker = q:worker()
        -- One after the other, each enqueued when the one before was done: a worker that only
        -- looked around now and then would need longer than this.
        local limit = t.spawn { "sleep", "4" }
        for _ = 1, 20 do
            local line = "event=completed job=" .. q:enqueue("true")
            t.eventually(function() return worker:err():find(line, 1, true) end)
        end
        assert.is_true(limit:running())
    end)

    it("takes a job of the future when it is due", function()
        local q = Queue.new()
        local worker = q:worker()
        local limit = t.spawn { "sleep", "1.5" }
        local line = "event=completed job=" .. q:enqueue("true", "--delay", "0.3")
        t.eventually(function() return worker:err():find(line, 1, true) end)
        assert.is_true(limit:running())
    end)

    it("uses next to no processor time and is not woken for nothing", function()
        local q = Queue.new()
        local worker = q:worker("--count", "8")
        q:wait(q:enqueue("true"), "completed")
        local guardian = Queue.guardian(worker)
        local function state(pid)
            local stat = t.read_file(("/proc/%d/stat"):format(pid)):match("%) (.*)")
            local fields = {}
            for field in stat:gmatch("%S+") do fields[#fields + 1] = field end
            local status = t.read_file(("/proc/%d/status"):format(pid))
            local switches = status:match("\nvoluntary_ctxt_switches:%s+(%d+)")
            return tonumber(fields[12]) + tonumber(fields[13]), tonumber(switches)
        end
        local ticks, switches = state(worker:pid())
        local g_ticks, g_switches = state(guardian)
        t.run { "sleep", "5" }
        local ticks_after, switches_after = state(worker:pid())
        local g_ticks_after, g_switches_after = state(guardian)
        assert.is_true(ticks_after - ticks <= 1, "ticks: " .. ticks_after - ticks)
        assert.equal(0, g_ticks_after - g_ticks)
        -- Its look around every 2 s, and the file system calls of it.
        assert.is_true(switches_after - switches <= 20, "switches: " .. switches_after - switches)
        assert.equal(0, g_switches_after - g_switches)
    end)
end)

describe("the order of jobs", function()
    it("is that of enqueueing", function()
        local q = Queue.new()
        local lines, expected = {}, {}
        for i = 1, 60 do
            lines[i], expected[i] = ("echo %d >> order"):format(i), tostring(i)
        end
        q:enqueue_lines(lines)
        q:work()
        assert.same(expected, q:lines("order"))
    end)

    it("is by priority first, then that of enqueueing", function()
        local q, random = Queue.new(), t.rng()
        local jobs, lines = {}, {}
        for i = 1, 60 do
            jobs[i] = { number = i, priority = random(-2, 2) }
            lines[i] = ('{"command":"echo %d >> order","priority":%d}'):format(i, jobs[i].priority)
        end
        q:enqueue_lines(lines)
        q:work()
        table.sort(jobs, function(a, b)
            if a.priority ~= b.priority then return a.priority > b.priority end
            return a.number < b.number
        end)
        local expected = {}
        for i, job in ipairs(jobs) do expected[i] = tostring(job.number) end
        assert.same(expected, q:lines("order"))
    end)

    it("never starts a delayed job early", function()
        local q, random = Queue.new(), t.rng()
        local lines = {}
        for i = 1, 40 do
            lines[i] = ('{"command":"date +%%s%%3N > $QUEUECTL_JOB_ID","delay":%.3f}'):format(
                random() * 1.2)
        end
        local ids = q:enqueue_lines(lines)
        q:worker("--count", "4")
        q:q("wait", "--timeout", "20", unpack(ids))
        for _, id in ipairs(ids) do
            local started = tonumber(q:read(id):match("%d+"))
            assert.is_true(started >= column(q, id, "run_at"), id)
            assert.is_true(column(q, id, "run_at") <= column(q, id, "started_at"), id)
        end
    end)
end)

describe("--until-empty", function()
    it("waits for retries and for what is enqueued meanwhile, not for the future", function()
        local q = Queue.new()
        local again = q:enqueue("[ $QUEUECTL_ATTEMPT = 2 ]")
        local more = q:enqueue(("%s --store %s enqueue 'touch more'"):format(t.binary, q.store))
        local future = q:enqueue("true", "--delay", "1h")
        q:work()
        assert.same({ "completed", "completed", "pending" },
                    { q:job(again).state, q:job(more).state, q:job(future).state })
        assert.equal(2, q:job(again).attempts)
        local counts = t.json(q:q("status", "--json").out).jobs
        assert.same({ 3, 1 }, { counts.completed, counts.pending })
    end)

    it("waits for what another worker runs, which may fail and come back", function()
        local q = Queue.new()
        local other = q:worker()
        local id = q:enqueue("touch up; " .. Queue.until_file("go") .. "; [ $QUEUECTL_TOKEN = 2 ]")
        t.eventually(function() return t.exists(q:path("up")) end)
        local waiting = q:worker("--until-empty")
        other:kill("TERM")
        t.write_file(q:path("go"), "")
        other:wait(10)
        assert.equal(0, (waiting:wait(20)))
        assert.same({ "completed", 2 }, { q:job(id).state, q:job(id).token })
    end)
end)

describe("stopping a worker", function()
    -- A worker with two slots busy and a third job in line.
    local function busy(...)
        local q = Queue.new()
        local worker = q:worker("--count", "2", ...)
        local job = "touch up-$QUEUECTL_JOB_ID; " .. Queue.until_file("go")
        local ids = q:enqueue_lines { job, job, "touch third" }
        t.eventually(function()
            return t.exists(q:path("up-" .. ids[1])) and t.exists(q:path("up-" .. ids[2]))
        end)
        return q, worker, ids
    end

    local function states(q, ids)
        local jobs, list = q:jobs(), {}
        for i, id in ipairs(ids) do list[i] = jobs[id].state end
        return list
    end

    local function draining(worker)
        t.eventually(function() return worker:err():find("event=draining", 1, true) end)
    end

    local function assert_drained(q, worker, ids)
        t.write_file(q:path("go"), "")
        assert.same({ 0 }, { worker:wait(10) })
        assert.same({ "completed", "completed", "pending" }, states(q, ids))
        assert.equal(1, q:job(ids[1]).attempts)
        assert.is_false(t.exists(q:path("third")))
    end

    local function assert_handed_back(q, worker, ids)
        assert.same({ 0 }, { worker:wait(5) })
        assert.same({ "pending", "pending", "pending" }, states(q, ids))
        assert.same({ 0, 1 }, { q:job(ids[1]).attempts, q:job(ids[1]).token })
        assert.equal("interrupted", q:job(ids[1]).history[1].cause)
        t.write_file(q:path("go"), "")
        q:work("--count", "2")
        assert.same({ "completed", "completed", "completed" }, states(q, ids))
        assert.same({ 1, 2 }, { q:job(ids[1]).attempts, q:job(ids[1]).token })
    end

    for _, signal in ipairs { "INT", "TERM", "HUP" } do
        it("with SIG" .. signal .. " finishes what runs and takes nothing new", function()
            local q, worker, ids = busy()
            worker:kill(signal)
            draining(worker)
            assert_drained(q, worker, ids)
        end)
    end

    it("with Ctrl-C twice hands the jobs back, and no attempt is used", function()
        local q, worker, ids = busy()
        worker:kill("INT", true)
        draining(worker)
        worker:kill("INT", true)
        assert_handed_back(q, worker, ids)
    end)

    it("with SIGQUIT hands the jobs back at once", function()
        local q, worker, ids = busy()
        worker:kill("QUIT")
        assert_handed_back(q, worker, ids)
    end)

    it("from another process finishes what runs", function()
        local q, worker, ids = busy()
        local stop = t.spawn { t.binary, "--store", q.store, "worker", "stop" }
        draining(worker)
        assert.is_true(stop:running())
        assert_drained(q, worker, ids)
        assert.equal(0, (stop:wait(5)))
    end)

    it("from another process with --now hands the jobs back", function()
        local q, worker, ids = busy()
        q:q("worker", "stop", "--now")
        assert_handed_back(q, worker, ids)
    end)

    it("from another process concerns those that were named", function()
        local q, worker, ids = busy("--name", "one")
        local other = q:worker("--name", "two")
        q:wait(ids[3], "completed")
        q:q("worker", "stop", "two")
        assert.equal(0, (other:wait(5)))
        assert.is_true(worker:running())
        assert.equal(3, t.q(q.store, "worker", "stop", "three").code)
        assert.equal(124, t.q(q.store, "worker", "stop", "one", "--timeout", "100ms").code)
    end)

    it("gives jobs that tidy up the time to do so", function()
        local q = Queue.new()
        local worker = q:worker()
        local id = q:enqueue("trap 'sleep 0.5; echo tidy; exit' TERM; sleep 30 & touch up; wait")
        t.eventually(function() return t.exists(q:path("up")) end)
        worker:kill("QUIT")
        assert.equal(0, (worker:wait(15)))
        assert.same({ "pending", 0 }, { q:job(id).state, q:job(id).attempts })
        assert.equal("tidy\n", q:logs(id))
    end)

    it("of an idle one is quick", function()
        local q = Queue.new()
        local worker = q:worker()
        worker:kill("TERM")
        assert.equal(0, (worker:wait(1)))
        assert.same({}, t.json(q:q("worker", "status", "--json").out))
    end)

    it("leaves a run to the end of its running jobs, and --resume goes on", function()
        local q = Queue.new()
        local text = [[
            job "a" { run = "touch up; ]] .. Queue.until_file("go") .. [[" }
            job "b" { run = "touch b", needs = "a" }
        ]]
        local run = t.spawn({ t.binary, "--store", q.store, "run",
                              t.write_file(q:path("jobs.lua"), text) }, { cwd = q.dir })
        t.eventually(function() return t.exists(q:path("up")) end)
        run:kill("INT")
        t.eventually(function() return run:err():find("finishing", 1, true)
            or run:out():find("finishing", 1, true) end)
        t.write_file(q:path("go"), "")
        assert.equal(130, (run:wait(10)))
        assert.is_false(t.exists(q:path("b")))
        assert.equal(0, t.run({ t.binary, "--store", q.store, "run", "--resume",
                                q:path("jobs.lua") }, { cwd = q.dir }).code)
        assert.is_true(t.exists(q:path("b")))
        assert.equal(1, q:named("a").token)
    end)
end)

describe("two workers", function()
    it("run 2,000 jobs exactly once each", function()
        local q = Queue.new()
        local lines = {}
        for i = 1, 2000 do lines[i] = 'echo "$QUEUECTL_JOB_ID $QUEUECTL_TOKEN" >> seen' end
        local ids = q:enqueue_lines(lines)
        local a = q:worker("--count", "8", "--until-empty")
        local b = q:worker("--count", "8", "--until-empty")
        assert.same({ 0, 0 }, { (a:wait(60)), (b:wait(60)) })
        local times, count = {}, 0
        for _, line in ipairs(q:lines("seen")) do
            local id, token = line:match("^(%S+) (%d+)$")
            assert.equal("1", token)
            assert.is_nil(times[id], id)
            times[id], count = 1, count + 1
        end
        assert.equal(2000, count)
        for _, id in ipairs(ids) do assert.equal(1, times[id]) end
        local rows = t.sql(q.store, "SELECT worker, count(*) FROM attempt GROUP BY worker")
        assert.equal(2, #rows)
        assert.equal("0", t.sql(q.store, "SELECT count(*) FROM job WHERE state <> 3")[1][1])
    end)
end)
