-- Which run is worked: a new one, or an earlier one of the same files that goes on.

local core = require "queuectl.core"
local context = require "queuectl.context"
local format = require "queuectl.view.format"
local json = require "queuectl.json"
local program = require "queuectl.jobs.program"
local select_jobs = require "queuectl.run.select"
local spec = require "queuectl.spec"

local start = {}

-- How many earlier runs are searched for a job that has completed.
local EARLIER_RUNS = 20

-- ---- jobs of earlier runs ----

-- Calls visit(job) for all jobs of the run; true, or nil, message, exit code.
local function each_job(store, run_id, visit)
    local query = { run = run_id, limit = 1000 }
    repeat
        local page, next_page, code = store:list(query)
        if not page then return nil, next_page, code end
        for _, job in ipairs(page) do visit(job) end
        query.after = next_page
    until not next_page
    return true
end

-- The numbers of the jobs that have completed, by name.
local function completed_jobs(store, run_id)
    local seqs = {}
    local ok, message, code = each_job(store, run_id, function(job)
        if job.state == "completed" and job.name then seqs[job.name] = job.seq end
    end)
    if not ok then return nil, message, code end
    return seqs
end

-- A function from names to the numbers of jobs in the last run in which they completed.
local function finder(store, path)
    local runs = store:runs { path = path, limit = EARLIER_RUNS } or {}
    local known, at = {}, 0
    return function(name)
        while not known[name] and runs[at + 1] do
            at = at + 1
            for other, seq in pairs(completed_jobs(store, runs[at].id) or {}) do
                known[other] = known[other] or seq
            end
        end
        return known[name]
    end
end

-- ---- a new run ----

--- The jobs of the plan that are wanted. chosen: `only` a list of names, `from` a name.
-- A list, or nil, message, exit code.
function start.choose(store, plan, chosen)
    local jobs, message = plan.jobs, nil
    if chosen.only then
        jobs, message = select_jobs.only(jobs, chosen.only)
    elseif chosen.from then
        jobs, message = select_jobs.from(jobs, chosen.from, finder(store, plan.path))
    end
    if not jobs then return nil, message, context.USAGE end
    return jobs
end

--- The values of the plan's parameters, by name.
function start.values_of(plan)
    local values = {}
    for _, param in ipairs(plan.params) do values[param.name] = param.value end
    return values
end

local function info_text(plan, chosen)
    local fields = { { "files", json.list(plan.paths) }, { "params", start.values_of(plan) } }
    if chosen.only then fields[#fields + 1] = { "only", json.list(chosen.only) } end
    if chosen.from then fields[#fields + 1] = { "from", chosen.from } end
    return json.encode(json.object(fields))
end

-- options: fail_fast, detached.
local function create(store, plan, jobs, chosen, options)
    local id, message, code = store:start_run({ path = plan.path, text = plan.document,
        hash = core.hash(plan.document), fail_fast = options.fail_fast,
        detached = options.detached, info = info_text(plan, chosen) }, spec.pack_all(jobs))
    if not id then return nil, message, code end
    return store:run(id)
end

--- A new run of the plan: run, or nil, message, exit code. options: only, from, fail_fast,
-- detached.
function start.new(store, plan, options)
    local jobs, message, code = start.choose(store, plan, options)
    if not jobs then return nil, message, code end
    return create(store, plan, jobs, options, options)
end

-- ---- an earlier run ----

local function is_worked_on(store, run)
    for _, worker in ipairs(store:workers() or {}) do
        if worker.alive and worker.id == run.worker then return worker end
    end
end

--- The last run of these files, if it can go on: run, or nil, message, exit code.
function start.last(store, path, shown)
    local run, message, code = store:run(path)
    if message then return nil, message, code end
    if not run then
        return nil, ("%s has never been run; leave out --resume"):format(shown), context.NOT_FOUND
    end
    if run.left == 0 and run.failed == 0 then
        return nil, ("%s has nothing to go on with: run %d is complete; leave out --resume")
            :format(shown, run.id), context.NOT_FOUND
    end
    local worker = is_worked_on(store, run)
    if worker then
        return nil, ("run %d is being worked on by process %d"):format(run.id, worker.pid),
            context.STATE
    end
    return run
end

--- The values of the run's parameters, by name.
function start.params_of(run)
    local read = program.read(run.text, run.path)
    return read and read.params or {}
end

-- What completed stays, everything else is as the new text says: a run of its own takes over.
local function take_over(store, plan, run, options)
    local chosen = run.info and json.decode(run.info) or {}
    local jobs, message, code = start.choose(store, plan, { only = chosen.only,
        from = chosen.from })
    if not jobs then return nil, message, code end
    local done
    done, message, code = completed_jobs(store, run.id)
    if not done then return nil, message, code end
    for _, job in ipairs(jobs) do job.done_as = job.done_as or done[job.name] end
    local new_run
    new_run, message, code = create(store, plan, jobs, chosen, options)
    if not new_run then return nil, message, code end
    local ok
    ok, message, code = store:cancel_run(run.id)
    if not ok then return nil, message, code end
    return new_run
end

--- Goes on with `run`, the last one: run, or nil, message, exit code. What had failed is tried
-- again. options: new_text, detached, fail_fast.
function start.resume(store, plan, run, options)
    local changed = program.differs(run.text, plan.document, plan.path)
    if changed and not options.new_text then
        local verb = changed == program.PARAMETERS and "have" or "has"
        return nil, ("%s %s changed since run %d; put %s back, take the new text for what is left "
            .. "with --new-text, or start anew without --resume"):format(changed, verb, run.id,
            verb == "have" and "them" or "it"), context.STATE
    end
    if changed then return take_over(store, plan, run, options) end
    local ok, message, code = store:move_run(run.id, options.detached or false)
    if not ok then return nil, message, code end
    ok, message, code = store:revive(run.id)
    if not ok then return nil, message, code end
    return store:run(run.id)
end

--- One line about the run that was stored.
function start.describe(run)
    return ("run %d: %s%s"):format(run.id, format.plural(run.jobs, "job"),
        run.left < run.jobs and (", %s left"):format(format.count(run.left)) or "")
end

return start
