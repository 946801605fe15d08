-- backoff = "exponential" | { "exponential", base = "2s", factor = 2, cap = "5m" }
--         | { "5s", "30s", "5m" } (the last one repeats)
-- Options that are not given take the built-in defaults; they are not mixed with other layers.

local list = require "queuectl.jobs.list"
local schema = require "queuectl.schema"
local suggest = require "queuectl.suggest"
local text = require "queuectl.jobs.text"
local time = require "queuectl.time"

local backoff = {}

local MAX_DELAYS = 100
local MAX_FACTOR = 1000

local option_checks = {}

function option_checks.base(value)
    return time.parse_duration(value)
end

function option_checks.cap(value)
    local ms, message = time.parse_duration(value)
    if ms == 0 then return nil, "must be longer than 0" end
    return ms, message
end

function option_checks.factor(value)
    if type(value) == "number" and value >= 1 and value <= MAX_FACTOR then return value end
    return nil, ("must be a number from 1 to %d, not %s"):format(MAX_FACTOR, text.describe(value))
end

function option_checks.jitter(value)
    for _, name in ipairs(schema.backoff_jitters) do
        if value == name then return value end
    end
    local hint = type(value) == "string" and suggest.hint(value, schema.backoff_jitters) or ""
    return nil, ("must be \"none\", \"equal\" or \"full\", not %s%s"):format(
        text.describe(value), hint)
end

local function kind_names()
    return text.sorted_keys(schema.backoff_kinds)
end

local function unknown_kind(name)
    return ("unknown kind %s%s; there are %s"):format(text.name(name),
        suggest.hint(name, kind_names()), table.concat(kind_names(), ", "))
end

local function unknown_option(kind, key, kinds_options)
    if type(key) ~= "string" then return "unexpected value at position " .. tostring(key) end
    return ("%s has no option %s%s"):format(kind, text.name(key), suggest.hint(key, kinds_options))
end

-- Of base and cap the one that was not given follows the other.
local function fit_base_and_cap(spec, given)
    if not spec.cap_ms or spec.first_ms <= spec.cap_ms then return spec end
    if not given.cap then
        spec.cap_ms = spec.first_ms
    elseif not given.base then
        spec.first_ms = spec.cap_ms
    else
        return nil, ("base %s is longer than cap %s"):format(
            time.format_duration(spec.first_ms), time.format_duration(spec.cap_ms))
    end
    return spec
end

-- Reads the named options of `given`; positions 1..positions belong to the caller.
local function read_options(kind, given, positions)
    local allowed = schema.backoff_kinds[kind]
    local spec = { kind = kind }
    for _, name in ipairs(allowed) do
        local option = schema.backoff_options[name]
        spec[option.field] = option.default
    end
    for _, key in ipairs(text.sorted_keys(given)) do
        local is_position = type(key) == "number" and key >= 1 and key <= positions
        if not is_position then
            local option = schema.backoff_options[key]
            if not option or not list.contains(allowed, key) then
                return nil, unknown_option(kind, key, allowed)
            end
            local checked, message = option_checks[key](given[key])
            if checked == nil then return nil, ("%s: %s"):format(key, message) end
            spec[option.field] = checked
        end
    end
    return fit_base_and_cap(spec, given)
end

local function read_delays(given, from)
    local last = #given
    local spec, message = read_options("list", given, last)
    if not spec then return nil, message end
    if last < from then return nil, "a list needs at least one delay" end
    if last - from + 1 > MAX_DELAYS then
        return nil, ("%d delays; the limit is %d"):format(last - from + 1, MAX_DELAYS)
    end
    spec.list_ms = {}
    for i = from, last do
        local ms, problem = time.parse_duration(given[i])
        if not ms then return nil, ("delay %d: %s"):format(i - from + 1, problem) end
        spec.list_ms[#spec.list_ms + 1] = ms
    end
    return spec
end

local function read_kind(kind, given)
    if not schema.backoff_kinds[kind] then return nil, unknown_kind(kind) end
    if kind == "list" then return read_delays(given, 2) end
    return read_options(kind, given, 1)
end

--- The backoff of a job as plain data, or nil and a message.
function backoff.read(value)
    if type(value) == "string" then return read_kind(value, { value }) end
    if type(value) ~= "table" or getmetatable(value) then
        return nil, 'must be a name or a list, such as "exponential" or { "5s", "30s" }, not '
            .. text.describe(value)
    end
    local first = value[1]
    if type(first) == "string" and first:find("^%a") then return read_kind(first, value) end
    if first == nil then return nil, "needs a kind, such as { \"exponential\", base = \"2s\" }" end
    return read_delays(value, 1)
end

return backoff
