-- Steps, critical path and schedule of a plan, against the plainest way to compute them.

local critical = require "queuectl.critical"
local t = require "support"

-- { { 2 }, {} }: job 1 needs job 2.
local function graph(edges)
    local jobs = {}
    for i, list in ipairs(edges) do
        jobs[i] = { name = "j" .. i, needs = {} }
        for k, job in ipairs(list) do jobs[i].needs[k] = { job = job, on = "success" } end
    end
    return jobs
end

-- A random graph without cycles whose jobs are defined in any order.
local function random_graph(r, n)
    local place, edges = {}, {}
    for i = 1, n do place[i] = i end
    for i = n, 2, -1 do
        local k = r(1, i)
        place[i], place[k] = place[k], place[i]
    end
    for i = 1, n do edges[place[i]] = {} end
    for i = 2, n do
        for k = 1, i - 1 do
            if r() < 0.3 then table.insert(edges[place[i]], place[k]) end
        end
    end
    local seconds = {}
    for i = 1, n do seconds[i] = r(0, 9) end
    return graph(edges), seconds
end

-- Length of the longest chain that ends with job i, and its number of jobs, by trying them all.
local function longest(jobs, seconds, i)
    local best, depth = 0, 0
    for _, need in ipairs(jobs[i].needs) do
        local length, jobs_before = longest(jobs, seconds, need.job)
        best, depth = math.max(best, length), math.max(depth, jobs_before)
    end
    return best + seconds[i], depth + 1
end

-- Second by second: every free slot takes the first job that can start.
local function simulate(jobs, seconds, slots)
    local ends, now, left = {}, 0, #jobs
    local function is_ready(i)
        if ends[i] then return false end
        for _, need in ipairs(jobs[i].needs) do
            if not ends[need.job] or ends[need.job] > now then return false end
        end
        return true
    end
    local function busy()
        local n = 0
        for _, at in pairs(ends) do n = n + (at > now and 1 or 0) end
        return n
    end
    local function start_one()
        for i = 1, #jobs do
            if busy() < slots and is_ready(i) then
                ends[i], left = now + seconds[i], left - 1
                return true
            end
        end
    end
    while left > 0 do
        while start_one() do end
        if left > 0 then now = now + 1 end
    end
    local last = 0
    for _, at in pairs(ends) do last = math.max(last, at) end
    return last
end

describe("critical", function()
    it("agrees with the plainest way on small graphs", function()
        local r = t.rng()
        for _ = 1, 300 do
            local jobs, seconds = random_graph(r, r(1, 8))
            local steps, order = critical.steps(jobs)
            local best = 0
            for i = 1, #jobs do
                local length, depth = longest(jobs, seconds, i)
                best = math.max(best, length)
                assert.equal(depth, steps[i])
            end
            assert.equal(#jobs, #order)
            local length, path = critical.path(jobs, seconds)
            assert.equal(best, length)
            local sum = 0
            for n, i in ipairs(path) do
                sum = sum + seconds[i]
                local needed = n == 1
                for _, need in ipairs(jobs[i].needs) do
                    needed = needed or need.job == path[n - 1]
                end
                assert.is_true(needed, "the path is no chain")
            end
            assert.equal(best, sum)
            for slots = 1, 3 do
                assert.equal(simulate(jobs, seconds, slots),
                             (critical.schedule(jobs, seconds, slots)))
            end
            assert.equal(best, (critical.schedule(jobs, seconds, #jobs)))
        end
    end)

    it("knows of no jobs", function()
        assert.same({ 0, {} }, { critical.path({}, {}) })
        assert.equal(0, (critical.schedule({}, {}, 4)))
    end)

    it("starts what has priority first", function()
        local jobs = graph { {}, {}, {} }
        jobs[3].priority = 5
        local _, starts = critical.schedule(jobs, { 1, 1, 1 }, 1)
        assert.same({ 1, 2, 0 }, starts)
    end)

    it("leaves out what runs only after a failure", function()
        local jobs = graph { {}, { 1 }, { 2 }, { 2 } }
        jobs[2].needs[1].on, jobs[4].needs[1].on = "failure", "done"
        assert.same({ true, nil, nil, true }, critical.expected(jobs))
        local times = { j1 = 2, j2 = 50, j3 = 50, j4 = 3 }
        assert.same({ 2, 0, 0, 3 }, (critical.seconds(jobs, times)))
    end)

    it("takes the median for what was not measured, and nothing from too little", function()
        local jobs = graph { {}, {}, {}, {} }
        assert.same({ 1, 2, 9, 2 }, (critical.seconds(jobs, { j1 = 1, j2 = 2, j3 = 9 })))
        assert.equal(1, select(2, critical.seconds(jobs, { j1 = 1, j2 = 2, j3 = 9 })))
        assert.is_nil(critical.seconds(jobs, { j1 = 1 }))
        assert.is_nil(critical.seconds(jobs, {}))
    end)

    it("is quick with ten thousand jobs and as many dependencies, also in one chain", function()
        local r = t.rng(7)
        local wide, chain, seconds = {}, {}, {}
        for i = 1, 10000 do
            wide[i], chain[i], seconds[i] = {}, { i > 1 and i - 1 or nil }, r(1, 100)
            for _ = 1, i > 1 and 3 or 0 do table.insert(wide[i], r(1, i - 1)) end
        end
        for _, edges in ipairs { wide, chain } do
            local jobs = graph(edges)
            local before = os.clock()
            critical.path(jobs, seconds)
            critical.schedule(jobs, seconds, 16)
            local took = os.clock() - before
            assert(took < 0.2, took .. " s")
        end
    end)
end)
