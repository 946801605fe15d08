-- `run FILE --help`: the parameters a jobs file takes and the jobs it defines.

local format = require "queuectl.view.format"
local groups = require "queuectl.view.groups"
local json = require "queuectl.json"
local text = require "queuectl.view.text"

local params = {}

--- More jobs than this are shown by groups.
local JOBS_MAX = 40

local function choices(param)
    local parts = {}
    for i, choice in ipairs(param.choices or {}) do parts[i] = text.value(choice) end
    return table.concat(parts, "|")
end

-- "required", "default staging", "one of staging|prod"
local function rules(param)
    local parts = {}
    if param.choices then parts[#parts + 1] = "one of " .. choices(param) end
    if param.default ~= nil then
        local value = text.value(param.default)
        parts[#parts + 1] = "default " .. (value == "" and '""' or value)
    elseif param.required then
        parts[#parts + 1] = "required"
    end
    return text.line(table.concat(parts, ", "))
end

-- A table without headings, and without blanks where the last column is empty.
local function lines(rows, width)
    return (text.table(nil, rows, width):gsub(" +\n", "\n"))
end

local function print_params(ctx, list, width)
    if #list == 0 then
        ctx:print("It takes no parameters.\n")
        return
    end
    local rows = {}
    for i, param in ipairs(list) do
        rows[i] = { ("  -p %s=%s"):format(text.line(param.name), param.type or "string"),
            rules(param), text.line(param.desc or "") }
    end
    ctx:print("Parameters:\n" .. lines(rows, width))
end

local function needs_count(job)
    local n = #(job.needs or {})
    return n == 0 and "-" or ("needs " .. format.count(n))
end

local function job_rows(plan)
    local names, rows = {}, {}
    for i, job in ipairs(plan.jobs) do names[i] = job.name end
    if #names <= JOBS_MAX then
        for i, job in ipairs(plan.jobs) do
            rows[i] = { "  " .. text.cut(text.line(job.name), 40), needs_count(job),
                text.line(job.desc or "") }
        end
        return rows
    end
    for i, group in ipairs((groups.of(names))) do
        local first, size = plan.jobs[group.members[1]], #group.members
        local label = text.cut(text.line(group.label), 34)
        rows[i] = { ("  %s%s"):format(label, size > 1 and " ×" .. size or ""), needs_count(first),
            text.line(first.desc or "") }
    end
    return rows
end

local function param_json(param)
    return json.object { { "name", param.name }, { "type", param.type or "string" },
        { "required", param.required or false }, { "default", param.default },
        { "choices", param.choices and json.list(param.choices) }, { "desc", param.desc } }
end

local function as_json(ctx, plan)
    local list, jobs = {}, {}
    for i, param in ipairs(plan.params or {}) do list[i] = param_json(param) end
    for i, job in ipairs(plan.jobs) do
        jobs[i] = json.object { { "name", job.name }, { "desc", job.desc },
            { "needs", #(job.needs or {}) } }
    end
    ctx:print(json.encode(json.object { { "file", plan.path }, { "params", json.list(list) },
        { "jobs", json.list(jobs) } }) .. "\n")
end

--- display: the file as the user typed it.
function params.print(ctx, plan, display)
    if ctx.json then return as_json(ctx, plan) end
    local list, width = plan.params or {}, ctx.tty and ctx.columns or math.huge
    ctx:print(("Usage: queuectl run %s%s [OPTION …]\n\n"):format(
        text.line(display or plan.path or "FILE"), #list > 0 and " [-p NAME=VALUE …]" or ""))
    print_params(ctx, list, width)
    ctx:print(("\n%s:\n"):format(#plan.jobs == 1 and "Its job" or "Its "
        .. format.plural(#plan.jobs, "job")))
    ctx:print(lines(job_rows(plan), width))
    ctx:print("\nOptions of run itself: queuectl help run\n")
end

return params
