-- What becomes of a job after an attempt.

local t = require "support"
local Queue = require "worker.queue"

local function milliseconds(time)
    local date, fraction = time:match("^(.*)%.(%d%d%d)Z$")
    local y, mo, d, h, mi, s = date:match("(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)")
    return os.time { year = y, month = mo, day = d, hour = h, min = mi, sec = s } * 1000
        + tonumber(fraction)
end

-- ms from the end of each attempt to the start of the next
local function waits(job)
    local list = {}
    for i = 2, #job.history do
        list[i - 1] = milliseconds(job.history[i].started_at)
            - milliseconds(job.history[i - 1].finished_at)
    end
    return list
end

local function assert_waits(expected, job)
    local got = waits(job)
    assert.equal(#expected, #got)
    for i, ms in ipairs(expected) do
        -- The wait counts from the moment the failure is recorded.
        assert.is_true(got[i] >= ms and got[i] <= ms + 400,
                       ("wait %d: %d ms, not %d"):format(i, got[i], ms))
    end
end

describe("retries", function()
    it("come after 2 s, then 4 s", function()
        local q = Queue.new()
        local id = q:enqueue("exit 1")
        q:worker()
        local function wait_of_failure(number)
            local job = t.eventually(function()
                local now = q:job(id)
                return now.state == "failed" and now.attempts == number and now
            end, 20)
            return milliseconds(job.run_at) - milliseconds(job.updated_at)
        end
        local first = wait_of_failure(1)
        local second = wait_of_failure(2)
        assert.is_true(first >= 1990 and first <= 2000, "first " .. first)
        assert.is_true(second >= 3990 and second <= 4000, "second " .. second)
        assert_waits({ 2000 }, q:job(id))
    end)

    it("follow the backoff of the job", function()
        local q = Queue.new()
        q:run [[
            defaults { run = "exit 1", retries = 3 }
            job "exponential" { backoff = { "exponential", base = 0.1, cap = 0.3 } }
            job "linear" { backoff = { "linear", base = 0.1 } }
            job "fixed" { backoff = { "fixed", base = 0.15 } }
            job "list" { backoff = { 0.2, 0.05 } }
            job "none" { backoff = { "fixed", base = 0 } }
        ]]
        assert_waits({ 100, 200, 300 }, q:named("exponential"))
        assert_waits({ 100, 200, 300 }, q:named("linear"))
        assert_waits({ 150, 150, 150 }, q:named("fixed"))
        assert_waits({ 200, 50, 50 }, q:named("list"))
        assert_waits({ 0, 0, 0 }, q:named("none"))
    end)

    it("end in the dead letter queue, each attempt with its own record", function()
        local q = Queue.new()
        q:run [[job "one" { retries = 2, backoff = { 0.01 },
            run = "echo out $QUEUECTL_ATTEMPT; echo err >&2; exit $((10+QUEUECTL_ATTEMPT))" }]]
        local job = q:named("one")
        assert.same({ "dead", "exit", 3, 13 },
                    { job.state, job.cause, job.attempts, job.exit_code })
        assert.equal("exit 13: err", job.last_error)
        for i, attempt in ipairs(job.history) do
            assert.same({ i, i, 10 + i }, { attempt.attempt, attempt.token, attempt.exit_code })
            local out = q:q("logs", "--stdout", "--attempt", tostring(i), job.id).out
            assert.equal(("out %d\n"):format(i), out)
        end
        q:q("retry", job.id)
        job = q:job(job.id)
        assert.same({ "pending", 0, 3 }, { job.state, job.attempts, job.token })
    end)

    it("stop at the first success", function()
        local q = Queue.new()
        q:run [[job "one" { run = "[ $QUEUECTL_ATTEMPT = 2 ]", retries = 5, backoff = { 0.01 } }]]
        local job = q:named("one")
        assert.same({ "completed", 2, 2 }, { job.state, job.attempts, job.token })
    end)
end)

describe("exit codes", function()
    it("of ok_codes are successes, and then 0 is none unless named", function()
        local q = Queue.new()
        q:run [[
            defaults { retries = 0 }
            job "three" { run = "exit 3", ok_codes = { 0, 3 } }
            job "zero" { run = "exit 0", ok_codes = { 0, 3 } }
            job "other" { run = "exit 4", ok_codes = { 0, 3 } }
            job "only" { run = "exit 0", ok_codes = { 255 } }
            job "last" { run = "exit 255", ok_codes = { 255 } }
        ]]
        local states = {}
        for name, job in pairs(q:jobs()) do states[name] = job.state end
        assert.same({ three = "completed", zero = "completed", other = "dead", only = "dead",
                      last = "completed" }, states)
    end)

    it("of a job that may fail do not fail the run", function()
        local q = Queue.new()
        local got = q:run [[
            job "may" { run = "exit 1", retries = 0, allow_failure = true }
            job "after" { run = "true", needs = "may" }
        ]]
        assert.equal(0, got.code, got.err)
        assert.same({ "dead", "completed" }, { q:named("may").state, q:named("after").state })
        assert.equal(1, q:run('job "must" { run = "exit 1", retries = 0 }').code)
    end)
end)

describe("a job that kills", function()
    it("its guardian is dead after three deaths, and no other job with it", function()
        local q = Queue.new()
        local poison = q:enqueue("kill -9 $PPID; sleep 30", "--priority", "1")
        local normal = {}
        for i = 1, 100 do normal[i] = "echo $QUEUECTL_JOB_ID >> done" end
        normal = q:enqueue_lines(normal)
        q:work("--count", "4")
        local job = q:job(poison)
        assert.same({ "dead", "worker_lost", 3, 3 },
                    { job.state, job.cause, job.token, #job.history })
        for _, attempt in ipairs(job.history) do assert.equal("worker_lost", attempt.cause) end
        local jobs = q:jobs()
        for _, id in ipairs(normal) do assert.equal("completed", jobs[id].state) end
    end)

    it("its worker is dead after three deaths, and no other job with it", function()
        local q = Queue.new()
        local poison = q:enqueue("kill -9 $(cut -d' ' -f4 /proc/$PPID/stat); sleep 30",
                                 "--priority", "1")
        local normal = {}
        for i = 1, 100 do normal[i] = "echo $QUEUECTL_JOB_ID >> done" end
        normal = q:enqueue_lines(normal)
        local deaths = 0
        local argv = { t.binary, "--store", q.store, "worker", "start", "--until-empty", "-c", "4" }
        while t.run(argv, { timeout = 60 }).signal == 9 do deaths = deaths + 1 end
        local job = q:job(poison)
        assert.equal(3, deaths)
        assert.same({ "dead", "worker_lost", 3, 3 },
                    { job.state, job.cause, job.token, job.worker_deaths })
        local jobs = q:jobs()
        for _, id in ipairs(normal) do assert.equal("completed", jobs[id].state) end
    end)

    it("its group only fails itself", function()
        local q = Queue.new()
        local a, b = q:enqueue("kill -TERM 0; sleep 30", "--retries", "0"), q:enqueue("true")
        q:work()
        assert.same({ "dead", "signal", 15 }, { q:job(a).state, q:job(a).cause, q:job(a).signal })
        assert.equal("completed", q:job(b).state)
    end)
end)

describe("a program that cannot be started", function()
    local function failed(argv)
        local q = Queue.new()
        t.write_file(q:path("file"), "exit 0\n")
        local job = q:do_job(argv, "--retries", "0")
        assert.same({ "dead", "spawn" }, { job.state, job.cause })
        return job
    end

    it("says why", function()
        local job = failed { "no-such-program-here" }
        assert.same({ 127, "could not start: no-such-program-here: No such file or directory" },
                    { job.exit_code, job.last_error })
        job = failed { "./file" }
        assert.same({ 126, "could not start: ./file: Permission denied" },
                    { job.exit_code, job.last_error })
        job = failed { "./file/x" }
        assert.matches("Not a directory", job.last_error)
    end)

    it("for too long arguments says so", function()
        local q = Queue.new()
        local id = q:enqueue_lines({ '{"command":": ' .. ("x"):rep(131000) .. '"}' },
                                   "--retries", "0")[1]
        -- With a small stack the kernel takes 128 KiB of arguments in all.
        local got = t.run({ "sh", "-c", 'ulimit -s 512; exec "$0" "$@"', t.binary, "--store",
                            q.store, "worker", "start", "--until-empty" })
        assert.equal(0, got.code, got.err)
        local job = q:job(id)
        assert.same({ "dead", "spawn" }, { job.state, job.cause })
        assert.equal("could not start: Argument list too long", job.last_error)
    end)

    it("for want of processes is no failure of the job", function()
        local q = Queue.new()
        local worker = q:worker("--count", "2")
        local tracer = t.spawn { "strace", "-qq", "-o", q:path("trace"), "-p",
                                 tostring(Queue.guardian(worker)), "-e", "trace=vfork",
                                 "-e", "inject=vfork:error=EAGAIN:when=1..3" }
        t.eventually(function()
            local status = t.read_file(("/proc/%d/status"):format(Queue.guardian(worker)))
            return status:match("TracerPid:%s+(%d+)") == tostring(tracer:pid())
        end)
        local ids = q:enqueue_lines { "true", "true", "true" }
        for _, id in ipairs(ids) do
            local job = q:wait(id, "completed")
            assert.equal(1, job.attempts)
        end
        local _, injected = q:read("trace"):gsub("EAGAIN", "")
        assert.equal(3, injected)
    end)
end)
