-- Random sequences of operations against a model of what a store is.

local store = require "support.store"
local t = require "support"

local FINAL = { completed = true, dead = true, cancelled = true, skipped = true }
local VERDICT = { -- [condition][how the parent ended]
    success = { well = "go", badly = "dependency", neutral = "not_needed" },
    failure = { well = "not_needed", badly = "go", neutral = "not_needed" },
    done = { well = "go", badly = "go", neutral = "go" },
}

local Model = {}
Model.__index = Model

function Model.new() return setmetatable({ jobs = {} }, Model) end

function Model:add(seq, spec)
    self.jobs[seq] = { seq = seq, state = #spec.needs > 0 and "waiting" or "pending", tries = 0,
                       starts = 0, deaths = 0, future = spec.delay_ms > 0, delayed =
                       spec.delay_ms > 0, spec = spec, priority = spec.priority, deps = {} }
    for _, need in ipairs(spec.needs) do
        self.jobs[seq].deps[#self.jobs[seq].deps + 1] = { parent = need.seq, on = need.on }
    end
    for _, dep in ipairs(self.jobs[seq].deps) do
        if FINAL[self.jobs[dep.parent].state] then self:ended(self.jobs[dep.parent]) end
    end
end

function Model:ended(parent)
    local how = "badly"
    if parent.state == "completed" or parent.state == "dead" and parent.spec.allow_failure then
        how = "well"
    elseif parent.state == "skipped" and parent.cause == "not_needed" then
        how = "neutral"
    end
    for _, child in pairs(self.jobs) do
        for _, dep in ipairs(child.deps) do
            if dep.parent == parent.seq and not dep.settled then
                dep.settled = true
                if child.state == "waiting" then self:settle(child, VERDICT[dep.on][how]) end
            end
        end
    end
end

function Model:settle(child, verdict)
    if verdict ~= "go" then
        child.state, child.cause = "skipped", verdict
        return self:ended(child)
    end
    for _, dep in ipairs(child.deps) do
        if not dep.settled then return end
    end
    child.state, child.future = "pending", child.delayed
end

function Model:set(job, state, future)
    job.state, job.future, job.worker = state, future or false, nil
    if FINAL[state] then self:ended(job) end
end

-- Those skipped because of the job, directly or through others, in the order they are found.
function Model:skipped_by(job)
    local found, at = { job }, 1
    while found[at] do
        local children = {}
        for _, child in pairs(self.jobs) do
            for _, dep in ipairs(child.deps) do
                if dep.parent == found[at].seq and child.state == "skipped"
                   and child.cause == "dependency" and not found[child] then
                    found[child] = true
                    children[#children + 1] = child
                end
            end
        end
        table.sort(children, function(a, b) return a.seq < b.seq end)
        for _, child in ipairs(children) do found[#found + 1] = child end
        at = at + 1
    end
    table.remove(found, 1)
    return found
end

function Model:retry(job)
    local open = false
    for _, dep in ipairs(job.deps) do open = open or not dep.settled end
    open = open and job.state == "cancelled"
    job.tries, job.deaths, job.delayed = 0, 0, job.delayed and open and job.starts == 0
    self:set(job, open and "waiting" or "pending")
    local woken = self:skipped_by(job)
    for _, child in ipairs(woken) do
        child.state, child.delayed = "waiting", child.delayed and child.starts == 0
        for _, dep in ipairs(child.deps) do dep.settled = false end
    end
    for _, child in ipairs(woken) do
        for _, dep in ipairs(child.deps) do
            local parent = self.jobs[dep.parent]
            if not dep.settled and FINAL[parent.state] then self:ended(parent) end
        end
    end
end

function Model:line()
    local line = {}
    for _, job in pairs(self.jobs) do
        local may = (job.state == "pending" or job.state == "failed") and not job.future
        if may then line[#line + 1] = job end
    end
    table.sort(line, function(a, b)
        if a.priority ~= b.priority then return a.priority > b.priority end
        return a.seq < b.seq
    end)
    return line
end

function Model:claim(max, worker)
    local got = {}
    for i, job in ipairs(self:line()) do
        if i > max or job.deaths >= 2 and i > 1 then break end
        job.state, job.worker = "processing", worker
        job.tries, job.starts = job.tries + 1, job.starts + 1
        got[i] = job.seq
        if job.deaths >= 2 then break end
    end
    return got
end

local ops = {}

function ops.enqueue(r, s, m)
    local all = {}
    for seq in pairs(m.jobs) do all[#all + 1] = seq end
    table.sort(all)
    local spec = { priority = r(3), retries = r(0, 2), delay_ms = r(5) == 1 and 1e9 or 0,
                   needs = {}, allow_failure = r(4) == 1,
                   backoff = r(2) == 1 and "fixed none 0 1 0"
                             or "fixed none 1000000000 1 1000000000" }
    spec.future_failure = spec.backoff ~= "fixed none 0 1 0"
    local used = {}
    for _ = 1, #all > 0 and r(0, 3) or 0 do
        local parent = all[r(math.max(1, #all - 8), #all)]
        if not used[parent] then
            spec.needs[#spec.needs + 1] = { seq = parent,
                                            on = ({ "success", "failure", "done" })[r(3)] }
        end
        used[parent] = true
    end
    m:add(s:enqueue(spec).seq, spec)
end

function ops.claim(r, s, m, held)
    local worker, max = s.workers_made[r(2)], r(4)
    local got = {}
    for i, job in ipairs(s:claim { worker = worker, max = max }) do
        got[i] = job.seq
        held[#held + 1] = job
    end
    assert.same(m:claim(max, worker), got)
end

-- Also with tokens long out of date: then it must do nothing.
function ops.finish(r, s, m, held)
    if #held == 0 then return end
    local c = held[r(#held)]
    local job = m.jobs[c.seq]
    local good = job.state == "processing" and job.starts == c.starts and job.worker == c.worker
    local how = r(5)
    if how == 1 then
        assert.equal(good and 1 or 0, s:finish(c, { cause = "interrupted" }))
        if not good then return end
        if job.cancel then return m:set(job, "cancelled") end
        job.tries = job.tries - 1
        m:set(job, "pending")
    elseif how <= 3 then
        assert.equal(good and 1 or 0, s:finish(c))
        if good then m:set(job, "completed") end
    else
        assert.equal(good and 1 or 0, s:finish(c, { exit_code = 1 }))
        if not good then return end
        if job.tries > job.spec.retries then return m:set(job, "dead") end
        if job.cancel then return m:set(job, "cancelled") end
        m:set(job, "failed", job.spec.future_failure)
    end
end

function ops.recover(r, s, m)
    if r(3) > 1 then return end
    local i = r(2)
    local dead, n = s.workers_made[i], 0
    local mine = {}
    for _, job in pairs(m.jobs) do
        if job.state == "processing" and job.worker == dead then mine[#mine + 1] = job end
    end
    table.sort(mine, function(a, b) return a.seq < b.seq end)
    for _, job in ipairs(mine) do
        n = n + 1
        if job.cancel then
            m:set(job, "cancelled")
        else
            job.deaths, job.tries = job.deaths + 1, job.tries - 1
            m:set(job, job.deaths == 3 and "dead" or "pending")
        end
    end
    assert.equal(n, s:recover(dead))
    s.workers_made[i] = s:worker_add()
end

local function any_job(r, m)
    local all = {}
    for seq in pairs(m.jobs) do all[#all + 1] = seq end
    table.sort(all)
    return m.jobs[all[r(#all)]]
end

function ops.cancel(r, s, m)
    local job = any_job(r, m)
    local id = s:get(job.seq).id
    if job.state == "processing" then
        assert.equal("processing", s:cancel(id))
        job.cancel = true
    elseif FINAL[job.state] and job.state ~= "cancelled" then
        assert.equal(4, store.failure(s.cancel, s, id).code)
    else
        assert.equal("cancelled", s:cancel(id))
        if job.state ~= "cancelled" then m:set(job, "cancelled") end
    end
end

function ops.retry(r, s, m)
    local job, again = any_job(r, m), r(2) == 1
    local id = s:get(job.seq).id
    local may = job.state == "dead" or job.state == "failed" or job.state == "cancelled"
                or job.state == "completed" and again
    if not may then return assert.equal(4, store.failure(s.retry, s, id, again).code) end
    assert.equal(job.state, s:retry(id, again))
    m:retry(job)
end

function ops.promote(r, s, m)
    if r(4) > 1 then return end
    assert.equal(0, s:promote(store.wall_ms() + 2e9))
    for _, job in pairs(m.jobs) do job.future = false end
end

local function compare(s, m)
    local n, page, cursor = 0
    repeat
        page, cursor = s:list { limit = 500, after = cursor }
        for _, got in ipairs(page) do
            local job = m.jobs[got.seq]
            n = n + 1
            if got.state ~= job.state or got.tries ~= job.tries or got.starts ~= job.starts
               or got.deaths ~= job.deaths then
                assert.same({ job.seq, job.state, job.tries, job.starts, job.deaths },
                            { got.seq, got.state, got.tries, got.starts, got.deaths })
            end
        end
    until not cursor
    local expected = 0
    for _ in pairs(m.jobs) do expected = expected + 1 end
    assert.equal(expected, n)
    assert.same(s:tally(), s:counts())
end

for _, backend in ipairs(store.backends) do
describe("store/model (" .. backend.name .. ")", function()
    local s
    before_each(function() s = backend.open() end)
    after_each(function() backend.close(s) end)

    for round = 1, 6 do
        it("does what the model does, round " .. round, function()
            local r, m, held = t.rng(), Model.new(), {}
            s.workers_made = { s:worker_add(), s:worker_add() }
            local names = { "enqueue", "enqueue", "claim", "claim", "finish", "finish", "finish",
                            "recover", "cancel", "retry", "promote" }
            ops.enqueue(r, s, m)
            for step = 1, 250 do
                local name = names[r(#names)]
                t.note(step .. " " .. name)
                ops[name](r, s, m, held)
                -- a cancel wish ends with the attempt
                for _, job in pairs(m.jobs) do
                    if job.state ~= "processing" then job.cancel = nil end
                end
                if step % 5 == 0 then compare(s, m) end
            end
            for _, job in pairs(m.jobs) do
                local tokens, last = s:attempts(job.seq), 0
                for _, a in ipairs(tokens) do
                    assert.is_true(a.token > last)
                    last = a.token
                end
                local running = job.state == "processing" and 1 or 0
                assert.same({ job.seq, job.starts - running }, { job.seq, #tokens })
            end
        end)
    end
end)
end
