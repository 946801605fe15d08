-- What the shape of a plan says about time: the step at which each job can start, the chain that
-- takes longest (the critical path), and how long a number of slots need. Pure, no recursion: a
-- chain may be as long as memory allows. Jobs are a list; job.needs is a list of
-- { job = index, on = "success" | "failure" | "done" }.

local critical = {}

local NONE = {}

--- Lists of indexes: who waits for each job (false: nobody).
function critical.children(jobs)
    local children = {}
    for i = 1, #jobs do children[i] = false end
    for i, job in ipairs(jobs) do
        for _, need in ipairs(job.needs or NONE) do
            local list = children[need.job]
            if not list then
                list = {}
                children[need.job] = list
            end
            list[#list + 1] = i
        end
    end
    return children
end

--- The earliest step of each job (1: waits for nothing), and the indexes in an order in which
-- every job stands behind what it needs: step by step, as far as that goes.
function critical.steps(jobs, children)
    children = children or critical.children(jobs)
    local steps, waits, order = {}, {}, {}
    for i, job in ipairs(jobs) do
        waits[i] = #(job.needs or NONE)
        if waits[i] == 0 then
            order[#order + 1] = i
            steps[i] = 1
        end
    end
    local at = 1
    while order[at] do
        local i = order[at]
        for _, child in ipairs(children[i] or NONE) do
            steps[child] = math.max(steps[child] or 1, steps[i] + 1)
            waits[child] = waits[child] - 1
            if waits[child] == 0 then order[#order + 1] = child end
        end
        at = at + 1
    end
    return steps, order
end

--- Which jobs run if every one that starts succeeds (index -> true): not those for the case of a
-- failure, and not those that need one of them to succeed.
function critical.expected(jobs, order)
    order = order or select(2, critical.steps(jobs))
    local runs = {}
    for _, i in ipairs(order) do
        runs[i] = true
        for _, need in ipairs(jobs[i].needs or NONE) do
            local on = need.on or "success"
            if on == "failure" or on == "success" and not runs[need.job] then
                runs[i] = nil
                break
            end
        end
    end
    return runs
end

--- Seconds from the start of each job to the end of the longest chain that begins with it.
-- seconds: list of numbers (nil counts as 0). Also returns what follows in that chain.
function critical.tails(jobs, seconds, order)
    order = order or select(2, critical.steps(jobs))
    local after, following, tails = {}, {}, {}
    for n = #order, 1, -1 do
        local i = order[n]
        local tail = (seconds[i] or 0) + (after[i] or 0)
        tails[i] = tail
        for _, need in ipairs(jobs[i].needs or NONE) do
            local parent = need.job
            local best, other = after[parent], following[parent]
            if not best or tail > best or tail == best and i < other then
                after[parent], following[parent] = tail, i
            end
        end
    end
    return tails, following
end

--- The longest chain: its seconds and its indexes from first to last. Of equal ones the one
-- defined first. 0 and {} where there are no jobs.
function critical.path(jobs, seconds, order)
    local tails, following = critical.tails(jobs, seconds, order)
    local at
    for i = 1, #jobs do
        if tails[i] and (not at or tails[i] > tails[at]) then at = i end
    end
    local length, path = at and tails[at] or 0, {}
    while at do
        path[#path + 1] = at
        at = following[at]
    end
    -- Jobs of no length at the end say nothing.
    while #path > 1 and (seconds[path[#path]] or 0) == 0 do path[#path] = nil end
    return length, path
end

-- ---- how long it takes on some slots ----

-- A binary heap of items; less(a, b).
local function push(heap, item, less)
    local at = #heap + 1
    while at > 1 do
        local up = math.floor(at / 2)
        if not less(item, heap[up]) then break end
        heap[at] = heap[up]
        at = up
    end
    heap[at] = item
end

local function pop(heap, less)
    local top, last, n = heap[1], heap[#heap], #heap - 1
    heap[n + 1] = nil
    if n == 0 then return top end
    local at = 1
    while true do
        local child = at * 2
        if child < n and less(heap[child + 1], heap[child]) then child = child + 1 end
        if child > n or not less(heap[child], last) then break end
        heap[at] = heap[child]
        at = child
    end
    heap[at] = last
    return top
end

local function ends_first(a, b)
    if a.at ~= b.at then return a.at < b.at end
    return a.job < b.job
end

-- As the store hands jobs out: by priority, then in order of definition.
local function starts_first(jobs)
    return function(a, b)
        local x, y = jobs[a].priority or 0, jobs[b].priority or 0
        if x ~= y then return x > y end
        return a < b
    end
end

--- Seconds until all jobs have ended when `slots` of them run at a time, each as soon as it can.
-- Also returns when each started.
function critical.schedule(jobs, seconds, slots)
    local children, waits, ready, running = critical.children(jobs), {}, {}, {}
    local first, starts, now = starts_first(jobs), {}, 0
    for i, job in ipairs(jobs) do
        waits[i] = #(job.needs or NONE)
        if waits[i] == 0 then push(ready, i, first) end
    end
    while ready[1] or running[1] do
        if running[1] and (running[1].at <= now or not ready[1] or #running >= slots) then
            local ended = pop(running, ends_first)
            now = ended.at
            for _, child in ipairs(children[ended.job] or NONE) do
                waits[child] = waits[child] - 1
                if waits[child] == 0 then push(ready, child, first) end
            end
        else
            local i = pop(ready, first)
            starts[i] = now
            push(running, { job = i, at = now + (seconds[i] or 0) }, ends_first)
        end
    end
    return now, starts
end

-- ---- what earlier runs measured ----

-- What a job not measured yet may take: as long as the others did on the whole.
local function typical(known)
    if #known == 0 then return nil end
    table.sort(known)
    return known[math.ceil(#known / 2)]
end

--- Seconds of each job by the times of an earlier run (name -> seconds): those of jobs that will
-- not run are 0, unknown ones the median of the known. nil when less than half are known.
-- The second result is the number of unknown ones.
function critical.seconds(jobs, times, order)
    local runs, list, known, wanted = critical.expected(jobs, order), {}, {}, 0
    for i, job in ipairs(jobs) do
        if runs[i] then
            wanted = wanted + 1
            known[#known + 1] = times[job.name]
        end
    end
    if #known == 0 or #known * 2 < wanted then return nil end
    local unknown = wanted - #known
    local median = typical(known)
    for i, job in ipairs(jobs) do
        list[i] = runs[i] and (times[job.name] or median) or 0
    end
    return list, unknown
end

return critical
