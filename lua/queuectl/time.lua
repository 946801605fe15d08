-- Durations: numbers are seconds, text carries units ("90s", "1h30m", "250ms", "2d").

local text = require "queuectl.jobs.text"

local time = {}

-- From the longest to the shortest: the order in which they may follow each other.
local UNITS = {
    { name = "d", ms = 86400000 },
    { name = "h", ms = 3600000 },
    { name = "m", ms = 60000 },
    { name = "s", ms = 1000 },
    { name = "ms", ms = 1 },
}

local RANK = {}
for rank, unit in ipairs(UNITS) do RANK[unit.name] = rank end

--- A hundred years: longer ones are taken for mistakes.
time.LONGEST_MS = 36500 * 86400000

local function parse_decimal(digits)
    if digits:find("^%d+$") or digits:find("^%d+%.%d+$") then return tonumber(digits) end
end

local function parse_parts(str)
    local total, last_rank, at = 0, 0, 1
    while at <= #str do
        local digits, unit, after = str:match("^([%d%.]+)(%a+)()", at)
        local number, rank = digits and parse_decimal(digits), RANK[unit]
        if not number or not rank or rank <= last_rank then return nil end
        total, last_rank, at = total + number * UNITS[rank].ms, rank, after
    end
    return last_rank > 0 and total or nil
end

local function exact_ms(value)
    if type(value) == "number" then return value * 1000 end
    local seconds = parse_decimal(value)
    if seconds then return seconds * 1000 end
    return parse_parts(value)
end

local function shown(value)
    return type(value) == "string" and text.quote(value) or text.number(value)
end

--- Milliseconds (a whole number >= 0), or nil and a message.
-- Numbers and bare numeric text are seconds. "none" and whether 0 makes sense are the caller's.
function time.parse_duration(value)
    if type(value) ~= "string" and type(value) ~= "number" then
        return nil, ('must be a duration such as "90s" or a number of seconds, not %s'):format(
            text.kind(value))
    end
    local ms = exact_ms(value)
    if not ms or ms ~= ms or ms < 0 or value == math.huge then
        return nil, "bad duration " .. shown(value)
    end
    if ms > time.LONGEST_MS then
        return nil, ("bad duration %s: longer than 36500d"):format(shown(value))
    end
    local whole = math.floor(ms + 0.5)
    if whole == 0 and ms > 0 then
        return nil, ("bad duration %s: shorter than 1ms"):format(shown(value))
    end
    return whole
end

--- Text that parse_duration reads back to the same number: "1h30m", "1.5s", "250ms".
function time.format_duration(ms)
    if ms == 0 then return "0s" end
    local parts, rest = {}, ms
    for rank = 1, 3 do
        local unit = UNITS[rank]
        local count = math.floor(rest / unit.ms)
        rest = rest - count * unit.ms
        if count > 0 then parts[#parts + 1] = ("%d%s"):format(count, unit.name) end
    end
    if rest >= 1000 then
        parts[#parts + 1] = text.number(rest / 1000) .. "s"
    elseif rest > 0 then
        parts[#parts + 1] = ("%dms"):format(rest)
    end
    return table.concat(parts)
end

return time
