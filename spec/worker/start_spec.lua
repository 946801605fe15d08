-- What a job is started with.

local t = require "support"
local Queue = require "worker.queue"

local function env_of(text)
    local env = {}
    for name, value in text:gmatch("([^=\n]+)=([^\n]*)\n") do env[name] = value end
    return env
end

describe("environment of a job", function()
    it("tells id, attempt, token and store", function()
        local q = Queue.new()
        local id = q:enqueue({ "env" }, "--id", "job-1")
        q:work()
        local env = env_of(q:logs(id))
        assert.equal("job-1", env.QUEUECTL_JOB_ID)
        assert.equal("", env.QUEUECTL_JOB_NAME)
        assert.equal("1", env.QUEUECTL_ATTEMPT)
        assert.equal("1", env.QUEUECTL_TOKEN)
        assert.equal(q.store, env.QUEUECTL_STORE)
        assert.is_nil(env.QUEUECTL_RUN)
    end)

    it("tells name and run of a job of a file, the count of tries and starts", function()
        local q = Queue.new()
        q:run [[job "one" { run = "echo $QUEUECTL_JOB_NAME $QUEUECTL_RUN $QUEUECTL_ATTEMPT"
            .. " $QUEUECTL_TOKEN >> seen; exit 1", retries = 2, backoff = { "0.01s" } }]]
        assert.same({ "one 1 1 1", "one 1 2 2", "one 1 3 3" }, q:lines("seen"))
    end)

    it("is the worker's with --env on top", function()
        local q = Queue.new()
        local id = q:enqueue({ "env" }, "--env", "OVER=job", "--env", "TEXT=a  b=c ")
        q:work { env = { OVER = "worker", BELOW = "worker", TEXT = false }, timeout = 20 }
        local env = env_of(q:logs(id))
        assert.equal("job", env.OVER)
        assert.equal("worker", env.BELOW)
        assert.equal("a  b=c ", env.TEXT)
    end)

    it("loses what jobs.lua unsets", function()
        local q = Queue.new()
        local got = t.run({ t.binary, "--store", q.store, "run", t.write_file(q:path("jobs.lua"),
            [[job "one" { run = { "env" }, env = { GONE = false, PATH = false, NEW = "1" } }]]) },
            { env = { GONE = "1", STAYS = "1" } })
        assert.equal(0, got.code, got.err)
        local env = env_of(q:logs(q:named("one").id))
        assert.is_nil(env.GONE)
        assert.is_nil(env.PATH)
        assert.equal("1", env.STAYS)
        assert.equal("1", env.NEW)
    end)

    it("has nothing of the enqueuing shell, and the store neither", function()
        local q = Queue.new()
        local secret = { env = { ENQUEUER = "s3cret-of-mine" } }
        local id = q:q("enqueue", "env; true", secret).out:sub(1, -2)
        q:work()
        assert.is_nil(q:logs(id):find("ENQUEUER", 1, true))
        local found = t.run { "grep", "-rl", "s3cret-of-mine", q.dir }
        assert.equal(1, found.code, found.out)
    end)

    it("has nothing of the job that the worker itself runs in", function()
        local q = Queue.new()
        local id = q:enqueue({ "env" })
        q:work { timeout = 20, env = { QUEUECTL_JOB_ID = "outer", QUEUECTL_OUTPUT = "/outer",
                                       QUEUECTL_REPORT = "/outer", QUEUECTL_RUN = "9" } }
        local text = q:logs(id)
        assert.is_nil(text:find("outer", 1, true))
        assert.is_nil(text:find("QUEUECTL_RUN", 1, true))
    end)
end)

describe("folder of a job", function()
    it("is where enqueue was typed, or --cwd", function()
        local q = Queue.new()
        local typed, given = t.mkdir_p(q:path("typed")), t.mkdir_p(q:path("given"))
        local a = q:q("enqueue", "pwd", { cwd = typed }).out:sub(1, -2)
        local b = q:q("enqueue", "pwd", "--cwd", given, { cwd = typed }).out:sub(1, -2)
        local c = q:q("enqueue", "pwd", "--cwd", "given", { cwd = q.dir }).out:sub(1, -2)
        q:work()
        assert.equal(typed .. "\n", q:logs(a))
        assert.equal(given .. "\n", q:logs(b))
        assert.equal(given .. "\n", q:logs(c))
    end)

    it("fails the attempt with its reason when it is gone", function()
        local q = Queue.new()
        local job = q:do_job("echo never", "--cwd", q:path("gone"), "--retries", "0")
        assert.same({ "dead", "spawn", 1 }, { job.state, job.cause, job.attempts })
        assert.equal("could not start: cwd: " .. q:path("gone") .. ": No such file or directory",
                     job.last_error)
        assert.equal("", q:logs(job.id))
    end)

    it("fails the attempt when it is no folder", function()
        local q = Queue.new()
        t.write_file(q:path("file"), "")
        local job = q:do_job("true", "--cwd", q:path("file"), "--retries", "0")
        assert.equal("dead", job.state)
        assert.matches("Not a directory", job.last_error)
    end)
end)

describe("a command", function()
    -- Plain words are executed directly, the same with a quoted word by the shell.
    local function both(command, prepare)
        local results = {}
        for i, text in ipairs { command, command .. " ''" } do
            local q = Queue.new()
            if prepare then prepare(q) end
            local job = q:do_job(text, "--retries", "0")
            results[i] = { job.state, job.cause, job.exit_code, job.signal or false,
                           (q:logs(job.id):gsub(q.dir, "DIR")), job.last_error and
                           (tostring(job.last_error):gsub(q.dir, "DIR")) }
        end
        return results[1], results[2]
    end

    local function script(text)
        return function(q) q:script("s", text) end
    end

    for name, case in pairs {
        ["that does not exist"] = { "no-such-program-here a", exit = 127 },
        ["with a path that does not exist"] = { "./s a", exit = 127 },
        ["that may not be executed"] = { "./s a", exit = 126,
            prepare = function(q) t.write_file(q:path("s"), "exit 0\n") end },
        ["that is a folder"] = { "/tmp a", exit = 126 },
        ["without #!"] = { "./s a b", exit = 3, prepare = script 'echo "$0 $1 $2"; exit 3\n' },
        ["with #!"] = { "./s a b", exit = 4,
            prepare = script '#!/bin/sh\necho "$0 $1 $2"; exit 4\n' },
        ["with an interpreter that is missing"] = { "./s a", exit = 127,
            prepare = script "#!/no/such/interpreter\n" },
        ["that writes to both streams"] = { "./s a", exit = 0,
            prepare = script "#!/bin/sh\necho out\necho err >&2\n" },
    } do
        it(name .. " ends the same with and without a shell", function()
            local direct, shell = both(case[1], case.prepare)
            assert.same(shell, direct)
            assert.equal(case.exit, direct[3])
        end)
    end

    it("is given all its words, also by a script without #!", function()
        local q = Queue.new()
        q:script("s", 'for last; do :; done; echo "$# $1 $last"\n')
        local words = { "./s" }
        for i = 1, 300 do words[#words + 1] = "w" .. i end
        local plain = q:enqueue(table.concat(words, " "), "--retries", "0")
        local argv = q:enqueue(words, "--retries", "0")
        q:work()
        assert.equal("300 w1 w300\n", q:logs(plain))
        assert.equal(q:logs(plain), q:logs(argv))
    end)

    it("that a signal ends says which", function()
        local q = Queue.new()
        q:script("s", "#!/bin/sh\nkill -9 $$\n")
        local job = q:do_job("./s", "--retries", "0")
        assert.same({ "dead", "signal", 9 }, { job.state, job.cause, job.signal })
        assert.equal("killed by signal 9 (KILL)", job.last_error)
    end)

    it("as argv is not seen by a shell", function()
        local q = Queue.new()
        local words = { "printf", "<%s>", "$HOME", "a b", "*", "", "'\"", "a\nb", "\255" }
        local id = q:enqueue(words)
        q:work()
        assert.equal("<$HOME><a b><*><><'\"><a\nb><\255>", q:logs(id))
    end)

    it("is found on the PATH that the job was given", function()
        local q = Queue.new()
        t.mkdir_p(q:path("bin"))
        q:script("bin/only-here", "#!/bin/sh\necho found\n")
        for _, command in ipairs { "only-here", "only-here ''", { "only-here" } } do
            local id = q:enqueue(command, "--env", "PATH=" .. q:path("bin") .. ":/usr/bin:/bin")
            q:work()
            assert.equal("found\n", q:logs(id))
        end
    end)

    it("of the largest size runs", function()
        local q = Queue.new()
        local head = "echo ${#X}; : "
        local text = '{"command":"' .. head .. ("x"):rep(131071 - #head) .. '"}'
        local id = q:enqueue_lines({ text }, "--env", "X=" .. ("y"):rep(60000))[1]
        q:work()
        assert.equal("60000\n", q:logs(id))
    end)
end)

describe("standard input of a job", function()
    it("is empty", function()
        local q = Queue.new()
        local job = q:do_job("cat; echo end", "--timeout", "5")
        assert.equal("completed", job.state)
        assert.equal("end\n", q:logs(job.id))
    end)

    it("is the given text, to the byte", function()
        local q = Queue.new()
        local big = ("0123456789abcdef"):rep(65536)
        local ids = q:enqueue_lines {
            '{"command":"cat","stdin":"one\\ntwo\\u0000three"}',
            '{"command":"cksum","stdin":"' .. big .. '"}' }
        q:work()
        assert.equal("one\ntwo\0three", q:logs(ids[1]))
        assert.equal(t.run({ "cksum" }, { stdin = big }).out, q:logs(ids[2]))
    end)

    it("is the given file", function()
        local q = Queue.new()
        t.write_file(q:path("input"), "from a file\n")
        local got = q:run [[
            job "one" { run = { "cat" }, stdin = { file = "input" } }
            job "two" { run = { "cat" }, stdin = "text" }
            job "gone" { run = { "cat" }, stdin = { file = "missing" }, retries = 0 }
        ]]
        assert.equal(1, got.code)
        assert.equal("from a file\n", q:logs(q:named("one").id))
        assert.equal("text", q:logs(q:named("two").id))
        local gone = q:named("gone")
        assert.equal("dead", gone.state)
        assert.matches("stdin: .*missing: No such file or directory", gone.last_error)
    end)
end)

describe("descriptors of a job", function()
    it("are 0, 1 and 2, whatever the worker has open", function()
        local q = Queue.new()
        local id = q:enqueue("ls /proc/$$/fd; true")
        local got = t.run({ "sh", "-c", 'exec 5</dev/null 7>lost 9</; exec "$0" "$@"', t.binary,
                            "--store", q.store, "worker", "start", "--until-empty" },
                          { cwd = q.dir })
        assert.equal(0, got.code, got.err)
        assert.equal("0\n1\n2\n", q:logs(id))
    end)

    it("are the same three below a Lua job", function()
        local q = Queue.new()
        local got = q:run [[job "one" { run = function(_, ctx)
            io.write(ctx.exec { "sh", "-c", "ls /proc/$$/fd; true" }.stdout) end }]]
        assert.equal(0, got.code, got.err)
        assert.equal("0\n1\n2\n", q:logs(q:named("one").id))
    end)
end)

describe("signals of a job", function()
    local function state(...)
        local q = Queue.new()
        local blocked = q:enqueue("grep SigBlk /proc/self/status")
        local ignored = q:enqueue("grep SigIgn /proc/self/status")
        local shell = q:enqueue("grep 'SigIgn' /proc/self/status; true")
        local argv = { ... }
        local worker = { t.binary, "--store", q.store, "worker", "start", "--until-empty" }
        for _, word in ipairs(worker) do argv[#argv + 1] = word end
        assert.equal(0, t.run(argv).code)
        assert.equal(q:logs(ignored), q:logs(shell))
        return q:logs(blocked):match("%x+\n"), q:logs(ignored):match("%x+\n")
    end

    it("are all default and unblocked", function()
        assert.same({ "0000000000000000\n", "0000000000000000\n" }, { state() })
    end)

    it("are so although the worker was started otherwise", function()
        assert.same({ "0000000000000000\n", "0000000000000000\n" },
                    { state("env", "--block-signal=TERM,USR1,CHLD",
                            "--ignore-signal=PIPE,USR2,CHLD,QUIT") })
    end)

    it("keep SIGHUP ignored under nohup", function()
        assert.same({ "0000000000000000\n", "0000000000000001\n" }, { state("nohup") })
    end)
end)

describe("session of a job", function()
    it("is its own, without a terminal", function()
        local q = Queue.new()
        local id = q:enqueue("cat /proc/self/stat")
        q:work()
        local pid, group, session, tty = q:logs(id):match("^(%d+) %(.-%) %a %d+ (%d+) (%d+) (%S+)")
        assert.same({ pid, pid, "0" }, { group, session, tty })
    end)

    it("cannot reach the worker's terminal", function()
        local q = Queue.new()
        local write = q:enqueue("echo intruder >/dev/tty", "--retries", "0")
        local read = q:enqueue("read x </dev/tty", "--retries", "0")
        local command = ("%s --store %s worker start --until-empty"):format(t.binary, q.store)
        local got = t.run({ "script", "-qec", command, "/dev/null" }, { timeout = 20 })
        assert.equal(0, got.code, got.out)
        assert.matches("picked", got.out)
        assert.is_nil(got.out:find("intruder\r?\n"), got.out)
        assert.equal("dead", q:job(write).state)
        assert.equal("dead", q:job(read).state)
    end)
end)
