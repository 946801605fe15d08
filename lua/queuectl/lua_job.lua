-- Runs one Lua job in its own process and tells the host how it ended.
--
-- The host is a table of functions (C in production, a fake in specs):
--   output(key, text)      an output; names and sizes are checked here
--   progress(fraction, text or nil)   fraction in 0..1
--   log(level, text)       debug, info, warn, error
--   exec(argv, { cwd =, env =, stdin =, timeout_ms = }), env as in a planned job
--     -> { exit_code =, signal =, stdout =, stderr =, duration =, timed_out = }, or nil, message
--   finish(kind, value, class)   called once, last:
--     "ok" · "fail", message, class or nil · "fatal" (no retry), message, class or nil ·
--     "snooze", seconds, reason or nil

local child = require "queuectl.jobs.child"
local chunk = require "queuectl.jobs.chunk"
local context = require "queuectl.jobs.context"
local list = require "queuectl.jobs.list"
local ref = require "queuectl.jobs.ref"
local text = require "queuectl.jobs.text"

local lua_job = {}

local MAX_MESSAGE = 16 * 1024

local HOW_TO_END = 'return nothing or a table of outputs for success, '
    .. 'ctx.fail("...") or error("...") for failure'

-- The message of a raised value with the line in the file and the traceback.
local function describe_error(label, value)
    local message = text.shorten(chunk.error_text(value), MAX_MESSAGE)
    local line = chunk.line(label)
    if line and not message:find("^[^\n]-:%d+: ") then
        message = ("%s:%d: %s"):format(label, line, message)
    end
    return chunk.traceback(label, message)
end

-- Calls fn(...): true and what it returned as a counted list, or nil and what it raised: an
-- outcome as it is, everything else as text.
local function call(label, fn, ...)
    local raised
    local function handler(value)
        raised = context.is_outcome(value) and value or describe_error(label, value)
    end
    local function collect(ok, ...)
        if not ok then
            -- Neither for lack of memory nor of stack does LuaJIT call the handler.
            local out_of_memory = ... == "not enough memory"
            return nil, raised or out_of_memory and "not enough memory: a Lua job may hold 1 GiB"
                or label .. ": stack overflow"
        end
        return true, { count = select("#", ...), ... }
    end
    return collect(xpcall(fn, handler, ...))
end

local function failed(message)
    return { kind = "fail", value = message }
end

-- What is wrong with what the function returned, or nil.
local function wrong_return(values, state)
    local first, second = values[1], values[2]
    if first == nil and second == nil then return nil end
    if first == nil then return "returned nil, " .. text.describe(second) .. ": " .. HOW_TO_END end
    if state.results[first] then
        return "returned the result of ctx.exec: " .. HOW_TO_END
            .. "; { check = true } makes ctx.exec raise"
    end
    if type(first) ~= "table" or ref.def(first) then
        return "returned " .. text.describe(first) .. ": " .. HOW_TO_END
    end
end

-- Sends the fields of a returned table as outputs, all or none; nil, or what is wrong with one.
local function send_outputs(fields, ctx)
    local keys = text.sorted_keys(fields)
    for _, key in ipairs(keys) do
        local str, message = context.check_output(key, fields[key])
        if not str then return "returned table: " .. message end
    end
    for _, key in ipairs(keys) do ctx.output(key, fields[key]) end
end

local function missing_outputs(promised, state)
    local missing = {}
    for _, name in ipairs(list.length(promised) and promised or {}) do
        if not state.outputs[name] then missing[#missing + 1] = text.name(tostring(name)) end
    end
    if #missing == 0 then return nil end
    if #missing == 1 then return ("promised output %s was not set"):format(missing[1]) end
    return ("promised outputs %s were not set"):format(table.concat(missing, ", "))
end

local function judge(values, job, ctx, state)
    local first = values[1]
    if context.is_outcome(first) then return first end
    if state.last_outcome then
        return failed("ctx.fail or ctx.snooze was called, but its result was not returned: "
            .. "write return ctx.fail(...)")
    end
    local problem = wrong_return(values, state)
        or first ~= nil and send_outputs(first, ctx)
        or missing_outputs(job.outputs, state)
    return problem and failed(problem) or { kind = "ok" }
end

-- The `job` the function gets: what the host knows of it, its name and its matrix values.
local function job_argument(job, info)
    local argument = {}
    for key, value in pairs(info.job or {}) do argument[key] = value end
    argument.name, argument.matrix = job.name, job.matrix
    return argument
end

local function attempt(host, source, label, name, info)
    local job, message = child.find(source, label, name, function(fn) return call(label, fn) end)
    if not job then return failed(message) end
    local ctx, state = context.new(host, label, info)
    local ok, result = call(label, job.fn, job_argument(job, info), ctx)
    if not ok then return context.is_outcome(result) and result or failed(result) end
    return judge(result, job, ctx, state)
end

--- Evaluates `source`, calls the function of the job `name` and tells the host how it ended.
-- info: `attempt`, `deadline` for ctx; `display` the file's name in messages (default: path);
-- `job` further fields of the function's first argument. Returns the kind told to the host.
function lua_job.run(host, source, path, name, info)
    info = info or {}
    local label = chunk.label(info.display or path)
    local ok, results = call(label, attempt, host, source, label, name, info)
    local outcome = ok and results[1] or failed(results)
    host.finish(outcome.kind, outcome.value, outcome.class)
    return outcome.kind
end

return lua_job
