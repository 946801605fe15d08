-- Sizes: what is just allowed is planned, one byte more is refused with the limit named.

local child = require "queuectl.jobs.child"
local chunk = require "queuectl.jobs.chunk"
local jobs = require "queuectl.jobs"

local function plan(source, opts)
    opts = opts or {}
    opts.display = "jobs.lua"
    return jobs.plan(source, "/srv/jobs.lua", opts)
end

-- { what, a key with %d as a length, the largest, what follows "jobs.lua:1: job 'a': " above it }
local CASES = {
    { "shell text", 'run = ("x"):rep(%d)', 131071,
        "run: 131072 bytes of shell text; the limit is 131071: use a script file" },
    { "one argument", 'run = { ("x"):rep(%d) }', 131071,
        "run: entry 1 is 131072 bytes long; the limit is 131071" },
    { "all arguments", 'run = { "a", ("x"):rep(65531), ("x"):rep(%d) }', 65537,
        "run: 131073 bytes of arguments; the limit is 131072" },
    { "the environment", 'run = "x", env = { A = "1", B = ("x"):rep(%d) }', 65529,
        "env: 65537 bytes of variables; the limit is 65536" },
    { "the environment with a matrix",
        'run = "x", matrix = { k = { 1, "four" } }, env = { B = ("x"):rep(%d) }', 65519,
        "env: 65537 bytes of variables; the limit is 65536" },
    { "stdin", 'run = "x", stdin = ("x"):rep(%d)', 1048576,
        'stdin: 1048577 bytes; the limit is 1048576: use { file = "path" }' },
    { "a path", 'run = "x", cwd = "/" .. ("x"):rep(%d)', 4094,
        "cwd: a path of 4096 bytes; the limit is 4095" },
    { "a queue's name", 'run = "x", queue = ("x"):rep(%d)', 64,
        'queue: bad name "' .. ("x"):rep(60)
            .. '...": 1 to 64 of A-Z a-z 0-9 _ . -, not starting with . or -' },
    { "a tag", 'run = "x", tags = { ("x"):rep(%d) }', 200,
        "tags: entry 1 is 201 bytes long; the limit is 200" },
    { "tags", 'run = "x", tags = (function(n) local t = {} for i = 1, n do t[i] = "t" .. i end '
        .. "return t end)(%d)", 100, "tags: 101 entries; the limit is 100" },
    { "a description", 'run = "x", desc = ("x"):rep(%d)', 4096,
        "desc: is 4097 bytes long; the limit is 4096" },
    { "meta", 'run = "x", meta = { a = ("x"):rep(%d) }', 4096 - 9,
        "meta: 4097 bytes as JSON; the limit is 4096" },
    { "delays of a backoff", 'run = "x", backoff = (function(n) local t = {} '
        .. "for i = 1, n do t[i] = i end return t end)(%d)", 100,
        "backoff: 101 delays; the limit is 100" },
}

describe("the limit of", function()
    for _, case in ipairs(CASES) do
        it(case[1], function()
            local source = "job 'a' { " .. case[2] .. " }"
            assert.is_nil(select(2, plan(source:format(case[3]))))
            assert.equal("jobs.lua:1: job 'a': " .. case[4],
                select(2, plan(source:format(case[3] + 1))))
        end)
    end

    it("a job's name", function()
        assert.is_nil(select(2, plan 'job(("n"):rep(200)) { run = "x" }'))
        assert.equal('jobs.lua:1: the job name "' .. ("n"):rep(60)
            .. '..." is 201 bytes long; the limit is 200',
            select(2, plan 'job(("n"):rep(201)) { run = "x" }'))
    end)

    it("the environment together with the defaults", function()
        assert.equal("jobs.lua:2: job 'a': env: 80010 bytes of variables; the limit is 65536",
            select(2, plan('defaults { env = { A = ("x"):rep(40001) } }\n'
                .. 'job "a" { run = "x", env = { B = ("x"):rep(40003) } }')))
    end)

    it("a message", function()
        local _, message = plan 'error(("x"):rep(100000))'
        assert.equal(1003, #message)
        _, message = plan 'error(("ä"):rep(100000))'
        assert.is_truthy(message:find("^jobs.lua:1: ä") and message:find("ä%.%.%.$"))
    end)

    it("the file", function()
        local line = 'job "a" { run = "x" }'
        assert.truthy(plan(line .. (" "):rep(chunk.MAX_BYTES - #line)))
        assert.equal("jobs.lua: 8388609 bytes long; the limit is 8388608",
            select(2, plan(line .. (" "):rep(chunk.MAX_BYTES - #line + 1))))
    end)
end)

describe("ten thousand jobs", function()
    it("take less than a second to plan, and to load in the process of a Lua job", function()
        local source = [[
            for i = 1, 10000 do
                job("j" .. i) { run = "echo " .. i, env = { I = i }, tags = { "t" },
                    needs = i > 1 and i % 3 == 0 and { "j" .. i - 1, "j" .. i - 2 } or nil }
            end
            job "lua" { run = function() end }]]
        local start = os.clock()
        local planned = assert(plan(source))
        assert.equal(10001, #planned.jobs)
        local between = os.clock()
        assert.is_true(between - start < 1, tostring(between - start))
        local loaded = assert(child.load(planned.document, "/srv/jobs.lua", pcall))
        assert.truthy(loaded:find "lua")
        assert.is_true(os.clock() - between < 0.5, tostring(os.clock() - between))
    end)
end)

describe("the size of meta", function()
    it("is counted on the safe side", function()
        assert.equal("jobs.lua:1: job 'a': meta: 4098 bytes as JSON; the limit is 4096",
            select(2, plan 'job "a" { run = "x", meta = { a = ("/"):rep(2044) .. "x" } }'))
        assert.equal("jobs.lua:1: job 'a': meta: more than 4096 bytes as JSON",
            select(2, plan 'job "a" { run = "x", meta = { ("x"):rep(5000), 1 } }'))
    end)

    it("is the encoder's if there is one", function()
        local given
        local function encode(value)
            given = value
            return ("j"):rep(4096)
        end
        local source = 'job "a" { run = "x", meta = { a = ("/"):rep(3000) } }'
        assert.is_nil(select(2, plan(source, { encode = encode })))
        assert.same({ a = ("/"):rep(3000) }, given)
        assert.equal("jobs.lua:1: job 'a': meta: 4097 bytes as JSON; the limit is 4096",
            select(2, plan(source, { encode = function() return ("j"):rep(4097) end })))
    end)
end)

describe("a file being planned", function()
    it("prints where it is told to, never into the command's result", function()
        local printed = {}
        local function print_here(...) printed = { n = select("#", ...), ... } end
        plan('print("a", 1, nil)', { print = print_here })
        assert.same({ n = 3, "a", 1 }, printed)
    end)

    it("cannot change Lua's libraries for queuectl", function()
        local format, concat, exit, index = string.format, table.concat, os.exit,
            getmetatable("").__index
        local _, message = plan [[
            function string.split() return "mine" end
            string.format, table.concat, os.exit, table.insert = nil, nil, nil, nil
            getmetatable("").__index = function() return function() return "mine" end end
            getmetatable("").__add = function() return 1 end
            error("as usual")]]
        assert.equal("jobs.lua:5: as usual", message)
        assert.is_nil(rawget(string, "split"))
        assert.is_function(table.insert)
        assert.is_nil(getmetatable("").__add)
        assert.equal(index, getmetatable("").__index)
        assert.same({ format, concat, exit }, { string.format, table.concat, os.exit })
    end)

    it("may add to the libraries for itself", function()
        local planned = plan [[
            function string.shout(text) return text:upper() .. "!" end
            job "a" { run = ("hi"):shout() }]]
        assert.equal("HI!", planned.jobs[1].command)
    end)

    it("cannot reach the real globals", function()
        assert.truthy(plan [[
            rawset(_G, "leaked_by_spec", 1)
            assert(getmetatable(_G) == false and leaked_by_spec == 1)
            job "a" { run = "x" }]])
        assert.is_nil(rawget(_G, "leaked_by_spec"))
    end)

    it("may catch errors, also those about globals and outputs", function()
        assert.truthy(plan [[
            local ok, message = pcall(function() return lfs end)
            assert(not ok and message == "jobs.lua:1: undefined variable 'lfs'", message)
            local a = job "a" { run = "x", outputs = { "v" } }
            ok, message = pcall(function() return "v" .. a.out.v end)
            assert(not ok and message:find("^jobs.lua:4: a job output cannot be spliced"), message)
            assert(not pcall(require, "no.such.module"))]])
    end)
end)
