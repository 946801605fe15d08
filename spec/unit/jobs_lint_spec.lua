-- What `check` warns of: each planted mistake is found at its line, and a clean file has none.

local jobs = require "queuectl.jobs"
local lint = require "queuectl.jobs.lint"

local function warnings(source, opts)
    local files = { { text = source, path = "/srv/jobs.lua", display = "jobs.lua" } }
    opts = opts or {}
    opts.missing_ok, opts.now = true, 1900000000
    local planned, message = jobs.plan_files(files, opts)
    assert.is_nil(message)
    local list = {}
    for i, one in ipairs(lint.find(planned, files, opts)) do
        assert.equal("jobs.lua", one.file)
        list[i] = (one.line or "-") .. ": " .. one.message
    end
    return list
end

local UNSTABLE = " when the file is read again; what depends on the time or on chance belongs into "
    .. "the job, not into the file"
local SPLICED = " stands in shell text unquoted; write sh.quote(...) around it or "
    .. "pass it through env"

local function check(source, ...)
    assert.same({ ... }, warnings(source))
end

describe("a clean file", function()
    it("has no warning", function()
        check [[
            local target = param "target" { required = true }
            local where = param "where" { type = "path", default = "out" }
            local kind = param "kind" { choices = { "a", "b" }, default = "a" }
            local n = param "n" { type = "integer", default = 2 }
            local a = job "a" { run = "make " .. sh.quote(target) .. " " .. kind,
                outputs = { "v" } }
            local b = job "b" { run = "ls $WHERE", env = { WHERE = where }, needs = a }
            job "c" { run = { "deploy", target, a.out.v }, timeout = "1m", max_age = "1h" }
            job "d" { run = "rescue", needs = { { b, on = "failure" } }, tags = { "slow" } }
            job "e" { run = "report " .. n, needs = { { "d", on = "done" }, { b, on = "done" } } }
            job "m" { matrix = { k = { "x", "X" } }, run = function() return os.time() end }
            job "f" { run = "true", run_at = "in 5m", delay = 5, tags = { "slow" },
                allow_failure = true }]]
    end)
end)

describe("a job that can never run", function()
    local A = 'local a = job "a" { run = "x" }\n'

    it("needs another to fail and to succeed", function()
        check(A .. 'job "b" { run = "x", needs = a }\n'
            .. 'job "c" { run = "x", needs = { "b", { a, on = "failure" } } }',
            "3: job 'c' can never run: it needs 'a' to fail and, through 'b', to succeed")
    end)

    it("does so through a chain, whatever the order in the file", function()
        check('job "z" { run = "x", needs = { "p", "q" } }\n'
            .. 'job "p" { run = "x", needs = { { "a", on = "failure" } } }\n'
            .. 'job "q" { run = "x", needs = "r" }\njob "r" { run = "x", needs = "a" }\n'
            .. 'job "a" { run = "x" }\njob "y" { run = "x", needs = "z" }',
            "1: job 'z' can never run: it needs 'a' to fail and, through 'q', to succeed",
            "6: job 'y' can never run: it needs 'z', which can never run")
    end)

    it("needs a failure that does not count", function()
        check('job "a" { run = "x", allow_failure = true }\n'
            .. 'job "b" { run = "x", needs = { { "a", on = "failure" } } }\n'
            .. 'job "c" { run = "x", needs = { { "b", on = "failure" } } }',
            "2: job 'b' can never run: it needs 'a' to fail, but with allow_failure that counts "
            .. "as success",
            "3: job 'c' can never run: it needs 'b' to fail, which can never run")
    end)

    it("is none that can run after all", function()
        -- 'b' is skipped when 'a' fails, and that counts as a failure of 'b'.
        check(A .. 'job "b" { run = "x", needs = a, allow_failure = true }\n'
            .. 'job "c" { run = "x", needs = { { "b", on = "failure" }, { a, on = "failure" } } }')
        check(A .. 'job "b" { run = "x", needs = { { a, on = "done" } } }\n'
            .. 'job "c" { run = "x", needs = { "b", { a, on = "failure" } } }')
    end)

    it("is said once for all instances of a matrix", function()
        check(A .. 'job "b" { run = "x", needs = a }\n'
            .. 'job "c" { matrix = { k = { 1, 2 } }, run = "x", '
            .. 'needs = { "b", { a, on = "failure" } } }',
            "3: job 'c[k=1]' can never run: it needs 'a' to fail and, through 'b', to succeed")
    end)

    it("is found in a chain of ten thousand", function()
        local list = warnings([[
            job "j1" { run = "x" }
            for i = 2, 10000 do job("j" .. i) { run = "x", needs = "j" .. (i - 1) } end
            job "end" { run = "x", needs = { "j10000", { "j1", on = "failure" } } }]])
        assert.same({ "3: job 'end' can never run: it needs 'j1' to fail and, through 'j10000', to "
            .. "succeed" }, list)
    end)
end)

describe("a parameter in shell text", function()
    it("is found unquoted, in every kind of shell text", function()
        check('local p = param "p" { default = "x" }\n'
            .. 'job "a" { run = "echo " .. p }\njob "b" { run = \'echo "\' .. p .. \'"\' }\n'
            .. 'job "c" { run = "echo " .. p, shell = { "bash", "-c" } }\n'
            .. 'job "d" { run = { "/bin/sh", "-ec", "echo " .. p } }\n'
            .. 'job "e" { run = { "sh", "-c", "echo $1", "x", p } }\n'
            .. 'job "f" { run = "echo " .. sh.quote(p) }',
            "2: job 'a': parameter 'p'" .. SPLICED, "3: job 'b': parameter 'p'" .. SPLICED,
            "4: job 'c': parameter 'p'" .. SPLICED, "5: job 'd': parameter 'p'" .. SPLICED)
    end)

    it("is found for paths and lists, and none that cannot do harm", function()
        check('local p = param "p" { type = "path" }\nlocal l = param "l" { type = "list" }\n'
            .. 'local n = param "n" { type = "integer", default = 1 }\n'
            .. 'local c = param "c" { choices = { "a" }, default = "a" }\n'
            .. 'job "a" { run = "ls " .. (p or "") .. n .. c }\n'
            .. 'job "b" { run = "ls " .. table.concat(l or {}, " ") }',
            "5: job 'a': parameter 'p'" .. SPLICED, "6: job 'b': parameter 'l'" .. SPLICED)
    end)

    it("is not looked for where the file does not take the value", function()
        check('local p = param "p" { default = "x" }\nassert(p == "x")\n'
            .. 'job "a" { run = "echo " .. p }')
    end)
end)

describe("names", function()
    it("that differ only in case are found", function()
        check('param "Target" {}\nparam "target" {}\n'
            .. 'job "Build" { run = "x", tags = { "slow" } }\n'
            .. 'job "build" { run = "x", tags = { "Slow" } }\n'
            .. 'job "c" { run = "x", tags = { "slow" }, outputs = { "v", "V" } }\n'
            .. 'job "d" { run = "x", outputs = { "v" } }',
            "2: parameter 'target' differs only in case from 'Target' at line 1",
            "4: job 'build' differs only in case from 'Build' at line 3",
            "4: tag 'Slow' differs only in case from 'slow' at line 3",
            "5: job 'c': output 'V' differs only in case from 'v' at line 5")
    end)
end)

describe("a value that is written and not promised", function()
    local RUN = [[run = 'echo v=1 >>"$QUEUECTL_OUTPUT"']]

    it("is found in shell text, and in that of a list", function()
        check('job "a" { ' .. RUN .. ' }\njob "b" { ' .. RUN .. ', outputs = { "v" } }\n'
            .. [[job "c" { run = { "sh", "-c", "echo v=1 >$QUEUECTL_OUTPUT" } }]],
            "1: job 'a': writes to $QUEUECTL_OUTPUT, but promises nothing; "
            .. 'add outputs = { "KEY" }',
            "3: job 'c': writes to $QUEUECTL_OUTPUT, but promises nothing; "
            .. 'add outputs = { "KEY" }')
    end)
end)

describe("settings that contradict each other", function()
    it("waits for a time at which it is too old", function()
        check('job "a" { run = "x", run_at = "in 2h", timeout = 1, max_age = "2h" }\n'
            .. 'job "b" { run = "x", run_at = "in 1h", timeout = 1, max_age = "2h" }',
            "1: job 'a' can never run: run_at is when max_age 2h is over")
    end)

    it("are found", function()
        check('job "a" { run = "x", timeout = "1h", max_age = "10m" }\n'
            .. 'job "b" { run = "x", delay = "10m", max_age = "10m" }\n'
            .. 'job "c" { run = "x", allow_failure = true, fail_fast = true }',
            "1: job 'a': timeout 1h is longer than max_age 10m: there is no second try after one "
            .. "that takes so long",
            "2: job 'b' can never run: delay 10m is not shorter than max_age 10m",
            "3: job 'c': fail_fast does nothing with allow_failure")
    end)
end)

describe("a file that is not the same when it is read again", function()
    for what, keys in pairs {
        run = '"echo " .. os.time()', env = '"x", env = { T = os.date "%c" }',
        meta = '"x", meta = { deep = { n = math.random() } }',
            delay = '"x", delay = os.time() % 1000',
        run_at = '"x", run_at = "@" .. os.time()',
    } do
        it("is found by " .. what, function()
            check('job "ok" { run = "x" }\njob "a" { run = ' .. keys .. " }",
                "2: job 'a': " .. what .. " differs" .. UNSTABLE)
        end)
    end

    it("is found by the names and the number of its jobs", function()
        local list = warnings('job("a" .. os.time()) { run = "x" }')
        assert.matches("^1: job 'a%d+' is not there when the file is read again;", list[1])
        assert.equal(1, #list)
        list = warnings('job "a" { run = "x" }\nlocal n = os.time() > ' .. os.time() + 5000
            .. ' and 2 or 0\nfor i = 1, n do job("b" .. i) { run = "x" } end')
        assert.matches("^3: job 'b1' is only there when the file is read again;", list[1])
    end)

    it("is found by a default, and when it cannot be read again", function()
        check('param "p" { default = os.date() }\njob "a" { run = "x" }',
            "1: parameter 'p' differs" .. UNSTABLE)
        local list = warnings("assert(os.time() < " .. os.time() + 5000
            .. ', "late") job "a" { run = "x" }')
        assert.equal("-: cannot be read a second time: jobs.lua:1: late; what depends on the "
            .. "time or on chance belongs into the job, not into the file", list[1])
    end)

    it("leaves the clock alone afterwards", function()
        local before = os.time()
        warnings('job "a" { run = "x" }')
        assert.is_true(os.time() - before < 60)
    end)
end)
