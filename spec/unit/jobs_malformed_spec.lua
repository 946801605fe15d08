-- Two hundred malformed files: mistakes as people make them, planted into a valid file one at a
-- time. Each is told at its line, in the usual form; a sample goes through the binary.

local jobs = require "queuectl.jobs"
local t = require "support"

local VALID = [==[
#!/usr/bin/env -S queuectl run
local lib = require "lib"
local target = param "target" { default = "staging", choices = { "staging", "prod" } }
local shards = param "shards" { type = "integer", default = 2, min = 1 }
defaults { queue = "ci", timeout = "15m", retries = 2, env = { MODE = "fast" } }
local build = job "build" {
    run = "make -j4 && echo " .. sh.quote(target),
    outputs = { "version" },
    backoff = { "exponential", base = "2s", cap = "5m" },
    limits = { memory = "2G", cpu = "10m", files = 1024, nice = 10 },
    artifacts = { "out/*.tar" },
}
local tests = job "test" {
    needs = build,
    matrix = { db = { "sqlite", "pg" }, lua = { "5.1", "jit" }, exclude = { { db = "pg",
        lua = "5.1" } } },
    run = { "busted", "--run=integration" },
}
for i = 1, shards do
    job("index-" .. i) { needs = tests, run = function(_, ctx) return { rows = i } end }
end
job "deploy" {
    needs = { "index-1", tests, { "index-2", on = "done" } },
    when = function() return target == "prod" end,
    run = { "deploy", "--to", target, "--version", build.out.version },
    env = { VERSION = build.out.version, TOKEN = secret "env:TOKEN" },
    retries = 0, priority = 5, max_age = "1d", fail_fast = true, run_at = "in 5m",
    stdin = { file = "in.txt" }, cwd = "sub", meta = { owner = "me" }, ok_codes = { 0, 75 },
}
lib.report "deploy"
]==]

local LIB = [[
local lib = {}
function lib.report(name)
    job("report-" .. name) { needs = { { name, on = "done" } }, run = "./report.sh", delay = "1s" }
end
return lib
]]

-- { what stands in the file, what a person writes instead, … }: each a mistake of its own.
local MISTAKES = {
    -- signs lost, doubled or mistaken
    { 'local lib = require "lib"', 'local lib == require "lib"', 'local lib require "lib"',
        'lcoal lib = require "lib"', 'lib = require "lib"', 'local lib = requier "lib"',
        'local lib = require "lob"', 'local lib = require lib', 'local lib = require "lib',
        'const lib = require("lib");', 'local lib = require("lib"', 'import lib' },
    { 'param "target" {', 'param "target", {', 'param target {', 'param "tar get" {', "param {",
        'parma "target" {', 'params "target" {', 'param "target" = {', 'param("target", {})  {' },
    { 'default = "staging"', 'default = "stagign"', "default = staging", "defualt = 'staging'",
        "default: 'staging'", "default = 5", "default = {}", "default = true" },
    { 'choices = { "staging", "prod" }', 'choices = "staging"', "choices = {}",
        'choices = [ "staging" ]', 'choices = { "staging", "staging" }', 'choices = { "prod" }' },
    { 'type = "integer"', 'type = "int"', "type = integer", 'type = "Integer"', 'type = "string"' },
    { "min = 1", 'min = "1"', "min = 3", "mim = 1" },
    { "defaults {", "default {", "defaults = {", "defaults(", "Defaults {", "defaults", "{" },
    { 'queue = "ci"', 'queue = "c i"', "queue = ci", "queue = 5", 'quueu = "ci"', 'queue = ""',
        'queue "ci"', 'queue: "ci"' },
    { 'timeout = "15m"', 'timeout = "15 m"', 'timeout = "15min"', "timeout = 15m", "timeout = -1",
        'timeout = "0s"', 'timeout = "fifteen"', 'tiemout = "15m"', "timeout = {}",
        "timeout = 15 * 'm'", "timeout = nope" },
    { "retries = 2", 'retries = "two"', "retries = -1", "retries = 1.5", "retires = 2",
        "retries = true", 'retries = "2"', "retries == 2" },
    { 'env = { MODE = "fast" }', 'env = { "MODE=fast" }', "env = { MODE = true }", 'env = "MODE"',
        'env = { ["MO=DE"] = "x" }', "env = { MODE = {} }", "enb = {}", "env = { MODE = fast }" },
    { 'job "build" {', 'job "build", {', "job build {", 'job "" {', 'jbo "build" {', "job {",
        'job "test" {', 'job "build" = {', 'job "a\\nb" {', 'jobs "build" {' },
    { 'run = "make -j4 && echo " .. sh.quote(target)', "run = ''", "run = 5", "run = {}",
        "rum = 'make'", 'run = "make" . target', 'run = "make" + target', "run = make",
        "run = 'make", 'run = sh.quote()', 'run = sh.qoute(target)', 'run = "a\\0b"',
        'command = "make"', 'run = { "make", 1.5 }', 'run = true', 'run = "x" .. nope' },
    { 'outputs = { "version" }', 'outputs = "version"', 'outputs = { "ver sion" }',
        "outputs = { 1 }", "outputs = { version }", 'output = { "version" }',
        'outputs = { "versoin" }', "outputs = {}", 'outputs = { "version", "version" }' },
    { 'backoff = { "exponential", base = "2s", cap = "5m" }', 'backoff = "expnential"',
        'backoff = { "exponential", bass = "2s" }',
            'backoff = { "exponential", base = "5m", cap = "2s" }',
        "backoff = {}", 'backoff = { base = "2s" }', 'backoff = { "fixed", factor = 2 }',
        'backoff = { "2s", "x" }', "backoff = 5" },
    { 'memory = "2G"', 'memory = "2 GB"', 'memory = "2g"', "memroy = 1", "memory = 0",
        'memory = "-1M"' },
    { 'cpu = "10m"', 'cpu = "10 minutes"', "cpu = 0" },
    { "files = 1024", "files = 0", 'files = "many"' },
    { "nice = 10", "nice = 20", "nice = 'low'" },
    { 'artifacts = { "out/*.tar" }', 'artifacts = "out"', 'artifacts = { "/out" }',
        "artifacts = { 1 }",
        'artifacts = { "" }', 'artefacts = { "x" }' },
    { "needs = build,", 'needs = "biuld",', "needs = biuld,", "needs = { build, 5 },", "needs = 5,",
        'needs = "test",', "needs = build.out.version,", 'needs = { { build, on = "sucess" } },',
        'needs = { { build, no = "done" } },', "needs = function() end,", "need = build,",
        "needs = build" },
    { 'matrix = { db = { "sqlite", "pg" }', 'matrix = { db = "sqlite"', "matrix = { db = {}",
        'matrix = { db = { "pg", "pg" }', 'matrix = { ["d b"] = { "pg" }', 'matrix = { { "pg" }',
        'matrix = { bd = { "sqlite", "pg" }', 'matrix = { db = { "sqlite" }',
            "matrix = { db = { {} }" },
    { 'run = { "busted", "--run=integration" }', 'run = { "busted" "--run=integration" }',
        'run = { "busted", nil, "x" }', 'run = [ "busted" ]', 'run = { "" }',
        'run = { "busted", build }', 'run = { "busted", tests }', 'run = { secret "env:X" }' },
    { "for i = 1, shards do", "for i in 1, shards do", "for i = 1, shards", "for i = 1, shard do",
        "for (i = 1; i < 2; i++) {", "for i, shards do", "for i = 1, nil do" },
    { 'job("index-" .. i) {', 'job("index-") {', 'job("index-" + i) {', "job(i) {",
        'job "index-" .. i {', 'job("index-" .. j) {' },
    { "run = function(_, ctx) return { rows = i } end",
        "run = function(_, ctx) return { rows = i }",
        "run = fun(_, ctx) return {} end", "run = (_, ctx) => {}", "run = function _ end" },
    { '"index-1", tests', '"index-9", tests', '"index-1" tests', "index-1, tests",
        '"test[db=pg]", tests' },
    { 'when = function() return target == "prod" end', 'when = target == "prod"', 'when = "prod"',
        'when = function() return target = "prod" end', "whne = function() end" },
    { '"--version", build.out.version', '"--version=" .. build.out.version',
        '"--version", build.out.versoin', '"--version", build.outputs.version',
        '"--version", build.version', '"--version", tests.out.version', '"--version", build.out' },
    { 'secret "env:TOKEN"', 'secret "TOKEN"', 'secrets "env:TOKEN"', "secret {}", 'secret "env:"',
        '"x" .. secret "env:TOKEN"', 'secret "vault:x"' },
    { "priority = 5", 'priority = "high"', "priority = 1e10", "priority = 0.5", "prority = 5" },
    { 'max_age = "1d"', 'max_age = "1 day"', "max_age = 0", 'maxage = "1d"' },
    { "fail_fast = true", 'fail_fast = "yes"', "failfast = true", "fail_fast = 1" },
    { 'run_at = "in 5m"', 'run_at = "noon"', "run_at = 1800", 'run_at = "25:00"',
        'run_at = "2030-02-30"', 'run_at = "in 5 min"' },
    { 'stdin = { file = "in.txt" }', "stdin = 5", "stdin = {}", 'stdin = { path = "in.txt" }',
        'stdin = secret "env:X"' },
    { 'cwd = "sub"', 'cwd = ""', "cwd = 5", 'cwd = { "sub" }', "cwd = sub" },
    { 'meta = { owner = "me" }', 'meta = "me"', "meta = { f = function() end }",
        'meta = { "a", b = 1 }', "meta = { n = 0/0 }" },
    { "ok_codes = { 0, 75 }", "ok_codes = 0", "ok_codes = { 256 }", "ok_codes = {}",
        'ok_codes = { "0" }', "ok_codes = { 0, 0 }" },
    { 'lib.report "deploy"', 'lib.reprot "deploy"', 'lib.report "deplyo"',
        'lib.report "build" lib.report '
        .. '"build"', "lib.report()", 'lib:report "deploy"', "lib.report deploy", 'error {}',
            "error()",
        "os.exit(1)", "while true do local x = nil + 1 end", 'job "last"',
        "\226\128\156", 'local s = "\255"', "x = 1" },
}

local function replace(from, to)
    local first, last = VALID:find(from, 1, true)
    assert(first, from)
    return VALID:sub(1, first - 1) .. to .. VALID:sub(last + 1)
end

local function all_files()
    local list = {}
    for _, row in ipairs(MISTAKES) do
        for i = 2, #row do
            list[#list + 1] = { name = row[i], text = replace(row[1], row[i]) }
        end
    end
    return list
end

local FILES = all_files()

local function plan(text)
    return jobs.plan(text, "/srv/jobs.lua", { display = "jobs.lua", print = function() end,
        now = 1900000000, find = function(path) return path == "/srv/lib.lua" and LIB or nil end })
end

-- Each line has its place and says something about the file, not about queuectl.
local function check_message(message, text)
    local _, last_line = text:gsub("\n", "")
    for line in (message .. "\n"):gmatch("([^\n]*)\n") do
        local file, number, rest = line:match("^(%l+%.lua):(%d+): (.+)$")
        if not file then
            assert.is_truthy(line:match("^dependency cycle: "), line)
        else
            assert.is_truthy(file == "jobs.lua" or file == "lib.lua", line)
            assert.is_true(tonumber(number) >= 1 and tonumber(number) <= last_line + 1, line)
            assert.is_falsy(rest:find("traceback") or rest:find("queuectl/") or rest:find("%c"),
                line)
        end
    end
end

describe("a malformed file", function()
    it("is made of a valid one, two hundred times", function()
        local planned, message = plan(VALID)
        assert.is_nil(message)
        assert.equal(8, #planned.jobs)
        assert.is_true(#FILES >= 200, #FILES .. " files")
    end)

    for _, file in ipairs(FILES) do
        it("is told: " .. (file.name:gsub("[%z\1-\31\128-\255]", "?")), function()
            local ok, planned, message = pcall(plan, file.text)
            assert.is_true(ok, tostring(planned))
            assert.is_nil(planned, "nothing is wrong with it")
            check_message(message, file.text)
        end)
    end

    it("has the line of the mistake in the first message, unless Lua only sees it later", function()
        local right = 0
        for _, file in ipairs(FILES) do
            local at = 1
            while file.text:byte(at) == VALID:byte(at) do at = at + 1 end
            local _, before = file.text:sub(1, at - 1):gsub("\n", "")
            local _, message = plan(file.text)
            local line = tonumber(message:match("^%l+%.lua:(%d+)"))
            -- A key is told at the line of its job, a name at the line where it is used.
            if line and math.abs(line - before - 1) <= 7 then right = right + 1 end
        end
        assert.is_true(right >= 0.9 * #FILES, ("%d of %d"):format(right, #FILES))
    end)

    it("is refused by the binary with the same words and exit code 78", function()
        local dir = t.tmpdir()
        t.write_file(dir .. "/lib.lua", LIB)
        for i = 1, #FILES, math.floor(#FILES / 20) do
            local file = FILES[i]
            t.write_file(dir .. "/jobs.lua", file.text)
            local command = i % 2 == 0 and "check" or "run"
            local r = t.run({ t.binary, command, "jobs.lua" },
                { cwd = dir, env = { QUEUECTL_STORE = dir .. "/q.db" } })
            assert.same({ 78, "" }, { r.code, r.out }, file.name .. r.err)
            assert.equal(select(2, plan(file.text)) .. "\n", r.err, file.name)
            assert.is_false(t.exists(dir .. "/q.db"))
        end
    end)
end)

describe("a valid file with random bytes changed", function()
    it("is told properly or planned, never a failure of queuectl", function()
        math.randomseed(29)
        local wrong = 0
        for _ = 1, 400 do
            local at, length = math.random(#VALID), math.random(0, 6)
            local middle = math.random(2) == 1 and "" or string.char(math.random(32, 126))
            local text = VALID:sub(1, at - 1) .. middle .. VALID:sub(at + length)
            local ok, planned, message = pcall(plan, text)
            assert.is_true(ok, tostring(planned))
            if not planned then
                wrong = wrong + 1
                check_message(message, text)
            end
        end
        assert.is_true(wrong > 200, tostring(wrong))
    end)
end)
