-- Values to return: how a job says that it ended otherwise than by success or an error.

local options = require "queuectl.jobs.ctx.options"
local text = require "queuectl.jobs.text"
local time = require "queuectl.time"

local outcome = {}

local MAX_MESSAGE = 16 * 1024
local MAX_REASON = 1024

-- Only what the functions below return counts as an outcome.
local outcome_meta = { __name = "an outcome" }

--- true for what ctx.fail, ctx.snooze and ctx.cancel make.
function outcome.is(value)
    return type(value) == "table" and getmetatable(value) == outcome_meta
end

local function new(state, maker, fields)
    state.last_maker = maker
    return setmetatable(fields, outcome_meta)
end

local function class(given)
    if given == nil then return nil end
    if type(given) == "string" and #given <= 64 and given:find("^[%w_.-]+$") then return given end
    return nil, "must be 1 to 64 of A-Z a-z 0-9 _ . -, not " .. text.describe(given)
end

local FAIL_OPTIONS = { { "class", class }, { "retry", options.boolean } }

local function fail(state, message, given)
    if type(message) ~= "string" or message == "" then
        return nil, "needs a message, not " .. text.describe(message)
    end
    local opts, problem = options.read(given, FAIL_OPTIONS)
    if not opts then return nil, problem end
    return new(state, "ctx.fail", { kind = opts.retry == false and "fatal" or "fail",
        value = text.shorten(message, MAX_MESSAGE), class = opts.class })
end

local function reason_text(given)
    if given == nil then return nil end
    if type(given) ~= "string" then
        return nil, "the reason must be a string, not " .. text.describe(given)
    end
    return text.shorten(given, MAX_REASON)
end

local function snooze(state, duration, given_reason)
    local ms, message = time.parse_duration(duration)
    if not ms then return nil, message end
    if ms == 0 then return nil, "must be longer than 0" end
    local reason, problem = reason_text(given_reason)
    if problem then return nil, problem end
    return new(state, "ctx.snooze", { kind = "snooze", value = ms / 1000, class = reason })
end

local function cancel(state, given_reason)
    local reason, problem = reason_text(given_reason)
    if problem then return nil, problem end
    return new(state, "ctx.cancel", { kind = "cancel", value = reason })
end

outcome.functions = { cancel = cancel, fail = fail, snooze = snooze }

return outcome
