-- Runs for the workers: --detach, and changing between them and the foreground.

local t = require "support"
local project = require "run.project"

-- "hold" waits for the file "go", after one that may fail.
local FILE = [[
    local first = job "first" { retries = 0, run = "echo first >>$WITNESS; test ! -e fail" }
    local hold = job "hold" { needs = first, kill_after = "1s",
        run = "echo hold >>$WITNESS; while [ ! -e go ]; do sleep 0.02; done" }
    job "last" { needs = hold, run = "echo last >>$WITNESS" }
]]

local function witnessed(p, word, times)
    t.eventually(function()
        local n = 0
        for _, line in ipairs(p:witnessed()) do n = n + (line == word and 1 or 0) end
        return n == (times or 1)
    end, 20, word)
end

local function go(p) p:write("", "go") end
local function work(p) assert.equal(0, p:q("worker", "start", "--until-empty").code) end
local function run_of(p, which)
    return t.json(p:q("runs", "show", which or "last", "--json").out)
end

describe("run --detach", function()
    it("stores the run for the workers and says that none runs", function()
        local p = project.new(FILE)
        local r = p:run(0, "--detach")
        assert.equal("run 1: 3 jobs, for the workers; see: queuectl runs show 1\n", r.out)
        assert.equal("no worker runs; start one: queuectl worker start\n", r.err)
        assert.equal("queued", run_of(p).state)
        assert.same({}, p:witnessed())
        go(p)
        work(p)
        assert.same({ "first", "hold", "last" }, p:witnessed())
        assert.equal("ok", run_of(p).state)
    end)

    it("is worked on at once where a worker runs", function()
        local p = project.new(FILE)
        local worker = p:spawn("worker", "start")
        t.eventually(function() return p:q("worker", "status", "--json").out ~= "[]\n" end)
        local r = p:run(0, "--detach")
        assert.equal("", r.err)
        go(p)
        t.eventually(function() return run_of(p).state == "ok" end, 20)
        worker:kill "TERM"
        assert.equal(0, worker:wait())
    end)

    it("tells programs the number", function()
        local p = project.new(FILE)
        assert.equal('{"run":1,"jobs":3,"left":3}\n', p:run(0, "--detach", "--json").out)
        assert.equal("2\n", p:run(0, "--detach", "-o", "id").out)
        local r = p:run(0, "--detach", "-q")
        assert.equal("", r.err)
    end)

    it("does not go with what waits or only shows", function()
        local p = project.new(FILE)
        for _, option in ipairs { "--watch", "--report=r.html", "-n", "--dry-run" } do
            local r = p:run(2, "--detach", option)
            assert.matches("^queuectl: %-%-[%a-]+ and %-%-[%a-]+ do not go together\n$", r.err)
        end
        assert.equal(0, p:count())
    end)

    it("again gives what failed to the workers", function()
        local p = project.new(FILE)
        p:write("", "fail")
        p:run(0, "--detach")
        work(p)
        assert.equal("failed", run_of(p).state)
        os.remove(p.dir .. "/fail")
        go(p)
        local r = p:run(0, "--resume", "--detach")
        assert.equal("run 1: 3 jobs, for the workers; see: queuectl runs show 1\n", r.out)
        work(p)
        assert.same({ "first", "first", "hold", "last" }, p:witnessed())
        assert.equal("ok", run_of(p).state)
    end)

    it("takes an interrupted run", function()
        local p = project.new(FILE)
        local run = p:spawn("run", "jobs.lua")
        witnessed(p, "hold")
        run:kill "KILL"
        run:wait()
        t.eventually(function() return #t.processes(p.store) == 0 end, 10, "all gone")
        assert.equal("interrupted", run_of(p).state)
        go(p)
        assert.equal("run 1: 3 jobs, 2 left, for the workers; see: queuectl runs show 1\n",
            p:run(0, "--resume", "--detach").out)
        assert.equal("queued", run_of(p).state)
        work(p)
        assert.same({ "first", "hold", "hold", "last" }, p:witnessed())
    end)

    it("is refused for a run that a front end works on", function()
        local p = project.new(FILE)
        local run = p:spawn("run", "jobs.lua")
        witnessed(p, "hold")
        assert.matches("^queuectl: run 1 is being worked on by process %d+; [^\n]+\n$",
            p:run(4, "--resume", "--detach").err)
        go(p)
        assert.equal(0, run:wait())
        assert.is_false(run_of(p).detached)
    end)
end)

describe("a detached run", function()
    it("is not worked on by a worker of its own that comes too late", function()
        local p = project.new(FILE)
        p:run(0, "--detach")
        local r = p:q("worker", "start", "--run", "1")
        assert.equal(4, r.code)
        assert.matches("queuectl: run 1 was given to the workers meanwhile; see: queuectl runs "
            .. "show 1\n$", r.err)
        assert.equal("[]\n", p:q("worker", "status", "--json").out)
    end)

    it("comes back to the foreground", function()
        local p = project.new(FILE)
        p:run(0, "--detach")
        go(p)
        local r = p:run(0, "--resume")
        assert.matches("^run 1: 3 jobs on ", r.err)
        assert.same({ "first", "hold", "last" }, p:witnessed())
        assert.is_false(run_of(p).detached)
    end)

    it("stays where it is while a worker processes one of its jobs", function()
        local p = project.new(FILE)
        p:run(0, "--detach")
        local worker = p:spawn("worker", "start", "--until-empty", "--name", "w1")
        witnessed(p, "hold")
        local r = p:run(4, "--resume")
        assert.equal("queuectl: job 'hold' of run 1 is being processed by worker w1; wait for it, "
            .. "or stop that worker\n", r.err)
        p:write(FILE .. "\n")
        r = p:run(4, "--resume", "--new-text")
        assert.matches("^queuectl: job 'hold' of run 1 is being processed by worker w1;", r.err)
        assert.is_true(run_of(p, "1").detached)
        go(p)
        assert.equal(0, worker:wait())
        assert.same({ "first", "hold", "last" }, p:witnessed())
    end)
end)
