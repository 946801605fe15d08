-- The store as Lua has it inside of the program: what goes in and comes out of the methods.
-- A jobs file is evaluated there, so it is what asks and checks.

local t = require "support"

local PRELUDE = [[
local core = require "queuectl.core"
local spec = require "queuectl.spec"
local store = assert(core.open(assert(os.getenv "ASKED"), true))
local function same(a, b)
    a, b = tostring(a), tostring(b)
    if a ~= b then error("got " .. a .. ", not " .. b, 2) end
end
local function fails(code, pattern, ...)
    local value, message, got = ...
    same(value, nil)
    same(got, code)
    if not message:find(pattern) then error("message: " .. message, 2) end
end
local function start(jobs, run)
    run = run or {}
    run.path, run.hash, run.text = run.path or "/jobs.lua", run.hash or "h", run.text or "text"
    return assert(store:start_run(run, spec.pack_all(jobs)))
end
]]

describe("store/lua", function()
    local dir
    before_each(function() dir = t.tmpdir() end)

    local function inside(text)
        t.write_file(dir .. "/jobs.lua", PRELUDE .. text ..
                     '\nstore:close()\njob "x" { run = "true" }\n')
        local r = t.run({ t.binary, "--store", dir .. "/own.db", "run", "jobs.lua" },
                        { cwd = dir, env = { ASKED = dir .. "/asked.db" } })
        assert.equal(0, r.code, r.out .. r.err)
    end

    it("gives a job's newer settings back", function()
        inside [[
            local run, done = start { { name = "a", kind = "shell", command = "true", when = true,
                fail_fast = true, start_at = 9000000000500, max_age_ms = 1500,
                artifacts = { "*.log", "out dir" }, limits = { memory = 2^31, nice = 10 },
                env = { { name = "S", secret = "env:HOME" } } }, { name = "b", command = "true" } }
            local got = assert(store:get(done[1].id))
            same(got.when, true)
            same(got.fail_fast, true)
            same(got.start_at, 9000000000.5)
            same(got.run_at, 9000000000.5)
            same(got.max_age, 1.5)
            same(table.concat(got.artifacts, ","), "*.log,out dir")
            same(got.limits, "2147483648 0 0 10")
            same(got.source, "h")
            same(table.concat(got.env, ","), "S=<secret env:HOME>")
            local plain = assert(store:get(done[2].id))
            same(plain.when, false)
            same(plain.start_at, nil)
            same(plain.artifacts, nil)
            same(plain.limits, nil)
            same(plain.max_age, nil)]]
    end)

    it("starts runs and says how they stand", function()
        inside [[
            local id = start({ { command = "true" } }, { fail_fast = true, info = "{}" })
            local run = assert(store:run(id))
            same(run.state, "interrupted") -- nobody works it
            same(run.fail_fast, true)
            same(run.detached, false)
            same(run.info, "{}")
            same(run.jobs, 1)
            same(run.added, 0)
            same(run.halted, false)
            local other = start({ { command = "true" }, { command = "true" } },
                                { detached = true, path = "/other.lua" })
            same(store:run(other).state, "queued")
            same(store:run("/other.lua").id, other)
            same(start({}), 3)
            same(store:run(3).state, "ok")
            local n, running = store:cancel_run(other)
            same(n, 2)
            same(running, 0)
            same(store:run(other).state, "cancelled")
            same(store:run(other).cancelled, true)
            same(store:resume_run(other, true), 2)
            same(store:run(other).state, "queued")
            local _, done = start { { command = "true" } }
            same(store:cancel(done[1].id), "cancelled")
            same(store:run(4).state, "failed")
            same(store:run(99), nil)]]
    end)

    it("lists runs in pages", function()
        inside [[
            for i = 1, 5 do start({ { command = "true" } }, { path = i == 2 and "/b" or "/a" }) end
            local seen, page, after = {}, nil, nil
            repeat
                page, after = store:runs { limit = 2, after = after }
                for _, run in ipairs(page) do seen[#seen + 1] = run.id .. run.state:sub(1, 1) end
            until not after
            same(table.concat(seen, " "), "5i 4i 3i 2i 1i")
            same(store:runs({ path = "/b" })[1].id, 2)
            same(#store:runs { path = "/b" }, 1)]]
    end)

    it("moves runs, and refuses those that are not there", function()
        inside [[
            local id = start { { command = "true" } }
            same(store:resume_run(id, true), 0)
            same(store:run(id).detached, true)
            same(store:resume_run(id, false), 0)
            same(store:run(id).state, "interrupted")
            fails(3, "no run 9", store:resume_run(9, true))
            fails(3, "no run 9", store:cancel_run(9))]]
    end)

    it("puts a run in the place of another, or does nothing", function()
        inside [[
            local id, done = start { { command = "true" }, { command = "true" } }
            local new = { path = "/jobs.lua", hash = "h", text = "t", replaces = id }
            local bad = spec.pack_all { { command = "true", done_as = done[1].seq } }
            fails(4, "job number 1 is", store:start_run(new, bad))
            same(store:run(id).state, "interrupted")
            same(store:run(2), nil)
            same(store:start_run(new, spec.pack_all { { command = "true" } }), 2)
            same(store:run(id).state, "cancelled")
            same(store:run(2).state, "interrupted")
            new.replaces = 9
            fails(3, "no run 9", store:start_run(new, bad))]]
    end)

    it("retries a job with new settings in one step", function()
        inside [[
            local _, done = start { { name = "a", command = "true" } }
            local new = spec.pack { name = "a", command = "false", source = "h2" }
            fails(4, "is pending", store:retry(done[1].id, false, new, "text two"))
            same(store:get(done[1].id).command, "true")
            same(store:source "h2", nil)
            store:cancel(done[1].id)
            same(store:retry(done[1].id, false, new, "text two"), "cancelled")
            same(store:get(done[1].id).command, "false")
            same(store:get(done[1].id).state, "pending")
            same(store:source "h2", "text two")]]
    end)

    it("gives a job new settings and its program", function()
        inside [[
            local _, done = start { { name = "a", command = "true" } }
            local new = spec.pack { name = "a", command = "false", source = "h2" }
            same(store:redefine(done[1].id, new, "text two"), true)
            same(store:get(done[1].id).command, "false")
            same(store:get(done[1].id).source, "h2")
            same(store:source "h2", "text two")
            same(store:source "h", "text")
            same(store:source "none", nil)
            fails(3, "no job 'none'", store:redefine("none", new))
            same(pcall(store.redefine, store, done[1].id, { command = "x" }, "text"), false)
            local later = spec.pack { kind = "argv", argv = { "a", { seq = 7, key = "k" } } }
            same(later.command, "=a\0@7:k\0")
            same(spec.pack({ kind = "argv", argv = { { job = 3, key = "k" } } }).command,
                 "@2:k\0")]]
    end)

    it("has the files and times of jobs that ran", function()
        t.q(dir .. "/asked.db", "init")
        local id = t.json(t.q(dir .. "/asked.db", "enqueue", "true", "--json").out).id
        t.sql(dir .. "/asked.db", "INSERT INTO artifact VALUES (1, 'b c', 5), (1, 'a', 1 << 40)")
        inside(([[
            same(assert(store:get("%s")).seq, 1)
            local files = store:artifacts(1)
            same(#files, 2)
            same(files[1].path, "a")
            same(files[1].size, 2^40)
            same(files[2].path, "b c")
            same(#store:artifacts(2), 0)
            same(next(store:run_times(1)), nil)]]):format(id))
        t.write_file(dir .. "/jobs.lua", 'job "a=b" { run = "true" }')
        assert.equal(0, t.q(dir .. "/asked.db", "run", "jobs.lua", { cwd = dir }).code)
        inside [[
            local seconds = store:run_times(1)["a=b"]
            same(seconds >= 0 and seconds < 60, true)
            same(store:run(1).state, "ok")]]
    end)

    it("takes cursors only as it gave them", function()
        inside [[
            for i = 1, 5 do assert(store:enqueue(spec.pack_all { { command = "true" } })) end
            for _, state in ipairs { "pending", "none" } do
                local query, seen = { state = state ~= "none" and state or nil, limit = 2 }, {}
                repeat
                    local page, after = store:list(query)
                    for _, job in ipairs(page) do seen[#seen + 1] = job.seq end
                    query.after = after
                until not after
                same(table.concat(seen, " "), state == "none" and "5 4 3 2 1" or "1 2 3 4 5")
            end
            for _, bad in ipairs { "", "1", "1:2:3", "1:2:3:4:5", "1:2:3:x", "a:b:c:d" } do
                local ok, message = pcall(store.list, store, { after = bad })
                same(ok, false)
                same(message:find("is no cursor", 1, true) ~= nil, true)
            end]]
    end)

    it("lets a job take over a result only where there is one", function()
        inside [[
            local _, done = start { { command = "true" } }
            local again = spec.pack_all { { command = "true", done_as = done[1].seq } }
            fails(4, "job number 1 is pending",
                  store:start_run({ path = "/a", hash = "h", text = "t" }, again))]]
    end)
end)
