-- How jobs are ended, and that nothing of them stays.

local t = require "support"
local Queue = require "worker.queue"

local SLACK_MS = 250

local function stamp(name)
    return "date +%s%3N > " .. name
end

local function number(q, name)
    return tonumber(q:read(name):match("%d+"))
end

local function seconds(job)
    return job.history[#job.history].duration_seconds
end

-- A command with a number that no other has: t.processes finds it by that although its environment
-- was emptied.
local function long_sleep()
    local number_of_it = ("3%s.%s"):format(Queue.mark():match("m(%d+)-(%d+)"))
    return "sleep " .. number_of_it, number_of_it
end

describe("a time limit", function()
    it("sends TERM in time", function()
        local q = Queue.new()
        local job = q:do_job(("trap '%s; exit 0' TERM; %s; sleep 30 & wait"):format(stamp "ended",
                             stamp "began"), "--timeout", "0.5", "--retries", "0")
        assert.same({ "dead", "timeout" }, { job.state, job.cause })
        assert.matches("^timed out after 0.5 s", job.last_error)
        local took = number(q, "ended") - number(q, "began")
        assert.is_true(took >= 490 - 100 and took <= 500 + SLACK_MS, "TERM after " .. took .. " ms")
    end)

    it("counts as a failed try and is tried again", function()
        local q = Queue.new()
        q:run [[job "one" { run = "echo try >> tries; sleep 30", timeout = 0.1, retries = 2,
            backoff = { "10ms" } }]]
        local job = q:named("one")
        assert.same({ "dead", 3, 3 }, { job.state, job.attempts, #q:lines("tries") })
        for _, attempt in ipairs(job.history) do assert.equal("timeout", attempt.cause) end
    end)

    it("sends KILL after kill_after to who ignores TERM", function()
        local q = Queue.new()
        q:run([[
            defaults { retries = 0, timeout = 0.6, kill_after = 0.6 }
            job "shell" { run = "trap '' TERM; sleep 300; sleep 300" }
            job "child" { run = "sh -c 'trap \"\" TERM; echo $$; sleep 300; sleep 300' & wait" }
        ]], { slots = "2" })
        for _, name in ipairs { "shell", "child" } do
            local job = q:named(name)
            assert.same({ name, "dead", "timeout" }, { name, job.state, job.cause })
            local whole = job.duration_seconds
            assert.is_true(whole >= 1.2 and whole <= 1.2 + 2 * SLACK_MS / 1000,
                           name .. " took " .. whole)
        end
        assert.matches("killed", q:named("shell").last_error)
        assert.equal(9, q:named("shell").signal)
        assert.is_false(t.pid_alive(tonumber(q:logs(q:named("child").id):match("%d+"))))
    end)

    it("lets the children finish in kill_after although the shell is gone", function()
        local q = Queue.new()
        q:run [[job "one" { retries = 0, timeout = 0.3, kill_after = 10,
            run = "sh -c 'trap \"sleep 0.3; echo tidy; exit\" TERM; sleep 30 & wait' & wait" }]]
        local job = q:named("one")
        assert.equal("timeout", job.cause)
        assert.equal("tidy\n", q:logs(job.id))
        assert.is_true(job.duration_seconds < 5, "took " .. job.duration_seconds)
    end)

    it("ends a stopped job, with or without a handler", function()
        local q = Queue.new()
        q:run [[
            defaults { retries = 0, timeout = 0.3, kill_after = 20 }
            job "plain" { run = "kill -STOP $$; sleep 30" }
            job "handler" { run = "trap 'echo bye; exit 3' TERM; kill -STOP $$; sleep 30" }
        ]]
        assert.same({ "timeout", 15 }, { q:named("plain").cause, q:named("plain").signal })
        assert.equal("timeout", q:named("handler").cause)
        assert.equal("bye\n", q:logs(q:named("handler").id))
    end)

    it("of a job ends those it started in sessions of their own", function()
        local q, sleep, mark = Queue.new(), long_sleep()
        local text = [[job "one" { retries = 0, timeout = 0.3, kill_after = 0.3,
            run = "touch up; setsid SLEEP & setsid sh -c 'SLEEP & SLEEP' & wait" }]]
        q:run((text:gsub("SLEEP", sleep)))
        assert.is_true(t.exists(q:path("up")))
        assert.same({}, t.processes(mark))
    end)
end)

describe("what a job leaves behind", function()
    local function assert_swept(command)
        local q, sleep, mark = Queue.new(), long_sleep()
        local worker = q:worker()
        local seen = q:enqueue(("%s & until [ -e go ]; do sleep 0.02; done"):format(sleep))
        t.eventually(function() return #t.processes(mark) == 2 end)
        t.write_file(q:path("go"), "")
        q:wait(seen, "completed")
        local id = q:enqueue((command:gsub("SLEEP", sleep)))
        local job = q:wait(id, "completed")
        assert.is_true(job.duration_seconds <= 2.5, "took " .. job.duration_seconds)
        Queue.gone(mark)
        assert.is_true(worker:running())
    end

    for name, command in pairs {
        ["in the background"] = "SLEEP >/dev/null 2>&1 & exit 0",
        ["in a session of its own"] = "setsid SLEEP >/dev/null 2>&1 & exit 0",
        ["as a daemon"] = "(setsid sh -c 'SLEEP & exit' </dev/null >/dev/null 2>&1 &) ; exit 0",
        ["as a daemon that holds the output"] = "setsid sh -c 'SLEEP & SLEEP' & exit 0",
        ["deaf to TERM"] = "(trap '' TERM HUP INT; SLEEP; SLEEP) >/dev/null 2>&1 & exit 0",
        ["stopped"] = "(SLEEP & kill -STOP $!) >/dev/null 2>&1; exit 0",
        ["with an empty environment, in a session of its own"] =
            "env -i setsid SLEEP >/dev/null 2>&1 & exit 0",
    } do
        it(name .. " is gone soon", function() assert_swept(command) end)
    end

    it("with an empty environment goes at the latest with the last running job", function()
        local q, sleep, mark = Queue.new(), long_sleep()
        q:worker("--count", "2")
        local other = q:enqueue(Queue.until_file("go"))
        local id = q:enqueue(("env -i setsid %s >/dev/null 2>&1 & exit 0"):format(sleep))
        q:wait(id, "completed")
        t.write_file(q:path("go"), "")
        q:wait(other, "completed")
        Queue.gone(mark)
    end)

    it("of one job only, never of another", function()
        local q, sleep, mark = Queue.new(), long_sleep()
        q:worker("--count", "2")
        local other = q:enqueue(("setsid %s & %s; kill $! && echo lived"):format(sleep,
                                Queue.until_file("go")))
        t.eventually(function() return #t.processes(mark) == 2 end)
        for _ = 1, 5 do q:wait(q:enqueue("sleep 9 >/dev/null 2>&1 & exit 0"), "completed") end
        t.write_file(q:path("go"), "")
        q:wait(other, "completed")
        assert.equal("lived\n", q:logs(other))
    end)

    it("holding the output: the job is over soon and its output complete", function()
        local q = Queue.new()
        local line = q:enqueue("(sleep 300)& echo hi")
        local much = q:enqueue("(sleep 300)& head -c 250000 /dev/zero | tr '\\0' x; echo end")
        q:work("--count", "2")
        for id, expected in pairs { [line] = "hi\n", [much] = ("x"):rep(250000) .. "end\n" } do
            local job = q:job(id)
            assert.same({ "completed", 0 }, { job.state, job.exit_code })
            assert.is_true(job.duration_seconds <= 2.5, "took " .. job.duration_seconds)
            assert.is_true(job.history[1].output_incomplete)
            assert.is_true(q:logs(id) == expected)
        end
    end)

    it("printing on and on is cut after two seconds", function()
        local q = Queue.new()
        local job = q:do_job("(while :; do echo x; sleep .05; done)& exit 0")
        assert.same({ "completed", true }, { job.state, job.history[1].output_incomplete })
        assert.is_true(job.duration_seconds >= 1.9 and job.duration_seconds <= 2.5,
                       "took " .. job.duration_seconds)
    end)

    it("printing a little more is waited for", function()
        local q = Queue.new()
        local job = q:do_job("(sleep 0.3; echo late)& echo early")
        assert.equal("completed", job.state)
        assert.equal("early\nlate\n", q:logs(job.id))
        assert.is_nil(job.history[1].output_incomplete)
        assert.equal(11, job.history[1].output_bytes)
    end)

    it("does not hold the lock of a worker that was killed", function()
        local q, sleep, mark = Queue.new(), long_sleep()
        local worker = q:worker()
        local id = q:enqueue(("[ $QUEUECTL_TOKEN = 2 ] || { setsid %s & wait; }"):format(sleep))
        t.eventually(function() return #t.processes(mark) > 0 end)
        worker:kill("KILL")
        q:work()
        local job = q:job(id)
        assert.same({ "completed", 2, 1 }, { job.state, job.token, job.worker_deaths })
        assert.same({}, t.processes(mark))
    end)
end)

describe("many orphans", function()
    it("leave no zombies", function()
        local q = Queue.new()
        local worker = q:worker()
        local rain = "i=0; while [ $i -lt 1000 ]; do (true &); i=$((i+1)); done; touch done; "
        local id = q:enqueue(rain .. Queue.until_file("go"))
        t.eventually(function() return t.exists(q:path("done")) end, 30)
        local guardian = Queue.guardian(worker)
        local function zombies()
            local n = 0
            local children = t.read_file(("/proc/%d/task/%d/children"):format(guardian, guardian))
            for pid in children:gmatch("%d+") do
                if not t.pid_alive(tonumber(pid)) then n = n + 1 end
            end
            return n
        end
        t.eventually(function() return zombies() == 0 end, 1, "no zombies")
        t.write_file(q:path("go"), "")
        q:wait(id, "completed")
    end)
end)

describe("cancel", function()
    it("of a running job sends TERM, and there is no retry", function()
        local q = Queue.new()
        q:worker()
        local id = q:enqueue("trap 'echo got it; exit 0' TERM; sleep 30 & touch up; wait")
        t.eventually(function() return t.exists(q:path("up")) end)
        q:q("cancel", id)
        local job = q:wait(id, "cancelled")
        assert.same({ "cancelled", 1, 1 }, { job.cause, job.attempts, job.token })
        assert.equal("got it\n", q:logs(id))
        local counts = t.json(q:q("status", "--json").out).jobs
        assert.same({ 0, 1 }, { counts.pending + counts.failed, counts.cancelled })
    end)

    it("of a running job that ignores TERM kills it after kill_after", function()
        local q = Queue.new()
        local run = t.spawn({ t.binary, "--store", q.store, "run", t.write_file(q:path("jobs.lua"),
            [[job "one" { run = "trap '' TERM; touch up; sleep 30; sleep 30", kill_after = 0.4 }]])
            }, { cwd = q.dir })
        t.eventually(function() return t.exists(q:path("up")) end)
        q:q("cancel", q:named("one").id)
        assert.equal(1, (run:wait(10)))
        local job = q:named("one")
        assert.same({ "cancelled", 9 }, { job.state, job.signal })
        assert.is_true(seconds(job) >= 0.4, "took " .. seconds(job))
    end)

    it("of a pending job means it never runs", function()
        local q = Queue.new()
        local first, second = q:enqueue("touch first"), q:enqueue("touch second")
        q:q("cancel", first)
        q:work()
        assert.same({ "cancelled", 0 }, { q:job(first).state, q:job(first).token })
        assert.equal("completed", q:job(second).state)
        assert.is_false(t.exists(q:path("first")))
    end)

    it("of a job that waits for its retry works, of a finished one is refused", function()
        local q = Queue.new()
        local failing, done = q:enqueue("exit 1"), q:enqueue("true")
        q:worker()
        q:wait(failing, "failed")
        q:q("cancel", failing)
        assert.equal("cancelled", q:job(failing).state)
        q:wait(done, "completed")
        assert.equal(4, t.q(q.store, "cancel", done).code)
        assert.equal("completed", q:job(done).state)
    end)
end)
