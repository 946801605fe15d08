-- The examples do what their comments say: seen on the disk and in the store.

local t = require "support"

local HERE = t.root .. "/scripts/examples"

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

describe("every example", function()
    local files = {}
    for name in require("lfs").dir("scripts/examples") do
        if name:find "%.lua$" then files[#files + 1] = name end
    end

    for _, name in ipairs(files) do
        it("can be planned and says how to run it: " .. name, function()
            local r = t.run({ t.binary, "check", HERE .. "/" .. name }, { cwd = "/" })
            assert.equal(0, r.code, r.err)
            assert.matches("\n%-%-   scripts/run scripts/examples/" .. name,
                           t.read_file("scripts/examples/" .. name))
        end)
    end

    it("is one that these specs run", function()
        table.sort(files)
        assert.same({ "backup.lua", "checks.lua", "fanout.lua", "flaky.lua" }, files)
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
        assert.equal(10103, status.jobs.completed)
        local last = r.out:match("\n([^\n]+)\n$")
        assert.equal("summary", t.json(last).event)
        assert.equal(10103, t.json(last).jobs.completed)
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
