-- `run --report out.html|out.json`: what a run did, in one file of its own.
--
-- Keys of the JSON form: "queuectl_report" (1, the form's number), what the summary has (run, jobs
-- by state, left, failed, seconds, work_seconds, critical_path, slowest, retried, outputs,
-- artifacts), "file", "slots", "started_at", "finished_at", "params", and "list": every job in
-- order of definition with job, name, state, cause, error, exit_code, seconds, waited_seconds,
-- needs, critical, output_end (of those that failed), attempts: attempt, started_at, finished_at,
-- seconds, cause, error.

local core = require "queuectl.core"
local context = require "queuectl.context"
local format = require "queuectl.view.format"
local json = require "queuectl.json"
local output = require "queuectl.output"
local run_facts = require "queuectl.view.run_facts"
local summary = require "queuectl.view.summary"

local report = {}

--- Of failed jobs the last lines are kept, of so many jobs.
local LINES, FAILURES = 20, 200

local function shape_of(path)
    return path:match("%.(html)$") or path:match("%.(json)$")
end

--- true, or nil and why a report cannot be written there; to be asked before anything runs.
function report.check(path)
    if not shape_of(path) then
        return nil, ("--report '%s': must end in .html or .json"):format(path:sub(1, 100))
    end
    local folder = path:match("^(.*)/[^/]*$")
    if folder == "" then folder = "/" end
    if core.stat(folder or ".") ~= "dir" then
        return nil, ("--report '%s': there is no folder '%s'"):format(path:sub(1, 100), folder)
    end
    if core.stat(path) == "dir" then
        return nil, ("--report '%s': is a folder"):format(path:sub(1, 100))
    end
    return true
end

local function is_failure(job)
    return job.state == "dead" or job.state == "cancelled"
end

-- The ends of what failed jobs printed.
local function add_outputs(store, facts)
    local n = 0
    for _, job in ipairs(facts.jobs) do
        if is_failure(job) and n < FAILURES then
            n = n + 1
            job.output_end = output.last_lines(store, job, LINES)
        end
    end
end

local function in_order(facts, plan)
    local place = {}
    for i, job in ipairs(plan and plan.jobs or {}) do place[job.name] = i end
    local list = {}
    for i, job in ipairs(facts.jobs) do list[i] = job end
    table.sort(list, function(a, b)
        local x, y = place[a.name] or math.huge, place[b.name] or math.huge
        if x ~= y then return x < y end
        return a.seq < b.seq
    end)
    return list
end

local function needs_by_name(plan)
    local needs = {}
    for _, job in ipairs(plan and plan.jobs or {}) do
        local names = {}
        for i, need in ipairs(job.needs or {}) do names[i] = plan.jobs[need.job].name end
        needs[job.name] = names
    end
    return needs
end

--- Everything that both forms show.
local function gather(store, run, opts)
    local facts = opts.facts
    if not facts then
        local message, code
        facts, message, code = run_facts.collect(store, run, opts.plan)
        if not facts then return nil, message, code end
    end
    add_outputs(store, facts)
    local on_path = {}
    for _, job in ipairs(facts.path.jobs) do on_path[job] = true end
    return { run = run, facts = facts, list = in_order(facts, opts.plan), on_path = on_path,
        needs = needs_by_name(opts.plan), params = opts.params, slots = opts.slots,
        seconds = opts.seconds or math.max(0, (run.finished_at or core.time()) - run.started_at),
        written_at = core.time(), version = core.version().queuectl }
end

-- ---- as JSON ----

local function milliseconds(seconds)
    return seconds and math.floor(seconds * 1000 + 0.5) / 1000
end

local function attempt_json(attempt)
    return json.object { { "attempt", attempt.attempt },
        { "started_at", format.utc(attempt.started_at) },
        { "finished_at", format.utc(attempt.finished_at) },
        { "seconds", milliseconds(attempt.seconds) }, { "cause", attempt.cause },
        { "error", attempt.error } }
end

local function job_json(data, job)
    local attempts, needs = {}, data.needs[job.name]
    for i, attempt in ipairs(job.tries) do attempts[i] = attempt_json(attempt) end
    return json.object {
        { "job", job.id }, { "name", job.name }, { "state", job.state },
        { "cause", job.cause ~= "none" and job.cause or nil }, { "error", job.error },
        { "exit_code", job.exit_code }, { "signal", job.signal },
        { "allow_failure", job.allow_failure }, { "seconds", milliseconds(job.seconds) },
        { "waited_seconds", milliseconds(job.waited) },
        { "needs", needs and #needs > 0 and json.list(needs) or nil },
        { "critical", data.on_path[job] }, { "attempts", json.list(attempts) },
        { "output_end", job.output_end and json.list(job.output_end) },
    }
end

local function to_json(data)
    local fields = summary.fields(data.run, data.facts, data.seconds)
    local list = {}
    for i, job in ipairs(data.list) do list[i] = job_json(data, job) end
    table.insert(fields, 1, { "queuectl_report", 1 })
    for _, field in ipairs {
        { "file", data.run.path }, { "slots", data.slots },
        { "started_at", format.utc(data.run.started_at) },
        { "finished_at", format.utc(data.run.finished_at) },
        { "params", data.params or json.object {} }, { "list", json.list(list) },
    } do
        fields[#fields + 1] = field
    end
    return json.encode(json.object(fields)) .. "\n"
end

--- Writes the report of a run. opts, all of it optional: `facts` of view/run_facts.lua, `plan`,
-- `params` (name -> value), `seconds`, `slots`. The file is the owner's alone (what jobs print may
-- be nobody else's business) and is whole or not there. true, or nil, message, exit code
function report.write(store, run, path, opts)
    local data, message, code = gather(store, run, opts or {})
    if not data then return nil, message, code end
    local text = shape_of(path) == "json" and to_json(data)
        or require("queuectl.view.report_html").page(data)
    local ok
    ok, message, code = core.write_file(path, text)
    if not ok then return nil, "--report: " .. message, code or context.FAILED end
    return true
end

return report
