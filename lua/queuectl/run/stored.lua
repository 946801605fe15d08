-- The plan of a run that was stored, from its own texts: the files may have changed since.

local jobs = require "queuectl.jobs"
local program = require "queuectl.jobs.program"
local run_file = require "queuectl.run_file"

local stored = {}

--- The plan, with `values` of its parameters by name; or nil and why there is none.
function stored.plan(run)
    local read, message = program.read(run.text, run.path)
    if not read then return nil, message end
    local text_of = {}
    for _, module in ipairs(read.modules) do text_of[module.path] = module.text end
    local plan
    plan, message = jobs.plan_files(read.files, run_file.options {
        params = read.params, print = function() end,
        find = function(path) return text_of[path] end,
    })
    if not plan then return nil, message end
    plan.values = read.params
    return plan
end

return stored
