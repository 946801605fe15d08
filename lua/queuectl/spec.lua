-- From a job as people describe it (enqueue, a planned jobs file) to what the store takes
-- (core/script_values.c): texts packed as core/pack.h says, the rest as JSON.

local json = require "queuectl.json"

local spec = {}

--- Seconds a job may run, unless it says otherwise (config job_timeout_seconds).
spec.DEFAULT_TIMEOUT_MS = 3600000

-- The job stands in the same call, or in the store already (spec for store:redefine).
local function later(value)
    return ("@%d:%s"):format(value.seq or value.job - 1, value.key)
end

local function pack_argv(argv)
    if not argv then return nil end
    local parts = {}
    for i, arg in ipairs(argv) do
        parts[i] = (type(arg) == "table" and later(arg) or "=" .. arg) .. "\0"
    end
    return table.concat(parts)
end

local function pack_env(env)
    local parts = {}
    for i, entry in ipairs(env or {}) do
        if entry.unset then
            parts[i] = "-" .. entry.name
        elseif entry.secret then
            parts[i] = "$" .. entry.name .. "=" .. entry.secret
        elseif entry.key then
            parts[i] = later(entry) .. "=" .. entry.name
        else
            parts[i] = "=" .. entry.name .. "=" .. entry.value
        end
    end
    if #parts == 0 then return nil end
    return table.concat(parts, "\0") .. "\0"
end

local function pack_names(names)
    if not names or #names == 0 then return nil end
    return "=" .. table.concat(names, "\0=") .. "\0"
end

local function pack_codes(codes)
    if not codes or #codes == 1 and codes[1] == 0 then return nil end
    return string.char(unpack(codes))
end

--- The stored form that core/backoff.h describes.
function spec.backoff_text(b)
    if not b then return nil end
    local jitter, cap = b.jitter or "none", b.cap_ms or 300000
    if b.kind == "list" then
        return ("list %s %d %s"):format(jitter, cap, table.concat(b.list_ms, " "))
    end
    return ("%s %s %d %.17g %d"):format(b.kind, jitter, b.first_ms or 2000, b.factor or 2, cap)
end

--- The stored form that core/job.h describes: what is not limited is 0.
function spec.limits_text(limits)
    if not limits or not next(limits) then return nil end
    return ("%.0f %.0f %.0f %.0f"):format(limits.memory or 0, limits.cpu or 0, limits.files or 0,
                                          limits.nice or 0)
end

local function json_list(items)
    if items and #items > 0 then return json.encode(json.list(items)) end
end

--- One job for store:enqueue or store:start_run.
function spec.pack(job)
    return {
        id = job.id, name = job.name, kind = job.kind, queue = job.queue, group = job.group,
        command = job.kind == "argv" and pack_argv(job.argv) or job.command,
        env = pack_env(job.env), cwd = job.cwd, stdin = job.stdin, stdin_file = job.stdin_file,
        priority = job.priority, retries = job.retries,
        timeout_ms = job.timeout_ms or spec.DEFAULT_TIMEOUT_MS,
        kill_after_ms = job.kill_after_ms, delay_ms = job.delay_ms,
        backoff = spec.backoff_text(job.backoff), ok_codes = pack_codes(job.ok_codes),
        allow_failure = job.allow_failure, outputs = pack_names(job.outputs),
        description = job.desc, tags = json_list(job.tags),
        meta = job.meta and json.encode(job.meta), needs = job.needs,
        artifacts = pack_names(job.artifacts), when = job.when, fail_fast = job.fail_fast,
        start_at = job.start_at, max_age_ms = job.max_age_ms,
        limits = spec.limits_text(job.limits), source = job.source, done_as = job.done_as,
    }
end

function spec.pack_all(jobs)
    local packed = {}
    for i, job in ipairs(jobs) do packed[i] = spec.pack(job) end
    return packed
end

return spec
