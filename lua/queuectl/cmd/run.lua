local core = require "queuectl.core"
local cli = require "queuectl.cli"
local context = require "queuectl.context"
local jobs_text = require "queuectl.jobs.text"
local json = require "queuectl.json"
local format = require "queuectl.view.format"
local run_file = require "queuectl.run_file"
local run_facts = require "queuectl.view.run_facts"
local run_params = require "queuectl.run.params"
local start = require "queuectl.run.start"
local work = require "queuectl.run.work"

-- ---- options ----

local SHAPES = { text = true, dot = true, mermaid = true }

local function setup(parser)
    parser:argument("file", "the jobs file; several are one run"):argname("FILE"):args("*")
    parser:option("-j --jobs", "jobs at the same time, default one a processor"):argname("N")
    parser:option("-p --param", "a value for a parameter of the file"):argname("NAME=VALUE")
        :count("*")
    parser:option("--params", "values for parameters, a JSON object"):argname("FILE")
    parser:option("--only", "these jobs and what they need; * stands for anything")
        :argname("NAME"):args("+"):count("*")
    parser:option("--from", "this job and all that depends on it, with the results of earlier "
        .. "runs"):argname("NAME")
    parser:flag("-n --plan", "show what would run, touch nothing")
    parser:option("--graph", "show how jobs depend on each other: text, dot or mermaid")
        :argname("SHAPE"):args("?")
    parser:flag("--dry-run", "print the commands as they would run")
    parser:flag("--resume", "go on with the last run of this file: what is left and what failed")
    parser:flag("--new-text", "with --resume: what is left runs as the file says now")
    parser:flag("--detach", "store the run for the workers and leave")
    parser:flag("--fail-fast", "when a job fails for good, start nothing more")
    parser:flag("--watch", "run again whenever the file or a module of it changes; Ctrl-C ends it")
    parser:option("--watch-path", "the same, and whenever this file or something below this "
        .. "folder changes"):argname("PATH"):count("*")
    parser:option("--report", "write a page about the run: FILE.html or FILE.json")
        :argname("FILE")
end

local function is_file(path)
    return core.stat(path) == "file"
end

-- A word among names of jobs that is a file, or can only be meant as one.
local function looks_like_file(word)
    return is_file(word) or word:find("%.lua$") ~= nil
end

-- "--only build jobs.lua" and "--graph jobs.lua": the last words are files.
local function find_file(args)
    local shape = args.graph and args.graph[1]
    if shape and not SHAPES[shape] and looks_like_file(shape) then
        table.insert(args.file, 1, shape)
        args.graph[1] = nil
    end
    local only = args.only[#args.only]
    if #args.file > 0 then return end
    while only and #only > 1 and looks_like_file(only[#only]) do
        table.insert(args.file, 1, table.remove(only))
    end
end

local function flatten(lists)
    local all = {}
    for _, list in ipairs(lists) do
        for _, name in ipairs(list) do all[#all + 1] = name end
    end
    return #all > 0 and all or nil
end

-- Pairs that contradict each other.
local EXCLUDES = {
    { "only", "from" }, { "resume", "only" }, { "resume", "from" }, { "detach", "watch" },
    { "resume", "watch" }, { "plan", "detach" }, { "plan", "resume" }, { "detach", "report" },
    { "graph", "resume" }, { "dry_run", "resume" }, { "plan", "watch" },
    { "graph", "watch" }, { "dry_run", "watch" }, { "graph", "detach" }, { "dry_run", "detach" },
    { "plan", "graph" }, { "plan", "dry_run" }, { "graph", "dry_run" },
}

local function check_options(args)
    find_file(args)
    args.only = flatten(args.only)
    args.watch = args.watch or #args.watch_path > 0 or nil
    if #args.file == 0 then return "FILE is missing; give a jobs file: queuectl run jobs.lua" end
    for _, pair in ipairs(EXCLUDES) do
        if args[pair[1]] and args[pair[2]] then
            return ("--%s and --%s do not go together"):format(pair[1]:gsub("_", "-"),
                (pair[2]:gsub("_", "-")))
        end
    end
    if args.new_text and not args.resume then return "--new-text goes with --resume" end
    local shape = args.graph and args.graph[1]
    local message
    if shape then message = select(2, require("queuectl.view.graph").check(shape)) end
    if args.report and not message then
        message = select(2, require("queuectl.view.report").check(args.report))
    end
    return message
end

local function slots_of(value)
    if not value then return core.cpus() end
    return require("queuectl.slots").parse("-j", value)
end

-- ---- planning ----

-- The store if there is one, else nil; or nil, message, exit code. None is created for a look.
local function existing_store(ctx)
    local path, message, code = ctx:store_path()
    if not path then return nil, message, code end
    if not path:find("://", 1, true) and core.stat(path) ~= "file" then return nil end
    return ctx:store()
end

-- Seconds its jobs took in earlier runs, by name; nil without one.
local function earlier_times(ctx, path)
    local store = existing_store(ctx)
    return store and run_facts.times(store, path)
end

-- `run test` by who means the job: make takes targets there.
local function says_job(paths, message)
    for _, path in ipairs(paths) do
        if message == path .. ": No such file or directory" and not path:find "[./]" then
            return ("%s; for a job of a file: queuectl run --only %s FILE"):format(message, path)
        end
    end
    return message
end

-- The run to go on with, and the values of its parameters; or nil, message, exit code.
local function last_run(ctx, args, files)
    local store, message, code = ctx:store()
    if not store then return nil, message, code end
    store:recover()
    local last
    last, message, code = start.last(store, run_file.key(files), table.concat(args.file, " "))
    if not last then return nil, message, code end
    local values
    values, message, code = start.params_of(last, args.new_text)
    if not values then return nil, message, code end
    return last, values
end

-- The plan of the files; with --resume also the run to go on with. Or nil, message, exit code.
-- seen: remembers which modules were looked for; may be nil.
local function make_plan(ctx, args, seen)
    local files, message, code = run_file.read(args.file)
    if not files then return nil, says_job(args.file, message), code end
    local options = run_file.options { find = seen and function(path) return seen:read(path) end }
    options.params, message, code = run_params.read(args.params, args.param)
    if not options.params then return nil, message, code end
    local last
    if args.resume then
        last, message, code = last_run(ctx, args, files)
        if not last then return nil, message, code end
        options.earlier = message
    end
    local plan
    plan, message, code = run_file.plan_read(files, options)
    if not plan then return nil, message, code end
    return plan, last
end

-- What those do not take that have it from an earlier run.
local function times_of(ctx, plan)
    local times = earlier_times(ctx, plan.path)
    for _, job in ipairs(times and plan.jobs or {}) do
        if job.done_as then times[job.name] = 0 end
    end
    return times
end

-- What --plan, --graph and --dry-run show; true, or nil, message, exit code.
local function show(ctx, args, plan, slots)
    local store, message, code
    if args.from then
        store, message, code = existing_store(ctx)
        if message then return nil, message, code end
    end
    plan.jobs, message, code = start.choose(store, plan, args)
    if not plan.jobs then return nil, message, code end
    local opts = { times = times_of(ctx, plan), slots = slots }
    if args.graph then
        require("queuectl.view.graph").print(ctx, plan, args.graph[1] or "text", opts)
    elseif args.dry_run then
        require("queuectl.view.dry_run").print(ctx, plan)
    else
        require("queuectl.view.plan").print(ctx, plan, opts)
    end
    return true
end

-- ---- running ----

local function announce(ctx, run, slots)
    if ctx.json then
        ctx:print(json.encode(json.object { { "event", "run" }, { "run", run.id },
            { "file", run.path }, { "jobs", run.jobs }, { "left", run.left },
            { "slots", slots } }) .. "\n")
    else
        ctx:note(("%s on %s"):format(start.describe(run), format.plural(slots, "slot")))
    end
    ctx:flush()
end

local function detached(ctx, store, run)
    if ctx.json then
        ctx:print(json.encode(json.object { { "run", run.id }, { "jobs", run.jobs },
            { "left", run.left } }) .. "\n")
    elseif ctx.options.output == "id" then
        ctx:print(("%d\n"):format(run.id))
    else
        ctx:print(("%s, for the workers; see: queuectl runs show %d\n"):format(
            start.describe(run), run.id))
    end
    for _, worker in ipairs(store:workers() or {}) do
        if worker.alive and worker.run == 0 then return true end
    end
    ctx:note("no worker runs; start one: queuectl worker start")
    return true
end

local function shell_words(words)
    local quoted = {}
    for i, word in ipairs(words) do
        quoted[i] = jobs_text.shell_word(word)
    end
    return table.concat(quoted, " ")
end

-- The end of a run: summary and report. Returns { code =, signal = }, or nil, message, exit code.
local function finish(ctx, store, run, args, opts)
    local summary = require "queuectl.view.summary"
    local facts, message, code = run_facts.collect(store, run, opts.plan)
    if not facts then return nil, message, code end
    opts.facts, opts.params = facts, start.values_of(opts.plan)
    local again = "queuectl run --resume " .. shell_words(args.file)
    if run.left > 0 then
        opts.next = ("%s left; go on with: %s"):format(format.plural(run.left, "job"), again)
    elseif run.failed > 0 then
        opts.next = "try again what failed: " .. again
    end
    local ok
    ok, message, code = summary.print(ctx, store, run, opts)
    if ok and args.report then
        ok, message, code = require("queuectl.view.report").write(store, run, args.report, opts)
    end
    if not ok then return nil, message, code end
    local signal = opts.interrupts.count > 0 and opts.interrupts.last or nil
    if run.left > 0 and signal then return { code = 128 + signal, signal = signal } end
    return { code = (run.failed > 0 or run.left > 0) and context.FAILED or 0, signal = signal }
end

local function new_view(ctx, store, run, plan, slots)
    local progress = require "queuectl.view.progress"
    return progress.new(ctx, { total = run.jobs, left = run.left, jobs = plan.jobs, slots = slots,
        times = earlier_times(ctx, plan.path),
        finished = run.left < run.jobs and run_facts.finished(store, run) or nil })
end

local function work_on(ctx, store, run, plan, args, slots)
    announce(ctx, run, slots)
    local view, started = new_view(ctx, store, run, plan, slots), core.monotonic()
    local interrupts, message, code = work.run(ctx, assert(ctx:store_path()), run, slots, view)
    view:close()
    if not interrupts then return nil, message, code end
    if interrupts.code then return { code = interrupts.code } end
    local after
    after, message, code = store:run(run.id)
    if not after then return nil, message or "the run is gone", code end
    return finish(ctx, store, after, args, { seconds = core.monotonic() - started, plan = plan,
        slots = slots, interrupts = interrupts })
end

-- Plans, stores and works. Returns { code =, signal = }, or nil, message, exit code. seen: as
-- make_plan has it.
local function run_once(ctx, args, slots, seen)
    local plan, last, code = make_plan(ctx, args, seen)
    if not plan then return nil, last, code end
    local store, run, message
    store, message, code = ctx:store()
    if not store then return nil, message, code end
    store:recover()
    local options = { only = args.only, from = args.from, fail_fast = args.fail_fast or false,
        detached = args.detach or false, new_text = args.new_text }
    if last then
        run, message, code = start.resume(store, plan, last, options)
    else
        run, message, code = start.new(store, plan, options)
    end
    if not run then return nil, message, code end
    if args.detach then
        detached(ctx, store, run)
        return { code = 0 }
    end
    return work_on(ctx, store, run, plan, args, slots)
end

local function real_paths(paths)
    local list = {}
    for i, path in ipairs(paths) do
        local real, message, code = core.realpath(path)
        if not real then return nil, message, code end
        list[i] = real
    end
    return list
end

local function watch(ctx, args, slots)
    local files, message, code = real_paths(args.file)
    if not files then return nil, message, code end
    local paths
    paths, message, code = real_paths(args.watch_path)
    if not paths then return nil, message, code end
    return require("queuectl.run.watch").run(ctx, files, paths, function(seen)
        local result, wrong, wrong_code = run_once(ctx, args, slots, seen)
        ctx:flush()
        if result then return result end
        cli.complain(wrong, wrong_code)
        return { code = wrong_code }
    end)
end

-- `run FILE --help`: the parameters and jobs of the file itself.
local function file_help(ctx, words)
    local paths = {}
    for _, word in ipairs(words) do -- values of options are among them
        if looks_like_file(word) then paths[#paths + 1] = word end
    end
    if #paths == 0 then paths = words end
    local plan, message, code = run_file.plan(paths, { for_help = true })
    if not plan then return nil, message, code end
    require("queuectl.view.params").print(ctx, plan, table.concat(paths, " "))
    return true
end

return {
    summary = "run the jobs of a Lua file, with live progress, until all are finished",
    setup = setup,
    help_of = file_help,
    notes = "Exits with 0 only if every job succeeded. Ctrl-C once finishes what runs, twice\n"
        .. "stops it; --resume goes on later. `queuectl run FILE --help` shows the parameters\n"
        .. "and jobs of a file.\n",
    examples = {
        { "queuectl run -n jobs.lua", "what would run, and in which order" },
        { "queuectl run -j 4 jobs.lua", "four at a time" },
    },
    run = function(ctx, args)
        local message = check_options(args)
        if message then return nil, message, context.USAGE end
        ctx.json = ctx.json or ctx.options.output == "jsonl"
        local slots
        slots, message = slots_of(args.jobs)
        if not slots then return nil, message, context.USAGE end
        if args.plan or args.graph or args.dry_run then
            local plan, wrong, code = make_plan(ctx, args)
            if not plan then return nil, wrong, code end
            return show(ctx, args, plan, slots)
        end
        local result, wrong, code
        if args.watch then
            result, wrong, code = watch(ctx, args, slots)
        else
            result, wrong, code = run_once(ctx, args, slots)
        end
        if not result then return nil, wrong, code end
        return result.code or 0
    end,
}
