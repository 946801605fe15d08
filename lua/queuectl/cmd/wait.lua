local core = require "queuectl.core"
local context = require "queuectl.context"
local format = require "queuectl.view.format"
local json = require "queuectl.json"
local states = require "queuectl.states"

local function limit_of(value)
    if not value then return nil end
    local ms, message = require("queuectl.time").parse_duration(value)
    if not ms then return nil, "--timeout: " .. message end
    return core.monotonic() + ms / 1000
end

-- Removes from `open` what is final; the jobs go into `done` by id.
local function check(store, open, done)
    for i = #open, 1, -1 do
        local job, message, code = store:get(open[i])
        if not job then return nil, message, code end
        if states.is_final(job.state) then
            done[job.id] = job
            table.remove(open, i)
        end
    end
    return true
end

local function answer(ctx, ids, done)
    local failed = 0
    for _, id in ipairs(ids) do
        local job = done[id]
        if job.state ~= "completed" then failed = failed + 1 end
        if ctx.json then
            ctx:print(json.encode(json.object { { "id", id }, { "state", job.state } }) .. "\n")
        else
            ctx:print(("%s %s\n"):format(id, job.state))
        end
    end
    return failed == 0 and 0 or context.FAILED
end

return {
    summary = "wait until jobs are finished",
    setup = function(parser)
        parser:argument("jobs", "their ids"):args("+"):argname("JOB")
        parser:option("--timeout", "give up after this"):argname("DURATION")
    end,
    notes = "Exits with 0 if all of them completed, 1 if one did not, 124 at the time limit.\n",
    examples = { { "queuectl wait --timeout 1m job1", "then go on" } },
    run = function(ctx, args)
        local until_time, message = limit_of(args.timeout)
        if message then return nil, message, context.USAGE end
        local store, code
        store, message, code = ctx:store()
        if not store then return nil, message, code end
        local open, done = {}, {}
        for i, id in ipairs(args.jobs) do open[i] = id end
        while true do
            local ok
            ok, message, code = check(store, open, done)
            if not ok then return nil, message, code end
            if #open == 0 then return answer(ctx, args.jobs, done) end
            local left = until_time and until_time - core.monotonic() or 1
            if left <= 0 then
                return nil, ("%s not finished in time, first %s"):format(
                    format.plural(#open, "job"), open[1]), context.TIMED_OUT
            end
            store:watch(math.min(left, 1))
        end
    end,
}
