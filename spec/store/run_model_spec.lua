-- Random orders to a run, with jobs added, failing, snoozed and handed back on the way. Whatever
-- has happened, the counters are right (closing checks that), nobody waits for what cannot come,
-- and the run comes to its end.

local store = require "support.store"
local t = require "support"

local ONS = { "success", "failure", "done" }

local function some_needs(r, n, seqs)
    local needs, used = {}, {}
    for _ = 1, r(0, 3) do
        local at = n > 0 and r(n) or 0
        if at > 0 and not used[at] then
            used[at] = true
            needs[#needs + 1] = { not seqs and at or nil, seq = seqs and seqs[at], on = ONS[r(3)] }
        end
    end
    return #needs > 0 and needs or nil
end

local function some_spec(r, needs)
    return { needs = needs, priority = r(3), retries = r(0, 1), allow_failure = r(5) == 1,
             fail_fast = r(8) == 1, delay_ms = r(6) == 1 and 100 or 0,
             start_at = r(8) == 1 and store.wall_ms() + 200 or 0, backoff = "fixed none 0 1 0" }
end

local ops = {}

function ops.claim(r, s, w)
    s:promote(store.wall_ms() + 1000, w.lane())
    for _, job in ipairs(s:claim { lane = w.lane(), worker = w.worker, max = r(4) }) do
        w.held[#w.held + 1] = job
    end
end

local ENDS = { {}, {}, {}, { exit_code = 1 }, { exit_code = 1 }, { cause = "interrupted" },
               { cause = "snooze", snooze_ms = 50 }, { cause = "when" }, { cause = "expired" },
               { cause = "cancelled" }, { cause = "none" } }

function ops.finish(r, s, w)
    if #w.held == 0 then return end
    local job = table.remove(w.held, r(#w.held))
    local opts = ENDS[r(#ENDS)]
    s:tx(function()
        local done, state = s:finish(job, opts)
        assert.equal(1, done)
        assert.equal(state, s:state(job.seq))
        if state ~= "completed" or r(3) > 1 then return end
        local needs = some_needs(r, #w.seqs, w.seqs)
        for _, e in ipairs(s:enqueue_all({ some_spec(r, needs), some_spec(r, { 1 }) }, w.run)) do
            w.seqs[#w.seqs + 1] = e.seq
            assert.equal(e.state, s:state(e.seq))
        end
    end)
end

local function any_id(r, s, w) return s:get(w.seqs[r(#w.seqs)]).id end

function ops.cancel(r, s, w) pcall(s.cancel, s, any_id(r, s, w)) end
function ops.retry(r, s, w) pcall(s.retry, s, any_id(r, s, w), r(2) == 1) end
function ops.redefine(r, s, w)
    pcall(s.redefine, s, any_id(r, s, w), some_spec(r))
end
function ops.revive(_, s, w)
    local before = s:run_left(w.run)
    local n = s:revive(w.run)
    assert.equal(before + n, (s:run_left(w.run)))
end
function ops.move(r, s, w)
    local ok = pcall(s.move_run, s, w.run, r(2) == 1)
    if not ok then assert.is_true(#w.held > 0) end
end
function ops.cancel_run(r, s, w)
    if r(4) == 1 then s:cancel_run(w.run) end
end
function ops.recover(r, s, w)
    if r(3) > 1 then return end
    assert.equal(#w.held, s:recover(w.worker))
    w.held, w.worker = {}, s:worker_add()
end

local NAMES = { "claim", "claim", "claim", "finish", "finish", "finish", "finish", "finish",
                "finish", "cancel", "retry", "redefine", "revive", "move", "cancel_run", "recover" }

-- Finishes everything well; how many rounds that took.
local function drain(s, w)
    for round = 1, 500 do
        for _, job in ipairs(w.held) do s:finish(job) end
        w.held = {}
        if s:run_left(w.run) == 0 then return round end
        s:promote(store.wall_ms() + 1000, w.lane())
        w.held = s:claim { lane = w.lane(), worker = w.worker, max = 20 }
    end
end

for _, backend in ipairs(store.backends) do
describe("store/run model (" .. backend.name .. ")", function()
    for round = 1, 12 do
        it("comes to its end, whatever happens to it, round " .. round, function()
            local s, r = backend.open(), t.rng()
            local specs, w = {}, { held = {}, seqs = {}, worker = s:worker_add() }
            for i = 1, 25 do specs[i] = some_spec(r, some_needs(r, i - 1)) end
            s:tx(function()
                w.run = s:run_create("/jobs.lua", "h", "t", { fail_fast = r(4) == 1,
                                                              detached = r(2) == 1 })
                for i, e in ipairs(s:enqueue_all(specs, w.run)) do w.seqs[i] = e.seq end
            end)
            w.lane = function() return s:run(w.run).detached and 0 or w.run end
            for step = 1, 120 do
                local name = NAMES[r(#NAMES)]
                t.note(step .. " " .. name)
                ops[name](r, s, w)
            end
            assert.is_truthy(drain(s, w))
            assert.same(w.seqs, s:list_seqs { run = w.run, limit = 7 })
            assert.is_false(s:has_work(w.lane()))
            backend.close(s)
        end)
    end
end)
end
