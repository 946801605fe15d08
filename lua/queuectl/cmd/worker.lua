local core = require "queuectl.core"
local context = require "queuectl.context"
local format = require "queuectl.view.format"
local json = require "queuectl.json"
local slots = require "queuectl.slots"
local text = require "queuectl.view.text"

local function event_format(ctx, args)
    if args.events then return "json" end
    if ctx.quiet then return "none" end
    return core.isatty(2) and "text" or "kv"
end

local start = {
    summary = "work on jobs, in the foreground",
    setup = function(parser)
        parser:option("-c --count", "jobs at the same time, default 1"):argname("N"):default("1")
        parser:option("--name", "name of the worker, default HOST-PID"):argname("NAME")
        parser:flag("--until-empty --drain", "leave when nothing is left to do")
        parser:option("--run"):hidden(true)
        parser:flag("--events"):hidden(true)
    end,
    notes = "Ctrl-C finishes what runs and takes nothing new; a second one stops the jobs and\n"
        .. "hands them back without counting the attempt.\n",
    examples = { { "queuectl worker start --count 4 --until-empty", "do all there is, then leave" },
    },
    run = function(ctx, args)
        local count, message = slots.parse("--count", args.count)
        if not count then return nil, message, context.USAGE end
        if args.name and not args.name:find("^[%w_][%w_.-]*$") then
            return nil, ("--name '%s': letters, digits, _ . - only"):format(args.name:sub(1, 60)),
                context.USAGE
        end
        local path, code
        path, message, code = ctx:store_path()
        if not path then return nil, message, code end
        return 0, nil, nil, { store = path, name = args.name, slots = count,
            run = args.run and tonumber(args.run), until_empty = args.until_empty or false,
            format = event_format(ctx, args) }
    end,
}

-- ---- stop ----

local function chosen(worker, names)
    if #names == 0 then return worker.run == 0 end
    for _, name in ipairs(names) do
        if name == worker.name or name == tostring(worker.id) then return true end
    end
    return false
end

local function select_workers(store, names)
    local all, message, code = store:workers()
    if not all then return nil, message, code end
    local picked = {}
    for _, worker in ipairs(all) do
        if worker.alive and chosen(worker, names) then picked[#picked + 1] = worker end
    end
    return picked
end

local function still_there(store, picked)
    local all, message, code = store:workers()
    if not all then return nil, message, code end
    local there = {}
    for _, worker in ipairs(all) do
        for _, mine in ipairs(picked) do
            if worker.id == mine.id and worker.alive then there[#there + 1] = worker end
        end
    end
    return there
end

local function describe(workers)
    local parts = {}
    for i, worker in ipairs(workers) do
        parts[i] = ("%s (%s running)"):format(worker.name, format.plural(worker.busy, "job"))
    end
    return table.concat(parts, ", ")
end

local function wait_for(ctx, store, picked, limit)
    local said
    local until_time = limit and core.monotonic() + limit
    while true do
        local there, message, code = still_there(store, picked)
        if not there then return nil, message, code end
        if #there == 0 then return true end
        local text_now = describe(there)
        if text_now ~= said then ctx:note("waiting for " .. text_now) end
        said = text_now
        if until_time and core.monotonic() >= until_time then
            return nil, "still running: " .. text_now, context.TIMED_OUT
        end
        store:watch(0.5)
    end
end

local function parse_limit(value)
    if not value then return nil end
    local ms, message = require("queuectl.time").parse_duration(value)
    if not ms then return nil, "--timeout: " .. message end
    return ms / 1000
end

local stop = {
    summary = "stop workers: what runs is finished first",
    setup = function(parser)
        parser:argument("names", "workers to stop, default all but those of a run"):args("*")
            :argname("NAME")
        parser:flag("--now", "stop the jobs and hand them back")
        parser:option("--timeout", "wait no longer than this"):argname("DURATION")
    end,
    examples = { { "queuectl worker stop", "finish what runs, then stop" } },
    run = function(ctx, args)
        local limit, message = parse_limit(args.timeout)
        if message then return nil, message, context.USAGE end
        local store, picked, code
        store, message, code = ctx:store()
        if not store then return nil, message, code end
        picked, message, code = select_workers(store, args.names)
        if not picked then return nil, message, code end
        if #picked == 0 then
            if #args.names > 0 then
                return nil, ("no running worker '%s'; see: queuectl worker status"):format(
                    args.names[1]:sub(1, 60)), context.NOT_FOUND
            end
            ctx:note("no worker is running")
            return true
        end
        local ok
        for _, worker in ipairs(picked) do
            ok, message, code = store:stop_worker(worker.id, args.now)
            if ok == nil then return nil, message, code end
        end
        ok, message, code = wait_for(ctx, store, picked, limit)
        if not ok then return nil, message, code end
        ctx:note(("stopped %s"):format(format.plural(#picked, "worker")))
        return true
    end,
}

-- ---- status ----

local function worker_json(worker)
    return json.object {
        { "id", tostring(worker.id) }, { "name", worker.name }, { "pid", worker.pid },
        { "host", worker.host }, { "alive", worker.alive }, { "slots", worker.slots },
        { "busy", worker.busy }, { "run", worker.run ~= 0 and worker.run or nil },
        { "stopping", worker.stop ~= "no" and worker.stop or nil },
        { "started_at", format.utc(worker.started_at) },
        { "heartbeat_at", format.utc(worker.heartbeat_at) },
    }
end

local function state_of(worker)
    if not worker.alive then return "dead" end
    return worker.stop == "no" and "working" or worker.stop
end

local function worker_row(worker, now)
    return { worker.name, tostring(worker.pid), state_of(worker),
        ("%d/%d"):format(worker.busy, worker.slots),
        format.duration(now - worker.started_at), format.duration(now - worker.heartbeat_at),
        worker.run ~= 0 and "run " .. worker.run or "" }
end

local status = {
    summary = "the workers: what they are busy with",
    examples = { { "queuectl worker status", "who works, on how many slots" } },
    run = function(ctx)
        local store, message, code = ctx:store()
        if not store then return nil, message, code end
        local workers
        workers, message, code = store:workers()
        if not workers then return nil, message, code end
        if ctx.json or not ctx.tty then
            local list = {}
            for i, worker in ipairs(workers) do list[i] = worker_json(worker) end
            ctx:print(json.encode(json.list(list)) .. "\n")
            return true
        end
        if #workers == 0 then
            ctx:print("No worker is running; start one with: queuectl worker start\n")
            return true
        end
        local rows, now = {}, core.time()
        for i, worker in ipairs(workers) do rows[i] = worker_row(worker, now) end
        ctx:print(text.table({ "NAME", "PID", "STATE", "BUSY", "UP", "SEEN", "" }, rows,
            ctx.columns))
        return true
    end,
}

return {
    summary = "start, stop and see workers",
    commands = { start = start, stop = stop, status = status },
}
