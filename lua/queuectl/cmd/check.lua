local context = require "queuectl.context"
local format = require "queuectl.view.format"
local json = require "queuectl.json"
local lint = require "queuectl.jobs.lint"
local run_file = require "queuectl.run_file"
local text = require "queuectl.view.text"

local function setup(parser)
    parser:argument("files", "the jobs files, checked as one"):args("+"):argname("FILE")
    parser:option("-p --param", "the value of a parameter; may be repeated")
        :count("*"):argname("NAME=VALUE")
end

local function as_json(ctx, plan, files, found)
    local paths, warnings = {}, {}
    for i, file in ipairs(files) do paths[i] = file.path end
    for i, one in ipairs(found) do
        warnings[i] = json.object { { "file", one.file }, { "line", one.line },
            { "message", one.message } }
    end
    ctx:print(json.encode(json.object { { "file", plan.path }, { "files", json.list(paths) },
        { "jobs", #plan.jobs }, { "warnings", json.list(warnings) } }) .. "\n")
end

local function as_text(ctx, plan, files, found)
    for _, one in ipairs(found) do
        local line = one.line and one.line .. ":" or ""
        ctx:print(text.line(("%s:%s warning: %s"):format(one.file, line, one.message)) .. "\n")
    end
    local names = {}
    for i, file in ipairs(files) do names[i] = file.display end
    ctx:print(("%s: %s, %s\n"):format(table.concat(names, ", "),
        format.plural(#plan.jobs, "job"),
        #found > 0 and format.plural(#found, "warning") or "nothing wrong"))
end

return {
    summary = "check jobs files without running anything",
    setup = setup,
    notes = "Mistakes end with exit code 78, as they do for run. What is allowed but hardly meant\n"
        .. "(a job that can never run, a parameter unquoted in shell text, a file that is not the\n"
        .. "same when it is read again) is a warning; exit code 1 if there are any.\n",
    examples = { { "queuectl check jobs.lua", "all mistakes with file and line" } },
    run = function(ctx, args)
        local given, message, code = run_file.params(args.param)
        if not given then return nil, message, code end
        local files
        files, message, code = run_file.read(args.files)
        if not files then return nil, message, code end
        local opts = run_file.options { params = given, missing_ok = true }
        local plan
        plan, message, code = run_file.plan_read(files, opts)
        if not plan then return nil, message, code end
        local found = lint.find(plan, files, opts)
        if ctx.json then as_json(ctx, plan, files, found)
        else as_text(ctx, plan, files, found) end
        return #found == 0 and true or context.FAILED
    end,
}
