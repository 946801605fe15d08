-- Which run is worked: a new one, or an earlier one of the same files that goes on.

local core = require "queuectl.core"
local context = require "queuectl.context"
local format = require "queuectl.view.format"
local json = require "queuectl.json"
local program = require "queuectl.jobs.program"
local run_jobs = require "queuectl.run.jobs"
local select_jobs = require "queuectl.run.select"
local spec = require "queuectl.spec"

local start = {}

-- How many earlier runs are searched for a job that has completed.
local EARLIER_RUNS = 20

-- ---- jobs of earlier runs ----

--- The numbers of the run's jobs by their names, those of the file before added ones; `state`:
-- only of jobs in it. Or nil, message, exit code.
function start.numbers(store, run_id, state)
    local seqs = {}
    local ok, message, code = run_jobs.each(store, run_id, function(job)
        local counts = job.name and (not state or job.state == state)
        if counts then seqs[job.name] = seqs[job.name] or job.seq end
    end)
    if not ok then return nil, message, code end
    return seqs
end

-- A function from names to the numbers of jobs in the last run in which they completed: number, or
-- nil, and where the store fails message, exit code.
local function finder(store, path)
    local runs, message, code = {}, nil, nil
    if store then runs, message, code = store:runs { path = path, limit = EARLIER_RUNS } end
    local known, at = {}, 0
    return function(name)
        if not runs then return nil, message, code end
        while not known[name] and runs[at + 1] do
            at = at + 1
            local done
            done, message, code = start.numbers(store, runs[at].id, "completed")
            if not done then return nil, message, code end
            for other, seq in pairs(done) do known[other] = known[other] or seq end
        end
        return known[name]
    end
end

-- ---- a new run ----

--- The jobs of the plan that are wanted. chosen: `only` a list of names, `from` a name. `store` is
-- asked for results of earlier runs; nil: there are none. A list, or nil, message, exit code.
function start.choose(store, plan, chosen)
    local jobs, message, code = plan.jobs, nil, nil
    if chosen.only then
        jobs, message = select_jobs.only(jobs, chosen.only)
    elseif chosen.from then
        jobs, message, code = select_jobs.from(jobs, chosen.from, finder(store, plan.path))
    end
    if not jobs then return nil, message, code or context.USAGE end
    return jobs
end

--- The values of the plan's parameters, by name.
function start.values_of(plan)
    local values = {}
    for _, param in ipairs(plan.params) do values[param.name] = param.value end
    return values
end

-- Those that do not stand at what the file says.
local function given_names(plan)
    local names = {}
    for _, param in ipairs(plan.params) do
        if param.given then names[#names + 1] = param.name end
    end
    return names
end

local function info_text(plan, chosen)
    local fields = { { "files", json.list(plan.paths) }, { "params", start.values_of(plan) },
        { "given", json.list(given_names(plan)) } }
    if chosen.only then fields[#fields + 1] = { "only", json.list(chosen.only) } end
    if chosen.from then fields[#fields + 1] = { "from", chosen.from } end
    return json.encode(json.object(fields))
end

-- options: fail_fast, detached, replaces (number of a run).
local function create(store, plan, jobs, chosen, options)
    local id, message, code = store:start_run({ path = plan.path, text = plan.document,
        hash = core.hash(plan.document), fail_fast = options.fail_fast,
        detached = options.detached, replaces = options.replaces,
        info = info_text(plan, chosen) }, spec.pack_all(jobs))
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

--- The last run of these files, if there is something to go on with: run, or nil, message, exit
-- code. shown: the files as typed.
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
    return run
end

local function info_of(run)
    return run.info and json.decode(run.info) or {}
end

--- The values of the run's parameters, by name; with `given` only those that were given, the
-- others are what the file says. Or nil, message, exit code.
function start.params_of(run, given)
    local read, message = program.read(run.text, run.path)
    if not read then return nil, message, context.CONFIG end
    local names = given and info_of(run).given
    if not names then return read.params end
    local values = {}
    for _, name in ipairs(names) do values[name] = read.params[name] end
    return values
end

-- What completed stays, everything else is as the new text says: a run of its own takes over.
local function take_over(store, plan, run, options)
    local chosen = info_of(run)
    local jobs, message, code = start.choose(store, plan, chosen)
    if not jobs then return nil, message, code end
    local done
    done, message, code = start.numbers(store, run.id, "completed")
    if not done then return nil, message, code end
    for i, job in ipairs(jobs) do
        if done[job.name] and not job.done_as then
            jobs[i] = select_jobs.taken_over(job, done[job.name])
        end
    end
    return create(store, plan, jobs, chosen, { fail_fast = options.fail_fast or run.fail_fast,
        detached = options.detached, replaces = run.id })
end

local function refuse_changed(what, run)
    local many = what == program.PARAMETERS
    return nil, ("%s %s changed since run %d; put %s back, take the new text for what is left "
        .. "with --new-text, or start anew without --resume"):format(what, many and "have" or "has",
        run.id, many and "them" or "it"), context.STATE
end

--- Goes on with `run`, the last one: run, or nil, message, exit code. What had failed is tried
-- again. Nothing happens while somebody works it. options: new_text, detached, fail_fast.
function start.resume(store, plan, run, options)
    local changed = program.differs(run.text, plan.document, plan.path)
    if changed and not options.new_text then return refuse_changed(changed, run) end
    if changed then return take_over(store, plan, run, options) end
    if options.fail_fast and not run.fail_fast then
        return nil, ("run %d was started without --fail-fast, and goes on as it was started; leave "
            .. "it out"):format(run.id), context.USAGE
    end
    local n, message, code = store:resume_run(run.id, options.detached or false)
    if not n then return nil, message, code end
    return store:run(run.id)
end

--- One line about the run that was stored.
function start.describe(run)
    return ("run %d: %s%s"):format(run.id, format.plural(run.jobs, "job"),
        run.left < run.jobs and (", %s left"):format(format.count(run.left)) or "")
end

return start
