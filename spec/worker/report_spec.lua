-- What a job reports about its attempt: lines in $QUEUECTL_REPORT, and `queuectl report`.

local t = require "support"
local Queue = require "worker.queue"
local added = require "worker.added"

local function last(job)
    local attempt = job.history[#job.history]
    return attempt.report, attempt.report_note
end

-- What is left in the folder beside the store, the bell excepted.
local function leftovers(q)
    return t.run({ "sh", "-c", "cd " .. q.store .. ".run && ls | grep -v '^bell$'" }).out
end

-- Runs the command as the only try of a job; report, note, and the job.
local function reported(command, ...)
    local q = Queue.new()
    local job = q:do_job(command, "--retries", "0", ...)
    assert.equal("", leftovers(q))
    local report, note = last(job)
    return report, note, job
end

local REPORT = t.binary .. " report "

describe("the report of an attempt", function()
    it("is nothing where nobody reports, and no file is made", function()
        local report, note, job = reported([[test -n "$QUEUECTL_REPORT" &&
            ! test -e "$QUEUECTL_REPORT"]])
        assert.same({ "completed" }, { job.state, report, note })
    end)

    it("has the last value of each name", function()
        local report, note = reported([[printf 'a=1\nb=x y=z\n\na=2\nlast=' >>"$QUEUECTL_REPORT"]])
        assert.same({ a = "2", b = "x y=z", last = "" }, report)
        assert.is_nil(note)
    end)

    it("is that of `queuectl report`, for shell text and programs", function()
        assert.same({ status = "429", retry_after = "30" },
                    (reported(REPORT .. "status=200; " .. REPORT .. "status=429 retry_after=30")))
        assert.same({ status = "-1" }, (reported { t.binary, "report", "status=-1" }))
    end)

    it("is kept whatever the end of the attempt", function()
        local report, _, job = reported('echo a=1 >>"$QUEUECTL_REPORT"; exit 3')
        assert.same({ "dead", "exit", { a = "1" } }, { job.state, job.cause, report })
        report, _, job = reported('echo a=1 >>"$QUEUECTL_REPORT"; kill -9 $$')
        assert.same({ "dead", "signal", { a = "1" } }, { job.state, job.cause, report })
        report, _, job = reported('echo a=1 >>"$QUEUECTL_REPORT"; sleep 30', "--timeout", "200ms")
        assert.same({ "dead", "timeout", { a = "1" } }, { job.state, job.cause, report })
    end)

    it("belongs to that attempt alone", function()
        local q = Queue.new()
        t.write_file(q:path("jobs.lua"), [[job "a" { retries = 2, backoff = { "10ms" },
            run = 'test $QUEUECTL_ATTEMPT = 2 || echo "n=$QUEUECTL_ATTEMPT" >>"$QUEUECTL_REPORT"; '
                .. 'echo "$QUEUECTL_REPORT" >>paths; test $QUEUECTL_ATTEMPT = 3' }]])
        t.run({ t.binary, "--store", q.store, "run", "jobs.lua" }, { cwd = q.dir, timeout = 20 })
        local history = q:named("a").history
        assert.same({ { n = "1" }, { n = "3" } }, { history[1].report, history[3].report })
        assert.is_nil(history[2].report)
        local paths, seen = q:lines "paths", {}
        for _, path in ipairs(paths) do
            assert.is_nil(seen[path])
            seen[path] = true
        end
        assert.equal(3, #paths)
    end)

    it("is masked", function()
        local job, q = added({ env = "$A=env:SPEC_SECRET\0",
            command = [[printf '%s\n' "status=has $A" "$A" "Bad=$A" >>"$QUEUECTL_REPORT"]] },
            { env = { SPEC_SECRET = "hunter2-hunter2" } })
        local report, note = last(job)
        assert.same({ status = "has ***" }, report)
        assert.equal("ignored '***': is not NAME=VALUE (and 1 more line)", note)
        assert.equal("", t.run({ "grep", "-rlaF", "hunter2", q.store, q.store .. "-wal",
                                 q.store .. ".run" }).out)
    end)

    it("is told with the end of the attempt", function()
        local q = Queue.new()
        q:enqueue('printf \'a=x "y"\nb=2\nC\n\' >>"$QUEUECTL_REPORT"')
        assert.matches('event=completed [^\n]* report.a="x \\"y\\"" report.b="2"\n', q:work().err)
        local got = t.run({ t.binary, "--store", q.store, "run", "--json", t.write_file(
            q:path("jobs.lua"), [[job "a" { run = "printf 'a=1\nC\n' >>$QUEUECTL_REPORT" }]]) })
        for line in got.out:gmatch("[^\n]+") do
            local event = t.json(line)
            if event.event == "completed" then got.event = event end
        end
        assert.same({ { a = "1" }, "ignored 'C': is not NAME=VALUE" },
                    { got.event.report, got.event.report_note })
    end)

    it("is shown on a terminal, a line an attempt", function()
        local q = Queue.new()
        local id = q:enqueue([[printf 'b=2\na=1\nC\n' >>"$QUEUECTL_REPORT"]])
        q:work()
        local shown = t.run({ "script", "-qec", ("%s --store %s show %s"):format(t.binary, q.store,
            id), "/dev/null" }).out
        assert.matches("\n  reported +a=1 b=2\r?\n  report +ignored 'C': is not NAME=VALUE\r?\n",
                       shown)
    end)
end)

describe("a report that is wrong", function()
    local WRONG = {
        { [[printf 'A=1\n']], "ignored 'A=1': a name is small letters, digits and _" },
        { [[printf '1a=1\n']], "ignored '1a=1': a name is small letters, digits and _" },
        { [[printf '=1\n']], "ignored '=1': a name is small letters, digits and _" },
        { [[printf 'word\n']], "ignored 'word': is not NAME=VALUE" },
        { [[printf 'a=1\r\n']], [[ignored 'a=1\x0d': holds a control character]] },
        { [[printf 'a=\033[31m\n']], [[ignored 'a=\x1b[31m': holds a control character]] },
        { [[printf 'a=\000\n']], "ignored '': holds a NUL" },
        { [[printf 'a b\nc d\ne f\n']], "ignored 'a b': is not NAME=VALUE (and 2 more lines)" },
        { [[seq -f 'k%g=1' 64; echo k1=2; echo more=1]], "ignored 'more=1': more than 64 names",
            function(report)
                return report.k1 == "2" and report.k64 == "1" and not report.more
            end },
        { [[echo early=1; head -c 17000 /dev/zero | tr '\0' x; echo; echo late=1]],
            "longer than 16 KiB: only its end was read",
            function(report) return report.late == "1" and not report.early end },
        { [[head -c 3000000 /dev/zero | tr '\0' x]], "longer than 16 KiB: only its end was read" },
    }
    for _, case in ipairs(WRONG) do
        it("changes nothing about the end: " .. case[1], function()
            local report, note, job = reported(("{ %s; } >>\"$QUEUECTL_REPORT\""):format(case[1]))
            assert.equal("completed", job.state, job.last_error)
            assert.equal(case[2], note)
            if case[3] then assert.is_true(case[3](report)) else assert.is_nil(report) end
        end)
    end

    it("keeps the lines that are right", function()
        assert.same({ a = "1", b = "\239\191\189" },
                    (reported([[printf 'a=1\nB=2\nb=\377\n' >>"$QUEUECTL_REPORT"]])))
    end)

    it("of exactly 16 KiB is read whole", function()
        local report, note = reported([[{ echo a=1; printf b=
            head -c 16377 /dev/zero | tr '\0' x; echo; } >>"$QUEUECTL_REPORT"]])
        assert.same({ "1", 16377 }, { report.a, #report.b })
        assert.is_nil(note)
    end)

    for name, make in pairs {
        ["a FIFO"] = 'mkfifo "$QUEUECTL_REPORT"', ["a folder"] = 'mkdir "$QUEUECTL_REPORT"',
        ["a link"] = 'echo a=1 >told; ln -s "$PWD/told" "$QUEUECTL_REPORT"',
        ["a dangling link"] = 'ln -s /nowhere "$QUEUECTL_REPORT"',
    } do
        it("is not read from " .. name, function()
            local report, note, job = reported(make)
            assert.equal("completed", job.state, job.last_error)
            assert.is_nil(report)
            assert.equal("not read: not a regular file", note)
        end)
    end
end)

describe("the file of a report", function()
    it("is closed to others when `queuectl report` makes it, whatever the umask", function()
        local _, _, job = reported("umask 0; " .. REPORT .. 'a=1; stat -c %a "$QUEUECTL_REPORT"')
        assert.equal("600\n", job.last_output)
    end)

    it("is not found through a link by `queuectl report`", function()
        local _, _, job = reported('ln -s "$PWD/told" "$QUEUECTL_REPORT"; ' .. REPORT
            .. 'a=1; echo $?; test ! -e told')
        assert.equal("completed", job.state, job.last_error)
        assert.matches("^queuectl: [^\n]*%.report: Too many levels of symbolic links\n1\n$",
                       job.last_output)
    end)

    it("that a killed worker left behind is removed", function()
        local q = Queue.new()
        local id = q:enqueue('echo a=1 >>"$QUEUECTL_REPORT"; echo > written; ' .. q.until_file "go")
        local worker = q:worker()
        t.eventually(function() return t.exists(q:path "written") end)
        worker:kill("KILL")
        worker:wait(10)
        t.write_file(q:path "go", "")
        q:work()
        local history = q:job(id).history
        assert.same({ "worker_lost", "exit" }, { history[1].cause, history[2].cause })
        assert.is_nil(history[1].report)
        assert.same({ a = "1" }, history[2].report)
        assert.equal("", leftovers(q))
    end)

    it("that comes after the end of its attempt goes with the worker", function()
        local q = Queue.new()
        -- It lives as long as a job does that could have started it.
        local other = q:enqueue("echo > begun; " .. q.until_file "enough")
        local worker = q:worker("--count", "2")
        t.eventually(function() return t.exists(q:path "begun") end)
        local id = q:enqueue([[f=$QUEUECTL_REPORT
            env -i setsid sh -c 'echo >loose; while [ ! -e go ]; do sleep 0.01; done
                echo late=1 >"'$f'"; echo >written' >/dev/null 2>&1 &
            ]] .. q.until_file "loose")
        q:wait(id, "completed")
        t.write_file(q:path "go", "")
        t.eventually(function() return t.exists(q:path "written") end)
        assert.matches("%.report\n", leftovers(q))
        t.write_file(q:path "enough", "")
        q:wait(other, "completed")
        worker:kill("TERM")
        worker:wait(10)
        assert.equal("", leftovers(q))
        assert.is_nil(q:job(id).history[1].report)
    end)
end)

describe("the report of a Lua job", function()
    it("is that of ctx.report, of its `when` and of what it runs", function()
        local q = Queue.new()
        local got = q:run(([[
            job "lua" { run = function(_, ctx)
                ctx.report { status = 429, retry_after = 30 }
                ctx.report { status = true }
                ctx.exec({ %q, "report", "inner=1" }, { check = true })
            end }
            job "fails" { retries = 0, run = function(_, ctx)
                ctx.report { a = 1 }
                error "no"
            end }
            job "snoozes" { run = function(_, ctx)
                ctx.report { n = ctx.attempt }
                if not io.open "again" then
                    io.open("again", "w"):close()
                    return ctx.snooze(0.01)
                end
            end }
            job "skipped" { run = "true", when = function(ctx)
                ctx.report { asked = 1 }
                return false
            end }
            job "shell" { run = "echo b=2 >>$QUEUECTL_REPORT", when = function(ctx)
                ctx.report { a = 1 }
                return true
            end }
        ]]):format(t.binary))
        assert.equal(1, got.code, got.err)
        assert.same({ status = "true", retry_after = "30", inner = "1" }, (last(q:named "lua")))
        assert.same({ a = "1" }, (last(q:named "fails")))
        assert.same({ n = "1" }, q:named("snoozes").history[1].report)
        assert.same({ asked = "1" }, (last(q:named "skipped")))
        assert.same({ a = "1", b = "2" }, (last(q:named "shell")))
        assert.equal("", leftovers(q))
    end)
end)
