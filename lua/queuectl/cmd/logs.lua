local context = require "queuectl.context"
local format = require "queuectl.view.format"
local output = require "queuectl.output"
local states = require "queuectl.states"
local text = require "queuectl.view.text"

local function wanted_stream(args)
    if args.stdout and args.stderr then return nil end
    return args.stdout and 1 or args.stderr and 2 or nil
end

-- The attempt to show: the one asked for, else the last, which may be running.
local function choose(job, attempts, number)
    local last = attempts[#attempts]
    if number then
        for _, attempt in ipairs(attempts) do
            if attempt.attempt == number then return attempt end
        end
        if not (job.state == "processing" and number == job.attempts) then
            return nil, ("job '%s' has no attempt %d, but %d"):format(job.id, number,
                job.attempts), context.NOT_FOUND
        end
    elseif job.state ~= "processing" then
        return last or { token = 0, output_total = 0 }
    end
    return { token = job.token }
end

local function printer(ctx, args)
    local stream = wanted_stream(args)
    local raw = args.raw or not ctx.tty
    return function(data, from)
        if stream and from ~= stream then return end
        ctx:print(raw and data or text.harmless(data))
    end
end

local function say_gap(ctx)
    return function(bytes)
        ctx:note(("… %s bytes in the middle were not kept …"):format(format.count(bytes)))
    end
end

local function attempt_number(args)
    if not args.attempt then return nil end
    local n = args.attempt:find("^%d+$") and tonumber(args.attempt)
    if n and n >= 1 then return n end
    return nil, ("--attempt '%s': must be a whole number from 1"):format(args.attempt:sub(1, 40))
end

-- Follows the attempt that runs, and those after it, until the job is final.
local function follow(ctx, store, id, show)
    local token, at = nil, 0
    local gap = say_gap(ctx)
    while true do
        local job, message, code = store:get(id)
        if not job then return nil, message, code end
        local attempts
        attempts, message, code = store:attempts(job.seq)
        if not attempts then return nil, message, code end
        local attempt = choose(job, attempts)
        if attempt.token ~= token then token, at = attempt.token, 0 end
        at, message, code = output.each(store, job, token,
            { from = at, total = attempt.output_total, fn = show, gap = gap })
        if not at then return nil, message, code end
        ctx:flush()
        if ctx.output_failed or states.is_final(job.state) then return true end
        store:watch(1)
    end
end

return {
    summary = "what a job printed",
    setup = function(parser)
        parser:argument("job", "its id"):argname("JOB")
        parser:flag("-f --follow", "go on until the job is finished")
        parser:option("--attempt", "which attempt, default the last"):argname("N")
        parser:flag("--stdout", "only standard output")
        parser:flag("--stderr", "only standard error")
        parser:flag("--raw", "untouched, on a terminal too")
    end,
    examples = { { "queuectl logs job1", "both streams as they came" },
        { "queuectl logs -f job1", "live, until it is finished" } },
    run = function(ctx, args)
        local number, message = attempt_number(args)
        if message then return nil, message, context.USAGE end
        local store, job, attempts, code
        store, message, code = ctx:store()
        if not store then return nil, message, code end
        local show = printer(ctx, args)
        if args.follow then return follow(ctx, store, args.job, show) end
        job, message, code = store:get(args.job)
        if not job then return nil, message, code end
        attempts, message, code = store:attempts(job.seq)
        if not attempts then return nil, message, code end
        local attempt
        attempt, message, code = choose(job, attempts, number)
        if not attempt then return nil, message, code end
        local at
        at, message, code = output.each(store, job, attempt.token,
            { total = attempt.output_total, fn = show, gap = say_gap(ctx) })
        if not at then return nil, message, code end
        return true
    end,
}
