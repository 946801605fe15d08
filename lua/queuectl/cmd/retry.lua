local bulk = require "queuectl.bulk"

local FROM = { dead = "the dead letter queue" }

local function say(id, before)
    return ("Job %s moved from %s to pending"):format(id, FROM[before] or before)
end

return {
    summary = "run dead, failed or cancelled jobs again",
    setup = function(parser)
        parser:argument("jobs", "their ids"):args("+"):argname("JOB")
        parser:flag("--again", "completed ones, too")
        parser:flag("--latest", "jobs of a jobs file: as the file says now")
    end,
    examples = { { "queuectl retry job1", "with all its tries again" } },
    run = function(ctx, args)
        return bulk.each(ctx, args.jobs, function(store, id)
            if args.latest then
                return require("queuectl.run.latest").retry(store, id, args.again or false)
            end
            return store:retry(id, args.again)
        end, say)
    end,
}
