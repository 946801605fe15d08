-- The examples do what their comments say: seen on the disk and in the store.

local t = require "support"

local HERE = t.root .. "/scripts/examples"

-- The sanitizer's own reservations are beyond every limit of memory: in its build such an example
-- runs as a copy that has none.
local function without_memory_limit(name)
    if not os.getenv "SPEC_ASAN_OPTIONS" then return HERE .. "/" .. name end
    local dir = t.tmpdir()
    assert.equal(0, t.run({ "cp", "-r", HERE .. "/.", dir }).code)
    local text, n = t.read_file(dir .. "/" .. name):gsub('memory = "%w+",? ?', "")
    assert.equal(1, n)
    t.write_file(dir .. "/" .. name, (text:gsub("limits = { }", "limits = nil")))
    return dir .. "/" .. name
end

-- Runs an example with a store and a TMPDIR of its own, from the root directory.
local function run(file, env, opts)
    local dir = t.tmpdir()
    local all = { QUEUECTL_STORE = dir .. "/q.db", TMPDIR = dir }
    for name, value in pairs(env or {}) do all[name] = value end
    opts = opts or {}
    local r = t.run({ t.binary, "run", file, unpack(opts) },
                    { cwd = "/", env = all, timeout = 80 })
    r.dir, r.store = dir, dir .. "/q.db"
    return r
end

local function again(r, file)
    return t.run({ t.binary, "run", file },
                 { cwd = "/", env = { QUEUECTL_STORE = r.store, TMPDIR = r.dir }, timeout = 80 })
end

-- Jobs of the store by name, each with what `list` says.
local function jobs(r)
    local by_name = {}
    for _, job in ipairs(t.json(t.q(r.store, "list", "--json").out)) do
        by_name[job.name] = by_name[job.name] or job -- the newest comes first
    end
    return by_name
end

local function states(r)
    local found = {}
    for name, job in pairs(jobs(r)) do found[name] = job.state end
    return found
end

local function show(r, name)
    return t.json(t.q(r.store, "show", "--json", jobs(r)[name].id).out)
end

-- A project to work on that nobody edits meanwhile.
local function copy(...)
    local dir = t.tmpdir() .. "/project"
    t.mkdir_p(dir)
    local argv = { "cp", "-a", ... }
    argv[#argv + 1] = dir
    local r = t.run(argv)
    assert.equal(0, r.code, r.err)
    return dir
end

-- The jobs files among the examples, below scripts/examples; lib has what they share.
local function jobs_files()
    local files = {}
    local found = t.run({ "find", ".", "-name", "*.lua", "-not", "-path", "./lib/*" },
                        { cwd = HERE })
    for name in found.out:gmatch("%./([^\n]+)\n") do files[#files + 1] = name end
    table.sort(files)
    return files
end

describe("every example", function()
    for _, name in ipairs(jobs_files()) do
        it("can be planned, warns of nothing, says how to run it: " .. name, function()
            local r = t.run({ t.binary, "check", HERE .. "/" .. name }, { cwd = "/" })
            assert.equal(0, r.code, r.out .. r.err)
            assert(t.read_file("scripts/examples/" .. name):find(
                "\n--   scripts/run scripts/examples/" .. name, 1, true))
        end)
    end

    it("is one that these specs run", function()
        assert.same({ "backup.lua", "checks.lua", "crontab/jobs.lua", "dagu/jobs.lua", "data.lua",
            "fanout.lua", "flaky.lua", "make/clean.lua", "make/jobs.lua", "nightly.lua",
            "release.lua" }, jobs_files())
    end)
end)

describe("backup.lua", function()
    local project, file

    setup(function()
        project = copy("core", "lua", "scripts", "spec")
        file = project .. "/scripts/examples/backup.lua"
    end)

    local function assert_backup(folder)
        local rows = 0
        local manifest = t.read_file(folder .. "/MANIFEST")
        for name, bytes, sum in manifest:gmatch("(%S+) +(%d+)  (%x+)\n") do
            local archive = folder .. "/" .. name
            assert.equal(tonumber(bytes), #t.read_file(archive))
            assert.equal(sum, t.run({ "sha256sum", archive }).out:match("^%x+"))
            local unpacked = t.tmpdir()
            assert.equal(0, t.run({ "tar", "-xzf", archive, "-C", unpacked }).code)
            local dir = name:match("^[^.]+")
            assert.equal(0, t.run({ "diff", "-r", project .. "/" .. dir, unpacked .. "/" .. dir })
                .code)
            rows = rows + 1
        end
        assert.equal(4, rows)
    end

    it("makes archives that are whole, and their manifest; twice is the same", function()
        local r = run(file)
        assert.equal(0, r.code, r.out .. r.err)
        local folder = r.dir .. "/queuectl-backup"
        assert.matches("the backup goes to " .. folder .. "\n", r.err, 1, true)
        assert_backup(folder)
        assert.equal("MANIFEST\ncore.tar.gz\nlua.tar.gz\nscripts.tar.gz\nspec.tar.gz\n",
                     t.run({ "ls", folder }, { env = { LC_ALL = "C" } }).out)
        local outputs = show(r, "checksum-lua").outputs
        assert.equal(tostring(#t.read_file(folder .. "/lua.tar.gz")), outputs.bytes)
        local log = t.q(r.store, "logs", jobs(r).report.id).out
        assert.equal(t.read_file(folder .. "/MANIFEST") .. "saved in " .. folder .. "\n", log)

        local before = t.read_file(folder .. "/MANIFEST")
        local second = again(r, file)
        assert.equal(0, second.code, second.out .. second.err)
        assert.equal(before, t.read_file(folder .. "/MANIFEST"))
    end)

    it("notices an archive that is not what it should be", function()
        -- A tar that leaves one file out.
        local bin = t.tmpdir()
        t.write_file(bin .. "/tar", '#!/bin/sh\ncase " $* " in\n*" --create "*)\n'
            .. '    exec /bin/tar --exclude="main.c" "$@" ;;\n*) exec /bin/tar "$@" ;;\nesac\n')
        assert.equal(0, t.run({ "chmod", "+x", bin .. "/tar" }).code)
        local r = run(file, { PATH = bin .. ":" .. os.getenv "PATH" })
        assert.equal(1, r.code)
        local found = states(r)
        assert.same({ "dead", "completed", "skipped" },
                    { found["verify-core"], found["verify-lua"], found.manifest })
        assert.matches("Only in core: main.c", r.out, 1, true)
        assert.is_false(t.exists(r.dir .. "/queuectl-backup/MANIFEST"))
    end)

    it("writes nothing into a folder that is a link to elsewhere", function()
        local dir, other = t.tmpdir(), t.tmpdir()
        assert.equal(0, t.run({ "ln", "-s", other, dir .. "/queuectl-backup" }).code)
        local r = run(file, { TMPDIR = dir })
        assert.equal(1, r.code)
        assert.matches("queuectl-backup is not ours", r.out, 1, true)
        assert.equal("", t.run({ "ls", other }).out)
    end)
end)

describe("checks.lua", function()
    -- The project with its scripts replaced: each says how it was called, "size" fails.
    local function project()
        local dir = copy("scripts")
        for _, name in ipairs { "setup", "build", "lint", "test" } do
            t.write_file(dir .. "/scripts/" .. name, ([[#!/bin/sh
echo "%s $*" >>"$(dirname "$0")/../calls"
case "$*" in size) echo "core/main.c:1: too long"; exit 1 ;; esac
]]):format(name))
        end
        t.mkdir_p(dir .. "/build")
        assert.equal(0, t.run({ "ln", "-s", t.binary, dir .. "/build/queuectl" }).code)
        return dir
    end

    local function sorted_calls(dir)
        local lines = {}
        for line in t.read_file(dir .. "/calls"):gmatch("[^\n]+") do lines[#lines + 1] = line end
        local first = table.remove(lines, 1)
        table.sort(lines)
        return first, lines
    end

    it("calls each script once, and sums up although one has failed", function()
        local dir = project()
        local r = run(dir .. "/scripts/examples/checks.lua")
        assert.equal(1, r.code, r.err)
        local first, others = sorted_calls(dir)
        assert.equal("setup test", first)
        assert.same({ "build ", "lint calls", "lint format", "lint layers", "lint luacheck_all",
                      "lint size", "test spec/unit" }, others)
        assert.matches("\ndead lint[check=size]\n    exit 1\n  last lines:\n"
            .. "    core/main.c:1: too long\n", r.out, 1, true)
        assert.matches("8 completed, 1 dead in ", r.out, 1, true)
        local found = t.read_file(dir .. "/build/checks.txt")
        assert.matches("dead +1/1 +0 +lint%[check=size%]", found)
        assert.matches("completed +1/1 +0 +specs", found)
    end)

    it("with CHECKS=all runs all that scripts/lint knows", function()
        local dir = project()
        local r = run(dir .. "/scripts/examples/checks.lua", { CHECKS = "all" })
        local known = t.read_file("scripts/lint"):match("checks=%((%l[^)]+)%)")
        local called = {}
        for names in t.read_file(dir .. "/calls"):gmatch("lint ([^\n]+)") do
            for name in names:gmatch("%S+") do called[name] = true end
        end
        for name in known:gmatch("%S+") do
            assert(called[name], name .. " was not called: " .. r.err)
            called[name] = nil
        end
        assert.is_nil(next(called))
    end)
end)

describe("fanout.lua", function()
    it("finds by ten thousand jobs what one loop finds", function()
        local file = HERE .. "/fanout.lua"
        local r = run(file, nil, { "--json" })
        assert.equal(0, r.code, r.err)
        assert.equal("1499999500000\n", t.read_file(r.dir .. "/queuectl-fanout/RESULT"))
        local status = t.json(t.q(r.store, "status", "--json").out)
        assert.equal(10104, status.jobs.completed)
        local last = r.out:match("\n([^\n]+)\n$")
        assert.equal("summary", t.json(last).event)
        assert.equal(10104, t.json(last).jobs.completed)
        local check = t.json(t.q(r.store, "list", "--json", "-n", "1").out)[1]
        assert.equal("check", check.name)
        local log = t.q(r.store, "logs", check.id).out
        assert.matches("is 1499999500000\n", log)
    end)
end)

describe("flaky.lua", function()
    it("ends with 1, each job as its comment says; twice is the same", function()
        local r = run(HERE .. "/flaky.lua")
        assert.equal(1, r.code, r.out .. r.err)
        local function assert_states()
            assert.same({
                prepare = "completed", unreliable = "completed", slow = "dead", hopeless = "dead",
                invoice = "skipped", alarm = "completed", tidy = "completed", parcel = "completed",
                ["wait-for-parcel"] = "completed", refused = "dead",
            }, states(r))
        end
        assert_states()
        local found = jobs(r)
        assert.equal("timed out after 0.5 s", found.slow.last_error)
        assert.same({ 3, 2, 1, 1 }, { found.unreliable.attempts, found.hopeless.attempts,
                                      found.refused.attempts, found["wait-for-parcel"].attempts })
        assert.equal(2, #show(r, "hopeless").history)
        assert.equal("1", show(r, "wait-for-parcel").outputs.tries)
        assert.matches("snoozed wait-for-parcel (not there yet, again in 0.20 s)", r.out, 1, true)
        assert.equal("hopeless has failed\n", t.read_file(r.dir .. "/queuectl-flaky/alarm"))
        assert.is_false(t.exists(r.dir .. "/queuectl-flaky/arrived"))

        assert.equal(1, again(r, HERE .. "/flaky.lua").code)
        assert_states()
    end)
end)

describe("release.lua", function()
    local FILE = HERE .. "/release.lua"

    it("builds, tests and packs, and publishes nothing unless told to", function()
        local r = run(FILE)
        assert.equal(0, r.code, r.out .. r.err)
        local found = states(r)
        assert.equal("skipped", found.publish)
        for _, name in ipairs { "test[lang=en,shell=dash]", "test[lang=en,shell=bash]",
                                "test[lang=de,shell=dash]", "package", "report" } do
            assert.equal("completed", found[name], name)
        end
        assert.is_nil(found["test[lang=de,shell=bash]"])
        local dir = r.dir .. "/queuectl-release"
        local packed = "dist/greet-0.1.0.tar.gz"
        assert.same({ { path = packed, bytes = #t.read_file(dir .. "/" .. packed) } },
                    show(r, "package").artifacts)
        local report = t.json(t.read_file(dir .. "/REPORT.json"))
        assert.equal("skipped", report.jobs.publish)
        assert.is_false(t.exists(dir .. "/published"))
    end)

    it("publishes with its token, which is stored nowhere, and once", function()
        local r = run(FILE, { RELEASE_TOKEN = "hush-hush" }, { "-p", "target=staging", "-p",
                                                               "version=1.2" })
        assert.equal(0, r.code, r.out .. r.err)
        local sum = show(r, "package").outputs.sha256
        assert.equal(sum .. "\n",
                     t.read_file(r.dir .. "/queuectl-release/published/staging/greet-1.2"))
        local log = t.q(r.store, "logs", jobs(r).publish.id).out
        assert.equal("publishing greet-1.2 to staging as the owner of ***\n", log)
        assert.equal(1, t.run({ "grep", "-r", "hush-hush", r.dir }).code)

        local second = t.run({ t.binary, "run", FILE, "-p", "target=staging", "-p", "version=1.2" },
            { cwd = "/", timeout = 80,
              env = { QUEUECTL_STORE = r.store, TMPDIR = r.dir, RELEASE_TOKEN = "hush-hush" } })
        assert.equal(0, second.code, second.out .. second.err)
        assert.equal("skipped", jobs(r).publish.state)
    end)

    it("refuses a version that is none; what is in it does not reach the shell", function()
        local r = run(FILE, nil, { "-p", "version=1'; touch HACKED; '" })
        assert.equal(1, r.code)
        assert.same({ "dead", "skipped", "completed" },
                    { states(r).build, states(r).publish, states(r).report })
        assert.is_false(t.exists(r.dir .. "/queuectl-release/HACKED"))
        assert.matches("1 of its jobs went wrong", t.q(r.store, "logs", jobs(r).report.id).out)
    end)

    it("knows where it may go before anything runs", function()
        local r = run(FILE, nil, { "-p", "target=moon" })
        assert.equal(2, r.code)
        assert.is_false(t.exists(r.dir .. "/queuectl-release"))
    end)
end)

describe("data.lua", function()
    it("finds the sums of all its files, and adds letters to who is above the mean", function()
        local r = run(without_memory_limit "data.lua", nil, { "-p", "shards=3", "-p", "rows=500" })
        assert.equal(0, r.code, r.out .. r.err)
        local dir = r.dir .. "/queuectl-data"
        local sums, orders, cents = {}, 0, 0
        for i = 1, 3 do
            local text = t.read_file(("%s/in/%03d.csv"):format(dir, i))
            for country, n in text:gmatch("(%u+),(%d+)\n") do
                sums[country] = (sums[country] or 0) + n
                orders, cents = orders + 1, cents + n
            end
        end
        assert.equal(1500, orders)
        assert.same({ orders = orders, cents = cents, countries = sums },
                    t.json(t.read_file(dir .. "/RESULT.json")))
        local letters = 0
        for country, sum in pairs(sums) do
            local path = ("%s/letters/%s.txt"):format(dir, country)
            assert.equal(sum * 6 > cents, t.exists(path), country)
            if sum * 6 > cents then
                letters = letters + 1
                assert.equal(("Dear %s, thank you for %d cents.\n"):format(country, sum),
                             t.read_file(path))
                assert.equal("completed", states(r)["letter-" .. country])
            end
        end
        assert(letters > 0 and letters < 6)
    end)
end)

describe("nightly.lua", function()
    local FILE = without_memory_limit "nightly.lua"

    it("begins at its time, dumps, mirrors at the third try, packs, and keeps three", function()
        local r = run(FILE)
        assert.equal(0, r.code, r.out .. r.err)
        local found = jobs(r)
        assert.equal("dead", found.statistics.state)
        assert.equal(3, found.mirror.attempts)
        local run_info = t.json(t.q(r.store, "runs", "list", "--json").out)[1]
        assert.equal("ok", run_info.state)
        assert(found.lock.run_at > found.lock.created_at) -- both UTC, in one form
        assert(found.lock.started_at >= found.lock.run_at)

        local dir = r.dir .. "/queuectl-nightly"
        assert.equal(t.run({ "zcat", show(r, "dump").outputs.file }, { cwd = dir }).out,
                     t.run({ "sort", "-n", "table" }, { cwd = dir }).out)
        assert.is_true(t.exists(dir .. "/logs/day-9.log.gz"))
        assert.is_true(t.exists(dir .. "/logs/day-3.log"))
        assert.is_false(t.exists(dir .. "/LOCK"))

        for i = 1, 4 do t.write_file(("%s/dumps/2000010%d.gz"):format(dir, i), "") end
        local second = t.run({ t.binary, "run", FILE, "-p", "at=in 0s" },
            { cwd = "/", timeout = 80, env = { QUEUECTL_STORE = r.store, TMPDIR = r.dir } })
        assert.equal(0, second.code, second.out .. second.err)
        local kept = t.run({ "ls", dir .. "/dumps" }).out
        assert.equal(3, select(2, kept:gsub("\n", "")))
        assert.matches("^20000104%.gz\n", kept)
    end)

    it("starts nothing when another night has the lock, and leaves it", function()
        local dir = t.tmpdir()
        t.mkdir_p(dir .. "/queuectl-nightly/LOCK")
        assert.equal(0, t.run({ "chmod", "700", dir .. "/queuectl-nightly" }).code)
        local r = run(FILE, { TMPDIR = dir }, { "-p", "at=in 0s" })
        assert.equal(1, r.code, r.out)
        local found = states(r)
        assert.same({ "dead", "skipped", "skipped", "skipped" },
                    { found.lock, found.dump, found.statistics, found.unlock })
        assert.is_true(t.exists(dir .. "/queuectl-nightly/LOCK"))
    end)
end)

-- A folder of examples, copied, with a store of its own.
local function project(name)
    local dir = copy(HERE .. "/" .. name .. "/.")
    assert.equal(0, t.run({ "rm", "-rf", dir .. "/out" }).code) -- of somebody who has tried it
    return dir, { QUEUECTL_STORE = t.tmpdir() .. "/q.db",
                  PATH = t.build .. ":" .. os.getenv "PATH" }
end

describe("make/", function()
    local function sh(dir, env, line)
        local r = t.run(line, { cwd = dir, env = env, timeout = 80 })
        assert.equal(0, r.code, line .. "\n" .. r.out .. r.err)
        return r
    end

    it("does with jobs what make does with targets", function()
        local dir, env = project "make"
        local made, ran = t.tmpdir(), t.tmpdir()
        sh(dir, env, "make -s all install PREFIX=" .. made)
        local by_make = sh(dir, env, "ls out").out
        sh(dir, env, "make -s clean && test ! -e out")
        sh(dir, env, "queuectl run jobs.lua -p prefix=" .. ran)
        assert.equal(by_make, sh(dir, env, "ls out").out)
        for _, prefix in ipairs { made, ran } do
            assert.equal("3\n", sh(dir, env, prefix .. "/bin/words 'a b' c").out)
        end
        sh(dir, env, "queuectl run clean.lua && test ! -e out")
    end)

    it("compiles what has changed, and only asked for what is needed", function()
        local dir, env = project "make"
        sh(dir, env, "queuectl run jobs.lua --only test && test ! -e out/words.tar.gz")
        sh(dir, env, "touch -d '-1 hour' *.c *.h && touch -d '-1 minute' out/*.o && touch main.c")
        local before = sh(dir, env, "stat -c %y out/words.o").out
        local main = sh(dir, env, "stat -c %y out/main.o").out
        sh(dir, env, "queuectl run jobs.lua")
        assert.equal(before, sh(dir, env, "stat -c %y out/words.o").out)
        assert.not_equal(main, sh(dir, env, "stat -c %y out/main.o").out)
    end)

    it("ends with 1 when the compiler does", function()
        local dir, env = project "make"
        t.write_file(dir .. "/words.c", "int nonsense")
        local r = t.run("queuectl run jobs.lua", { cwd = dir, env = env })
        assert.equal(1, r.code)
        assert.matches("words.c", r.out, 1, true)
    end)

    it("has ten targets", function()
        local n = 0
        for name in t.read_file(HERE .. "/make/Makefile"):gmatch("\n([%l/.]+):[^=]") do
            n = n + 1
            assert.not_equal(".PHONY", name)
        end
        assert(n >= 10, n)
    end)
end)

describe("crontab/", function()
    -- Its commands, as cron would give them to a shell.
    local function commands(file)
        local found = {}
        for line in t.read_file(file):gmatch("[^\n]+") do
            found[#found + 1] = line:match("^@%a+ +(.*)")
                or line:match("^[%d*/]+" .. (" +[%d*]+"):rep(4) .. " +(.*)")
        end
        return found
    end

    it("has a command of queuectl for each line, and each does its work", function()
        local dir, env = project "crontab"
        env.JOBS = dir .. "/jobs.lua"
        assert.equal(5, #commands(dir .. "/crontab.before"))
        local found = commands(dir .. "/crontab")
        assert.equal(5, #found)
        for i, command in ipairs(found) do
            local r = t.run({ "sh", "-c", command }, { cwd = "/", env = env, timeout = 60 })
            assert.equal(0, r.code, command .. r.err)
            assert.equal("", r.out .. r.err)
            assert.equal(i == 5, not command:find("queuectl run", 1, true))
        end
        assert.is_true(t.exists(dir .. "/out/elsewhere/dump.gz"))
        assert.is_true(t.exists(dir .. "/out/sport"))
        local pending = t.json(t.q(env.QUEUECTL_STORE, "list", "--json", "--state", "pending").out)
        assert.equal("mkdir -p /tmp/site-cache", pending[1].command)
    end)

    it("tells cron of a failure", function()
        local dir, env = project "crontab"
        env.JOBS = dir .. "/jobs.lua"
        t.write_file(dir .. "/out", "not a folder")
        local r = t.run({ "sh", "-c", commands(dir .. "/crontab")[4] },
                        { cwd = "/", env = env, timeout = 60 })
        assert.matches("dead prepare", r.out .. r.err, 1, true)
    end)
end)

describe("dagu/", function()
    it("has the steps of the DAG as jobs, and does the same", function()
        local dir, env = project "dagu"
        local r = t.run({ t.binary, "run", "jobs.lua" }, { cwd = dir, env = env, timeout = 60 })
        assert.equal(0, r.code, r.out .. r.err)
        local found = {}
        for _, job in ipairs(t.json(t.q(env.QUEUECTL_STORE, "list", "--json").out)) do
            found[job.name] = job
        end
        local steps = 0
        for name in t.read_file(dir .. "/orders.yaml"):gmatch("\n  %- name: (%a+)") do
            steps = steps + 1
            local state = assert(found[name], name).state
            assert(state == "completed" or name == "weekly" and state == "skipped", name)
        end
        assert.equal(6, steps)
        assert.equal("100 orders of 2026-01-31\n",
                     t.q(env.QUEUECTL_STORE, "logs", found.publish.id).out)
        assert.is_true(t.exists(dir .. "/out/2026-01-31.sum"))
        assert.is_false(t.exists(dir .. "/out/lock"))
    end)
end)
