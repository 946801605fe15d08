-- Part of a file: --only, --from.

local t = require "support"
local project = require "run.project"

local FILE = [[
    local build = job "build" { run = "echo build >>$WITNESS; echo v=7 >>$QUEUECTL_OUTPUT",
        outputs = { "v" } }
    local test = job "test" { needs = build, matrix = { db = { "a", "b" } },
        run = "echo test $MATRIX_DB >>$WITNESS" }
    job "deploy" { needs = test, run = { "sh", "-c", "echo deploy $1 >>$WITNESS", "sh",
        build.out.v } }
    job "index-1" { run = "echo index-1 >>$WITNESS" }
    job "index-2" { needs = "index-1", run = "echo index-2 >>$WITNESS" }
    job "report" { needs = "deploy", env = { V = build.out.v },
        run = "echo report $V >>$WITNESS" }
]]

local function ran(p)
    local lines = p:witnessed()
    os.remove(p.witness)
    table.sort(lines)
    return table.concat(lines, ", ")
end

describe("run --only", function()
    local function only(...)
        local p = project.new(FILE)
        local r = p:q("run", ...)
        assert.equal(0, r.code, r.err)
        return ran(p)
    end

    it("runs a job and what it needs", function()
        assert.equal("build, deploy 7, test a, test b", only("jobs.lua", "--only", "deploy"))
    end)
    it("stands before the file as well", function()
        assert.equal("build, test a, test b", only("--only", "test", "jobs.lua"))
        assert.equal("index-1", only("--only=index-1", "jobs.lua"))
    end)
    it("takes one instance of a matrix", function()
        assert.equal("build, test b", only("jobs.lua", "--only", "test[db=b]"))
    end)
    it("takes several, and several times", function()
        assert.equal("build, index-1", only("--only", "build", "index-1", "jobs.lua"))
        assert.equal("build, index-1", only("--only", "build", "--only", "index-1", "jobs.lua"))
    end)
    it("takes patterns, where nothing but * is special", function()
        assert.equal("index-1, index-2", only("jobs.lua", "--only", "index-*"))
        assert.equal("build, test a", only("jobs.lua", "--only", "*[db=a]"))
    end)

    it("names what is not there, and touches nothing", function()
        local p = project.new(FILE)
        for given, message in pairs {
            tset = "no job 'tset' in the file (did you mean 'test'?)",
            ["index.*"] = "no job 'index.*' in the file",
        } do
            local r = p:q("run", "jobs.lua", "--only", "build", given)
            assert.equal(2, r.code)
            assert.equal("queuectl: " .. message, r.err:match("^[^\n]*"):sub(1, #message + 10))
        end
        assert.equal(0, p:count())
        local r = p:q("run", "--only", "build", "nope.lua")
        assert.same({ 3, "queuectl: nope.lua: No such file or directory\n" }, { r.code, r.err })
        r = p:q("run", "--only", "build")
        assert.same({ 2, "queuectl: FILE is missing; give a jobs file: queuectl run jobs.lua\n" },
            { r.code, r.err })
        r = p:q("run", "jobs.lua", "--only", "build", "--from", "test")
        assert.same({ 2, "queuectl: --only and --from do not go together\n" }, { r.code, r.err })
    end)

    it("shows what it would run, and makes no store for that", function()
        local p = project.new(FILE)
        local plan = t.json(p:run(0, "-n", "--json", "--only", "test[db=b]").out)
        assert.equal("test[db=b]", plan.jobs[2].name)
        assert.equal(2, #plan.jobs)
        assert.equal("build\n└─ test[db=b]\n2 jobs\n", p:run(0, "--graph", "--only", "*b]").out)
        assert.equal("build\n└─ test[db=b]\n2 jobs\n",
            p:q("run", "--only", "*b]", "--graph", "jobs.lua").out)
        local out = p:run(0, "--dry-run", "--only", "index-2").out
        assert.matches("# index-1\n", out, 1, true)
        assert.matches("# index-2  needs index-1\n", out, 1, true)
        assert.not_matches("echo build", out)
        assert.equal("jobs.lua\n", t.run({ "ls", p.dir }).out)
    end)
end)

describe("run --from", function()
    local function earlier()
        local p = project.new(FILE)
        p:run(0, "--only", "test")
        ran(p)
        return p
    end

    it("runs a job and what depends on it, with values of an earlier run", function()
        local p = earlier()
        local r = p:run(0, "--from", "deploy")
        assert.matches("^run 2: 5 jobs, 2 left on ", r.err)
        assert.equal("deploy 7, report 7", ran(p))
        assert.same({ "completed", 1 }, { p:show("report").state, p:show("report").attempts })
    end)

    it("takes the results of what was taken over itself", function()
        local p = earlier()
        p:run(0, "--from", "deploy")
        ran(p)
        p:run(0, "--from", "report")
        assert.equal("report 7", ran(p))
    end)

    it("takes all instances, one, or a pattern", function()
        local p = earlier()
        p:run(0, "--from", "test[db=a]")
        assert.equal("deploy 7, report 7, test a", ran(p))
        p:run(0, "--from", "test")
        assert.equal("deploy 7, report 7, test a, test b", ran(p))
        p:run(0, "--from", "index-*")
        assert.equal("index-1, index-2", ran(p))
    end)

    it("needs results that are there, and says which is not", function()
        local p = project.new(FILE)
        local expected = "queuectl: job 'build', which is needed, has not completed in an earlier "
            .. "run; leave out --from, or run it first: --only 'build'\n"
        assert.equal(expected, p:run(2, "--from", "deploy", "-n").err)
        assert.is_false(t.exists(p.store))
        assert.equal(expected, p:run(2, "--from", "deploy").err)
        assert.equal(0, p:count())
        assert.equal("queuectl: no job 'deplyo' in the file (did you mean 'deploy'?)\n",
            p:run(2, "--from", "deplyo").err)
    end)

    it("shows what it would run and what it takes over", function()
        local p = earlier()
        local plan = t.json(p:run(0, "-n", "--json", "--from", "deploy").out)
        local over = {}
        for _, job in ipairs(plan.jobs) do over[job.name] = job.taken_over or false end
        assert.same({ build = true, ["test[db=a]"] = true, ["test[db=b]"] = true, deploy = false,
            report = false }, over)
        local out = p:run(0, "-n", "--from", "deploy").out
        assert.matches("\n5 jobs, 3 completed earlier\n", out)
        out = p:run(0, "--dry-run", "--from", "deploy").out
        assert.matches("# build  completed in an earlier run\n", out, 1, true)
        assert.not_matches("echo build", out)
        assert.equal("", ran(p))
    end)
end)
