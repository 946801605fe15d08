-- Planning a jobs file: what a correct one becomes.

local jobs = require "queuectl.jobs"

local function plan(source, opts)
    local planned, message = jobs.plan(source, "/srv/app/jobs.lua", opts)
    assert.is_nil(message)
    return planned
end

-- The only job of a file with these keys.
local function spec_of(keys, opts)
    return plan(("job \"a\" { run = \"true\", %s }"):format(keys), opts).jobs[1]
end

describe("a plan", function()
    it("is plain data with every default", function()
        local source = 'job "a" { run = "echo hi" }\n'
        assert.same({
            path = "/srv/app/jobs.lua",
            text = source,
            jobs = {
                { name = "a", line = 1, kind = "shell", command = "echo hi", env = {},
                  file = "jobs.lua", queue = "default", priority = 0, retries = 3,
                  kill_after_ms = 10000, delay_ms = 0, outputs = {}, tags = {},
                  ok_codes = { 0 }, allow_failure = false, fail_fast = false,
                  artifacts = {}, needs = {} },
            },
            params = {},
            document = [[{"queuectl":1,"files":[{"display":"jobs.lua",]]
                .. [["path":"\/srv\/app\/jobs.lua","text":"job \"a\" { run = \"echo hi\" }\n"}],]]
                .. [["modules":[],"params":{}}]],
        }, plan(source, { display = "jobs.lua" }))
    end)

    it("takes the path and the directory from its options", function()
        local opts = { display = "x/jobs.lua", path = "/abs/x/jobs.lua" }
        local planned = jobs.plan('job "a" { run = "b", cwd = "c" }', "x/jobs.lua", opts)
        assert.equal("/abs/x/jobs.lua", planned.path)
        assert.equal("/abs/x/c", planned.jobs[1].cwd)
        opts.dir = "/elsewhere/"
        planned = jobs.plan('job "a" { run = "b", cwd = "c" }', "x/jobs.lua", opts)
        assert.equal("/elsewhere/c", planned.jobs[1].cwd)
    end)

    it("keeps every key", function()
        local spec = spec_of [[
            timeout = "15m", kill_after = "1.5s", retries = 7, priority = -3, delay = 90,
            queue = "ci", group = "acme", outputs = { "version", "_x1" }, desc = "Größe\nzwei",
            tags = { "a", "b c" }, ok_codes = { 75, 0 }, allow_failure = true,
            meta = { n = 1, list = { true, "x" }, deep = { a = { b = 1.5 } } },
            stdin = "in\0put"]]
        assert.equal(900000, spec.timeout_ms)
        assert.equal(1500, spec.kill_after_ms)
        assert.equal(7, spec.retries)
        assert.equal(-3, spec.priority)
        assert.equal(90000, spec.delay_ms)
        assert.equal("ci", spec.queue)
        assert.equal("acme", spec.group)
        assert.same({ "version", "_x1" }, spec.outputs)
        assert.equal("Größe\nzwei", spec.desc)
        assert.same({ "a", "b c" }, spec.tags)
        assert.same({ 0, 75 }, spec.ok_codes)
        assert.is_true(spec.allow_failure)
        assert.same({ n = 1, list = { true, "x" }, deep = { a = { b = 1.5 } } }, spec.meta)
        assert.equal("in\0put", spec.stdin)
        assert.is_nil(spec.stdin_file)
    end)

    it("reads special words", function()
        assert.equal(0, spec_of('timeout = "none"').timeout_ms)
        assert.equal(1000000, spec_of('retries = "unlimited"').retries)
        assert.equal(0, spec_of("retries = 0").retries)
        assert.equal(0, spec_of("kill_after = 0").kill_after_ms)
        assert.equal(math.huge, 1 / spec_of("priority = -0").priority)
    end)

    it("resolves paths against the file", function()
        assert.equal("/srv/app/sub", spec_of('cwd = "sub"').cwd)
        assert.equal("/srv/app/sub", spec_of('cwd = "./sub"').cwd)
        assert.equal("/srv/app/..", spec_of('cwd = ".."').cwd)
        assert.equal("/srv/app", spec_of('cwd = "."').cwd)
        assert.equal("/tmp", spec_of('cwd = "/tmp"').cwd)
        assert.equal("/srv/app/in.txt", spec_of('stdin = { file = "in.txt" }').stdin_file)
        assert.is_nil(spec_of('stdin = { file = "in.txt" }').stdin)
    end)

    it("copies the data, so that a later change in the file does nothing", function()
        local planned = plan [[
            local meta, argv = { a = 1 }, { "x" }
            job "a" { run = argv, meta = meta }
            meta.a, argv[1] = 2, "y"
            job "b" { run = argv, meta = meta }]]
        assert.same({ a = 1 }, planned.jobs[1].meta)
        assert.same({ "x" }, planned.jobs[1].argv)
        assert.same({ a = 2 }, planned.jobs[2].meta)
        assert.same({ "y" }, planned.jobs[2].argv)
    end)

    it("shares no table between jobs", function()
        local planned = plan [[
            defaults { tags = { "t" }, env = { A = "1" }, meta = { x = { 1 } } }
            job "a" { run = { "x" } }
            job "b" { run = { "x" }, needs = "a", matrix = { k = { 1, 2 } } }]]
        local seen = {}
        local function visit(value)
            if type(value) ~= "table" then return end
            assert.is_nil(seen[value])
            seen[value] = true
            for _, inner in pairs(value) do visit(inner) end
        end
        visit(planned)
    end)
end)

describe("run", function()
    it("is shell text, a list or a function", function()
        local planned = plan [[
            job "s" { run = "a | b" }
            job "l" { run = { "a", "b c", "", 5, -0, 2^40 } }
            job "f" { run = function() end }]]
        assert.equal("shell", planned.jobs[1].kind)
        assert.equal("a | b", planned.jobs[1].command)
        assert.equal("argv", planned.jobs[2].kind)
        assert.same({ "a", "b c", "", "5", "0", "1099511627776" }, planned.jobs[2].argv)
        assert.is_nil(planned.jobs[2].command)
        assert.equal("lua", planned.jobs[3].kind)
        assert.is_nil(planned.jobs[3].argv)
    end)

    it("keeps bytes that are not UTF-8", function()
        assert.equal("echo \255", plan('job "a" { run = "echo \\255" }').jobs[1].command)
    end)
end)

describe("env", function()
    it("is sorted by name; false removes, whole numbers are text", function()
        assert.same({
            { name = "A", value = "x" }, { name = "B", unset = true },
            { name = "PORT", value = "8080" }, { name = "a-b.c", value = "" },
        }, spec_of('env = { PORT = 8080, B = false, A = "x", ["a-b.c"] = "" }').env)
    end)
end)

describe("backoff", function()
    local function backoff(value)
        return spec_of("backoff = " .. value).backoff
    end

    it("takes a name with the built-in options", function()
        assert.same({ kind = "exponential", first_ms = 2000, factor = 2, cap_ms = 300000,
            jitter = "none" }, backoff '"exponential"')
        assert.same({ kind = "linear", first_ms = 2000, cap_ms = 300000, jitter = "none" },
            backoff '"linear"')
        assert.same({ kind = "fixed", first_ms = 2000, jitter = "none" }, backoff '"fixed"')
        assert.same({ kind = "decorrelated", first_ms = 2000, cap_ms = 300000 },
            backoff '"decorrelated"')
    end)

    it("takes options", function()
        assert.same({ kind = "exponential", first_ms = 500, factor = 1.5, cap_ms = 600000,
            jitter = "full" },
            backoff '{ "exponential", base = "500ms", factor = 1.5, cap = "10m", jitter = "full" }')
        assert.same({ kind = "fixed", first_ms = 0, jitter = "none" },
            backoff '{ "fixed", base = 0 }')
    end)

    it("takes a list of durations", function()
        local expected = { kind = "list", jitter = "none", list_ms = { 5000, 30000, 300000 } }
        assert.same(expected, backoff '{ "5s", 30, "5m" }')
        assert.same(expected, backoff '{ "list", "5s", 30, "5m" }')
        assert.equal("equal", backoff('{ 1, jitter = "equal" }').jitter)
    end)

    it("lets the base that was given move a cap that was not, and the reverse", function()
        assert.equal(600000, backoff('{ "linear", base = "10m" }').cap_ms)
        assert.equal(1000, backoff('{ "linear", cap = 1 }').first_ms)
    end)
end)

describe("needs", function()
    local function needs(last)
        local planned = plan([[
            local a = job "a" { run = "x" }
            local b = job "b" { run = "x" }
            local t = job "t" { run = "x", matrix = { db = { "pg", "my" }, v = { 1 } } }
            job "z" { run = "x", needs = ]] .. last .. " }")
        return planned.jobs[#planned.jobs].needs
    end

    it("takes names, references and lists of them", function()
        assert.same({ { job = 1, on = "success" } }, needs "a")
        assert.same({ { job = 1, on = "success" } }, needs '"a"')
        assert.same({ { job = 2, on = "success" }, { job = 1, on = "success" } },
            needs '{ "b", a }')
        assert.same({}, needs "{}")
        assert.same({}, needs "nil")
    end)

    it("takes conditions", function()
        assert.same({ { job = 1, on = "done" }, { job = 2, on = "failure" } },
            needs '{ { "a", on = "done" }, { b, on = "failure" } }')
        assert.same({ { job = 1, on = "done" } }, needs '{ "a", on = "done" }')
        assert.same({ { job = 1, on = "done" }, { job = 2, on = "done" } },
            needs '{ { a, "b", on = "done" } }')
    end)

    it("means all instances of a matrix, or the one that is named", function()
        local both = { { job = 3, on = "success" }, { job = 4, on = "success" } }
        assert.same(both, needs "t")
        assert.same(both, needs '"t"')
        assert.same({ { job = 4, on = "success" } }, needs '"t[db=my,v=1]"')
    end)

    it("names each parent once", function()
        assert.same({ { job = 1, on = "success" } }, needs '{ a, "a", a }')
        assert.same({ { job = 3, on = "done" }, { job = 4, on = "done" } },
            needs '{ { t, on = "done" }, { "t[db=pg,v=1]", on = "done" } }')
    end)

    it("may name jobs that are defined later", function()
        local planned = plan [[
            job "a" { run = "x", needs = "b" }
            job "b" { run = "x" }]]
        assert.same({ { job = 2, on = "success" } }, planned.jobs[1].needs)
    end)

    it("takes a list of references built in a loop", function()
        local planned = plan [[
            local all = {}
            for i = 1, 3 do all[i] = job("j" .. i) { run = "x" } end
            job "end" { run = "x", needs = all }]]
        assert.equal(3, #planned.jobs[4].needs)
    end)
end)

describe("tokens", function()
    it("become the job's index and bring the dependency", function()
        local planned = plan [[
            local build = job "build" { run = "x", outputs = { "version", "sum" } }
            job "deploy" { run = { "d", build.out.version, "x" }, env = { SUM = build.out.sum } }]]
        local deploy = planned.jobs[2]
        assert.same({ "d", { job = 1, key = "version" }, "x" }, deploy.argv)
        assert.same({ { name = "SUM", job = 1, key = "sum" } }, deploy.env)
        assert.same({ { job = 1, on = "success" } }, deploy.needs)
    end)

    it("of a Lua job may have any name", function()
        local planned = plan [[
            local a = job "a" { run = function() end }
            job "b" { run = { "x", a.out.rows } }]]
        assert.same({ "x", { job = 1, key = "rows" } }, planned.jobs[2].argv)
    end)

    it("may stand in defaults", function()
        local planned = plan [[
            local a = job "a" { run = "x", outputs = { "v" } }
            defaults { env = { V = a.out.v } }
            job "b" { run = "x" }
            job "c" { run = "x", env = { V = "fixed" } }]]
        assert.same({ { job = 1, on = "success" } }, planned.jobs[2].needs)
        assert.same({}, planned.jobs[3].needs)
    end)

    it("go to every instance of a matrix", function()
        local planned = plan [[
            local a = job "a" { run = "x", outputs = { "v" } }
            job "b" { run = { "x", a.out.v }, matrix = { k = { 1, 2 } } }]]
        assert.same({ "x", { job = 1, key = "v" } }, planned.jobs[3].argv)
        assert.same({ { job = 1, on = "success" } }, planned.jobs[3].needs)
    end)
end)

describe("defaults", function()
    it("concern the jobs that follow; env is merged, all else replaced", function()
        local planned = plan [[
            job "before" { run = "x" }
            defaults { queue = "ci", retries = 1, tags = { "t" }, env = { A = "1", B = "2" } }
            job "a" { run = "x" }
            job "b" { run = "x", retries = 5, tags = { "u" }, env = { B = "3", C = "4" } }
            defaults { retries = 2, env = { A = false } }
            job "c" { run = "x" }]]
        local before, a, b, c = unpack(planned.jobs)
        assert.equal("default", before.queue)
        assert.same({ "ci", 1, { "t" } }, { a.queue, a.retries, a.tags })
        assert.same({ "ci", 5, { "u" } }, { b.queue, b.retries, b.tags })
        assert.same({ { name = "A", value = "1" }, { name = "B", value = "3" },
            { name = "C", value = "4" } }, b.env)
        assert.same({ "ci", 2 }, { c.queue, c.retries })
        assert.same({ { name = "A", unset = true }, { name = "B", value = "2" } }, c.env)
    end)

    it("may hold any key", function()
        local planned = plan [[
            local setup = job "setup" { run = "x" }
            defaults { run = "make", needs = setup, allow_failure = true }
            job "a" {}
            job "b" { run = "y", allow_failure = false }]]
        assert.equal("make", planned.jobs[2].command)
        assert.same({ { job = 1, on = "success" } }, planned.jobs[3].needs)
        assert.is_false(planned.jobs[3].allow_failure)
    end)
end)

describe("a reference", function()
    it("has the job's name, by both ways of calling", function()
        local planned = plan [[
            local a = job "a" { run = "x" }
            local b = job("b") { run = "x", desc = a.name .. "!" }
            job "c" { run = "x", desc = b.name .. tostring(a) }]]
        assert.equal("a!", planned.jobs[2].desc)
        assert.equal("ba", planned.jobs[3].desc)
    end)

    it("may be made inside another job's table", function()
        local planned = plan [[
            job "outer" {
                run = "x",
                needs = job "inner" { run = "x" },
            }]]
        assert.equal("inner", planned.jobs[1].name)
        assert.equal(3, planned.jobs[1].line)
        assert.equal(1, planned.jobs[2].line)
        assert.same({ { job = 1, on = "success" } }, planned.jobs[2].needs)
    end)
end)

describe("the line of a job", function()
    it("is the one 'job' is written on", function()
        local planned = plan([[

            job "a" {
                run = "x",
            }
            local function make(name)
                return job(name) {
                    run = "x" }
            end
            make("b")
            local c = job("c") {
                run = "x"
            }
            for i = 1, 2 do
                job("d" .. i)
                {
                    run = "x",
                    needs = c,
                }
            end]])
        local lines = {}
        for i, spec in ipairs(planned.jobs) do lines[i] = spec.line end
        assert.same({ 2, 6, 10, 14, 14 }, lines)
    end)
end)

describe("the text of a file", function()
    it("may begin with a #! line or a byte order mark, and is kept as it was", function()
        for _, start in ipairs { "#!/usr/bin/env queuectl\n", "\239\187\191\n",
            "\239\187\191#!/usr/bin/env -S queuectl run\n", "#!x\r\n" } do
            local source = start .. 'job "a" { run = "x" }'
            local planned = plan(source)
            assert.equal(2, planned.jobs[1].line)
            assert.equal(source, planned.text)
        end
    end)

    it("sees Lua's own globals and its own", function()
        plan [[
            assert(_G.job == job and type(defaults) == "function")
            local text = string.format("%d", math.floor(1.5))
            job "a" { run = "x", desc = text }]]
    end)
end)
