-- The end of a run: counts, what failed and why, where the time went, what to type next.

local core = require "queuectl.core"
local estimate = require "queuectl.view.estimate"
local format = require "queuectl.view.format"
local json = require "queuectl.json"
local output = require "queuectl.output"
local run_facts = require "queuectl.view.run_facts"
local text = require "queuectl.view.text"

local summary = {}

local FAILURES, LINES, NAMES, OUTPUTS = 10, 8, 3, 20
--- Where the time went is said of runs that took so long.
local WORTH_SECONDS = 1
local STATES = { "completed", "dead", "cancelled", "skipped", "failed", "pending", "waiting",
    "processing" }

local function counts_line(facts, seconds)
    local parts = {}
    for _, state in ipairs(STATES) do
        local n = facts.counts[state]
        if n then parts[#parts + 1] = ("%s %s"):format(format.count(n), state) end
    end
    return ("%s in %s"):format(table.concat(parts, ", "), format.duration(seconds))
end

-- On a terminal within its edges; elsewhere nothing is lost and nothing is broken.
local function room(ctx, used)
    return ctx.tty and math.max(20, ctx.columns - used) or math.huge
end

local function say(ctx, line)
    ctx:print(text.cut(text.line(line), room(ctx, 0)) .. "\n")
end

-- ---- what did not go well ----

local function print_indented(ctx, line)
    for _, piece in ipairs(text.wrap(text.line(line), room(ctx, 5))) do
        ctx:print("    " .. piece .. "\n")
    end
end

local function print_failure(ctx, store, job)
    local allowed = job.allow_failure and " (allowed to fail)" or ""
    local label = text.cut(text.line(job.label), room(ctx, #job.state + 1 + #allowed))
    ctx:print(("\n%s %s%s\n"):format(ctx:style("red", job.state), label, allowed))
    local why = job.error or job.cause
    for line in why:gmatch("[^\n]+") do print_indented(ctx, line) end
    local lines = output.last_lines(store, job, LINES)
    -- The reason carries the end of stderr already: more only where there is more.
    if #lines > 0 and not why:find(lines[#lines], 1, true) then
        ctx:print("  last lines:\n")
        for _, line in ipairs(lines) do print_indented(ctx, line) end
    end
    ctx:print(("  see it all: queuectl logs %s\n"):format(job.id))
end

local function print_failures(ctx, store, run, facts, state)
    local shown, all = 0, facts.counts[state] or 0
    for _, job in ipairs(all > 0 and facts.jobs or {}) do
        if job.state == state then
            print_failure(ctx, store, job)
            shown = shown + 1
            if shown == FAILURES then break end
        end
    end
    if all > shown then
        ctx:print(("… and %s more %s; see: queuectl list --run %d --state %s\n"):format(
            format.count(all - shown), state, run.id, state))
    end
end

local function names_of(jobs, max)
    local names = {}
    for i, job in ipairs(jobs) do
        if i > max then
            names[i] = "…"
            break
        end
        names[i] = job.label
    end
    return table.concat(names, ", ")
end

-- "skipped   c (needs 'b', which is dead)", "skipped   12 jobs (…): c, d, e, …"
local function print_skipped(ctx, run, facts)
    for i, group in ipairs(facts.skipped) do
        if i > FAILURES then
            ctx:print(("… and jobs for %d more reasons; see: queuectl list --run %d --state "
                .. "skipped\n"):format(#facts.skipped - FAILURES, run.id))
            return
        end
        if #group.jobs == 1 then
            say(ctx, ("skipped   %s (%s)"):format(group.jobs[1].label, group.cause))
        else
            say(ctx, ("skipped   %s jobs (%s): %s"):format(format.count(#group.jobs), group.cause,
                names_of(group.jobs, NAMES)))
        end
    end
end

-- ---- where the time went ----

local function chain(jobs)
    local names = {}
    for i, job in ipairs(jobs) do names[i] = job.label end
    return estimate.chain(names)
end

local function print_times(ctx, facts, seconds)
    if seconds < WORTH_SECONDS or #facts.jobs < 2 then return end
    say(ctx, ("work      %s in all"):format(format.duration(facts.work)))
    if #facts.path.jobs > 1 then
        say(ctx, ("critical  %s: %s"):format(format.duration(facts.path.seconds),
            chain(facts.path.jobs)))
    end
    local parts = {}
    for i, job in ipairs(facts.slowest) do
        parts[i] = ("%s %s"):format(job.label, format.duration(job.seconds))
    end
    if #facts.jobs > 2 then say(ctx, "slowest   " .. table.concat(parts, ", ")) end
end

local function print_flaky(ctx, facts)
    if #facts.flaky == 0 then return end
    local parts = {}
    for i, job in ipairs(facts.flaky) do
        if i > 2 * NAMES then
            parts[i] = ("… %s more"):format(format.count(#facts.flaky - 2 * NAMES))
            break
        end
        parts[i] = ("%s (%s)"):format(job.label, format.plural(job.attempts, "attempt"))
    end
    say(ctx, "retried   " .. table.concat(parts, ", "))
end

-- ---- what came of it ----

local function sorted_keys(map)
    local keys = {}
    for key in pairs(map) do keys[#keys + 1] = key end
    table.sort(keys)
    return keys
end

local function print_results(ctx, facts)
    local lines = {}
    for _, found in ipairs(facts.artifacts) do
        for _, entry in ipairs(found.list) do
            lines[#lines + 1] = ("artifact  %s (%s)"):format(entry.path, found.job.label)
        end
    end
    for _, key in ipairs(sorted_keys(facts.outputs or {})) do
        lines[#lines + 1] = ("output    %s=%s"):format(key, facts.outputs[key])
    end
    for i, line in ipairs(lines) do
        if i > OUTPUTS and ctx.tty then
            ctx:print(("… and %d more\n"):format(#lines - OUTPUTS))
            break
        end
        ctx:print(text.line(line) .. "\n")
    end
end

local function print_text(ctx, store, run, facts, opts)
    local seconds = opts.seconds
    print_skipped(ctx, run, facts)
    for _, state in ipairs { "dead", "cancelled" } do
        print_failures(ctx, store, run, facts, state)
    end
    local failed = facts.counts.dead or facts.counts.cancelled
    ctx:print(("%s%s\n"):format(failed and "\n" or "", counts_line(facts, seconds)))
    print_times(ctx, facts, seconds)
    print_flaky(ctx, facts)
    print_results(ctx, facts)
    if opts.next then
        ctx:print(text.line(opts.next) .. "\n")
    elseif run.left > 0 then
        ctx:print(("%s left; go on with: queuectl run --resume %s\n"):format(
            format.plural(run.left, "job"), run.path))
    end
end

-- ---- for programs ----

local function milliseconds(seconds)
    return seconds and math.floor(seconds * 1000 + 0.5) / 1000
end

local function short(jobs, key, value)
    local list = {}
    for i, job in ipairs(jobs) do
        list[i] = json.object { { "job", job.id }, { "name", job.name }, { key, value(job) } }
    end
    return json.list(list)
end

local function seconds_of(job) return milliseconds(job.seconds) end
local function attempts_of(job) return job.attempts end

local function artifacts_json(facts)
    local list = {}
    for _, found in ipairs(facts.artifacts) do
        for _, entry in ipairs(found.list) do
            list[#list + 1] = json.object { { "job", found.job.id }, { "name", found.job.name },
                { "path", entry.path }, { "bytes", entry.size } }
        end
    end
    return #list > 0 and json.list(list) or nil
end

local function outputs_json(facts)
    local list = {}
    for _, key in ipairs(sorted_keys(facts.outputs or {})) do
        list[#list + 1] = { key, facts.outputs[key] }
    end
    return #list > 0 and json.object(list) or nil
end

--- The keys of a run's end, shared with the report: counts, times, what took longest.
function summary.fields(run, facts, seconds)
    local counts = {}
    for i, state in ipairs(STATES) do counts[i] = { state, facts.counts[state] or 0 } end
    return {
        { "run", run.id }, { "jobs", json.object(counts) }, { "left", run.left },
        { "failed", run.failed }, { "seconds", milliseconds(seconds) },
        { "work_seconds", milliseconds(facts.work) },
        { "critical_path", json.object { { "seconds", milliseconds(facts.path.seconds) },
            { "jobs", short(facts.path.jobs, "seconds", seconds_of) } } },
        { "slowest", short(facts.slowest, "seconds", seconds_of) },
        { "retried", short(facts.flaky, "attempts", attempts_of) },
        { "outputs", outputs_json(facts) }, { "artifacts", artifacts_json(facts) },
    }
end

local function print_json(ctx, run, facts, seconds)
    for _, job in ipairs(facts.jobs) do
        if job.state == "skipped" then
            ctx:print(json.encode(json.object { { "event", "skipped" },
                { "time", format.utc(job.finished_at) }, { "job", job.id }, { "name", job.name },
                { "seq", job.seq }, { "cause", job.cause }, { "text", job.error } }) .. "\n")
        end
    end
    local fields = summary.fields(run, facts, seconds)
    table.insert(fields, 1, { "event", "summary" })
    ctx:print(json.encode(json.object(fields)) .. "\n")
end

--- opts: `seconds` the run took, `plan` (for the critical path and the outputs), `facts` where the
-- caller has them already (view/run_facts.lua), `next` what to type next, in a
-- line; without it there is one of its own where jobs are left.
-- true, or nil, message, exit code
function summary.print(ctx, store, run, opts)
    local facts = opts.facts
    if not facts then
        local message, code
        facts, message, code = run_facts.collect(store, run, opts.plan)
        if not facts then return nil, message, code end
    end
    -- It may have been resized while the run went on.
    if ctx.tty then ctx.columns = core.terminal_size(1) end
    if ctx.json then
        print_json(ctx, run, facts, opts.seconds)
    else
        print_text(ctx, store, run, facts, opts)
    end
    return true
end

return summary
