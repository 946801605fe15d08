-- Runs that stop at their first failure.

local store = require "support.store"

for _, backend in ipairs(store.backends) do
describe("store/halt (" .. backend.name .. ")", function()
    local s, run, made
    before_each(function() s = backend.open() end)
    after_each(function() backend.close(s) end)

    local function start(specs, opts)
        s:tx(function()
            run = s:run_create("/jobs.lua", "hash", "text", opts)
            made = s:enqueue_all(specs, run)
        end)
    end

    local function states()
        local out = {}
        for i, e in ipairs(made) do
            local job = s:get(e.seq)
            out[i] = job.state .. (job.state == "skipped" and " " .. job.cause or "")
        end
        return out
    end

    local function lane() return s:run(run).detached and 0 or run end
    local function die(i) s:work({ lane = lane(), exit_code = 1 }, made[i].seq) end

    for _, whose in ipairs { "run", "job" } do
        for _, detached in ipairs { false, true } do
            local where = detached and ", detached" or ""
            it(("skips all that did not start, by the %s's fail_fast%s"):format(whose, where),
            function()
                start({ { retries = 0, name = "first", fail_fast = whose == "job" }, {},
                        { needs = { 1 } }, { needs = { 2 } }, { delay_ms = 60000 } },
                      { fail_fast = whose == "run", detached = detached })
                die(1)
                assert.same({ "dead", "skipped fail_fast", "skipped dependency",
                              "skipped fail_fast", "skipped fail_fast" }, states())
                assert.equal("not started after the failure of 'first' (fail_fast)",
                             s:get(made[2].seq).error)
                local got = s:run(run)
                assert.same({ 0, 5, true }, { got.left, got.failed, got.halted })
                assert.is_true(got.finished_at > 0)
                assert.same({ 0, true }, { s:run_left(run) })
                assert.is_false(s:has_work(lane()))
            end)
        end
    end

    it("lets those run that are there for what goes wrong", function()
        start({ { retries = 0 }, {}, { needs = { { 2, on = "done" } } },
                { needs = { { 1, on = "failure" } } }, { needs = { { 2, on = "done" }, 3 } },
                { needs = { { 1, on = "failure" }, 2 } } }, { fail_fast = true })
        die(1)
        assert.same({ "dead", "skipped fail_fast", "pending", "pending", "waiting",
                      "skipped dependency" }, states())
        s:work({ lane = run }, made[3].seq)
        s:work({ lane = run }, made[4].seq)
        s:work({ lane = run }, made[5].seq)
        assert.same({ 0, true }, { s:run_left(run) })
    end)

    it("lets what runs end as it does, but not run again", function()
        start({ { retries = 0 }, {}, {}, { retries = 3 }, {} }, { fail_fast = true })
        local jobs = s:claim { lane = run, max = 9 }
        s:finish(jobs[1], { exit_code = 1 })
        assert.same({ 4, true }, { s:run_left(run) })
        assert.same({ 1, "completed" }, { s:finish(jobs[2]) })
        assert.same({ 1, "skipped" }, { s:finish(jobs[3], { cause = "interrupted" }) })
        assert.same({ 1, "dead" }, { s:finish(jobs[4], { exit_code = 7, error = "exit 7" }) })
        assert.same({ 1, "skipped" }, { s:finish(jobs[5], { cause = "snooze" }) })
        assert.same({ "dead", "completed", "skipped fail_fast", "dead", "skipped fail_fast" },
                    states())
        assert.same({ "exit", "exit 7" }, { s:get(made[4].seq).cause, s:get(made[4].seq).error })
        assert.matches("fail_fast", s:get(made[3].seq).error)
        assert.same({ 0, 4 }, { s:run(run).left, s:run(run).failed })
    end)

    it("gives up what was to be tried again", function()
        start({ { priority = 2, retries = 9, backoff = "fixed none 60000 1 60000" },
                { retries = 0 }, { needs = { 1 } } }, { fail_fast = true })
        s:work({ lane = run, exit_code = 3, error = "exit 3" }, made[1].seq)
        assert.equal("failed", s:state(made[1].seq))
        die(2)
        assert.same({ "dead", "dead", "skipped fail_fast" }, states())
        assert.same({ "exit 3", 3 }, { s:get(made[1].seq).error, s:get(made[1].seq).exit_code })
    end)

    it("puts back what may run although the run is halted", function()
        start({ { retries = 0 }, { needs = { { 1, on = "failure" } },
                                   backoff = "fixed none 0 1 0" } }, { fail_fast = true })
        die(1)
        local job = s:claim_one { lane = run }
        assert.same({ 1, "pending" }, { s:finish(job, { cause = "interrupted" }) })
        job = s:claim_one { lane = run }
        assert.same({ 1, "failed" }, { s:finish(job, { exit_code = 1 }) })
    end)

    it("holds for the jobs of a worker that died", function()
        start({ { retries = 0 }, {} }, { fail_fast = true })
        local w = s:worker_add { lane = run }
        local jobs = s:claim { lane = run, worker = w, max = 2 }
        s:finish(jobs[1], { exit_code = 1 })
        assert.equal(1, s:recover(w))
        assert.same({ "dead", "skipped fail_fast" }, states())
        assert.equal(0, (s:run_left(run)))
    end)

    it("holds for jobs added later", function()
        start({ { retries = 0 }, {} }, { fail_fast = true })
        local jobs = s:claim { lane = run, max = 2 }
        s:finish(jobs[1], { exit_code = 1 })
        s:tx(function()
            s:finish(jobs[2])
            local own = made
            made = s:enqueue_all({ {}, { needs = { 1 } }, { needs = { { 1, on = "done" } } },
                                   { needs = { { seq = own[1].seq } } } }, run)
        end)
        assert.same({ "skipped", "skipped", "pending", "skipped" },
                    { made[1].state, made[2].state, made[3].state, made[4].state })
        assert.same({ "skipped fail_fast", "skipped fail_fast", "pending", "skipped dependency" },
                    states())
        s:work({ lane = run }, made[3].seq)
        assert.same({ 0, true }, { s:run_left(run) })
    end)

    it("is not caused by a death that is allowed, nor by a cancelled job", function()
        start({ { retries = 0, allow_failure = true }, {}, {} }, { fail_fast = true })
        die(1)
        s:cancel(made[2].id)
        assert.same({ "dead", "cancelled", "pending" }, states())
        assert.same({ 1, false }, { s:run_left(run) })
    end)

    it("is not caused where nobody asked for it, nor in another run", function()
        start { { retries = 0 }, {} }
        die(1)
        assert.same({ "dead", "pending" }, states())
        local other = run
        start({ { retries = 0 }, {} }, { fail_fast = true })
        die(1)
        assert.same({ 1, false }, { s:run_left(other) })
        s:enqueue { retries = 0, fail_fast = true }
        local free = s:enqueue()
        s:work { exit_code = 1 }
        assert.equal("pending", s:state(free.seq))
    end)

    it("ends with a retry: then the job may be tried again", function()
        start({ { retries = 1, backoff = "fixed none 0 1 0" }, {}, { needs = { 1 } },
                { needs = { 2, 3 } } }, { fail_fast = true })
        die(1)
        s:promote(store.wall_ms() + 1, run)
        die(1)
        assert.same({ "dead", "skipped fail_fast", "skipped dependency", "skipped dependency" },
                    states())
        s:retry(made[1].id)
        -- the fourth needs the second as well, which nobody asked for
        assert.same({ "pending", "skipped fail_fast", "waiting", "skipped dependency" }, states())
        assert.same({ 2, false }, { s:run_left(run) })
        assert.same({ 1, "failed" }, { s:finish(s:claim_one { lane = lane() },
                                                { exit_code = 1 }) })
    end)

    it("takes 10,000 jobs in one go", function()
        local specs = { { retries = 0, priority = 1 } }
        for i = 2, 10000 do specs[i] = { needs = i % 3 == 0 and { i - 1 } or nil } end
        start(specs, { fail_fast = true })
        local from = os.clock()
        die(1)
        assert.is_true(os.clock() - from < 1.5, tostring(os.clock() - from))
        assert.same({ 9999, 1 }, { s:counts().skipped, s:counts().dead })
    end)
end)
end
