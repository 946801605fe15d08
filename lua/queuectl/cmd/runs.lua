local core = require "queuectl.core"
local context = require "queuectl.context"
local format = require "queuectl.view.format"
local json = require "queuectl.json"
local run_facts = require "queuectl.view.run_facts"
local run_file = require "queuectl.run_file"
local stored = require "queuectl.run.stored"
local view = require "queuectl.view.runs"

-- The number of a run as typed, or nil, message, exit code.
local function find(store, word)
    local id = word:find("^%d+$") and tonumber(word)
    if word == "last" then
        local runs, message, code = store:runs { limit = 1 }
        if not runs then return nil, message, code end
        id = runs[1] and runs[1].id
    end
    if word == "last" and not id then
        return nil, "there are no runs yet; start one: queuectl run jobs.lua", context.NOT_FOUND
    end
    if not id or id < 1 or id >= 2 ^ 53 then
        return nil, ("run '%s': give its number, or 'last'; see: queuectl runs list"):format(
            word:sub(1, 40)), context.USAGE
    end
    local run, message, code = store:run(id)
    if run then return run end
    return nil, message or ("no run %d; see: queuectl runs list"):format(id),
        code or context.NOT_FOUND
end

-- A command's `run` from fn(ctx, store, run).
local function with_run(fn)
    return function(ctx, args)
        local store, message, code = ctx:store()
        if not store then return nil, message, code end
        local run
        run, message, code = find(store, args.run)
        if not run then return nil, message, code end
        return fn(ctx, store, run)
    end
end

local function add_run(parser)
    parser:argument("run", "its number, or last"):argname("RUN")
end

local LIMIT_MAX = 10000

local function read_limit(word)
    local limit = word:find("^%d+$") and tonumber(word)
    return limit and limit >= 1 and limit <= LIMIT_MAX and limit or nil
end

-- What runs of these files are found by; nil without files; or nil, message, exit code.
local function key_of(files)
    local paths = {}
    for i, file in ipairs(files or {}) do
        local real, message, code = core.realpath(file)
        if not real then return nil, message, code end
        paths[i] = { path = real }
    end
    return files and run_file.key(paths) or nil
end

local list = {
    summary = "runs of jobs files, the newest first",
    setup = function(parser)
        parser:option("--file", "of this jobs file alone, or of these together"):argname("FILE")
            :args("+")
        parser:option("--limit", "at most so many, default 50"):argname("N"):default("50")
    end,
    examples = { { "queuectl runs list", "what was run, and how it ended" } },
    run = function(ctx, args)
        local limit = read_limit(args.limit)
        if not limit then
            return nil, ("--limit %s: give a whole number from 1 to %d"):format(
                args.limit:sub(1, 40),
                LIMIT_MAX), context.USAGE
        end
        local path, store, message, code
        path, message, code = key_of(args.file)
        if message then return nil, message, code end
        store, message, code = ctx:store()
        if not store then return nil, message, code end
        local runs
        runs, message, code = store:runs { path = path, limit = limit }
        if not runs then return nil, message, code end
        view.table(ctx, runs)
        return true
    end,
}

local show = {
    summary = "one run: its jobs by state, times, failures",
    setup = add_run,
    examples = { { "queuectl runs show last", "how the last run went" } },
    run = with_run(function(ctx, store, run)
        local plan = stored.plan(run)
        local facts, message, code = run_facts.collect(store, run, plan)
        if not facts then return nil, message, code end
        facts.params = plan and plan.values
        view.show(ctx, run, facts)
        return true
    end),
}

local cancel = {
    summary = "cancel all jobs of a run that are not finished",
    setup = add_run,
    examples = { { "queuectl runs cancel last", "stops what runs, starts nothing more" } },
    run = with_run(function(ctx, store, run)
        if run.left == 0 then
            return nil, ("run %d is finished; there is nothing to cancel"):format(run.id),
                context.STATE
        end
        local n, running, failed = store:cancel_run(run.id)
        if not n then return nil, running, failed end
        if ctx.json then
            ctx:print(json.encode(json.object { { "run", run.id }, { "cancelled", n },
                { "stopping", running } }) .. "\n")
        else
            ctx:print(("run %d: %s cancelled%s\n"):format(run.id, format.plural(n, "job"),
                running > 0 and (", %s being stopped"):format(format.count(running)) or ""))
        end
        return true
    end),
}

return { summary = "runs of jobs files: list, show, cancel", commands = {
    list = list, show = show, cancel = cancel } }
