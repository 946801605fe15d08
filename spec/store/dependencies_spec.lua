local store = require "support.store"

for _, backend in ipairs(store.backends) do
describe("store/dependencies (" .. backend.name .. ")", function()
    local s
    before_each(function() s = backend.open() end)
    after_each(function() backend.close(s) end)

    local function states(list)
        local out = {}
        for i, e in ipairs(list) do out[i] = s:state(e.seq) end
        return out
    end

    -- How a parent ends: brings it there. The parent has retries = 0 and is claimed alone.
    local endings = {
        completed = function(p) s:work({}, p.seq) end,
        dead = function(p) s:work({ exit_code = 1 }, p.seq) end,
        allowed = function(p) s:work({ exit_code = 1 }, p.seq) end,
        cancelled = function(p) s:cancel(p.id) end,
        when = function(p) s:work({ cause = "when" }, p.seq) end,
        expired = function(p) s:work({ cause = "expired" }, p.seq) end,
    }

    -- [how the parent ended][condition] = state and cause of the child
    local table_of_all = {
        completed = { success = "pending", failure = "skipped not_needed", done = "pending" },
        dead = { success = "skipped dependency", failure = "pending", done = "pending" },
        allowed = { success = "pending", failure = "skipped not_needed", done = "pending" },
        cancelled = { success = "skipped dependency", failure = "pending", done = "pending" },
        skipped = { success = "skipped dependency", failure = "pending", done = "pending" },
        not_needed = { success = "skipped not_needed", failure = "skipped not_needed",
                       done = "pending" },
        when = { success = "skipped not_needed", failure = "skipped not_needed",
                 done = "pending" },
        expired = { success = "skipped dependency", failure = "pending", done = "pending" },
    }

    local function parents(ended)
        if ended == "skipped" then return { { priority = 9 }, { needs = { 1 } } } end
        if ended == "not_needed" then
            return { { priority = 9 }, { needs = { { 1, on = "failure" } } } }
        end
        return { { priority = 9, retries = 0, allow_failure = ended == "allowed" } }
    end

    local function finish_parents(ended, made)
        if ended == "skipped" then return s:cancel(made[1].id) end
        if ended == "not_needed" then return s:work({}, made[1].seq) end
        return endings[ended](made[1])
    end

    for ended, row in pairs(table_of_all) do
        for on, expected in pairs(row) do
            local function check(job, parent_seq)
                local state, cause = expected:match("^(%a+) ?(%S*)$")
                assert.equal(state, job.state)
                if cause ~= "" then
                    assert.equal(cause, job.cause)
                    assert.matches("^needs " .. s:get(parent_seq).id .. "[, ][a-z ]+$",
                                   job.error)
                    assert.is_true(job.finished_at > 0)
                    assert.is_nil(s:claim_one())
                else
                    assert.equal(job.seq, s:claim_one().seq)
                end
            end

            it(("a job that waits on %s of one that is %s"):format(on, ended), function()
                local specs = parents(ended)
                specs[#specs + 1] = { needs = { { #specs, on = on } } }
                local made = s:enqueue_all(specs)
                local child = made[#made]
                assert.same({ "waiting", 1 }, { child.state, s:get(child.seq).waits })
                finish_parents(ended, made)
                check(s:get(child.seq), made[#made - 1].seq)
            end)

            it(("one added later, on %s of one that is %s"):format(on, ended), function()
                local made = s:enqueue_all(parents(ended))
                local parent = made[#made]
                finish_parents(ended, made)
                local e = s:enqueue { needs = { { seq = parent.seq, on = on } } }
                assert.equal(expected:match("^%a+"), e.state)
                check(s:get(e.seq), parent.seq)
            end)
        end
    end

    it("waits through failed tries", function()
        local made = s:enqueue_all { { backoff = "fixed none 0 1 0", retries = 1 },
                                     { needs = { 1 } } }
        s:work({ exit_code = 1 }, made[1].seq)
        assert.same({ "failed", "waiting" }, states(made))
        s:promote(store.wall_ms() + 1)
        s:work({}, made[1].seq)
        assert.same({ "completed", "pending" }, states(made))
    end)

    it("runs a chain in its order", function()
        local specs = { {} }
        for i = 2, 100 do specs[i] = { needs = { i - 1 }, priority = i } end
        local made = s:enqueue_all(specs)
        for i = 1, 100 do
            local jobs = s:claim { max = 5 }
            assert.same({ 1, made[i].seq }, { #jobs, jobs[1].seq })
            s:finish(jobs[1])
        end
        assert.equal(100, s:counts().completed)
    end)

    it("joins a diamond once", function()
        local made = s:enqueue_all { {}, { needs = { 1 } }, { needs = { 1 } },
                                     { needs = { 2, 3 } } }
        s:work({}, made[1].seq)
        local jobs = s:claim { max = 5 }
        assert.equal(2, #jobs)
        s:finish(jobs[2])
        assert.same({}, s:claim { max = 5 })
        s:finish(jobs[1])
        s:work({}, made[4].seq)
        assert.equal(4, s:counts().completed)
    end)

    it("skips the join of a diamond once", function()
        local made = s:enqueue_all { { retries = 0 }, { needs = { 1 } }, { needs = { 1 } },
                                     { needs = { 2, 3 } } }
        s:work({ exit_code = 1 }, made[1].seq)
        assert.same({ "dead", "skipped", "skipped", "skipped" }, states(made))
    end)

    it("starts nothing of 100 x 100 early", function()
        local specs, needs = {}, {}
        for i = 1, 100 do specs[i], needs[i] = {}, i end
        for i = 101, 200 do specs[i] = { needs = needs, priority = 1 } end
        local made = s:enqueue_all(specs)
        local jobs = s:claim { max = 300 }
        assert.equal(100, #jobs)
        for i = 100, 2, -1 do s:finish(jobs[i]) end
        assert.same({}, s:claim { max = 300 })
        assert.equal(1, s:get(made[200].seq).waits)
        s:finish(jobs[1])
        assert.equal(100, #s:claim { max = 300 })
    end)

    it("takes a need named twice as one", function()
        local made = s:enqueue_all { {}, { needs = { 1, 1 } } }
        assert.equal(1, s:get(made[2].seq).waits)
        s:work({}, made[1].seq)
        assert.equal("pending", s:state(made[2].seq))
    end)

    it("may name a job further down", function()
        local made = s:enqueue_all { { needs = { 2 } }, {} }
        assert.equal(made[2].seq, s:claim_one().seq)
    end)

    it("refuses a need of a job that is not there", function()
        assert.equal(3, store.failure(s.enqueue, s, { needs = { { seq = 999 } } }).code)
        assert.equal(0, s:counts().waiting)
    end)

    it("waits for a job that was there by its id", function()
        s:enqueue { id = "base" }
        local made = s:enqueue_all { { id = "base" }, { needs = { 1 } } }
        assert.same({ true, "waiting" }, { made[1].existed, made[2].state })
        s:work({}, made[1].seq)
        assert.equal("pending", s:state(made[2].seq))
        made = s:enqueue_all { { id = "base" }, { needs = { 1 } } }
        assert.equal("pending", made[2].state)
    end)

    it("skips a chain of 1,000 at once", function()
        local specs = { { retries = 0 } }
        for i = 2, 1000 do specs[i] = { needs = { i - 1 } } end
        specs[1001] = { needs = { { 1000, on = "failure" } } }
        local made = s:enqueue_all(specs)
        s:work({ exit_code = 1 }, made[1].seq)
        assert.same({ 1, 999, 1, 0 }, { s:counts().dead, s:counts().skipped, s:counts().pending,
                                        s:counts().waiting })
        assert.equal(made[1001].seq, s:claim_one().seq)
    end)

    it("skips those that waited for a cancelled waiting job", function()
        local made = s:enqueue_all { {}, { needs = { 1 } }, { needs = { 2 } },
                                     { needs = { { 2, on = "done" } } } }
        assert.equal("cancelled", s:cancel(made[2].id))
        assert.same({ "pending", "cancelled", "skipped", "pending" }, states(made))
        s:work({}, made[1].seq)
        assert.equal("cancelled", s:state(made[2].seq))
    end)

    it("counts the delay of a job from when it may start", function()
        local made = s:enqueue_all { {}, { needs = { 1 }, delay_ms = 60000 } }
        local before = store.wall_ms()
        s:work({}, made[1].seq)
        local job = s:get(made[2].seq)
        assert.equal("pending", job.state)
        assert.is_true(job.run_at >= before + 60000)
        assert.is_nil(s:claim_one())
        s:promote(job.run_at)
        assert.equal(job.seq, s:claim_one().seq)
    end)

    it("lets a job that may start wait for its time, or its delay where that is later", function()
        local at = store.wall_ms() + 60000
        local made = s:enqueue_all { {}, { needs = { 1 }, start_at = at, delay_ms = 5 },
                                     { needs = { 1 }, start_at = at, delay_ms = 90000 },
                                     { needs = { 1 }, start_at = 5 } }
        s:work({}, made[1].seq)
        assert.equal(at, s:get(made[2].seq).run_at)
        assert.is_true(s:get(made[3].seq).run_at > at + 20000)
        assert.equal(made[4].seq, s:claim_one().seq)
        assert.is_nil(s:claim_one())
    end)

    it("does not start a job early because a parent ended twice", function()
        local made = s:enqueue_all { { retries = 0 }, { delay_ms = 60000 },
                                     { needs = { { 1, on = "done" }, { 2, on = "done" } } } }
        s:work({ exit_code = 1 }, made[1].seq)
        s:retry(made[1].id)
        s:work({}, made[1].seq)
        assert.same({ "waiting", 1 }, { s:state(made[3].seq), s:get(made[3].seq).waits })
        s:cancel(made[2].id)
        assert.equal("pending", s:state(made[3].seq))
    end)

    it("lets a released job not be skipped by another end of its parent", function()
        local made = s:enqueue_all { { retries = 0 }, { needs = { 1 } } }
        s:work({}, made[1].seq)
        s:retry(made[1].id, true)
        local job = s:claim_one()
        s:finish(job, { exit_code = 1 })
        assert.same({ "dead", "pending" }, states(made))
    end)
end)
end
