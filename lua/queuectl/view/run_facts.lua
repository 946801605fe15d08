-- What there is to say of a run once it has stopped, for the summary and the report: its jobs with
-- what they took, counts, the critical path as it was, the slowest, what needed more than one try.

local critical = require "queuectl.critical"
local run_jobs = require "queuectl.run.jobs"

local run_facts = {}

local SLOWEST = 5

-- What of a job is needed: ten thousand of them are kept.
local KEPT = { "id", "seq", "name", "state", "cause", "error", "attempts", "retries", "token",
    "started_at", "finished_at", "created_at", "allow_failure", "exit_code", "signal", "kind",
    "artifacts" }

local function compact(job)
    local kept = {}
    for _, key in ipairs(KEPT) do kept[key] = job[key] end
    kept.label = job.name or job.id
    return kept
end

-- Attempts of a job as { started_at, finished_at, seconds, cause, error, attempt }. The job's own
-- times would not do: one that was taken ahead of its turn says when it was taken.
local function attempts_of(store, job, times)
    local seconds = job.state == "completed" and job.token == 1 and times[job.name]
    if seconds then
        return { { started_at = math.max(job.started_at, job.finished_at - seconds),
            finished_at = job.finished_at, seconds = seconds, cause = job.cause, attempt = 1 } }
    end
    local list = {}
    for i, attempt in ipairs(job.token > 0 and store:attempts(job.seq) or {}) do
        list[i] = { started_at = attempt.started_at, finished_at = attempt.finished_at,
            seconds = attempt.duration, cause = attempt.cause, error = attempt.error,
            attempt = attempt.attempt }
    end
    if job.state == "processing" and job.started_at then
        list[#list + 1] = { started_at = job.started_at, attempt = job.attempts }
    end
    return list
end

local function measure(facts, store, job)
    local seconds = 0
    job.tries = attempts_of(store, job, facts.times)
    for _, attempt in ipairs(job.tries) do seconds = seconds + (attempt.seconds or 0) end
    job.seconds = #job.tries > 0 and seconds or nil
    facts.work = facts.work + seconds
end

-- The times of all that completed, asked for at once, where names are sure to be unique: jobs that
-- were added by others may bear the same.
local function known_times(store, run)
    if (run.added or 0) > 0 then return {} end
    return store:run_times(run.id)
end

local function add(facts, store, job)
    facts.counts[job.state] = (facts.counts[job.state] or 0) + 1
    facts.jobs[#facts.jobs + 1] = job
    if job.name then facts.by_name[job.name] = job end
    measure(facts, store, job)
end

local function slowest(jobs)
    local list = {}
    for _, job in ipairs(jobs) do
        if job.seconds then list[#list + 1] = job end
    end
    table.sort(list, function(a, b)
        if a.seconds ~= b.seconds then return a.seconds > b.seconds end
        return a.seq < b.seq
    end)
    local top = {}
    for i = 1, math.min(SLOWEST, #list) do top[i] = list[i] end
    return top
end

-- Completed, but not at the first try.
local function flaky(jobs)
    local list = {}
    for _, job in ipairs(jobs) do
        if job.state == "completed" and job.attempts > 1 then list[#list + 1] = job end
    end
    return list
end

-- Why a job was skipped, back to what did not only wait itself.
local function root_cause(facts, job)
    local seen = 0
    while job.error and seen < #facts.jobs do
        local name = job.error:match("^needs '(.*)', which is skipped$")
        local needed = name and facts.by_name[name]
        if not needed or needed.state ~= "skipped" then break end
        job, seen = needed, seen + 1
    end
    return job.error or job.cause
end

local function skipped_by_cause(facts)
    local list, by_cause = {}, {}
    for _, job in ipairs(facts.jobs) do
        if job.state == "skipped" then
            local cause = root_cause(facts, job)
            local group = by_cause[cause]
            if not group then
                group = { cause = cause, jobs = {} }
                by_cause[cause], list[#list + 1] = group, group
            end
            group.jobs[#group.jobs + 1] = job
        end
    end
    return list
end

--- The chain of jobs that took longest: { seconds =, jobs = { job, … } }. Empty without a plan.
local function critical_path(facts, plan)
    local seconds = {}
    for i, job in ipairs(plan and plan.jobs or {}) do
        local ran = facts.by_name[job.name]
        seconds[i] = ran and ran.seconds or 0
    end
    local length, path = critical.path(plan and plan.jobs or {}, seconds)
    local jobs = {}
    for _, i in ipairs(path) do jobs[#jobs + 1] = facts.by_name[plan.jobs[i].name] end
    return { seconds = length, jobs = jobs }
end

-- Seconds each job waited for a slot: from when the last of what it needs had ended (or it was
-- enqueued) to its first start.
local function queue_waits(facts, plan)
    local ready = {}
    for _, job in ipairs(plan and plan.jobs or {}) do
        local latest
        for _, need in ipairs(job.needs or {}) do
            local needed = facts.by_name[plan.jobs[need.job].name]
            local ended = needed and needed.finished_at
            if ended and (not latest or ended > latest) then latest = ended end
        end
        ready[job.name] = latest
    end
    for _, job in ipairs(facts.jobs) do
        local first = job.tries[1]
        local since = ready[job.name] or job.created_at
        if first and since then job.waited = math.max(0, first.started_at - since) end
    end
end

-- What the last job of the file has to say, and what jobs left behind.
local function results(facts, store, run, plan)
    local last = facts.jobs[#facts.jobs]
    if plan and plan.jobs[1] then last = facts.by_name[plan.jobs[#plan.jobs].name] or last end
    if run.left == 0 and run.failed == 0 and last and last.state == "completed" then
        facts.last = last
        facts.outputs = store:values(last.seq) or {}
    end
    facts.artifacts = {}
    for _, job in ipairs(facts.jobs) do
        local list = job.artifacts and job.artifacts[1] and store:artifacts(job.seq)
            or {}
        if #list > 0 then facts.artifacts[#facts.artifacts + 1] = { job = job, list = list } end
    end
end

--- plan: { jobs } as planned, may be nil. Returns { jobs, counts, by_name, work, path, slowest,
-- flaky, skipped, outputs, artifacts }, or nil, message, exit code. Times are in seconds.
function run_facts.collect(store, run, plan)
    local facts = { jobs = {}, counts = {}, by_name = {}, work = 0 }
    local ok, message, code
    facts.times, message, code = known_times(store, run)
    if not facts.times then return nil, message, code end
    ok, message, code = run_jobs.each(store, run.id, function(job)
        add(facts, store, compact(job))
    end)
    if not ok then return nil, message, code end
    facts.path = critical_path(facts, plan)
    facts.slowest, facts.flaky = slowest(facts.jobs), flaky(facts.jobs)
    facts.skipped = skipped_by_cause(facts)
    queue_waits(facts, plan)
    results(facts, store, run, plan)
    return facts
end

--- Names of jobs that will not run any more, for going on with a run: name -> true.
function run_facts.finished(store, run)
    local names = {}
    local ok, message, code = run_jobs.each(store, run.id, function(job)
        local state = job.state
        if job.name and (state == "completed" or state == "dead" or state == "skipped"
                or state == "cancelled") then
            names[job.name] = true
        end
    end)
    if not ok then return nil, message, code end
    return names
end

local RUNS_REMEMBERED = 3

--- What jobs of this file took lately: name -> seconds, by the newest run that has measured it. nil
-- where nothing was. To be asked before a new run of the file begins.
function run_facts.times(store, path)
    local query = { path = path, limit = RUNS_REMEMBERED }
    local runs, message, code = store:runs(query)
    if not runs then return nil, message, code end
    local times = {}
    for _, run in ipairs(runs) do
        local measured
        measured, message, code = store:run_times(run.id)
        if not measured then return nil, message, code end
        for name, seconds in pairs(measured) do times[name] = times[name] or seconds end
    end
    return next(times) and times or nil
end

return run_facts
