local store = require "support.store"

for _, backend in ipairs(store.backends) do
describe("store/runs (" .. backend.name .. ")", function()
    local s
    before_each(function() s = backend.open() end)
    after_each(function() backend.close(s) end)

    -- A run with these jobs: its id and what became of them.
    local function start(specs)
        local made, run
        s:tx(function()
            run = s:run_create("/path/jobs.lua", "hash", "text\0\255")
            made = s:enqueue_all(specs, run)
        end)
        return run, made
    end

    it("keeps what it was made of", function()
        local before = store.wall_ms()
        local run, made = start { {}, {}, {} }
        local got = s:run(run)
        assert.is_true(got.started_at >= before)
        got.started_at = nil
        assert.same({ id = run, path = "/path/jobs.lua", hash = "hash", text = "text",
                      finished_at = 0, first_seq = made[1].seq, last_seq = made[3].seq, left = 3,
                      failed = 0, worker = 0, added = 0, fail_fast = false, halted = false,
                      detached = false, cancelled = false }, got)
        assert.equal("hash", s:get(made[1].seq).source)
        assert.equal(run, s:get(made[1].seq).run)
        assert.is_nil(s:run(run + 1))
    end)

    it("finds the last run of a file", function()
        local first = s:run_create("/a", "h1", "one")
        local second = s:run_create("/a", "h2", "two")
        s:run_create("/b", "h1", "one")
        assert.same({ second, "two" }, { s:run(0, "/a").id, s:run(0, "/a").text })
        assert.equal("one", s:run(first).text)
        assert.equal("one", s:run(0, "/b").text)
        assert.is_nil(s:run(0, "/c"))
    end)

    it("may be made of no jobs", function()
        local run = start {}
        assert.same({ 0, {} }, { s:run(run).left, s:list_seqs { run = run } })
    end)

    it("counts its jobs down to the end, and those that went wrong", function()
        local run, made = start {
            {}, { retries = 0 }, { retries = 0, allow_failure = true }, {},
            { needs = { 2 } },                      -- skipped by a failure: counts
            { needs = { { 1, on = "failure" } } },  -- not needed: does not count
        }
        local plan = { { 1, {}, 4, 0 }, { 2, { exit_code = 1 }, 2, 2 },
                       { 3, { exit_code = 1 }, 1, 2 } }
        for _, step in ipairs(plan) do
            local opts = step[2]
            opts.lane = run
            s:work(opts, made[step[1]].seq)
            assert.same({ step[1], step[3], step[4], 0 },
                        { step[1], s:run(run).left, s:run(run).failed, s:run(run).finished_at })
        end
        local before = store.wall_ms()
        s:cancel(made[4].id)
        local got = s:run(run)
        assert.same({ 0, 3 }, { got.left, got.failed })
        assert.is_true(got.finished_at >= before)
        assert.equal(0, s:run_left(run))
        assert.is_false(s:has_work(run))
    end)

    it("counts no failure when the job itself did not want to run", function()
        local run, made = start { {}, {}, { needs = { 1 } } }
        s:work({ lane = run, cause = "when" }, made[1].seq)
        assert.same({ 1, 0 }, { s:run(run).left, s:run(run).failed })
        s:work({ lane = run, cause = "expired" }, made[2].seq)
        assert.same({ 0, 1 }, { s:run(run).left, s:run(run).failed })
    end)

    it("is not touched by jobs of others", function()
        local run, made = start { {} }
        s:enqueue()
        s:work()
        local other = start { {} }
        s:work({ lane = other })
        assert.same({ 1, 0 }, { (s:run_left(run)), (s:run_left(other)) })
        assert.equal("pending", s:state(made[1].seq))
    end)

    it("stays unfinished while a job is to be tried again", function()
        local run = start { { backoff = "fixed none 0 1 0" } }
        s:work { lane = run, exit_code = 1 }
        assert.equal(1, s:run_left(run))
        s:promote(store.wall_ms() + 1, run)
        s:work { lane = run }
        assert.equal(0, s:run_left(run))
    end)

    it("belongs to a worker until that goes", function()
        local run = start { {} }
        local w = s:worker_add { lane = run }
        s:run_attach(run, w)
        assert.equal(w, s:run(run).worker)
        s:recover(w)
        assert.equal(0, s:run(run).worker)
        w = s:worker_add { lane = run }
        s:run_attach(run, w)
        s:claim_one { lane = run, worker = w }
        s:recover(w)
        assert.same({ 0, 1 }, { s:run(run).worker, s:run(run).left })
    end)

    describe("retry", function()
        it("opens the run again while somebody works it", function()
            local run, made = start { { retries = 0 }, {} }
            s:run_attach(run, s:worker_add { lane = run })
            s:work({ lane = run, exit_code = 1 }, made[1].seq)
            s:work({ lane = run }, made[2].seq)
            assert.same({ 0, 1 }, { s:run(run).left, s:run(run).failed })
            s:retry(made[1].id)
            assert.same({ 1, 0, 0 }, { s:run(run).left, s:run(run).failed,
                                       s:run(run).finished_at })
            assert.is_nil(s:claim_one())
            s:work({ lane = run }, made[1].seq)
            assert.same({ 0, 0 }, { s:run(run).left, s:run(run).failed })
        end)

        it("of a job that did not count as failed takes no failure away", function()
            local run, made = start { {}, { retries = 0 }, { retries = 0, allow_failure = true } }
            s:run_attach(run, s:worker_add { lane = run })
            for i, code in ipairs { 0, 1, 1 } do
                s:work({ lane = run, exit_code = code }, made[i].seq)
            end
            for _, i in ipairs { 1, 3 } do
                s:retry(made[i].id, true)
                assert.same({ 1, 1 }, { s:run(run).left, s:run(run).failed })
                s:work({ lane = run }, made[i].seq)
                assert.same({ 0, 1 }, { s:run(run).left, s:run(run).failed })
            end
        end)

        it("gives the job to everybody when nobody works the run", function()
            local run, made = start { { retries = 0 } }
            s:work({ lane = run, exit_code = 1 }, made[1].seq)
            s:retry(made[1].id)
            assert.is_nil(s:claim_one { lane = run })
            s:work({}, made[1].seq)
            assert.same({ 0, "completed" }, { (s:run_left(run)), s:state(made[1].seq) })
        end)

        it("never makes the run have less than nothing left", function()
            local run, made = start { { retries = 0 } }
            s:work({ lane = run, exit_code = 1 }, made[1].seq)
            s:retry(made[1].id)
            s:work({ exit_code = 1 }, made[1].seq)
            s:run_attach(run, s:worker_add { lane = run })
            s:retry(made[1].id)
            local job = s:claim_one() or s:claim_one { lane = run }
            s:finish(job)
            assert.same({ 0, "completed" }, { (s:run_left(run)), s:state(made[1].seq) })
        end)
    end)
end)

describe("store/workers (" .. backend.name .. ")", function()
    local s
    before_each(function() s = backend.open() end)
    after_each(function() backend.close(s) end)

    it("come and go", function()
        assert.same({}, s:workers())
        local before = store.wall_ms()
        local id = s:worker_add { uid = "u", name = "n", host = "h", boot_id = "b", pid = 4711,
                                  pid_ns = 12, slots = 8, lane = 3 }
        local other = s:worker_add()
        local w = s:workers()[1]
        assert.is_true(w.started_at >= before and w.heartbeat_at == w.started_at)
        assert.is_true(w.beat_boot_ms > 0)
        w.started_at, w.heartbeat_at, w.beat_boot_ms = nil, nil, nil
        assert.same({ id = id, uid = "u", name = "n", host = "h", boot_id = "b", pid = 4711,
                      pid_ns = 12, slots = 8, lane = 3, busy = 0, stop = 0 }, w)
        s:recover(id)
        assert.same({ other }, { s:workers()[1].id, s:workers()[2] })
        assert.is_true(s:worker_add() > other)
    end)

    it("never share an id, even after one has gone", function()
        local id = s:worker_add()
        s:recover(id)
        assert.is_true(s:worker_add() ~= id)
    end)

    it("refuse a second one of the same start", function()
        s:worker_add { uid = "same" }
        assert.is_truthy(store.failure(s.worker_add, s, { uid = "same" }).code)
        assert.equal(1, #s:workers())
    end)

    it("are asked to stop, and never less than before", function()
        local a, b = s:worker_add(), s:worker_add()
        assert.equal(0, s:orders(a).stop)
        assert.equal(1, s:worker_stop(a, 1))
        assert.equal(1, s:worker_stop(a, 2))
        assert.equal(1, s:worker_stop(a, 1))
        assert.same({ 2, 0 }, { s:orders(a).stop, s:orders(b).stop })
        assert.equal(2, s:worker(a).stop)
        assert.equal(0, s:worker_stop(b + 1, 1))
    end)

    it("show how much they have to do", function()
        local a, b = s:worker_add(), s:worker_add()
        s:enqueue_many(3)
        local jobs = s:claim { worker = a, max = 2 }
        s:claim { worker = b, max = 1 }
        assert.same({ 2, 1 }, { s:worker(a).busy, s:worker(b).busy })
        s:finish(jobs[1])
        assert.equal(1, s:worker(a).busy)
    end)

    it("beat", function()
        local id = s:worker_add()
        local first = s:worker(id)
        local t = require "support"
        t.eventually(function()
            s:worker_beat(id)
            local now = s:worker(id)
            return now.heartbeat_at > first.heartbeat_at and now.beat_boot_ms > first.beat_boot_ms
        end)
        assert.equal(first.started_at, s:worker(id).started_at)
    end)
end)

describe("store/values (" .. backend.name .. ")", function()
    local s
    before_each(function() s = backend.open() end)
    after_each(function() backend.close(s) end)

    it("are kept by key, the last one", function()
        local e = s:enqueue()
        assert.same({}, s:values(e.seq))
        s:value_set(e.seq, "a", "1")
        s:value_set(e.seq, "b", "x=y")
        s:value_set(e.seq, "a", "")
        assert.same({ a = "", b = "x=y" }, s:values(e.seq))
        assert.same({}, s:values(e.seq + 1))
    end)

    it("are filled in where other jobs want them", function()
        local made = s:enqueue_all {
            { outputs = { "k", "big" } }, {},
            { needs = { 1 }, argv = { "echo", { later = 0, key = "k" }, "@0:k", "z" },
              env = { "A=1", { later = 0, key = "k", name = "K" }, { unset = "HOME" },
                      { later = 0, key = "big", name = "BIG" } } } }
        local big = ("x=\n"):rep(20000)
        local job = s:claim_one()
        s:value_set(job.seq, "k", "va lue=@")
        s:value_set(job.seq, "big", big)
        s:finish(job)
        s:work({}, made[2].seq)
        job = s:claim_one()
        assert.equal(store.pack { "echo", "va lue=@", "@0:k", "z" }, job.command)
        assert.equal(store.pack { "A=1", "K=va lue=@", { unset = "HOME" }, "BIG=" .. big },
                     job.env)
        assert.is_nil(job.error)
    end)

    it("belong to the job they are asked of, not to one of the same place", function()
        s:enqueue_many(5)
        local made = s:enqueue_all { { priority = 1 }, { needs = { 1 }, priority = 1, argv = {
            "x", { later = 0, key = "k" } } } }
        local job = s:claim_one()
        assert.equal(made[1].seq, job.seq)
        s:value_set(1, "k", "wrong")
        s:value_set(job.seq, "k", "right")
        s:finish(job)
        assert.equal(store.pack { "x", "right" }, s:claim_one().command)
    end)

    it("that were never set are told when the job is claimed", function()
        local made = s:enqueue_all { { name = "par" }, { needs = { 1 }, env = {
            { later = 0, key = "no_such", name = "X" } } } }
        s:work({}, made[1].seq)
        local job = s:claim_one()
        assert.equal("output 'no_such' of job 'par' was never set", job.error)
        assert.equal("processing", s:state(made[2].seq))
        assert.equal(1, s:finish(job, { cause = "outputs", error = job.error, state = "dead" }))
    end)

    it("are not looked for in shell text", function()
        local e = s:enqueue { command = "@1:k", env = { "A=@1:k" } }
        local job = s:claim_one()
        assert.same({ e.seq, "@1:k", "=A=@1:k\0" }, { job.seq, job.command, job.env })
        assert.is_nil(job.error)
    end)

    it("are looked up anew at each start", function()
        local made = s:enqueue_all { {}, { needs = { 1 }, backoff = "fixed none 0 1 0",
                                           argv = { "x", { later = 0, key = "k" } } } }
        local job = s:claim_one()
        s:value_set(job.seq, "k", "one")
        s:finish(job)
        s:work({ exit_code = 1 }, made[2].seq)
        s:value_set(made[1].seq, "k", "two")
        s:promote(store.wall_ms() + 1)
        assert.equal(store.pack { "x", "two" }, s:claim_one().command)
    end)
end)
end
