-- How long a run may still take, by what its jobs took in an earlier run: what is left to do,
-- divided among the slots, but no less than the longest chain that is left. Pure; `now` is a
-- monotonic time in seconds.

local critical = require "queuectl.critical"

local eta = {}
eta.__index = eta

--- Jobs shorter than this are mostly starting: their times say less than the rate of the run.
local TOO_SHORT = 0.05

--- jobs: of the plan; times: name -> seconds. nil where too little is known to say anything.
function eta.new(jobs, times, slots)
    local _, order = critical.steps(jobs)
    local seconds = critical.seconds(jobs, times, order)
    if not seconds then return nil end
    local sum = 0
    for i = 1, #jobs do sum = sum + seconds[i] end
    if sum / #jobs < TOO_SHORT then return nil end
    local tails = critical.tails(jobs, seconds, order)
    local self = setmetatable({ seconds = seconds, tails = tails, slots = slots, sum = sum,
        open = {}, by_tail = {}, rank = {}, next = 1 }, eta)
    for i = 1, #jobs do self.open[i], self.by_tail[i] = true, i end
    table.sort(self.by_tail, function(a, b)
        if tails[a] ~= tails[b] then return tails[a] > tails[b] end
        return a < b
    end)
    for n, i in ipairs(self.by_tail) do self.rank[i] = n end
    return self
end

--- Job i is not among those that wait for their turn any more: it runs or has ended.
function eta:take(i)
    if not self.open[i] then return end
    self.open[i] = nil
    self.sum = self.sum - self.seconds[i]
end

--- Job i waits for its turn again.
function eta:give_back(i)
    if self.open[i] then return end
    self.open[i] = true
    self.sum = self.sum + self.seconds[i]
    self.next = math.min(self.next, self.rank[i])
end

--- Seconds left; running: list of { index =, since = }.
function eta:left(running, now)
    while self.by_tail[self.next] and not self.open[self.by_tail[self.next]] do
        self.next = self.next + 1
    end
    local first = self.by_tail[self.next]
    local sum, bound = math.max(0, self.sum), first and self.tails[first] or 0
    for _, job in ipairs(running) do
        local whole = self.seconds[job.index]
        if whole then
            local rest = math.max(0, whole - (now - job.since))
            sum = sum + rest
            bound = math.max(bound, self.tails[job.index] - whole + rest)
        end
    end
    return math.max(bound, sum / self.slots)
end

return eta
