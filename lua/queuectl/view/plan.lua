-- A planned jobs file as a table, in the order in which the jobs can start.

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
    if job.kind == "lua" then return "Lua function" end
    return one_line(job.command or shown_argv(job.argv, plan))
end

--- How many jobs must have ended before each: the earliest step at which it can start.
function plan_view.steps(jobs)
    local steps, waits, children, ready = {}, {}, {}, {}
    for i, job in ipairs(jobs) do
        waits[i] = #(job.needs or {})
        if waits[i] == 0 then
            ready[#ready + 1] = i
            steps[i] = 1
        end
        for _, need in ipairs(job.needs or {}) do
            children[need.job] = children[need.job] or {}
            table.insert(children[need.job], i)
        end
    end
    local at = 1
    while ready[at] do
        local i = ready[at]
        for _, child in ipairs(children[i] or {}) do
            steps[child] = math.max(steps[child] or 1, steps[i] + 1)
            waits[child] = waits[child] - 1
            if waits[child] == 0 then ready[#ready + 1] = child end
        end
        at = at + 1
    end
    return steps, ready
end

local function as_json(ctx, plan, steps, order)
    local list = {}
    for n, i in ipairs(order) do
        local job, needs = plan.jobs[i], {}
        for k, need in ipairs(job.needs or {}) do
            needs[k] = json.object { { "job", plan.jobs[need.job].name }, { "on", need.on } }
        end
        list[n] = json.object { { "name", job.name }, { "step", steps[i] }, { "kind", job.kind },
            { "command", command(plan, job) }, { "needs", json.list(needs) }, { "line", job.line } }
    end
    local result = json.object { { "file", plan.path }, { "jobs", json.list(list) } }
    ctx:print(json.encode(result) .. "\n")
end

function plan_view.print(ctx, plan)
    local steps, order = plan_view.steps(plan.jobs)
    if ctx.json then return as_json(ctx, plan, steps, order) end
    local rows = {}
    for n, i in ipairs(order) do
        local job = plan.jobs[i]
        rows[n] = { tostring(steps[i]), text.cut(text.line(job.name), 40),
            text.cut(needs_text(plan, job), 40), command(plan, job) }
    end
    ctx:print(text.table({ "STEP", "JOB", "NEEDS", "RUNS" }, rows,
        ctx.tty and ctx.columns or math.huge))
    ctx:print(format.plural(#order, "job") .. "\n")
end

return plan_view
