-- How times, durations, sizes and counts are written.

local format = {}

--- RFC 3339 in UTC with milliseconds; nil stays nil.
function format.utc(seconds)
    if not seconds then return nil end
    local ms = math.floor(seconds * 1000 + 0.5)
    return os.date("!%Y-%m-%dT%H:%M:%S", math.floor(ms / 1000)) .. (".%03dZ"):format(ms % 1000)
end

--- Local time of day, with the date when it is not today.
function format.clock(seconds, now)
    if not seconds then return "-" end
    local same_day = os.date("%Y-%m-%d", seconds) == os.date("%Y-%m-%d", now)
    return os.date(same_day and "%H:%M:%S" or "%Y-%m-%d %H:%M:%S", seconds)
end

--- "0.31 s", "12 s", "3m 05s", "2h 10m", "3d 4h".
function format.duration(seconds)
    if not seconds then return "-" end
    if seconds < 10 then return ("%.2f s"):format(seconds) end
    if seconds < 60 then return ("%.0f s"):format(seconds) end
    local whole = math.floor(seconds + 0.5)
    if whole < 3600 then return ("%dm %02ds"):format(whole / 60, whole % 60) end
    if whole < 86400 then return ("%dh %02dm"):format(whole / 3600, whole % 3600 / 60) end
    return ("%dd %dh"):format(whole / 86400, whole % 86400 / 3600)
end

--- "10,000".
function format.count(n)
    local text = ("%.0f"):format(n)
    local grouped = text:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", "")
    return grouped
end

function format.plural(n, one, many)
    return ("%s %s"):format(format.count(n), n == 1 and one or many or one .. "s")
end

return format
