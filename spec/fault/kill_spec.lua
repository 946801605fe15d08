-- SIGKILL at random moments: nothing that was acknowledged is lost, nothing runs twice at once, and
-- the next start takes over within 5 s. KILLS=n kills per kind, SEED=n replays.

local t = require "support"
local Harness = require "fault.harness"

local function loaded()
    local h = Harness.new()
    h:enqueue(60)
    h:start_loop()
    return h
end

-- Work for a few more kills, so that each meets jobs that run.
local function keep_busy(h, number)
    if number % 3 == 0 then h:enqueue(30) end
end

describe("kill -9", function()
    it("of a worker", function()
        local h = loaded()
        for number = 1, Harness.kills do
            local worker = h:start_worker()
            local entry = h:entry(worker:pid())
            keep_busy(h, number)
            h:moment()
            worker:kill("KILL")
            local _, signal = worker:wait(5)
            assert.equal(9, signal)
            local next_worker = h:start_worker()
            h:assert_recovered(entry)
            h:check()
            next_worker:kill("QUIT")
            assert.equal(0, (next_worker:wait(15)))
        end
        assert.equal("", h:finish())
    end)

    it("of a guardian", function()
        local h = loaded()
        local worker = h:start_worker()
        for number = 1, Harness.kills do
            local guardian = t.eventually(function() return Harness.guardian(worker:pid()) end)
            keep_busy(h, number)
            h:moment()
            t.kill(guardian, "KILL")
            t.eventually(function()
                local now = Harness.guardian(worker:pid())
                return now and now ~= guardian and not t.pid_alive(guardian)
            end, 5, "another guardian")
            h:progress(2, 5)
            h:check()
        end
        assert.is_true(worker:running())
        worker:kill("TERM")
        assert.equal(0, (worker:wait(15)))
        assert.equal("", h:finish())
    end)

    it("of a worker and its guardian together", function()
        local h = loaded()
        for number = 1, Harness.kills do
            local worker = h:start_worker()
            local entry = h:entry(worker:pid())
            local guardian = Harness.guardian(worker:pid())
            keep_busy(h, number)
            h:moment()
            local both = { worker:pid(), guardian }
            if h.random(2) == 1 then both = { guardian, worker:pid() } end
            for _, pid in ipairs(both) do t.kill(pid, "KILL") end
            worker:wait(5)
            local next_worker = h:start_worker()
            h:assert_recovered(entry)
            h:check()
            next_worker:kill("QUIT")
            assert.equal(0, (next_worker:wait(15)))
        end
        assert.equal("", h:finish())
    end)

    it("of one of two workers, the other takes over", function()
        local h = loaded()
        local other = h:start_worker()
        for number = 1, Harness.kills do
            local worker = h:start_worker()
            local entry = h:entry(worker:pid())
            keep_busy(h, number)
            h:moment()
            worker:kill("KILL")
            worker:wait(5)
            h:assert_recovered(entry)
            h:check()
        end
        other:kill("TERM")
        assert.equal(0, (other:wait(15)))
        assert.equal("", h:finish())
    end)
end)

describe("kill -9 of a run's", function()
    local function start_run(h, file, ...)
        return t.spawn({ t.binary, "--store", h.store, "run", file, "-j", "4", ... },
                       { cwd = h.dir })
    end

    -- As soon as the run can be gone on with, which must be within 5 s. nil: it is finished.
    local function resume(h, file)
        local before = t.now()
        while true do
            local run = start_run(h, file, "--resume")
            t.eventually(function() return run:err():find("^run %d+:") or not run:running() end, 20)
            if run:running() or run.code <= 1 then return run end
            if run.code == 3 then return nil end
            assert(run.code == 4, run:describe())
            assert(t.now() - before < 5, "not to be resumed within 5 s: " .. run:err())
        end
    end

    local function kill_often(h, kill)
        local file = h:jobs_file("jobs.lua", 40 * math.ceil(Harness.kills / 4))
        local run = start_run(h, file)
        for _ = 1, Harness.kills do
            t.eventually(function() return run:err():find("^run %d+:") end, 10)
            pcall(h.moment, h)
            run = kill(h, run, file) or start_run(h, file)
            h:check()
        end
        run:wait(60)
        assert.equal(h:all_completed() and 0 or 1, run.code, run:err())
        h:check(true)
    end

    it("front end", function()
        kill_often(Harness.new(), function(h, run, file)
            run:kill("KILL")
            run:wait(5)
            return resume(h, file)
        end)
    end)

    it("worker, which is replaced", function()
        kill_often(Harness.new(), function(h, run, file)
            local worker = Harness.guardian(run:pid())
            if worker then t.kill(worker, "KILL") end
            h:progress(1, 5)
            return run:running() and run or resume(h, file)
        end)
    end)

    it("front end and worker together", function()
        kill_often(Harness.new(), function(h, run, file)
            local worker = Harness.guardian(run:pid())
            run:kill("KILL")
            if worker then t.kill(worker, "KILL") end
            run:wait(5)
            return resume(h, file)
        end)
    end)
end)

describe("kill -9 of enqueue", function()
    it("stores the job or not; the same id again adds it once", function()
        local h = Harness.new()
        for number = 1, Harness.kills * 2 do
            local id = "job-" .. number
            local argv = { t.binary, "--store", h.store, "enqueue", "--cwd", h.dir, "--id", id,
                           "./witness 0" }
            local first = t.spawn(argv)
            local at = t.now() + h.random() * 0.02
            t.eventually(function() return t.now() >= at end)
            first:kill("KILL")
            first:wait(5)
            if first.code == 0 then assert.equal(id .. "\n", first:out()) end
            assert.equal(0, t.run({ unpack(argv) }).code)
            h.acked[number] = id
        end
        assert.equal(tostring(Harness.kills * 2), t.sql(h.store, "SELECT count(*) FROM job")[1][1])
        assert.equal("", h:finish())
    end)
end)
