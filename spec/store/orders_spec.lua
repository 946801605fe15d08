-- What people do to whole runs, and new settings for a job.

local store = require "support.store"

for _, backend in ipairs(store.backends) do
describe("store/orders (" .. backend.name .. ")", function()
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
        for i, e in ipairs(made) do out[i] = s:state(e.seq) end
        return out
    end

    describe("cancel_run", function()
        it("cancels what did not start, and asks the workers of the rest", function()
            start { {}, {}, {}, { needs = { 1 } }, { needs = { { 2, on = "done" } } },
                    { delay_ms = 60000 }, { backoff = "fixed none 60000 1 60000", priority = 1 } }
            local w = s:worker_add { lane = run }
            s:work({ lane = run, exit_code = 1 }, made[7].seq)
            local jobs = s:claim { lane = run, worker = w, max = 2 }
            local other = s:enqueue()
            local n, running = s:cancel_run(run)
            assert.same({ 5, 2 }, { n, running })
            assert.same({ "processing", "processing", "cancelled", "cancelled", "cancelled",
                          "cancelled", "cancelled" }, states())
            assert.same({ jobs[1].seq, jobs[2].seq }, s:orders(w).cancel)
            assert.is_true(s:run(run).cancelled)
            s:finish(jobs[1], { cause = "cancelled" })
            assert.same({ 1, "cancelled" }, { s:finish(jobs[2], { exit_code = 1 }) })
            assert.same({ 0, 7 }, { s:run(run).left, s:run(run).failed })
            assert.equal("pending", s:state(other.seq))
        end)

        it("leaves a finished run as it is, and knows no other", function()
            start { {} }
            s:work { lane = run }
            local n, running = s:cancel_run(run)
            assert.same({ 0, 0, false }, { n, running, s:run(run).cancelled })
            assert.is_nil(s:cancel_run(run + 1))
        end)

        it("holds for jobs that are added afterwards", function()
            start { {} }
            local job = s:claim_one { lane = run }
            s:cancel_run(run)
            s:tx(function()
                s:finish(job) -- it had ended before it was told
                made = s:enqueue_all({ {}, { needs = { { 1, on = "done" } } } }, run)
            end)
            assert.same({ "cancelled", "cancelled" }, states())
            assert.same({ 0, 2 }, { s:run(run).left, s:run(run).failed })
        end)

        it("is forgotten when a job is tried again", function()
            start { {}, {} }
            s:cancel_run(run)
            s:retry(made[1].id)
            assert.is_false(s:run(run).cancelled)
            s:work({ lane = s:run(run).detached and 0 or run }, made[1].seq)
        end)
    end)

    describe("move_run", function()
        it("brings the unfinished jobs into the common lane and back", function()
            start { {}, { priority = 3 }, { needs = { 1 } }, { delay_ms = 60000 }, {} }
            s:work({ lane = run }, made[2].seq)
            assert.equal(1, s:move_run(run, true))
            assert.is_nil(s:claim_one { lane = run })
            s:work({}, made[1].seq)
            assert.same({ "completed", "completed", "pending", "pending", "pending" }, states())
            assert.equal(s:get(made[4].seq).run_at, s:promote())
            assert.equal(1, s:move_run(run, false))
            assert.is_nil(s:claim_one())
            assert.equal(0, s:promote())
            s:work({ lane = run }, made[3].seq)
            s:work({ lane = run }, made[5].seq)
            s:promote(s:get(made[4].seq).run_at, run)
            s:work({ lane = run }, made[4].seq)
            assert.equal(0, (s:run_left(run)))
        end)

        it("does nothing to a run that is there already, and knows no other", function()
            start { {} }
            assert.equal(1, s:move_run(run, false))
            assert.is_false(s:run(run).detached)
            assert.equal(0, s:move_run(run + 1, true))
        end)

        it("does not take a job out of the hands of a worker of the common lane", function()
            start({ { name = "busy" }, {} }, { detached = true })
            local w = s:worker_add { name = "host-7" }
            local job = s:claim_one { worker = w }
            local e = store.failure(s.move_run, s, run, false)
            assert.equal(4, e.code)
            assert.matches("job 'busy' of run %d+ is being processed by worker host%-7", e.text)
            assert.is_true(s:run(run).detached)
            s:finish(job)
            s:move_run(run, false)
            s:work({ lane = run }, made[2].seq)
        end)

        it("lets what its own worker hands back go with the others", function()
            start { {}, {} }
            local job = s:claim_one { lane = run }
            s:move_run(run, true)
            s:finish(job, { cause = "interrupted" })
            assert.equal(2, #s:claim { max = 9 })
        end)

        it("may be the way a run begins, added jobs included", function()
            start({ {} }, { detached = true })
            local job = s:claim_one()
            s:tx(function()
                s:finish(job)
                made = s:enqueue_all({ {} }, run)
            end)
            s:work({}, made[1].seq)
            assert.equal(0, (s:run_left(run)))
        end)

        it("takes 10,000 jobs in one go", function()
            local specs = {}
            for i = 1, 10000 do specs[i] = { needs = i % 2 == 0 and { i - 1 } or nil } end
            start(specs)
            local from = os.clock()
            s:move_run(run, true)
            assert.is_true(os.clock() - from < 1.5, tostring(os.clock() - from))
            assert.equal(5000, #s:claim { max = 6000 })
        end)
    end)

    describe("redefine", function()
        it("gives a job new settings, and leaves what it has been through", function()
            local parent = s:enqueue()
            local e = s:enqueue { id = "x", name = "old", command = "old", retries = 0,
                                  needs = { { seq = parent.seq } } }
            s:work({}, parent.seq)
            s:work({ exit_code = 1 }, e.seq)
            s:source_add("h2", "new text")
            local new = { id = "x", name = "new", argv = { "a", { later = parent.seq, key = "k" } },
                          retries = 5, queue = "q2", group = "g", priority = 4, source = "h2",
                          timeout_ms = 9, artifacts = { "*.log" }, when = true }
            assert.equal(1, s:redefine("x", new))
            local job = s:get "x"
            assert.same({ "new", "argv", 5, "q2", "g", 4, "h2", 9, true },
                        { job.name, job.kind, job.retries, job.queue, job.group, job.priority,
                          job.source, job.timeout_ms, job.when })
            assert.equal(("=a\0@%d:k\0"):format(parent.seq), job.command)
            assert.same({ "dead", 1, 1 }, { job.state, job.starts, #s:attempts(e.seq) })
            s:retry "x"
            s:value_set(parent.seq, "k", "v")
            assert.equal("=a\0=v\0", s:claim_one().command)
        end)

        it("moves a job in line to its new place", function()
            local seqs = s:enqueue_many(3)
            s:redefine(s:get(seqs[3]).id, { priority = 1 })
            assert.equal(seqs[3], s:claim_one().seq)
        end)

        it("is known when the id is enqueued again", function()
            s:enqueue { id = "x" }
            s:redefine("x", { priority = 2 })
            assert.is_true(s:enqueue({ id = "x", priority = 2 }).existed)
            assert.equal(4, store.failure(s.enqueue, s, { id = "x" }).code)
        end)

        it("changes the time before which it must not start", function()
            local at = store.wall_ms() + 60000
            s:enqueue { id = "x", start_at = at }
            s:redefine("x", { start_at = at + 5 })
            assert.equal(at + 5, s:get("x").run_at)
            s:redefine("x", {})
            assert.is_not_nil(s:claim_one())
            s:enqueue { id = "y", delay_ms = 60000 }
            local due = s:get("y").run_at
            s:redefine("y", {})
            assert.equal(due, s:get("y").run_at)
        end)

        it("may make a death one that the run allows, or not", function()
            start { { retries = 0 }, {} }
            s:work({ lane = run, exit_code = 1 }, made[1].seq)
            s:redefine(made[1].id, { allow_failure = true })
            assert.equal(0, s:run(run).failed)
            s:redefine(made[1].id, {})
            assert.equal(1, s:run(run).failed)
            s:redefine(made[2].id, { allow_failure = true })
            assert.equal(1, s:run(run).failed)
        end)

        it("is refused while the job runs, and for one that is not there", function()
            s:enqueue { id = "x" }
            s:claim_one()
            assert.equal(4, store.failure(s.redefine, s, "x", {}).code)
            assert.equal(0, (s:redefine("none", {})))
        end)
    end)
end)
end
