local store = require "support.store"

for _, backend in ipairs(store.backends) do
describe("store/transitions (" .. backend.name .. ")", function()
    local s, worker
    before_each(function()
        s = backend.open()
        worker = s:worker_add { name = "anna" }
    end)
    after_each(function() backend.close(s) end)

    local function claim() return s:claim_one { worker = worker } end

    -- Everything there is to see of a job, to compare before and after.
    local function all_of(seq)
        local job = s:get(seq)
        job.c = nil
        return { job, s:attempts(seq), s:counts() }
    end

    -- A job in each state: how to bring a fresh one there.
    local states = {
        waiting = function()
            return s:enqueue_all({ { delay_ms = 1000 }, { needs = { 1 } } })[2]
        end,
        pending = function() return s:enqueue() end,
        future = function() return s:enqueue { delay_ms = 60000 } end,
        processing = function()
            local e = s:enqueue { priority = 9 }
            claim()
            return e
        end,
        failed = function()
            local e = s:enqueue { priority = 9 }
            s:work({ exit_code = 1, worker = worker }, e.seq)
            return e
        end,
        dead = function()
            local e = s:enqueue { priority = 9, retries = 0 }
            s:work({ exit_code = 1, worker = worker }, e.seq)
            return e
        end,
        completed = function()
            local e = s:enqueue { priority = 9 }
            s:work({ worker = worker }, e.seq)
            return e
        end,
        cancelled = function()
            local e = s:enqueue()
            s:cancel(e.id)
            return e
        end,
        skipped = function()
            local pair = s:enqueue_all { {}, { needs = { 1 } } }
            s:cancel(pair[1].id)
            return pair[2]
        end,
    }

    it("reaches every state it is to be tested in", function()
        for name, make in pairs(states) do
            assert.equal(name == "future" and "pending" or name, s:state(make().seq))
        end
    end)

    describe("finish", function()
        it("records the attempt and the end", function()
            local e = s:enqueue()
            local job = claim()
            assert.same({ "processing", 1, 1, worker },
                        { job.state, job.tries, job.starts, job.worker })
            local before = store.wall_ms()
            assert.equal(1, s:finish(job, {
                exit_code = 0, started_at = 100, finished_at = 350, duration_ms = 251, cpu_ms = 40,
                max_rss_kb = 5000, output_total = 77, incomplete = true }))
            assert.same({ {
                token = 1, try_no = 1, worker_name = "anna", cause = "exit", exit_code = 0,
                signal = -1, started_at = 100, finished_at = 350, duration_ms = 251, cpu_ms = 40,
                max_rss_kb = 5000, output_total = 77, incomplete = true } }, s:attempts(e.seq))
            local got = s:get(e.seq)
            assert.same({ "completed", "exit", 0, -1, 1, 0 },
                        { got.state, got.cause, got.exit_code, got.signal, got.tries, got.worker })
            assert.is_nil(got.error)
            assert.is_true(got.finished_at >= before)
        end)

        it("keeps why it failed, and forgets it at the next start", function()
            local e = s:enqueue { backoff = "fixed none 0 1 1000" }
            s:finish(claim(), { cause = "signal", signal = 9, exit_code = -1, error = "killed" })
            local job = s:get(e.seq)
            assert.same({ "failed", "signal", -1, 9, "killed" },
                        { job.state, job.cause, job.exit_code, job.signal, job.error })
            s:promote(store.wall_ms() + 1)
            assert.is_nil(claim().error)
            assert.is_nil(s:get(e.seq).error)
            assert.equal("killed", s:attempts(e.seq)[1].error)
        end)

        it("does nothing the second time", function()
            s:enqueue()
            local job = claim()
            assert.equal(1, s:finish(job))
            local before = all_of(job.seq)
            for _, opts in ipairs { {}, { exit_code = 1 }, { state = "dead" } } do
                assert.equal(0, s:finish(job, opts))
            end
            assert.same(before, all_of(job.seq))
        end)

        it("does nothing with the token of an earlier start", function()
            s:enqueue()
            local old = claim()
            s:finish(old, { cause = "interrupted" })
            local new = claim()
            assert.equal(old.seq, new.seq)
            local before = all_of(new.seq)
            assert.equal(0, s:finish(old, { state = "completed" }))
            assert.equal(0, s:finish(old, { state = "failed" }))
            assert.same(before, all_of(new.seq))
            assert.equal(1, s:finish(new))
        end)

        it("does nothing for the job of another worker", function()
            s:enqueue()
            local job = claim()
            local before = all_of(job.seq)
            job.c.worker = worker + 1
            assert.equal(0, s:finish(job))
            job.c.worker, job.c.starts = worker, 2
            assert.equal(0, s:finish(job))
            assert.same(before, all_of(job.seq))
        end)

        it("does nothing once the worker was given up", function()
            s:enqueue()
            local job = claim()
            s:recover(worker)
            local before = all_of(job.seq)
            assert.equal(0, s:finish(job))
            assert.same(before, all_of(job.seq))
        end)

        it("takes the job's own word for not being run", function()
            for cause, state in pairs { when = "skipped", cancelled = "cancelled" } do
                local e = s:enqueue()
                local job = claim()
                assert.equal(1, s:finish(job, { cause = cause, exit_code = -1, error = "why" }))
                local got = s:get(e.seq)
                assert.same({ state, cause, "why", 0 },
                            { got.state, got.cause, got.error, got.worker })
                assert.is_true(got.finished_at > 0)
                assert.equal(cause, s:attempts(e.seq)[1].cause)
                assert.is_nil(claim())
            end
        end)

        it("refuses a change of state that is none", function()
            s:enqueue()
            local job = claim()
            local before = all_of(job.seq)
            for _, state in ipairs { "waiting", "held", "processing" } do
                assert.equal(4, store.failure(s.finish, s, job, { state = state }).code)
            end
            assert.same(before, all_of(job.seq))
        end)
    end)

    it("counts tries and starts, and never loses an attempt", function()
        local e = s:enqueue { retries = 5, backoff = "fixed none 0 1 1000" }
        local plan = { { cause = "interrupted" }, { exit_code = 1 }, { cause = "snooze" },
                       { exit_code = 2 }, { cause = "interrupted" }, { exit_code = 3 }, {} }
        local tries, seen = 0, {}
        for i, opts in ipairs(plan) do
            s:promote(store.wall_ms() + 1)
            local job = claim()
            assert.same({ e.seq, i, tries + 1 }, { job.seq, job.starts, job.tries })
            s:finish(job, opts)
            local kept = opts.cause ~= nil
            if not kept then tries = tries + 1 end
            seen[i] = { i, job.tries }
            assert.equal(tries, s:get(e.seq).tries)
        end
        local got = {}
        for i, a in ipairs(s:attempts(e.seq)) do got[i] = { a.token, a.try_no } end
        assert.same(seen, got)
        assert.equal("completed", s:state(e.seq))
    end)

    it("gives a job handed back its place in the line again", function()
        local first, second = s:enqueue(), s:enqueue()
        s:finish(claim(), { cause = "interrupted" })
        assert.same({ "pending", 0, 1 }, { s:state(first.seq), s:get(first.seq).tries,
                                           s:get(first.seq).starts })
        assert.equal(first.seq, claim().seq)
        assert.equal(second.seq, claim().seq)
    end)

    it("does not run a snoozed job before its time, and takes no try for it", function()
        local e = s:enqueue { retries = 0 }
        local before = store.wall_ms()
        s:finish(claim(), { cause = "snooze", snooze_ms = 5000 })
        local job = s:get(e.seq)
        assert.same({ "pending", 0 }, { job.state, job.tries })
        assert.is_true(job.run_at >= before + 5000)
        assert.is_nil(claim())
        assert.equal(job.run_at, s:promote(job.run_at - 1))
        assert.is_nil(claim())
        s:promote(job.run_at)
        assert.equal(e.seq, claim().seq)
    end)

    it("tries again after the backoff until the tries are used up", function()
        local e = s:enqueue { retries = 3, backoff = "exponential none 1000 3 5000" }
        for i, wait in ipairs { 1000, 3000, 5000 } do
            local before = store.wall_ms()
            s:finish(claim(), { exit_code = i })
            local job = s:get(e.seq)
            assert.same({ "failed", i, i }, { job.state, job.tries, job.exit_code })
            assert.is_true(job.run_at >= before + wait and job.run_at < before + wait + 5000)
            assert.equal(wait, job.delay_ms)
            assert.equal(job.run_at, s:promote(job.run_at - 1))
            assert.is_nil(claim())
            s:promote(job.run_at)
        end
        s:finish(claim(), { exit_code = 9 })
        assert.same({ "dead", 4 }, { s:state(e.seq), s:get(e.seq).tries })
        assert.equal(0, s:promote(store.wall_ms() + 1e9))
        assert.is_nil(claim())
    end)

    describe("cancel", function()
        local after = { waiting = "cancelled", pending = "cancelled", future = "cancelled",
                        failed = "cancelled", cancelled = "cancelled", processing = "processing" }
        for name, make in pairs(states) do
            it("of a " .. name .. " job", function()
                local e = make()
                if after[name] then
                    assert.equal(after[name], s:cancel(e.id))
                    assert.equal(after[name], s:state(e.seq))
                    assert.equal(name == "processing", s:get(e.seq).cancel)
                else
                    local before = all_of(e.seq)
                    local err = store.failure(s.cancel, s, e.id)
                    assert.same({ 4, true }, { err.code, err.text:find(e.id, 1, true) ~= nil })
                    assert.same(before, all_of(e.seq))
                end
                s:promote(store.wall_ms() + 1e9)
                while true do
                    local job = claim()
                    if not job then break end
                    assert.is_true(job.seq ~= e.seq)
                end
            end)
        end

        it("of a running job is told to its worker, and may come too late", function()
            s:enqueue_many(3)
            local jobs = s:claim { worker = worker, max = 3 }
            assert.same({}, s:orders(worker).cancel)
            for _, i in ipairs { 1, 3 } do s:cancel(jobs[i].id) end
            assert.same({ jobs[1].seq, jobs[3].seq }, s:orders(worker).cancel)
            assert.equal(1, #s:orders(worker, 1).cancel)
            assert.same({}, s:orders(worker + 1).cancel)
            s:finish(jobs[1], { cause = "cancelled" })
            s:finish(jobs[3])
            assert.same({ "cancelled", "completed" },
                        { s:state(jobs[1].seq), s:state(jobs[3].seq) })
            assert.same({}, s:orders(worker).cancel)
        end)

        it("holds although the job would have run again", function()
            for _, outcome in ipairs { { cause = "interrupted" }, { exit_code = 1 } } do
                local e = s:enqueue { retries = 3 }
                local job = claim()
                s:cancel(e.id)
                assert.equal(1, s:finish(job, outcome))
                assert.equal("cancelled", s:state(e.seq))
                assert.same({}, s:orders(worker).cancel)
            end
        end)
    end)

    describe("retry", function()
        local may = { failed = true, dead = true, cancelled = true }
        for name, make in pairs(states) do
            it("of a " .. name .. " job", function()
                local e = make()
                local before = all_of(e.seq)
                if may[name] then
                    assert.equal(name, s:retry(e.id))
                    local job = s:get(e.seq)
                    assert.same({ "pending", 0, 0, before[1].starts, -1, 0 },
                                { job.state, job.tries, job.deaths, job.starts, job.exit_code,
                                  job.finished_at })
                    assert.is_nil(job.error)
                    assert.same(before[2], s:attempts(e.seq))
                    assert.equal(e.seq, claim().seq)
                    assert.equal(before[1].starts + 1, s:get(e.seq).starts)
                else
                    assert.equal(4, store.failure(s.retry, s, e.id).code)
                    assert.same(before, all_of(e.seq))
                end
            end)

            it("of a " .. name .. " job with again", function()
                local e = make()
                if may[name] or name == "completed" then
                    assert.equal(name, s:retry(e.id, true))
                    assert.equal("pending", s:state(e.seq))
                    assert.equal(0, s:promote(store.wall_ms() + 1))
                else
                    assert.equal(4, store.failure(s.retry, s, e.id, true).code)
                end
            end)
        end

        it("gives all the tries again", function()
            local e = s:enqueue { retries = 1, backoff = "fixed none 0 1 0" }
            for _ = 1, 2 do
                for i = 1, 2 do
                    s:promote(store.wall_ms() + 1)
                    s:work({ exit_code = 1, worker = worker }, e.seq)
                    assert.equal(i == 2 and "dead" or "failed", s:state(e.seq))
                end
                s:retry(e.id)
            end
            assert.equal(4, #s:attempts(e.seq))
        end)
    end)

    describe("recover", function()
        it("puts the jobs of a dead worker back without taking a try", function()
            local other = s:worker_add()
            local made = s:enqueue_many(4)
            local mine = s:claim { worker = worker, max = 2 }
            local theirs = s:claim_one { worker = other }
            local before = store.wall_ms()
            assert.equal(2, s:recover(worker))
            assert.is_nil(s:worker(worker))
            assert.is_not_nil(s:worker(other))
            assert.equal("processing", s:state(theirs.seq))
            for _, old in ipairs(mine) do
                local job = s:get(old.seq)
                assert.same({ "pending", "worker_lost", 0, 1, 1, 0 },
                            { job.state, job.cause, job.tries, job.starts, job.deaths, job.worker })
                local a = s:attempts(old.seq)[1]
                assert.same({ "worker_lost", "anna", 1, 1 },
                            { a.cause, a.worker_name, a.token, a.try_no })
                assert.matches("worker died", a.error)
                assert.is_true(a.finished_at >= before)
            end
            assert.equal(made[1], s:claim_one({ worker = other }).seq)
            assert.equal(0, s:recover(worker))
        end)

        it("gives a job up at the third death", function()
            local e = s:enqueue { retries = 100 }
            for death = 1, 3 do
                local w = s:worker_add()
                assert.equal(e.seq, s:claim_one({ worker = w }).seq)
                s:recover(w)
                local job = s:get(e.seq)
                assert.same({ death, death == 3 and "dead" or "pending", "worker_lost", 0 },
                            { job.deaths, job.state, job.cause, job.tries })
            end
            assert.is_nil(s:claim_one())
            assert.equal(3, #s:attempts(e.seq))
            assert.equal("dead", s:retry(e.id))
            assert.equal(0, s:get(e.seq).deaths)
        end)

        it("cancels what was to be cancelled", function()
            local e = s:enqueue()
            claim()
            s:cancel(e.id)
            s:recover(worker)
            assert.same({ "cancelled", 0 }, { s:state(e.seq), s:get(e.seq).deaths })
        end)

        it("lets a worker's death not lower the tries of jobs that failed before", function()
            local e = s:enqueue { retries = 5, backoff = "fixed none 0 1 0" }
            s:work({ exit_code = 1, worker = worker }, e.seq)
            s:promote(store.wall_ms() + 1)
            claim()
            s:recover(worker)
            assert.same({ 1, "pending" }, { s:get(e.seq).tries, s:state(e.seq) })
        end)

        it("makes a job with one chance left run alone", function()
            local e = s:enqueue { priority = 1 }
            for _ = 1, 2 do
                local w = s:worker_add()
                s:claim_one { worker = w }
                s:recover(w)
            end
            local others = s:enqueue_many(3)
            local jobs, alone = s:claim { max = 5, busy = true }
            assert.same({ 0, true }, { #jobs, alone })
            jobs, alone = s:claim { max = 5 }
            assert.same({ 1, e.seq, true }, { #jobs, jobs[1].seq, alone })
            jobs, alone = s:claim { max = 5, busy = true }
            assert.same({ #others, false }, { #jobs, alone })
        end)

        it("takes those before it, and then leaves it to the next claim", function()
            local e = s:enqueue()
            for _ = 1, 2 do
                local w = s:worker_add()
                s:claim_one { worker = w }
                s:recover(w)
            end
            local before, after = s:enqueue { priority = 1 }, s:enqueue()
            local jobs, alone = s:claim { max = 5 }
            assert.same({ 1, before.seq, true }, { #jobs, jobs[1].seq, alone })
            jobs = s:claim { max = 5 }
            assert.same({ 1, e.seq }, { #jobs, jobs[1].seq })
            assert.equal(after.seq, s:claim_one().seq)
        end)
    end)
end)
end
