-- Finds jobs of a plan that can never run, whatever happens to the others.
--
-- A job runs when each job it needs has ended as it says. One that ended well ran itself, so what
-- that one needs holds, too; one that ended badly may have failed or been skipped for another's
-- failure. `allow_failure` counts as ending well. People who cancel jobs are left out of it.

local text = require "queuectl.jobs.text"

local reach = {}

-- Looked at for contradictions; a plan with more conditions on failure is not searched further.
local BUDGET = 50000000

-- The indexes of all jobs, each after those it needs. There is no cycle in a plan.
local function in_order(jobs)
    local open, dependants, order = {}, {}, {}
    for i, job in ipairs(jobs) do
        open[i] = #job.needs
        if open[i] == 0 then order[#order + 1] = i end
        for _, need in ipairs(job.needs) do
            local list = dependants[need.job] or {}
            list[#list + 1] = i
            dependants[need.job] = list
        end
    end
    local at = 1
    while order[at] do
        for _, i in ipairs(dependants[order[at]] or {}) do
            open[i] = open[i] - 1
            if open[i] == 0 then order[#order + 1] = i end
        end
        at = at + 1
    end
    return order
end

local function name(state, index)
    return text.name(state.jobs[index].name)
end

-- What keeps the job from running, seen from one of its needs, or nil.
local function blocked_by(state, need)
    local other = state.jobs[need.job]
    if need.on == "success" and state.never[need.job] then
        return ("it needs %s, which can never run"):format(name(state, need.job))
    end
    if need.on ~= "failure" or state.may_fail[need.job] then return nil end
    if other.allow_failure then
        return ("it needs %s to fail, but with allow_failure that counts as success"):format(
            name(state, need.job))
    end
    return ("it needs %s to fail, which can never run"):format(name(state, need.job))
end

local function may_fail(state, index)
    local job = state.jobs[index]
    if not job.allow_failure and not state.never[index] then return true end
    for _, need in ipairs(job.needs) do
        if need.on == "success" and state.may_fail[need.job] then return true end
    end
    return false
end

local function follow_needs(state)
    for _, index in ipairs(state.order) do
        local why = state.never[index]
        for _, need in ipairs(state.jobs[index].needs) do
            why = why or blocked_by(state, need)
        end
        state.never[index] = why
        state.may_fail[index] = may_fail(state, index)
    end
end

-- Marks the jobs whose running means that `target` has ended well, and those that need it to have
-- failed. Both is impossible.
local function contradict(state, target)
    local well, badly = {}, {}
    for _, index in ipairs(state.order) do
        local through, is_known
        for _, need in ipairs(state.jobs[index].needs) do
            is_known = is_known or need.on == "success" and state.never[need.job]
            if need.on == "success" and (need.job == target or well[need.job]) then
                well[index] = true
                through = through or need.job
            end
            if need.on == "success" and badly[need.job]
                or need.on == "failure" and need.job == target then
                badly[index] = true
            end
        end
        if well[index] and badly[index] and not is_known then
            state.never[index] = ("it needs %s to fail and, through %s, to succeed"):format(
                name(state, target), name(state, through))
        end
    end
end

local function failure_targets(jobs)
    local seen, targets, edges = {}, {}, #jobs
    for _, job in ipairs(jobs) do
        edges = edges + #job.needs
        for _, need in ipairs(job.needs) do
            if need.on == "failure" and not seen[need.job] then
                seen[need.job] = true
                targets[#targets + 1] = need.job
            end
        end
    end
    return targets, edges
end

--- index -> why this job can never run, for those that cannot.
function reach.unreachable(jobs)
    local state = { jobs = jobs, order = in_order(jobs), never = {}, may_fail = {} }
    local targets, edges = failure_targets(jobs)
    for i = 1, math.min(#targets, math.floor(BUDGET / edges)) do contradict(state, targets[i]) end
    follow_needs(state)
    return state.never
end

return reach
