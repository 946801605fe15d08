-- ctx.exec and ctx.sh beyond a plain call: lines while it runs, how much is kept, quoting.

local job_host = require "unit.job_host"

local run, first_line = job_host.run, job_host.first_line

local function result(fields)
    local base = { exit_code = 0, stdout = "", stderr = "", duration = 0.1,
        printed = { stdout = 0, stderr = 0 } }
    for key, value in pairs(fields or {}) do base[key] = value end
    return base
end

local function host(fields, prints)
    local made = job_host.new(result(fields))
    made.prints = prints
    return made
end

describe("ctx.exec { stream }", function()
    local PRINTS = {
        { "stdout", "one\ntw" }, { "stderr", "oops\n" }, { "stdout", "o\n\nthr" },
        { "stdout", "ee" },
    }

    it("calls the function with each line and its stream", function()
        local h = run([[
            local seen = {}
            ctx.exec({ "x" }, { stream = function(line, stream)
                seen[#seen + 1] = stream .. " " .. line
            end })
            return { seen = table.concat(seen, "|") }]], host(nil, PRINTS))
        assert.equal("stdout one|stderr oops|stdout two|stdout |stdout three", h.outputs.seen)
    end)

    it("writes whole lines to the job's own output", function()
        local h = run('ctx.exec({ "x" }, { stream = true })', host(nil, PRINTS))
        assert.same({ { "write", 1, "one\n" }, { "write", 2, "oops\n" }, { "write", 1, "two\n\n" },
            { "write", 1, "three" } }, h.told)
    end)

    it("hands on a line without end in pieces", function()
        local piece = ("x"):rep(40000)
        local prints = { { "stdout", piece }, { "stdout", piece }, { "stdout", "y\n" } }
        local h = run([[
            local sizes = {}
            ctx.exec({ "x" }, { stream = function(line) sizes[#sizes + 1] = #line end })
            return { sizes = table.concat(sizes, " ") }]], host(nil, prints))
        assert.equal("80000 1", h.outputs.sizes)
    end)

    it("ends the program when the function raises", function()
        local h = run([[ctx.exec({ "x" }, { stream = function(line) error("no " .. line) end })]],
            host(nil, PRINTS))
        assert.equal("jobs.lua:2: no one", first_line(h))
        assert.is_true(h.program.stopped)
        h = run([[ctx.exec({ "x" }, { stream = function() error(ctx.fail("enough")) end })]],
            host(nil, PRINTS))
        assert.same({ "fail", "enough" }, { h.kind, h.value })
        assert.is_true(h.program.stopped)
    end)

    it("keeps what was printed as well", function()
        assert.equal("kept", run([[
            return { out = ctx.exec({ "x" }, { stream = function() end }).stdout }]],
            host({ stdout = "kept" }, PRINTS)).outputs.out)
    end)
end)

describe("a result of ctx.exec", function()
    it("says whether it is a success", function()
        local function ok(fields, options)
            return run(('return { ok = ctx.exec({ "x" }, { %s }).ok }'):format(options or ""),
                host(fields)).outputs.ok
        end
        assert.equal("true", ok())
        assert.equal("false", ok { exit_code = 3 })
        assert.equal("true", ok({ exit_code = 3 }, "ok_codes = { 0, 3 }"))
        assert.equal("false", ok({}, "ok_codes = { 3 }"))
        assert.equal("false", ok { signal = 9 })
        assert.equal("false", ok { timed_out = true, exit_code = 0 })
    end)

    it("is checked by ok_codes", function()
        assert.equal("ok", run('ctx.exec({ "x" }, { check = true, ok_codes = { 3 } })',
            host { exit_code = 3 }).kind)
        assert.equal("jobs.lua:2: ctx.exec: x: exit code 0",
            first_line(run('ctx.exec({ "x" }, { check = true, ok_codes = { 3 } })', host())))
    end)

    it("has no other fields", function()
        assert.equal("jobs.lua:2: a result has no field 'exitcode' (did you mean 'exit_code'?)",
            first_line(run('local r = ctx.exec { "x" } if r.exitcode == 0 then return end',
                host())))
        assert.equal("ok", run('assert(ctx.exec({ "x" }).signal == nil)', host()).kind)
    end)

    local MANY = { stdout = "head..tail", stderr = "e", printed = { stdout = 9e6, stderr = 1 } }

    it("raises for who reads what was not kept, and for nobody else", function()
        assert.same({ truncated = "true", err = "e" }, run([[
            local r = ctx.exec { "x" }
            return { truncated = r.truncated, err = r.stderr }]], host(MANY)).outputs)
        assert.equal("jobs.lua:2: x printed 9000000 bytes on stdout, of which 8388608 are kept; "
            .. "give max_output = bytes, or stream",
            first_line(run('return { o = ctx.exec({ "x" }).stdout }', host(MANY))))
    end)

    it("has what was kept where the job itself named the limit", function()
        local h = run([[
            local r = ctx.exec({ "x" }, { max_output = 10 })
            return { truncated = r.truncated, out = r.stdout }]], host(MANY))
        assert.same({ truncated = "true", out = "head..tail" }, h.outputs)
        assert.equal(10, h.options.keep)
    end)
end)

describe("ctx.exec", function()
    it("hands on the file for its input and the time before KILL", function()
        local h = run([[ctx.exec({ "x" }, { stdin = { file = "in.txt" }, timeout = 5,
            kill_after = "1s" })]], host())
        assert.same({ stdin_file = "in.txt", timeout_ms = 5000, kill_after_ms = 1000,
            keep = 8 * 1024 * 1024 }, h.options)
    end)

    local wrong = {
        { "ctx.exec({ 'x' }, { stream = 'yes' })",
            'ctx.exec: stream: must be true or a function(line, stream), not "yes"' },
        { "ctx.exec({ 'x' }, { max_output = -1 })", "ctx.exec: max_output: must be a whole number "
            .. "of bytes from 0 to 67108864, not -1" },
        { "ctx.exec({ 'x' }, { max_output = '8M' })", "ctx.exec: max_output: must be a whole "
            .. 'number of bytes from 0 to 67108864, not "8M"' },
        { "ctx.exec({ 'x' }, { ok_codes = { 256 } })", "ctx.exec: ok_codes: entry 1 must be "
            .. "an exit code from 0 to 255, not 256" },
        { "ctx.exec({ 'x' }, { kill_after = 'x' })", 'ctx.exec: kill_after: bad duration "x"' },
        { "ctx.exec({ 'x' }, { stdin = { path = 'a' } })",
            'ctx.exec: stdin: must be a string or { file = "path" }, not a table' },
        { "ctx.exec({ 'x' }, { stdin = { file = 'a', b = 1 } })",
            'ctx.exec: stdin: must be a string or { file = "path" }, not a table' },
        { "ctx.exec({ 'x' }, { stdin = { file = '' } })", "ctx.exec: stdin: file: is empty" },
        { "ctx.exec({ 'x' }, { cwd = 'a\\0b' })", "ctx.exec: cwd: contains a NUL byte" },
        { "ctx.exec { 'x', 'a\\0b' }", "ctx.exec: entry 2 contains a NUL byte" },
        { "ctx.sh({ 'ls' })", "ctx.sh: takes shell text; for a list of arguments use ctx.exec" },
        { "ctx.sh(5)", "ctx.sh: takes shell text, not 5" },
        { "ctx.sh ' '", "ctx.sh: the text is empty" },
        { "ctx.sh('x', { chekc = true })",
            "ctx.sh: unknown option 'chekc' (did you mean 'check'?)" },
        { "ctx:sh('x')", "ctx.sh: takes shell text; for a list of arguments use ctx.exec" },
        { "ctx.sh.qoute('x')", "ctx.sh has no field 'qoute' (did you mean 'quote'?)" },
        { "ctx.sh:quote('x')", "write ctx.sh.quote(...), not ctx.sh:quote(...)" },
        { "ctx.sh.quote({})",
            "ctx.sh.quote: must be a string, number or boolean, not a table" },
        { "ctx.sh.quote('a\\0b')", "ctx.sh.quote: the text contains a NUL byte" },
    }
    for _, case in ipairs(wrong) do
        it("refuses " .. case[1], function()
            assert.equal("jobs.lua:2: " .. case[2], first_line(run(case[1], host())))
        end)
    end
end)

describe("ctx.sh", function()
    it("gives the text to the shell", function()
        local h = run([[return { out = ctx.sh("a | b", { cwd = "/" }).stdout }]],
            host { stdout = "o" })
        assert.same({ "/bin/sh", "-c", "a | b" }, h.argv)
        assert.equal("/", h.options.cwd)
        assert.equal("o", h.outputs.out)
    end)

    it("shows the text in errors", function()
        assert.equal("jobs.lua:2: ctx.sh: a | b: exit code 1",
            first_line(run('ctx.sh("a | b", { check = true })', host { exit_code = 1 })))
    end)

    it("quotes one word", function()
        assert.same({ a = "''", b = [['it'\''s']], c = "'5'", d = "'$x `y` \\ *'" }, run([[
            return { a = ctx.sh.quote(""), b = ctx.sh.quote("it's"), c = ctx.sh.quote(5),
                d = ctx.sh.quote("$x `y` \\ *") }]]).outputs)
    end)
end)

describe("ctx.cancelled", function()
    it("asks the host", function()
        local h = job_host.new()
        assert.equal("false", run("return { c = ctx.cancelled() }", h).outputs.c)
        h = job_host.new()
        h.told_to_stop = true
        assert.equal("true", run("return { c = ctx.cancelled() }", h).outputs.c)
    end)
end)
