-- What may go wrong with the process that forks Lua jobs: whatever its program does to it, and
-- whoever kills it, each job is run, and once.

local t = require "support"
local project = require "run.project"
local Queue = require "worker.queue"

local HELPERS = [[
local function read(path)
    local file = assert(io.open(path))
    local text = file:read "*a"
    file:close()
    return text
end
local function append(path, ...)
    local file = assert(io.open(path, "a"))
    file:write(table.concat({ ... }, " "), "\n")
    file:close()
end
local function witness(...) append(os.getenv "WITNESS", ...) end
local function exists(path)
    local file = io.open(path)
    if file then file:close() end
    return file ~= nil
end
local function wait_for(path) while not exists(path) do end end
local ffi = require "ffi"
ffi.cdef "int getpid(void); int kill(int, int);"
local is_warm = read "/proc/self/cmdline":find "lua%-warm" ~= nil
]]

-- A project whose jobs file begins with HELPERS.
local function new(text) return project.new(HELPERS .. text) end

local JOBS = [[
for i = 1, 8 do job("j" .. i) { run = function() witness("j" .. i) end } end
]]

-- Each of j1 … j8 was run, once.
local function assert_once(p)
    local words = p:witnessed()
    table.sort(words)
    assert.same({ "j1", "j2", "j3", "j4", "j5", "j6", "j7", "j8" }, words)
end

-- Children of the process whose command line has the words; of all generations with `deep`.
local function children(pid, words, deep, found)
    found = found or {}
    local file = io.open(("/proc/%d/task/%d/children"):format(pid, pid))
    local text = file and file:read "*a" or ""
    if file then file:close() end
    for child in text:gmatch "%d+" do
        local line = io.open("/proc/" .. child .. "/cmdline")
        if line and line:read "*a":find(words, 1, true) then found[#found + 1] = tonumber(child) end
        if line then line:close() end
        if deep then children(tonumber(child), words, true, found) end
    end
    return found
end

local function guardian_of(pid)
    return t.eventually(function() return children(pid, "queuectl-guardian", true)[1] end)
end

local function number_in(p, name)
    return t.eventually(function() return tonumber(p:read(name):match "^(%d+)\n") end)
end

describe("a warm process that is killed", function()
    -- A job kills it when others are asked for and not read: what its forks have said comes after
    -- the error that tells of that.
    it("with requests unread does not have its forks run twice", function()
        local p = new [[
            if is_warm then
                append("warm", ffi.C.getpid())
                wait_for "go"
            end
            for i = 1, 8 do
                job("j" .. i) { run = function()
                    local warm = read "warm":match "^%d+"
                    ffi.C.kill(tonumber(warm), 9)
                    witness("j" .. i)
                end }
            end]]
        local run = p:spawn("run", "--json", "-j", "8", "jobs.lua")
        local warm = number_in(p, "warm")
        t.eventually(function()
            return select(2, run:out():gsub('"picked"', "")) == 8
        end, 10, run:err())
        local guardian = guardian_of(run:pid())
        t.kill(guardian, "STOP")
        p:write("", "go")
        t.eventually(function() return #p:witnessed() > 0 and not t.pid_alive(warm) end)
        t.kill(guardian, "CONT")
        assert.equal(0, (run:wait(30)))
        assert_once(p)
    end)

    it("while it reads the file", function()
        local p = new([[
            if is_warm then
                append("warm", ffi.C.getpid())
                wait_for "never"
            end
        ]] .. JOBS)
        local run = p:spawn("run", "jobs.lua")
        t.kill(number_in(p, "warm"), "KILL")
        assert.equal(0, (run:wait(30)))
        assert_once(p)
    end)

    it("while its forks run leaves them alone", function()
        local p = new [[
            if is_warm then append("warm", ffi.C.getpid()) end
            for i = 1, 8 do
                job("j" .. i) { run = function()
                    append("begun", i)
                    wait_for "go"
                    witness("j" .. i)
                end }
            end]]
        local run = p:spawn("run", "-j", "4", "jobs.lua")
        t.eventually(function() return #p:read "begun" == 8 end)
        t.kill(number_in(p, "warm"), "KILL")
        p:write("", "go")
        assert.equal(0, (run:wait(30)))
        assert_once(p)
        for _, job in pairs(p:jobs()) do assert.equal(1, job.token) end
    end)

    it("or stopped, and goes on after it was given up, runs nothing twice", function()
        local p = new([[if is_warm then append("warm", ffi.C.getpid()) end
            job "first" { run = function() end }
            defaults { needs = "first" }]] .. JOBS)
        local run = p:spawn("run", "-j", "4", "jobs.lua")
        local warm = number_in(p, "warm")
        t.kill(warm, "STOP")
        assert.equal(0, (run:wait(60)))
        assert_once(p)
        assert.is_false(t.pid_alive(warm))
    end)
end)

describe("a job asked for of a warm process that hangs", function()
    local HANGS = [[
        if is_warm then
            append("warm", ffi.C.getpid())
            wait_for "never"
        end
        job "a" { retries = 0, run = function() witness "ran" end }
        job "b" { run = "echo b >>$WITNESS" }]]

    it("is cancelled at once", function()
        local p = new(HANGS)
        local run = p:spawn("run", "jobs.lua")
        number_in(p, "warm")
        t.eventually(function() return p:states().a == "processing" end)
        local before = t.now()
        assert.equal(0, p:q("cancel", p:jobs().a.id).code)
        assert.equal(1, (run:wait(30)))
        assert.is_true(t.now() - before < 5)
        assert.equal("cancelled", p:states().a)
        assert.same({ "b" }, p:witnessed())
    end)

    it("is handed back at once when its run is stopped", function()
        local p = new(HANGS)
        local run = p:spawn("run", "jobs.lua")
        number_in(p, "warm")
        t.eventually(function() return p:states().b == "completed" end)
        local before = t.now()
        run:kill "INT"
        t.eventually(function() return run:out():find("stopping", 1, true) end)
        run:kill "INT"
        assert.equal(130, (run:wait(30)))
        assert.is_true(t.now() - before < 5)
        assert.equal("pending", p:states().a)
        assert.same({ "b" }, p:witnessed())
    end)
end)

-- What programs do while they are evaluated.
local DEEDS = {
    ["prints"] = [[ for _ = 1, 1e4 do print "printed" io.stderr:write "said\n" end ]],
    ["runs programs"] = [[ os.execute "true" os.execute "sleep 1000 >/dev/null 2>&1 &" ]],
    ["opens files"] = [[ for i = 1, 100 do assert(io.open("/dev/null")) end ]],
    ["takes all descriptors"] = [[
        local files = {}
        if is_warm then repeat local file = io.open "/dev/null"; files[#files + 1] = file
            until not file end ]],
    ["allows itself few descriptors"] = [[
        ffi.cdef "int setrlimit(int, const uint64_t *);"
        if is_warm then ffi.C.setrlimit(7, ffi.new("uint64_t[2]", 20, 20)) end ]],
    ["closes all descriptors"] = [[
        ffi.cdef "int close(int);"
        if is_warm then for fd = 0, 99 do ffi.C.close(fd) end end ]],
    ["changes the folder"] = [[ ffi.cdef "int chdir(const char *);" ffi.C.chdir "/" ]],
    ["sets an alarm"] = [[ ffi.cdef "unsigned alarm(unsigned);"
        if is_warm then ffi.C.alarm(1) end ]],
    ["ignores signals"] = [[ ffi.cdef "void *signal(int, intptr_t);"
        for signo = 1, 31 do ffi.C.signal(signo, 1) end ]],
    ["takes 900 MB"] = [[ local big = {} for i = 1, 9 do big[i] = ("x"):rep(1e8 + i) end ]],
    ["ends its process"] = [[ if is_warm then os.exit(0) end ]],
}

describe("a program that", function()
    for name, deed in pairs(DEEDS) do
        it(name .. " has its jobs run, each once and in its folder", function()
            local p = new(deed .. JOBS .. [[
                job "where" { cwd = "sub", timeout = "10s", run = function(_, ctx)
                    append("cwd", ctx.exec({ "pwd" }).stdout:match "[^/]+\n$":sub(1, -2))
                end }
                job "stopped" { timeout = "100ms", allow_failure = true, retries = 0,
                    run = function() while true do end end }]])
            assert(t.run({ "mkdir", p.dir .. "/sub" }).code == 0)
            p:run(0, "-j", "4")
            assert_once(p)
            assert.equal("sub\n", p:read "sub/cwd")
            assert.equal("dead", p:states().stopped)
            assert.same({}, t.processes(p.store))
        end)
    end
end)

describe("one worker", function()
    it("works the programs of many runs, each job once", function()
        local p = new ""
        for number = 1, 6 do
            p:write(HELPERS .. ([[
                if is_warm then append("warm", %d) end
                for i = 1, 10 do
                    job("j" .. i) { run = function() witness(%d, i, os.getenv "QUEUECTL_TOKEN") end }
                end]]):format(number, number), number .. ".lua")
            assert.equal(0, p:q("run", "--detach", number .. ".lua").code)
        end
        -- So that each job may be of another program than the one before.
        t.sql(p.store, "UPDATE ready SET rank = seq % 10")
        t.sql(p.store, "UPDATE job SET priority = -(seq % 10)")
        local got = p:q("worker", "start", "-c", "4", "--until-empty")
        assert.equal(0, got.code, got.err)
        local words, expected = p:witnessed(), {}
        for number = 1, 6 do
            for i = 1, 10 do expected[#expected + 1] = ("%d %d 1"):format(number, i) end
        end
        table.sort(words)
        table.sort(expected)
        assert.same(expected, words)
        assert.same({}, t.processes(p.store))
    end)

    it("goes on when its binary is replaced", function()
        local p = new(JOBS)
        local binary = p.dir .. "/queuectl"
        assert(t.run({ "cp", t.binary, binary }).code == 0)
        assert.equal(0, p:q("run", "--detach", "jobs.lua").code)
        t.sql(p.store, "UPDATE job SET run_at = run_at + 1") -- nothing is taken yet
        local worker = t.spawn({ binary, "--store", p.store, "worker", "start", "-c", "2" },
                               { cwd = p.dir, env = { WITNESS = p.witness } })
        t.eventually(function() return worker:err():find("event=started", 1, true) end)
        assert(t.run({ "sh", "-c", "rm queuectl; cp /bin/false queuectl" }, { cwd = p.dir }).code
               == 0)
        p:write(HELPERS .. [[job "late" { run = function() append("late", "done") end }]],
                "late.lua")
        assert.equal(0, p:q("run", "--detach", "late.lua").code)
        t.eventually(function()
            for _, state in pairs(p:states()) do assert(state == "completed") end
            return true
        end)
        assert_once(p)
        assert.equal("done\n", p:read "late")
    end)
end)

describe("what a Lua job leaves behind", function()
    it("is ended, also in a session of its own and without an environment", function()
        local p = new [[
            job "a" { retries = 0, run = function()
                os.execute "sleep 1001 >/dev/null 2>&1 3>&- &"
                os.execute "setsid -f sleep 1002 >/dev/null 2>&1 3>&-"
                os.execute "env -i setsid -f sleep 1003 >/dev/null 2>&1 3>&-"
                for i = 1001, 1003 do
                    assert(os.execute("pgrep -fx 'sleep " .. i .. "' >/dev/null") == 0)
                end
            end }]]
        p:run(0)
        for i = 1001, 1003 do
            assert.equal("", t.run({ "pgrep", "-fx", "sleep " .. i }).out)
        end
    end)

    it("and has forked itself is ended only when no job can need it", function()
        local p = new [[
            ffi.cdef "int fork(void); int setsid(void); void _exit(int);"
            -- A process of the job, in a session of its own, that has executed nothing.
            job "a" { retries = 0, run = function()
                if ffi.C.fork() == 0 then
                    ffi.C.setsid()
                    if ffi.C.fork() > 0 then ffi.C._exit(0) end
                    append("daemon", ffi.C.getpid())
                    while true do end
                end
                wait_for "others"
                local daemon = tonumber((read "daemon":match "%d+"))
                for _ = 1, 20 do os.execute "sleep 0.01" end
                assert(ffi.C.kill(daemon, 0) == 0, "it is gone")
                witness "alive"
            end }
            job "b" { run = function() wait_for "daemon" end }
            job "c" { needs = "b", run = function() append("others", "ran") end }]]
        p:run(0, "-j", "4")
        assert.same({ "alive" }, p:witnessed())
        local daemon = number_in(p, "daemon")
        assert.is_false(t.pid_alive(daemon))
    end)

    it("is stopped with TERM, then KILL, as that of a shell job", function()
        local p = new [[
            job "a" { timeout = "300ms", kill_after = "200ms", retries = 0, run = function()
                os.execute [=[ sh -c 'trap "echo term >>$WITNESS" TERM; while :; do sleep 0.01; done' ]=]
            end }]]
        p:run(1)
        local words = p:witnessed()
        assert.equal("term", words[1])
        local job = p:show "a"
        assert.equal("timeout", job.cause)
        assert.same({}, t.processes(p.store))
    end)
end)

describe("two workers of one store", function()
    it("the one that recovers the other's jobs ends all of their forks, and none of its own",
        function()
        local q = Queue.new()
        local function detach(name)
            t.write_file(q:path(name), HELPERS .. [[
                for i = 1, 2 do
                    job("j" .. i) { run = function()
                        append("begun", os.getenv "QUEUECTL_JOB_ID", ffi.C.getpid(),
                            os.getenv "QUEUECTL_WORKER")
                        wait_for "go"
                    end }
                end]])
            q:q("run", "--detach", q:path(name))
        end
        local function begun(n)
            return t.eventually(function()
                local list = {}
                for _, line in ipairs(q:lines "begun") do
                    local id, pid, mark = line:match "^(%S+) (%d+) (%S+)$"
                    list[#list + 1] = { id = id, pid = tonumber(pid), mark = mark }
                end
                return #list == n and list
            end)
        end
        detach "a.lua"
        local victim = q:worker("-c", "2")
        local lost = begun(2)
        detach "b.lua"
        local keeper = q:worker("-c", "2")
        local all = begun(4)
        local guardian = Queue.guardian(victim)
        local warm = children(guardian_of(keeper:pid()), "lua-warm")
        assert.equal(3, #warm)
        t.kill(guardian, "STOP") -- so that it cannot end them
        victim:kill "KILL"
        t.kill(guardian, "KILL")
        victim:wait()
        t.eventually(function()
            return #t.processes("QUEUECTL_WORKER=" .. lost[1].mark:match "^[^.]+") == 0
        end)
        t.eventually(function()
            return t.sql(q.store, "SELECT count(*) FROM worker")[1][1] == "1"
        end)
        for _, fork in ipairs(lost) do assert.is_false(t.pid_alive(fork.pid)) end
        assert.same(warm, children(guardian_of(keeper:pid()), "lua-warm"))
        t.write_file(q:path "go", "")
        for i, fork in ipairs(all) do
            local job = q:wait(fork.id, "completed")
            assert.equal(i <= 2 and 2 or 1, job.token)
        end
    end)
end)

describe("a user who may have only few processes", function()
    it("has all Lua jobs run, those that could not be forked later", function()
        local p = new [[
            for i = 1, 8 do
                job("j" .. i) { retries = 0, run = function()
                    local until_then = os.clock() + 0.05
                    repeat until os.clock() > until_then
                    witness("j" .. i)
                end }
            end]]
        -- A user of its own, so that nobody else's processes are counted.
        local uid = tostring(50000 + t.rng()(9999))
        assert(t.run({ "cp", t.binary, p.dir .. "/queuectl" }).code == 0)
        assert(t.run({ "chown", "-R", uid .. ":" .. uid, p.dir }).code == 0)
        local got = t.run({ "setpriv", "--reuid=" .. uid, "--regid=" .. uid, "--clear-groups",
                            "prlimit", "--nproc=6", p.dir .. "/queuectl", "--store", p.store, "run",
                            "jobs.lua", "-j", "6" },
                          { cwd = p.dir, timeout = 60, env = { WITNESS = p.witness } })
        assert.equal(0, got.code, got.out .. got.err)
        assert_once(p)
        assert.matches("will run again", got.out)
    end)
end)
