local core = require "queuectl.core"
local context = require "queuectl.context"
local dry_run = require "queuectl.view.dry_run"
local format = require "queuectl.view.format"
local graph = require "queuectl.view.graph"
local json = require "queuectl.json"
local plan_view = require "queuectl.view.plan"
local progress = require "queuectl.view.progress"
local report = require "queuectl.view.report"
local run_facts = require "queuectl.view.run_facts"
local run_file = require "queuectl.run_file"
local spec = require "queuectl.spec"
local summary = require "queuectl.view.summary"

-- A worker process that was killed is replaced, but not for ever.
local WORKERS_MAX = 100

local function slots_of(value)
    if not value then return core.cpus() end
    return require("queuectl.slots").parse("-j", value)
end

-- ---- which run: a new one, or the one to go on with ----

local function new_run(store, plan)
    local packed = spec.pack_all(plan.jobs)
    local id, message, code = store:start_run({ path = plan.path, text = plan.text,
        hash = core.hash(plan.text) }, packed)
    if not id then return nil, message, code end
    return store:run(id)
end

local function interrupted_run(store, plan)
    local run, message, code = store:run(plan.path)
    if message then return nil, message, code end
    if not run or run.left == 0 then
        return nil, ("%s has no interrupted run; leave out --resume"):format(plan.path),
            context.NOT_FOUND
    end
    if run.hash ~= core.hash(plan.text) then
        return nil, ("%s has changed since run %d; put it back, or start anew without --resume")
            :format(plan.path, run.id), context.STATE
    end
    for _, worker in ipairs(store:workers() or {}) do
        if worker.alive and worker.id == run.worker then
            return nil, ("run %d is being worked on by process %d"):format(run.id, worker.pid),
                context.STATE
        end
    end
    return run
end

-- ---- the worker process and its events ----

local function start_worker(path, run, slots)
    return core.start { "worker", "start", "--store", path, "--run", tostring(run.id),
        "--events", "--count", tostring(slots) }
end

-- Listens until the worker ends. Returns its exit code and signal.
local function listen(child, view, interrupts)
    while true do
        local what, value = child:poll(0.1)
        if what == "data" then
            view:feed(value)
        elseif what == "signal" then
            interrupts.count, interrupts.last = interrupts.count + 1, value
            child:signal(value)
        elseif what == "end" then
            return child:wait()
        end
        view:tick()
    end
end

-- Works the run to its end, or until it is interrupted; replaces a worker that was killed.
local function work(ctx, path, run, slots, view)
    local interrupts = { count = 0 }
    core.catch_signals()
    for _ = 1, WORKERS_MAX do
        local child, message, code = start_worker(path, run, slots)
        if not child then return nil, message, code end
        local exit_code, signal = listen(child, view, interrupts)
        if exit_code == 0 then return interrupts end
        if exit_code then
            return nil, ("the worker process ended with exit code %d"):format(exit_code), exit_code
        end
        if interrupts.count > 0 then return interrupts end
        ctx:note(("the worker process was killed by signal %d; another takes over"):format(signal))
        view:worker_lost()
    end
    return nil, ("%d worker processes in a row were killed; given up"):format(WORKERS_MAX)
end

local function announce(ctx, run, slots)
    if ctx.json then
        ctx:print(json.encode(json.object { { "event", "run" }, { "run", run.id },
            { "file", run.path }, { "jobs", run.jobs }, { "left", run.left },
            { "slots", slots } }) .. "\n")
    else
        ctx:note(("run %d: %s%s on %s"):format(run.id, format.plural(run.jobs, "job"),
            run.left < run.jobs and (", %s left"):format(format.count(run.left)) or "",
            format.plural(slots, "slot")))
    end
    ctx:flush()
end

local function result(ctx, store, id, interrupts, opts)
    local run, message, code = store:run(id)
    if not run then return nil, message or "the run is gone", code end
    local ok
    opts.facts, message, code = run_facts.collect(store, run, opts.plan)
    if not opts.facts then return nil, message, code end
    summary.print(ctx, store, run, opts)
    if opts.report then
        ok, message, code = report.write(store, run, opts.report, opts)
        if not ok then return nil, message, code end
    end
    if run.left > 0 and interrupts.count > 0 then return 128 + interrupts.last end
    return (run.failed > 0 or run.left > 0) and context.FAILED or 0
end

local function setup(parser)
    parser:argument("file", "the jobs file"):argname("FILE")
    parser:option("-j --jobs", "jobs at the same time, default one a processor"):argname("N")
    parser:flag("-n --plan", "show what would run, touch nothing")
    parser:option("--graph", "show the jobs as a graph: text, dot or mermaid"):args("?")
        :argname("SHAPE")
    parser:flag("--dry-run", "show the commands as they would run, touch nothing")
    parser:option("--report", "write a report of the run: out.html or out.json"):argname("PATH")
    parser:flag("--resume", "go on with the last run of this file where it was interrupted")
end

-- What shows the plan and runs nothing, as a function; nil where the jobs are to be run.
local function shower(args)
    if args.graph then
        local shape = args.graph[1] or "text"
        local ok, message = graph.check(shape)
        if not ok then return nil, message end
        return function(ctx, plan, opts) graph.print(ctx, plan, shape, opts) end
    end
    if args.dry_run then return dry_run.print end
    if args.plan then return plan_view.print end
end

return {
    summary = "run the jobs of a Lua file, with live progress, until all are finished",
    setup = setup,
    notes = "Exits with 0 only if every job succeeded. Ctrl-C once finishes what runs, twice\n"
        .. "stops it; --resume goes on later.\n",
    examples = {
        { "queuectl run -n jobs.lua", "what would run, and in which order" },
        { "queuectl run -j 4 jobs.lua", "four at a time" },
    },
    run = function(ctx, args)
        local slots, message = slots_of(args.jobs)
        if not slots then return nil, message, context.USAGE end
        local show
        show, message = shower(args)
        if message then return nil, message, context.USAGE end
        if args.report then
            local ok
            ok, message = report.check(args.report)
            if not ok then return nil, message, context.USAGE end
        end
        local plan, code
        plan, message, code = run_file.plan(args.file)
        if not plan then return nil, message, code end
        if show then
            show(ctx, plan, { slots = slots })
            return true
        end
        local store, run
        store, message, code = ctx:store()
        if not store then return nil, message, code end
        store:recover()
        local times = run_facts.times(store, plan.path)
        run, message, code = (args.resume and interrupted_run or new_run)(store, plan)
        if not run then return nil, message, code end
        announce(ctx, run, slots)
        local started = core.monotonic()
        local view = progress.new(ctx, { total = run.jobs, left = run.left,
            jobs = plan.jobs, slots = slots,
            times = times, finished = args.resume and run_facts.finished(store, run) or nil })
        local interrupts
        interrupts, message, code = work(ctx, assert(ctx:store_path()), run, slots, view)
        view:close()
        if not interrupts then return nil, message, code end
        return result(ctx, store, run.id, interrupts,
            { seconds = core.monotonic() - started, plan = plan,
            slots = slots, report = args.report })
    end,
}
