-- Secrets: given to the job, and found nowhere else.

local t = require "support"
local Queue = require "worker.queue"
local added = require "worker.added"
local channel = require "worker.channel"

local SECRET = "hunter2-hunter2"

-- The database, its log, output files: nothing of the store has the value.
local function assert_not_stored(q, value)
    local found = t.run { "grep", "-rlaF", value or SECRET, q.store, q.store .. "-wal",
                          q.store .. ".run" }
    assert.equal("", found.out)
    for _, words in ipairs { { "list" }, { "list", "--json" }, { "status" } } do
        assert.is_nil(q:q(unpack(words)).out:find(value or SECRET, 1, true))
    end
end

-- A job with the secret in A, from the environment of its worker.
local function with_secret(command, more)
    local fields = { command = command, env = "$A=env:SPEC_SECRET\0" }
    for key, value in pairs(more or {}) do fields[key] = value end
    return added(fields, { env = { SPEC_SECRET = SECRET } })
end

describe("a secret of the environment", function()
    it("is given to the job, stored nowhere and shown as its place", function()
        local job, q = with_secret 'printf %s "$A" | md5sum > seen'
        assert.equal("completed", job.state, job.last_error)
        assert.equal(t.run({ "md5sum" }, { stdin = SECRET }).out, q:read("seen"))
        assert.same({ "A=<secret env:SPEC_SECRET>" }, job.env)
        assert_not_stored(q)
    end)

    it("is masked in the output of both streams, and in the error", function()
        local job, q = with_secret 'echo "out $A."; echo "err $A." >&2; exit 3'
        assert.equal("exit 3: err ***.", job.last_error)
        local lines = {}
        for line in q:logs(job.id):gmatch("[^\n]+") do lines[#lines + 1] = line end
        table.sort(lines)
        assert.same({ "err ***.", "out ***." }, lines)
        assert_not_stored(q)
    end)

    it("is masked where it comes in pieces, however long apart", function()
        local job, q = with_secret([[printf 'a hunter2-'; sleep 0.4; printf 'hunter2 b hunter2-h';
            sleep 0.4; printf 'unter2\nhunter2-']])
        assert.equal("a *** b ***\nhunter2-", q:logs(job.id))
    end)

    it("is masked in a flood", function()
        local job, q = with_secret([[i=0; while [ $i -lt 3000 ]; do
            echo "line $i has $A in it"; i=$((i+1)); done]])
        local text = q:logs(job.id)
        local _, masked = text:gsub("line %d+ has %*%*%* in it\n", "")
        assert.equal(3000, masked)
        assert_not_stored(q)
    end)

    it("is masked in values and other words of a Lua job", function()
        local q = Queue.new()
        local got = t.run({ t.binary, "--store", q.store, "run", t.write_file(q:path("jobs.lua"),
            channel .. [[
            job "adder" { run = function()
                tell("e", field("kind", "lua") .. field("name", "it")
                    .. field("retries", "0") .. field("env", "$A=env:SPEC_SECRET\0"))
            end }
            job "it" { run = function()
                local a = os.getenv "A"
                if not a then return end
                tell("p", texts("0.5", "using " .. a))
                tell("v", texts("key", "is " .. a))
                result("fail", "with " .. a .. ", and cut: " .. a:sub(1, 8))
                leave()
            end }]]), "--output", "json" },
            { timeout = 10, cwd = q.dir, env = { SPEC_SECRET = SECRET } })
        assert.is_nil((got.out .. got.err):find(SECRET, 1, true))
        for _, job in ipairs(t.json(q:q("list", "--json").out)) do
            if job.state == "dead" then
                assert.equal("with ***, and cut: ***", job.last_error)
                got.found = true
            end
        end
        assert.is_true(got.found)
        assert_not_stored(q)
    end)

    it("is masked in $QUEUECTL_OUTPUT, and the job's own text is not", function()
        local job, q = with_secret('echo "key=has $A" >> "$QUEUECTL_OUTPUT"',
                                   { outputs = "=key\0" })
        assert.equal("completed", job.state, job.last_error)
        assert.same({ { "has ***" } }, t.sql(q.store, "SELECT value FROM value"))
        assert_not_stored(q)
    end)

    it("cannot be put into a job that is added", function()
        local q = Queue.new()
        local file = t.write_file(q:path("jobs.lua"), channel .. [[
            job "adder" { run = function()
                tell("e", field("kind", "lua") .. field("name", "it")
                    .. field("retries", "0") .. field("env", "$A=env:SPEC_SECRET\0"))
            end }
            job "it" { run = function()
                if not os.getenv "A" then return end
                tell("e", field("command", "echo " .. os.getenv "A"))
            end }]])
        t.run({ t.binary, "--store", q.store, "run", file },
              { timeout = 10, cwd = q.dir, env = { SPEC_SECRET = SECRET } })
        local dead = t.json(q:q("list", "--json", "--state", "dead").out)
        assert.equal("ctx.enqueue: the value of a secret stands in the new job:"
                     .. " give it the secret itself", dead[1].last_error)
        assert_not_stored(q)
    end)

    it("must be there when the job starts", function()
        local job = added({ command = "true", env = "$A=env:SPEC_NOWHERE\0" })
        assert.same({ "dead", "spawn" }, { job.state, job.cause })
        assert.equal("could not start: secret env:SPEC_NOWHERE: the worker has no such variable in"
                     .. " its environment", job.last_error)
    end)
end)

describe("a secret of a file", function()
    it("is given without its last newline, and its lines are masked", function()
        local q = Queue.new()
        local key = "-----BEGIN-----\nabcdefgh01\nshort\n-----END-----"
        t.write_file(q:path("key"), key .. "\n")
        local job = added({ env = "$KEY=file:" .. q:path("key") .. "\0",
            command = [[printf '%s' "$KEY" | wc -c > seen; printf '%s' "$KEY" | sed 's/^/> /']] },
            { q = q })
        assert.equal(tostring(#key), q:read("seen"):match("%d+"))
        assert.equal("> ***\n> ***\n> short\n> ***", q:logs(job.id))
        assert_not_stored(q, "abcdefgh01")
    end)

    it("that is not there keeps the job from starting", function()
        local job = added({ command = "true", env = "$A=file:/nowhere/key\0" })
        assert.equal("could not start: secret file:/nowhere/key: No such file or directory",
                     job.last_error)
    end)
end)

describe("a job without secrets", function()
    it("prints what it likes", function()
        local job, q = added({ command = "echo " .. SECRET }, { env = { SPEC_SECRET = SECRET } })
        assert.equal(SECRET .. "\n", q:logs(job.id))
    end)
end)
