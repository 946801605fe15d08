-- Another chance: what a retry of one job and the revival of a run bring back.

local store = require "support.store"

for _, backend in ipairs(store.backends) do
describe("store/revive (" .. backend.name .. ")", function()
    local s, run, made
    before_each(function() s = backend.open() end)
    after_each(function() backend.close(s) end)

    local function start(specs, opts)
        s:tx(function()
            run = s:run_create("/jobs.lua", "hash", "text", opts)
            made = s:enqueue_all(specs, run)
        end)
    end

    local function states(list)
        local out = {}
        for i, e in ipairs(list or made) do out[i] = s:state(e.seq) end
        return out
    end

    local function lane() return s:run(run).detached and 0 or run end
    local function work(i, code) s:work({ lane = lane(), exit_code = code }, made[i].seq) end

    local function ages()
        local list = {}
        for i, e in ipairs(made) do
            local job = s:get(e.seq)
            list[i] = job.retried_at >= job.created_at
            assert.is_true(job.retried_at == 0 or list[i])
        end
        return list
    end

    it("begins the age of what is put back anew, and of nothing else", function()
        start { { retries = 0 }, { needs = { 1 } }, {}, { retries = 0, needs = { 3 } } }
        work(1, 1)
        work(3)
        assert.same({ false, false, false, false }, ages())
        s:retry(made[1].id)
        assert.same({ true, true, false, false }, ages())
        s:revive(run)
        assert.same({ true, true, false, true }, ages())
    end)

    it("begins the age of a job with new settings anew", function()
        made = s:enqueue_all { {}, {} }
        s:redefine(made[1].id, { max_age_ms = 60000 })
        assert.same({ true, false }, ages())
    end)

    describe("retry", function()
        it("lets those wait again that were skipped because of the job", function()
            made = s:enqueue_all { { retries = 0 }, { needs = { 1 } }, { needs = { 2 } },
                                   { needs = { { 3, on = "done" } } } }
            s:work({ exit_code = 1 }, made[1].seq)
            assert.same({ "dead", "skipped", "skipped", "pending" }, states())
            s:work({}, made[4].seq)
            s:retry(made[1].id)
            assert.same({ "pending", "waiting", "waiting", "completed" }, states())
            local job = s:get(made[2].seq)
            assert.same({ 1, 0, "none" }, { job.waits, job.finished_at, job.cause })
            assert.is_nil(job.error)
            for i = 1, 3 do s:work({}, made[i].seq) end
            assert.same({ "completed", "completed", "completed", "completed" }, states())
        end)

        it("skips them once more when the job fails again", function()
            made = s:enqueue_all { { retries = 0 }, { needs = { 1 } }, { needs = { 2 } } }
            for _ = 1, 3 do
                s:work({ exit_code = 1 }, made[1].seq)
                assert.same({ "dead", "skipped", "skipped" }, states())
                s:retry(made[1].id)
                assert.same({ "pending", "waiting", "waiting" }, states())
            end
        end)

        it("leaves skipped what another failure keeps from running", function()
            made = s:enqueue_all { { retries = 0 }, { retries = 0 }, { needs = { 1, 2 } },
                                   { needs = { 3 } }, { needs = { 1 } } }
            s:work({ exit_code = 1 }, made[1].seq)
            s:work({ exit_code = 1 }, made[2].seq)
            s:retry(made[1].id)
            assert.same({ "pending", "dead", "skipped", "skipped", "waiting" }, states())
            assert.matches("^needs " .. made[2].id, s:get(made[3].seq).error)
            s:retry(made[2].id)
            assert.same({ "pending", "pending", "waiting", "waiting", "waiting" }, states())
            assert.equal(2, s:get(made[3].seq).waits)
        end)

        it("does not wait for what has ended well already", function()
            made = s:enqueue_all { {}, { retries = 0 }, { needs = { 1, 2 } } }
            s:work({}, made[1].seq)
            s:work({ exit_code = 1 }, made[2].seq)
            s:retry(made[2].id)
            assert.same({ "waiting", 1 }, { s:state(made[3].seq), s:get(made[3].seq).waits })
            s:work({}, made[2].seq)
            s:work({}, made[3].seq)
        end)

        it("does not bring back what was not needed", function()
            made = s:enqueue_all { {}, { needs = { { 1, on = "failure" } } }, { needs = { 2 } } }
            s:work({}, made[1].seq)
            assert.same({ "completed", "skipped", "skipped" }, states())
            s:retry(made[1].id, true)
            assert.same({ "pending", "skipped", "skipped" }, states())
        end)

        it("of a cancelled job waits for what has not ended", function()
            made = s:enqueue_all { {}, { needs = { 1 } }, { needs = { 2 } } }
            s:cancel(made[2].id)
            assert.same({ "pending", "cancelled", "skipped" }, states())
            assert.equal("cancelled", s:retry(made[2].id))
            assert.same({ "pending", "waiting", "waiting" }, states())
            for i = 1, 3 do s:work({}, made[i].seq) end
        end)

        it("of a cancelled job starts it where everything has ended", function()
            made = s:enqueue_all { {}, { needs = { 1 } } }
            s:cancel(made[2].id)
            s:work({}, made[1].seq)
            s:retry(made[2].id)
            s:work({}, made[2].seq)
        end)

        it("counts those it brings back in the run", function()
            start { { retries = 0 }, { needs = { 1 } }, { needs = { 2 } } }
            work(1, 1)
            assert.same({ 0, 3 }, { s:run(run).left, s:run(run).failed })
            s:retry(made[1].id)
            local got = s:run(run)
            assert.same({ 3, 0, 0 }, { got.left, got.failed, got.finished_at })
            for i = 1, 3 do work(i) end
            assert.same({ 0, 0 }, { s:run(run).left, s:run(run).failed })
            assert.is_true(s:run(run).finished_at > 0)
        end)

        it("of a run that is over is for everybody, with all it brings back", function()
            start { { retries = 0 }, { needs = { 1 } } }
            work(1, 1)
            s:retry(made[1].id)
            assert.is_true(s:run(run).detached)
            s:work({}, made[1].seq)
            s:work({}, made[2].seq)
            assert.equal(0, (s:run_left(run)))
        end)

        it("of a run that was interrupted waits for it to go on", function()
            start { { retries = 0 }, {} }
            work(1, 1)
            s:retry(made[1].id)
            assert.is_false(s:run(run).detached)
            assert.is_nil(s:claim_one())
            work(1)
            work(2)
        end)

        it("keeps the time before which a job must not start", function()
            local at = store.wall_ms() + 50000
            local e = s:enqueue { start_at = at }
            s:cancel(e.id)
            s:retry(e.id)
            assert.equal(at, s:get(e.seq).run_at)
            assert.is_nil(s:claim_one())
        end)
    end)

    describe("revive", function()
        it("gives all that went wrong another chance, and leaves the rest", function()
            start { { retries = 0 }, {}, { needs = { 1 } }, {}, { needs = { 4 } },
                    { retries = 0, allow_failure = true }, { needs = { { 2, on = "failure" } } },
                    { needs = { 3, 5 } } }
            local jobs = s:claim { lane = run, max = 9 }
            s:cancel(made[4].id)
            s:finish(jobs[1], { exit_code = 1 })
            s:finish(jobs[2])
            s:finish(jobs[3], { cause = "cancelled" })
            s:finish(jobs[4], { exit_code = 1 })
            assert.same({ "dead", "completed", "skipped", "cancelled", "skipped", "dead", "skipped",
                          "skipped" }, states())
            assert.same({ 0, 5 }, { s:run(run).left, s:run(run).failed })
            assert.equal(5, s:revive(run))
            assert.same({ "pending", "completed", "waiting", "pending", "waiting", "dead",
                          "skipped", "waiting" }, states())
            local got = s:run(run)
            assert.same({ 5, 0, 0 }, { got.left, got.failed, got.finished_at })
            local job = s:get(made[1].seq)
            assert.same({ 0, 1, -1 }, { job.tries, job.starts, job.exit_code })
            assert.equal(1, #s:attempts(made[1].seq))
            for _, i in ipairs { 1, 3, 4, 5, 8 } do work(i) end
            assert.same({ 0, 0 }, { s:run(run).left, s:run(run).failed })
        end)

        it("knows no such run, and finds nothing in a good one", function()
            assert.is_nil(s:revive(7))
            start { {}, {} }
            work(1)
            assert.equal(0, s:revive(run))
            assert.same({ "completed", "pending" }, states())
        end)

        it("lets a cancelled job wait again for what it needs", function()
            start { {}, { needs = { 1 } }, { needs = { 2 }, delay_ms = 60000 } }
            s:cancel_run(run)
            assert.same({ "cancelled", "cancelled", "cancelled" }, states())
            assert.equal(3, s:revive(run))
            assert.same({ "pending", "waiting", "waiting" }, states())
            work(1)
            work(2)
            local job = s:get(made[3].seq) -- its delay counts from here
            assert.is_true(job.run_at > store.wall_ms() + 50000)
        end)

        it("ends the halt of a run", function()
            start({ { retries = 0 }, {}, { needs = { 2 } } }, { fail_fast = true })
            work(1, 1)
            assert.same({ 0, true }, { s:run_left(run) })
            assert.equal(3, s:revive(run))
            assert.same({ 3, false }, { s:run_left(run) })
            assert.same({ "pending", "pending", "waiting" }, states())
            for i = 1, 3 do work(i) end
        end)

        it("brings added jobs back, too", function()
            start { { retries = 0 } }
            local job = s:claim_one { lane = run }
            local added
            s:tx(function()
                s:finish(job)
                added = s:enqueue_all({ { retries = 0 }, { needs = { 1 } } }, run)
            end)
            s:work({ lane = run, exit_code = 1 }, added[1].seq)
            assert.same({ "dead", "skipped" }, states(added))
            assert.equal(2, s:revive(run))
            assert.same({ "pending", "waiting" }, states(added))
        end)

        it("lets jobs of a detached run stand in the common lane", function()
            start({ { retries = 0 }, { needs = { 1 } } }, { detached = true })
            work(1, 1)
            s:revive(run)
            s:work({}, made[1].seq)
            s:work({}, made[2].seq)
        end)

        it("takes 10,000 jobs in one go", function()
            local specs = { { retries = 0 } }
            for i = 2, 10000 do
                specs[i] = { needs = i % 2 == 0 and { 1 } or { i - 1, math.floor(i / 2) } }
            end
            start(specs)
            work(1, 1)
            assert.equal(9999, s:counts().skipped)
            local from = os.clock()
            assert.equal(10000, s:revive(run))
            assert.is_true(os.clock() - from < 1.5, tostring(os.clock() - from))
            assert.same({ 9999, 1 }, { s:counts().waiting, s:counts().pending })
        end)
    end)
end)
end
