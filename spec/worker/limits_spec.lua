-- What a job may use at most.

local t = require "support"
local Queue = require "worker.queue"
local added = require "worker.added"
local channel = require "worker.channel"

local function with_limits(limits, command, more)
    local fields = { limits = limits, command = command }
    for key, value in pairs(more or {}) do fields[key] = value end
    return added(fields)
end

describe("limits of a job", function()
    it("are those of its process", function()
        local job, q = with_limits("104857600 600 100 0",
                                   "ulimit -v; ulimit -St; ulimit -Ht; ulimit -Sn; ulimit -Hn")
        assert.equal("completed", job.state, job.last_error)
        assert.equal("102400\n600\n605\n100\n100\n", q:logs(job.id))
    end)

    it("are its niceness", function()
        local job, q = with_limits("0 0 0 10", "nice")
        assert.equal("10\n", q:logs(job.id), job.last_error)
    end)

    it("are the worker's own where it has none", function()
        local ask = "ulimit -v; ulimit -t; ulimit -n; nice"
        local job, q = added({ command = ask })
        assert.equal(t.run({ "sh", "-c", ask }).out, q:logs(job.id))
    end)

    it("end it when its CPU time is used", function()
        local job = with_limits("0 1 0 0", "while :; do :; done")
        assert.same({ "dead", "signal", "used more than its limit of 1s CPU time" },
                    { job.state, job.cause, job.last_error })
    end)

    it("end a process of it when its CPU time is used", function()
        local job = with_limits("0 1 0 0", "sh -c 'while :; do :; done'; exit $?")
        assert.same({ "dead", "exit", 152 }, { job.state, job.cause, job.exit_code })
        assert.match("^exit 152: used more than its limit of 1s CPU time", job.last_error)
    end)

    it("that cannot be set keep it from starting", function()
        local job, q = with_limits("0 0 2000000000 0", "echo ran > ran")
        assert.same({ "dead", "spawn" }, { job.state, job.cause })
        assert.equal("could not start: limits: files 2000000000: Operation not permitted",
                     job.last_error)
        assert.equal("", q:read("ran"))
        assert.is_nil(job.signal)
    end)

    it("that cannot be set keep a function from starting", function()
        local q = Queue.new()
        q:run(channel .. [[
            job "adder" { run = function()
                tell("e", field("kind", "lua") .. field("name", "it") .. field("retries", "0")
                    .. field("id", "limited") .. field("limits", "0 0 2000000000 0"))
            end }
            job "it" { run = function() io.open("ran", "a"):write("x") end }]])
        local job = q:job "limited"
        assert.same({ "dead", "spawn" }, { job.state, job.cause })
        assert.equal("could not start: limits: files 2000000000: Operation not permitted",
                     job.last_error)
        assert.equal("x", q:read("ran"))
    end)

    it("hold for a program without a shell", function()
        local job, q = with_limits("0 0 77 5", "=sh\0=-c\0=ulimit -n; nice\0", { kind = "argv" })
        assert.equal("77\n5\n", q:logs(job.id), job.last_error)
    end)

    it("hold for a Lua function", function()
        local q = Queue.new()
        q:run(channel .. [[
            job "adder" { run = function()
                tell("e", field("kind", "lua") .. field("name", "it") .. field("retries", "0")
                    .. field("limits", "0 600 99 0"))
            end }
            job "it" { run = function()
                local limits = io.open("/proc/self/limits"):read("*a")
                print(limits:match("Max cpu time%s+(%d+)"), limits:match("open files%s+(%d+)"))
            end }]])
        local found = false
        for _, job in ipairs(t.json(q:q("list", "--json").out)) do
            found = found or job.name == "it" and q:logs(job.id) == "600\t99\n"
        end
        assert.is_true(found)
    end)
end)
