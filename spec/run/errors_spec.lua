-- What is wrong with a jobs file or a command line is said with its place, and nothing is touched.

local t = require "support"
local project = require "run.project"

local NO_JOBS = 'no jobs defined; define one: job "hello" { run = "echo hello" }'

-- Each file with the whole of what is printed about it.
local WRONG = {
    { "an unknown key", 'job "test" { retires = 1, run = "x" }',
      "jobs.lua:1: job 'test': unknown key 'retires' (did you mean 'retries'?)" },
    { "a bad duration", 'job "build" {\n run = "x", timeout = "5 parsecs" }',
      "jobs.lua:1: job 'build': timeout: bad duration \"5 parsecs\"" },
    { "an unknown job", 'job "build" { run = "x" }\njob "deploy" { needs = "biuld", run = "x" }',
      "jobs.lua:2: job 'deploy' needs unknown job 'biuld' (did you mean 'build'?)" },
    { "a cycle", 'job "a" { needs = "b", run = "x" }\njob "b" { needs = "a", run = "x" }',
      "dependency cycle: a -> b -> a" },
    { "an undefined variable", '\n\njbo "x" {}',
      "jobs.lua:3: undefined variable 'jbo' (did you mean 'job'?)" },
    { "an assignment to a global", '\nx = 5\njob "a" { run = "x" }',
      "jobs.lua:2: assignment to global 'x': add 'local'" },
    { "an output in a string", [[
local a = job "a" { run = "x", outputs = { "v" } }
job "b" { run = "echo " .. a.out.v }]],
      "jobs.lua:2: a job output cannot be spliced into a string; pass it through env or as an "
      .. "entry of a run list" },
    { "a job twice", 'job "a" { run = "x" }\njob "a" { run = "x" }',
      "jobs.lua:2: job 'a' is already defined at line 1" },
    { "a job that needs itself", 'job "a" { needs = "a", run = "x" }',
      "jobs.lua:1: job 'a' needs itself" },
    { "a job without run", 'job "a" {}', "jobs.lua:1: job 'a': run is missing" },
    { "Lua that cannot be read", 'job "a" {\n run = "x"\n', "jobs.lua:3: '}' expected "
      .. "(to close '{' at line 1) near '<eof>'" },
    { "an error of the file", 'local n = nil\nprint(n.x)',
      "jobs.lua:2: attempt to index local 'n' (a nil value)" },
    { "an error raised by the file", 'error "not today"', "jobs.lua:1: not today" },
    { "os.exit", 'os.exit(0)',
      "jobs.lua:1: os.exit would end queuectl itself; raise an error instead" },
    { "an output nobody promised", 'local a = job "a" { run = "x" }\n'
      .. 'job "b" { run = { "x", a.out.v } }',
      "jobs.lua:2: job 'a' declares no outputs; add outputs = { \"v\" } to it" },
    { "no jobs", "local x = 1", "jobs.lua: " .. NO_JOBS },
    { "an empty file", "", "jobs.lua: " .. NO_JOBS },
}

describe("a jobs file with", function()
    for _, case in ipairs(WRONG) do
        it(case[1] .. " is refused", function()
            local p = project.new(case[2])
            for _, command in ipairs { "run", "check" } do
                local r = p:q(command, "jobs.lua")
                assert.same({ 78, "", case[3] .. "\n" }, { r.code, r.out, r.err })
            end
            assert.equal(0, p:count())
        end)
    end

    it("several mistakes shows them all, in the order of lines", function()
        local p = project.new('job "a" { retires = 1, timeout = "x", run = "x" }\n'
            .. 'job "b" { needs = "c", run = "x" }\n')
        local r = p:run(78)
        assert.equal([[
jobs.lua:1: job 'a': unknown key 'retires' (did you mean 'retries'?)
jobs.lua:1: job 'a': timeout: bad duration "x"
jobs.lua:2: job 'b' needs unknown job 'c'
]], r.err)
    end)

    it("mistakes is named as it was typed, also from elsewhere and through a link", function()
        local p = project.new 'jbo "x" {}'
        assert.equal(0, t.run({ "ln", "-s", p.dir .. "/jobs.lua", p.dir .. "/link.lua" }).code)
        for _, path in ipairs { "./jobs.lua", p.dir .. "/jobs.lua", "link.lua" } do
            local r = p:q("run", path)
            local shown = #path <= 56 and path or "..." .. path:sub(-53)
            assert.equal(shown:sub(-20) .. ":1: undefined variable 'jbo' (did you mean 'job'?)\n",
                         r.err:sub(-#shown:sub(-20) - 51))
        end
    end)
end)

describe("check", function()
    it("warns of what is hardly meant, with exit code 1, and a run does not", function()
        local p = project.new [[
            local who = param "who" { default = "you" }
            local a = job "a" { run = "echo " .. who .. " >>$WITNESS" }
            job "b" { needs = { a, { "c", on = "failure" } }, run = "true" }
            job "c" { needs = { { a, on = "failure" } }, run = "true", allow_failure = true }
        ]]
        local r = p:q("check", "jobs.lua")
        assert.same({ 1, [[
jobs.lua:2: warning: job 'a': parameter 'who' stands in shell text unquoted; write sh.quote(...)]]
            .. [[ around it or pass it through env
jobs.lua:3: warning: job 'b' can never run: it needs 'c' to fail, but with allow_failure that ]]
            .. [[counts as success
jobs.lua: 3 jobs, 2 warnings
]], "" }, { r.code, r.out, r.err })
        local answer = t.json(p:q("check", "--json", "jobs.lua").out)
        assert.same({ file = "jobs.lua", line = 2 },
            { file = answer.warnings[1].file, line = answer.warnings[1].line })
        assert.equal(3, answer.jobs)
        assert.is_nil(p:q("run", "jobs.lua").err:match("warning"))
        assert.same({ "you" }, p:witnessed())
    end)

    it("reads several files as one, their modules and values of parameters", function()
        local p = project.new [[
            local lib = require "lib.steps"
            job "a" { run = lib.say(param "who" { required = true }) }
        ]]
        p:write('job "b" { needs = "a", run = "true" }', "more.lua")
        assert.equal(0, t.run({ "mkdir", p.dir .. "/lib" }).code)
        p:write('return { say = function(who) return "echo " .. sh.quote(who) end }',
            "lib/steps.lua")
        local r = p:q("check", "jobs.lua", "more.lua")
        assert.same({ 0, "jobs.lua, more.lua: 2 jobs, nothing wrong\n", "" },
            { r.code, r.out, r.err })
        assert.equal(0, p:q("check", "jobs.lua", "-p", "who=me").code)
        r = p:q("check", "more.lua")
        assert.same({ 78, "more.lua:1: job 'b' needs unknown job 'a'\n" }, { r.code, r.err })
        r = p:q("check", "jobs.lua", "-p", "hwo=me")
        assert.same({ 2, "queuectl: unknown parameter 'hwo' (did you mean 'who'?); there are "
            .. "who\n" },
            { r.code, r.err })
        assert.equal(2, p:q("check", "jobs.lua", "-p", "who").code)
        r = p:q("check", "jobs.lua", "./jobs.lua")
        assert.same({ 2, "queuectl: ./jobs.lua is given twice, also as jobs.lua\n" },
            { r.code, r.err })
        p:write("\nreturn nothing", "lib/steps.lua")
        r = p:q("check", "jobs.lua")
        assert.same({ 78, "lib/steps.lua:2: undefined variable 'nothing'\n" }, { r.code, r.err })
    end)

    it("does not take for a module what is no file", function()
        local p = project.new 'require "m"'
        for _, made in ipairs { "mkdir", "mkfifo" } do
            assert.equal(0, t.run({ made, p.dir .. "/m.lua" }).code)
            assert.matches("^jobs%.lua:1: module 'm' not found: no m%.lua or m/init%.lua in %.",
                p:q("check", "jobs.lua").err)
            assert.equal(0, t.run({ "rm", "-r", p.dir .. "/m.lua" }).code)
        end
    end)

    it("names a module where it is, also when the jobs file is reached through a link", function()
        local p = project.new 'require "m"'
        p:write("\nreturn nothing", "m.lua")
        assert.equal(0, t.run({ "mkdir", p.dir .. "/links" }).code)
        assert.equal(0, t.run({ "ln", "-s", "../jobs.lua", p.dir .. "/links/l.lua" }).code)
        assert.equal(p.dir .. "/m.lua:2: undefined variable 'nothing'\n",
            p:q("check", "links/l.lua").err)
        assert.equal("links/../m.lua:2: undefined variable 'nothing'\n",
            p:q("check", "links/../jobs.lua").err)
    end)

    it("finds nothing wrong with the examples", function()
        local files = t.run({ "sh", "-c", "ls scripts/examples/*.lua" }, { cwd = t.root }).out
        local count = 0
        for file in files:gmatch("%S+") do
            local r = t.run({ t.binary, "check", t.root .. "/" .. file })
            assert.equal(0, r.code, r.out .. r.err)
            assert.matches("jobs, nothing wrong\n$", r.out)
            count = count + 1
        end
        assert.is_true(count >= 4)
    end)
end)

describe("run, given", function()
    local function refused(code, message, ...)
        local p = project.new 'job "a" { run = "echo x >>$WITNESS" }'
        assert.equal(0, t.run({ "mkdir", p.dir .. "/folder" }).code)
        assert.equal(0, t.run({ "ln", "-s", "nowhere", p.dir .. "/dangling.lua" }).code)
        local r = p:q("run", ...)
        assert.same({ code, "", "queuectl: " .. message .. "\n" }, { r.code, r.out, r.err })
        assert.equal(0, p:count())
        assert.is_false(t.exists(p.witness))
    end

    it("no file", function()
        refused(2, "FILE is missing; give a jobs file: queuectl run jobs.lua")
    end)
    it("a name that is not there", function()
        refused(3, "nope.lua: No such file or directory", "nope.lua")
    end)
    it("a folder", function() refused(2, "folder: is not a file; give a jobs file", "folder") end)
    it("a link to nothing", function()
        refused(3, "dangling.lua: No such file or directory", "dangling.lua")
    end)
    it("an empty name", function()
        refused(2, "the file's name is empty; give a jobs file", "")
    end)
    it("a file twice", function()
        refused(2, "jobs.lua is given twice", "jobs.lua", "jobs.lua")
    end)
    it("a misspelt option", function()
        refused(2, "unknown option '--jsno' (did you mean '--json'?); see: queuectl run --help",
                "jobs.lua", "--jsno")
    end)
    for _, n in ipairs { "0", "-1", "x", "1.5", "99999999999999999999" } do
        it(n .. " slots", function()
            local p = project.new 'job "a" { run = "true" }'
            local r = p:q("run", "jobs.lua", "--jobs=" .. n)
            assert.equal(2, r.code)
            assert.matches("must be a whole number from 1 to %d+\n$", r.err)
            assert.equal(0, p:count())
        end)
    end
    it("--resume without an earlier run", function()
        local p = project.new 'job "a" { run = "true" }'
        local r = p:run(3, "--resume")
        assert.equal("queuectl: jobs.lua has never been run; leave out --resume\n", r.err)
        p:run(0)
        assert.equal("queuectl: jobs.lua has nothing to go on with: run 1 is complete; "
            .. "leave out --resume\n", p:run(3, "--resume").err)
    end)

    it("a file that may not be read", function()
        local p = project.new 'job "a" { run = "true" }'
        local as_nobody = { "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                            t.binary, "run", p.dir .. "/jobs.lua" }
        assert.equal(0, t.run({ "chmod", "600", p.dir .. "/jobs.lua" }).code)
        if t.run({ "id", "-u" }).out ~= "0\n" then
            assert.equal(0, t.run({ "chmod", "0", p.dir .. "/jobs.lua" }).code)
            as_nobody = { t.binary, "run", p.dir .. "/jobs.lua" }
        end
        local r = t.run(as_nobody, { env = { QUEUECTL_STORE = p.store } })
        assert.equal(7, r.code, r.err)
        assert.matches("jobs.lua: Permission denied\n$", r.err)
    end)

    it("a store that cannot be", function()
        local p = project.new 'job "a" { run = "echo x >>$WITNESS" }'
        local cases = { { "/nowhere/q.db", 6 }, { p.dir, 6 }, { p.dir .. "/jobs.lua", 8 } }
        for _, case in ipairs(cases) do
            local r = p:q("--store", case[1], "run", "jobs.lua")
            assert.equal(case[2], r.code, r.err)
            assert.matches("^queuectl: [^\n]+\n$", r.err)
        end
        assert.is_false(t.exists(p.witness))
    end)
end)

describe("run -n", function()
    it("shows what would run and touches nothing", function()
        local p = project.new [[
            local build = job "build" { run = "echo x >>$WITNESS\n  true", outputs = { "v" } }
            job "use" { run = { "echo", build.out.v }, needs = { { "lua", on = "done" } } }
            job "lua" { run = function() end }
        ]]
        local r = p:run(0, "-n")
        assert.equal([[
STEP  JOB    NEEDS              RUNS
1     build                     echo x >>$WITNESS\ntrue
1     lua                       Lua function
2     use    lua (done), build  echo <v of build>
3 jobs
]], r.out)
        assert.equal("", r.err)
        local plan = t.json(p:run(0, "--plan", "--json").out)
        assert.equal(p.dir .. "/jobs.lua", plan.file)
        assert.equal(3, #plan.jobs)
        assert.same({ name = "use", step = 2, kind = "argv", command = "echo <v of build>",
                      file = "jobs.lua", line = 2, needs = { { job = "lua", on = "done" },
                                          { job = "build", on = "success" } } }, plan.jobs[3])
        local left = t.run({ "ls", p.dir }).out
        assert.equal("jobs.lua\n", left)
    end)

    it("has mistakes too", function()
        local p = project.new 'jbo "x" {}'
        assert.equal(78, p:q("run", "-n", "jobs.lua").code)
    end)
end)
