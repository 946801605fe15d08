-- Runs of jobs files: the list, and one of them.

local core = require "queuectl.core"
local format = require "queuectl.view.format"
local json = require "queuectl.json"
local text = require "queuectl.view.text"

local runs = {}

local COLORS = { ok = "green", failed = "red", cancelled = "yellow", interrupted = "yellow",
    running = "cyan" }

local function took(run, now)
    if not run.started_at then return nil end
    return math.max(0, (run.finished_at or now) - run.started_at)
end

local function completed(run)
    return run.jobs - run.left
end

-- "8/10", and what did not go well.
local function counts_text(run)
    local parts = { ("%s/%s"):format(format.count(completed(run)), format.count(run.jobs)) }
    if (run.failed or 0) > 0 then parts[2] = format.count(run.failed) .. " failed" end
    return table.concat(parts, ", ")
end

--- A run as scripts read it; keys in this order.
function runs.json(run, now)
    local seconds = took(run, now or core.time())
    return json.object {
        { "run", run.id }, { "file", run.path }, { "state", run.state }, { "jobs", run.jobs },
        { "left", run.left }, { "failed", run.failed }, { "cancelled", run.cancelled },
        { "added", run.added }, { "detached", run.detached }, { "fail_fast", run.fail_fast },
        { "halted", run.halted },
        { "started_at", format.utc(run.started_at) or json.null },
        { "finished_at", format.utc(run.finished_at) or json.null },
        { "seconds", seconds and math.floor(seconds * 1000 + 0.5) / 1000 or json.null },
        { "worker_id", run.worker and run.worker ~= 0 and tostring(run.worker) or json.null },
    }
end

-- The paths of its files, as one types them.
local function files_of(run)
    return (run.path:gsub("\n", " "))
end

-- The end of a path says more than its beginning.
local function short_path(path, max)
    path = text.line(path)
    if text.width(path) <= max then return path end
    local pieces, used, kept = {}, 1, {}
    for char in path:gmatch("[%z\1-\127\194-\244][\128-\191]*") do pieces[#pieces + 1] = char end
    for i = #pieces, 1, -1 do
        local width = text.width(pieces[i])
        if used + width > max then break end
        used = used + width
        table.insert(kept, 1, pieces[i])
    end
    return "…" .. table.concat(kept)
end

local HEADINGS = { "RUN", "STATE", "STARTED", "TOOK", "DONE", "FILE" }
local PATH_MIN = 10

local function row(run, now)
    return { tostring(run.id), run.state or "-", format.clock(run.started_at, now),
        format.duration(took(run, now)), counts_text(run) }
end

-- Columns that are left for the paths beside everything else.
local function path_room(ctx, rows)
    if not ctx.tty then return math.huge end
    local used = 0
    for i = 1, #HEADINGS - 1 do
        local wide = #HEADINGS[i]
        for _, cells in ipairs(rows) do wide = math.max(wide, text.width(cells[i])) end
        used = used + wide + 2
    end
    return math.max(PATH_MIN, ctx.columns - used)
end

local function print_table(ctx, list)
    if #list == 0 then
        ctx:print("No run yet; start one with: queuectl run FILE\n")
        return
    end
    local rows, now = {}, core.time()
    for i, run in ipairs(list) do rows[i] = row(run, now) end
    local room = path_room(ctx, rows)
    for i, run in ipairs(list) do rows[i][#HEADINGS] = short_path(files_of(run), room) end
    ctx:print(text.table(HEADINGS, rows, ctx.tty and ctx.columns or math.huge))
end

--- Prints a list of runs as asked: a table on a terminal, JSON on a pipe; -o json, jsonl, id,
-- table as for jobs.
function runs.table(ctx, list)
    local shape = ctx.json and "json" or ctx.options.output or (ctx.tty and "table" or "json")
    if shape == "table" then return print_table(ctx, list) end
    local now = core.time()
    if shape == "id" then
        for _, run in ipairs(list) do ctx:print(("%d\n"):format(run.id)) end
        return
    end
    local objects = {}
    for i, run in ipairs(list) do objects[i] = json.encode(runs.json(run, now)) end
    if shape == "jsonl" then
        for _, object in ipairs(objects) do ctx:print(object .. "\n") end
    elseif #objects == 0 then
        ctx:print("[]\n")
    else
        ctx:print("[\n" .. table.concat(objects, ",\n") .. "\n]\n")
    end
end

local function line(ctx, name, value)
    if value == nil or value == "" then return end
    local shown = ("%-12s %s"):format(name, text.line(tostring(value)))
    ctx:print(text.cut(shown, ctx.tty and math.max(ctx.columns, 40) or math.huge) .. "\n")
end

local ORDER = { "completed", "dead", "cancelled", "skipped", "processing", "failed", "pending",
    "waiting", "held" }

local function counts_of(facts)
    local parts = {}
    for _, state in ipairs(ORDER) do
        local n = facts.counts[state]
        if n and n > 0 then parts[#parts + 1] = ("%s %s"):format(format.count(n), state) end
    end
    return table.concat(parts, ", ")
end

local function parameters(params)
    local parts = {}
    for name, value in pairs(params or {}) do
        parts[#parts + 1] = ("%s=%s"):format(name, text.value(value))
    end
    table.sort(parts)
    return table.concat(parts, "  ")
end

-- What to type next, for the state it is in.
local function advice(run)
    if run.left > 0 and run.state ~= "running" and run.state ~= "queued" then
        return "go on with: queuectl run --resume " .. files_of(run)
    end
    if (run.failed or 0) > 0 then
        return ("see what failed: queuectl list --run %d --state dead"):format(run.id)
    end
    return ("see its jobs: queuectl list --run %d"):format(run.id)
end

--- One run. facts: what view/run_facts.lua collected, with `params` (name -> value) if known.
function runs.show(ctx, run, facts)
    local now = core.time()
    if ctx.json or not ctx.tty then
        local fields = require("queuectl.view.summary").fields(run, facts, took(run, now) or 0)
        local object = json.encode(runs.json(run, now))
        local known = { run = true, left = true, failed = true, seconds = true }
        local more = {}
        for _, field in ipairs(fields) do
            if not known[field[1]] then
                more[#more + 1] = { field[1] == "jobs" and "counts" or field[1], field[2] }
            end
        end
        if facts.params then more[#more + 1] = { "params", facts.params } end
        ctx:print(object:sub(1, -2) .. "," .. json.encode(json.object(more)):sub(2) .. "\n")
        return
    end
    line(ctx, "run", run.id)
    line(ctx, "file", files_of(run))
    ctx:print(("%-12s %s\n"):format("state", ctx:style(COLORS[run.state] or "bold",
        run.state or "-")))
    line(ctx, "parameters", parameters(facts.params))
    line(ctx, "jobs", counts_of(facts))
    line(ctx, "started", format.clock(run.started_at, now))
    line(ctx, "finished", run.finished_at and format.clock(run.finished_at, now))
    line(ctx, "took", format.duration(took(run, now)))
    line(ctx, "work", format.duration(facts.work))
    for _, group in ipairs(facts.skipped) do
        line(ctx, "skipped", ("%s: %s"):format(format.plural(#group.jobs, "job"), group.cause))
    end
    for _, job in ipairs(facts.jobs) do
        if job.state == "dead" or job.state == "cancelled" then
            line(ctx, job.state, ("%s: %s  (queuectl logs %s)"):format(job.label,
                (job.error or job.cause):match("^[^\n]*"), job.id))
        end
    end
    ctx:print(advice(run) .. "\n")
end

return runs
