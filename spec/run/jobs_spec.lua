-- What the keys of a job do when it runs: matrix, values handed on, how a job must end for
-- another, and the exit code of it all.

local t = require "support"
local project = require "run.project"

describe("a matrix", function()
    it("is one job per combination, with its values in the environment", function()
        local p = project.new [[
            local test = job "test" {
                matrix = { db = { "pg", "lite" }, n = { 1, 2 },
                    exclude = { { db = "pg", n = 2 } }, include = { { db = "none" } } },
                run = 'echo "$QUEUECTL_JOB_NAME $MATRIX_DB $MATRIX_N" >>$WITNESS',
            }
            job "one" { needs = "test[db=lite,n=2]", run = "true" }
            job "all" { needs = test, run = "echo all >>$WITNESS" }
        ]]
        p:run(0, "-j", "4")
        local lines = p:witnessed()
        assert.equal("all", table.remove(lines))
        table.sort(lines)
        assert.same({ "test[db=lite,n=1] lite 1", "test[db=lite,n=2] lite 2",
                      "test[db=none] none ", "test[db=pg,n=1] pg 1" }, lines)
    end)

    it("gives a Lua job its own values, of their own type", function()
        local p = project.new [[
            job "m" {
                matrix = { n = { 1, 2 }, on = { true, false } },
                run = function(job)
                    return { n = job.matrix.n + 10, on = tostring(not job.matrix.on) }
                end,
            }
        ]]
        p:run(0)
        assert.same({ n = "12", on = "false" }, p:show("m[n=2,on=true]").outputs)
    end)
end)

describe("a value known later", function()
    local NASTY = [[$(touch pwned); `x` "q" 'q' \ * ünï]]

    it("arrives byte for byte in arguments and environment", function()
        local p = project.new(([[
            local a = job "a" {
                run = { "sh", "-c", 'printf "v=%%s\n" "$0" >>$QUEUECTL_OUTPUT', %q },
                outputs = { "v" },
            }
            job "argv" { run = { "sh", "-c", 'printf %%s "$1" >argv', "sh", a.out.v } }
            job "env" { env = { V = a.out.v }, run = 'printf %%s "$V" >env' }
            job "lua" { env = { V = a.out.v }, run = function() return { v = os.getenv "V" } end }
        ]]):format(NASTY))
        p:run(0)
        assert.equal(NASTY, p:read "argv")
        assert.equal(NASTY, p:read "env")
        assert.equal(NASTY, p:show("lua").outputs.v)
        assert.is_false(t.exists(p.dir .. "/pwned"))
    end)

    it("comes from a Lua job, a long one too", function()
        local p = project.new [[
            local a = job "a" { run = function() return { long = ("x"):rep(60000) } end }
            job "b" { run = { "sh", "-c", 'printf %s "$1" | wc -c >bytes', "sh", a.out.long } }
        ]]
        p:run(0)
        assert.equal("60000\n", p:read "bytes")
    end)

    it("is that of the attempt that succeeded", function()
        local p = project.new [[
            local a = job "a" {
                run = 'echo v=$QUEUECTL_ATTEMPT >>$QUEUECTL_OUTPUT; test $QUEUECTL_ATTEMPT = 2',
                outputs = { "v" }, backoff = { "10ms" },
            }
            job "b" { run = { "sh", "-c", "echo $0 >v", a.out.v } }
        ]]
        p:run(0)
        assert.equal("2\n", p:read "v")
    end)

    it("that was promised and not given fails the job with that reason", function()
        local p = project.new [[
            local a = job "a" { run = "echo x=1 >>$QUEUECTL_OUTPUT", outputs = { "x", "version" },
                retries = 0 }
            job "b" { run = { "echo", a.out.version } }
        ]]
        local r = p:run(1)
        assert.matches("version", p:jobs().a.last_error)
        assert.matches("dead a (promised output 'version'", r.out, 1, true)
        assert.same({ a = "dead", b = "skipped" }, p:states())
    end)
end)

describe("how a job must end for another", function()
    -- For each way to end: which of the jobs that need it run.
    local ENDS = {
        { "exit 0", 0,
          { on_success = "completed", on_failure = "skipped", on_done = "completed" } },
        { "exit 1", 1,
          { on_success = "skipped", on_failure = "completed", on_done = "completed" } },
    }
    for _, case in ipairs(ENDS) do
        it("after " .. case[1], function()
            local p = project.new(([[
                job "end" { run = %q, retries = 0 }
                job "on_success" { needs = "end", run = "true" }
                job "on_failure" { needs = { { "end", on = "failure" } }, run = "true" }
                job "on_done" { needs = { { "end", on = "done" } }, run = "true" }
            ]]):format(case[1]))
            p:run(case[2])
            local states = p:states()
            states["end"] = nil
            assert.same(case[3], states)
        end)
    end

    it("goes through skipped jobs: they did not succeed, but they are done", function()
        local p = project.new [[
            job "a" { run = "false", retries = 0 }
            job "b" { needs = "a", run = "true" }
            job "c" { needs = "b", run = "true" }
            job "d" { needs = { { "c", on = "done" } }, run = "true" }
            job "e" { needs = { "d", { "b", on = "success" } }, run = "true" }
        ]]
        p:run(1)
        assert.same({ a = "dead", b = "skipped", c = "skipped", d = "completed", e = "skipped" },
                    p:states())
    end)

    it("lets everything else finish", function()
        local p = project.new [[
            job "bad" { run = "false", retries = 0 }
            local before
            for i = 1, 5 do before = job("ok" .. i) { needs = before, run = "true" } end
        ]]
        p:run(1)
        assert.equal("completed", p:states().ok5)
    end)

    it("a run that only skips what nobody needs to fail is a success", function()
        local p = project.new [[
            job "good" { run = "true" }
            job "alarm" { needs = { { "good", on = "failure" } }, run = "true" }
        ]]
        assert.matches("1 completed, 1 skipped", p:run(0).out)
    end)
end)

describe("a job that may fail", function()
    it("leaves the exit code 0, and what needs it runs", function()
        local p = project.new [[
            job "optional" { run = "exit 9", retries = 0, allow_failure = true }
            job "next" { needs = "optional", run = "true" }
        ]]
        local r = p:run(0)
        assert.same({ optional = "dead", next = "completed" }, p:states())
        assert.matches("dead optional (exit 9, after 1 attempt, allowed to fail)", r.out, 1, true)
        assert.matches("\ndead optional (allowed to fail)\n", r.out, 1, true)
    end)

    it("has codes of its own that mean success", function()
        local p = project.new [[ job "grep" { run = "exit 1", ok_codes = { 0, 1 } } ]]
        p:run(0)
        assert.equal(1, p:jobs().grep.exit_code)
    end)
end)

describe("a job that fails", function()
    it("is tried again as often and as soon as it says", function()
        local p = project.new [[
            job "a" { run = "echo $QUEUECTL_ATTEMPT >>$WITNESS; exit 5", retries = 2,
                backoff = { "10ms", "20ms" } }
        ]]
        local r = p:run(1)
        assert.same({ "1", "2", "3" }, p:witnessed())
        assert.matches("failed a (exit 5, again in 0.01 s)\nstarted a (attempt 2 of 3)\n"
            .. "failed a (exit 5, again in 0.02 s)\nstarted a (attempt 3 of 3)\n"
            .. "dead a (exit 5, after 3 attempts)\n", r.out, 1, true)
        assert.equal(3, #p:show("a").history)
    end)

    it("by its time limit says so, and nothing of it is left", function()
        local p = project.new [[
            job "a" { run = "sleep 1000 & sleep 1000", timeout = "200ms", kill_after = "200ms",
                retries = 0, env = { MARK = "left-by-the-time-limit" } }
        ]]
        local r = p:run(1)
        assert.matches("dead a (timed out after 0.2 s", r.out, 1, true)
        assert.same({}, t.processes "left-by-the-time-limit")
    end)

    it("by a signal or for want of its program says so", function()
        local p = project.new [[
            defaults { retries = 0 }
            job "killed" { run = "kill -9 $$" }
            job "nothing" { run = { "nonesuch-program" } }
            job "shell" { run = "nonesuch-program" }
            job "nowhere" { run = "true", cwd = "nonesuch-folder" }
        ]]
        p:run(1)
        local jobs = p:jobs()
        assert.matches("signal 9", jobs.killed.last_error)
        assert.matches("could not start: .*No such file", jobs.nothing.last_error)
        assert.equal(127, jobs.shell.exit_code)
        assert.matches("not found", jobs.shell.last_error)
        assert.matches("nonesuch%-folder", jobs.nowhere.last_error)
    end)

    it("shows its last lines at the end of the run, whole on a pipe", function()
        local long = ("long "):rep(60)
        local p = project.new(([[
            job "a" { run = "echo first; echo '%s'; exit 3", retries = 0 }
        ]]):format(long))
        local r = p:run(1)
        assert.matches("\ndead a\n    exit 3\n  last lines:\n    first\n    " .. long
            .. "\n  see it all: queuectl logs " .. p:jobs().a.id .. "\n\n1 dead in ", r.out, 1,
            true)
    end)
end)

describe("a job's surroundings", function()
    it("are what its keys say", function()
        local p = project.new [[
            defaults { env = { A = "1", B = "2" } }
            job "env" { env = { B = "3", HOME = false, N = 5 },
                run = 'echo "$A $B ${HOME-none} $N" >>$WITNESS' }
            job "cwd" { cwd = "sub", run = "pwd >>$WITNESS", needs = "env" }
            job "stdin" { stdin = "hello\n", run = "cat >>$WITNESS", needs = "cwd" }
            job "file" { stdin = { file = "sub/in" }, run = "cat >>$WITNESS", needs = "stdin" }
        ]]
        t.mkdir_p(p.dir .. "/sub")
        p:write("from a file\n", "sub/in")
        p:run(0)
        assert.same({ "1 3 none 5", p.dir .. "/sub", "hello", "from a file" }, p:witnessed())
    end)

    it("are the folder of the file, from where paths go, wherever it is run", function()
        local p = project.new [[
            job "here" { run = "pwd >>$WITNESS" }
            job "there" { needs = "here", cwd = "sub", run = "pwd >>$WITNESS" }
        ]]
        t.mkdir_p(p.dir .. "/sub")
        t.mkdir_p(p.dir .. "/links")
        assert.equal(0, t.run({ "ln", "-s", "../jobs.lua", p.dir .. "/links/j.lua" }).code)
        local r = t.run({ t.binary, "run", p.dir .. "/links/j.lua" },
                        { cwd = "/", env = { QUEUECTL_STORE = p.store, WITNESS = p.witness } })
        assert.equal(0, r.code, r.err)
        assert.same({ p.dir, p.dir .. "/sub" }, p:witnessed())
    end)

    it("tell it who it is", function()
        local p = project.new [[
            job "a" { run = 'echo "$QUEUECTL_JOB_ID $QUEUECTL_JOB_NAME $QUEUECTL_RUN '
                .. '$QUEUECTL_ATTEMPT $QUEUECTL_STORE" >>$WITNESS' }
        ]]
        p:run(0)
        assert.same({ ("%s a 1 1 %s"):format(p:jobs().a.id, p.store) }, p:witnessed())
    end)
end)
