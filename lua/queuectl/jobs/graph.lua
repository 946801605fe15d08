-- Finds a cycle in the dependencies of a plan. Nothing here recurses: a chain may be as long as
-- memory allows.

local graph = {}

-- Edges looked at while a shorter cycle than the first one found is searched for.
local SEARCH_BUDGET = 1000000

-- Kahn's algorithm: takes away, again and again, jobs that need nothing that is left. Returns
-- the set of those that remain (index -> true), or nil when none do.
local function remaining(count, needs_of)
    local open, dependants, queue = {}, {}, {}
    for i = 1, count do dependants[i] = false end
    for i = 1, count do
        open[i] = #needs_of[i]
        if open[i] == 0 then queue[#queue + 1] = i end
        for _, need in ipairs(needs_of[i]) do
            local list = dependants[need.job] or {}
            list[#list + 1] = i
            dependants[need.job] = list
        end
    end
    local done = 0
    while done < #queue do
        done = done + 1
        for _, i in ipairs(dependants[queue[done]] or {}) do
            open[i] = open[i] - 1
            if open[i] == 0 then queue[#queue + 1] = i end
        end
    end
    if done == count then return nil end
    local left = {}
    for i = 1, count do left[i] = open[i] > 0 or nil end
    return left
end

-- Every job that is left needs another one that is left: following the first such need must
-- come back to where it has been.
local function walk(start, left, needs_of)
    local place, path, at = {}, {}, start
    while not place[at] do
        path[#path + 1] = at
        place[at] = #path
        local following
        for _, need in ipairs(needs_of[at]) do
            if left[need.job] then following = need.job break end
        end
        at = following
    end
    local cycle = {}
    for i = place[at], #path do cycle[#cycle + 1] = path[i] end
    return cycle
end

local function trace(parent, start, last)
    local backwards, at = {}, last
    while at ~= start do
        backwards[#backwards + 1] = at
        at = parent[at]
    end
    local cycle = { start }
    for i = #backwards, 1, -1 do cycle[#cycle + 1] = backwards[i] end
    return cycle
end

-- Breadth first from `start`: the shortest cycle through it with fewer than `best` jobs, or nil;
-- and the edges looked at.
local function shortest_through(start, best, left, needs_of, budget)
    local parent, depth, queue, head, looked = { [start] = 0 }, { [start] = 1 }, { start }, 1, 0
    while queue[head] and depth[queue[head]] < best and looked < budget do
        local at = queue[head]
        head = head + 1
        for _, need in ipairs(needs_of[at]) do
            local job = need.job
            looked = looked + 1
            if job == start then return trace(parent, start, at), looked end
            if left[job] and not parent[job] then
                parent[job], depth[job] = at, depth[at] + 1
                queue[#queue + 1] = job
            end
        end
    end
    return nil, looked
end

local function begin_with_smallest(cycle)
    local first = 1
    for i = 2, #cycle do
        if cycle[i] < cycle[first] then first = i end
    end
    local rotated = {}
    for i = 0, #cycle - 1 do rotated[i + 1] = cycle[(first - 1 + i) % #cycle + 1] end
    return rotated
end

--- The indexes of a cycle in the order "needs", beginning with the smallest, or nil. It is the
-- shortest one there is, unless the graph is so large that the search for it was cut short.
-- `needs_of[i]` is a list of { job = index }; no job needs itself.
function graph.find_cycle(count, needs_of)
    local left = remaining(count, needs_of)
    if not left then return nil end
    local best, budget
    budget = SEARCH_BUDGET
    for start = 1, count do
        if left[start] then
            best = best or walk(start, left, needs_of)
            if #best == 2 or budget <= 0 then break end
            local shorter, looked = shortest_through(start, #best, left, needs_of, budget)
            best, budget = shorter or best, budget - looked
        end
    end
    return begin_with_smallest(best)
end

return graph
