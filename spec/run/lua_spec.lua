-- Lua jobs end to end: each in a process of its own, and each fails alone, with its reason.

local t = require "support"
local project = require "run.project"

local HOW = ': return nothing or a table of outputs for success, ctx.fail("...") or error("...") '
    .. "for failure"

-- Each: the body of the function, then the first line of the reason, with LINE for its place.
local FAILURES = {
    ["os.exit(0)"] = "the function ended its process with exit code 0 instead of returning "
        .. "(os.exit?)",
    ["os.exit(3)"] = "the function ended its process with exit code 3 instead of returning "
        .. "(os.exit?)",
    ["error { code = 5 }"] = "LINE: an error was raised with a table: { code = 5 }",
    ["error()"] = "LINE: an error was raised without a message",
    ["error 'plain'"] = "LINE: plain",
    ["local x = nil; return x.y"] = "LINE: attempt to index local 'x' (a nil value)",
    ["y = 1"] = "LINE: assignment to global 'y': add 'local'",
    ["return false"] = "returned false" .. HOW,
    ["return nil, 'went wrong'"] = 'returned nil, "went wrong"' .. HOW,
    ["return 'done'"] = 'returned "done"' .. HOW,
    ["return ctx.fail 'no good'"] = "no good",
    ["ctx.fail 'no good'"] = "ctx.fail was called, but its result was not returned: "
        .. "write return ctx.fail(...)",
    ["ctx.exce { 'true' }"] = "LINE: ctx has no field 'exce' (did you mean 'exec'?)",
    ["ctx.exec({ 'sh', '-c', 'echo boo >&2; exit 3' }, { check = true })"] =
        "LINE: ctx.exec: sh -c echo boo >&2; exit 3: exit code 3: boo",
    ["ctx.exec { 'nonesuch-program' }"] = "LINE: ctx.exec: cannot run nonesuch-program: "
        .. "nonesuch-program: No such file or directory",
    ["ctx.exec({ 'sleep', '100' }, { timeout = '100ms', check = true })"] =
        "LINE: ctx.exec: sleep 100: timed out after 100ms",
    ["local function f() return 1 + f() end f()"] = "stack overflow",
    ["local x = {} for i = 1, 1e9 do x[i] = ('x'):rep(4000) .. i end"] =
        "not enough memory: a Lua job may hold 1 GiB",
    ["require('ffi').cast('int *', 0)[0] = 1"] =
        "the Lua process was killed by signal 11 (SEGV)",
    ["os.execute 'kill -9 $PPID'"] = "the Lua process was killed by signal 9 (KILL)",
    ["while true do end"] = "timed out after 1 s",
}

describe("a Lua job that goes wrong", function()
    local p, jobs, run
    local bodies = {}

    setup(function()
        local text = {}
        for body in pairs(FAILURES) do bodies[#bodies + 1] = body end
        table.sort(bodies)
        for i, body in ipairs(bodies) do
            text[i] = ("job 'j%d' { run = function(_, ctx) %s end, retries = 0%s }"):format(i, body,
                body:find "^while" and ", timeout = '1s', kill_after = '100ms'" or "")
        end
        text[#text + 1] = "job 'good' { run = function() return { fine = true } end }"
        p = project.new(table.concat(text, "\n"))
        -- The sanitizer of a test build must leave the signal alone.
        run = p:run(1, { ASAN_OPTIONS = (os.getenv "ASAN_OPTIONS" or "") .. ":handle_segv=0" })
        jobs = p:jobs()
    end)

    local names = {}
    for body in pairs(FAILURES) do names[#names + 1] = body end
    table.sort(names)
    for i, body in ipairs(names) do
        it("by " .. body .. " says so", function()
            local expected = FAILURES[body]:gsub("^LINE", "jobs.lua:" .. i)
            local reason = jobs["j" .. i].last_error:match("^[^\n]*")
            -- LuaJIT tells the place of an overflow or does not.
            reason = reason:gsub("^[^ ]*: stack overflow$", "stack overflow")
            -- Where the file lies is shown in full or, if that is long, by its end.
            assert.equal(expected, (reason:gsub("^[^ ]*/jobs.lua:", "jobs.lua:")))
            assert.equal("dead", jobs["j" .. i].state)
        end)
    end

    it("fails alone", function()
        assert.equal("completed", jobs.good.state)
        assert.matches(("\n1 completed, %d dead in "):format(#names), run.out, 1, true)
        assert.matches(("… and %d more dead; see: queuectl list --run 1 --state dead\n")
            :format(#names - 10), run.out, 1, true)
    end)

    it("has its traceback in the store", function()
        for i, body in ipairs(names) do
            if body == "error 'plain'" then
                assert.matches("jobs.lua:%d+: plain\nstack traceback:\n", jobs["j" .. i].last_error)
            end
        end
    end)
end)

describe("a Lua job", function()
    it("runs programs and hears what they say", function()
        local p = project.new [[
            job "a" { run = function(_, ctx)
                local r = ctx.exec({ "sh", "-c", 'cat; echo "$V $(pwd)"; echo err >&2; exit 3' },
                    { stdin = "in\n", env = { V = "v" }, cwd = "/" })
                return { code = r.exit_code, out = r.stdout, err = r.stderr,
                    timed = r.duration >= 0 }
            end }
        ]]
        p:run(0)
        assert.same({ code = "3", out = "in\nv /\n", err = "err\n", timed = "true" },
                    p:show("a").outputs)
    end)

    it("tells values, progress and log lines, and what it prints is kept", function()
        local p = project.new [[
            job "a" { run = function(job, ctx)
                ctx.output("one", 1)
                ctx.progress(0.25, "a quarter")
                ctx.log("warn", "careful")
                print("printed by " .. job.name)
                io.stderr:write("to stderr\n")
                return { two = 2 }
            end }
        ]]
        local r = p:run(0, "--json")
        local seen
        for _, event in ipairs(project.events(r.out)) do
            if event.event == "progress" then seen = { event.name, event.fraction, event.text } end
        end
        assert.same({ "a", 0.25, "a quarter" }, seen)
        assert.same({ one = "1", two = "2" }, p:show("a").outputs)
        local log = p:logs("a")
        assert.matches("warn: careful\n", log, 1, true)
        assert.matches("printed by a\n", log, 1, true)
        assert.matches("to stderr\n", log, 1, true)
    end)

    it("snoozes without using up a try", function()
        local p = project.new [[
            job "a" { retries = 0, run = function(_, ctx)
                local file = io.open(os.getenv "WITNESS", "a")
                file:write(ctx.attempt, "\n")
                file:close()
                local n = 0
                for _ in io.lines(os.getenv "WITNESS") do n = n + 1 end
                if n < 3 then return ctx.snooze("20ms", "not yet") end
            end }
        ]]
        local r = p:run(0)
        assert.same({ "1", "1", "1" }, p:witnessed())
        assert.matches("snoozed a (not yet, again in 0.02 s)\n", r.out, 1, true)
    end)

    it("may know that trying again is of no use", function()
        local p = project.new [[
            job "a" { retries = 5, run = function(_, ctx)
                return ctx.fail("refused", { retry = false })
            end }
            job "b" { retries = 1, backoff = { "10ms" }, run = function(_, ctx)
                return ctx.fail("try " .. ctx.attempt)
            end }
        ]]
        local r = p:run(1)
        assert.matches("dead a (refused, after 1 attempt)", r.out, 1, true)
        assert.matches("dead b (try 2, after 2 attempts)", r.out, 1, true)
    end)

    it("may give its failure a class, which is kept with the attempt", function()
        local p = project.new [[
            job "a" { retries = 1, backoff = { "10ms" }, run = function(_, ctx)
                if ctx.attempt == 2 then error "no" end
                return ctx.fail("busy", { class = "http.429" })
            end }
            job "b" { run = function(_, ctx)
                return ctx.fail("gone", { retry = false, class = "gone" })
            end }
        ]]
        local r, classes = p:run(1, "--json"), {}
        for line in r.out:gmatch("[^\n]+") do
            local event = t.json(line)
            classes[#classes + 1] = event.class and event.name .. " " .. event.class
        end
        table.sort(classes)
        assert.same({ "a http.429", "b gone" }, classes)
        local tries = p:show("a").history
        assert.same({ "http.429", "busy" }, { tries[1].class, tries[1].error })
        assert.is_nil(tries[2].class)
        assert.equal("gone", p:show("b").history[1].class)
    end)

    it("keeps its promise of outputs or fails", function()
        local p = project.new [[
            job "a" { outputs = { "must" }, retries = 0, run = function() end }
        ]]
        p:run(1)
        assert.equal("promised output 'must' was not set", p:jobs().a.last_error)
    end)

    it("leaves nothing behind when its time is up", function()
        local p = project.new [[
            job "a" { timeout = "300ms", kill_after = "100ms", retries = 0,
                env = { MARK = "left-by-a-lua-job" },
                run = function(_, ctx) ctx.exec { "sh", "-c", "sleep 1000 & sleep 1000" } end }
        ]]
        p:run(1)
        assert.same({}, t.processes "left-by-a-lua-job")
    end)
end)
