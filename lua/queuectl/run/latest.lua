-- A job of a run as its file says now: retry --latest.

local core = require "queuectl.core"
local context = require "queuectl.context"
local program = require "queuectl.jobs.program"
local run_file = require "queuectl.run_file"
local spec = require "queuectl.spec"
local start = require "queuectl.run.start"
local suggest = require "queuectl.suggest"
local text = require "queuectl.jobs.text"

local latest = {}

-- The job and the run it belongs to; or nil, message, exit code.
local function find(store, id)
    local job, message, code = store:get(id)
    if message then return nil, message, code end
    if not job then
        return nil, ("no job %s; see them with: queuectl list"):format(text.name(id)),
            context.NOT_FOUND
    end
    if not job.run or job.run == 0 or not job.name then
        return nil, ("job '%s' comes from no jobs file; leave out --latest, or enqueue it anew")
            :format(id), context.STATE
    end
    if job.state == "processing" then
        return nil, ("job '%s' is processing; wait for its end, or cancel it first"):format(id),
            context.STATE
    end
    local run
    run, message, code = store:run(job.run)
    if not run then return nil, message or "its run is gone", code end
    return job, run
end

-- Files are named as they were typed where that still means the same.
local function display(file)
    return core.realpath(file.display) == file.path and file.display or file.path
end

-- The plan of the run's files as they are now; or nil, message, exit code.
local function plan_of(run)
    local read, wrong = program.read(run.text, run.path)
    if not read then return nil, wrong, context.CONFIG end
    local paths = {}
    for i, file in ipairs(read.files) do paths[i] = display(file) end
    local files, message, code = run_file.read(paths)
    if not files then
        return nil, message .. "; put the file back, or retry without --latest", code
    end
    local values = assert(start.params_of(run, true))
    return run_file.plan_read(files, run_file.options { earlier = values })
end

local function by_name(plan, name)
    local names = {}
    for i, job in ipairs(plan.jobs) do
        if job.name == name then return job end
        names[i] = job.name
    end
    return nil, ("job %s is not defined any more%s; retry it without --latest"):format(
        text.name(name), suggest.hint(name, names)), context.NOT_FOUND
end

-- The entries of an argument list or an environment, with the numbers that jobs have in the store
-- for those they have in the plan. Or nil, message, exit code.
local function with_seqs(entries, plan, seqs, run)
    local copy = {}
    for i, entry in ipairs(entries or {}) do
        copy[i] = entry
        if type(entry) == "table" and entry.job then
            local name = plan.jobs[entry.job].name
            if not seqs[name] then
                return nil, ("its value '%s' comes from job %s, which is not part of run %d; run "
                    .. "the file anew"):format(entry.key, text.name(name), run.id), context.STATE
            end
            copy[i] = { name = entry.name, key = entry.key, seq = seqs[name] }
        end
    end
    return entries and copy
end

-- The settings for the job as store:retry takes them; or nil, message, exit code.
local function pack(store, run, plan, planned)
    local seqs, message, code = start.numbers(store, run.id)
    if not seqs then return nil, message, code end
    local job = {}
    for key, value in pairs(planned) do job[key] = value end
    for _, key in ipairs { "argv", "env" } do
        if job[key] then
            job[key], message, code = with_seqs(job[key], plan, seqs, run)
            if not job[key] then return nil, message, code end
        end
    end
    job.needs, job.source = nil, core.hash(plan.document)
    return spec.pack(job)
end

--- Runs a job again as its file says now; what it needs and its history stay. State before, or
-- nil, message, exit code. again: completed ones, too.
function latest.retry(store, id, again)
    local job, run, code = find(store, id)
    if not job then return nil, run, code end
    local plan, planned, packed, message
    plan, message, code = plan_of(run)
    if not plan then return nil, message, code end
    planned, message, code = by_name(plan, job.name)
    if not planned then return nil, message, code end
    packed, message, code = pack(store, run, plan, planned)
    if not packed then return nil, message, code end
    return store:retry(id, again, packed, plan.document)
end

return latest
