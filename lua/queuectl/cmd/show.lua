local core = require "queuectl.core"
local context = require "queuectl.context"
local format = require "queuectl.view.format"
local job_view = require "queuectl.view.job"
local json = require "queuectl.json"
local output = require "queuectl.output"
local sorted_keys = require("queuectl.jobs.text").sorted_keys
local text = require "queuectl.view.text"

local function last_output(store, job, attempts)
    local last = attempts[#attempts]
    return last and output.tail(store, job, last, 8192) or json.null
end

local function as_json(ctx, store, job, attempts)
    local list = {}
    for i, attempt in ipairs(attempts) do list[i] = job_view.attempt_json(attempt) end
    local object = job_view.json(job, last_output(store, job, attempts))
    local outputs = store:values(job.seq) or {}
    local artifacts = {}
    for i, file in ipairs(store:artifacts(job.seq) or {}) do
        artifacts[i] = json.object { { "path", file.path }, { "bytes", file.size } }
    end
    ctx:print((json.encode(object):gsub("}$", function()
        local rest = json.encode(json.object { { "outputs", outputs },
            { "artifacts", #artifacts > 0 and json.list(artifacts) or nil },
            { "history", json.list(list) } })
        return "," .. rest:sub(2)
    end)) .. "\n")
end

local function line(ctx, name, value)
    if value and value ~= "" then
        local shown = ("%-12s %s"):format(name, text.line(value))
        ctx:print(text.cut(shown, math.max(ctx.columns, 40)) .. "\n")
    end
end

local function attempt_line(attempt)
    local how = attempt.error and text.line(attempt.error) or attempt.cause
    if attempt.cause == "exit" and not attempt.error then how = "ok" end
    local at = format.clock(attempt.started_at, core.time())
    return ("#%d  %s  %s  %s"):format(attempt.attempt, at, format.duration(attempt.duration), how)
end

local function attempt_lines(ctx, attempt)
    line(ctx, "attempt", attempt_line(attempt))
    local reported = {}
    for i, name in ipairs(sorted_keys(attempt.report or {})) do
        reported[i] = ("%s=%s"):format(name, attempt.report[name])
    end
    line(ctx, "  reported", table.concat(reported, " "))
    line(ctx, "  report", attempt.report_note)
end

local function as_text(ctx, store, job, attempts)
    local now = core.time()
    line(ctx, "job", job.id)
    line(ctx, "name", job.name)
    line(ctx, "state", job.state)
    line(ctx, "why", job_view.remark(job, now))
    line(ctx, "runs", text.line(job_view.command(job)))
    line(ctx, "in", job.cwd)
    line(ctx, "about", job.description)
    line(ctx, "tries", ("%d of %d"):format(job.attempts, job.retries + 1))
    line(ctx, "priority", tostring(job.priority))
    line(ctx, "queue", job.queue)
    line(ctx, "timeout", job.timeout > 0 and format.duration(job.timeout) or "none")
    line(ctx, "created", format.clock(job.created_at, now))
    line(ctx, "due", format.clock(job.run_at, now))
    line(ctx, "finished", job.finished_at and format.clock(job.finished_at, now))
    for key, value in pairs(store:values(job.seq) or {}) do
        line(ctx, "output", key .. "=" .. text.line(value))
    end
    for _, file in ipairs(store:artifacts(job.seq) or {}) do
        line(ctx, "artifact", ("%s (%d bytes)"):format(text.line(file.path), file.size))
    end
    for _, attempt in ipairs(attempts) do attempt_lines(ctx, attempt) end
    ctx:print(("See what it printed with: queuectl logs %s\n"):format(job.id))
end

return {
    summary = "one job: state, settings, attempts",
    setup = function(parser)
        parser:argument("job", "its id"):argname("JOB")
    end,
    examples = { { "queuectl show job1", "why it waits, or why it failed" } },
    run = function(ctx, args)
        if not core.is_job_id(args.job) then
            return nil, ("'%s' is no job id; see them with: queuectl list"):format(
                args.job:sub(1, 60)), context.USAGE
        end
        local store, message, code = ctx:store()
        if not store then return nil, message, code end
        local job, attempts
        job, message, code = store:get(args.job)
        if not job then return nil, message, code end
        attempts, message, code = store:attempts(job.seq)
        if not attempts then return nil, message, code end
        if ctx.json or not ctx.tty then
            as_json(ctx, store, job, attempts)
        else
            as_text(ctx, store, job, attempts)
        end
        return true
    end,
}
