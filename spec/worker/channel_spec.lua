-- What a Lua function may tell the worker: results, and jobs to add.

local Queue = require "worker.queue"
local channel = require "worker.channel"

-- The job "one" whose function has this body, worked in a run; and its queue.
local function run(body, more)
    local q = Queue.new()
    q:run(channel .. ('job "one" { retries = 0, run = function() %s end }\n'):format(body)
          .. (more or ""))
    return q:named("one"), q
end

describe("the result of a function", function()
    it("cancel cancels the job, with the reason", function()
        local job = run 'result("cancel", "no longer wanted") leave()'
        assert.same({ "cancelled", "cancelled", "no longer wanted" },
                    { job.state, job.cause, job.last_error })
        job = run 'result "cancel" leave()'
        assert.equal("cancelled by its function", job.last_error)
    end)

    it("skip skips the job, and costs no try", function()
        local job = run 'result("skip", "not on Sundays") leave()'
        assert.same({ "skipped", "when", "not on Sundays", 0 },
                    { job.state, job.cause, job.last_error, job.attempts })
    end)

    it("is missing where only the go of a `when` came", function()
        local job = run 'result "go" leave()'
        assert.same({ "dead", "lua" }, { job.state, job.cause })
        assert.match("ended its process with exit code 0", job.last_error)
    end)

    it("of a word that is none is a failure", function()
        local job = run 'result("perhaps", "what?") leave()'
        assert.same({ "dead", "lua", "what?" }, { job.state, job.cause, job.last_error })
    end)
end)

describe("a job to add", function()
    local ADD = 'tell("e", field("kind", "shell") .. field("command", "echo added >> seen")'
        .. ' .. field("name", "two") .. field("cwd", %q))'

    it("runs in the same run once this one is completed", function()
        local q = Queue.new()
        q:run(channel .. ('job "one" { run = function() %s end }'):format(ADD:format(q.dir)))
        local one, two = q:named("one"), q:named("two")
        assert.same({ "completed", "completed" }, { one.state, two.state })
        assert.same({ "added" }, q:lines("seen"))
        assert.equal(one.run, two.run)
        assert.equal(3, two.max_retries)
    end)

    it("is not there where this one fails", function()
        local q = Queue.new()
        q:run(channel .. ('job "one" { retries = 0, run = function() %s error "no" end }'):format(
            ADD:format(q.dir)))
        assert.is_nil(q:jobs().two)
        assert.equal("", q:read("seen"))
    end)

    it("takes all settings", function()
        local q = Queue.new()
        q:run(channel .. [[job "one" { run = function()
            tell("e", field("kind", "argv") .. field("command", "=sh\0=-c\0=echo $A; exit 7\0")
                .. field("id", "two-id") .. field("name", "two") .. field("queue", "q")
                .. field("env", "=A=b c\0-HOME\0") .. field("priority", "-5")
                .. field("retries", "0") .. field("timeout_ms", "1500")
                .. field("kill_after_ms", "10") .. field("delay_ms", "1")
                .. field("ok_codes", "\0\7") .. field("allow_failure", "1")
                .. field("description", "a test") .. field("backoff", "fixed none 10 1 1000"))
            end }]])
        local two = q:job("two-id")
        assert.same({ "completed", "two", "q", -5, 0, 1.5, 7, "a test" },
                    { two.state, two.name, two.queue, two.priority, two.max_retries,
                      two.timeout_seconds, two.exit_code, two.description })
        assert.equal("b c\n", q:logs("two-id"))
    end)

    it("is one of many", function()
        local _, q = run [[for i = 1, 1000 do
            tell("e", field("command", "true") .. field("name", "n" .. i)) end]]
        assert.equal(1001, #require("support").json(q:q("list", "--json", "--limit", "2000").out))
    end)

    local bad = {
        ["no field at all"] = { [["garbage"]], "a field is not KEY:LEN:BYTES" },
        ["a length beyond its end"] = { [["command:99:true"]], "a field is not KEY:LEN:BYTES" },
        ["a length that is none"] = { [["command:-1:true"]], "a field is not KEY:LEN:BYTES" },
        ["an unknown field"] = { [[field("comand", "true")]], "unknown field comand" },
        ["a field twice"] = { [[field("name", "a") .. field("name", "b")]], "twice: field name" },
        ["no command"] = { [[field("name", "a")]], "no command" },
        ["a kind that is none"] = { [[field("kind", "bash")]], "bad value of field kind" },
        ["a number that is none"] = { [[field("retries", "many")]], "bad value of field retries" },
        ["a number out of range"] = { [[field("retries", "-1")]], "bad value of field retries" },
        ["a NUL in a text"] = { [[field("name", "a\0b")]], "bad value of field name" },
        ["an id that is too long"] = { [[field("id", ("x"):rep(129))]], "bad value of field id" },
        ["an open list"] = { [[field("env", "=A=b")]], "bad value of field env" },
        ["an environment without names"] = { [[field("env", "==b\0")]], "bad value of field env" },
        ["another job's output"] = { [[field("env", "@0:k=A\0")]], "bad value of field env" },
        ["an empty argv"] = { [[field("kind", "argv") .. field("command", "\0")]],
                              "bad value of field command" },
        ["limits that are none"] = { [[field("command", "true") .. field("limits", "1 2 3")]],
                                     "bad value of field limits" },
        ["a function without a name"] = { [[field("kind", "lua")]], "a function without a name" },
    }
    for what, case in pairs(bad) do
        it("fails this one with " .. what, function()
            local job, q = run(('tell("e", %s) tell("e", field("command", "true"))'):format(
                case[1]))
            assert.same({ "dead", "lua", "ctx.enqueue: " .. case[2] },
                        { job.state, job.cause, job.last_error })
            assert.equal(1, #require("support").json(q:q("list", "--json").out))
        end)
    end

    it("fails this one where there are too many", function()
        local job = run [[for _ = 1, 1001 do tell("e", field("command", "true")) end]]
        assert.equal("ctx.enqueue: at most 1000 jobs of 4 MiB together can be added by a job",
                     job.last_error)
        job = run [[for _ = 1, 5 do tell("e", field("command", "true")
            .. field("stdin", ("x"):rep(1000000))) end]]
        assert.equal("ctx.enqueue: at most 1000 jobs of 4 MiB together can be added by a job",
                     job.last_error)
    end)

    it("fails this one where its id is taken by another job", function()
        local q = Queue.new()
        q:enqueue("true", "--id", "taken")
        q:run(channel .. [[job "one" { retries = 0, run = function()
            tell("e", field("command", "false") .. field("id", "taken")) end }
            job "other" { run = "true" }]])
        local job = q:named("one")
        assert.equal("dead", job.state)
        assert.match("^ctx.enqueue: job 'taken' exists with other settings", job.last_error)
        assert.equal("completed", q:named("other").state)
    end)
end)
