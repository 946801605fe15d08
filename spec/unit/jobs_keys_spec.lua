-- The keys that say when a job may run, with what, and what it leaves behind; and secrets.

local jobs = require "queuectl.jobs"

local NOW = 1900000000

local function plan(source)
    return jobs.plan(source, "/srv/app/jobs.lua", { display = "jobs.lua", now = NOW })
end

local function spec_of(keys)
    local planned, message = plan(('job "a" { %s }'):format(keys))
    assert.is_nil(message)
    return planned.jobs[1]
end

-- { keys, what follows "jobs.lua:1: job 'a': " }
local WRONG = {
    { 'run = "x", when = "yes"', 'when: must be a function, not "yes"'
        .. '; write function(ctx) return ... end' },
    { 'run = "x", shell = "/bin/bash"',
        'shell: must be a list such as { "/bin/bash", "-c" }, not "/bin/bash"' },
    { 'run = "x", shell = {}', "shell: the list is empty" },
    { 'run = "x", shell = { "" }', "shell: the program's name is empty" },
    { 'run = { "x" }, shell = { "bash", "-c" }', "shell: is only for run as text" },
    { "run = function() end, shell = { 'bash', '-c' }", "shell: is only for run as text" },
    { 'run = "x", shell = { "sh", other.out.v }', "shell: entry 2 must be text" },
    { 'run = ("x"):rep(131000), shell = { ("s"):rep(100) }',
        "run: 131102 bytes with its shell; the limit is 131072" },
    { 'run = "x", max_age = 0', 'max_age: must be longer than 0; write "none" for no limit' },
    { 'run = "x", max_age = "soon"', 'max_age: bad duration "soon"' },
    { 'run = "x", fail_fast = 1', "fail_fast: must be true or false, not 1" },
    { 'run = "x", artifacts = "a"', 'artifacts: must be a list, not "a"; write { "a" }' },
    { 'run = "x", artifacts = { "" }', "artifacts: entry 1 is empty" },
    { 'run = "x", artifacts = { "a", 1 }',
        "artifacts: entry 2 must be a path or a pattern, not 1" },
    { 'run = "x", artifacts = { "/etc/x" }',
        'artifacts: entry 1 is "/etc/x": it must be relative to cwd' },
    { 'run = "x", artifacts = { "a", "a" }', "artifacts: 'a' is listed twice" },
    { 'run = "x", run_at = 5',
        'run_at: must be a time such as "18:00" or "2030-01-31 09:00", not 5' },
    { 'run = "x", run_at = "25:00"', 'run_at: bad time "25:00": there is no hour 25' },
    { 'run = "x", limits = "2G"', 'limits: must be a table such as { memory = "2G" }, not "2G"' },
    { 'run = "x", limits = {}', "limits: is empty" },
    { 'run = "x", limits = { "2G" }', "limits: unexpected value at position 1" },
    { 'run = "x", limits = { memroy = "2G" }',
        "limits: unknown limit 'memroy' (did you mean 'memory'?)" },
    { 'run = "x", limits = { memory = "2g" }',
        'limits: memory: bad size "2g": write "512M" or "2G" (K, M, G, T), or bytes' },
    { 'run = "x", limits = { memory = "1000K" }',
        'limits: memory: must be from 1M to 1024T, not "1000K"' },
    { 'run = "x", limits = { memory = true }',
        'limits: memory: must be a size such as "2G", not true' },
    { 'run = "x", limits = { cpu = 0 }', "limits: cpu: must be longer than 0" },
    { 'run = "x", limits = { files = 2 }',
        "limits: files: must be a whole number from 3 to 1048576, not 2" },
    { 'run = "x", limits = { nice = 20 }',
        "limits: nice: must be a whole number from -20 to 19, not 20" },
    { 'run = "x", limits = { nice = 0.5, cpu = "x" }', 'limits: cpu: bad duration "x"\n'
        .. "jobs.lua:1: job 'a': limits: nice: must be a whole number from -20 to 19, not 0.5" },
    -- secrets
    { 'run = { "x", secret "env:T" }', "run: entry 2 is a secret: arguments are visible to every "
        .. "user of the machine; pass it through env" },
    { 'run = secret "env:T"', "run: cannot be a secret: arguments are visible to every user of "
        .. "the machine; pass it through env" },
    { 'run = "x", stdin = secret "env:T"', "stdin: cannot be a secret: it would be stored with "
        .. "the job; pass it through env" },
    { 'run = "x", desc = secret "env:T"', "desc: cannot be a secret; pass it through env" },
    { 'run = "x", meta = { t = secret "env:T" }', "meta: 't' must be plain data, not a secret" },
    { 'run = "x", tags = { secret "env:T" }',
        "tags: entry 1 cannot be a secret; pass it through env" },
}

describe("a wrong key", function()
    for _, case in ipairs(WRONG) do
        it("is told: " .. case[2], function()
            local planned, message = plan('local other = job "other" { run = "x", outputs = { "v" }'
                .. " } job 'a' { " .. case[1] .. " }")
            assert.is_nil(planned)
            assert.equal("jobs.lua:1: job 'a': " .. case[2], message)
        end)
    end
end)

describe("a job", function()
    it("keeps the keys", function()
        local spec = spec_of [[ run = "x", when = function() return true end, max_age = "1d",
            fail_fast = true, artifacts = { "out/*.tar", "log" }, run_at = "in 90s",
            limits = { memory = "1.5G", cpu = "90.5s", files = 64, nice = -5 } ]]
        assert.is_true(spec.when)
        assert.equal(86400000, spec.max_age_ms)
        assert.is_true(spec.fail_fast)
        assert.same({ "out/*.tar", "log" }, spec.artifacts)
        assert.equal((NOW + 90) * 1000, spec.start_at)
        assert.same({ memory = 1.5 * 2 ^ 30, cpu = 91, files = 64, nice = -5 }, spec.limits)
    end)

    it("has none of them unless it says so", function()
        local spec = spec_of 'run = "x"'
        assert.same({ false, {} }, { spec.fail_fast, spec.artifacts })
        for _, field in ipairs { "when", "max_age_ms", "start_at", "limits" } do
            assert.is_nil(spec[field])
        end
        assert.equal(0, spec_of('run = "x", max_age = "none"').max_age_ms)
    end)

    it("reads sizes in binary units and bytes", function()
        for text, bytes in pairs { ["1024K"] = 2 ^ 20, ["3M"] = 3 * 2 ^ 20, ["2G"] = 2 ^ 31,
            ["1T"] = 2 ^ 40, ["1048576"] = 2 ^ 20 } do
            assert.equal(bytes, spec_of(('run = "x", limits = { memory = "%s" }'):format(text))
                .limits.memory)
        end
        assert.equal(2000000, spec_of 'run = "x", limits = { memory = 2000000 }'.limits.memory)
    end)

    it("gives its text to its shell as the last argument", function()
        local spec = spec_of 'run = "echo $0", shell = { "/bin/bash", "-euc" }'
        assert.same({ "argv", { "/bin/bash", "-euc", "echo $0" } }, { spec.kind, spec.argv })
        assert.is_nil(spec.command)
    end)

    it("is not bothered by a shell of the defaults that it cannot use", function()
        local planned = assert(plan [[
            defaults { shell = { "bash", "-c" } }
            job "a" { run = "x" }
            job "b" { run = { "y" } }
            job "c" { run = function() end }]])
        assert.same({ "bash", "-c", "x" }, planned.jobs[1].argv)
        assert.same({ "y" }, planned.jobs[2].argv)
        assert.equal("lua", planned.jobs[3].kind)
    end)
end)

describe("a secret", function()
    it("is where its value is found, never the value", function()
        local spec = spec_of [[ run = "x", env = { A = secret "env:TOKEN", B = secret "file:pw",
            C = secret "file:/etc/pw", D = "plain" } ]]
        assert.same({
            { name = "A", secret = "env:TOKEN" }, { name = "B", secret = "file:/srv/app/pw" },
            { name = "C", secret = "file:/etc/pw" }, { name = "D", value = "plain" },
        }, spec.env)
    end)

    it("cannot become text", function()
        for _, form in ipairs { '"x" .. s', "tostring(s)", '("%%s"):format(s)', "sh.quote(s)",
            "#s", "s.name", "table.concat { s }" } do
            local _, message = plan('local s = secret "env:A"\nlocal t = ' .. form:gsub("%%%%",
                "%%"))
            assert.equal("jobs.lua:2: a secret cannot be spliced into a string; "
                .. "pass it through env",
                message)
        end
    end)

    it("that cannot be found is refused", function()
        for given, told in pairs {
            ['"x"'] = 'must be "env:NAME" or "file:PATH", not "x"',
            ["5"] = 'must be "env:NAME" or "file:PATH", not 5',
            ['"env:"'] = 'bad name of a variable ""',
            ['"env:A=B"'] = 'bad name of a variable "A=B"',
            ['"file:"'] = "the path is empty",
            ['"file:a\\0"'] = "the path contains a NUL byte",
        } do
            assert.equal("jobs.lua:1: secret: " .. told, (select(2, plan("secret(" .. given
                .. ")"))))
        end
    end)
end)

describe("sh.quote", function()
    it("makes one word of anything", function()
        local spec = spec_of [==[ run = "echo " .. sh.quote("it's $HOME") .. " " .. sh.quote(5)
            .. sh.quote "" ]==]
        assert.equal([[echo 'it'\''s $HOME' '5''']], spec.command)
    end)

    it("refuses what no argument can hold", function()
        for given, told in pairs { ['"a\\0"'] = "the value contains a NUL byte",
            ["nil"] = "the value must be a string, not nil",
            ["{}"] = "the value must be a string, not a table" } do
            assert.equal("jobs.lua:1: sh.quote: " .. told,
                (select(2, plan("sh.quote(" .. given .. ")"))))
        end
    end)

    it("refuses an output", function()
        assert.equal("jobs.lua:2: a job output cannot be spliced into a string; pass it through "
            .. "env or as an entry of a run list", (select(2, plan(
            'local a = job "a" { run = "x", outputs = { "v" } }\nsh.quote(a.out.v)'))))
    end)
end)
