-- `ctx`, what a Lua job may do: run programs, set outputs, report, and say how it ended.
-- Wrong arguments raise at the line of the job that made the call.

local chunk = require "queuectl.jobs.chunk"
local env = require "queuectl.jobs.env"
local ref = require "queuectl.jobs.ref"
local run = require "queuectl.jobs.run"
local suggest = require "queuectl.suggest"
local text = require "queuectl.jobs.text"
local time = require "queuectl.time"

local context = {}

context.MAX_OUTPUT = 64 * 1024

local MAX_NAME = 200
local MAX_LOG = 64 * 1024
local MAX_TAIL = 1024
local MAX_REASON = 16 * 1024

local LEVELS = { "debug", "info", "warn", "error" }

local NO_VALUE = "is an output of another job, which has no value here; "
    .. "give it to this job through env and read it with os.getenv"

-- What ctx.fail and ctx.snooze return; only these count as outcomes.
local outcome_meta = { __name = "an outcome" }

--- true for what ctx.fail and ctx.snooze make.
function context.is_outcome(value)
    return type(value) == "table" and getmetatable(value) == outcome_meta
end

local function new_outcome(state, kind, value, class)
    local outcome = setmetatable({ kind = kind, value = value, class = class }, outcome_meta)
    state.last_outcome = outcome
    return outcome
end

local function check_options(given, names)
    if given == nil then return {} end
    if type(given) ~= "table" then
        return nil, "options must be a table, not " .. text.describe(given)
    end
    for _, key in ipairs(text.sorted_keys(given)) do
        local known = false
        for _, name in ipairs(names) do known = known or name == key end
        if not known then
            local shown = tostring(key)
            return nil, ("unknown option %s%s"):format(text.name(shown), suggest.hint(shown, names))
        end
    end
    return given
end

-- Outputs --------------------------------------------------------------------------------------

-- The text of an output's value, or nil and what is wrong with it.
local function output_text(value)
    local str, message = text.scalar(value)
    if not str then return nil, message end
    if str:find("%z") then return nil, "contains a NUL byte" end
    if #str > context.MAX_OUTPUT then
        return nil, ("is %d bytes long; the limit is %d"):format(#str, context.MAX_OUTPUT)
    end
    return str
end

--- The text to send for an output, or nil and a message.
function context.check_output(key, value)
    if type(key) ~= "string" then
        return nil, "the name must be a string, not " .. text.describe(key)
    end
    if #key > MAX_NAME or not key:find(ref.NAME_PATTERN) then
        return nil, ("bad name %s: letters, digits and _"):format(text.quote(key))
    end
    local str, message = output_text(value)
    if not str then return nil, ("%s %s"):format(text.name(key), message) end
    return str
end

local function output(state, key, value)
    local str, message = context.check_output(key, value)
    if not str then return nil, message end
    state.host.output(key, str)
    state.outputs[key] = true
    return true
end

-- Reports --------------------------------------------------------------------------------------

-- A display must not fail a job: what is out of range is moved into it.
local function progress(state, fraction, note)
    if type(fraction) ~= "number" then
        return nil, "the fraction must be a number from 0 to 1, not " .. text.describe(fraction)
    end
    if note ~= nil and type(note) ~= "string" then
        return nil, "the text must be a string, not " .. text.describe(note)
    end
    if fraction ~= fraction then fraction = 0 end
    state.host.progress(math.max(0, math.min(1, fraction)), note and text.shorten(note, MAX_TAIL))
    return true
end

local function log(state, level, message)
    for _, name in ipairs(LEVELS) do
        if level == name then
            if type(message) ~= "string" and type(message) ~= "number" then
                return nil, "the text must be a string, not " .. text.describe(message)
            end
            state.host.log(level, text.shorten(tostring(message), MAX_LOG))
            return true
        end
    end
    local hint = type(level) == "string" and suggest.hint(level, LEVELS) or ""
    return nil, ("the level must be one of %s, not %s%s"):format(
        table.concat(LEVELS, ", "), text.describe(level), hint)
end

-- Programs -------------------------------------------------------------------------------------

local function read_argv(given)
    if type(given) == "string" then
        return nil, 'takes a list such as { "ls", "-l" }; for shell text write '
            .. '{ "sh", "-c", "..." }'
    end
    for key in next, type(given) == "table" and given or {} do
        if type(key) == "string" then
            return nil, text.name(key) .. " is not an argument; options go into a second table"
        end
    end
    local argv, message = run.read_argv(given)
    if not argv then return nil, message end
    for i, entry in ipairs(argv) do
        if type(entry) == "table" then return nil, ("entry %d %s"):format(i, NO_VALUE) end
    end
    return argv
end

-- Variables as the host takes them: a list sorted by name, as in a planned job.
local function read_env(given)
    if given == nil then return nil end
    local variables, messages = env.read(given)
    if not variables then return nil, messages[1] end
    local list = {}
    for _, name in ipairs(text.sorted_keys(variables)) do
        local entry = variables[name]
        if entry.token then return nil, name .. " " .. NO_VALUE end
        list[#list + 1] = { name = name, value = entry.value, unset = entry.unset }
    end
    return list
end

local function read_timeout(given)
    if given == nil or given == "none" then return nil end
    local ms, message = time.parse_duration(given)
    if ms == 0 then return nil, "must be longer than 0; write \"none\" for no limit" end
    return ms, message
end

local function read_string(given)
    if given == nil or type(given) == "string" then return given end
    return nil, ref.token(given) and NO_VALUE or "must be a string, not " .. text.describe(given)
end

local EXEC_OPTIONS = { "check", "cwd", "env", "stdin", "timeout" }

local function read_exec_options(given)
    local options, message = check_options(given, EXEC_OPTIONS)
    if not options then return nil, message end
    if options.check ~= nil and type(options.check) ~= "boolean" then
        return nil, "check: must be true or false, not " .. text.describe(options.check)
    end
    local result = { check = options.check }
    local readers = {
        { "cwd", "cwd", read_string }, { "env", "env", read_env },
        { "stdin", "stdin", read_string }, { "timeout", "timeout_ms", read_timeout },
    }
    for _, reader in ipairs(readers) do
        local key, field, read = reader[1], reader[2], reader[3]
        local value, problem = read(options[key])
        if problem then return nil, ("%s: %s"):format(key, problem) end
        result[field] = value
    end
    return result
end

-- The end of what a program wrote, as much as belongs into an error.
local function tail(str)
    local trimmed = (str or ""):gsub("%s+$", "")
    if #trimmed <= MAX_TAIL then return trimmed end
    return "..." .. trimmed:sub(-MAX_TAIL):gsub("^[\128-\191]+", "")
end

local function failure_text(result, options)
    if result.timed_out then
        return options.timeout_ms and "timed out after " .. time.format_duration(options.timeout_ms)
            or "timed out"
    end
    if result.signal and result.signal ~= 0 then return "killed by signal " .. result.signal end
    if result.exit_code ~= 0 then return "exit code " .. tostring(result.exit_code) end
end

local function exec(state, given, given_options)
    local argv, message = read_argv(given)
    if not argv then return nil, message end
    local options
    options, message = read_exec_options(given_options)
    if not options then return nil, message end
    local shown = text.escape(text.shorten(table.concat(argv, " "), 200))
    local result
    result, message = state.host.exec(argv, { cwd = options.cwd, env = options.env,
        stdin = options.stdin, timeout_ms = options.timeout_ms })
    if not result then return nil, ("cannot run %s: %s"):format(shown, tostring(message)) end
    state.results[result] = true
    local failure = options.check and failure_text(result, options)
    if failure then
        local stderr = tail(result.stderr)
        return nil, ("%s: %s%s"):format(shown, failure, stderr == "" and "" or ": " .. stderr)
    end
    return result
end

-- Outcomes -------------------------------------------------------------------------------------

local function check_class(class)
    if class == nil then return true end
    if type(class) == "string" and #class <= 64 and class:find("^[%w_.-]+$") then return true end
    return nil, "class: must be 1 to 64 of A-Z a-z 0-9 _ . -, not " .. text.describe(class)
end

local function fail(state, message, given_options)
    if type(message) ~= "string" or message == "" then
        return nil, "needs a message, not " .. text.describe(message)
    end
    local options, problem = check_options(given_options, { "class", "retry" })
    if not options then return nil, problem end
    if options.retry ~= nil and type(options.retry) ~= "boolean" then
        return nil, "retry: must be true or false, not " .. text.describe(options.retry)
    end
    local ok
    ok, problem = check_class(options.class)
    if not ok then return nil, problem end
    return new_outcome(state, options.retry == false and "fatal" or "fail",
        text.shorten(message, MAX_REASON), options.class)
end

local function snooze(state, duration, reason)
    local ms, message = time.parse_duration(duration)
    if not ms then return nil, message end
    if ms == 0 then return nil, "must be longer than 0" end
    if reason ~= nil and type(reason) ~= "string" then
        return nil, "the reason must be a string, not " .. text.describe(reason)
    end
    return new_outcome(state, "snooze", ms / 1000, reason and text.shorten(reason, MAX_TAIL))
end

-- ----------------------------------------------------------------------------------------------

local FUNCTIONS = {
    exec = exec, fail = fail, log = log, output = output, progress = progress, snooze = snooze,
}

local FIELDS = { "attempt", "deadline", "exec", "fail", "log", "output", "progress", "snooze" }

-- The functions above return nil and a message; to the job that is an error at its own line.
local function bind(state, ctx, name, fn)
    return function(first, ...)
        if first == ctx then
            chunk.raise(state.label, ("write ctx.%s(...), not ctx:%s(...)"):format(name, name))
        end
        local result, message = fn(state, first, ...)
        if result == nil then chunk.raise(state.label, ("ctx.%s: %s"):format(name, message)) end
        if result ~= true then return result end
    end
end

local function unknown_field(state, key)
    for _, name in ipairs(FIELDS) do
        if key == name then return nil end
    end
    local shown = tostring(key)
    chunk.raise(state.label, ("ctx has no field %s%s"):format(
        text.name(shown), suggest.hint(shown, FIELDS)))
end

--- The ctx of a job, and its state: `outputs`, the set of names given so far; `last_outcome`, the
-- last outcome made, whether it was returned or not; `results`, the set of results of ctx.exec.
function context.new(host, label, info)
    local state = { host = host, label = label, outputs = {} }
    -- Weak: what programs wrote is not kept alive by this.
    state.results = setmetatable({}, { __mode = "k" })
    local ctx = { attempt = info.attempt, deadline = info.deadline }
    for name, fn in pairs(FUNCTIONS) do ctx[name] = bind(state, ctx, name, fn) end
    setmetatable(ctx, { __index = function(_, key) return unknown_field(state, key) end })
    return ctx, state
end

return context
