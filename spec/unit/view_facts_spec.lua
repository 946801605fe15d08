-- What there is to say of a run that has ended, from a store that is made up.

local run_facts = require "queuectl.view.run_facts"

-- { name, state, { seconds of each attempt }, error }: each job begins where the one before it
-- began, a second later.
local function job(seq, row)
    local tries = row[3] or {}
    return { seq = seq, id = "id" .. seq, name = row[1], state = row[2], token = #tries,
        attempts = #tries, cause = "exit", error = row[4], created_at = 100,
        started_at = tries[1] and 100 + seq, finished_at = tries[1] and 100 + seq + tries[#tries],
        artifacts = row.artifacts }
end

local function store_of(rows)
    local store, asked = { attempts_asked = 0 }, {}
    for seq, row in ipairs(rows) do asked[seq] = job(seq, row) end
    -- Two on a page.
    function store.list(_, query)
        local from = query.after or 0
        return { asked[from + 1], asked[from + 2] }, asked[from + 3] and from + 2 or nil
    end
    function store.attempts(_, seq)
        store.attempts_asked = store.attempts_asked + 1
        local list = {}
        for i, seconds in ipairs(rows[seq][3] or {}) do
            list[i] = { started_at = 100 + seq, finished_at = 100 + seq + seconds,
                duration = seconds, cause = "exit", attempt = i }
        end
        return list
    end
    function store.values(_, seq) return { from = rows[seq][1] } end
    function store.run_times() return {} end
    function store.artifacts(_, seq) return rows[seq].found or {} end
    return store
end

local function times_of(rows)
    return function()
        local times = {}
        for _, row in ipairs(rows) do
            if row[2] == "completed" then times[row[1]] = row[3][#row[3]] end
        end
        return times
    end
end

local function plan(...)
    local jobs, index = {}, {}
    for i, row in ipairs { ... } do
        jobs[i], index[row[1]] = { name = row[1], needs = {} }, i
        for k = 2, #row do jobs[i].needs[k - 1] = { job = index[row[k]], on = "success" } end
    end
    return { jobs = jobs }
end

local RUN = { id = 1, left = 0, failed = 0 }

local function names(jobs)
    local list = {}
    for i, each in ipairs(jobs) do list[i] = each.label end
    return table.concat(list, " ")
end

describe("the facts of a run", function()
    local ROWS = { { "a", "completed", { 2 } }, { "b", "completed", { 1, 1, 3 } },
        { "c", "completed", { 4 } }, { "d", "completed", { 0.5 } } }

    it("are the same with the times asked for at once and one by one", function()
        local one_by_one, at_once = store_of(ROWS), store_of(ROWS)
        at_once.run_times = times_of(ROWS)
        local planned = plan({ "a" }, { "b", "a" }, { "c" }, { "d", "b", "c" })
        for _, store in ipairs { one_by_one, at_once } do
            local facts = run_facts.collect(store, RUN, planned)
            assert.same({ completed = 4 }, facts.counts)
            assert.equal(11.5, facts.work)
            assert.equal(7.5, facts.path.seconds)
            assert.equal("a b d", names(facts.path.jobs))
            assert.equal("b c a d", names(facts.slowest))
            assert.equal("b", names(facts.flaky))
            assert.same({ from = "d" }, facts.outputs)
            -- d was ready when b had ended (102 + 3 = 105) and c (103 + 4), and began at 104.
            assert.same({ 1, 0, 3, 0 }, { facts.jobs[1].waited, facts.jobs[2].waited,
                facts.jobs[3].waited, facts.jobs[4].waited })
        end
        assert.equal(4, one_by_one.attempts_asked)
        assert.equal(1, at_once.attempts_asked)
    end)

    it("do not trust names where jobs have added jobs", function()
        local store = store_of(ROWS)
        store.run_times = times_of(ROWS)
        run_facts.collect(store, { id = 1, left = 0, failed = 0, added = 1 })
        assert.equal(4, store.attempts_asked)
    end)

    it("trace what was skipped back to its cause", function()
        local facts = run_facts.collect(store_of {
            { "a", "dead", { 1 }, "exit 1" },
            { "b", "skipped", nil, "needs 'a', which is dead" },
            { "c", "skipped", nil, "needs 'b', which is skipped" },
            { "d", "skipped", nil, "needs 'c', which is skipped" },
            { "e", "skipped", nil, "fail fast" },
        }, { id = 1, left = 0, failed = 4 })
        assert.equal(2, #facts.skipped)
        assert.equal("needs 'a', which is dead", facts.skipped[1].cause)
        assert.equal("b c d", names(facts.skipped[1].jobs))
        assert.equal("fail fast", facts.skipped[2].cause)
        assert.is_nil(facts.outputs, "it did not go well")
    end)

    it("name what jobs left behind", function()
        local facts = run_facts.collect(store_of {
            { "a", "completed", { 1 }, artifacts = { "*.log" }, found = { { path = "x.log" } } },
            { "b", "completed", { 1 }, artifacts = { "*.log" } },
            { "c", "completed", { 1 }, found = { { path = "never asked" } } },
        }, RUN)
        assert.equal(1, #facts.artifacts)
        assert.equal("x.log", facts.artifacts[1].list[1].path)
    end)
end)

describe("the times of earlier runs", function()
    it("are those of the newest run that has measured a job", function()
        local times = { [3] = { a = 1 }, [2] = { a = 9, b = 2 }, [1] = {} }
        local store = {
            runs = function(_, query)
                assert.equal("/srv/jobs.lua", query.path)
                return { { id = 3 }, { id = 2 }, { id = 1 } }
            end,
            run_times = function(_, id) return times[id] end,
        }
        assert.same({ a = 1, b = 2 }, run_facts.times(store, "/srv/jobs.lua"))
        times[3], times[2] = {}, {}
        assert.is_nil(run_facts.times(store, "/srv/jobs.lua"))
    end)
end)
