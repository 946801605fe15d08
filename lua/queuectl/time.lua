-- Durations and points in time.
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

-- ---- points in time ----

local WEEKDAYS = { "sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday" }

--- The last second of the year 9999.
time.LATEST = 253402300799

local FORMS = 'write "18:00", "tomorrow 09:00", "fri 17:00", "2030-01-31 09:00", '
    .. '"2030-01-31T09:00:00Z", "in 5m" or "@SECONDS"'

local MIDNIGHT = { hour = 0, min = 0, sec = 0 }

local function days_in(year, month)
    local days = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }
    local leap = year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
    return month == 2 and leap and 29 or days[month]
end

-- Days since 1970-01-01 in the Gregorian calendar (Hinnant, chrono-compatible date algorithms).
local function days_since_epoch(date)
    local year = date.month <= 2 and date.year - 1 or date.year
    local era = math.floor(year / 400)
    local year_of_era = year - era * 400
    local shifted = (date.month + 9) % 12 -- from March on
    local day_of_year = math.floor((153 * shifted + 2) / 5) + date.day - 1
    local day_of_era = year_of_era * 365 + math.floor(year_of_era / 4)
        - math.floor(year_of_era / 100) + day_of_year
    return era * 146097 + day_of_era - 719468
end

-- "09:00", "09:00:30", "09:00:30.5"; nil when it is none, false and why when there is no such.
local function read_clock(str)
    local hour, min, rest = str:match("^(%d%d?):(%d%d)(.*)$")
    local sec = rest == "" and "0" or rest and rest:match("^:(%d%d)$")
        or rest and rest:match("^:(%d%d%.%d+)$")
    if not sec then return nil end
    local clock = { hour = tonumber(hour), min = tonumber(min), sec = tonumber(sec) }
    if clock.hour > 23 then return false, "there is no hour " .. hour end
    if clock.min > 59 then return false, "there is no minute " .. min end
    if clock.sec >= 60 then return false, "there is no second " .. sec end
    return clock
end

local function read_date(year, month, day)
    local date = { year = tonumber(year), month = tonumber(month), day = tonumber(day) }
    if date.month < 1 or date.month > 12 then return false, "there is no month " .. month end
    if date.day < 1 or date.day > days_in(date.year, date.month) then
        return false, ("there is no day %s in %s-%s"):format(day, year, month)
    end
    return date
end

local function reads_back(seconds, date, clock)
    local read = os.date("*t", seconds)
    return read.year == date.year and read.month == date.month and read.day == date.day
        and read.hour == clock.hour and read.min == clock.min
end

local function mktime(date, clock, is_dst)
    return os.time { year = date.year, month = date.month, day = date.day, hour = clock.hour,
        min = clock.min, sec = math.floor(clock.sec), isdst = is_dst }
end

-- Wall seconds of a local time. Of an hour that the clocks show twice the first is meant; one
-- that they leave out is counted on from the hour before, so it comes out later.
local function local_seconds(date, clock)
    local summer, standard = mktime(date, clock, true), mktime(date, clock, false)
    local seconds = standard
    for _, candidate in ipairs { summer or standard, standard } do
        if reads_back(candidate, date, clock) then
            seconds = candidate
            break
        end
    end
    return seconds and seconds + clock.sec % 1
end

-- The local date `days` after that of `seconds`.
local function date_after(seconds, days)
    local today = os.date("*t", seconds)
    local noon = os.time { year = today.year, month = today.month, day = today.day + days,
        hour = 12 }
    return os.date("*t", noon)
end

-- Seconds east of Greenwich of "Z", "+02:00", "-0530", "+01"; nil when it is none of them.
local function read_zone(str)
    if str == "Z" or str == "z" then return 0 end
    local sign, hours, minutes = str:match("^([+-])(%d%d):?(%d%d)$")
    if not sign then
        sign, hours = str:match("^([+-])(%d%d)$")
        minutes = "00"
    end
    if not sign then return nil end
    if tonumber(hours) > 14 or tonumber(minutes) > 59 then
        return false, "there is no time zone " .. str
    end
    local east = tonumber(hours) * 3600 + tonumber(minutes) * 60
    return sign == "-" and -east or east
end

local function split_zone(str)
    local clock, zone = str:match("^([%d:.]+)%s?([Zz+-].*)$")
    return clock or str, zone
end

local function with_zone(date, clock, zone)
    local east, message = read_zone(zone)
    if not east then return east, message end
    return days_since_epoch(date) * 86400 + clock.hour * 3600 + clock.min * 60 + clock.sec - east
end

-- ---- one function for each form: seconds; nil when it is not this form; false and why ----

local function from_iso(str)
    local year, month, day, rest = str:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)(.*)$")
    if not year then return nil end
    local date, message = read_date(year, month, day)
    if not date then return date, message end
    if rest == "" then return local_seconds(date, MIDNIGHT) end
    local clock_text, zone = split_zone(rest:match("^[Tt](.*)$") or rest:match("^ +(.*)$") or "")
    local clock
    clock, message = read_clock(clock_text)
    if not clock then return clock, message end
    if zone then return with_zone(date, clock, zone) end
    return local_seconds(date, clock)
end

local function from_seconds(str)
    local digits = str:match("^@(%d+)$") or str:match("^@(%d+%.%d+)$")
    return digits and tonumber(digits)
end

local function from_duration(str, now)
    local rest = str:match("^[Ii][Nn] +(.*)$")
    if not rest then return nil end
    local ms, message = time.parse_duration(rest)
    if not ms then return false, message end
    return now + ms / 1000
end

-- The first of the days `from`, `from` + step … at which the time is not over.
local function next_after(now, from, step, clock)
    local seconds = local_seconds(date_after(now, from), clock)
    if seconds >= now then return seconds end
    return local_seconds(date_after(now, from + step), clock)
end

local function from_clock(str, now)
    local clock, message = read_clock(str)
    if not clock then return clock, message end
    return next_after(now, 0, 1, clock)
end

local function weekday_of(word)
    for index, name in ipairs(WEEKDAYS) do
        if word == name or word == name:sub(1, 3) then return index end
    end
end

local function from_day(str, now)
    local word, rest = str:lower():match("^(%a+) *(.*)$")
    local weekday = word and weekday_of(word)
    if not weekday and word ~= "today" and word ~= "tomorrow" then return nil end
    local clock, message = MIDNIGHT, nil
    if rest ~= "" then clock, message = read_clock(rest) end
    if not clock then return clock, message end
    if not weekday then
        return local_seconds(date_after(now, word == "tomorrow" and 1 or 0), clock)
    end
    return next_after(now, (weekday - os.date("*t", now).wday) % 7, 7, clock)
end

local READERS = { from_iso, from_seconds, from_duration, from_clock, from_day }

--- Wall seconds of a point in time, or nil and a message. `now` is what "tomorrow", "in 5m" and
-- times of day are seen from; these are local, and so are dates without a zone. A time of day or
-- a weekday is the next one. The past is no error.
function time.parse_instant(str, now)
    if type(str) ~= "string" then
        return nil, ("must be a time such as \"18:00\", not %s"):format(text.kind(str))
    end
    for _, reader in ipairs(READERS) do
        local seconds, message = reader(str, now)
        if seconds and seconds > time.LATEST then seconds, message = false, "too far away" end
        if seconds then return seconds end
        if seconds == false then return nil, ("bad time %s: %s"):format(shown(str), message) end
    end
    return nil, ("bad time %s: %s"):format(shown(str), FORMS)
end

return time
