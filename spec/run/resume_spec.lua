-- Going on with a run: what failed, what is new, and that nobody else does so at the same time.

local t = require "support"
local project = require "run.project"

local FILE = [[
    local first = job "first" { run = "echo first >>$WITNESS; echo v=1 >>$QUEUECTL_OUTPUT",
        outputs = { "v" } }
    local bad = job "bad" { retries = 1, backoff = { 0.01 }, needs = first,
        run = "echo bad >>$WITNESS; test -e ok" }
    job "last" { needs = bad, run = { "sh", "-c", "echo last $0 >>$WITNESS", first.out.v } }
    job "old" { needs = bad, run = "echo old >>$WITNESS" }
]]

local NEW = [[
    local first = job "first" { run = "echo FIRST >>$WITNESS; echo v=2 >>$QUEUECTL_OUTPUT",
        outputs = { "v" } }
    local bad = job "bad" { retries = 0, needs = first, run = "echo better >>$WITNESS" }
    job "last" { needs = bad, run = { "sh", "-c", "echo last $0 >>$WITNESS", first.out.v } }
    job "new" { needs = "last", run = "echo new >>$WITNESS" }
]]

local function ok(p) p:write("", "ok") end

local function failed()
    local p = project.new(FILE)
    p:run(1)
    assert.same({ "first", "bad", "bad" }, p:witnessed())
    os.remove(p.witness)
    return p
end

local function sorted(p)
    local lines = p:witnessed()
    table.sort(lines)
    return lines
end

local function states(p)
    local list = {}
    for i, run in ipairs(t.json(p:q("runs", "list", "--json").out)) do list[i] = run.state end
    return table.concat(list, " ")
end

describe("run --resume of a run that failed", function()
    it("gives the dead fresh tries and those skipped another chance", function()
        local p = failed()
        local r = p:run(1, "--resume")
        assert.matches("^run 1: 4 jobs, 3 left on ", r.err)
        assert.matches("\ntry again what failed: queuectl run %-%-resume jobs.lua\n$", r.out)
        assert.same({ "bad", "bad" }, p:witnessed())
        ok(p)
        p:run(0, "--resume")
        assert.same({ "bad", "bad", "bad", "last 1", "old" }, sorted(p))
        assert.equal("ok", states(p))
        assert.equal(1, p:show("first").token)
    end)

    it("says that nothing is left once it is complete", function()
        local p = failed()
        ok(p)
        p:run(0, "--resume")
        local r = p:run(3, "--resume")
        assert.equal("queuectl: jobs.lua has nothing to go on with: run 1 is complete; leave out "
            .. "--resume\n", r.err)
    end)

    it("finds the run by the file, however it is named", function()
        local p = failed()
        ok(p)
        assert.equal(0, t.run({ "ln", "-s", "jobs.lua", p.dir .. "/link.lua" }).code)
        assert.equal(0, p:q("run", "--resume", "./link.lua").code)
        assert.equal(4, p:count())
    end)

    it("tells programs what it does", function()
        local p = failed()
        ok(p)
        local events = project.events(p:run(0, "--resume", "--json").out)
        assert.same({ "run", 1, 4, 3 }, { events[1].event, events[1].run, events[1].jobs,
            events[1].left })
        assert.equal("summary", events[#events].event)
        assert.equal(4, events[#events].jobs.completed)
    end)

    it("keeps how it was started", function()
        local p = failed()
        assert.equal("queuectl: run 1 was started without --fail-fast, and goes on as it was "
            .. "started; leave it out\n", p:run(2, "--resume", "--fail-fast").err)
        assert.matches("^queuectl: %-%-resume and %-%-only do not go together\n",
            p:run(2, "--resume", "--only", "bad").err)
        assert.matches("^queuectl: %-%-new%-text goes with %-%-resume\n",
            p:run(2, "--new-text").err)
    end)

    it("names the module that has changed", function()
        local p = project.new 'local m = require "m"; job "a" { retries = 0, run = m.command }'
        p:write('return { command = "test -e ok" }', "m.lua")
        p:run(1)
        p:write('return { command = "true" }', "m.lua")
        assert.matches("^queuectl: m.lua has changed since run 1; put it back, ",
            p:run(4, "--resume").err)
        p:run(0, "--resume", "--new-text")
        assert.equal("ok failed", states(p))
    end)
end)

describe("run --resume --new-text", function()
    it("runs what is left as the file says now, and not what has completed", function()
        local p = failed()
        p:write(NEW)
        local r = p:run(0, "--resume", "--new-text")
        assert.matches("^run 2: 4 jobs, 3 left on ", r.err)
        assert.same({ "better", "last 1", "new" }, p:witnessed())
    end)

    it("is the same run where nothing has changed", function()
        local p = failed()
        ok(p)
        p:run(0, "--resume", "--new-text")
        assert.equal("ok", states(p))
    end)

    it("cancels what was left of the earlier run, which nobody goes on with", function()
        local p = project.new [[ job "a" { run = "echo a >>$WITNESS" }
            job "hold" { needs = "a", kill_after = "1s", run = "echo hold >>$WITNESS; sleep 99" } ]]
        local run = p:spawn("run", "jobs.lua")
        t.eventually(function() return #p:witnessed() == 2 end, 20)
        run:kill "KILL"
        run:wait()
        t.eventually(function() return #t.processes(p.store) == 0 end, 10, "all gone")
        assert.equal("interrupted", states(p))
        p:write 'job "a" { run = "false" } job "b" { needs = "a", run = "echo b >>$WITNESS" }'
        p:run(0, "--resume", "--new-text")
        assert.same({ "a", "hold", "b" }, p:witnessed())
        assert.equal("ok cancelled", states(p))
        p:run(3, "--resume")
    end)

    it("leaves the earlier run as it was when the new text is wrong", function()
        local p = failed()
        p:write 'jbo "x" {}'
        p:run(78, "--resume", "--new-text")
        assert.equal("failed", states(p))
        p:write(FILE)
        ok(p)
        p:run(0, "--resume")
    end)

    it("keeps the choice of --only", function()
        local p = project.new(FILE)
        p:run(1, "--only", "last")
        p:write(NEW)
        p:run(0, "--resume", "--new-text")
        assert.same({ "first", "bad", "bad", "better", "last 1" }, p:witnessed())
    end)
end)

describe("a run that is gone on with twice at once", function()
    it("is worked on by one of both", function()
        for _ = 1, 5 do
            local p = project.new [[ job "a" { retries = 0, kill_after = "1s",
                run = "echo a >>$WITNESS; test -e go || exit 1; "
                    .. "while [ -e wait ]; do sleep 0.02; done" } ]]
            p:run(1)
            p:write("", "wait")
            p:write("", "go")
            local both = { p:spawn("run", "--resume", "jobs.lua"),
                p:spawn("run", "--resume", "jobs.lua") }
            local loser = t.eventually(function()
                for i, run in ipairs(both) do
                    if not run:running() then return i end
                end
            end, 20, "one of them ends")
            local r = both[loser]
            assert.equal(4, r:wait())
            assert.matches("queuectl: run 1 is being worked on by process %d+; wait for its end, "
                .. "or press Ctrl%-C there\n$", r:err())
            assert.equal(1, select(2, r:err():gsub("queuectl:", "")))
            os.remove(p.dir .. "/wait")
            assert.equal(0, both[3 - loser]:wait())
            assert.same({ "a", "a" }, p:witnessed())
        end
    end)

    it("is replaced by new text once", function()
        local p = failed()
        p:write(NEW)
        local both = { p:spawn("run", "--resume", "--new-text", "jobs.lua"),
            p:spawn("run", "--resume", "--new-text", "jobs.lua") }
        local codes = {}
        for i, run in ipairs(both) do codes[i] = run:wait() end
        table.sort(codes)
        assert.equal(0, codes[1])
        local done = {}
        for _, line in ipairs(p:witnessed()) do done[line] = (done[line] or 0) + 1 end
        assert.same({ better = 1, ["last 1"] = 1, new = 1 }, done)
    end)
end)

describe("max_age of a job that is put back by hand", function()
    local HOUR = 3600000

    local function project_of_old()
        local p = project.new [[
            job "a" { max_age = "1h", run = "echo a >>$WITNESS" }
            job "b" { needs = "a", max_age = "1h", run = "echo b >>$WITNESS" }
        ]]
        p:run(0, "--detach")
        t.sql(p.store, ("UPDATE job SET created_at = created_at - %d"):format(2 * HOUR))
        return p
    end

    it("counts from then on", function()
        local p = project_of_old()
        assert.equal(0, p:q("worker", "start", "--until-empty").code)
        assert.same({ a = "dead", b = "skipped" }, p:states())
        assert.equal(0, p:q("retry", p:jobs().a.id).code)
        assert.equal(0, p:q("worker", "start", "--until-empty").code)
        assert.same({ "a", "b" }, p:witnessed())
    end)

    it("counts from when its run goes on", function()
        local p = project_of_old()
        p:run(0, "--resume")
        assert.same({ "a", "b" }, p:witnessed())
    end)
end)
