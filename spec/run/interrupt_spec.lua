-- Ctrl-C, and going on later: what was done stays done, what was not runs once.

local t = require "support"
local project = require "run.project"

-- Three jobs before and after one that waits for the file "go".
local WAITS = [[
    local before
    for i = 1, 3 do before = job("b" .. i) { needs = before, run = "echo b >>$WITNESS" } end
    local hold = job "hold" {
        needs = before, kill_after = "1s",
        run = "echo hold >>$WITNESS; while [ ! -e go ]; do sleep 0.02; done; echo held >>$WITNESS",
    }
    for i = 1, 3 do job("a" .. i) { needs = hold, run = "echo a >>$WITNESS" } end
]]

local function held(p, times)
    t.eventually(function()
        local n = 0
        for _, line in ipairs(p:witnessed()) do n = n + (line == "hold" and 1 or 0) end
        return n == (times or 1)
    end, 20, "the job runs")
end

local function go(p) p:write("", "go") end

-- A run that stands still in "hold".
local function start(...)
    local p = project.new(WAITS)
    local run = p:spawn("run", "jobs.lua", ...)
    held(p)
    return p, run
end

-- Ctrl-C twice: the second when the first has been heard, for signals of one kind merge.
local function interrupt_twice(run)
    run:kill "INT"
    t.eventually(function() return run:out():find("stopping", 1, true) end)
    run:kill "INT"
    return run:wait()
end

local function left(n)
    return ("%d jobs left; go on with: queuectl run --resume jobs.lua\n"):format(n)
end

describe("a run that is interrupted", function()
    it("once finishes what runs, starts nothing and says how to go on", function()
        local p, run = start()
        run:kill "INT"
        t.eventually(function() return run:out():find("stopping", 1, true) end)
        assert.is_true(run:running())
        go(p)
        assert.equal(130, run:wait())
        assert.matches("stopping (finishing what runs; once more to stop it now)\n", run:out(), 1,
                       true)
        assert.matches("completed hold", run:out())
        assert.equal(left(3), run:out():match("[^\n]*\n$"))
        assert.equal("b b b hold held", table.concat(p:witnessed(), " "))
    end)

    it("twice stops what runs, without counting the attempt", function()
        local p, run = start()
        assert.equal(130, interrupt_twice(run))
        assert.matches("stopped hold (will run again)\n", run:out(), 1, true)
        assert.equal(left(4), run:out():match("[^\n]*\n$"))
        local job = p:jobs().hold
        assert.same({ "pending", 0 }, { job.state, job.attempts })
        assert.same({}, t.processes(p.store))
    end)

    it("by TERM ends with 143", function()
        local p, run = start()
        run:kill "TERM"
        go(p)
        assert.equal(143, run:wait())
    end)

    it("tells programs how much is left", function()
        local p, run = start "--json"
        run:kill "INT"
        go(p)
        assert.equal(130, run:wait())
        local events = project.events(run:out())
        assert.equal("summary", events[#events].event)
        assert.equal(3, events[#events].left)
        assert.same({ 4, 3 }, { events[#events].jobs.completed, events[#events].jobs.pending })
    end)

    it("and gone on with completes, running nothing twice", function()
        local p, run = start()
        run:kill "INT"
        go(p)
        run:wait()
        local r = p:run(0, "--resume")
        assert.matches("^run 1: 7 jobs, 3 left on ", r.err)
        assert.matches("\n7 completed in ", r.out)
        assert.equal("b b b hold held a a a", table.concat(p:witnessed(), " "))
        assert.equal(7, p:count())
    end)

    it("is worked on by nobody else meanwhile", function()
        local p, run = start()
        interrupt_twice(run)
        go(p)
        assert.equal(0, p:q("worker", "start", "--until-empty").code)
        assert.equal("b b b hold", table.concat(p:witnessed(), " "))
        p:run(0, "--resume")
    end)

    it("by KILL leaves nothing running, and goes on", function()
        local p, run = start()
        run:kill "KILL"
        run:wait()
        t.eventually(function() return #t.processes(p.store) == 0 end, 10, "all gone")
        go(p)
        local r = p:run(0, "--resume")
        assert.matches("\n7 completed in ", r.out)
        assert.equal("b b b hold hold held a a a", table.concat(p:witnessed(), " "))
        assert.equal(1, p:jobs().hold.attempts)
    end)

    it("in its worker by KILL goes on with another", function()
        local p, run = start()
        local workers = t.json(p:q("worker", "status", "--json").out)
        t.kill(workers[1].pid, "KILL")
        held(p, 2)
        go(p)
        assert.equal(0, run:wait())
        assert.matches("the worker process was killed by signal 9; another takes over", run:err())
    end)
end)

describe("run --resume", function()
    local function interrupted()
        local p, run = start()
        run:kill "INT"
        go(p)
        run:wait()
        return p
    end

    it("refuses a changed text and says what to do", function()
        local p = interrupted()
        p:write(WAITS .. "-- changed\n")
        local r = p:run(4, "--resume")
        assert.equal("queuectl: jobs.lua has changed since run 1; put it back, take the new text "
            .. "for what is left with --new-text, or start anew without --resume\n", r.err)
        p:write(WAITS)
        p:run(0, "--resume")
    end)

    it("knows the file by its real path", function()
        local p = interrupted()
        assert.equal(0, t.run({ "ln", "-s", p.dir, p.dir .. "/alias" }).code)
        local r = p:q("run", "--resume", "alias/jobs.lua")
        assert.equal(0, r.code, r.err)
        assert.equal(7, p:count())
    end)

    it("refuses a run that is being worked on", function()
        local p, run = start()
        local r = p:run(4, "--resume")
        assert.matches("^queuectl: run 1 is being worked on by process %d+; wait for its end, "
            .. "or press Ctrl%-C there\n$", r.err)
        go(p)
        assert.equal(0, run:wait())
    end)

    it("leaves the way to a new run open", function()
        local p = interrupted()
        p:run(0)
        assert.equal(14, p:count())
    end)
end)

describe("queued jobs", function()
    it("keep the text they were queued with, whatever becomes of the file", function()
        local p = project.new [[
            local hold = job "hold" { run = "echo hold >>$WITNESS; "
                .. "while [ ! -e go ]; do sleep 0.02; done" }
            job "lua" { needs = hold, run = function()
                local file = io.open(os.getenv "WITNESS", "a")
                file:write("old\n")
                file:close()
            end }
            job "shell" { needs = "lua", run = "echo old >>$WITNESS" }
        ]]
        local run = p:spawn("run", "jobs.lua")
        held(p)
        p:write "this is no Lua any more"
        os.remove(p.dir .. "/jobs.lua")
        go(p)
        assert.equal(0, run:wait())
        assert.same({ "hold", "old", "old" }, p:witnessed())
    end)
end)
