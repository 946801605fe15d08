-- What `run` shows while it runs: on a terminal lines that stay and a block below them that is
-- drawn anew, on a pipe one line an event, with --json the events themselves.

local core = require "queuectl.core"
local format = require "queuectl.view.format"
local json = require "queuectl.json"
local text = require "queuectl.view.text"

local progress = {}

--- Runs with more jobs than this show only what went wrong as lines that stay.
local QUIET_ABOVE = 100
local REDRAW_SECONDS = 0.1
local BAR = 24

-- ---- what is known of the run ----

local State = {}
State.__index = State

local function new_state(total, left)
    return setmetatable({ total = total, left = left, running = {}, completed = 0,
        failed = 0, retries = 0, started_at = core.monotonic() }, State)
end

local ENDS = { completed = true, failed = true, dead = true, cancelled = true, stale = true,
    snoozed = true, recovered = true, ["handed back"] = true }

function State:apply(event)
    if event.left then self.left = event.left end
    if event.event == "picked" then
        self.running[event.seq] = { label = event.name or event.job, since = core.monotonic() }
    elseif event.event == "progress" then
        local job = self.running[event.seq]
        if job then job.fraction, job.text = event.fraction, event.text end
    elseif event.job and ENDS[event.event] then
        self.running[event.seq] = nil
    end
    if event.event == "completed" then self.completed = self.completed + 1 end
    if event.event == "dead" or event.event == "cancelled" then
        self.failed = self.failed + 1
    end
    if event.event == "failed" then self.retries = self.retries + 1 end
end

function State:eta()
    local done = self.total - self.left
    local elapsed = core.monotonic() - self.started_at
    if done < 1 or self.left < 1 or elapsed < 1 then return nil end
    return elapsed / done * self.left
end

-- ---- lines that stay ----

local function reason(event)
    return event.error and text.line(event.error:match("^[^\n]*")) or event.cause or ""
end

-- What stands behind the word "snoozed", so without saying it again.
local function snooze_reason(event)
    local said = reason(event):gsub("^snoozed: ", "")
    return said == "snoozed" and "" or said .. ", "
end

local LINES = {
    picked = function(e)
        return "started", e.name or e.job, e.attempt > 1
            and ("attempt %d of %d"):format(e.attempt, e.of) or ""
    end,
    completed = function(e) return "completed", e.name or e.job, format.duration(e.duration) end,
    failed = function(e)
        return "failed", e.name or e.job, ("%s, again in %s"):format(reason(e),
            format.duration(e.delay or 0))
    end,
    dead = function(e)
        return "dead", e.name or e.job, ("%s, after %s%s"):format(reason(e),
            format.plural(e.attempt, "attempt"), e.allow_failure and ", allowed to fail" or "")
    end,
    cancelled = function(e) return "cancelled", e.name or e.job, reason(e) end,
    snoozed = function(e)
        return "snoozed", e.name or e.job, ("%sagain in %s"):format(snooze_reason(e),
            format.duration(e.delay or 0))
    end,
    recovered = function(e)
        return "recovered", e.job and (e.name or e.job) or "", e.job and reason(e) or e.text or ""
    end,
    ["handed back"] = function(e) return "stopped", e.name or e.job, "will run again" end,
    guardian = function(e) return "warning", "", e.text or "" end,
    store = function(e) return "warning", "", e.text or "" end,
    draining = function(e) return "stopping", "", e.text or "" end,
}

local COLORS = { completed = "green", dead = "red", failed = "yellow", cancelled = "yellow",
    warning = "yellow", recovered = "yellow", stopped = "yellow", snoozed = "cyan" }

local function line_of(event)
    local make = LINES[event.event]
    if not make then return nil end
    return make(event)
end

-- ---- on a pipe ----

local Lines = {}
Lines.__index = Lines

function Lines:event(_, event)
    local word, label, detail = line_of(event)
    if not word then return end
    self.ctx:print(("%s%s%s\n"):format(word, label ~= "" and " " .. text.line(label) or "",
        detail ~= "" and " (" .. detail .. ")" or ""))
    self.ctx:flush()
end

function Lines.tick() end
function Lines.close() end

-- ---- as JSON ----

local Json = {}
Json.__index = Json

function Json:event(raw)
    self.ctx:print(raw .. "\n")
    self.ctx:flush()
end

Json.tick, Json.close = Lines.tick, Lines.close

-- ---- on a terminal ----

local Live = {}
Live.__index = Live

local function running_lines(self, room, columns)
    local jobs = {}
    for _, job in pairs(self.state.running) do jobs[#jobs + 1] = job end
    table.sort(jobs, function(a, b)
        if a.since ~= b.since then return a.since < b.since end
        return a.label < b.label
    end)
    local lines, now = {}, core.monotonic()
    local label_room = math.max(12, math.min(44, columns - 36))
    for i, job in ipairs(jobs) do
        if i > room then
            lines[#lines + 1] = ("  … and %d more running"):format(#jobs - room)
            break
        end
        local extra = job.fraction and ("  %3.0f %% %s"):format(job.fraction * 100,
            text.line(job.text or "")) or ""
        local label = text.cut(text.line(job.label), label_room)
        lines[#lines + 1] = ("  running   %s  %s%s"):format(label,
            format.duration(now - job.since), extra)
    end
    return lines
end

local function status_line(self)
    local s = self.state
    local done = s.total - s.left
    local filled = s.total > 0 and math.floor(done / s.total * BAR) or BAR
    local parts = { ("[%s%s] %s/%s"):format(("="):rep(filled), (" "):rep(BAR - filled),
        format.count(done), format.count(s.total)) }
    if s.failed > 0 then parts[#parts + 1] = ("%s failed"):format(format.count(s.failed)) end
    if s.retries > 0 then parts[#parts + 1] = format.plural(s.retries, "retry", "retries") end
    parts[#parts + 1] = format.duration(core.monotonic() - s.started_at)
    local eta = s:eta()
    if eta and eta > 2 then parts[#parts + 1] = "about " .. format.duration(eta) .. " left" end
    return table.concat(parts, "  ")
end

-- Rows the block takes now: a terminal that became narrower since has broken its lines.
local function rows_of(widths)
    local columns, rows = core.terminal_size(1), 0
    for _, width in ipairs(widths) do rows = rows + math.max(1, math.ceil(width / columns)) end
    return rows
end

function Live:erase()
    local rows = rows_of(self.drawn)
    if rows == 0 then return end
    local up = rows > 1 and ("\27[%dA"):format(rows - 1) or ""
    self.ctx:print("\r" .. up .. "\27[J")
    self.drawn = {}
end

function Live:draw()
    local columns, rows = core.terminal_size(1)
    local lines = running_lines(self, math.max(1, math.min(8, rows - 4)), columns)
    lines[#lines + 1] = status_line(self)
    for i, line in ipairs(lines) do
        lines[i] = text.cut(line, columns - 1)
        self.drawn[i] = text.width(lines[i])
    end
    self.ctx:print(table.concat(lines, "\n"))
    self.drawn_at = core.monotonic()
end

local function stays(self, event)
    if event.event == "picked" then return event.attempt > 1 and self.state.total <= QUIET_ABOVE end
    return event.event ~= "completed" or self.state.total <= QUIET_ABOVE
end

-- A label and its detail in `room` columns: a long label leaves at least half to the detail.
local function fit(label, detail, room)
    local beside = math.max(math.floor(room / 2), room - 2 - text.width(detail))
    return text.cut(("%s  %s"):format(text.cut(label, math.min(44, beside)), detail), room)
end

function Live:event(_, event)
    local word, label, detail = line_of(event)
    if not word or not stays(self, event) then return end
    self:erase()
    local columns = core.terminal_size(1)
    local padded = ("%-10s"):format(word)
    local rest = fit(text.line(label), detail, math.max(20, columns - 11))
    self.ctx:print((COLORS[word] and self.ctx:style(COLORS[word], padded) or padded)
        .. rest .. "\n")
end

function Live:tick()
    if core.monotonic() - self.drawn_at < REDRAW_SECONDS then return end
    self:erase()
    self:draw()
    self.ctx:flush()
end

function Live:close()
    self:erase()
    self.ctx:flush()
end

-- ---- common ----

--- total, left: jobs of the run. The result has feed(bytes), tick(), close() and .state.
function progress.new(ctx, total, left)
    local kind = ctx.json and Json or (ctx.tty and os.getenv("TERM") ~= "dumb") and Live or Lines
    local self = { ctx = ctx, drawn = {}, drawn_at = 0, rest = "" }
    self.state = new_state(total, left)
    return setmetatable(self, { __index = function(_, key) return progress[key] or kind[key] end })
end

--- Bytes of the event stream: whole lines are taken, the rest waits for more.
function progress:feed(bytes)
    local data, from = self.rest .. bytes, 1
    for line, after in data:gmatch("([^\n]*)\n()") do
        from = after
        local event = json.decode(line)
        if event then
            self.state:apply(event)
            self:event(line, event)
        end
    end
    self.rest = data:sub(from)
end

return progress
