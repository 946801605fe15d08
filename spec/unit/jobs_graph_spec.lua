-- Dependencies: cycles, and graphs of the sizes people may build.

local graph = require "queuectl.jobs.graph"
local jobs = require "queuectl.jobs"

local function plan(source)
    return jobs.plan(source, "/srv/jobs.lua", { display = "jobs.lua" })
end

-- edges { { 2 }, { 1, 3 }, {} }: job 1 needs 2, job 2 needs 1 and 3.
local function find_cycle(edges)
    local needs_of = {}
    for i, list in ipairs(edges) do
        needs_of[i] = {}
        for k, job in ipairs(list) do needs_of[i][k] = { job = job } end
    end
    return graph.find_cycle(#edges, needs_of)
end

describe("graph.find_cycle", function()
    it("finds none where there is none", function()
        assert.is_nil(find_cycle {})
        assert.is_nil(find_cycle { {}, { 1 }, { 1, 2 } })
        assert.is_nil(find_cycle { { 2, 3 }, { 3 }, {} })
    end)

    it("begins with the job defined first and follows the needs", function()
        assert.same({ 1, 2 }, find_cycle { { 2 }, { 1 } })
        assert.same({ 1, 3, 2 }, find_cycle { { 3 }, { 1 }, { 2 } })
        assert.same({ 2, 4, 3 }, find_cycle { { 2 }, { 4 }, { 2 }, { 3 } })
    end)

    it("finds the shortest", function()
        assert.same({ 4, 5 }, find_cycle { { 2 }, { 3 }, { 1, 4 }, { 5 }, { 4, 1 } })
        assert.same({ 1, 4 }, find_cycle { { 2, 4 }, { 3 }, { 4 }, { 1 } })
        assert.same({ 3, 4, 5 }, find_cycle { { 2 }, { 3 }, { 4, 1 }, { 5 }, { 3, 6 }, { 2 } })
    end)

    it("finds one behind any number of jobs that only wait for it", function()
        local edges = {}
        for i = 1, 1000 do edges[i] = { i + 1 } end
        edges[1001], edges[1002], edges[1003] = { 1002 }, { 1003 }, { 1001 }
        assert.same({ 1001, 1002, 1003 }, find_cycle(edges))
    end)

    it("finds one of 100,000 jobs", function()
        local edges = {}
        for i = 1, 100000 do edges[i] = { i % 100000 + 1 } end
        assert.equal(100000, #find_cycle(edges))
    end)

    it("agrees with a search of every path in small random graphs", function()
        math.randomseed(3)
        local function shortest(edges)
            local best
            local function visit(start, at, length, seen)
                for _, job in ipairs(edges[at]) do
                    if job == start then best = math.min(best or length, length) end
                    if job > start and not seen[job] then
                        seen[job] = true
                        visit(start, job, length + 1, seen)
                        seen[job] = nil
                    end
                end
            end
            for i = 1, #edges do visit(i, i, 1, {}) end
            return best
        end
        for _ = 1, 300 do
            local edges = {}
            for i = 1, 7 do
                edges[i] = {}
                for job = 1, 7 do
                    if job ~= i and math.random() < 0.15 then table.insert(edges[i], job) end
                end
            end
            local cycle = find_cycle(edges)
            assert.equal(shortest(edges), cycle and #cycle)
            for i, job in ipairs(cycle or {}) do
                local following, found = cycle[i % #cycle + 1], false
                for _, need in ipairs(edges[job]) do found = found or need == following end
                assert.is_true(found)
            end
        end
    end)
end)

describe("a dependency cycle", function()
    local function refused(source, message)
        assert.equal(message, select(2, plan(source)))
    end

    it("is told as a whole, without a line", function()
        refused('job "a" { run = "x", needs = "b" }\njob "b" { run = "x", needs = "a" }',
            "dependency cycle: a -> b -> a")
        refused('job "b" { run = "x", needs = "a" }\njob "a" { run = "x", needs = "b" }',
            "dependency cycle: b -> a -> b")
    end)

    it("through matrix jobs names instances", function()
        refused('job "a" { run = "x", needs = "b", matrix = { k = { 1, 2 } } }\n'
            .. 'job "b" { run = "x", needs = "a" }',
            "dependency cycle: a[k=1] -> b -> a[k=1]")
    end)

    it("is shortened when it is long", function()
        refused([[
            for i = 1, 20 do job("j" .. i) { run = "x", needs = "j" .. i % 20 + 1 } end]],
            "dependency cycle: j1 -> j2 -> j3 -> j4 -> j5 -> j6 -> j7 -> j8 -> j9 -> j10 -> j11 "
                .. "-> j12 -> ... 8 more ... -> j1")
    end)

    it("of a job with itself is a problem of its line", function()
        refused('\njob "a" { run = "x", needs = { "a" } }', "jobs.lua:2: job 'a' needs itself")
    end)
end)

describe("a large plan", function()
    local function timed(limit_s, source)
        collectgarbage()
        local start = os.clock()
        local planned, message = plan(source)
        local took = os.clock() - start
        assert.is_true(took <= limit_s, ("%.2f s"):format(took))
        return planned, message
    end

    local CHAIN = [[
        defaults { env = { A = "1" }, retries = 2 }
        local previous
        for i = 1, %d do
            previous = job("job-" .. i) {
                run = "echo " .. i, needs = previous, env = { I = i }, timeout = "5m",
            }
        end]]

    it("of 10,000 jobs takes at most a second", function()
        assert.equal(10000, #timed(1, CHAIN:format(10000)).jobs)
    end)

    it("of 100,000 jobs in one chain takes at most ten", function()
        local planned = timed(10, CHAIN:format(100000))
        assert.same({ { job = 99999, on = "success" } }, planned.jobs[100000].needs)
    end)

    it("may be full of mistakes", function()
        local _, message = timed(2, [[
            for i = 1, 20000 do job("j" .. i) { run = "x", needs = "jj" .. i } end]])
        assert.truthy(message:find("\njobs.lua: 19980 more problems$"))
    end)

    it("may join every one of 100 jobs with every one of 100 others", function()
        local planned = timed(1, [[
            local first = {}
            for i = 1, 100 do first[i] = job("a" .. i) { run = "x" } end
            for i = 1, 100 do job("b" .. i) { run = "x", needs = first } end]])
        assert.equal(100, #planned.jobs[200].needs)
        planned = timed(1, [[
            local values = {}
            for i = 1, 100 do values[i] = i end
            local a = job "a" { run = "x", matrix = { k = values } }
            job "b" { run = "x", matrix = { k = values }, needs = a }]])
        assert.equal(100, #planned.jobs[200].needs)
    end)

    it("of more than a million dependencies is refused", function()
        local _, message = timed(5, [[
            local values = {}
            for i = 1, 1001 do values[i] = i end
            local a = job "a" { run = "x", matrix = { k = values } }
            job "b" { run = "x", matrix = { k = values }, needs = a }]])
        assert.equal("jobs.lua:4: more than 1000000 dependencies in one file; "
            .. "put a job between the groups that wait for each other", message)
    end)

    it("may be written out job by job", function()
        local lines = {}
        for i = 1, 10000 do lines[i] = ('job "j%d" { run = "echo %d" }'):format(i, i) end
        assert.equal(10000, timed(1, table.concat(lines, "\n")).jobs[10000].line)
    end)
end)
