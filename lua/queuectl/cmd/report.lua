local context = require "queuectl.context"
local core = require "queuectl.core"
local job_report = require "queuectl.job_report"
local text = require "queuectl.jobs.text"

local function read_lines(fields)
    local lines = {}
    for i, field in ipairs(fields) do
        local name, value = field:match("^([^=]*)=(.*)$")
        if not name then
            return nil, ("%s is not NAME=VALUE"):format(text.name(field))
        end
        local line, message = job_report.line(name, value)
        if not line then return nil, message end
        lines[i] = line
    end
    return job_report.join(lines)
end

return {
    summary = "inside of a job: note NAME=VALUE about this attempt",
    plain = "fields",
    setup = function(parser)
        parser:argument("fields", "small letters, digits and _, then = and a text")
            :args("+"):argname("NAME=VALUE")
    end,
    notes = "They are kept with the attempt, however it ends, and change nothing about that end;\n"
        .. "see them with: queuectl show JOB. The last value of a name counts; at most 64 names\n"
        .. "and 16 KiB. The same as adding lines to the file $QUEUECTL_REPORT.\n",
    examples = { { "queuectl report status=429 retry_after=30", "what the server said" } },
    run = function(_, args)
        local fields = type(args.fields) == "table" and args.fields or { args.fields }
        local lines, message = read_lines(fields)
        local path = job_report.path()
        if lines and not path then
            lines, message = nil, "there is no job to report about ($QUEUECTL_REPORT is not set); "
                .. "use this in what a job runs"
        end
        if not lines then return nil, message, context.USAGE end
        return job_report.add(core.append, path, lines)
    end,
}
