-- The end of a run: counts, what failed and why, what to type next.

local format = require "queuectl.view.format"
local json = require "queuectl.json"
local output = require "queuectl.output"
local text = require "queuectl.view.text"

local summary = {}

local FAILURES, LINES = 10, 8
local STATES = { "completed", "dead", "cancelled", "skipped", "failed", "pending", "waiting",
    "processing" }

-- Jobs of the run by state: all of them counted, the first few of each kept. One pass.
local function collect(store, run, keep_skipped)
    local counts, kept, query = {}, {}, { run = run.id, limit = 1000 }
    repeat
        local page, next_page, code = store:list(query)
        if not page then return nil, next_page, code end
        for _, job in ipairs(page) do
            counts[job.state] = (counts[job.state] or 0) + 1
            local list = kept[job.state] or {}
            kept[job.state] = list
            local all = job.state == "skipped" and keep_skipped
            if (#list < FAILURES or all) and job.state ~= "completed" then list[#list + 1] = job end
        end
        query.after = next_page
    until not next_page
    return { counts = counts, kept = kept }
end

local function counts_line(found, seconds)
    local parts = {}
    for _, state in ipairs(STATES) do
        local n = found.counts[state]
        if n then parts[#parts + 1] = ("%s %s"):format(format.count(n), state) end
    end
    return ("%s in %s"):format(table.concat(parts, ", "), format.duration(seconds))
end

-- On a terminal within its edges; elsewhere nothing is lost and nothing is broken.
local function room(ctx, used)
    return ctx.tty and math.max(20, ctx.columns - used) or math.huge
end

local function print_indented(ctx, line)
    for _, piece in ipairs(text.wrap(text.line(line), room(ctx, 5))) do
        ctx:print("    " .. piece .. "\n")
    end
end

local function print_failure(ctx, store, job)
    local allowed = job.allow_failure and " (allowed to fail)" or ""
    local label = text.cut(text.line(job.name or job.id), room(ctx, #job.state + 1 + #allowed))
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

local function print_list(ctx, run, found, state, print_job)
    local jobs = found.kept[state] or {}
    for _, job in ipairs(jobs) do print_job(job) end
    local more = (found.counts[state] or 0) - #jobs
    if more > 0 then
        ctx:print(("… and %s more %s; see: queuectl list --run %d --state %s\n"):format(
            format.count(more), state, run.id, state))
    end
end

local function print_text(ctx, store, run, found, seconds)
    print_list(ctx, run, found, "skipped", function(job)
        local line = ("skipped   %s (%s)"):format(text.line(job.name or job.id),
            text.line(job.error or job.cause))
        ctx:print(text.cut(line, room(ctx, 0)) .. "\n")
    end)
    for _, state in ipairs { "dead", "cancelled" } do
        print_list(ctx, run, found, state, function(job) print_failure(ctx, store, job) end)
    end
    ctx:print(("%s%s\n"):format((found.counts.dead or found.counts.cancelled) and "\n" or "",
        counts_line(found, seconds)))
    if run.left > 0 then
        ctx:print(("%s left; go on with: queuectl run --resume %s\n"):format(
            format.plural(run.left, "job"), run.path))
    end
end

local function print_json(ctx, run, found, seconds)
    for _, job in ipairs(found.kept.skipped or {}) do
        ctx:print(json.encode(json.object { { "event", "skipped" },
            { "time", format.utc(job.finished_at) }, { "job", job.id }, { "name", job.name },
            { "seq", job.seq }, { "cause", job.cause }, { "text", job.error } }) .. "\n")
    end
    local counts = {}
    for i, state in ipairs(STATES) do counts[i] = { state, found.counts[state] or 0 } end
    ctx:print(json.encode(json.object { { "event", "summary" }, { "run", run.id },
        { "jobs", json.object(counts) }, { "left", run.left }, { "failed", run.failed },
        { "seconds", math.floor(seconds * 1000 + 0.5) / 1000 } }) .. "\n")
end

--- true, or nil, message, exit code
function summary.print(ctx, store, run, seconds)
    local found, message, code = collect(store, run, ctx.json)
    if not found then return nil, message, code end
    if ctx.json then
        print_json(ctx, run, found, seconds)
    else
        print_text(ctx, store, run, found, seconds)
    end
    return true
end

return summary
