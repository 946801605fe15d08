-- The attempts of a run over time, as an SVG picture that is as wide as the page lets it be: places
-- are percentages, so that it needs no script. Few jobs have a row each; of many, as many rows are
-- drawn as ran at a time, and what is too short to be seen is drawn together.

local format = require "queuectl.view.format"
local groups = require "queuectl.view.groups"
local html = require "queuectl.view.html"
local jobs_text = require "queuectl.jobs.text"
local text = require "queuectl.view.text"

local gantt = {}

local ROWS_MAX, LANES_MAX = 60, 64
local ROW, BAR, AXIS = 22, 12, 22
--- Percent of the picture's width below which neighbours are drawn as one.
local FINEST = 0.25
local STEPS = { 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200,
    14400, 43200, 86400 }

local CLASSES = { completed = "ok", dead = "bad", cancelled = "off", processing = "now" }

-- ---- what to draw ----

-- The last attempt has the job's state, those before it have failed.
local function class_of(job, i)
    if i < #job.tries then return "again" end
    return CLASSES[job.state] or "again"
end

local function bars_of(list, now)
    local bars, first, last = {}, nil, nil
    for _, job in ipairs(list) do
        for i, attempt in ipairs(job.tries) do
            local from = attempt.started_at
            local to = attempt.finished_at or now
            -- What was started ahead of its turn began when its work did.
            if attempt.seconds then from = math.max(from, to - attempt.seconds) end
            bars[#bars + 1] = { job = job, attempt = attempt, from = from, to = math.max(from, to),
                class = class_of(job, i) }
            if not first or from < first then first = from end
            if not last or to > last then last = to end
        end
    end
    return bars, first or now, math.max(last or now, (first or now) + 0.001)
end

-- Of so many lanes the one that is free, or will be first. Recorded times are not exact to the
-- millisecond: there are never more lanes than jobs that could run at a time.
local function free_lane(free, at, max)
    local best
    for lane = 1, max do
        if not free[lane] or free[lane] <= at then return lane end
        if not best or free[lane] < free[best] then best = lane end
    end
    return best
end

-- Gives each bar a lane in which nothing else is at its time. Returns the number of lanes.
local function pack(bars, max)
    table.sort(bars, function(a, b)
        if a.from ~= b.from then return a.from < b.from end
        return a.job.seq < b.job.seq
    end)
    local free = {}
    for _, bar in ipairs(bars) do
        local lane = free_lane(free, bar.from + 0.0005, max)
        bar.lane, free[lane] = lane, math.max(free[lane] or 0, bar.to)
    end
    return #free
end

-- Neighbours in a lane that end the same way and are too short to be seen become one.
local function join(bars, span)
    local joined, last = {}, {}
    local finest = span * FINEST / 100
    for _, bar in ipairs(bars) do
        local before = last[bar.lane]
        if before and before.class == bar.class and bar.from - before.to < finest
            and bar.to - bar.from < finest * 4 then
            before.to, before.count = math.max(before.to, bar.to), (before.count or 1) + 1
        else
            joined[#joined + 1], last[bar.lane] = bar, bar
        end
    end
    return joined
end

-- ---- drawing ----

local function percent(value)
    return ("%.2f%%"):format(value)
end

local function title(bar)
    if bar.count then
        return ("%s and the like: %s attempts"):format(groups.label(bar.job.label),
            format.count(bar.count))
    end
    local words = ("%s, attempt %d, %s"):format(bar.job.label, bar.attempt.attempt or 1,
        format.duration(bar.to - bar.from))
    local why = bar.attempt.error and bar.attempt.error:match("^[^\n]*")
    return why and ("%s, %s"):format(words, why) or words
end

local function rect(bar, y, scale)
    return ('<rect class="%s" x="%s" y="%d" width="%s" height="%d" rx="1"><title>%s</title></rect>')
        :format(bar.class .. (bar.is_critical and " crit" or ""),
            percent((bar.from - scale.first) / scale.span * 100), y,
            percent(math.max(FINEST, (bar.to - bar.from) / scale.span * 100)), BAR,
            html.escape(title(bar)))
end

local function tick_step(span)
    for _, step in ipairs(STEPS) do
        if span / step <= 6 then return step end
    end
    return span / 5
end

local function tick_label(seconds)
    if seconds == 0 then return "0" end
    if seconds < 60 then return ("%g s"):format(seconds) end
    return (format.duration(seconds):gsub(" 00s$", ""):gsub(" 00m$", ""))
end

local function axis(out, height, scale)
    local step = tick_step(scale.span)
    local at = 0
    while at <= scale.span do
        local x = percent(at / scale.span * 100)
        out[#out + 1] = ('<line class="tick" x1="%s" x2="%s" y1="%d" y2="%d"/>'):format(x, x, AXIS,
            height)
        if at / scale.span < 0.93 then
            out[#out + 1] = ('<text class="axis" x="%s" y="14">%s</text>'):format(x,
                tick_label(at))
        end
        at = at + step
    end
end

local HEAD = '<svg class="gantt" width="100%%" height="%d" role="img" aria-label="%s">'
local STRIPES = '<defs><pattern id="stripes" width="5" height="5" patternUnits="userSpaceOnUse" '
    .. 'patternTransform="rotate(45)"><rect class="ground" width="5" height="5"/>'
    .. '<rect class="stripe" width="2.5" height="5"/></pattern></defs>'

local function rows_picture(data, bars, list, scale)
    local rows, place = {}, {}
    for _, job in ipairs(list) do
        if #job.tries > 0 then
            rows[#rows + 1] = job
            place[job] = #rows
        end
    end
    local height = AXIS + #rows * ROW
    local out = { HEAD:format(height, "attempts of each job over time"), STRIPES,
        '<svg x="29%" width="71%" overflow="hidden">' }
    axis(out, height, scale)
    for _, bar in ipairs(bars) do
        bar.is_critical = data.on_path[bar.job]
        out[#out + 1] = rect(bar, AXIS + (place[bar.job] - 1) * ROW + (ROW - BAR) / 2, scale)
    end
    out[#out + 1] = '</svg><svg width="28%" overflow="hidden">'
    for i, job in ipairs(rows) do
        out[#out + 1] = ('<text class="who%s" x="0" y="%d">%s</text>'):format(
            data.on_path[job] and " crit" or "", AXIS + i * ROW - 7,
            html.escape(text.cut(jobs_text.repair(text.line(job.label)), 34)))
    end
    out[#out + 1] = "</svg></svg>"
    return table.concat(out, "\n")
end

local function lanes_picture(bars, scale, slots)
    local lanes = pack(bars, math.min(slots or LANES_MAX, LANES_MAX))
    local height = AXIS + lanes * ROW
    local out = { HEAD:format(height, "what ran at the same time"), STRIPES }
    axis(out, height, scale)
    for _, bar in ipairs(join(bars, scale.span)) do
        out[#out + 1] = rect(bar, AXIS + (bar.lane - 1) * ROW + (ROW - BAR) / 2, scale)
    end
    out[#out + 1] = "</svg>"
    return table.concat(out, "\n")
end

--- The picture, and whether it has a row a job; nil where nothing was started.
-- data: as view/report.lua gathers it.
function gantt.draw(data)
    local bars, first, last = bars_of(data.list, data.written_at)
    if #bars == 0 then return nil end
    local scale = { first = first, span = last - first }
    if #data.list <= ROWS_MAX then return rows_picture(data, bars, data.list, scale), true end
    return lanes_picture(bars, scale, data.slots), false
end

return gantt
