-- A job as JSON and as text.

local format = require "queuectl.view.format"
local json = require "queuectl.json"
local text = require "queuectl.view.text"

local view = {}

local function or_null(value)
    if value == nil then return json.null end
    return value
end

--- What it runs, in one line.
function view.command(job)
    if job.kind == "lua" then return "function in " .. (job.name or "a jobs file") end
    if job.command then return job.command end
    return table.concat(job.argv or {}, " ")
end

function view.label(job)
    return job.name or job.id
end

local function duration(job)
    if job.started_at and job.finished_at and job.finished_at >= job.started_at then
        return math.floor((job.finished_at - job.started_at) * 1000 + 0.5) / 1000
    end
end

local function zero_is_null(number)
    if number == 0 then return json.null end
    return number
end

--- The keys that scripts rely on, in this order; `output`: last output, where it is asked for.
function view.json(job, output)
    local last_error = job.error
    return json.object {
        { "id", job.id }, { "name", job.name }, { "command", view.command(job) },
        { "argv", job.argv and json.list(job.argv) }, { "kind", job.kind },
        { "state", job.state }, { "cause", job.cause ~= "none" and job.cause or nil },
        { "attempts", job.attempts }, { "max_retries", job.retries },
        { "priority", job.priority }, { "queue", job.queue }, { "group", job.group },
        { "run_at", format.utc(job.run_at) }, { "created_at", format.utc(job.created_at) },
        { "updated_at", format.utc(job.updated_at) },
        { "started_at", or_null(format.utc(job.started_at)) },
        { "finished_at", or_null(format.utc(job.finished_at)) },
        { "duration_seconds", or_null(duration(job)) },
        { "timeout_seconds", zero_is_null(job.timeout) },
        { "exit_code", or_null(job.exit_code) }, { "signal", job.signal },
        { "last_error", or_null(last_error) }, { "last_output", output },
        { "worker_id", job.worker ~= 0 and tostring(job.worker) or json.null },
        { "run", job.run ~= 0 and job.run or nil }, { "cwd", job.cwd },
        { "env", job.env and json.list(job.env) }, { "description", job.description },
        { "waits_for", job.state == "waiting" and job.waits or nil },
        { "token", job.token }, { "worker_deaths", job.deaths ~= 0 and job.deaths or nil },
    }
end

function view.attempt_json(attempt)
    return json.object {
        { "attempt", attempt.attempt }, { "token", attempt.token }, { "cause", attempt.cause },
        { "exit_code", or_null(attempt.exit_code) }, { "signal", attempt.signal },
        { "started_at", format.utc(attempt.started_at) },
        { "finished_at", format.utc(attempt.finished_at) },
        { "duration_seconds", attempt.duration }, { "cpu_seconds", attempt.cpu },
        { "max_rss_bytes", attempt.max_rss }, { "output_bytes", attempt.output_total },
        { "output_incomplete", attempt.incomplete or nil }, { "worker", attempt.worker },
        { "error", or_null(attempt.error) }, { "report", attempt.report },
        { "report_note", attempt.report_note },
    }
end

--- What a person wants to know of the state: why it waits, why it failed.
function view.remark(job, now)
    if job.error and job.state ~= "completed" then return text.line(job.error) end
    if job.state == "waiting" then
        return "waits for " .. format.plural(job.waits, "job")
    end
    if job.state == "pending" and job.run_at > now then
        return "starts " .. format.clock(job.run_at, now)
    end
    if job.state == "processing" and job.cancel then return "being cancelled" end
    return ""
end

function view.row(job, now)
    return { job.id, job.state, ("%d/%d"):format(job.attempts, job.retries + 1),
        tostring(job.priority), text.cut(text.line(view.label(job) == job.id
            and view.command(job) or view.label(job)), 40), view.remark(job, now) }
end

view.headings = { "ID", "STATE", "TRIES", "PRIO", "JOB", "" }

return view
