-- runs list, show, cancel; --fail-fast; --report.

local t = require "support"
local project = require "run.project"

local function q(p, code, ...)
    local r = p:q("runs", ...)
    assert.equal(code, r.code, r.out .. r.err)
    return r
end

describe("runs", function()
    local p
    before_each(function()
        p = project.new [[
            param "n" { default = 1, type = "integer" }
            job "a" { retries = 0, run = "test -e ok" }
            job "b" { needs = "a", run = "true" }
        ]]
    end)

    it("says that there are none", function()
        assert.equal("[]\n", q(p, 0, "list").out)
        assert.equal("No run yet; start one with: queuectl run FILE\n",
            q(p, 0, "list", "-o", "table").out)
        assert.equal("queuectl: there are no runs yet; start one: queuectl run jobs.lua\n",
            q(p, 3, "show", "last").err)
    end)

    it("lists them in all forms, the newest first", function()
        p:run(1)
        p:write("", "ok")
        p:run(0, "-p", "n=2")
        local runs = t.json(q(p, 0, "list").out)
        assert.same({ 2, "ok", 1, "failed" },
            { runs[1].run, runs[1].state, runs[2].run, runs[2].state })
        assert.equal(2, select(2, q(p, 0, "list", "-o", "jsonl").out:gsub("{[^\n]*}\n", "")))
        assert.equal("2\n1\n", q(p, 0, "list", "-o", "id").out)
        assert.equal("2\n", q(p, 0, "list", "-o", "id", "--limit", "1").out)
        local rows = project.lines(q(p, 0, "list", "-o", "table").out)
        assert.matches("^RUN  STATE   STARTED ", rows[1])
        assert.matches("^2    ok      .* 2/2 +/", rows[2])
        assert.matches("^1    failed  .* 2/2, 2 failed +/", rows[3])
        assert.equal("2\n1\n", q(p, 0, "list", "-o", "id", "--file", "jobs.lua").out)
    end)

    it("shows one, by number or the last", function()
        p:run(1)
        p:run(1, "-p", "n=2")
        local run = t.json(q(p, 0, "show", "last").out)
        assert.same({ 2, "failed", 2, 1, 1 }, { run.run, run.state, run.failed, run.counts.dead,
            run.counts.skipped })
        assert.same({ n = 2 }, run.params)
        assert.equal(1, t.json(q(p, 0, "show", "1").out).run)
    end)

    it("refuses what is no run", function()
        p:run(1)
        for _, word in ipairs { "x", "0", "-1", "1.5", "1e3", "99999999999999999999" } do
            local r = q(p, 2, "show", "--", word)
            assert.equal(("queuectl: run '%s': give its number, or 'last'; see: queuectl runs "
                .. "list\n"):format(word), r.err)
        end
        assert.equal("queuectl: no run 9; see: queuectl runs list\n", q(p, 3, "show", "9").err)
        assert.equal("queuectl: no run 9; see: queuectl runs list\n", q(p, 3, "cancel", "9").err)
        for _, word in ipairs { "0", "x", "1.5", "10001" } do
            assert.equal(("queuectl: --limit %s: give a whole number from 1 to 10000\n"):format(
                word), q(p, 2, "list", "--limit", word).err)
        end
        assert.equal("queuectl: nope.lua: No such file or directory\n",
            q(p, 3, "list", "--file", "nope.lua").err)
        assert.matches("unknown runs command 'lst' %(did you mean 'list'%?%)", q(p, 2, "lst").err)
    end)

    it("cancels what waits, once", function()
        p:run(0, "--detach")
        assert.equal("run 1: 2 jobs cancelled\n", q(p, 0, "cancel", "last").out)
        assert.equal("cancelled", t.json(q(p, 0, "show", "1").out).state)
        assert.equal("queuectl: run 1 is finished; there is nothing to cancel\n",
            q(p, 4, "cancel", "1").err)
    end)

    it("cancels a run that is being worked on, whose front end ends with 1", function()
        p = project.new [[ job "hold" { kill_after = "1s", run =
            "echo hold >>$WITNESS; while true; do sleep 0.02; done" }
            job "b" { needs = "hold", run = "true" } ]]
        local run = p:spawn("run", "jobs.lua")
        t.eventually(function() return #p:witnessed() == 1 end, 20)
        assert.equal("running", t.json(q(p, 0, "show", "last").out).state)
        assert.equal('{"run":1,"cancelled":1,"stopping":1}\n',
            q(p, 0, "cancel", "last", "--json").out)
        assert.equal(1, run:wait())
        assert.equal("cancelled", t.json(q(p, 0, "show", "last").out).state)
    end)

    it("shows a run that was interrupted as such", function()
        p = project.new [[ job "hold" { kill_after = "1s", run =
            "echo hold >>$WITNESS; while true; do sleep 0.02; done" } ]]
        local run = p:spawn("run", "jobs.lua")
        t.eventually(function() return #p:witnessed() == 1 end, 20)
        run:kill "KILL"
        run:wait()
        t.eventually(function() return #t.processes(p.store) == 0 end, 10, "all gone")
        assert.equal("interrupted", t.json(q(p, 0, "show", "last").out).state)
        assert.matches("^1    interrupted ", project.lines(q(p, 0, "list", "-o", "table").out)[2])
    end)
end)

describe("fail fast", function()
    local FILE = [[
        job "bad" { %s retries = 0, run = "false" }
        job "slow" { run = "while [ ! -e go ]; do sleep 0.02; done; echo slow >>$WITNESS" }
        job "next" { needs = "slow", run = "echo next >>$WITNESS" }
        job "cleanup" { needs = { { "slow", on = "done" } }, run = "echo cleanup >>$WITNESS" }
    ]]

    local function expect(p, ...)
        local run = p:spawn("run", "-j", "2", "jobs.lua", ...)
        t.eventually(function() return run:out():find("dead bad", 1, true) end, 20)
        p:write("", "go")
        assert.equal(1, run:wait())
        assert.same({ "slow", "cleanup" }, p:witnessed())
        assert.same({ bad = "dead", slow = "completed", next = "skipped", cleanup = "completed" },
            p:states())
        return run
    end

    it("starts nothing more but what is there for failures, and ends with 1", function()
        local p = project.new(FILE:format "")
        local run = expect(p, "--fail-fast")
        assert.matches("\n2 completed, 1 dead, 1 skipped in ", run:out())
        assert.matches("\nskipped   next %([^\n]*bad[^\n]*%)\n", run:out())
        local shown = t.json(q(p, 0, "show", "last").out)
        assert.same({ true, true, "failed" }, { shown.fail_fast, shown.halted, shown.state })
    end)

    it("is a key of a job, too", function()
        expect(project.new(FILE:format "fail_fast = true,"))
    end)

    it("is forgotten once the run goes on", function()
        local p = project.new [[ job "bad" { retries = 0, run = "test -e ok" }
            job "b" { needs = "bad", run = "echo b >>$WITNESS" } ]]
        p:run(1, "--fail-fast")
        p:write("", "ok")
        p:run(0, "--resume", "--fail-fast")
        assert.same({ "b" }, p:witnessed())
        assert.is_false(t.json(q(p, 0, "show", "last").out).halted)
    end)
end)

describe("run --report", function()
    it("writes a page, also about a run that failed", function()
        local p = project.new 'job "a" { retries = 0, run = "false" }'
        p:run(1, "--report", "r.html")
        assert.matches("^<!doctype html>", p:read("r.html"):sub(1, 20))
        p:run(1, "--resume", "--report", "r.json")
        assert.equal(1, t.json(p:read "r.json").run)
    end)

    it("refuses a name it cannot write before anything runs", function()
        local p = project.new 'job "a" { run = "true" }'
        assert.matches("^queuectl: [^\n]+\n$", p:run(2, "--report", "r.pdf").err)
        assert.equal(0, p:count())
        local r = p:q("run", "jobs.lua", "--report", "nowhere/r.html")
        assert.matches("^queuectl: [^\n]*nowhere[^\n]*\n$", r.err)
        assert.is_true(r.code ~= 0)
        assert.equal(0, p:count())
    end)
end)
