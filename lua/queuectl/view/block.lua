-- The block below a run's lines on a terminal: groups, what runs, how far it is. Pure: from what
-- is known (view/run_state.lua) and the terminal's size to lines that fit.

local format = require "queuectl.view.format"
local text = require "queuectl.view.text"

local block = {}

--- Lines of the block beside the last one.
local ROOM_MAX = 10
local BAR_MAX, BAR_MIN = 24, 8
--- Where jobs are shown by groups, one is named when it has run for so many seconds.
local NOTEWORTHY = 1

-- Ten times a second hundredths would only flicker.
local function calm(seconds)
    return seconds < 10 and ("%.1f s"):format(seconds) or format.duration(seconds)
end

-- ---- what runs ----

local function expected(state, job, elapsed)
    local whole = state.times[job.label]
    if not whole or whole < 1 or elapsed > whole * 2 then return "" end
    return " of ~" .. calm(whole)
end

-- A long label leaves room for the time, and at most half the line to what the job says.
local function running_line(state, job, columns, now)
    local elapsed = now - job.since
    local extra = job.fraction and ("  %3.0f %% %s"):format(job.fraction * 100,
        text.line(job.text or "")) or ""
    local rest = calm(elapsed) .. expected(state, job, elapsed) .. extra
    local room = columns - 1 - #"  running     "
    local label_room = room - math.min(text.width(rest), math.floor(room / 2))
    local label = text.cut(text.line(job.label), math.max(12, math.min(44, label_room)))
    return ("  running   %s  %s"):format(label, rest)
end

local function add_running(lines, state, jobs, view)
    local room = view.room - #lines
    for i, job in ipairs(jobs) do
        if i == room and #jobs > room or i > room then
            lines[#lines + 1] = ("  … and %d more running"):format(#jobs - i + 1)
            return
        end
        lines[#lines + 1] = running_line(state, job, view.columns, view.now)
    end
end

-- ---- groups ----

local function is_active(group)
    return group.total > 1 and (group.running > 0 or group.done > 0 and group.done < group.total)
end

-- Those with something running are shown before others, each kind in order of the plan.
local function chosen_groups(state, room)
    local busy, begun = {}, {}
    for _, group in ipairs(state.groups) do
        if is_active(group) then
            local list = group.running > 0 and busy or begun
            list[#list + 1] = group
        end
    end
    for _, group in ipairs(begun) do busy[#busy + 1] = group end
    local hidden = math.max(0, #busy - room)
    if hidden > 0 then hidden = hidden + 1 end
    for _ = 1, hidden do busy[#busy] = nil end
    return busy, hidden
end

local function group_lines(state, room, columns)
    local list, hidden = chosen_groups(state, room)
    local cells, wide, figures = {}, 0, 0
    for i, group in ipairs(list) do
        local label = text.cut(text.line(group.label), math.max(10, columns - 34))
        local count = ("%s/%s"):format(format.count(group.done), format.count(group.total))
        cells[i] = { label, count }
        wide, figures = math.max(wide, text.width(label)), math.max(figures, #count)
    end
    local lines = {}
    for i, group in ipairs(list) do
        local parts = { text.pad(cells[i][1], wide),
            (" "):rep(figures - #cells[i][2]) .. cells[i][2] }
        if group.running > 0 then parts[#parts + 1] = group.running .. " running" end
        if group.failed > 0 then parts[#parts + 1] = format.count(group.failed) .. " failed" end
        lines[i] = "  " .. table.concat(parts, "  ")
    end
    if hidden > 0 then lines[#lines + 1] = ("  … and %d more groups"):format(hidden) end
    return lines
end

local function noteworthy(jobs, now)
    local list = {}
    for _, job in ipairs(jobs) do
        if job.group.total < 2 or now - job.since >= NOTEWORTHY then list[#list + 1] = job end
    end
    return list
end

-- ---- the last line ----

local function bar(state, width)
    local filled = state.total > 0 and math.floor(state:done() / state.total * width) or width
    return "[" .. ("="):rep(filled) .. (" "):rep(width - filled) .. "] "
end

local function rate_text(rate)
    if rate >= 10 then return format.count(rate) .. "/s" end
    if rate >= 1 then return ("%.1f/s"):format(rate) end
    return ("%.0f/min"):format(rate * 60)
end

-- What there is to say, the less important the higher its number.
local function status_parts(state, jobs, now)
    local parts = { { ("%s/%s"):format(format.count(state:done()), format.count(state.total)), 0 } }
    local function add(words, weight) parts[#parts + 1] = { words, weight } end
    if state.failed > 0 then add(format.count(state.failed) .. " failed", 1) end
    if state.retries > 0 then add(format.plural(state.retries, "retry", "retries"), 3) end
    add(calm(now - state.started_at), 0)
    local rate = state.total > 100 and state:rate(now)
    if rate then add(rate_text(rate), 4) end
    local left = state:seconds_left(jobs, now)
    if left and left > 2 then
        add(("about %s left"):format(left < 60 and ("%.0f s"):format(left)
            or format.duration(left)), 2)
    end
    return parts
end

local function joined(parts, weight)
    local words = {}
    for _, part in ipairs(parts) do
        if part[2] <= weight then words[#words + 1] = part[1] end
    end
    return table.concat(words, "  ")
end

--- How far it is, in less than `columns`: where it is narrow the bar shrinks, then words go.
function block.status(state, jobs, columns, now)
    local parts, line = status_parts(state, jobs, now), nil
    for weight = 4, 0, -1 do
        line = joined(parts, weight)
        if text.width(line) + BAR_MIN + 3 < columns then break end
    end
    local width = math.min(BAR_MAX, columns - 4 - text.width(line))
    return (width >= BAR_MIN and bar(state, width) or "") .. line
end

-- ---- all of it ----

--- Lines narrower than view.columns, fewer than view.rows. view: `columns`, `rows`, `now`,
-- `unseen`: names of jobs that failed and are not on the screen any more.
function block.lines(state, view)
    local lines, jobs = {}, state:running_list()
    view.room = math.max(0, math.min(ROOM_MAX, view.rows - 4))
    local unseen = view.unseen or {}
    if #unseen > 0 and view.room > 2 then
        lines[1] = ("  failed    %s%s"):format(text.line(table.concat(unseen, ", ", 1,
            math.min(3, #unseen))), #unseen > 3 and (", … %s in all"):format(
            format.count(state.failed)) or "")
    end
    local shown = jobs
    if state.total > view.rows - 4 then
        local singles = noteworthy(jobs, view.now)
        local room = view.room - #lines - math.min(#singles, math.ceil(view.room / 3))
        for _, line in ipairs(group_lines(state, math.max(1, room), view.columns)) do
            if #lines < view.room then lines[#lines + 1] = line end
        end
        shown = singles
    end
    if view.room > #lines then add_running(lines, state, shown, view) end
    lines[#lines + 1] = block.status(state, jobs, view.columns, view.now)
    for i, line in ipairs(lines) do lines[i] = text.cut(line, view.columns - 1) end
    return lines
end

return block
