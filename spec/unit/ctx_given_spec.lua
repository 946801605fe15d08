-- What a job is given (params, outputs, needs), `when`, and how the facts reach it.

local job_host = require "unit.job_host"
local main = require "queuectl.lua_job_main"

local run, first_line = job_host.run, job_host.first_line

local NEEDS = {
    { name = "build", state = "completed", outputs = { version = "1.2", path = "/x=y" } },
    { name = "test[db=pg]", state = "completed", outputs = {} },
    { name = "deploy", state = "dead", error = "exit 3", outputs = {} },
}

local function with(body, info)
    info = info or { needs = NEEDS }
    local job = { name = "a", fn = assert(loadstring("local job, ctx = ...\n" .. body,
        "=jobs.lua")) }
    return job_host.run_job(job, info)
end

describe("ctx.outputs", function()
    it("has the outputs of the jobs it needs", function()
        assert.same({ v = "1.2", p = "/x=y" },
            with("return { v = ctx.outputs.build.version, p = ctx.outputs.build.path }").outputs)
    end)

    it("can be walked", function()
        assert.same({ n = "3", o = "2" }, with([[
            local n, o = 0, 0
            for name, outputs in pairs(ctx.outputs) do
                n = n + 1
                for _ in pairs(outputs) do o = o + 1 end
            end
            return { n = n, o = o }]]).outputs)
    end)

    local wrong = {
        { "return { x = ctx.outputs.biuld }",
            "ctx.outputs: this job does not need 'biuld' (did you mean 'build'?)" },
        { "return { x = ctx.outputs.other }", "ctx.outputs: this job does not need 'other'; "
            .. "it needs 'build', 'test[db=pg]', 'deploy'" },
        { "return { x = ctx.outputs.build.verison }",
            "job 'build' gave no output 'verison' (did you mean 'version'?)" },
        { "return { x = ctx.outputs.build.rows }",
            "job 'build' gave no output 'rows'; it gave 'path', 'version'" },
        { "return { x = ctx.outputs['test[db=pg]'].rows }",
            "job 'test[db=pg]' gave no output 'rows'; it gave none" },
        { "return { x = ctx.outputs.deploy.url }",
            "job 'deploy' ended dead and gave no output 'url'; it gave none" },
        { "ctx.outputs.build.new = 1",
            "the outputs of 'build' cannot be changed (its field 'new' was set)" },
        { "return { x = ctx.needs.deploy.reason }", "ctx.needs.deploy has no field 'reason'" },
        { "return { x = ctx.needs.nope.state }", "ctx.needs: this job does not need 'nope'; "
            .. "it needs 'build', 'test[db=pg]', 'deploy'" },
    }
    for _, case in ipairs(wrong) do
        it("refuses " .. case[1], function()
            assert.equal("jobs.lua:2: " .. case[2], first_line(with(case[1])))
        end)
    end

    it("is empty where nothing is needed", function()
        assert.equal("jobs.lua:2: ctx.outputs: this job does not need 'b'; it needs no job",
            first_line(with("return { x = ctx.outputs.b.c }", {})))
        assert.equal("ok", with("assert(next(ctx.outputs) == nil)", {}).kind)
    end)
end)

describe("ctx.needs", function()
    it("tells how each of them ended", function()
        assert.same({ s = "dead", e = "exit 3", b = "completed", none = "nil", v = "1.2" }, with([[
            local needs = ctx.needs
            return { s = needs.deploy.state, e = needs.deploy.error, b = needs.build.state,
                none = tostring(needs.build.error), v = needs.build.outputs.version }]]).outputs)
    end)
end)

describe("ctx.params", function()
    local PARAMS = { params = { target = "prod", shards = 3, fast = false } }

    it("has the values of this run", function()
        assert.same({ t = "prod", s = "3", f = "false" }, with([[
            local p = ctx.params
            return { t = p.target, s = p.shards, f = p.fast }]], PARAMS).outputs)
    end)

    it("has no others and does not change", function()
        assert.equal("jobs.lua:2: there is no parameter 'tagret' (did you mean 'target'?)",
            first_line(with("return { x = ctx.params.tagret }", PARAMS)))
        assert.equal("jobs.lua:2: there is no parameter 'x'; the file has none",
            first_line(with("return { x = ctx.params.x }", {})))
        assert.equal("jobs.lua:2: ctx.params cannot be changed (its field 'new' was set)",
            first_line(with("ctx.params.new = 1", PARAMS)))
    end)
end)

describe("when", function()
    local function ask(body, info, fn)
        local job = { name = "a", fn = fn or function() return { ran = true } end,
            when = assert(loadstring("local ctx = ...\n" .. body, "=jobs.lua")) }
        local facts = { when = true, needs = NEEDS }
        for key, value in pairs(info or {}) do facts[key] = value end
        return job_host.run_job(job, facts)
    end

    it("that says false skips the job", function()
        local h = ask "return false"
        assert.same({ "skip", {} }, { h.kind, h.outputs })
        h = ask("return false", { kind = "shell", shell = "echo" })
        assert.same({ "skip", {} }, { h.kind, h.told })
    end)

    it("that says true lets it run", function()
        assert.same({ ran = "true" }, ask("return true").outputs)
        assert.same({ ran = "true" }, ask("return ctx.outputs.build.version == '1.2'").outputs)
    end)

    it("lets the process become a command", function()
        local h = ask("return true", { kind = "shell", shell = "echo x" })
        assert.same({ "go", { { "execute", "echo x" } } }, { h.kind, h.told })
        h = ask("return true", { kind = "argv", argv = { "echo", "x" } })
        assert.same({ "go", { { "execute", { "echo", "x" } } } }, { h.kind, h.told })
    end)

    it("is not asked where it has been asked", function()
        assert.equal("ok", ask("error 'asked'", { when = false }).kind)
    end)

    local wrong = {
        { "", "jobs.lua:0: when returned nil: return true to run the job, false to skip it" },
        { "return 1", "jobs.lua:0: when returned 1: return true to run the job, false to skip it" },
        { "return 'no'",
            'jobs.lua:0: when returned "no": return true to run the job, false to skip it' },
        { "return ctx.fail('x')", "jobs.lua:0: when returned an outcome: "
            .. "return true to run the job, false to skip it" },
        { "error('boom')", "when: jobs.lua:2: boom" },
        { "error(ctx.fail('x'))", "when: raised an outcome" },
        { "return ctx.outptus.x",
            "when: jobs.lua:2: ctx has no field 'outptus' (did you mean 'outputs'?)" },
    }
    for _, case in ipairs(wrong) do
        it("kills the job with " .. case[1], function()
            local h = ask(case[1])
            assert.same({ "fatal", case[2] }, { h.kind, first_line(h) })
            h = ask(case[1], { kind = "shell", shell = "echo" })
            assert.same({ "fatal", {} }, { h.kind, h.told })
        end)
    end

    it("must be there again", function()
        local h = job_host.run_job({ name = "a", fn = print }, { when = true })
        assert.equal("fatal", h.kind)
        assert.matches("job 'a' has no when function this time; "
            .. "a file must define the same jobs whenever it is read", h.value, 1, true)
    end)
end)

describe("the facts of a job", function()
    local function packed(...)
        local parts = {}
        for i, entry in ipairs { ... } do parts[i] = "=" .. entry .. "\0" end
        return table.concat(parts)
    end

    it("are read from their packed list", function()
        local facts = main.read_facts(packed("name=a[x=1]", "deadline=1500", "path=/j.lua",
            "source=abc", "when=1", "kind=argv", "memory=1048576", "arg=echo", "arg=", "arg=a=b\nc",
            "need=b", "state=completed", "output=k=v=w", "output=empty=", "need=c", "state=dead",
            "error=exit 3: x=y"))
        facts.attempt, facts.job = nil, nil
        assert.same({
            name = "a[x=1]", deadline = 1.5, path = "/j.lua", source = "abc", when = true,
            kind = "argv", memory = 1048576, argv = { "echo", "", "a=b\nc" }, needs = {
                { name = "b", state = "completed", outputs = { k = "v=w", empty = "" } },
                { name = "c", state = "dead", error = "exit 3: x=y", outputs = {} },
            },
        }, facts)
    end)

    it("have no deadline and no limit where they say 0", function()
        local facts = main.read_facts(packed("name=a", "deadline=0", "when=", "memory=0",
            "shell=echo a=b"))
        assert.is_nil(facts.deadline)
        assert.is_nil(facts.memory)
        assert.is_false(facts.when)
        assert.equal("echo a=b", facts.shell)
    end)

    it("are what a job is started with", function()
        local host = job_host.new()
        main.start(host, main.load([[job "a" { run = function(job, ctx)
            return { v = ctx.outputs.b.v, deadline = ctx.deadline }
        end }]], "/jobs.lua"), packed("name=a", "deadline=2000", "path=/jobs.lua", "kind=lua",
            "need=b", "state=completed", "output=v=7"))
        assert.same({ "ok", { v = "7", deadline = "2" } }, { host.kind, host.outputs })
    end)
end)

describe("a program that cannot be loaded", function()
    it("is what each of its jobs says", function()
        local host = job_host.run_file("x =", "any")
        assert.same({ "fail", "jobs.lua:1: unexpected symbol near '<eof>'" },
            { host.kind, host.value })
    end)
end)

describe("ctx", function()
    it("cannot be changed", function()
        assert.equal("jobs.lua:2: ctx cannot be changed (its field 'mine' was set)",
            first_line(run("ctx.mine = 1")))
    end)

    it("knows its fields at every depth", function()
        for code, message in pairs {
            ["ctx.fs.raed 'x'"] = "ctx.fs has no field 'raed' (did you mean 'read'?)",
            ["ctx.json.endcode(1)"] = "ctx.json has no field 'endcode' (did you mean 'encode'?)",
            ["ctx.fs:read 'x'"] = "write ctx.fs.read(...), not ctx.fs:read(...)",
            ["ctx.json:decode '1'"] = "write ctx.json.decode(...), not ctx.json:decode(...)",
            ["ctx.param.x = 1"] = "ctx has no field 'param' (did you mean 'params'?)",
        } do
            assert.equal("jobs.lua:2: " .. message, first_line(run(code)))
        end
    end)
end)
