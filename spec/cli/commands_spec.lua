-- The other commands: answers on a pipe, exit codes, errors in one line, files with closed modes.

local t = require "support"

local function work(store)
    local got = t.q(store, "worker", "start", "--until-empty", "--count", "2")
    assert.equal(0, got.code, got.err)
end

describe("the command line", function()
    local store
    before_each(function() store = t.store() end)

    local BAD = {
        { { "enqeue" }, 2, "did you mean 'enqueue'?" },
        { { "worker" }, 2, "needs one of: start, status, stop" },
        { { "worker", "strat" }, 2, "did you mean 'start'?" },
        { { "list", "--state", "ded" }, 2, "did you mean 'dead'?" },
        { { "list", "--limit", "0" }, 2, "must be a whole number from 1" },
        { { "list", "--staet", "dead" }, 2, "unknown option '--staet'" },
        { { "show", "abc" }, 3, "no job 'abc'" },
        { { "show", "a/b" }, 2, "is no job id" },
        { { "logs", "abc" }, 3, "no job 'abc'" },
        { { "cancel", "abc" }, 3, "no job 'abc'" },
        { { "retry", "abc" }, 3, "no job 'abc'" },
        { { "wait", "abc" }, 3, "no job 'abc'" },
        { { "wait" }, 2, "" },
        { { "wait", "--timeout", "x", "abc" }, 2, "bad duration" },
        { { "worker", "start", "--count", "0" }, 2, "from 1 to 256" },
        { { "worker", "stop", "nobody" }, 3, "no running worker 'nobody'" },
        { { "run", "/nowhere.lua" }, 3, "/nowhere.lua: No such file" },
        { { "help", "enqeue" }, 2, "did you mean 'enqueue'?" },
    }
    for _, case in ipairs(BAD) do
        it("refuses: " .. table.concat(case[1], " "), function()
            local got = t.run { t.binary, "--store", store, unpack(case[1]) }
            assert.equal(case[2], got.code, got.err)
            assert.equal("", got.out)
            assert.is_truthy(got.err:find(case[3], 1, true), got.err)
            assert.is_truthy(got.err:find("^queuectl: [^\n]+\n$"), got.err)
        end)
    end

    it("says how to start when nothing is asked", function()
        local got = t.run { t.binary }
        assert.equal(2, got.code)
        assert.equal("queuectl: nothing to do; start with: queuectl help\n", got.err)
    end)

    it("makes control characters of an input visible", function()
        local got = t.q(store, "ev\27[31mil")
        assert.equal(2, got.code)
        assert.is_truthy(got.err:find("ev\\x1b[31mil", 1, true), got.err)
    end)

    it("takes global options in front of the command and behind it", function()
        assert.equal(0, t.run({ t.binary, "status", "--store", store, "--json" }).code)
        assert.equal(0, t.run({ t.binary, "--json", "--store", store, "status" }).code)
    end)

    it("finds the store by option, environment, data folder", function()
        local dir = t.tmpdir()
        local env = { QUEUECTL_STORE = false, XDG_DATA_HOME = dir .. "/data", HOME = dir }
        assert.equal(dir .. "/data/queuectl/queue.db\n",
            t.run({ t.binary, "init" }, { env = env }).out)
        env.XDG_DATA_HOME = false
        assert.equal(dir .. "/.local/share/queuectl/queue.db\n",
            t.run({ t.binary, "init" }, { env = env }).out)
        env.QUEUECTL_STORE = dir .. "/mine.db"
        assert.equal(dir .. "/mine.db\n", t.run({ t.binary, "init" }, { env = env }).out)
    end)

    it("creates everything closed to others, whatever the umask", function()
        local dir = t.tmpdir()
        local got = t.run({ "sh", "-c", "umask 0; exec " .. t.binary .. " enqueue true" },
            { env = { QUEUECTL_STORE = dir .. "/q.db" } })
        assert.equal(0, got.code, got.err)
        local modes = t.run { "sh", "-c", "cd " .. dir .. " && stat -c '%a %n' q.db* q.db.run/*" }
        for line in modes.out:gmatch("[^\n]+") do
            assert.is_truthy(line:find("^600 ") or line:find("^700 q.db.run$"), line)
        end
    end)

    it("refuses what is no store", function()
        local dir = t.tmpdir()
        t.write_file(dir .. "/text", ("not a database, but long enough\n"):rep(100))
        t.run { "mkfifo", dir .. "/fifo" }
        for name, code in pairs { [dir] = 6, [dir .. "/text"] = 8, [dir .. "/fifo"] = 6,
            ["postgres://x"] = 2, [dir .. "/no/such/dir/q.db"] = 6 } do
            local got = t.q(name, "status")
            assert.equal(code, got.code, name .. ": " .. got.err)
        end
        assert.equal(("not a database, but long enough\n"):rep(100), t.read_file(dir .. "/text"))
    end)

    it("notices that its answer cannot be written", function()
        local got = t.run({ "sh", "-c", t.binary .. " enqueue --id a true >/dev/full" },
            { env = { QUEUECTL_STORE = store } })
        assert.equal(1, got.code)
        assert.is_truthy(got.err:find("stored as a, but the answer could not be written", 1, true),
            got.err)
    end)

    it("knows its versions", function()
        local got = t.q(store, "version", "--json")
        assert.is_truthy(t.json(got.out).sqlite:find("^3%."))
        assert.equal(0, t.run({ t.binary, "--version" }).code)
    end)

    it("has help for every command", function()
        local overview = t.run({ t.binary, "help" })
        assert.equal(0, overview.code)
        for name in overview.out:gmatch("\n  (%l+) ") do
            local got = t.run { t.binary, "help", name }
            assert.equal(0, got.code, got.err)
            assert.is_truthy(#got.out > 80, name)
        end
        assert.equal(t.run({ t.binary, "help", "run" }).out,
            t.run({ t.binary, "run", "--help" }).out)
        assert.is_truthy(t.run({ t.binary, "help", "exit-codes" }).out:find("124", 1, true))
    end)
end)

describe("jobs seen from outside", function()
    local store
    before_each(function() store = t.store() end)

    it("are counted by status", function()
        t.q(store, "enqueue", "true")
        t.q(store, "enqueue", "--retries", "0", "exit 3")
        t.q(store, "enqueue", "--delay", "1h", "true")
        work(store)
        local got = t.json(t.q(store, "status").out)
        assert.equal(1, got.jobs.completed)
        assert.equal(1, got.jobs.dead)
        assert.equal(1, got.jobs.pending)
        assert.equal(0, got.workers)
    end)

    it("are listed with stable keys, in every shape", function()
        t.q(store, "enqueue", "--id", "a", "true")
        t.q(store, "enqueue", "--id", "b", "--retries", "0", "echo oops >&2; exit 3")
        work(store)
        local list = t.json(t.q(store, "list").out)
        assert.equal(2, #list)
        assert.equal("b", list[1].id)
        for _, key in ipairs { "id", "command", "state", "attempts", "max_retries", "priority",
            "run_at", "created_at", "updated_at", "started_at", "finished_at", "duration_seconds",
            "timeout_seconds", "exit_code", "last_error", "worker_id" } do
            assert.is_not_nil(list[1][key], key)
        end
        assert.equal("exit 3: oops", list[1].last_error)
        assert.equal("b\n", t.q(store, "list", "-o", "id", "--state", "dead").out)
        assert.equal("completed", t.json(t.q(store, "list", "-o", "jsonl", "--state",
            "completed").out).state)
        assert.equal("[]\n", t.q(store, "list", "--state", "held").out)
    end)

    it("tell their history and last output", function()
        t.q(store, "enqueue", "--id", "a", "--retries", "0", "echo out; echo err >&2; exit 7")
        work(store)
        local got = t.json(t.q(store, "show", "a").out)
        assert.equal("dead", got.state)
        assert.equal(7, got.exit_code)
        assert.equal("out\nerr\n", got.last_output)
        assert.equal(1, #got.history)
        assert.equal("exit", got.history[1].cause)
        assert.equal(t.q(store, "show", "a").out, t.q(store, "status", "a").out)
    end)

    it("can be retried from the dead letter queue, with the history kept", function()
        t.q(store, "enqueue", "--id", "a", "--retries", "0", "exit 1")
        work(store)
        local got = t.q(store, "retry", "a")
        assert.equal("Job a moved from the dead letter queue to pending\n", got.out)
        local found = t.json(t.q(store, "show", "a").out)
        assert.equal("pending", found.state)
        assert.equal(0, found.attempts)
        work(store)
        assert.equal(2, #t.json(t.q(store, "show", "a").out).history)
    end)

    it("are not retried where that would surprise", function()
        t.q(store, "enqueue", "--id", "a", "true")
        assert.equal(4, t.q(store, "retry", "a").code)
        work(store)
        local got = t.q(store, "retry", "a")
        assert.equal(4, got.code)
        assert.is_truthy(got.err:find("queuectl retry --again", 1, true))
        assert.equal(0, t.q(store, "retry", "--again", "a").code)
    end)

    it("are cancelled once; twice says so and is no error", function()
        t.q(store, "enqueue", "--id", "a", "true")
        assert.equal(0, t.q(store, "cancel", "a").code)
        assert.equal(0, t.q(store, "cancel", "a").code)
        t.q(store, "enqueue", "--id", "b", "true")
        work(store)
        assert.equal(4, t.q(store, "cancel", "b").code)
        assert.equal("cancelled", t.json(t.q(store, "show", "a").out).state)
    end)

    it("several at once: what works is done, the rest told, exit 5", function()
        t.q(store, "enqueue", "--id", "a", "true")
        local got = t.q(store, "cancel", "a", "nope")
        assert.equal(5, got.code)
        assert.equal("Job a is cancelled\n", got.out)
        assert.is_truthy(got.err:find("no job 'nope'", 1, true))
    end)

    it("are waited for", function()
        t.q(store, "enqueue", "--id", "a", "true")
        t.q(store, "enqueue", "--id", "b", "--retries", "0", "false")
        local late = t.q(store, "wait", "--timeout", "100ms", "a")
        assert.equal(124, late.code)
        local waiter = t.spawn { t.binary, "--store", store, "wait", "a", "b" }
        work(store)
        assert.equal(1, (waiter:wait(10)))
        assert.equal("a completed\nb dead\n", waiter:out())
        assert.equal(0, t.q(store, "wait", "a").code)
    end)

    it("show both streams in logs, or one", function()
        t.q(store, "enqueue", "--id", "a", "echo out; sleep 0.1; echo err >&2")
        work(store)
        assert.equal("out\nerr\n", t.q(store, "logs", "a").out)
        assert.equal("out\n", t.q(store, "logs", "--stdout", "a").out)
        assert.equal("err\n", t.q(store, "logs", "--stderr", "a").out)
        assert.equal(3, t.q(store, "logs", "--attempt", "2", "a").code)
    end)
end)
