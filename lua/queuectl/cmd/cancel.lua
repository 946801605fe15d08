local bulk = require "queuectl.bulk"

local function say(id, after)
    if after == "processing" then
        return ("Job %s is being stopped by its worker"):format(id)
    end
    return ("Job %s is cancelled"):format(id)
end

return {
    summary = "take a job out, or stop it while it runs",
    setup = function(parser)
        parser:argument("jobs", "their ids"):args("+"):argname("JOB")
    end,
    notes = "A running job gets TERM, and KILL after its kill_after (10 s).\n"
        .. "To undo it: queuectl retry JOB.\n",
    examples = { { "queuectl cancel job1", "it will not run, or stops" } },
    run = function(ctx, args)
        return bulk.each(ctx, args.jobs, function(store, id) return store:cancel(id) end, say)
    end,
}
