-- Runs one Lua job in its own process and tells the host how it ended.
--
-- The host is a table of functions (C in production, core/script_host.c; a fake in specs):
--   output(key, text)      an output; names and sizes are checked here
--   progress(fraction, text or nil)   fraction in 0..1
--   log(level, text)       debug, info, warn, error
--   write(1 or 2, text)    the job's own output, as it is
--   exec(argv, { cwd =, env =, stdin =, stdin_file =, timeout_ms =, kill_after_ms =, keep = }), env
--     as in a planned job -> program, or nil, message. program:next() -> "stdout" or "stderr",
--     bytes, or nil at the end; program:result() -> { exit_code =, signal =, stdout =, stderr =,
--     printed = { stdout =, stderr = }, duration =, timed_out = }; program:stop()
--   enqueue(fields)        jobs/ctx/enqueue.lua
--   cancelled() -> whether TERM has come · cwd() · fs, a table: core/script_fs.c
--   execute(argv or shell text)   becomes that command; called after finish("go")
--   finish(kind, value, class)   called once, last (before the function of a job whose when said
--     yes, there comes a "go"):
--     "ok" · "fail", message, class or nil · "fatal" (no retry), message, class or nil ·
--     "snooze", seconds, reason or nil · "cancel", reason or nil · "skip" (when said no) ·
--     "go" (when said yes; for a command, the process now becomes it)

jit.off(true, true) -- a fork runs this once: what it compiled would be lost with it

local child = require "queuectl.jobs.child"
local chunk = require "queuectl.jobs.chunk"
local context = require "queuectl.jobs.context"
local list = require "queuectl.jobs.list"
local ref = require "queuectl.jobs.ref"
local text = require "queuectl.jobs.text"

local lua_job = {}

lua_job.DEFAULT_MEMORY = 1024 * 1024 * 1024

local MAX_MESSAGE = 16 * 1024

local CHANGED = "; a file must define the same jobs whenever it is read"

local HOW_TO_END = 'return nothing or a table of outputs for success, '
    .. 'ctx.fail("...") or error("...") for failure'

-- The message of a raised value with the line in the file and the traceback.
local function describe_error(code, value)
    local message = text.shorten(chunk.error_text(value), MAX_MESSAGE)
    local line, unit = chunk.line(code)
    if line and not message:find("^[^\n]-:%d+: ") then
        message = ("%s:%d: %s"):format(unit.label, line, message)
    end
    return chunk.traceback(code, message)
end

local function memory_text(bytes)
    if bytes % 2 ^ 30 == 0 then return ("%d GiB"):format(bytes / 2 ^ 30) end
    return ("%d MiB"):format(bytes / 2 ^ 20)
end

-- What limits.memory says; set before anything of the job is called.
local memory = lua_job.DEFAULT_MEMORY

-- What was raised in the call that has just ended, and whose texts it may speak of. No closures:
-- each fork would copy pages for them.
local raised, called_code

local function keep_raised(value)
    raised = context.is_outcome(value) and value or describe_error(called_code, value)
end

local function collect(ok, ...)
    if ok then return true, ... end
    local value = raised
    raised = nil
    if value ~= nil then return nil, value end
    -- Neither for lack of memory nor of stack does LuaJIT call the handler.
    if ... == "not enough memory" then
        collectgarbage() -- there may be no room for the message
        return nil, "not enough memory: a Lua job may hold " .. memory_text(memory)
    end
    local unit = called_code.units[1]
    return nil, (unit and unit.label .. ": " or "") .. "stack overflow"
end

-- Calls fn(...): true and what it returned, or nil and what it raised: an outcome as it is,
-- everything else as text.
local function call(code, fn, ...)
    called_code = code
    return collect(xpcall(fn, keep_raised, ...))
end

local function failed(message)
    return { kind = "fail", value = message }
end

-- Trying again would not help.
local function fatal(message)
    return { kind = "fatal", value = message }
end

-- What is wrong with what the function returned, or nil.
local function wrong_return(first, second, state)
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
    if (list.length(promised) or 0) == 0 then return nil end
    local missing = {}
    for _, name in ipairs(promised) do
        if not state.outputs[name] then missing[#missing + 1] = text.name(tostring(name)) end
    end
    if #missing == 0 then return nil end
    if #missing == 1 then return ("promised output %s was not set"):format(missing[1]) end
    return ("promised outputs %s were not set"):format(table.concat(missing, ", "))
end

local function judge(job, ctx, state, first, second)
    if context.is_outcome(first) then return first end
    if state.last_maker then
        return failed(("%s was called, but its result was not returned: write return %s(...)")
            :format(state.last_maker, state.last_maker))
    end
    local problem = wrong_return(first, second, state)
        or first ~= nil and send_outputs(first, ctx)
        or missing_outputs(job.outputs, state)
    return problem and failed(problem) or { kind = "ok" }
end

-- The `job` the function gets: what the host knows of it, its name and its matrix values.
local function job_argument(job, facts)
    local argument = {}
    for key, value in pairs(facts.job or {}) do argument[key] = value end
    argument.name, argument.matrix = job.name, job.matrix
    return argument
end

-- Whether to run the job: true, or the outcome.
local function ask_when(code, job, ctx)
    if type(job.when) ~= "function" then
        return fatal(("job %s has no when function this time%s"):format(text.name(job.name),
            CHANGED))
    end
    local ok, answer = call(code, job.when, ctx)
    if not ok then
        local said = context.is_outcome(answer) and "raised an outcome" or answer
        return fatal("when: " .. said)
    end
    if answer == true then return true end
    if answer == false then return { kind = "skip" } end
    local info = debug.getinfo(job.when, "S")
    return fatal(("%s:%d: when returned %s: return true to run the job, false to skip it"):format(
        info.source:sub(2), info.linedefined, text.describe(answer)))
end

local function call_job(code, job, ctx, state, facts)
    if type(job.fn) ~= "function" then
        return failed(("job %s has no Lua function this time%s"):format(text.name(job.name),
            CHANGED))
    end
    local ok, first, second = call(code, job.fn, job_argument(job, facts), ctx)
    if not ok then return context.is_outcome(first) and first or failed(first) end
    return judge(job, ctx, state, first, second)
end

local function attempt_with(host, code, job, ctx, state, facts)
    if facts.when then
        local answer = ask_when(code, job, ctx)
        if answer ~= true then return answer end
    end
    if facts.kind ~= "lua" then return { kind = "go" } end
    if facts.when then host.finish("go") end -- should the function fail, it is not asked again
    return call_job(code, job, ctx, state, facts)
end

--- Makes the ctx of the one job that this process, or each of its forks, will run.
function lua_job.prepare(program, host)
    program.ctx, program.state = context.prepare(host, program.code, program.params)
end

local function attempt(host, program, facts)
    local job, message = program:find(facts.name)
    if not job then return failed(message) end
    if not program.ctx then lua_job.prepare(program, host) end
    local ctx, state = program.ctx, program.state
    context.complete(ctx, state, facts)
    return attempt_with(host, program.code, job, ctx, state, facts)
end

-- The outcome: nothing that goes wrong on the way is raised.
local function try(host, program, facts)
    local ok, outcome = call(program.code, attempt, host, program, facts)
    if not ok then outcome = failed(outcome) end
    if program.state then
        local closed, problem = call(program.code, context.close, program.state)
        if not closed then outcome = failed(problem) end
    end
    return outcome
end

-- A program that could not be loaded: every job of it says so.
local function broken(code, message)
    return { code = code, find = function() return nil, message end }
end

--- Evaluates a program document (or the bare text of the jobs file `path`) once. Never fails: what
-- is wrong is what each of its jobs says.
function lua_job.load(document, path)
    local code = chunk.code()
    local program, message
    local ok, problem = call(code, function()
        program, message = child.load(document, path, function(fn) return call(code, fn) end, code)
    end)
    return program or broken(code, ok and message or problem)
end

--- Calls the job `facts.name` of a loaded program and tells the host how it ended.
-- facts: `kind` ("lua", "shell" or "argv", with `shell` or `argv`); `when`, whether to ask first;
-- `attempt`, `deadline` and `needs` for ctx; `memory` in bytes, `job`, further fields of the
-- function's first argument. Returns the kind told to the host.
function lua_job.run(host, program, facts)
    memory = facts.memory or lua_job.DEFAULT_MEMORY
    local outcome = try(host, program, facts)
    host.finish(outcome.kind, outcome.value, outcome.class)
    if outcome.kind == "go" then
        host.execute(facts.kind == "argv" and facts.argv or facts.shell)
    end
    return outcome.kind
end

return lua_job
