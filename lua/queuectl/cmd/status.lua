local format = require "queuectl.view.format"
local json = require "queuectl.json"
local show = require "queuectl.cmd.show"
local states = require "queuectl.states"

local function live(workers)
    local alive, slots = {}, 0
    for _, worker in ipairs(workers) do
        if worker.alive then
            alive[#alive + 1] = worker
            slots = slots + worker.slots
        end
    end
    return alive, slots
end

local function as_json(counts, alive, slots)
    local jobs, workers = {}, {}
    for i, state in ipairs(states.ALL) do jobs[i] = { state, counts[state] } end
    for i, worker in ipairs(alive) do
        workers[i] = json.object { { "name", worker.name }, { "pid", worker.pid },
            { "slots", worker.slots }, { "busy", worker.busy } }
    end
    return json.encode(json.object { { "jobs", json.object(jobs) }, { "active_workers", slots },
        { "workers", #alive }, { "worker_list", json.list(workers) } }) .. "\n"
end

local function as_text(ctx, counts, alive)
    for _, state in ipairs(states.ALL) do
        local line = ("%-10s %12s"):format(state, format.count(counts[state]))
        local alarming = state == "dead" and counts.dead > 0
        ctx:print((alarming and ctx:style("red", line) or line) .. "\n")
    end
    if #alive == 0 then
        ctx:print("\nNo worker is running; start one with: queuectl worker start\n")
        return
    end
    ctx:print("\n")
    for _, worker in ipairs(alive) do
        ctx:print(("worker %s  pid %d  %d of %d slots busy\n"):format(worker.name, worker.pid,
            worker.busy, worker.slots))
    end
end

return {
    summary = "how many jobs are in which state, and who works",
    setup = function(parser)
        parser:argument("job", "a job's id: the same as show"):args("?"):argname("JOB")
    end,
    examples = { { "queuectl status", "all at a glance" },
        { "queuectl status --json", "the same for a program" } },
    run = function(ctx, args)
        if args.job then return show.run(ctx, args) end
        local store, message, code = ctx:store()
        if not store then return nil, message, code end
        local counts, workers
        counts, message, code = store:counts()
        if not counts then return nil, message, code end
        workers, message, code = store:workers()
        if not workers then return nil, message, code end
        local alive, slots = live(workers)
        if ctx.json or not ctx.tty then
            ctx:print(as_json(counts, alive, slots))
        else
            as_text(ctx, counts, alive)
        end
        return true
    end,
}
