-- Reading and planning a jobs file, for run and check.

local core = require "queuectl.core"
local context = require "queuectl.context"
local jobs = require "queuectl.jobs"
local json = require "queuectl.json"

local run_file = {}

local NOT_PERMITTED = 7
local FILE_MAX = 8 * 1024 * 1024

-- message as the system words it: "PATH: why"
local function unreadable(message)
    return nil, message, message:find(": Permission denied", 1, true) and NOT_PERMITTED
        or context.NOT_FOUND
end

local function read(path)
    if path == "" then return nil, "the file's name is empty; give a jobs file", context.USAGE end
    local kind, size = core.stat(path)
    if not kind then return unreadable(size) end
    if kind ~= "file" then
        return nil, ("%s: is not a file; give a jobs file"):format(path), context.USAGE
    end
    if size > FILE_MAX then
        return nil, ("%s: larger than 8 MiB; build its jobs in loops"):format(path), context.CONFIG
    end
    local file, message = io.open(path, "rb")
    if not file then return unreadable(message) end
    local text = file:read("*a")
    file:close()
    return text
end

--- plan { path, text, jobs } | nil, message, exit code
function run_file.plan(path)
    local text, message, code = read(path)
    if not text then return nil, message, code end
    local real
    real, message, code = core.realpath(path)
    if not real then return nil, message, code end
    local plan
    plan, message = jobs.plan(text, path, { path = real, encode = json.encode })
    if not plan then return nil, message, context.CONFIG end
    -- The file's folder, so that it does not matter from where it is run or resumed.
    local folder = real:match("^(.+)/") or "/"
    for _, job in ipairs(plan.jobs) do job.cwd = job.cwd or folder end
    return plan
end

return run_file
