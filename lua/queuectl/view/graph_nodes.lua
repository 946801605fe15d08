-- A plan as a graph to draw: jobs that differ only in the values of a matrix, or in a number where
-- there are many, are one node. Only jobs of the same step come together, so that no cycle can
-- come of it.

local critical = require "queuectl.critical"
local groups = require "queuectl.view.groups"

local graph_nodes = {}

--- Jobs whose names differ in a number become one node from so many on.
local MANY = 5

local function node_keys(jobs, steps)
    local keys, sizes = {}, {}
    for i, job in ipairs(jobs) do
        keys[i] = steps[i] .. " " .. groups.label(job.name)
        sizes[keys[i]] = (sizes[keys[i]] or 0) + 1
    end
    for i, job in ipairs(jobs) do
        local is_matrix = job.name:find("%[.*%]$")
        if sizes[keys[i]] < (is_matrix and 2 or MANY) then keys[i] = steps[i] .. "=" .. job.name end
    end
    return keys, sizes
end

local function label_of(job, size)
    if size == 1 then return job.name end
    local base = job.name:match("^(.-)%[.*%]$") or groups.label(job.name)
    return ("%s ×%d"):format(base, size)
end

local function place(jobs, steps, found)
    local keys, list, by_key, of = node_keys(jobs, steps), {}, {}, {}
    for i in ipairs(jobs) do
        local node = by_key[keys[i]]
        if not node then
            node = { id = #list + 1, step = steps[i], members = {}, needs = {}, children = {} }
            by_key[keys[i]], list[node.id] = node, node
        end
        node.members[#node.members + 1] = i
        of[i] = node
        if found then
            node.seconds = math.max(node.seconds or 0, found.seconds[i])
            node.is_critical = node.is_critical or found.on_path[i]
        end
    end
    return list, of
end

--- Nodes in order of definition: { id, label, step, members = { index, … }, needs, children =
-- { node, … }, seconds, is_critical }. A need is { node =, on =, count = of its jobs are needed };
-- `on` is "mixed" where jobs have different conditions. `found` is of view/estimate.lua or nil.
function graph_nodes.of(jobs, found)
    local steps = critical.steps(jobs)
    local list, of = place(jobs, steps, found)
    for i, job in ipairs(jobs) do
        local node = of[i]
        node.by_need = node.by_need or {}
        for _, need in ipairs(job.needs or {}) do
            local parent, on = of[need.job], need.on or "success"
            local known = node.by_need[parent]
            if not known then
                known = { node = parent, on = on, jobs = {}, count = 0 }
                node.by_need[parent], node.needs[#node.needs + 1] = known, known
                parent.children[#parent.children + 1] = node
            elseif known.on ~= on then
                known.on = "mixed"
            end
            if not known.jobs[need.job] then
                known.jobs[need.job], known.count = true, known.count + 1
            end
        end
    end
    for _, node in ipairs(list) do
        node.label = label_of(jobs[node.members[1]], #node.members)
    end
    return list
end

return graph_nodes
