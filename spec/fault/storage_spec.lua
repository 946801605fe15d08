-- A store that cannot be written for a while, with Lua jobs, jobs they add, and secrets: all is
-- recorded once there is room, each job has run once, and no secret is anywhere in it.

local t = require "support"
local Queue = require "worker.queue"

local SECRET = "s3cr3t-w0rd-of-the-spec"

local TEXT = [[
defaults { cwd = %q, env = { WORD = secret "env:SPEC_WORD" } }
local function exists(path)
    local file = io.open(path)
    if file then file:close() end
    return file ~= nil
end
local function append(name, text)
    local file = assert(io.open(name, "a"))
    file:write(text, "\n")
    file:close()
end
for i = 1, 3 do
    local lua = job("lua" .. i) { outputs = { "value", "word" }, run = function(_, ctx)
        append("up", "lua" .. i)
        print(os.getenv "WORD")
        ctx.enqueue { name = "added" .. i, run = "echo added" .. i .. " >>ran; head -c 20000 /dev/zero" }
        while not exists "go" do ctx.exec { "sleep", "0.01" } end
        append("ran", "lua" .. i)
        return { value = ("x"):rep(1000), word = os.getenv "WORD" }
    end }
    job("after" .. i) { env = { V = lua.out.value }, needs = lua,
        run = "echo after" .. i .. "-${#V} >>ran; echo $WORD" }
    job("shell" .. i) { run = "echo shell" .. i .. " >>up; echo $WORD; while [ ! -e go ];"
        .. " do sleep 0.01; done; echo shell" .. i .. " >>ran; head -c 50000 /dev/zero" }
end
]]

local function words(dir, name)
    local list = {}
    if not t.exists(dir .. "/" .. name) then return list end
    for line in t.read_file(dir .. "/" .. name):gmatch "[^\n]+" do list[#list + 1] = line end
    table.sort(list)
    return list
end

local EXPECTED = { "added1", "added2", "added3", "after1-1000", "after2-1000", "after3-1000",
                   "lua1", "lua2", "lua3", "shell1", "shell2", "shell3" }

-- Programs with an own mount of a small file system; `inside` makes a command one of them.
local function small_disk()
    local disk = t.tmpdir()
    local holder = t.spawn({ "unshare", "-m", "sh", "-c",
        'mount -t tmpfs -o size=3m none "$0" && echo mounted && cat', disk }, { stdin = true })
    t.eventually(function() return holder:out() == "mounted\n" end, 10, holder:err())
    return disk, function(...)
        return { "nsenter", "-t", tostring(holder:pid()), "-m", "--", ... }
    end
end

local function in_all_states(q)
    local states = {}
    for _, job in ipairs(t.json(q("list", "--json").out)) do
        states[#states + 1] = job.state
        assert(job.state == "completed" and job.token == 1, job.name .. " " .. job.state)
    end
    return #states
end

describe("a full disk", function()
    it("loses nothing of Lua jobs, of those they add and of secrets", function()
        local disk, inside = small_disk()
        local store, dir = disk .. "/queue.db", t.tmpdir()
        t.write_file(dir .. "/jobs.lua", TEXT:format(dir))
        local options = { env = { SPEC_WORD = SECRET } }
        local function q(...)
            return t.run(inside(t.binary, "--store", store, ...), options)
        end
        assert.equal(0, q("run", "--detach", dir .. "/jobs.lua").code)
        local worker = t.spawn(inside(t.binary, "--store", store, "worker", "start", "-c", "6"),
                               options)
        t.eventually(function() return #words(dir, "up") == 6 end)
        t.run(inside("sh", "-c", "cat /dev/zero > " .. disk .. "/ballast"))
        t.write_file(dir .. "/go", "")
        t.eventually(function()
            return worker:err():find("event=store", 1, true)
        end, 20, "the store is full")
        assert.is_true(worker:running())
        assert.equal(0, t.run(inside("rm", disk .. "/ballast")).code)
        t.eventually(function() return #words(dir, "ran") == #EXPECTED end, 20)
        assert.same(EXPECTED, words(dir, "ran"))
        assert.equal(12, t.eventually(function() return in_all_states(q) end))
        worker:kill "TERM"
        assert.equal(0, (worker:wait(10)))
        assert.equal("ok\n", t.run(inside("sqlite3", store, "PRAGMA integrity_check")).out)
        assert.equal(1, t.run(inside("grep", "-rqF", SECRET, disk)).code)
        assert.is_nil(worker:err():find(SECRET, 1, true))
    end)

    it("that stays full while the worker is killed: the next one goes on", function()
        local disk, inside = small_disk()
        local store, dir = disk .. "/queue.db", t.tmpdir()
        t.write_file(dir .. "/jobs.lua", TEXT:format(dir))
        local options = { env = { SPEC_WORD = SECRET } }
        local function q(...)
            return t.run(inside(t.binary, "--store", store, ...), options)
        end
        assert.equal(0, q("run", "--detach", dir .. "/jobs.lua").code)
        local function start()
            return t.spawn(inside(t.binary, "--store", store, "worker", "start", "-c", "6"),
                           options)
        end
        local worker = start()
        t.eventually(function() return #words(dir, "up") == 6 end)
        t.run(inside("sh", "-c", "cat /dev/zero > " .. disk .. "/ballast"))
        t.write_file(dir .. "/go", "")
        t.eventually(function() return worker:err():find("event=store", 1, true) end, 20)
        worker:kill "KILL"
        worker:wait()
        assert.equal(0, t.run(inside("rm", disk .. "/ballast")).code)
        start()
        -- What could not be recorded has run again, and nothing else has.
        t.eventually(function()
            for _, job in ipairs(t.json(q("list", "--json").out)) do
                assert(job.state == "completed", job.name .. " " .. job.state)
            end
            return #t.json(q("list", "--json").out) == 12
        end, 20)
        local seen = {}
        for _, word in ipairs(words(dir, "ran")) do seen[word] = (seen[word] or 0) + 1 end
        for _, word in ipairs(EXPECTED) do
            local most = word:find "^[ls]" and 2 or 1
            assert.is_true(seen[word] >= 1 and seen[word] <= most, word .. ": " .. seen[word])
        end
        assert.equal(1, t.run(inside("grep", "-rqF", SECRET, disk)).code)
    end)
end)

describe("a foreign program that holds the write lock", function()
    local function hold(q)
        local lock = t.spawn({ "sqlite3", "-batch", q.store }, { stdin = true })
        lock:write ".timeout 5000\nBEGIN IMMEDIATE; SELECT 'locked';\n"
        t.eventually(function() return lock:out() == "locked\n" end)
        return function()
            lock:write "ROLLBACK;\n"
            lock:close_input()
            lock:wait()
        end
    end

    local function start()
        local q = Queue.new()
        t.write_file(q:path "jobs.lua", TEXT:format(q.dir))
        q:q("run", "--detach", q:path "jobs.lua")
        local worker = q:worker("-c", "6", { env = { SPEC_WORD = SECRET } })
        t.eventually(function() return #words(q.dir, "up") == 6 end)
        return q, worker, hold(q)
    end

    -- Lua jobs and shell jobs have ended, and none of it could be recorded.
    local function let_end(q)
        t.write_file(q:path "go", "")
        t.eventually(function() return #words(q.dir, "ran") == 6 end)
        t.eventually(function() return #t.processes("QUEUECTL_JOB_NAME=") == 0 end)
    end

    it("delays the records of Lua jobs and their added jobs, each once", function()
        local q, worker, release = start()
        let_end(q)
        release()
        t.eventually(function() return #words(q.dir, "ran") == 12 end)
        assert.same(EXPECTED, words(q.dir, "ran"))
        assert.equal(12, t.eventually(function()
            return in_all_states(function(...) return q:q(...) end)
        end))
        assert.is_true(worker:running())
    end)

    it("while the worker and its guardian die: what was not recorded runs again", function()
        local q, worker, release = start()
        let_end(q)
        local guardian = Queue.guardian(worker)
        worker:kill "KILL"
        t.kill(guardian, "KILL")
        worker:wait()
        release()
        q:work { env = { SPEC_WORD = SECRET } }
        local counts = {}
        for _, word in ipairs(words(q.dir, "ran")) do counts[word] = (counts[word] or 0) + 1 end
        for _, word in ipairs(EXPECTED) do
            assert.equal(word:find "^[ls]" and 2 or 1, counts[word], word)
        end
        for _, job in pairs(q:jobs()) do assert.equal("completed", job.state) end
    end)
end)

describe("a store on a read-only file system", function()
    it("is said so in one line, and nothing is started", function()
        local q = Queue.new()
        t.write_file(q:path "jobs.lua", "job 'a' { run = 'echo ran >>witness' }")
        q:q("init")
        local script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
        for _, command in ipairs { { "run", q:path "jobs.lua" }, { "worker", "start" },
                                   { "run", "--detach", q:path "jobs.lua" } } do
            local got = t.run { "unshare", "-m", "sh", "-c", script, q.dir, t.binary, "--store",
                                q.store, unpack(command) }
            assert.equal(7, got.code, got.out .. got.err)
            assert.equal(1, select(2, got.err:gsub("\n", "")), got.err)
            assert.matches("attempt to write a readonly database", got.err)
        end
        assert.is_false(t.exists(q:path "witness"))
        assert.equal("0", t.sql(q.store, "SELECT count(*) FROM job")[1][1])
    end)
end)
