-- A planned jobs file as a table, in the order in which the jobs can start.

local critical = require "queuectl.critical"
local estimate = require "queuectl.view.estimate"
local format = require "queuectl.view.format"
local json = require "queuectl.json"
local text = require "queuectl.view.text"

local plan_view = {}

local function needs_text(plan, job)
    local names = {}
    for i, need in ipairs(job.needs or {}) do
        if i > 3 then
            names[#names + 1] = ("… %d more"):format(#job.needs - 3)
            break
        end
        local on = need.on ~= "success" and (" (%s)"):format(need.on) or ""
        names[i] = plan.jobs[need.job].name .. on
    end
    return table.concat(names, ", ")
end

local function shown_argv(argv, plan)
    local words = {}
    for i, arg in ipairs(argv) do
        words[i] = type(arg) == "table" and ("<%s of %s>"):format(arg.key, plan.jobs[arg.job].name)
            or arg
    end
    return table.concat(words, " ")
end

-- In one line, without the indentation of text that stands in several.
local function one_line(str)
    str = str:gsub("^%s+", ""):gsub("%s+$", ""):gsub("[ \t]*\n%s*", "\n")
    return text.line(str)
end

local function command(plan, job)
    if job.done_as then return "(completed in an earlier run)" end
    if job.kind == "lua" then return "Lua function" end
    return one_line(job.command or shown_argv(job.argv, plan))
end

local function path_json(plan, found)
    local names = {}
    for n, i in ipairs(found.path) do names[n] = plan.jobs[i].name end
    return json.object { { "seconds", found.length }, { "jobs", json.list(names) } }
end

local function as_json(ctx, plan, steps, order, found)
    local list = {}
    for n, i in ipairs(order) do
        local job, needs = plan.jobs[i], {}
        for k, need in ipairs(job.needs or {}) do
            needs[k] = json.object { { "job", plan.jobs[need.job].name }, { "on", need.on } }
        end
        list[n] = json.object { { "name", job.name }, { "step", steps[i] }, { "kind", job.kind },
            { "command", command(plan, job) }, { "needs", json.list(needs) }, { "line", job.line },
            { "file", job.file }, { "taken_over", job.done_as and true or nil },
            { "expected_seconds", found and found.seconds[i] } }
    end
    local result = json.object { { "file", plan.path }, { "jobs", json.list(list) },
        { "critical_path", found and path_json(plan, found) }, { "slots", found and found.slots },
        { "expected_seconds", found and found.wall } }
    ctx:print(json.encode(result) .. "\n")
end

-- "4 jobs", "4 jobs, 3 completed earlier"
local function count_line(plan)
    local done = 0
    for _, job in ipairs(plan.jobs) do done = done + (job.done_as and 1 or 0) end
    return format.plural(#plan.jobs, "job")
        .. (done > 0 and (", %s completed earlier"):format(format.count(done)) or "")
end

local function row(plan, i, steps, found)
    local job = plan.jobs[i]
    local cells = { tostring(steps[i]), text.cut(text.line(job.name), 40),
        text.cut(needs_text(plan, job), 40), command(plan, job) }
    if found then
        local time = format.duration(found.seconds[i]) .. (found.on_path[i] and " *" or "")
        table.insert(cells, 3, time)
    end
    return cells
end

--- The table of `run -n`. opts, all of it optional: `times` seconds of the jobs in an earlier run
-- by name, `slots` to say how long it may take.
function plan_view.print(ctx, plan, opts)
    opts = opts or {}
    local steps, order = critical.steps(plan.jobs)
    local found = estimate.of(plan.jobs, opts.times, opts.slots)
    if ctx.json then return as_json(ctx, plan, steps, order, found) end
    local rows, headings = {}, { "STEP", "JOB", "NEEDS", "RUNS" }
    if found then table.insert(headings, 3, "TOOK") end
    for n, i in ipairs(order) do rows[n] = row(plan, i, steps, found) end
    local width = ctx.tty and ctx.columns or math.huge
    ctx:print(text.table(headings, rows, width))
    ctx:print(count_line(plan) .. "\n")
    for _, line in ipairs(found and estimate.lines(plan.jobs, found) or {}) do
        ctx:print(text.cut(line, width) .. "\n")
    end
end

return plan_view
