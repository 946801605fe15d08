-- What `run` shows while it runs: on a terminal lines that stay and a block below them that is
-- drawn anew, on a pipe one line an event, with --json the events themselves.

local block = require "queuectl.view.block"
local core = require "queuectl.core"
local format = require "queuectl.view.format"
local json = require "queuectl.json"
local run_state = require "queuectl.view.run_state"
local text = require "queuectl.view.text"

local progress = {}

--- Runs with more jobs than this show only what went wrong as lines that stay.
local QUIET_ABOVE = 100
--- So many failures of such a run stay as lines, those beyond are only counted.
local FAILURES_SHOWN = 50
local REDRAW_SECONDS = 0.1

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
    skipped = function(e)
        return "skipped", e.name or e.job, e.text and text.line(e.text) or reason(e)
    end,
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

function Lines:event(event)
    local word, label, detail = line_of(event)
    if not word then return end
    self.ctx:print(("%s%s%s\n"):format(word, label ~= "" and " " .. text.line(label) or "",
        detail ~= "" and " (" .. detail .. ")" or ""))
end

function Lines:fed() self.ctx:flush() end
function Lines.tick() end
function Lines.close() end

-- ---- as JSON ----

-- The worker's events as they are: they need not even be read.
local Json = { tick = Lines.tick, close = Lines.close, fed = Lines.fed }
Json.__index = Json

function Json:take(whole_lines)
    self.ctx:print(whole_lines)
end

-- ---- on a terminal ----

local Live = {}
Live.__index = Live

-- Rows the block takes now: a terminal that became narrower since has broken its lines.
local function rows_of(widths, columns)
    local rows = 0
    for _, width in ipairs(widths) do rows = rows + math.max(1, math.ceil(width / columns)) end
    return rows
end

-- To the beginning of the block that was drawn.
local function home(self, columns)
    local rows = rows_of(self.drawn, columns)
    if rows == 0 then return "" end
    return "\r" .. (rows > 1 and ("\27[%dA"):format(rows - 1) or "")
end

local function stays(self, event)
    local is_quiet = self.state.total > QUIET_ABOVE
    if event.event == "picked" then return event.attempt > 1 and not is_quiet end
    if event.event == "completed" then return not is_quiet end
    return not is_quiet or self.stayed < FAILURES_SHOWN or not event.job
end

-- A label and its detail in `room` columns: a long label leaves at least half to the detail.
local function fit(label, detail, room)
    local beside = math.max(math.floor(room / 2), room - 2 - text.width(detail))
    return text.cut(("%s  %s"):format(text.cut(label, math.min(44, beside)), detail), room)
end

-- Lines that stay wait for the next frame, so that the terminal is written to in one piece.
function Live:event(event)
    local word, label, detail = line_of(event)
    if not word or not stays(self, event) then return end
    local columns = core.terminal_size(1)
    local padded = ("%-10s"):format(word)
    local rest = fit(text.line(label), detail, math.max(20, columns - 11))
    self.waiting[#self.waiting + 1] = (COLORS[word] and self.ctx:style(COLORS[word], padded)
        or padded) .. rest
    self.stayed = self.stayed + 1
    if event.event == "dead" or event.event == "cancelled" then
        self.failed_at[#self.failed_at + 1] = { name = label, line = self.stayed }
    end
end

function Live.fed() end

-- Failures whose lines have gone out at the top, or never had one.
local function unseen(self, rows)
    local names, failures = {}, self.state.failures
    for i, name in ipairs(failures) do
        local line = self.failed_at[i]
        if not line or self.stayed - line.line > rows - #self.drawn - 3 then
            names[#names + 1] = name
        end
    end
    return names
end

-- The block's lines, widths and what has to be written: the lines that stay above it, each line
-- cleared behind its end and whatever is left of an older block below.
local function frame(self)
    local columns, rows = core.terminal_size(1)
    local now = core.monotonic()
    local lines = block.lines(self.state, { columns = columns, rows = rows, now = now,
        unseen = unseen(self, rows) })
    local out = { home(self, columns) }
    for _, line in ipairs(self.waiting) do out[#out + 1] = line .. "\27[K\n" end
    self.waiting, self.drawn = {}, {}
    for i, line in ipairs(lines) do
        self.drawn[i] = text.width(line)
        out[#out + 1] = line .. "\27[K" .. (i < #lines and "\n" or "\27[J")
    end
    return table.concat(out)
end

function Live:tick()
    local now = core.monotonic()
    if now - self.drawn_at < REDRAW_SECONDS then return end
    self.drawn_at = now
    local picture = frame(self)
    if picture == self.last then return end
    self.last = picture
    self.ctx:print(picture)
    self.ctx:flush()
end

function Live:close()
    local out = { home(self, (core.terminal_size(1))), "\27[J" }
    for _, line in ipairs(self.waiting) do out[#out + 1] = line .. "\n" end
    self.waiting, self.drawn = {}, {}
    self.ctx:print(table.concat(out))
    self.ctx:flush()
end

-- ---- common ----

local function kind_of(ctx)
    if ctx.json then return Json end
    return ctx.tty and os.getenv("TERM") ~= "dumb" and Live or Lines
end

--- opts: see run_state.new. The result has feed(bytes), tick(), close(), worker_lost() and .state.
function progress.new(ctx, opts)
    local kind = kind_of(ctx)
    local self = { ctx = ctx, drawn = {}, drawn_at = 0, rest = "", waiting = {}, stayed = 0,
        failed_at = {}, state = run_state.new(opts, core.monotonic()) }
    return setmetatable(self, { __index = function(_, key) return progress[key] or kind[key] end })
end

--- Bytes of the event stream: whole lines are taken, the rest waits for more.
function progress:feed(bytes)
    local data = self.rest .. bytes
    local whole = data
    if data:byte(-1) ~= 10 then
        whole = data:match("^.*\n")
        if not whole then
            self.rest = data
            return
        end
    end
    self.rest = data:sub(#whole + 1)
    self:take(whole)
    self:fed()
end

function progress:read(whole_lines)
    local now = core.monotonic()
    for line in whole_lines:gmatch("[^\n]+") do
        local event = json.decode(line)
        if event then
            self.state:apply(event, now)
            self:event(event)
        end
    end
end

Lines.take, Live.take = progress.read, progress.read

--- The worker was killed: nothing it had started runs any more.
function progress:worker_lost()
    self.rest = ""
    self.state:forget_running()
end

return progress
