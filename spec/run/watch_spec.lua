-- --watch: again whenever something changes.

local t = require "support"
local project = require "run.project"

local function line(word)
    return ('job "a" { retries = 0, run = "echo %s >>$WITNESS" }'):format(word)
end

-- How often it has said that it waits.
local function waits(run)
    return select(2, run:err():gsub("waiting for a change %(Ctrl%-C ends it%)\n", ""))
end

local function waiting(run, times)
    t.eventually(function() return waits(run) == times end, 20, "it waits")
end

local function start(p, ...)
    local run = p:spawn("run", "--watch", "jobs.lua", ...)
    waiting(run, 1)
    return run
end

local function stop(run, code, signal)
    run:kill(signal or "INT")
    assert.equal(code, run:wait())
end

describe("run --watch", function()
    it("runs again when the file changes, until Ctrl-C", function()
        local p = project.new(line "one")
        local run = start(p)
        p:write(line "two")
        waiting(run, 2)
        assert.same({ "one", "two" }, p:witnessed())
        assert.matches("\n" .. p.dir .. "/jobs.lua changed\nrun 2: ", run:err(), 1, true)
        stop(run, 0)
    end)

    it("sees a file that is replaced, as editors do", function()
        local p = project.new(line "one")
        local run = start(p)
        for i, word in ipairs { "two", "three" } do
            p:write(line(word), ".jobs.lua.new")
            os.rename(p.dir .. "/.jobs.lua.new", p.dir .. "/jobs.lua")
            waiting(run, i + 1)
        end
        assert.same({ "one", "two", "three" }, p:witnessed())
        stop(run, 0)
    end)

    it("says what is wrong with a broken file, and goes on", function()
        local p = project.new(line "one")
        local run = start(p)
        p:write "jbo 'x'"
        waiting(run, 2)
        assert.matches("\njobs.lua:1: undefined variable 'jbo' (did you mean 'job'?)\n", run:err(),
            1, true)
        os.remove(p.dir .. "/jobs.lua")
        waiting(run, 3)
        assert.matches("\nqueuectl: jobs.lua: No such file or directory\n", run:err(), 1, true)
        p:write(line "two")
        waiting(run, 4)
        assert.same({ "one", "two" }, p:witnessed())
        stop(run, 0)
    end)

    it("sees modules: changed, broken from the beginning, and those that come", function()
        local p = project.new 'job "a" { run = "echo " .. require("lib.m") .. " >>$WITNESS" }'
        local run = start(p)
        assert.matches("module 'lib.m' not found", run:err(), 1, true)
        t.mkdir_p(p.dir .. "/lib")
        p:write("return nothing", "lib/m.lua")
        t.eventually(function() return run:err():find("undefined variable 'nothing'", 1, true) end)
        waiting(run, waits(run))
        p:write("return 'one'", "lib/m.lua")
        t.eventually(function() return #p:witnessed() == 1 end)
        t.eventually(function() return run:err():find "run 1[^\n]*\nwaiting[^\n]*\n$" end)
        p:write("return 'two'", "lib/m.lua")
        t.eventually(function() return #p:witnessed() == 2 end)
        t.eventually(function() return run:err():find "run 2[^\n]*\nwaiting[^\n]*\n$" end)
        assert.equal(0, t.run({ "mv", p.dir .. "/lib", p.dir .. "/away" }).code)
        t.eventually(function() return run:err():find "not found[^\n]*\nwaiting[^\n]*\n$" end)
        assert.equal(0, t.run({ "mv", p.dir .. "/away", p.dir .. "/lib" }).code)
        t.eventually(function() return #p:witnessed() == 3 end)
        assert.same({ "one", "two", "two" }, p:witnessed())
        stop(run, 0)
    end)

    it("runs again at once for what changed while jobs ran", function()
        local p = project.new [[ job "a" { run =
            "echo one >>$WITNESS; while [ ! -e go ]; do sleep 0.02; done" } ]]
        local run = p:spawn("run", "--watch", "jobs.lua")
        t.eventually(function() return #p:witnessed() == 1 end)
        p:write(line "two")
        p:write("", "go")
        waiting(run, 1)
        assert.same({ "one", "two" }, p:witnessed())
        stop(run, 0)
    end)

    it("ends with what the last run ended with, or by TERM with 143", function()
        local p = project.new 'job "a" { retries = 0, run = "false" }'
        stop(start(p), 1)
        stop(start(p), 143, "TERM")
        p:write "jbo()"
        stop(start(p), 78)
    end)

    it("is interrupted like any run while jobs run", function()
        local p = project.new [[ job "a" { kill_after = "1s", run =
            "echo a >>$WITNESS; while [ ! -e go ]; do sleep 0.02; done" }
            job "b" { needs = "a", run = "true" } ]]
        local run = p:spawn("run", "--watch", "jobs.lua")
        t.eventually(function() return #p:witnessed() == 1 end)
        run:kill "INT"
        t.eventually(function() return run:out():find("stopping", 1, true) end)
        p:write("", "go")
        assert.equal(130, run:wait())
        assert.equal(0, waits(run))
    end)

    it("refuses files that are not there", function()
        local p = project.new(line "one")
        local r = p:q("run", "--watch", "nope.lua")
        assert.same({ 3, "queuectl: nope.lua: No such file or directory\n" }, { r.code, r.err })
        r = p:run(3, "--watch-path", "nowhere")
        assert.equal("queuectl: nowhere: No such file or directory\n", r.err)
        assert.equal(0, p:count())
    end)

    it("tells programs what it does, a JSON object a line", function()
        local p = project.new(line "one")
        local run = start(p, "--json")
        p:write(line "two")
        waiting(run, 2)
        local seen = {}
        for _, event in ipairs(project.events(run:out())) do
            if event.event ~= "picked" and event.event ~= "started" then
                seen[#seen + 1] = event.event
            end
            if event.event == "changed" then assert.equal(p.dir .. "/jobs.lua", event.path) end
        end
        local text = table.concat(seen, " ")
        assert.matches("^run .*summary waiting changed run .*summary waiting$", text)
        stop(run, 0)
    end)
end)

describe("run --watch-path", function()
    it("sees what is below a folder, also in folders that come, but no dot files", function()
        local p = project.new(line "x")
        t.mkdir_p(p.dir .. "/src/deep")
        local run = p:spawn("run", "jobs.lua", "--watch-path", "src")
        waiting(run, 1)
        p:write("", "src/.swp")
        p:write("1", "src/deep/a.c")
        waiting(run, 2)
        assert.matches("/src/deep/a.c changed\n", run:err(), 1, true)
        assert.not_matches(".swp changed", run:err(), 1, true)
        t.mkdir_p(p.dir .. "/src/new")
        waiting(run, 3)
        p:write("1", "src/new/b.c")
        waiting(run, 4)
        assert.matches("/src/new/b.c changed\n", run:err(), 1, true)
        p:write(line "y")
        waiting(run, 5)
        assert.same({ "x", "x", "x", "x", "y" }, p:witnessed())
        stop(run, 0)
    end)

    it("takes a file, and leaves its neighbours alone", function()
        local p = project.new(line "x")
        p:write("", "data.csv")
        local run = p:spawn("run", "jobs.lua", "--watch-path", "data.csv")
        waiting(run, 1)
        p:write("", "other.csv")
        p:write("1", "data.csv")
        waiting(run, 2)
        assert.matches("/data.csv changed\n", run:err(), 1, true)
        assert.equal(2, #p:witnessed())
        stop(run, 0)
    end)

    it("does not count what the jobs themselves change", function()
        local p = project.new 'job "a" { run = "echo a >>$WITNESS; echo a >out/result" }'
        t.mkdir_p(p.dir .. "/out")
        local run = p:spawn("run", "jobs.lua", "--watch-path", "out")
        waiting(run, 1)
        p:write("1", "out/input")
        waiting(run, 2)
        assert.same({ "a", "a" }, p:witnessed())
        stop(run, 0)
    end)
end)
