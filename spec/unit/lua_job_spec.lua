-- Running one Lua job: what the function gets, and what becomes of what it does and returns.

local job_host = require "unit.job_host"

local fake_host, first_line = job_host.new, job_host.first_line
local run, run_file = job_host.run, job_host.run_file

local HOW = 'return nothing or a table of outputs for success, '
    .. 'ctx.fail("...") or error("...") for failure'

describe("a Lua job", function()
    it("that returns nothing has succeeded", function()
        for _, body in ipairs { "", "return", "return nil", "return nil, nil", "return {}" } do
            local host = run(body)
            assert.equal("ok", host.kind, host.value)
            assert.is_nil(host.value)
            assert.same({}, host.outputs)
        end
    end)

    it("that returns a table has its fields as outputs", function()
        local host = run [[
            return { rows = 12, ok = true, no = false, name = "x", f = 0.1, n = 2^53 }]]
        assert.equal("ok", host.kind)
        assert.same({ rows = "12", ok = "true", no = "false", name = "x", f = "0.1",
            n = "9007199254740992" }, host.outputs)
    end)

    local refused = {
        { "return false", "returned false: " .. HOW },
        { "return nil, 'disk full'", 'returned nil, "disk full": ' .. HOW },
        { "return false, 'disk full'", "returned false: " .. HOW },
        { "return true", "returned true: " .. HOW },
        { "return 'done'", 'returned "done": ' .. HOW },
        { "return 0", "returned 0: " .. HOW },
        { "return print", "returned a function: " .. HOW },
        { "return io.stdout", "returned a userdata: " .. HOW },
        { "return { 1 }", "returned table: the name must be a string, not 1" },
        { "return { ['a b'] = 1 }", 'returned table: bad name "a b": letters, digits and _' },
        { "return { a = {} }",
            "returned table: 'a' must be a string, number or boolean, not a table" },
        { "return { a = 0/0 }", "returned table: 'a' is not a finite number" },
        { "return { a = 'x\\0y' }", "returned table: 'a' contains a NUL byte" },
        { "return { a = ('x'):rep(65537) }",
            "returned table: 'a' is 65537 bytes long; the limit is 65536" },
        { "return ctx", "returned table: 'cancel' must be a string, number or boolean, "
            .. "not a function" },
    }
    for _, case in ipairs(refused) do
        it("has failed with " .. case[1], function()
            local host = run(case[1])
            assert.same({ "fail", case[2] }, { host.kind, host.value })
            assert.same({}, host.outputs)
        end)
    end

    it("sends all fields of a table or none", function()
        local host = run "return { a = 1, b = {} }"
        assert.equal("fail", host.kind)
        assert.same({}, host.outputs)
    end)

    it("may send 64 KiB", function()
        assert.equal("ok", run("return { a = ('x'):rep(65536) }").kind)
    end)

    it("must have set the outputs it promised", function()
        local keys = 'outputs = { "a", "b" },'
        assert.equal("promised outputs 'a', 'b' were not set", run("", nil, keys).value)
        assert.equal("promised output 'b' was not set", run("return { a = 1 }", nil, keys).value)
        assert.equal("promised output 'a' was not set",
            run("ctx.output('b', 1) return { c = 1 }", nil, keys).value)
        assert.equal("ok", run("ctx.output('b', 1) return { a = 1 }", nil, keys).kind)
    end)

    it("that fails need not have set them", function()
        assert.equal("why", run("return ctx.fail('why')", nil, 'outputs = { "a" },').value)
    end)
end)

describe("an error in a Lua job", function()
    it("is told with its line and a traceback of the file's own calls", function()
        local host = run "local function inner()\n  error('boom')\nend\ninner()"
        assert.equal("fail", host.kind)
        assert.equal(table.concat({
            "jobs.lua:3: boom", "stack traceback:", "\t[C]: in function 'error'",
            "\tjobs.lua:3: in function 'inner'", "\tjobs.lua:5: in function <jobs.lua:1>",
        }, "\n"), host.value)
    end)

    local raised = {
        { "error('x', 0)", "jobs.lua:2: x" },
        { "error()", "jobs.lua:2: an error was raised without a message" },
        { "error({})", "jobs.lua:2: an error was raised with an empty table" },
        { "error({ code = 5 })", "jobs.lua:2: an error was raised with a table: { code = 5 }" },
        { "error({ message = 'm' })", "jobs.lua:2: m" },
        { "local x = nil + 1", "jobs.lua:2: attempt to perform arithmetic on a nil value" },
        { "local a = undefined_thing", "jobs.lua:2: undefined variable 'undefined_thing'" },
        { "local a = pritn", "jobs.lua:2: undefined variable 'pritn' (did you mean 'print'?)" },
        { "count = 1", "jobs.lua:2: assignment to global 'count': add 'local'" },
        { "ctx.outptu('a', 1)", "jobs.lua:2: ctx has no field 'outptu' (did you mean 'output'?)" },
        { "ctx:output('a', 1)", "jobs.lua:2: write ctx.output(...), not ctx:output(...)" },
        { "assert(false, 'why')", "jobs.lua:2: why" },
        { "coroutine.yield()", "jobs.lua:2: attempt to yield across C-call boundary" },
    }
    it("is told: stack overflow, with its line where there is room to find it", function()
        local host = run "local function f() return 1 + f() end f()"
        assert.equal("fail", host.kind)
        assert.matches("^jobs.lua:?2?: stack overflow$", first_line(host))
    end)

    for _, case in ipairs(raised) do
        it("is told: " .. case[2], function()
            local host = run(case[1])
            assert.equal("fail", host.kind)
            assert.equal(case[2], first_line(host))
            assert.is_falsy(host.value:find("lua_job.lua", 1, true), host.value)
        end)
    end

    it("may be very long", function()
        assert.is_true(#run("error(('x'):rep(1e6))").value < 20000)
    end)

    it("of the host itself ends the job as well", function()
        local host = fake_host()
        function host.output() error("socket gone") end
        assert.truthy(run("return { a = 1 }", host).value:find("socket gone", 1, true))
        assert.equal("fail", host.kind)
    end)
end)

describe("ctx", function()
    it("knows the attempt and the deadline", function()
        assert.same({ attempt = "2", deadline = "99" },
            run("return { attempt = ctx.attempt, deadline = ctx.deadline }").outputs)
        assert.equal("ok", run_file([[job "a" { run = function(_, ctx)
            assert(ctx.attempt == nil and ctx.deadline == nil) end }]], "a").kind)
    end)

    it("sets outputs at once", function()
        local host = run "ctx.output('a', 1) ctx.output('b', true) error('later')"
        assert.same({ a = "1", b = "true" }, host.outputs)
    end)

    it("reports progress, kept within 0 and 1", function()
        local host = run [[
            ctx.progress(0.5, "half") ctx.progress(7) ctx.progress(-1) ctx.progress(0/0)]]
        assert.same({ { "progress", 0.5, "half" }, { "progress", 1 }, { "progress", 0 },
            { "progress", 0 } }, host.told)
    end)

    it("logs", function()
        local host = run "ctx.log('debug', 'a') ctx.log('error', 5)"
        assert.same({ { "log", "debug", "a" }, { "log", "error", "5" } }, host.told)
    end)

    local wrong = {
        { "ctx.output('a b', 1)", 'ctx.output: bad name "a b": letters, digits and _' },
        { "ctx.output(nil, 1)", "ctx.output: the name must be a string, not nil" },
        { "ctx.output('a')",
            "ctx.output: 'a' must be a string, number or boolean, not nil" },
        { "ctx.output('a', ('x'):rep(65537))",
            "ctx.output: 'a' is 65537 bytes long; the limit is 65536" },
        { "ctx.progress('50%')",
            'ctx.progress: the fraction must be a number from 0 to 1, not "50%"' },
        { "ctx.progress(1, 2)", "ctx.progress: the text must be a string, not 2" },
        { "ctx.log('warning', 'x')", "ctx.log: the level must be one of debug, info, warn, error, "
            .. 'not "warning"' },
        { "ctx.log('wran', 'x')", "ctx.log: the level must be one of debug, info, warn, error, "
            .. "not \"wran\" (did you mean 'warn'?)" },
        { "ctx.log('just text')", "ctx.log: the level must be one of debug, info, warn, error, "
            .. 'not "just text"' },
        { "ctx.log('info', {})", "ctx.log: the text must be a string, not a table" },
        { "ctx.fail()", "ctx.fail: needs a message, not nil" },
        { "ctx.fail('')", 'ctx.fail: needs a message, not ""' },
        { "ctx.fail('x', { retyr = false })",
            "ctx.fail: unknown option 'retyr' (did you mean 'retry'?)" },
        { "ctx.fail('x', { retry = 0 })", "ctx.fail: retry: must be true or false, not 0" },
        { "ctx.fail('x', { class = 'a b' })",
            'ctx.fail: class: must be 1 to 64 of A-Z a-z 0-9 _ . -, not "a b"' },
        { "ctx.fail('x', 5)", "ctx.fail: options must be a table, not 5" },
        { "ctx.snooze('soon')", 'ctx.snooze: bad duration "soon"' },
        { "ctx.snooze(0)", "ctx.snooze: must be longer than 0" },
        { "ctx.snooze(1, 2)", "ctx.snooze: the reason must be a string, not 2" },
        { "ctx.exec('ls')", 'ctx.exec: takes a list such as { "ls", "-l" }; '
            .. "for shell text use ctx.sh" },
        { "ctx.exec()", "ctx.exec: must be a list, not nil" },
        { "ctx.exec {}", "ctx.exec: the list is empty" },
        { "ctx.exec { 'ls', {} }", "ctx.exec: entry 2 must be a string, not a table" },
        { "ctx.exec { 'ls', check = true }",
            "ctx.exec: 'check' is not an argument; options go into a second table" },
        { "ctx.exec({ 'ls' }, { chekc = true })",
            "ctx.exec: unknown option 'chekc' (did you mean 'check'?)" },
        { "ctx.exec({ 'ls' }, { check = 1 })",
            "ctx.exec: check: must be true or false, not 1" },
        { "ctx.exec({ 'ls' }, { timeout = 'x' })", 'ctx.exec: timeout: bad duration "x"' },
        { "ctx.exec({ 'ls' }, { timeout = 0 })",
            'ctx.exec: timeout: must be longer than 0; write "none" for no limit' },
        { "ctx.exec({ 'ls' }, { env = { A = {} } })",
            "ctx.exec: env: A must be a string, not a table" },
        { "ctx.exec({ 'ls' }, { stdin = 5 })",
            'ctx.exec: stdin: must be a string or { file = "path" }, not 5' },
        { "ctx.exec({ 'ls' }, { cwd = {} })", "ctx.exec: cwd: must be a string, not a table" },
    }
    for _, case in ipairs(wrong) do
        it("refuses " .. case[1], function()
            local host = run(case[1], fake_host({ exit_code = 0 }))
            assert.equal("jobs.lua:2: " .. case[2], first_line(host))
            assert.equal("jobs.lua:2: " .. case[2]
                .. "\nstack traceback:\n\tjobs.lua:2: in function <jobs.lua:1>", host.value)
        end)
    end
end)

describe("ctx.exec", function()
    local function result(fields)
        local base = { exit_code = 0, stdout = "", stderr = "", duration = 0.1 }
        for key, value in pairs(fields or {}) do base[key] = value end
        return base
    end

    it("gives the result, whatever it is", function()
        local host = run([[
            local r = ctx.exec { "indexer", "--shard", 3 }
            return { code = r.exit_code, out = r.stdout }]],
            fake_host(result { exit_code = 75, stdout = "12 rows" }))
        assert.same({ code = "75", out = "12 rows" }, host.outputs)
        assert.same({ "indexer", "--shard", "3" }, host.argv)
        assert.same({ keep = 8 * 1024 * 1024 }, host.options)
    end)

    it("hands on its options", function()
        local host = run([[ctx.exec({ "x" }, { cwd = "/tmp", stdin = "in", timeout = "1.5s",
            env = { B = false, A = 1 } })]], fake_host(result()))
        assert.same({ cwd = "/tmp", stdin = "in", timeout_ms = 1500, env = {
            { name = "A", value = "1" }, { name = "B", unset = true } },
            keep = 8 * 1024 * 1024 }, host.options)
        assert.is_nil(run([[ctx.exec({ "x" }, { timeout = "none" })]],
            fake_host(result())).options.timeout_ms)
    end)

    local function checked(fields, options)
        return first_line(run(('ctx.exec({ "make", "all" }, { check = true, %s })'):format(
            options or ""), fake_host(result(fields))))
    end

    it("raises with check = true unless the program succeeded", function()
        assert.is_nil(checked())
        assert.equal("jobs.lua:2: ctx.exec: make all: exit code 2", checked { exit_code = 2 })
        assert.equal("jobs.lua:2: ctx.exec: make all: exit code 2: no rule",
            checked { exit_code = 2, stderr = "no rule\n\n" })
        assert.equal("jobs.lua:2: ctx.exec: make all: killed by signal 9",
            checked { signal = 9, exit_code = 137 })
        assert.equal("jobs.lua:2: ctx.exec: make all: timed out after 1m30s",
            checked({ timed_out = true, signal = 15 }, "timeout = 90"))
        assert.equal("jobs.lua:2: ctx.exec: make all: exit code 1: ..." .. ("e"):rep(1024),
            checked { exit_code = 1, stderr = ("e"):rep(5000) })
    end)

    it("raises when the program could not be run at all", function()
        assert.equal("jobs.lua:2: ctx.exec: cannot run nope: No such file or directory",
            first_line(run('ctx.exec { "nope" }', fake_host(nil, "No such file or directory"))))
    end)

    it("has a result that must not be returned as it is", function()
        assert.equal("returned the result of ctx.exec: " .. HOW
            .. "; { check = true } makes ctx.exec raise",
            run('return ctx.exec { "x" }', fake_host(result { exit_code = 1 })).value)
    end)

    it("refuses outputs of other jobs, which have no value here", function()
        local body = 'local build = job "build" { run = "x", outputs = { "v" } }\n'
            .. 'job "a" { run = function(_, ctx)\n%s\nend }'
        local told = " is an output of another job, which has no value here; "
            .. "read it from ctx.outputs"
        local function message(exec)
            return first_line(run_file(body:format(exec), "a", nil, fake_host(result())))
        end
        assert.equal("jobs.lua:3: ctx.exec: entry 2" .. told,
            message 'ctx.exec { "x", build.out.v }')
        assert.equal("jobs.lua:3: ctx.exec: env: V" .. told,
            message 'ctx.exec({ "x" }, { env = { V = build.out.v } })')
        assert.equal("jobs.lua:3: ctx.exec: stdin:" .. told,
            message 'ctx.exec({ "x" }, { stdin = build.out.v })')
        assert.equal("jobs.lua:3: a job output cannot be spliced into a string; "
            .. "pass it through env or as an entry of a run list",
            message 'ctx.log("info", "v" .. build.out.v)')
    end)
end)

describe("an outcome", function()
    local function told(body)
        local host = run(body)
        return { host.kind, host.value, host.class }
    end

    it("says how the job ended", function()
        assert.same({ "fail", "why" }, told "return ctx.fail('why')")
        assert.same({ "fail", "why", "net" },
            told "return ctx.fail('why', { retry = true, class = 'net' })")
        assert.same({ "fatal", "why" }, told "return ctx.fail('why', { retry = false })")
        assert.same({ "snooze", 30 }, told "return ctx.snooze('30s')")
        assert.same({ "snooze", 1.5, "busy" }, told "return ctx.snooze(1.5, 'busy')")
        assert.same({ "cancel" }, told "return ctx.cancel()")
        assert.same({ "cancel", "not needed" }, told "return ctx.cancel('not needed')")
    end)

    it("may be raised as well", function()
        assert.same({ "fatal", "why" }, told "error(ctx.fail('why', { retry = false }))")
    end)

    it("must be returned", function()
        local hint = "ctx.%s was called, but its result was not returned: write return ctx.%s(...)"
        assert.same({ "fail", hint:format("fail", "fail") }, told "ctx.fail('why')")
        assert.same({ "fail", hint:format("snooze", "snooze") },
            told "ctx.snooze(5) return { a = 1 }")
        assert.same({ "fail", hint:format("cancel", "cancel") }, told "ctx.cancel()")
    end)

    it("cannot be made by hand", function()
        assert.same({ "ok" }, told "return { kind = 'fatal', value = 'x' }")
    end)
end)

describe("the file of a Lua job", function()
    it("is evaluated again; only the wanted job's function is called", function()
        local host = run_file([[#!/usr/bin/env queuectl
            local function make(n) return function(job) return { name = job.name, n = n } end end
            defaults { queue = "x" }
            local first = job "first" { run = "sh", outputs = { "v" } }
            for i = 1, 3 do
                job("j" .. i) { run = make(i), needs = first, env = { V = first.out.v } }
            end
            local late = job "late" { run = function() error("never") end }
            job "uses" { run = { "x", late.out.anything }, needs = late.name }]], "j2")
        assert.same({ name = "j2", n = "2" }, host.outputs)
    end)

    it("is not checked again", function()
        assert.equal("ok", run_file([[
            job "a" { run = 5, retires = true }
            job "b" { run = function() end, timeout = "5 parsecs" }
            job "a" "nothing"]], "b").kind)
    end)

    it("gives the function the values of its matrix", function()
        local source = [[
            job "t" {
                matrix = { db = { "pg", 5 }, v = { true }, include = { { db = 5, x = "y" } } },
                run = function(job)
                    return { name = job.name, db = job.matrix.db, kind = type(job.matrix.db),
                        x = job.matrix.x }
                end,
            }]]
        assert.same({ name = "t[db=5,v=true,x=y]", db = "5", kind = "number", x = "y" },
            run_file(source, "t[db=5,v=true,x=y]").outputs)
        assert.same({ name = "t[db=pg,v=true]", db = "pg", kind = "string" },
            run_file(source, "t[db=pg,v=true]").outputs)
        assert.equal("jobs.lua: job 't[db=my,v=true]' was not defined this time; "
            .. "a file must define the same jobs whenever it is read",
            run_file(source, "t[db=my,v=true]").value)
    end)

    it("may have taken run, matrix and outputs from defaults", function()
        local host = run_file([[
            defaults { run = function(job) return { k = job.matrix.k } end, matrix = { k = { 1 } } }
            defaults { outputs = { "k", "l" } }
            job "a" {}]], "a[k=1]")
        assert.equal("promised output 'l' was not set", host.value)
        assert.same({ k = "1" }, host.outputs)
    end)

    it("gives the function what the host knows of the job", function()
        assert.same({ id = "j1", name = "a" }, run_file([[
            job "a" { run = function(job) return { id = job.id, name = job.name } end }]],
            "a", { job = { id = "j1", name = "other" } }).outputs)
    end)

    it("may define other jobs this time, which is said", function()
        assert.equal("jobs.lua: job 'b' was not defined this time; "
            .. "a file must define the same jobs whenever it is read",
            run_file('job "a" { run = print }', "b").value)
        assert.equal("jobs.lua: job 'a' has no Lua function this time",
            run_file('job "a" { run = "x" }', "a").value)
    end)

    it("may fail to load, which is said with the line", function()
        assert.equal("jobs.lua:1: unexpected symbol near '<eof>'", run_file("x =", "a").value)
        assert.equal("jobs.lua: precompiled Lua; only source text is accepted",
            run_file("\27LJ", "a").value)
        local host = run_file("\nlocal a = 5 + nil\n", "a")
        assert.equal("jobs.lua:2: attempt to perform arithmetic on a nil value", first_line(host))
        assert.same({}, run_file("", "a").outputs)
    end)

    it("has a short name in messages when its path is long", function()
        local long = "/srv/" .. ("dir/"):rep(40) .. "jobs.lua"
        local source = 'job "a" { run = function() error("e") end }'
        local host = run_file(source, "a", { path = long })
        assert.equal("..." .. long:sub(-53) .. ":1: e", first_line(host))
    end)

    it("keeps all of Lua", function()
        assert.equal("ok", run([[
            assert(type(os.exit) == "function" and io.open and debug and require "ffi")
            assert(string.format("%s", table.concat({ 1, 2 }, "-")) == "1-2")]]).kind)
    end)
end)
