-- What is known of a run while it runs, kept up to date by its worker's events: counts, what runs,
-- groups, how fast it goes and how long it may still take. Pure; `now` is a monotonic time.

local critical = require "queuectl.critical"
local eta = require "queuectl.view.eta"
local groups = require "queuectl.view.groups"

local State = {}
State.__index = State

--- Failures remembered by name.
local FAILURES_KEPT = 100
--- The rate is that of the last so many seconds, and is believed after so many jobs.
local WINDOW, BELIEVED_AFTER = 30, 10

local run_state = {}

local function add_group(self, label)
    local group = { label = label, total = 0, done = 0, running = 0, failed = 0 }
    self.groups[#self.groups + 1], self.by_label[label] = group, group
    return group
end

local function enter(self, name)
    local label = groups.label(name)
    local group = self.by_label[label] or add_group(self, label)
    group.total = group.total + 1
    if group.total == 1 then group.only = name end
    self.group_of[name] = group
    return group
end

--- opts: `total`, `left` jobs of the run; `jobs` of its plan; `times` seconds of jobs in an earlier
-- run by name; `slots`; `finished` jobs that need not run any more (name -> true). All but the
-- first two may be missing.
function run_state.new(opts, now)
    local self = setmetatable({ total = opts.total, left = opts.left, running = {}, completed = 0,
        failed = 0, retries = 0, started_at = now, groups = {}, by_label = {}, group_of = {},
        index = {}, settled = {}, failures = {}, samples = {}, times = opts.times or {},
        slots = opts.slots or 1, jobs = opts.jobs or {}, ended = opts.total - opts.left }, State)
    for i, job in ipairs(self.jobs) do
        self.index[job.name] = i
        enter(self, job.name)
    end
    self.eta = opts.times and eta.new(self.jobs, opts.times, self.slots)
    for name in pairs(opts.finished or {}) do self:settle(name) end
    self.samples[1] = { at = now, done = self:done() }
    return self
end

function State:done()
    return self.total - self.left
end

-- A name is final: it counts in its group once.
function State:settle(name, is_failed)
    local group, i = self.group_of[name], self.index[name]
    if not group or self.settled[name] then return end
    self.settled[name] = true
    group.done = group.done + 1
    if is_failed then group.failed = group.failed + 1 end
    if i and self.eta then self.eta:take(i) end
end

-- Skipped jobs need not have events of their own: what cannot run any more since a job ended so.
-- As the store decides it: badly, well, or neutral, which is skipped though nothing went wrong.
local STOPS = {
    well = { failure = "neutral" },
    badly = { success = "badly" },
    neutral = { success = "neutral", failure = "neutral" },
}

-- How the job ends since `parent` ended like this, nil where it may still run.
local function ending(job, parent, how)
    for _, need in ipairs(job.needs or {}) do
        local stopped = need.job == parent and STOPS[how][need.on or "success"]
        if stopped then return stopped end
    end
end

function State:skip_dependants(name, how)
    local start = self.index[name]
    if not start then return end
    self.children = self.children or critical.children(self.jobs)
    local stack = { { start, how } }
    while stack[1] do
        local parent, ended = unpack(table.remove(stack))
        for _, child in ipairs(self.children[parent] or {}) do
            local job = self.jobs[child]
            local skipped = not self.settled[job.name] and ending(job, parent, ended)
            if skipped then
                self:settle(job.name)
                stack[#stack + 1] = { child, skipped }
            end
        end
    end
end

local function stop_running(self, event)
    local job = self.running[event.seq]
    if not job then return nil end
    self.running[event.seq] = nil
    if job.group then job.group.running = job.group.running - 1 end
    return job
end

-- ---- events ----

local HANDLERS = {}

function HANDLERS.picked(self, event, now)
    stop_running(self, event)
    local name = event.name or event.job
    local group = self.group_of[name] or enter(self, name)
    group.running = group.running + 1
    local i = self.index[name]
    self.running[event.seq] = { seq = event.seq, label = name, since = now,
        group = group, index = i }
    if i and self.eta then self.eta:take(i) end
end

function HANDLERS.progress(self, event)
    local job = self.running[event.seq]
    if job then job.fraction, job.text = event.fraction, event.text end
end

local function finish(self, event, is_failed)
    local name = event.name or event.job
    stop_running(self, event)
    self.ended = self.ended + 1
    self:settle(name, is_failed)
end

function HANDLERS.completed(self, event)
    self.completed = self.completed + 1
    finish(self, event)
    if self.has_conditions == nil then self.has_conditions = run_state.has_conditions(self.jobs) end
    if self.has_conditions then self:skip_dependants(event.name, "well") end
end

local function fail(self, event)
    self.failed = self.failed + 1
    finish(self, event, true)
    if #self.failures < FAILURES_KEPT then
        self.failures[#self.failures + 1] = event.name or event.job
    end
    local is_well = event.event == "dead" and event.allow_failure
    self:skip_dependants(event.name, is_well and "well" or "badly")
end

HANDLERS.dead, HANDLERS.cancelled = fail, fail

function HANDLERS.skipped(self, event)
    finish(self, event)
    self:skip_dependants(event.name, event.cause == "dependency" and "badly" or "neutral")
end

-- It waits for another turn.
local function put_back(self, event)
    local job = stop_running(self, event)
    if job and job.index and self.eta then self.eta:give_back(job.index) end
end

function HANDLERS.failed(self, event)
    self.retries = self.retries + 1
    put_back(self, event)
end

HANDLERS.snoozed, HANDLERS.recovered, HANDLERS["handed back"] = put_back, put_back, put_back

function HANDLERS.stale(self, event)
    stop_running(self, event)
end

--- Whether a job of the plan waits for the failure of another.
function run_state.has_conditions(jobs)
    for _, job in ipairs(jobs) do
        for _, need in ipairs(job.needs or {}) do
            if need.on == "failure" then return true end
        end
    end
    return false
end

--- One event of the worker.
function State:apply(event, now)
    if event.left then self.left = event.left end
    local handler = HANDLERS[event.event]
    if handler and event.job then handler(self, event, now) end
    -- Jobs may add jobs: more than was planned may be left.
    if self.left + self.ended > self.total then self.total = self.left + self.ended end
end

--- Its worker is gone, and with it all that ran.
function State:forget_running()
    for seq in pairs(self.running) do put_back(self, { seq = seq }) end
end

--- What runs, the longest running first.
function State:running_list()
    local list = {}
    for _, job in pairs(self.running) do list[#list + 1] = job end
    table.sort(list, function(a, b)
        if a.since ~= b.since then return a.since < b.since end
        return a.seq < b.seq
    end)
    return list
end

--- Jobs a second lately; nil while too few have ended to say.
function State:rate(now)
    local samples, done = self.samples, self:done()
    local last = samples[#samples]
    if now - last.at >= 1 then samples[#samples + 1] = { at = now, done = done } end
    while samples[2] and now - samples[2].at >= WINDOW do table.remove(samples, 1) end
    local first = samples[1]
    local ended, elapsed = done - first.done, now - first.at
    if ended < BELIEVED_AFTER or elapsed < 1 then return nil end
    return ended / elapsed
end

--- Seconds left: by the times of an earlier run, else by the rate of this one; nil rather than a
-- guess.
function State:seconds_left(running, now)
    if self.left < 1 then return nil end
    if self.eta then return self.eta:left(running, now) end
    local rate = self:rate(now)
    -- A run of few jobs, or its first ones, tell nothing of the others.
    if not rate or self:done() * 20 < self.total then return nil end
    return self.left / rate
end

return run_state
