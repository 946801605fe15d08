local store = require "support.store"
local t = require "support"

for _, backend in ipairs(store.backends) do
describe("store/list (" .. backend.name .. ")", function()
    local s, by
    before_each(function() s = backend.open() end)
    after_each(function() backend.close(s) end)

    local NEWEST = { "waiting", "processing", "completed", "dead", "cancelled", "skipped" }

    -- Jobs in all states, made in random order; by[state] = their seqs as they were made.
    local function fill(n)
        local r = t.rng()
        by = { held = {} }
        for _, state in ipairs(NEWEST) do by[state] = {} end
        by.pending, by.failed = {}, {}
        local function add(state, seq) by[state][#by[state] + 1] = seq end
        local makers = {
            waiting = function()
                local pair = s:enqueue_all { { delay_ms = 1000000 }, { needs = { 1 } } }
                add("pending", pair[1].seq)
                return pair[2].seq
            end,
            pending = function()
                local delay_ms = r(2) == 1 and r(5) * 10000 or 0
                return s:enqueue({ priority = r(3), delay_ms = delay_ms }).seq
            end,
            cancelled = function()
                local e = s:enqueue()
                s:cancel(e.id)
                return e.seq
            end,
            skipped = function()
                local pair = s:enqueue_all { {}, { needs = { 1 } } }
                s:cancel(pair[1].id)
                add("cancelled", pair[1].seq)
                return pair[2].seq
            end,
        }
        local function worked(opts)
            return function()
                local e = s:enqueue { priority = 100, retries = opts.retries,
                                      backoff = ("fixed none %d 1 1000000"):format(r(9) * 10000) }
                if opts.leave then s:claim_one() else s:work(opts, e.seq) end
                return e.seq
            end
        end
        makers.processing, makers.completed = worked { leave = true }, worked {}
        makers.failed, makers.dead = worked { exit_code = 1 }, worked { exit_code = 1, retries = 0 }
        local names = {}
        for name in pairs(makers) do names[#names + 1] = name end
        table.sort(names)
        for _ = 1, n do
            local state = names[r(#names)]
            add(state, makers[state]())
        end
    end

    local function reversed(list)
        local out = {}
        for i = #list, 1, -1 do out[#out + 1] = list[i] end
        return out
    end

    -- Those that may start first, by priority and age; then the others, by their time.
    local function running_order(seqs)
        local now, jobs = store.wall_ms(), {}
        for i, seq in ipairs(seqs) do jobs[i] = s:get(seq) end
        table.sort(jobs, function(a, b)
            local later_a, later_b = a.run_at > now, b.run_at > now
            if later_a ~= later_b then return later_b end
            if later_a and a.run_at ~= b.run_at then return a.run_at < b.run_at end
            if not later_a and a.priority ~= b.priority then return a.priority > b.priority end
            return a.seq < b.seq
        end)
        local out = {}
        for i, job in ipairs(jobs) do out[i] = job.seq end
        return out
    end

    for _, limit in ipairs { 1, 7, 1000 } do
        it("pages through every state, pages of " .. limit, function()
            fill(80)
            for _, state in ipairs(NEWEST) do
                assert.same(reversed(by[state]), s:list_seqs { state = state, limit = limit })
            end
            for _, state in ipairs { "pending", "failed" } do
                assert.is_true(#by[state] > 0)
                assert.same(running_order(by[state]), s:list_seqs { state = state, limit = limit })
            end
            assert.same({}, s:list_seqs { state = "held", limit = limit })
            local all = s:list_seqs { limit = limit }
            for i = 2, #all do assert.is_true(all[i] < all[i - 1]) end
            local n = 0
            for _, seqs in pairs(by) do n = n + #seqs end
            assert.equal(n, #all)
        end)
    end

    it("gives whole jobs", function()
        local e = s:enqueue { id = "x", command = "c", env = { "A=1" } }
        local job = s:list({})[1]
        local got = s:get(e.seq)
        job.c, got.c = nil, nil
        assert.same(got, job)
    end)

    it("lists a run's jobs as they were defined, all or of one state", function()
        s:enqueue_many(3)
        local run = s:run_create()
        local specs = {}
        for i = 1, 25 do specs[i] = { priority = i, delay_ms = i % 3 * 10000 } end
        local made = {}
        for i, e in ipairs(s:enqueue_all(specs, run)) do made[i] = e.seq end
        s:enqueue_many(3)
        local done = { s:work({ lane = run }).seq, s:work({ lane = run }).seq }
        table.sort(done)
        for _, limit in ipairs { 1, 5, 25, 100 } do
            assert.same(made, s:list_seqs { run = run, limit = limit })
            assert.same(done, s:list_seqs { run = run, state = "completed", limit = limit })
            assert.equal(23, #s:list_seqs { run = run, state = "pending", limit = limit })
        end
        assert.same({}, s:list_seqs { run = run + 1 })
    end)

    it("shows each newest-first job once while others come and go", function()
        fill(100)
        local want = reversed(by.completed)
        local got = s:list_seqs({ state = "completed", limit = 4 }, function()
            local e = s:enqueue { priority = 200 }
            s:work({}, e.seq)
        end)
        assert.same(want, got)
    end)

    it("goes on behind a job that has gone from the state meanwhile", function()
        local seqs = s:enqueue_many(20)
        local seen, i = {}, 0
        for _, seq in ipairs(s:list_seqs({ state = "pending", limit = 3 }, function(page)
            if #page > 0 then
                s:cancel(page[#page].id)       -- the one the cursor stands on
                i = i + 1
                s:enqueue { priority = 5 }     -- before it: not to be seen any more
            end
        end)) do
            seen[#seen + 1] = seq
        end
        assert.same(seqs, seen)
        assert.equal(7, i)
    end)

    it("goes on behind a claimed job, and shows those that become due on the way", function()
        local specs = {}
        for i = 1, 12 do specs[i] = { delay_ms = i * 10000 } end
        local seqs = {}
        for i, e in ipairs(s:enqueue_all(specs)) do seqs[i] = e.seq end
        local first, cursor = s:list { state = "pending", limit = 4 }
        s:promote(first[4].run_at)
        s:claim { max = 100 }
        assert.equal(seqs[4], first[4].seq)
        local rest = {}
        while cursor do
            local page
            page, cursor = s:list { state = "pending", limit = 4, after = cursor }
            for _, job in ipairs(page) do rest[#rest + 1] = job.seq end
        end
        assert.same({ unpack(seqs, 5) }, rest)
    end)

    it("goes on where it was when the job the cursor stands on has failed meanwhile", function()
        local specs = {}
        for i = 1, 9 do
            specs[i] = { priority = 9 - i, retries = 5, backoff = "fixed none 60000 1 60000" }
        end
        local seqs = {}
        for i, e in ipairs(s:enqueue_all(specs)) do seqs[i] = e.seq end
        local page, cursor = s:list { state = "pending", limit = 3 }
        for _ = 1, 3 do s:work { exit_code = 1 } end -- their run_at is far behind the others'
        assert.equal(seqs[3], page[3].seq)
        local rest = {}
        for _, job in ipairs((s:list { state = "pending", limit = 9, after = cursor })) do
            rest[#rest + 1] = job.seq
        end
        assert.same({ unpack(seqs, 4) }, rest)
        -- and among those that wait for their time
        page, cursor = s:list { state = "failed", limit = 1 }
        s:retry(page[1].id)
        page = s:list { state = "failed", limit = 9, after = cursor }
        assert.same({ seqs[2], seqs[3] }, { page[1].seq, page[2].seq })
        assert.equal(2, #page)
    end)

    it("pages through two jobs of the same time", function()
        local seqs = s:enqueue_many(9, { delay_ms = 1000000 })
        assert.same(seqs, s:list_seqs { state = "pending", limit = 2 })
    end)

    it("has no page after the last", function()
        s:enqueue_many(3)
        local _, cursor = s:list { limit = 4 }
        assert.is_nil(cursor)
        _, cursor = s:list { limit = 4, state = "pending" }
        assert.is_nil(cursor)
        assert.same({}, (s:list { state = "dead" }))
    end)
end)
end
