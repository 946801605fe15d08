local format = require "queuectl.view.format"
local json = require "queuectl.json"
local run_file = require "queuectl.run_file"

return {
    summary = "check a jobs file without running anything",
    setup = function(parser)
        parser:argument("file", "the jobs file"):argname("FILE")
    end,
    examples = { { "queuectl check jobs.lua", "all mistakes with file and line" } },
    run = function(ctx, args)
        local plan, message, code = run_file.plan(args.file)
        if not plan then return nil, message, code end
        if ctx.json then
            ctx:print(json.encode { file = plan.path, jobs = #plan.jobs } .. "\n")
        else
            ctx:print(("%s: %s, nothing wrong\n"):format(args.file,
                format.plural(#plan.jobs, "job")))
        end
        return true
    end,
}
