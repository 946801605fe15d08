-- What `enqueue` takes, what it refuses, and how it answers.

local t = require "support"

local function count(store)
    return tonumber(t.sql(store, "SELECT count(*) FROM job")[1][1])
end

local function job(store, id)
    local got = t.q(store, "show", id, "--json")
    assert.equal(0, got.code, got.err)
    return t.json(got.out)
end

describe("enqueue", function()
    local store
    before_each(function() store = t.store() end)

    it("answers with the bare id on a pipe", function()
        local got = t.q(store, "enqueue", "echo 'Hello Queue'")
        assert.equal(0, got.code, got.err)
        assert.is_truthy(got.out:find("^[0-9a-z]+\n$"))
        assert.equal("", got.err)
        local found = job(store, got.out:sub(1, -2))
        assert.equal("echo 'Hello Queue'", found.command)
        assert.equal("pending", found.state)
    end)

    it("takes a program and its arguments without a shell", function()
        local got = t.q(store, "enqueue", "--id", "a", "--", "printf", "%s|", "a b", "$HOME", "")
        assert.equal("a\n", got.out, got.err)
        assert.same({ "printf", "%s|", "a b", "$HOME", "" }, job(store, "a").argv)
    end)

    it("is safe to repeat with an id, and refuses another job under it", function()
        assert.equal(0, t.q(store, "enqueue", "--id", "job1", "echo 1").code)
        assert.equal("job1\n", t.q(store, "enqueue", "--id", "job1", "echo 1").out)
        local other = t.q(store, "enqueue", "--id", "job1", "echo 2")
        assert.equal(4, other.code)
        assert.is_truthy(other.err:find("job 'job1' exists with other settings and is pending", 1,
            true))
        assert.equal(1, count(store))
    end)

    it("takes JSON, with options of the command line winning", function()
        local got = t.q(store, "enqueue", '{"id":"urgent","command":"echo u","max_retries":5}',
            "--priority", "10", "--env", "A=1", "--timeout", "90s")
        assert.equal("urgent\n", got.out, got.err)
        local found = job(store, "urgent")
        assert.equal(5, found.max_retries)
        assert.equal(10, found.priority)
        assert.equal(90, found.timeout_seconds)
        assert.same({ "A=1" }, found.env)
    end)

    it("runs { of the shell as shell text", function()
        local got = t.q(store, "enqueue", "--id", "sh", "{ echo a; }")
        assert.equal(0, got.code, got.err)
        assert.equal("{ echo a; }", job(store, "sh").command)
    end)

    it("takes a negative priority", function()
        assert.equal(0, t.q(store, "enqueue", "--id", "low", "--priority", "-5", "true").code)
        assert.equal(-5, job(store, "low").priority)
    end)

    it("stores the folder it was typed in, and --cwd", function()
        local dir = t.tmpdir()
        t.q(store, "enqueue", "--id", "here", "pwd", { cwd = dir })
        t.q(store, "enqueue", "--id", "there", "--cwd", "/usr", "pwd")
        assert.equal(dir, job(store, "here").cwd)
        assert.equal("/usr", job(store, "there").cwd)
    end)

    local BAD = {
        { { "" }, "command: is empty" },
        { { " \n " }, "command: is empty" },
        { { "--priority", "2147483648", "true" }, "from -2147483648 to 2147483647" },
        { { "--priority", "1.5", "true" }, "must be a whole number" },
        { { "--priority", "0x10", "true" }, "must be a whole number" },
        { { "--priority", "1e3", "true" }, "must be a whole number" },
        { { "--timeout", "0", "true" }, "no limit is spelled none" },
        { { "--timeout", "5 parsecs", "true" }, 'bad duration "5 parsecs"' },
        { { "--timeout", "inf", "true" }, "bad duration" },
        { { "--timeout", "-1", "true" }, "bad duration" },
        { { "--retries", "-1", "true" }, "must be a whole number from 0 to 1000000" },
        { { "--id", "a b", "true" }, "1 to 128 of A-Z a-z 0-9" },
        { { "--id", ("x"):rep(129), "true" }, "1 to 128 of A-Z a-z 0-9" },
        { { "--queue", "../../etc/passwd", "true" }, "queue '../../etc/passwd'" },
        { { "--env", "NOVALUE", "true" }, "must be NAME=VALUE" },
        { { "--env", "=x", "true" }, "must be NAME=VALUE" },
        { { "--cwd", "", "true" }, "must be a path" },
        { {}, "no job given" },
        { { "--" }, "no program behind '--'" },
        { { "-f", "-", "true" }, "give one of" },
        { { "{\"command\":1}" }, "command: must be text" },
        { { "{\"comand\":\"true\"}" }, 'no "command"' },
        { { "{\"command\":\"true\",\"priorty\":1}" }, "did you mean 'priority'?" },
        { { "{\"command\":\"true\",}" }, "not valid JSON" },
        { { "{\"command\":\"tr\\u0000ue\"}" }, "NUL byte" },
        { { "--unknwon", "true" }, "unknown option '--unknwon'" },
    }
    for _, case in ipairs(BAD) do
        local words = table.concat(case[1], " "):sub(1, 40)
        it("refuses: enqueue " .. words, function()
            t.q(store, "init")
            local argv = { t.binary, "--store", store, "enqueue", unpack(case[1]) }
            local got = t.run(argv)
            assert.equal(2, got.code, got.err)
            assert.equal("", got.out)
            assert.is_truthy(got.err:find(case[2], 1, true), got.err)
            assert.is_truthy(got.err:find("^queuectl: [^\n]+\n$"), got.err)
            assert.equal(0, count(store))
        end)
    end

    it("takes the longest command that can be executed", function()
        local command = ": " .. ("x"):rep(131069)
        assert.equal(0, t.q(store, "enqueue", "--id", "long", command).code)
        assert.equal(0, t.q(store, "worker", "start", "--until-empty").code)
        assert.equal("completed", job(store, "long").state)
    end)
end)

describe("enqueue -f", function()
    local store
    before_each(function() store = t.store() end)

    it("adds one job a line: shell text or JSON", function()
        local got = t.q(store, "enqueue", "-f", "-",
            { stdin = "echo 1\n\n# no job\n{\"id\":\"two\",\"command\":\"echo 2\"}\necho 3" })
        assert.equal(0, got.code, got.err)
        local _, lines = got.out:gsub("\n", "")
        assert.equal(3, lines)
        assert.equal(3, count(store))
        assert.equal("echo 2", job(store, "two").command)
    end)

    it("adds 100,000 in one call, in their order", function()
        local lines = {}
        for i = 1, 100000 do lines[i] = "echo " .. i end
        local got = t.q(store, "-q", "enqueue", "-f", "-", { stdin = table.concat(lines, "\n") })
        assert.equal(0, got.code, got.err)
        assert.equal(100000, count(store))
        local first = t.sql(store, "SELECT CAST(command AS TEXT) FROM job JOIN spec USING(seq)"
            .. " ORDER BY id LIMIT 1")
        assert.equal("echo 1", first[1][1])
    end)

    it("is all or nothing, and names the bad line", function()
        local lines = {}
        for i = 1, 100000 do lines[i] = "echo " .. i end
        lines[50001] = '{"command":"true","timeout":"5 parsecs"}'
        t.q(store, "init")
        local got = t.q(store, "enqueue", "-f", "-", { stdin = table.concat(lines, "\n") })
        assert.equal(2, got.code)
        assert.is_truthy(got.err:find("standard input, line 50001: timeout: bad duration", 1, true),
            got.err)
        assert.equal("", got.out)
        assert.equal(0, count(store))
    end)

    it("refuses a command that is too long to be executed", function()
        local got = t.q(store, "enqueue", "-f", "-", { stdin = ("x"):rep(131072) })
        assert.equal(2, got.code)
        assert.is_truthy(got.err:find("131072 bytes, the kernel takes at most 131071; put it into a"
            .. " script file", 1, true), got.err)
    end)

    it("says which file is missing", function()
        local got = t.q(store, "enqueue", "-f", "/nowhere/jobs.txt")
        assert.equal(3, got.code)
        assert.is_truthy(got.err:find("/nowhere/jobs.txt: No such file", 1, true))
    end)
end)
