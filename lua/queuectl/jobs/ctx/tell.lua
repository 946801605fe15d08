-- What a job tells while it runs: outputs, progress, log lines, and the report for policies.

local job_report = require "queuectl.job_report"
local ref = require "queuectl.jobs.ref"
local suggest = require "queuectl.suggest"
local text = require "queuectl.jobs.text"

local tell = {}

tell.MAX_OUTPUT = 64 * 1024

local MAX_NAME = 200
local MAX_LOG = 64 * 1024
local MAX_NOTE = 1024

local LEVELS = { "debug", "info", "warn", "error" }

-- Outputs --------------------------------------------------------------------------------------

-- The text of an output's value, or nil and what is wrong with it.
local function output_text(value)
    local str, message = text.scalar(value)
    if not str then return nil, message end
    if str:find("%z") then return nil, "contains a NUL byte" end
    if #str > tell.MAX_OUTPUT then
        return nil, ("is %d bytes long; the limit is %d"):format(#str, tell.MAX_OUTPUT)
    end
    return str
end

--- The text to send for an output, or nil and a message.
function tell.check_output(key, value)
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
    local str, message = tell.check_output(key, value)
    if not str then return nil, message end
    state.host.output(key, str)
    state.outputs[key] = true
end

-- Progress and log -----------------------------------------------------------------------------

-- A display must not fail a job: what is out of range is moved into it.
local function progress(state, fraction, note)
    if type(fraction) ~= "number" then
        return nil, "the fraction must be a number from 0 to 1, not " .. text.describe(fraction)
    end
    if note ~= nil and type(note) ~= "string" then
        return nil, "the text must be a string, not " .. text.describe(note)
    end
    if fraction ~= fraction then fraction = 0 end
    state.host.progress(math.max(0, math.min(1, fraction)), note and text.shorten(note, MAX_NOTE))
end

local function log(state, level, message)
    for _, name in ipairs(LEVELS) do
        if level == name then
            if type(message) ~= "string" and type(message) ~= "number" then
                return nil, "the text must be a string, not " .. text.describe(message)
            end
            state.host.log(level, text.shorten(tostring(message), MAX_LOG))
            return
        end
    end
    local hint = type(level) == "string" and suggest.hint(level, LEVELS) or ""
    return nil, ("the level must be one of %s, not %s%s"):format(
        table.concat(LEVELS, ", "), text.describe(level), hint)
end

-- Report ---------------------------------------------------------------------------------------

--- Notes about this attempt, which change nothing about its end.
local function report(state, fields)
    if type(fields) ~= "table" then
        return nil, "takes a table such as { status = 429 }, not " .. text.describe(fields)
    end
    local lines = {}
    for i, key in ipairs(text.sorted_keys(fields)) do
        local line, message = job_report.line(key, fields[key])
        if not line then return nil, message end
        lines[i] = line
    end
    local all, message = job_report.join(lines)
    local path = job_report.path()
    if all and path then
        all, message = job_report.add(state.host.fs.append, path, all)
    end
    if not all then return nil, message end
end

tell.functions = { log = log, output = output, progress = progress, report = report }

return tell
