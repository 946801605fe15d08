-- A worker whose run is halted: what the guardian holds for later does not start any more.

local t = require "support"

-- Enough short jobs to have the worker take some ahead; then one that dies, and more behind it.
local JOBS = [[
local core, spec = require "queuectl.core", require "queuectl.spec"
local store, jobs = assert(core.open(assert(os.getenv "ASKED"), true)), {}
for i = 1, 150 do jobs[i] = { name = "short-" .. i, command = "true", priority = 2 } end
jobs[151] = { name = "bad", command = "exit 3", priority = 1, retries = 0 }
for i = 1, 30 do
    jobs[151 + i] = { name = "rest-" .. i, command = "echo x >>witness; sleep 0.05",
                      cwd = assert(os.getenv "DIR") }
end
jobs[182] = { name = "clean", command = "echo clean >>witness", cwd = os.getenv "DIR",
              needs = { { job = 182 - 1, on = "done" } } }
assert(store:start_run({ path = "/jobs.lua", hash = "h", text = "t", fail_fast = true,
                         detached = true }, spec.pack_all(jobs)))
store:close()
job "x" { run = "true" }
]]

describe("a worker of a run with fail_fast", function()
    it("starts nothing more after a death but what is there for it", function()
        local dir = t.tmpdir()
        local store = dir .. "/asked.db"
        t.write_file(dir .. "/jobs.lua", JOBS)
        local r = t.run({ t.binary, "--store", dir .. "/own.db", "run", "jobs.lua" },
                        { cwd = dir, env = { ASKED = store, DIR = dir } })
        assert.equal(0, r.code, r.out .. r.err)
        r = t.q(store, "worker", "start", "--count", "1", "--until-empty")
        assert.equal(0, r.code, r.err)
        local counts = {}
        local sql = "SELECT state, cause, count(*) FROM job GROUP BY 1, 2"
        for _, row in ipairs(t.sql(store, sql)) do
            counts[row[1] .. " " .. row[2]] = tonumber(row[3])
        end
        local skipped = counts["7 14"]
        assert.same({ 1, 181 }, { counts["5 1"], counts["3 1"] + skipped })
        assert.is_true(skipped >= 24, skipped .. " skipped")
        local lines = t.read_file(dir .. "/witness")
        assert.is_truthy(lines:find("clean", 1, true))
        assert.equal(31 - skipped, select(2, lines:gsub("\n", "")))
    end)
end)
