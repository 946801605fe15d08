-- Hundreds of files that are wrong in ways nobody thought of: each is answered with messages of
-- the usual form, and no error of queuectl's own code ever shows.

local jobs = require "queuectl.jobs"
local schema = require "queuectl.schema"

local VALID = [==[
#!/usr/bin/env -S queuectl run
local shards, target = 2, "prod"
defaults { queue = "ci", timeout = "15m", retries = 2, env = { A = "1", B = false } }
local build = job "build" {
  run = "make -j4 && echo version=1 >> \"$QUEUECTL_OUTPUT\"",
  outputs = { "version" },
  backoff = { "exponential", base = "2s", cap = "5m", jitter = "full" },
}
local tests = job "test" {
  needs = build,
  matrix = { db = { "sqlite", "pg" }, lua = { "5.1", "jit" },
    exclude = { { db = "pg", lua = "5.1" } }, include = { { db = "pg", port = 5432 } } },
  run = { "busted", "--run=integration" },
}
for i = 1, shards do
  job("index-" .. i) { needs = tests, run = function(_, ctx) return { rows = i } end }
end
job "deploy" {
  needs = { "index-1", tests, { "index-2", on = "done" } },
  run = { "deploy", "--to", target, "--version", build.out.version },
  env = { VERSION = build.out.version }, cwd = "deploy", stdin = { file = "in" },
  priority = -3, tags = { "slow" }, ok_codes = { 0, 75 }, meta = { owner = { "x", 1 } },
}
job "report" { needs = { { "deploy", on = "done" } }, run = "./report.sh", delay = "1.5h" }
]==]

-- Counts answers with problems; every answer is checked.
local function answer(source)
    local ok, planned, message = pcall(jobs.plan, source, "/srv/jobs.lua",
        { display = "jobs.lua", print = function() end, missing_ok = true })
    assert.is_true(ok, tostring(planned) .. "\n" .. source)
    if planned then
        assert.is_nil(message)
        return 0
    end
    assert.is_string(message)
    for line in (message .. "\n"):gmatch("([^\n]*)\n") do
        local rest = line:match("^jobs%.lua:%d+: (.+)$") or line:match("^jobs%.lua: (.+)$")
            or line:match("^dependency cycle: (.+)$")
        assert.is_truthy(rest, line .. "\n" .. source)
        assert.is_falsy(rest:find("traceback") or rest:find("%.lua:%d+:"), line .. "\n" .. source)
        assert.is_falsy(line:find("%c"), line)
        assert.is_true(#line <= 1010)
    end
    return 1
end

describe("a broken jobs file", function()
    it("is the valid one to begin with", function()
        assert.equal(0, answer(VALID))
    end)

    it("may be cut off anywhere", function()
        local wrong = 0
        for length = 0, #VALID - 1, 3 do wrong = wrong + answer(VALID:sub(1, length)) end
        assert.is_true(wrong >= 200, tostring(wrong))
    end)

    it("may have lost, doubled or changed bytes", function()
        math.randomseed(1)
        local wrong = 0
        for _ = 1, 600 do
            local at, kind = math.random(#VALID), math.random(3)
            local before, after = VALID:sub(1, at - 1), VALID:sub(at + 1)
            local byte = string.char(math.random(0, 255))
            wrong = wrong + answer(kind == 1 and before .. after
                or kind == 2 and before .. byte .. VALID:sub(at) or before .. byte .. after)
        end
        assert.is_true(wrong >= 200, tostring(wrong))
    end)

    it("may have words and signs that stand elsewhere in it", function()
        math.randomseed(2)
        local pieces, wrong = {}, 0
        for piece in VALID:gmatch("%s*[%w_]+") do pieces[#pieces + 1] = piece end
        for sign in VALID:gmatch("%s*%p") do pieces[#pieces + 1] = sign end
        for _ = 1, 600 do
            local from = pieces[math.random(#pieces)]
            local start, finish = VALID:find(from, math.random(#VALID), true)
            if start then
                wrong = wrong + answer(VALID:sub(1, start - 1) .. pieces[math.random(#pieces)]
                    .. VALID:sub(finish + 1))
            end
        end
        assert.is_true(wrong >= 200, tostring(wrong))
    end)
end)

describe("a key with any value", function()
    local VALUES = {
        "nil", "true", "false", "0", "-1", "1.5", "0/0", "1/0", "-1/0", "2^53", "1e308", "5LL",
        "2i", '""', '"a"', '"\\0"', '"\\255"', '("x"):rep(300000)', "{}", "{ {} }", "{ { {} } }",
        "{ nil, 1 }", "{ 1, 2, x = 3 }", '{ "a", "a" }', "{ [0] = 1 }", "{ [1.5] = 1 }",
        "{ [true] = 1 }", "{ a = 1 }", "{ a = {} }", "{ a = { 1 } }", "{ on = 1 }", "{ file = {} }",
        "{ 0/0 }", "{ print }", "print", "function() end", "io.stdout", "coroutine.create(print)",
        "newproxy()", "newproxy(true)", "setmetatable({}, { __index = error })", "string", "_G",
        "setmetatable({}, { __tostring = error, __len = error, __eq = error })", "other",
        "other.out", "other.out.v", "{ other }", "{ other.out.v }", "{ a = other.out.v }",
        "job", '(job "inner")', '{ "exponential", base = {} }', "{ include = 1 }",
        "{ exclude = { {} } }", "{ include = { { a = other } } }",
        'secret "env:A"', '{ secret "file:a" }', '{ a = secret "env:A" }', 'param "p" {}', "sh",
        '(param "q")', "{ memory = other.out.v }", '{ cpu = secret "env:A" }', "require", "secret",
        "{ memory = {} }", '"in 5m"', '"2030-01-01"',
    }
    for _, row in ipairs(schema.job_keys) do
        it("is answered properly: " .. row.name, function()
            for _, value in ipairs(VALUES) do
                for _, form in ipairs { 'job "a" { run = "x", %s = %s }', 'job "a" { %s = %s }',
                    'defaults { %s = %s } job "a" { run = "x" }' } do
                    answer('local other = job "other" { run = "x", outputs = { "v" } }\n'
                        .. form:format(row.name, value))
                end
            end
        end)
    end

    it("is answered properly as a whole table, a name, or an error", function()
        for _, value in ipairs(VALUES) do
            for _, form in ipairs { 'job "a" (%s)', "job(%s) {}", "job(%s)", "defaults(%s)",
                'job "a" { run = "x", [%s] = 1 }', "error(%s)", "x = %s", "job(%s)(5)",
                "local t = other.out[%s]", "local t = other[%s]", "other[%s] = 1",
                "secret(%s)", "param(%s) {}", 'param "r" (%s)', "sh.quote(%s)", "require(%s)",
                'param "s" { type = %s }', 'param "s" { default = %s }', 'param "s" { desc = %s }',
                'param "s" { choices = %s }', 'param "s" { required = %s }',
                'param "s" { type = "integer", min = %s, max = %s }',
                'param "s" { type = "list", default = %s }', 'param "s" { [%s] = 1 }',
                'param "s" { type = "path", default = %s }', "local t = sh[%s]",
                "local t = _G[%s]", 'job "a" { run = "x", needs = { { %s, on = "done" } } }' } do
                answer('local other = job "other" { run = "x", outputs = { "v" } }\n'
                    .. form:gsub("%%s", function() return value end))
            end
        end
    end)
end)
