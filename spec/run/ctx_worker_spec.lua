-- What a Lua job and the worker do together: when, values of other jobs, jobs that jobs add.

local t = require "support"
local project = require "run.project"

-- Runs the file and expects this exit code; its project.
local function run(code, text, ...)
    local p = project.new(text)
    p:run(code, ...)
    return p
end

-- The first line of a job's last error, with the file's name without its folder.
local function reason(p, name)
    return (p:jobs()[name].last_error:match("^[^\n]*"):gsub("^(w?h?e?n?:? ?)[^ ]*/jobs.lua:",
        "%1jobs.lua:"))
end

describe("when", function()
    it("decides about a job of any kind, by what it needs", function()
        local p = run(0, [[
            job "build" { run = "echo version=7 >>$QUEUECTL_OUTPUT", outputs = { "version" } }
            local function is(version)
                return function(ctx) return ctx.outputs.build.version == version end
            end
            local function say(name) return "echo " .. name .. " >>$WITNESS" end
            job "sh-yes" { needs = "build", when = is "7", run = say "sh" }
            job "sh-no" { needs = "build", when = is "8", run = say "no" }
            job "argv-yes" { needs = "build", when = is "7", run = { "sh", "-c", say "argv" } }
            job "argv-no" { needs = "build", when = is "8", run = { "sh", "-c", say "no" } }
            job "lua-yes" { needs = "build", when = is "7", run = function(_, ctx)
                ctx.sh(say "lua") end }
            job "lua-no" { needs = "build", when = is "8", run = function(_, ctx)
                ctx.sh(say "no") end }
        ]])
        local lines = p:witnessed()
        table.sort(lines)
        assert.same({ "argv", "lua", "sh" }, lines)
        assert.same({ build = "completed", ["sh-yes"] = "completed", ["sh-no"] = "skipped",
            ["argv-yes"] = "completed", ["argv-no"] = "skipped", ["lua-yes"] = "completed",
            ["lua-no"] = "skipped" }, p:states())
    end)

    it("skips what needs the success of a skipped job, and is no failure", function()
        local p = run(0, [[
            job "a" { when = function() return false end, run = "true" }
            job "b" { needs = "a", run = "true" }
            job "c" { needs = { { "a", on = "done" } }, run = "true" }
        ]])
        assert.same({ a = "skipped", b = "skipped", c = "completed" }, p:states())
    end)

    it("that goes wrong kills the job, once, and never runs it", function()
        local p = run(1, [[
            job "error" { retries = 3, run = "echo ran >>$WITNESS", when = function()
                error "boom" end }
            job "nil" { retries = 3, run = "echo ran >>$WITNESS", when = function() end }
            job "lua" { retries = 3, run = function() end, when = function(ctx)
                return ctx.outputs.other.x end }
        ]])
        assert.equal("when: jobs.lua:2: boom", reason(p, "error"))
        assert.equal("jobs.lua:3: when returned nil: return true to run the job, false to skip it",
            reason(p, "nil"))
        assert.equal("when: jobs.lua:5: ctx.outputs: this job does not need 'other'; "
            .. "it needs no job", reason(p, "lua"))
        assert.same({ error = "dead", ["nil"] = "dead", lua = "dead" }, p:states())
        assert.same({}, p:witnessed())
        assert.equal(1, p:show("error").attempts)
    end)

    it("gives the command the job's own input, environment, folder and exit code", function()
        local p = run(1, [[
            local yes = function() return true end
            job "a" { when = yes, stdin = "in\n", env = { V = "v" }, cwd = "/", retries = 0,
                run = "cat; echo \"$V $(pwd) $QUEUECTL_ATTEMPT\"; echo err >&2; exit 3" }
            job "none" { when = yes, retries = 0, run = { "nonesuch-program" } }
            job "folder" { when = yes, retries = 0, run = { "/" } }
            job "killed" { when = yes, retries = 0, run = "kill -9 $$" }
            job "outputs" { when = yes, outputs = { "k" }, run = "echo k=v >>$QUEUECTL_OUTPUT" }
            job "closed" { when = yes, run = "ls /proc/$$/fd; true" }
        ]])
        local a = p:logs "a"
        assert.matches("in\nv / 1\n", a, 1, true)
        assert.matches("err\n", a, 1, true)
        assert.matches("^exit 3", reason(p, "a"))
        assert.matches("^exit 127: could not start: nonesuch%-program: No such file",
            reason(p, "none"))
        assert.matches("^exit 126: could not start: /: Permission denied", reason(p, "folder"))
        assert.matches("^killed by signal 9", reason(p, "killed"))
        assert.equal("v", p:show("outputs").outputs.k)
        assert.equal("0\n1\n2\n", p:logs "closed")
    end)

    it("counts against the time of the job", function()
        local p = run(1, [[
            job "a" { when = function() while true do end end, run = "echo ran >>$WITNESS",
                timeout = "200ms", kill_after = "100ms", retries = 0 }
        ]])
        assert.matches("^timed out after 0.2 s", reason(p, "a"))
        assert.same({}, p:witnessed())
    end)
end)

describe("ctx.outputs and ctx.needs", function()
    it("have what the jobs before gave and how they ended", function()
        local p = run(1, [[
            job "sh" { run = "echo v=a=b >>$QUEUECTL_OUTPUT", outputs = { "v" } }
            job "lua" { run = function() return { rows = 12, text = "x\ny" } end }
            job "bad" { run = "exit 3", retries = 0 }
            job "m" { matrix = { k = { 1, 2 } }, run = function(job)
                return { k = job.matrix.k } end }
            job "all" { needs = { "sh", "lua", "m", { "bad", on = "done" } },
                run = function(_, ctx)
                    local o, names = ctx.outputs, {}
                    for name in pairs(ctx.needs) do names[#names + 1] = name end
                    table.sort(names)
                    return { v = o.sh.v, rows = o.lua.rows, text = o.lua.text,
                        k = o["m[k=2]"].k, bad = ctx.needs.bad.state,
                        why = ctx.needs.bad.error, ok = ctx.needs.sh.state,
                        names = table.concat(names, " ") }
                end }
        ]])
        assert.same({ v = "a=b", rows = "12", text = "x\ny", k = "2", bad = "dead",
            why = "exit 3", ok = "completed", names = "bad lua m[k=1] m[k=2] sh" },
            p:show("all").outputs)
    end)
end)

describe("ctx.params", function()
    it("has the values this run was given", function()
        local p = run(0, [[
            param "target" { type = "string", default = "staging" }
            param "shards" { type = "integer", default = 2 }
            job "a" { run = function(_, ctx)
                return { t = ctx.params.target, s = ctx.params.shards + 1 } end }
        ]], "--param", "target=prod")
        assert.same({ t = "prod", s = "3" }, p:show("a").outputs)
    end)
end)

describe("ctx.enqueue", function()
    it("adds jobs to the run when this one has completed", function()
        local p = run(0, [[
            job "a" { run = function(_, ctx)
                for i = 1, 3 do
                    ctx.enqueue { name = "added-" .. i, run = "echo $N >>$WITNESS; cat >>$WITNESS",
                        env = { N = i }, stdin = "in\n", tags = { "more" } }
                end
                ctx.enqueue { name = "list", run = { "sh", "-c", "echo list >>$WITNESS" } }
                -- What adds jobs has not completed yet.
                assert(not ctx.fs.exists "witness")
            end }
        ]])
        local lines = p:witnessed()
        table.sort(lines)
        assert.same({ "1", "2", "3", "in", "in", "in", "list" }, lines)
        local jobs = p:jobs()
        for _, name in ipairs { "added-1", "added-2", "added-3", "list" } do
            assert.equal("completed", jobs[name].state)
            assert.equal(jobs.a.run, jobs[name].run)
        end
    end)

    it("adds nothing when the job fails", function()
        local p = run(1, [[
            job "a" { retries = 1, backoff = { "10ms" }, run = function(_, ctx)
                ctx.enqueue { run = "echo added >>$WITNESS" }
                error "no"
            end }
            job "b" { retries = 1, backoff = { "10ms" }, run = function(_, ctx)
                ctx.enqueue { run = "echo once >>$WITNESS" }
                if ctx.attempt == 1 then error "again" end
            end }
        ]])
        assert.same({ "once" }, p:witnessed())
        assert.equal(3, p:count())
    end)

    it("makes the run fail when an added job does", function()
        local p = run(1, [[
            job "a" { run = function(_, ctx)
                ctx.enqueue { name = "bad", run = "exit 3", retries = 0 }
                ctx.enqueue { name = "may", run = "exit 3", retries = 0, allow_failure = true }
            end }
        ]])
        assert.same({ a = "completed", bad = "dead", may = "dead" }, p:states())
    end)

    it("takes as much as it says", function()
        local p = run(0, [[
            job "a" { run = function(_, ctx)
                for i = 1, 200 do ctx.enqueue { name = "n" .. i, run = "true" } end
                ctx.enqueue { name = "long", stdin = ("x"):rep(1e6), run = "wc -c >>$WITNESS" }
                ctx.enqueue { name = "wide", env = { A = ("x"):rep(60000) },
                    run = "echo ${#A} >>$WITNESS" }
            end }
        ]])
        local lines = {}
        for _, line in ipairs(p:witnessed()) do lines[#lines + 1] = line:match "%d+" end
        table.sort(lines)
        assert.same({ "1000000", "60000" }, lines)
        assert.equal(203, p:count())
    end)
end)

describe("ctx.cancel", function()
    it("ends the job as cancelled, with no further try", function()
        local p = run(1, [[
            job "a" { retries = 3, run = function(_, ctx) return ctx.cancel("nothing to do") end }
            job "b" { needs = "a", run = "echo ran >>$WITNESS" }
        ]])
        assert.same({ a = "cancelled", b = "skipped" }, p:states())
        assert.matches("nothing to do", p:jobs().a.last_error, 1, true)
        assert.same({}, p:witnessed())
    end)
end)

describe("ctx.cancelled", function()
    it("becomes true when somebody cancels the job", function()
        local p = project.new [[
            job "a" { kill_after = "60s", run = function(_, ctx)
                ctx.cancelled()
                ctx.fs.write("started", "")
                while not ctx.cancelled() do ctx.exec { "true" } end
                ctx.fs.write("cleaned", "up")
            end }
        ]]
        local process = p:spawn("run", "jobs.lua")
        t.eventually(function() return t.exists(p.dir .. "/started") end)
        assert.equal(0, p:q("cancel", p:jobs().a.id).code)
        process:wait()
        assert.equal("up", p:read "cleaned")
        assert.equal("cancelled", p:jobs().a.state)
    end)
end)
