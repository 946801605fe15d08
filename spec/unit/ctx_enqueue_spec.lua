-- ctx.enqueue and ctx.report: what is sent, and what is refused with the reason.

local enqueue = require "queuectl.jobs.ctx.enqueue"
local job_host = require "unit.job_host"

local run, first_line = job_host.run, job_host.first_line

-- The fields of one message, as the worker reads them.
local function read(message)
    local fields, at = {}, 1
    while at <= #message do
        local key, size, from = message:match("^([%w_]+):(%d+):()", at)
        fields[key] = message:sub(from, from + size - 1)
        at = from + size
    end
    return fields
end

local function sent(spec)
    local host = run(("ctx.enqueue(%s)"):format(spec))
    assert.equal("ok", host.kind, host.value)
    assert.equal(1, #host.added)
    return read(host.added[1])
end

describe("ctx.enqueue", function()
    it("sends shell text with the defaults of jobs", function()
        assert.same({
            kind = "shell", command = "echo hi", queue = "default", cwd = "/srv", priority = "0",
            retries = "3", timeout_ms = "3600000", kill_after_ms = "10000", delay_ms = "0",
        }, sent '{ run = "echo hi" }')
    end)

    it("sends all that a job can have", function()
        assert.same({
            name = "more", kind = "argv", command = "=echo\0=a b\0=\0", queue = "ci",
            group = "db", cwd = "/srv/sub", priority = "-5", retries = "1000000",
            timeout_ms = "90000", kill_after_ms = "1000", delay_ms = "1500", stdin = "a\0b",
            backoff = "fixed none 1000 2 300000", ok_codes = "\0\3", allow_failure = "1",
            description = "more work", tags = '["x","y"]', meta = '{"a":[1,"é"]}',
            env = "=A=1\0-B\0",
        }, sent [[{ name = "more", run = { "echo", "a b", "" }, queue = "ci", group = "db",
            cwd = "sub", priority = -5, retries = "unlimited", timeout = "90s", kill_after = 1,
            delay = "1.5s", stdin = "a\0b", backoff = { "fixed", base = 1 }, ok_codes = { 3, 0 },
            allow_failure = true, desc = "more work", tags = { "x", "y" },
            meta = { a = { 1, "é" } }, env = { B = false, A = 1 } }]])
    end)

    it("takes input from a file", function()
        local fields = sent '{ run = "cat", stdin = { file = "in" }, timeout = "none" }'
        assert.equal("/srv/in", fields.stdin_file)
        assert.equal("0", fields.timeout_ms)
    end)

    local wrong = {
        { "ctx.enqueue 'echo'", 'takes a table such as { run = "..." }, not "echo"' },
        { "ctx.enqueue {}", "run is missing" },
        { "ctx.enqueue { 'echo' }", "unexpected value at position 1: write run = ..." },
        { "ctx.enqueue { run = print }", "run: a function cannot be added: it has no name by "
            .. "which it could be found again; write shell text or a list" },
        { "ctx.enqueue { run = '' }", "run: is empty" },
        { "ctx.enqueue { run = 'x', retires = 1 }",
            "unknown key 'retires' (did you mean 'retries'?)" },
        { "ctx.enqueue { run = 'x', retries = -1 }", "retries: must be a whole number from 0 to "
            .. '1000000 or "unlimited", not -1' },
        { "ctx.enqueue { run = 'x', timeout = 'x' }", 'timeout: bad duration "x"' },
        { "ctx.enqueue { run = 'x', name = 5 }", "a job's name must be a string, not 5" },
        { "ctx.enqueue { run = 'x', name = '' }", 'the job name "" is empty' },
        { "ctx.enqueue { run = 'x', needs = 'a' }", "an added job cannot have 'needs': it starts "
            .. "when this job has completed and waits for no other; let the first of two enqueue "
            .. "the second" },
        { "ctx.enqueue { run = 'x', matrix = {} }", "an added job cannot have 'matrix': "
            .. "call ctx.enqueue once for each combination" },
        { "ctx.enqueue { run = 'x', when = print }", "an added job cannot have 'when': "
            .. "ask in this function, before ctx.enqueue is called" },
        { "ctx.enqueue { run = 'x', id = 'a' }", "an added job cannot have 'id': "
            .. "its id is made when it is inserted; give it a name" },
        { "ctx.enqueue { run = 'x', outputs = {} }", "an added job cannot have 'outputs': "
            .. "no job of the file could read them" },
        { "ctx.enqueue { run = 'x', env = { A = {} } }", "env: A must be a string, not a table" },
        { "ctx.enqueue { run = 'x', meta = { print } }",
            "meta: '[1]' must be plain data, not a function" },
        { "ctx.enqueue { run = 'x', env = { A = ('x'):rep(66000) } }",
            "env: 66003 bytes of variables; the limit is 65536" },
    }
    for _, case in ipairs(wrong) do
        it("refuses " .. case[1], function()
            local host = run(case[1])
            assert.equal("jobs.lua:2: ctx.enqueue: " .. case[2], first_line(host))
            assert.same({}, host.added)
        end)
    end

    it("refuses outputs of other jobs", function()
        local host = job_host.run_file([[
            local b = job "b" { run = "x", outputs = { "v" } }
            job "a" { run = function(_, ctx) ctx.enqueue { run = { "x", b.out.v } } end }]], "a")
        assert.equal("jobs.lua:2: ctx.enqueue: run: entry 2 is an output of another job, "
            .. "which has no value here; read it from ctx.outputs", first_line(host))
    end)

    it("has its bounds", function()
        local host = run "for i = 1, 1001 do ctx.enqueue { run = 'x' } end"
        assert.equal("jobs.lua:2: ctx.enqueue: more than 1000 jobs; "
            .. "let one of them add the others", first_line(host))
        assert.equal(enqueue.MAX_JOBS, #host.added)
        host = run "for i = 1, 5 do ctx.enqueue { run = 'x', stdin = ('x'):rep(1e6) } end"
        assert.equal("jobs.lua:2: ctx.enqueue: more than 4194304 bytes of jobs; "
            .. "put data into files", first_line(host))
        assert.equal(4, #host.added)
    end)
end)

describe("ctx.report", function()
    local wrong = {
        { "ctx.report 'x'", 'takes a table such as { status = 429 }, not "x"' },
        { "ctx.report { A = 1 }", 'bad name "A": small letters, digits and _' },
        { "ctx.report { 1 }", "bad name 1: small letters, digits and _" },
        { "ctx.report { a = {} }", "'a' must be a string, number or boolean, not a table" },
        { "ctx.report { a = 'x\\ny' }", "'a' contains a control character" },
        { "ctx.report { a = ('x'):rep(16384) }", "16387 bytes of lines; the limit is 16384" },
    }
    for _, case in ipairs(wrong) do
        it("refuses " .. case[1], function()
            assert.equal("jobs.lua:2: ctx.report: " .. case[2], first_line(run(case[1])))
        end)
    end

    it("is dropped where there is no file for it", function()
        assert.equal("ok", run("ctx.report { status = 429, retry_after = 30 }").kind)
    end)
end)
