-- `run --dry-run`: the commands as they would run, in order, for reading and for pasting into a
-- shell. What is known only later, and secrets, stand as quoted words that say so.

local critical = require "queuectl.critical"
local jobs_text = require "queuectl.jobs.text"
local text = require "queuectl.view.text"

local dry_run = {}

local NEEDS = 5

local quote = jobs_text.shell_word

local function later(plan, entry)
    local of = plan.jobs[entry.job]
    return quote(("<%s of %s>"):format(entry.key, of and of.name or "?"))
end

local function comment(str)
    return "# " .. text.line(str)
end

local function needs_of(plan, job)
    local names = {}
    for i, need in ipairs(job.needs or {}) do
        if i > NEEDS then
            names[i] = ("… %d more"):format(#job.needs - NEEDS)
            break
        end
        local on = need.on and need.on ~= "success" and (" (on %s)"):format(need.on) or ""
        names[i] = plan.jobs[need.job].name .. on
    end
    return #names > 0 and "  needs " .. table.concat(names, ", ") or ""
end

-- Assignments in front of a command, and names that must not be set.
local function environment(plan, job)
    local set, unset = {}, {}
    for _, entry in ipairs(job.env or {}) do
        if entry.unset then
            unset[#unset + 1] = entry.name
        else
            local value = entry.secret and quote(("<secret %s>"):format(entry.secret))
                or entry.key and later(plan, entry) or quote(entry.value or "")
            set[#set + 1] = entry.name .. "=" .. value .. " "
        end
    end
    return table.concat(set), #unset > 0 and "unset " .. table.concat(unset, " ") .. " && " or ""
end

-- A first word with a "=" would be taken for an assignment.
local function first_word(str)
    return str:find("=", 1, true) and jobs_text.shell_quote(str) or quote(str)
end

local function command(plan, job)
    if job.kind == "shell" then return "sh -c " .. quote(job.command) end
    local words = {}
    for i, arg in ipairs(job.argv) do
        words[i] = type(arg) == "table" and later(plan, arg)
            or (i == 1 and first_word or quote)(arg)
    end
    return table.concat(words, " ")
end

local function input(job)
    if job.stdin then return ("printf %%s %s | "):format(quote(job.stdin)), "" end
    return "", job.stdin_file and " <" .. quote(job.stdin_file) or ""
end

local function remarks(plan, job)
    local parts = { job.name .. needs_of(plan, job) }
    if job.when then parts[#parts + 1] = "only if its condition says so" end
    if job.allow_failure then parts[#parts + 1] = "allowed to fail" end
    return table.concat(parts, "; ")
end

--- The lines of one job of a plan.
function dry_run.lines(plan, job)
    if job.done_as then return { comment(job.name .. "  completed in an earlier run") } end
    local lines = { comment(remarks(plan, job)) }
    if job.kind == "lua" then
        lines[2] = comment(("a Lua function (%s:%s)"):format(job.file or plan.path or "?",
            tostring(job.line or "?")))
        return lines
    end
    local set, unset = environment(plan, job)
    local from, file = input(job)
    lines[2] = ("(%s%s%s%s%s%s)"):format(job.cwd and "cd " .. quote(job.cwd) .. " && " or "",
        unset, from, set, command(plan, job), file)
    return lines
end

local function has_outputs(job)
    return job.outputs and #job.outputs > 0
end

local function says_report(job)
    local said = job.command or ""
    for _, word in ipairs(job.argv or {}) do
        if type(word) == "string" then said = said .. " " .. word end
    end
    return said:find("QUEUECTL_REPORT", 1, true) or said:find("queuectl report", 1, true)
end

local function any(jobs, fn)
    for _, job in ipairs(jobs) do
        if fn(job) then return true end
    end
end

--- Prints all jobs, each behind what it needs.
function dry_run.print(ctx, plan)
    local _, order = critical.steps(plan.jobs)
    if any(plan.jobs, has_outputs) then
        ctx:print("# Where jobs write their outputs; the worker gives each a file of its own.\n"
            .. "export QUEUECTL_OUTPUT=/dev/null\n\n")
    end
    if any(plan.jobs, says_report) then
        ctx:print("# Where jobs write their reports; the worker gives each a file of its own.\n"
            .. "export QUEUECTL_REPORT=/dev/null\n\n")
    end
    for n, i in ipairs(order) do
        if n > 1 then ctx:print("\n") end
        for _, line in ipairs(dry_run.lines(plan, plan.jobs[i])) do
            ctx:print((ctx.tty and text.harmless(line) or line) .. "\n")
        end
    end
end

return dry_run
