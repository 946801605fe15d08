local core = require "queuectl.core"
local context = require "queuectl.context"
local format = require "queuectl.view.format"
local input = require "queuectl.enqueue_input"
local json = require "queuectl.json"
local spec = require "queuectl.spec"

local function setup(parser)
    parser:argument("command", "shell text, or a job as a JSON object"):args("?"):argname("TEXT")
    parser:option("--id", "1-128 of A-Z a-z 0-9 _ . : -; repeating it is safe"):argname("ID")
    parser:option("-f --file", "jobs, one a line: shell text or JSON; - is standard input")
        :argname("FILE")
    parser:option("--priority", "larger first, default 0"):argname("N")
    parser:option("--delay", "start no earlier than this from now"):argname("DURATION")
    parser:option("--timeout", "limit of one try, default 1h; none for no limit")
        :argname("DURATION")
    parser:option("--retries --max-retries", "tries after the first one, default 3"):argname("N")
    parser:option("--queue", "name of the queue"):argname("NAME")
    parser:option("--group", "key of the group"):argname("KEY")
    parser:option("--env", "environment variable of the job"):argname("K=V"):count("*")
    parser:option("--cwd", "where the job runs, default here"):argname("DIR")
end

local function say(ctx, job)
    local when = ""
    if job.existed then
        when = (" (was there already, %s)"):format(job.state)
    elseif job.run_at > core.time() then
        local wait = job.run_at - core.time()
        when = (", runs at %s (in %s)"):format(format.clock(job.run_at, core.time()),
            format.duration(wait))
    end
    return ctx.tty and ("Enqueued job: %s%s\n"):format(job.id, when) or job.id .. "\n"
end

local function answer(ctx, done)
    if ctx.json then
        local items = {}
        for i, job in ipairs(done) do
            items[i] = json.object { { "id", job.id }, { "state", job.state },
                { "run_at", format.utc(job.run_at) }, { "existed", job.existed } }
        end
        ctx:print(json.encode(#items == 1 and items[1] or json.list(items)) .. "\n")
    elseif ctx.tty and #done > 20 then
        ctx:print(("Enqueued %s: %s … %s\n"):format(format.plural(#done, "job"), done[1].id,
            done[#done].id))
    else
        for _, job in ipairs(done) do ctx:print(say(ctx, job)) end
    end
    ctx.done = #done == 1 and "stored as " .. done[1].id or format.plural(#done, "job") .. " stored"
    return true
end

local function read_jobs(args, base)
    local sources = (args.command and 1 or 0) + (args.file and 1 or 0) + (args.rest and 1 or 0)
    if sources ~= 1 then
        return nil, sources == 0 and "no job given; give shell text, '-- argv…' or -f FILE"
            or "give one of: shell text, '-- argv…', -f FILE"
    end
    if args.file then return input.from_file(args.file, base) end
    local job, message
    if args.rest then
        job, message = input.from_argv(args.rest, base)
    else
        job, message = input.from_text(args.command, base)
    end
    return job and { job }, message
end

return {
    summary = "add a job to the queue",
    setup = setup,
    plain = "command",
    rest = true,
    examples = {
        { "queuectl enqueue \"echo 'Hello Queue'\"", "a shell command" },
        { "queuectl enqueue -- convert 'my photo.png' out.jpg", "a program, without a shell" },
        { "seq 3 | sed 's/^/echo /' | queuectl enqueue -f -", "many jobs, all or nothing" },
        { "queuectl enqueue --id nightly --timeout 10m --retries 5 'make report'",
            "with settings; doing it twice adds it once" },
    },
    run = function(ctx, args)
        local base, message = input.base(args)
        if not base then return nil, message, context.USAGE end
        local jobs, code
        jobs, message, code = read_jobs(args, base)
        if not jobs then return nil, message, code or context.USAGE end
        local store
        store, message, code = ctx:store()
        if not store then return nil, message, code end
        local done
        done, message, code = store:enqueue(spec.pack_all(jobs))
        if not done then return nil, message, code end
        return answer(ctx, done)
    end,
}
