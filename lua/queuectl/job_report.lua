-- What a job reports about the attempt it runs in: lines NAME=VALUE for the file $QUEUECTL_REPORT,
-- as core/worker_report.c reads them.

local text = require "queuectl.jobs.text"

local job_report = {}

job_report.MAX = 16 * 1024

--- The file of the attempt this process belongs to, or nil outside of a job.
function job_report.path()
    local path = os.getenv("QUEUECTL_REPORT")
    if path ~= "" then return path end
end

--- The line, or nil and what is wrong.
function job_report.line(name, value)
    if type(name) ~= "string" or not name:find("^[a-z_][a-z0-9_]*$") then
        return nil, ("bad name %s: small letters, digits and _"):format(text.describe(name))
    end
    local str, message = text.scalar(value)
    if str and str:find("[%z\1-\31\127]") then
        str, message = nil, "contains a control character"
    end
    if not str then return nil, ("%s %s"):format(text.name(name), message) end
    return ("%s=%s\n"):format(name, str)
end

--- The lines in one, or nil and what is wrong.
function job_report.join(lines)
    local all = table.concat(lines)
    if #all <= job_report.MAX then return all end
    return nil, ("%d bytes of lines; the limit is %d"):format(#all, job_report.MAX)
end

--- Adds what join gave to the file; `append(path, text)` is the way to do that. true, or nil and
-- why not.
function job_report.add(append, path, lines)
    if lines == "" then return true end
    local ok, reason = append(path, lines)
    if not ok then return nil, ("%s: %s"):format(path, reason) end
    return true
end

return job_report
