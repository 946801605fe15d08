-- What a wrong jobs file is told: the exact words, with the line.

local jobs = require "queuectl.jobs"

local NO_JOBS = 'no jobs defined; define one: job "hello" { run = "echo hello" }'

local function message_of(source)
    local planned, message = jobs.plan(source, "/srv/app/jobs.lua", { display = "jobs.lua" })
    assert.is_nil(planned)
    return message
end

-- { what the job's table holds, what follows "jobs.lua:1: job 'a'" }
local KEYS = {
    -- unknown keys
    { 'run = "x", retires = 1', ": unknown key 'retires' (did you mean 'retries'?)" },
    { 'run = "x", when = true', ": when: must be a function, not true"
        .. "; write function(ctx) return ... end" },
    { 'run = "x", command = "y"', ": unknown key 'command' (did you mean 'run'?)" },
    { 'command = "y"', ": run is missing\n"
        .. "jobs.lua:1: job 'a': unknown key 'command' (did you mean 'run'?)" },
    { 'run = "x", Timeout = 1', ": unknown key 'Timeout' (did you mean 'timeout'?)" },
    { '"x"', ": unexpected value at position 1: write run = ..." },
    { 'run = "x", "y"', ": unexpected value at position 1: write run = ..." },
    { 'run = "x", [2] = "y"', ": unexpected value at position 2" },
    { 'run = "x", [true] = "y"', ": unexpected value at position true" },
    { 'run = "x", ["a\\nb"] = "y"', ": unknown key 'a\\nb'" },
    -- run
    { "", ": run is missing" },
    { 'run = ""', ": run: is empty" },
    { 'run = " \\n"', ": run: is empty" },
    { "run = 5", ": run: must be shell text, a list or a function, not 5" },
    { "run = true", ": run: must be shell text, a list or a function, not true" },
    { "run = {}", ": run: the list is empty" },
    { 'run = { "" }', ": run: the program's name is empty" },
    { 'run = { "x", 1.5 }', ": run: entry 2 is the number 1.5; write it as a string" },
    { 'run = { "x", 0/0 }', ": run: entry 2 is the number nan; write it as a string" },
    { 'run = { "x", true }', ": run: entry 2 must be a string, not true" },
    { 'run = { "x", {} }', ": run: entry 2 must be a string, not a table" },
    { 'run = { "x", nil, "y" }', ": run: entry 2 is nil" },
    { 'run = { "x", a = 1 }', ': run: must be a list; it has the key "a"' },
    { 'run = "a\\0b"', ": run: contains a NUL byte" },
    { 'run = { "x", "a\\0b" }', ": run: entry 2 contains a NUL byte" },
    -- numbers
    { 'run = "x", retries = "3"',
        ': retries: must be a whole number from 0 to 1000000 or "unlimited", not "3"' },
    { 'run = "x", retries = -1',
        ': retries: must be a whole number from 0 to 1000000 or "unlimited", not -1' },
    { 'run = "x", retries = 1.5',
        ': retries: must be a whole number from 0 to 1000000 or "unlimited", not 1.5' },
    { 'run = "x", retries = 1000001',
        ': retries: must be a whole number from 0 to 1000000 or "unlimited", not 1000001' },
    { 'run = "x", retries = 0/0',
        ': retries: must be a whole number from 0 to 1000000 or "unlimited", not nan' },
    { 'run = "x", retries = 3LL',
        ': retries: must be a whole number from 0 to 1000000 or "unlimited", not a cdata' },
    { 'run = "x", priority = 2147483648',
        ": priority: must be a whole number from -2147483648 to 2147483647, not 2147483648" },
    { 'run = "x", priority = -2147483649',
        ": priority: must be a whole number from -2147483648 to 2147483647, not -2147483649" },
    { 'run = "x", priority = 1/0',
        ": priority: must be a whole number from -2147483648 to 2147483647, not inf" },
    -- durations
    { 'run = "x", timeout = "5 parsecs"', ': timeout: bad duration "5 parsecs"' },
    { 'run = "x", timeout = 0', ': timeout: must be longer than 0; write "none" for no limit' },
    { 'run = "x", timeout = "0s"', ': timeout: must be longer than 0; write "none" for no limit' },
    { 'run = "x", timeout = "None"', ': timeout: bad duration "None"' },
    { 'run = "x", timeout = -5', ": timeout: bad duration -5" },
    { 'run = "x", timeout = {}',
        ': timeout: must be a duration such as "90s" or a number of seconds, not a table' },
    { 'run = "x", kill_after = "none"', ': kill_after: bad duration "none"' },
    { 'run = "x", delay = "none"', ': delay: bad duration "none"' },
    { 'run = "x", delay = -1', ": delay: bad duration -1" },
    -- env
    { 'run = "x", env = "A=1"', ': env: must be a table of NAME = value, not "A=1"' },
    { 'run = "x", env = { "A=1" }',
        ": env: must be a table of NAME = value; it has the key 1" },
    { 'run = "x", env = { ["A=B"] = "1" }', ": env: bad name \"A=B\": no '=', NUL or newline" },
    { 'run = "x", env = { ["A\\nB"] = "1" }',
        ": env: bad name \"A\\nB\": no '=', NUL or newline" },
    { 'run = "x", env = { ["A\\0B"] = "1" }',
        ": env: bad name \"A\\x00B\": no '=', NUL or newline" },
    { 'run = "x", env = { [""] = "1" }', ": env: a name is empty" },
    { 'run = "x", env = { A = true }',
        ': env: A is true; write "1" or "true" (false removes a variable)' },
    { 'run = "x", env = { A = 0.1 }', ": env: A is the number 0.1; write it as a string" },
    { 'run = "x", env = { A = {} }', ": env: A must be a string, not a table" },
    { 'run = "x", env = { A = "x\\0y" }', ": env: A contains a NUL byte" },
    { 'run = "x", env = { B = {}, A = true, C = "1" }',
        ': env: A is true; write "1" or "true" (false removes a variable)\n'
        .. "jobs.lua:1: job 'a': env: B must be a string, not a table" },
    -- paths and stdin
    { 'run = "x", cwd = 5', ": cwd: must be a path, not 5" },
    { 'run = "x", cwd = ""', ": cwd: is empty" },
    { 'run = "x", cwd = "a\\0"', ": cwd: contains a NUL byte" },
    { 'run = "x", stdin = 5', ': stdin: must be a string or { file = "path" }, not 5' },
    { 'run = "x", stdin = {}', ': stdin: must be a string or { file = "path" }' },
    { 'run = "x", stdin = { "x" }', ': stdin: must be a string or { file = "path" }' },
    { 'run = "x", stdin = { file = 1 }', ": stdin: file: must be a path, not 1" },
    -- names
    { 'run = "x", queue = "a/b"',
        ': queue: bad name "a/b": 1 to 64 of A-Z a-z 0-9 _ . -, not starting with . or -' },
    { 'run = "x", queue = ""',
        ': queue: bad name "": 1 to 64 of A-Z a-z 0-9 _ . -, not starting with . or -' },
    { 'run = "x", group = "-a"',
        ': group: bad name "-a": 1 to 64 of A-Z a-z 0-9 _ . -, not starting with . or -' },
    { 'run = "x", group = 1', ": group: must be a string, not 1" },
    { 'run = "x", outputs = "version"', ': outputs: must be a list, not "version"'
        .. '; write { "version" }' },
    { 'run = "x", outputs = { "a b" }',
        ': outputs: entry 1 is "a b": a name has letters, digits and _' },
    { 'run = "x", outputs = { "1a" }',
        ': outputs: entry 1 is "1a": a name has letters, digits and _' },
    { 'run = "x", outputs = { 1 }', ": outputs: entry 1 must be a name, not 1" },
    { 'run = "x", outputs = { "v", "v" }', ": outputs: 'v' is listed twice" },
    { 'run = "x", outputs = { v = true }', ': outputs: must be a list; it has the key "v"' },
    { 'run = "x", tags = { "a", 1 }', ": tags: entry 2 must be a string, not 1" },
    { 'run = "x", tags = { "" }', ": tags: entry 1 is empty" },
    { 'run = "x", tags = { "a\\nb" }', ": tags: entry 1 contains a control character" },
    { 'run = "x", tags = { "\\255" }', ": tags: entry 1 is not valid UTF-8" },
    { 'run = "x", tags = { "a", "a" }', ": tags: 'a' is listed twice" },
    { 'run = "x", desc = 5', ": desc: must be a string, not 5" },
    { 'run = "x", desc = "\\27[31m"', ": desc: contains a control character" },
    -- the rest
    { 'run = "x", ok_codes = 0', ": ok_codes: must be a list, not 0" },
    { 'run = "x", ok_codes = {}', ": ok_codes: is empty: no exit code would be success" },
    { 'run = "x", ok_codes = { 256 }',
        ": ok_codes: entry 1 must be an exit code from 0 to 255, not 256" },
    { 'run = "x", ok_codes = { "0" }',
        ': ok_codes: entry 1 must be an exit code from 0 to 255, not "0"' },
    { 'run = "x", allow_failure = 1', ": allow_failure: must be true or false, not 1" },
    { 'run = "x", meta = "x"', ': meta: must be a table, not "x"' },
    { 'run = "x", meta = { f = print }', ": meta: 'f' must be plain data, not a function" },
    { 'run = "x", meta = { a = { b = 1/0 } }', ": meta: 'a.b' is not a finite number" },
    { 'run = "x", meta = { 1, a = 2 }', ": meta: mixes named entries with the key 1" },
    { 'run = "x", meta = { a = { [3] = 1 } }', ": meta: 'a' mixes named entries with the key 3" },
    { 'run = "x", meta = { a = "\\255" }', ": meta: 'a' is not valid UTF-8" },
    { 'run = "x", meta = { a = setmetatable({}, {}) }',
        ": meta: 'a' must be plain data, not a table" },
    { 'run = "x", meta = { a = { "x", job } }',
        ": meta: 'a[2]' must be plain data, not a function" },
    { 'run = "x", meta = (function() local t = {} t.t = t return t end)()',
        ": meta: nested deeper than 16 tables" },
    -- backoff
    { 'run = "x", backoff = 5',
        ': backoff: must be a name or a list, such as "exponential" or { "5s", "30s" }, not 5' },
    { 'run = "x", backoff = "exponental"', ": backoff: unknown kind 'exponental' "
        .. "(did you mean 'exponential'?); "
        .. "there are decorrelated, exponential, fixed, linear, list" },
    { 'run = "x", backoff = {}',
        ': backoff: needs a kind, such as { "exponential", base = "2s" }' },
    { 'run = "x", backoff = { base = 1 }',
        ': backoff: needs a kind, such as { "exponential", base = "2s" }' },
    { 'run = "x", backoff = "list"', ": backoff: a list needs at least one delay" },
    { 'run = "x", backoff = { "5s", "5 s" }', ': backoff: delay 2: bad duration "5 s"' },
    { 'run = "x", backoff = { "fixed", factor = 2 }', ": backoff: fixed has no option 'factor'" },
    { 'run = "x", backoff = { "linear", bsae = 2 }',
        ": backoff: linear has no option 'bsae' (did you mean 'base'?)" },
    { 'run = "x", backoff = { "linear", 5 }', ": backoff: unexpected value at position 2" },
    { 'run = "x", backoff = { "exponential", factor = 0.5 }',
        ": backoff: factor: must be a number from 1 to 1000, not 0.5" },
    { 'run = "x", backoff = { "exponential", factor = 0/0 }',
        ": backoff: factor: must be a number from 1 to 1000, not nan" },
    { 'run = "x", backoff = { "linear", jitter = "ful" }',
        ': backoff: jitter: must be "none", "equal" or "full", not "ful" '
        .. "(did you mean 'full'?)" },
    { 'run = "x", backoff = { "linear", cap = 0 }', ": backoff: cap: must be longer than 0" },
    { 'run = "x", backoff = { "linear", base = "1m", cap = "1s" }',
        ": backoff: base 1m is longer than cap 1s" },
    { 'run = "x", backoff = { "linear", base = "x" }', ': backoff: base: bad duration "x"' },
    -- needs
    { 'run = "x", needs = "biuld"', " needs unknown job 'biuld'" },
    { 'run = "x", needs = "a"', " needs itself" },
    { 'run = "x", needs = 5', ": needs: must be a job or the name of one, not 5" },
    { 'run = "x", needs = { true }',
        ": needs: entry 1 must be a job or the name of one, not true" },
    { 'run = "x", needs = job "b"', ": needs: must be a job or the name of one, "
        .. "not a function (a job without its table?)\n"
        .. "jobs.lua:1: job 'b' was never given its table" },
    { 'run = "x", needs = { nil, "b" }', ": needs: entry 1 is nil" },
    { 'run = "x", needs = { { "b", on = "succes" } }', ": needs: entry 1: "
        .. 'on must be "success", "failure" or "done", not "succes" (did you mean \'success\'?)' },
    { 'run = "x", needs = { "b", on = true }',
        ': needs: on must be "success", "failure" or "done", not true' },
    { 'run = "x", needs = { on = "done" }', ": needs: { on = ... } names no job" },
    { 'run = "x", needs = { { "b", no = "done" } }',
        ": needs: entry 1: unknown key 'no' (did you mean 'on'?)" },
    { 'run = "x", needs = { { { { "b" } } } }',
        ": needs: entry 1: entry 1 must be a job or the name of one, not a table" },
}

describe("a wrong key", function()
    for _, case in ipairs(KEYS) do
        it("is told: " .. case[2]:match("^[^\n]*"), function()
            assert.equal("jobs.lua:1: job 'a'" .. case[2],
                message_of('job "a" { ' .. case[1] .. " }"))
        end)
    end
end)

-- { file, message }
local FILES = {
    { "", "jobs.lua: " .. NO_JOBS },
    { "-- nothing", "jobs.lua: " .. NO_JOBS },
    { "#!/usr/bin/env queuectl", "jobs.lua: " .. NO_JOBS },
    { "defaults { retries = 1 }", "jobs.lua: " .. NO_JOBS },
    { "\nlocal x =", "jobs.lua:2: unexpected symbol near '<eof>'" },
    { '\n\njob "a" { run = "x" ', "jobs.lua:3: '}' expected near '<eof>'" },
    { "x = 'a\nb'", "jobs.lua:1: unfinished string near ''a'"
        .. " (text over several lines stands in [[ ]])" },
    { "\27LJ\2\0", "jobs.lua: precompiled Lua; only source text is accepted" },
    { "#!/bin/x\n\27LJ\2\0", "jobs.lua: precompiled Lua; only source text is accepted" },
    { "\239\187\191\27LJ\2\0", "jobs.lua: precompiled Lua; only source text is accepted" },
    { "\255\254j\0o\0", "jobs.lua: UTF-16 text; save the file as UTF-8" },
    { "-- ok\n-- Gr\246\223e\n", 'jobs.lua:2: not valid UTF-8; save the file as UTF-8, '
        .. 'write other bytes as "\\255"' },
    -- errors raised by the file
    { "\nerror('boom')", "jobs.lua:2: boom" },
    { "\nerror('boom', 0)", "jobs.lua:2: boom" },
    { "error()", "jobs.lua:1: an error was raised without a message" },
    { "error({})", "jobs.lua:1: an error was raised with an empty table" },
    { "error({ code = 5, 'x' })",
        'jobs.lua:1: an error was raised with a table: { "x", code = 5 }' },
    { "error({ message = 'm' })", "jobs.lua:1: m" },
    { "error(setmetatable({}, { __tostring = function() return 't' end }))", "jobs.lua:1: t" },
    { "error(setmetatable({}, { __tostring = function() error('t') end }))",
        "jobs.lua:1: an error was raised with an empty table" },
    { "error(5)", "jobs.lua:1: 5" },
    { "error(true)", "jobs.lua:1: an error was raised with true" },
    { "error(print)", "jobs.lua:1: an error was raised with a function" },
    { "error('a\\nb\\27c')", "jobs.lua:1: a b\\x1bc" },
    { "local x\n\nx.y = 1", "jobs.lua:3: attempt to index local 'x' (a nil value)" },
    { "local function f()\n  return ('x').y.z\nend\nlocal a = f()",
        "jobs.lua:2: attempt to index field 'y' (a nil value)" },
    { "\nstring.rep()", "jobs.lua:2: bad argument #1 to 'rep' (string expected, got no value)" },
    { "local function f() return 1 + f() end\nf()", "jobs.lua:1: stack overflow" },
    { "\nos.exit(0)", "jobs.lua:2: os.exit would end queuectl itself; raise an error instead" },
    -- globals
    { "\n\njbo 'x' {}", "jobs.lua:3: undefined variable 'jbo' (did you mean 'job'?)" },
    { "local a = nothing_like_it", "jobs.lua:1: undefined variable 'nothing_like_it'" },
    { "local a = _G[5]", "jobs.lua:1: undefined variable '5'" },
    { 'x = 1\nlocal y = x\njob "a" { run = "x" }',
        "jobs.lua:1: assignment to global 'x': add 'local'" },
    { 'function helper() end\njob = nil\njob2 = 1',
        "jobs.lua:1: assignment to global 'helper': add 'local'\n"
        .. "jobs.lua:2: assignment to global 'job': add 'local'\n"
        .. "jobs.lua:3: assignment to global 'job2': add 'local'" },
    -- job and defaults
    { '\njob "x"', "jobs.lua:2: job 'x' was never given its table" },
    { 'local x = job "x"\njob "y" { run = "x" }', "jobs.lua:1: job 'x' was never given its table" },
    { 'job "x" "echo"',
        'jobs.lua:1: job \'x\' needs a table such as { run = "..." }, not "echo"' },
    { 'job "x" (nil)', "jobs.lua:1: job 'x' was never given its table" },
    { "job()", "jobs.lua:1: a job's name must be a string, not nil\n"
        .. "jobs.lua:1: job '?' was never given its table" },
    { 'job(5) { run = "x" }', "jobs.lua:1: a job's name must be a string, not 5" },
    { 'job { run = "x" }', "jobs.lua:1: a job's name must be a string, not a table\n"
        .. "jobs.lua:1: job '?' was never given its table" },
    { 'job "" { run = "x" }', 'jobs.lua:1: the job name "" is empty' },
    { 'job "  " { run = "x" }', 'jobs.lua:1: the job name "  " is empty' },
    { 'job "a\\tb" { run = "x" }',
        'jobs.lua:1: the job name "a\\tb" contains a control character' },
    { 'job "a\\194\\133b" { run = "x" }',
        'jobs.lua:1: the job name "a\\xc2\\x85b" contains a control character' },
    { 'job "a\\255" { run = "x" }', 'jobs.lua:1: the job name "a\\xff" is not valid UTF-8' },
    { 'job("a", { run = "x" })',
        'jobs.lua:1: job \'a\': write job "name" { ... }, without a comma' },
    { 'job "a" { run = "x" }\n\njob "a" { run = "y" }',
        "jobs.lua:3: job 'a' is already defined at line 1" },
    { 'local make = job "a"\nmake { run = "x" }\nmake { run = "y" }',
        "jobs.lua:3: job 'a' is already defined at line 1" },
    { 'defaults { retires = 1, run = "x" }\njob "a" {}',
        "jobs.lua:1: defaults: unknown key 'retires' (did you mean 'retries'?)" },
    { 'defaults { timeout = "x" }\njob "a" { run = "x" }',
        'jobs.lua:1: defaults: timeout: bad duration "x"' },
    { 'defaults "x"', 'jobs.lua:1: defaults needs a table such as { retries = 2 }, not "x"' },
    { "defaults()", "jobs.lua:1: defaults needs a table such as { retries = 2 }, not nil" },
    -- references
    { 'local a = job "a" { run = "x" }\nlocal b = a.output',
        "jobs.lua:2: job 'a': a job has no field 'output'; it has 'name' and 'out'" },
    { 'local a = job "a" { run = "x" }\nlocal b = a.nmae',
        "jobs.lua:2: job 'a': a job has no field 'nmae' (did you mean 'name'?); "
        .. "it has 'name' and 'out'" },
    { 'local a = job "a" { run = "x" }\na.retries = 2',
        "jobs.lua:2: job 'a': cannot set 'retries' any more; write it in the job's table" },
    { 'local a = job "a" { run = "x" }\na.out.v = 2',
        "jobs.lua:2: job 'a': its outputs are set by the job when it runs" },
    { 'local a = job "a" { run = "x" }\nlocal b = "x-" .. a',
        "jobs.lua:2: job 'a': a job is not text; write .name for its name" },
    { 'local a = job "a" { run = "x" }\nlocal b = a .. "-x"',
        "jobs.lua:2: job 'a': a job is not text; write .name for its name" },
}

describe("a wrong file", function()
    for i, case in ipairs(FILES) do
        it(("%d is told: %s"):format(i, case[2]:match("^[^\n]*")), function()
            -- LuaJIT tells the line of an overflow or does not.
            local got = message_of(case[1]):gsub("^jobs.lua: stack", "jobs.lua:1: stack")
            assert.equal(case[2], got)
        end)
    end

    it("has an error in a module told at the line that called it", function()
        package.loaded["spec.broken"] = { call = loadstring("error('inside')", "=broken.lua") }
        assert.equal("jobs.lua:2: broken.lua:1: inside",
            message_of("local m = require 'spec.broken'\nm.call()"))
        package.loaded["spec.broken"] = nil
    end)

    it("is told where references and tokens of another file's jobs stand", function()
        assert.truthy(jobs.plan([[
            package.loaded["spec.kept"] = job "a" { run = "x", outputs = { "v" } }]], "other.lua"))
        assert.equal("jobs.lua:1: job 'a' needs job 'a' of another file\n"
            .. "jobs.lua:2: job 'b' needs job 'a' of another file",
            message_of([[job "a" { run = "x", needs = require "spec.kept" }
                job "b" { run = { "x", require("spec.kept").out.v } }]]))
        package.loaded["spec.kept"] = nil
    end)
end)

local SPLICE = "a job output cannot be spliced into a string; "
    .. "pass it through env or as an entry of a run list"

describe("a token", function()
    local BUILD = 'local build = job "build" { run = "x", outputs = { "version" } }\n'
        .. "local v = build.out.version\n"

    local spliced = {
        "'v' .. v", "v .. 'v'", "v .. v", "tostring(v)", "('%s'):format(v)",
        "string.format('%d', v)", "v + 1", "1 - v", "-v", "v * 2", "v / 2", "v % 2", "v ^ 2",
        "v < v", "v >= v", "#v", "v()", "table.concat({ v })", "table.concat({ 'a', v }, ' ')",
    }
    for _, expression in ipairs(spliced) do
        it("is refused in " .. expression, function()
            assert.equal("jobs.lua:4: " .. SPLICE,
                message_of(BUILD .. "\nlocal x = " .. expression))
        end)
    end

    it("is refused as shell text", function()
        assert.equal("jobs.lua:3: job 'a': run: " .. SPLICE,
            message_of(BUILD .. 'job "a" { run = v }'))
        assert.equal("jobs.lua:4: " .. SPLICE,
            message_of(BUILD .. 'job "a" {\n  run = "deploy " .. v }'))
    end)

    local elsewhere = {
        { "cwd = v", "cwd: cannot be a job output; " },
        { "stdin = v", "stdin: cannot be a job output; " },
        { "stdin = { file = v }", "stdin: file: cannot be a job output; " },
        { "timeout = v", "timeout: cannot be a job output; " },
        { "retries = v", "retries: cannot be a job output; " },
        { "priority = v", "priority: cannot be a job output; " },
        { "queue = v", "queue: cannot be a job output; " },
        { "desc = v", "desc: cannot be a job output; " },
        { "allow_failure = v", "allow_failure: cannot be a job output; " },
        { "backoff = v", "backoff: cannot be a job output; " },
        { "tags = { v }", "tags: entry 1 cannot be a job output; " },
        { "outputs = { v }", "outputs: entry 1 cannot be a job output; " },
        { "ok_codes = { v }", "ok_codes: entry 1 cannot be a job output; " },
    }
    for _, case in ipairs(elsewhere) do
        it("is refused in " .. case[1], function()
            assert.equal("jobs.lua:3: job 'a': " .. case[2]
                .. "pass it through env or as an entry of a run list",
                message_of(BUILD .. ('job "a" { run = "x", %s }'):format(case[1])))
        end)
    end

    it("is refused in matrix, meta and needs", function()
        assert.equal("jobs.lua:3: job 'a': matrix: 'k': value 1 "
            .. "must be a string, number or boolean, not a job output",
            message_of(BUILD .. 'job "a" { run = "x", matrix = { k = { v } } }'))
        assert.equal("jobs.lua:3: job 'a': meta: 'k' must be plain data, not a job output",
            message_of(BUILD .. 'job "a" { run = "x", meta = { k = v } }'))
        assert.equal("jobs.lua:3: job 'a': needs: must be a job or the name of one, "
            .. "not a job output; outputs bring their own dependency",
            message_of(BUILD .. 'job "a" { run = "x", needs = v }'))
    end)

    it("must be of a declared output", function()
        assert.equal("jobs.lua:3: job 'build' has no output 'versoin' (did you mean 'version'?)",
            message_of(BUILD .. 'job "a" { run = { "x", build.out.versoin } }'))
        assert.equal("jobs.lua:3: job 'build' has no output \"a b\": "
            .. "a name has letters, digits and _",
            message_of(BUILD .. 'job "a" { run = { "x", build.out["a b"] } }'))
        assert.equal("jobs.lua:3: job 'build' has no output 1: a name has letters, digits and _",
            message_of(BUILD .. 'job "a" { run = { "x", build.out[1] } }'))
    end)

    it("of a program that declares none is told how to", function()
        for _, run in ipairs { '"x"', '{ "x" }' } do
            assert.equal("jobs.lua:2: job 'b' declares no outputs; "
                .. 'add outputs = { "version" } to it',
                message_of(('local b = job "b" { run = %s }\n'):format(run)
                    .. 'job "a" { run = "x", env = { V = b.out.version } }'))
        end
    end)

    it("of a matrix job is told the instances", function()
        local matrix = 'local t = job "t" { run = "x", outputs = { "v" }, matrix = { k = %s } }\n'
            .. 'job "a" { run = { "x", t.out.v } }'
        assert.equal("jobs.lua:2: job 't' is a matrix of t[k=1], t[k=2]: "
            .. "its output 'v' is not one value", message_of(matrix:format("{ 1, 2 }")))
        assert.equal("jobs.lua:2: job 't' is a matrix of t[k=1], t[k=2], t[k=3], t[k=4] "
            .. "and 2 more: its output 'v' is not one value",
            message_of(matrix:format("{ 1, 2, 3, 4, 5, 6 }")))
    end)

    it("has no fields", function()
        assert.equal("jobs.lua:3: a job output has no field 'x': "
            .. "its value is known only when the job has run", message_of(BUILD .. "local x = v.x"))
        assert.equal("jobs.lua:3: a job output has no field 'gsub': "
            .. "its value is known only when the job has run",
            message_of(BUILD .. "local x = v:gsub('a', 'b')"))
    end)

    it("contradicts a need with another condition", function()
        assert.equal("jobs.lua:3: job 'a' uses an output of 'build', "
            .. 'so it cannot need it with on = "done"; a function may, and read ctx.outputs',
            message_of(BUILD .. 'job "a" { run = { "x", v }, needs = { { build, on = "done" } } }'))
    end)
end)

describe("needs", function()
    it("has unknown names told with the nearest one", function()
        assert.equal("jobs.lua:2: job 'deploy' needs unknown job 'biuld' (did you mean 'build'?)",
            message_of('job "build" { run = "x" }\njob "deploy" { run = "x", needs = "biuld" }'))
    end)

    it("has all unknown names told", function()
        assert.equal("jobs.lua:1: job 'a' needs unknown job 'x'\n"
            .. "jobs.lua:1: job 'a' needs unknown job 'y'",
            message_of('job "a" { run = "x", needs = { "x", "y" } }'))
    end)

    it("has unknown instances told with those there are", function()
        assert.equal("jobs.lua:2: job 'a' needs unknown job 't[db=mysql]' "
            .. "(there are t[db=pg], t[db=my])",
            message_of('job "t" { run = "x", matrix = { db = { "pg", "my" } } }\n'
                .. 'job "a" { run = "x", needs = "t[db=mysql]" }'))
    end)

    it("refuses two conditions on one job", function()
        assert.equal("jobs.lua:2: job 'a' needs 'b' with on = \"success\" and with on = \"done\"",
            message_of('job "b" { run = "x" }\n'
                .. 'job "a" { run = "x", needs = { "b", { "b", on = "done" } } }'))
    end)

    it("does not repeat the fault of a job that is itself wrong", function()
        assert.equal("jobs.lua:1: job 'b': run is missing",
            message_of('job "b" {}\njob "a" { run = "x", needs = "b" }'))
        assert.equal("jobs.lua:1: job 'b' was never given its table",
            message_of('local b = job "b"\njob "a" { run = "x", needs = "b" }'))
        assert.equal("jobs.lua:1: job 'b': matrix: 'k' has no values",
            message_of('local b = job "b" { run = "x", matrix = { k = {} } }\n'
                .. 'job "a" { run = { "x", b.out.v }, needs = b }'))
    end)
end)

describe("several problems", function()
    it("are told together, in line order", function()
        assert.equal(table.concat({
            "jobs.lua:1: assignment to global 'x': add 'local'",
            "jobs.lua:2: job 'c' needs unknown job 'd'",
            "jobs.lua:3: job 'a': unknown key 'retires' (did you mean 'retries'?)",
            "jobs.lua:3: job 'a': unknown key 'zzz'",
            'jobs.lua:3: job \'a\': timeout: bad duration "5 parsecs"',
            "jobs.lua:3: job 'a': retries: must be a whole number from 0 to 1000000 "
                .. 'or "unlimited", not "3"',
            "jobs.lua:6: job 'b' was never given its table",
            "dependency cycle: e -> f -> e",
        }, "\n"), message_of [[
x = 1
job "c" { run = "x", needs = "d" }
job "a" { run = "x", zzz = 1, retires = 1, retries = "3", timeout = "5 parsecs" }
job "e" { run = "x", needs = "f" }
job "f" { run = "x", needs = "e" }
local b = job "b"
]])
    end)

    it("stop at an error of the file itself, which is told with them", function()
        assert.equal("jobs.lua:1: job 'a': run is missing\n"
            .. "jobs.lua:2: stop",
            message_of('job "a" { needs = "b" }\nerror("stop")\njob "c" {}'))
        assert.equal("jobs.lua:1: undefined variable 'nothing'",
            message_of('job "a" { run = "x", needs = "b", retries = nothing }'))
    end)

    it("are at most twenty; the rest is counted", function()
        local lines = {}
        for i = 1, 21 do lines[i] = ('job "j%d" {}'):format(i) end
        local message = message_of(table.concat(lines, "\n"))
        local told = {}
        for line in message:gmatch("[^\n]+") do told[#told + 1] = line end
        assert.equal(21, #told)
        assert.equal("jobs.lua:20: job 'j20': run is missing", told[20])
        assert.equal("jobs.lua: 1 more problem", told[21])
    end)

    it("of the same kind at the same line are told once", function()
        assert.equal("jobs.lua:1: the job name \"\" is empty",
            message_of('for _ = 1, 3 do job "" { run = "x" } end'))
    end)
end)

describe("the file's name in messages", function()
    it("is the one the user typed, however long", function()
        local long = ("dir/"):rep(40) .. "jobs.lua"
        local sources = { "\nx =", "\nerror('e')", "\nlocal a = nothing", "\njob 'a' {}" }
        for _, source in ipairs(sources) do
            local _, message = jobs.plan(source, "/abs", { display = long })
            assert.equal(long .. ":2: ", message:sub(1, #long + 4))
        end
    end)

    it("is escaped", function()
        local _, message = jobs.plan("", "/abs", { display = "a\nb.lua" })
        assert.equal("a\\nb.lua: " .. NO_JOBS, message)
    end)

    it("is the path when there is no other", function()
        assert.equal("/abs/j.lua: " .. NO_JOBS, select(2, jobs.plan("", "/abs/j.lua")))
    end)
end)
