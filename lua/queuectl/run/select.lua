-- Part of a plan: --only some jobs with what they need, --from a job on.

local suggest = require "queuectl.suggest"
local text = require "queuectl.jobs.text"

local select_jobs = {}

-- "index-*" as a pattern: only * is special.
local function pattern_of(glob)
    return "^" .. glob:gsub("%p", "%%%0"):gsub("%%%*", ".*") .. "$"
end

local function base_name(name)
    return name:match("^(.-)%[") or name
end

local function matches(job, name)
    if job.name == name or base_name(job.name) == name then return true end
    return name:find("*", 1, true) ~= nil and job.name:find(pattern_of(name)) ~= nil
end

local function all_names(jobs)
    local names, seen = {}, {}
    for _, job in ipairs(jobs) do
        for _, name in ipairs { job.name, base_name(job.name) } do
            if not seen[name] then
                seen[name] = true
                names[#names + 1] = name
            end
        end
    end
    return names
end

--- The set of indexes that `names` stand for: a job, all instances of a matrix, or with * a
-- pattern. Or nil and what is wrong.
function select_jobs.find(jobs, names)
    local found = {}
    for _, name in ipairs(names) do
        local any = false
        for i, job in ipairs(jobs) do
            if matches(job, name) then found[i], any = true, true end
        end
        if not any then
            return nil, ("no job %s in the file%s"):format(text.name(name),
                suggest.hint(name, all_names(jobs)))
        end
    end
    return found
end

-- Adds to `found` what follows(i) lists, and what follows from that.
local function close(found, follows)
    local todo = {}
    for i in pairs(found) do todo[#todo + 1] = i end
    local at = 1
    while todo[at] do
        for _, next_one in ipairs(follows(todo[at])) do
            if not found[next_one] then
                found[next_one] = true
                todo[#todo + 1] = next_one
            end
        end
        at = at + 1
    end
    return found
end

local function parents_of(jobs)
    return function(i)
        local parents = {}
        for k, need in ipairs(jobs[i].needs or {}) do parents[k] = need.job end
        return parents
    end
end

local function children_of(jobs)
    local children = {}
    for i, job in ipairs(jobs) do
        for _, need in ipairs(job.needs or {}) do
            children[need.job] = children[need.job] or {}
            table.insert(children[need.job], i)
        end
    end
    return function(i) return children[i] or {} end
end

-- A copy of what stands in lists of needs, arguments and variables, with the new numbers.
local function renumber(entries, number)
    if not entries then return nil end
    local copy = {}
    for i, entry in ipairs(entries) do
        copy[i] = entry
        if type(entry) == "table" and entry.job then
            copy[i] = {}
            for key, value in pairs(entry) do copy[i][key] = value end
            copy[i].job = number[entry.job]
        end
    end
    return copy
end

local function with_numbers(job, number)
    local copy = {}
    for key, value in pairs(job) do copy[key] = value end
    copy.needs = renumber(job.needs, number)
    copy.argv = renumber(job.argv, number)
    copy.env = renumber(job.env, number)
    return copy
end

--- The jobs whose index is in `found`, in their order; all they need must be among them.
function select_jobs.keep(jobs, found)
    local number, kept = {}, {}
    for i in ipairs(jobs) do
        if found[i] then
            kept[#kept + 1] = i
            number[i] = #kept
        end
    end
    local result = {}
    for k, i in ipairs(kept) do result[k] = with_numbers(jobs[i], number) end
    return result
end

--- The jobs `names` with all they need, directly or not; or nil and what is wrong.
function select_jobs.only(jobs, names)
    local found, message = select_jobs.find(jobs, names)
    if not found then return nil, message end
    return select_jobs.keep(jobs, close(found, parents_of(jobs)))
end

--- A job that does not run but has the result of the job `seq` of the store: what it needs itself,
-- and values it would get from others, do not matter.
function select_jobs.taken_over(job, seq)
    local copy = {}
    for key, value in pairs(job) do copy[key] = value end
    copy.done_as, copy.needs, copy.env = seq, {}, {}
    copy.argv = job.argv and { "true" }
    return copy
end

-- The numbers in the store of the jobs in `needed`, as earlier(name) gives them; or nil, message,
-- exit code.
local function results_of(jobs, needed, earlier)
    local seqs = {}
    for i, job in ipairs(jobs) do
        if needed[i] then
            local message, code
            seqs[i], message, code = earlier(job.name)
            if message then return nil, message, code end
            if not seqs[i] then
                local name = text.name(job.name)
                return nil, ("job %s, which is needed, has not completed in an earlier run; leave "
                    .. "out --from, or run it first: --only %s"):format(name, name)
            end
        end
    end
    return seqs
end

--- The job `name` and all that depends on it, directly or not. What these need besides must have
-- completed earlier: earlier(job name) gives its number in the store, or nil[, message, exit code].
-- Or nil, what is wrong[, exit code].
function select_jobs.from(jobs, name, earlier)
    local found, message = select_jobs.find(jobs, { name })
    if not found then return nil, message end
    close(found, children_of(jobs))
    local needed = {}
    for i in pairs(found) do
        for _, need in ipairs(jobs[i].needs or {}) do
            if not found[need.job] then needed[need.job] = true end
        end
    end
    local seqs, wrong, code = results_of(jobs, needed, earlier)
    if not seqs then return nil, wrong, code end
    local kept = {}
    for i, job in ipairs(jobs) do
        kept[i] = seqs[i] and select_jobs.taken_over(job, seqs[i]) or job
        found[i] = found[i] or needed[i]
    end
    return select_jobs.keep(kept, found)
end

return select_jobs
