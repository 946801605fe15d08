-- What jobs leave to others: results taken over, jobs added on the way, files, times, sources.

local store = require "support.store"

for _, backend in ipairs(store.backends) do
describe("store/results (" .. backend.name .. ")", function()
    local s
    before_each(function() s = backend.open() end)
    after_each(function() backend.close(s) end)

    local function start(specs, opts)
        local run, made
        s:tx(function()
            run = s:run_create("/jobs.lua", "hash", "text", opts)
            made = s:enqueue_all(specs, run)
        end)
        return run, made
    end

    it("keeps what an attempt reported, and what of it was wrong", function()
        local job = s:enqueue {}
        s:finish(s:claim_one(), { exit_code = 1, state = "failed", report = "=a=1\0=b=\0",
                                  report_note = "a note" })
        s:promote(store.wall_ms() + 1000)
        s:finish(s:claim_one(), { state = "completed" })
        local tries = s:attempts(job.seq)
        assert.same({ "=a=1\0=b=\0", "a note" }, { tries[1].report, tries[1].report_note })
        assert.same({ 2 }, { #tries, tries[2].report, tries[2].report_note })
    end)

    describe("a job done as another one", function()
        local old
        before_each(function()
            old = s:enqueue { name = "old", ok_codes = "\0\7", artifacts = { "*" } }
            local job = s:claim_one()
            s:finish(job, { exit_code = 7, state = "completed" })
            s:value_set(job.seq, "k", "v")
            s:artifact_set(job.seq, "out/a b", 12)
        end)

        it("is completed from the beginning, with its results", function()
            local run, made = start { { name = "a", done_as = old.seq }, {} }
            assert.same({ "completed", "pending" }, { made[1].state, made[2].state })
            local job, was = s:get(made[1].seq), s:get(old.seq)
            assert.same({ "completed", was.finished_at, was.started_at, 7, "exit", 0 },
                        { job.state, job.finished_at, job.started_at, job.exit_code, job.cause,
                          job.starts })
            assert.same({ { k = "v" }, { "12 out/a b" }, {} },
                        { s:values(made[1].seq), s:artifacts(made[1].seq),
                          s:attempts(made[1].seq) })
            assert.same({ 1, 0 }, { s:run(run).left, s:run(run).failed })
            assert.equal(made[2].seq, s:claim_one({ lane = run }).seq)
        end)

        it("lets start what needs only such ones", function()
            local run, made = start {
                { needs = { 2 } }, { done_as = old.seq }, { done_as = old.seq, needs = { 2 } },
                { needs = { 2, 3 }, argv = { "x", { later = 1, key = "k" } } }, {},
                { needs = { 3, 5 } }, { needs = { { 3, on = "failure" } } },
            }
            local got = {}
            for i, e in ipairs(made) do got[i] = e.state end
            assert.same({ "pending", "completed", "completed", "pending", "pending", "waiting",
                          "skipped" }, got)
            assert.equal(4, (s:run_left(run)))
            assert.equal(1, s:get(made[6].seq).waits)
            s:work({ lane = run }, made[1].seq)
            local job = s:claim_one { lane = run }
            assert.equal(store.pack { "x", "v" }, job.command)
            s:finish(job)
            s:work({ lane = run }, made[5].seq)
            s:work({ lane = run }, made[6].seq)
            assert.same({ 0, 0 }, { s:run(run).left, s:run(run).failed })
        end)

        it("makes a run of nothing else a finished one", function()
            local run = start { { done_as = old.seq }, { done_as = old.seq, needs = { 1 } } }
            assert.equal(0, (s:run_left(run)))
            assert.is_true(s:run(run).finished_at > 0)
        end)

        it("may be run after all", function()
            local run, made = start { { done_as = old.seq }, {} }
            s:retry(made[1].id, true)
            assert.equal(2, (s:run_left(run)))
            s:work({ lane = run }, made[1].seq)
            assert.equal(1, (s:run_left(run)))
        end)

        it("needs a completed one", function()
            local dead = s:enqueue { retries = 0 }
            s:work({ exit_code = 1 }, dead.seq)
            local e = store.failure(start, { { done_as = dead.seq } })
            assert.same({ 4, true }, { e.code, e.text:find("is dead", 1, true) ~= nil })
            assert.equal(3, store.failure(start, { { done_as = 999 } }).code)
            assert.is_nil(s:run(1))
        end)
    end)

    describe("jobs added to a run", function()
        local run, own, added
        before_each(function()
            run, own = start { {}, {} }
            s:enqueue_many(3)
            local job = s:claim_one { lane = run }
            s:tx(function()
                s:finish(job)
                added = s:enqueue_all({ { priority = 2 }, { needs = { 1 } },
                                        { needs = { { seq = own[1].seq } } },
                                        { needs = { { seq = own[2].seq } } } }, run)
            end)
        end)

        it("count in it and are worked in its lane", function()
            local got = s:run(run)
            assert.same({ 5, 4, 0 }, { got.left, got.added, got.failed })
            assert.same({ own[1].seq, own[2].seq }, { got.first_seq, got.last_seq })
            assert.equal("hash", s:get(added[1].seq).source)
            assert.same({ "pending", "waiting", "pending", "waiting" },
                        { added[1].state, added[2].state, added[3].state, added[4].state })
            for _, e in ipairs { added[1], own[2], added[2], added[3], added[4] } do
                s:work({ lane = run }, e.seq)
            end
            assert.equal(0, (s:run_left(run)))
            assert.is_true(s:run(run).finished_at > 0)
        end)

        it("stand in its list behind its own", function()
            local all = { own[1].seq, own[2].seq }
            for _, e in ipairs(added) do all[#all + 1] = e.seq end
            for _, limit in ipairs { 1, 2, 3, 6, 100 } do
                assert.same(all, s:list_seqs { run = run, limit = limit })
                assert.same({ added[2].seq, added[4].seq },
                            s:list_seqs { run = run, state = "waiting", limit = limit })
            end
            local other = start { {} }
            assert.equal(1, #s:list_seqs { run = other })
        end)

        it("open a run again that had nothing left", function()
            local last = start { {} }
            local job = s:claim_one { lane = last }
            s:tx(function()
                s:finish(job)
                s:enqueue_all({ {} }, last)
            end)
            assert.same({ 1, 0 }, { s:run(last).left, s:run(last).finished_at })
            s:work { lane = last }
            assert.equal(0, (s:run_left(last)))
        end)

        it("need a run that is there", function()
            assert.equal(3, store.failure(s.enqueue_all, s, { {} }, 77).code)
        end)

        it("are not there when the transaction is not", function()
            pcall(s.tx, s, function()
                s:enqueue_all({ {} }, run)
                error "no"
            end)
            assert.same({ 4, 6 }, { s:run(run).added, #s:list_seqs { run = run } })
        end)
    end)

    it("keeps the files of the last completion", function()
        local e = s:enqueue { artifacts = { "*.txt" } }
        local job = s:claim_one()
        assert.equal("=*.txt\0", job.artifacts)
        s:tx(function()
            s:finish(job)
            s:artifact_set(e.seq, "b.txt", 5)
            s:artifact_set(e.seq, "a=1 2.txt", 0)
            s:artifact_set(e.seq, "b.txt", 2 ^ 40)
        end)
        assert.same({ "0 a=1 2.txt", "1099511627776 b.txt" }, s:artifacts(e.seq))
        s:retry(e.id, true)
        assert.equal(2, #s:artifacts(e.seq))
        s:work({}, e.seq)
        assert.same({}, s:artifacts(e.seq))
        assert.same({}, s:artifacts(e.seq + 1))
    end)

    it("tells what a job needs, as it stands", function()
        local made = s:enqueue_all {
            { name = "build=1", outputs = { "v" } }, { retries = 0, id = "nameless" },
            { name = "late" }, { needs = { 3, { 2, on = "done" }, 1 } }, { needs = { 1 } } }
        assert.same({ "need=build=1", "state=pending" }, s:needs(made[5].seq))
        local job = s:claim_one()
        s:value_set(job.seq, "v", "1=2\n3")
        s:value_set(job.seq, "a", "")
        s:finish(job)
        s:work({ exit_code = 3, error = "exit 3: no" }, made[2].seq)
        assert.same({ "need=build=1", "state=completed", "output=a=", "output=v=1=2\n3",
                      "need=nameless", "state=dead", "error=exit 3: no",
                      "need=late", "state=pending" }, s:needs(made[4].seq))
        assert.same({}, s:needs(made[1].seq))
        assert.same({}, s:needs(999))
    end)

    it("knows how long the jobs of a run took", function()
        local run, made = start { { name = "test[db=a]", backoff = "fixed none 0 1 0" }, {},
                                  { name = "bad", retries = 0 }, { name = "later" } }
        s:work({ lane = run, exit_code = 1, duration_ms = 5000 }, made[1].seq)
        s:promote(store.wall_ms() + 1, run)
        s:work({ lane = run, duration_ms = 1500 }, made[1].seq)
        s:work({ lane = run, duration_ms = 10 }, made[2].seq)
        s:work({ lane = run, duration_ms = 10, exit_code = 1 }, made[3].seq)
        local job = s:claim_one { lane = run }
        local added
        s:tx(function()
            s:finish(job, { duration_ms = 0 })
            added = s:enqueue_all({ { name = "added" } }, run)
        end)
        s:work({ lane = run, duration_ms = 70 }, added[1].seq)
        assert.same({ ["test[db=a]"] = 1500, later = 0, added = 70 }, s:run_times(run))
        assert.same({}, s:run_times(run + 1))
    end)

    it("keeps sources by their hash", function()
        s:source_add("h", "a\0b")
        s:source_add("h", "another")
        s:source_add("empty", "")
        assert.same({ "a\0b", "" }, { s:source "h", s:source "empty" })
        assert.is_nil(s:source "none")
        start { { source = "h" }, {} }
        assert.same({ "h", "hash" }, { s:get(1).source, s:get(2).source })
    end)

    it("lists runs, newest first, of all files or one", function()
        local ids = {}
        for i = 1, 7 do
            ids[i] = s:run_create(i % 2 == 0 and "/even" or "/odd", "h", "t",
                                  { info = '{"i":' .. i .. "}", fail_fast = i == 3 })
        end
        local function list(q)
            local out, page = {}
            repeat
                page, q.after = s:runs(q)
                for _, run in ipairs(page) do out[#out + 1] = run.id end
            until not q.after
            return out
        end
        for _, limit in ipairs { 1, 2, 7, 50 } do
            assert.same({ ids[7], ids[6], ids[5], ids[4], ids[3], ids[2], ids[1] },
                        list { limit = limit })
            assert.same({ ids[6], ids[4], ids[2] }, list { path = "/even", limit = limit })
        end
        assert.same({}, list { path = "/none" })
        local third = s:runs({ after = ids[4], limit = 1 })[1]
        assert.same({ '{"i":3}', true, "/odd", "h" },
                    { third.info, third.fail_fast, third.path, third.hash })
        assert.is_nil(third.text)
    end)
end)
end
