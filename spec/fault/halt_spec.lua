-- Runs that are halted, cancelled and taken up again while their workers are killed: at any time
-- the store is right, and in the end each job has succeeded once. KILLS=n rounds, SEED=n replays.

local t = require "support"
local Harness = require "fault.harness"

local JOBS = 40

-- Every fifth job dies until the file "fixed" is there; some clean up after others.
local TEXT = [[
defaults { cwd = %q, retries = 0 }
for i = 1, %d do
    local name = "j" .. i
    local needs = i > 5 and "j" .. i - 5 or nil
    if i %% 5 == 3 then
        job(name) { needs = needs, run = "./witness 0.01 && test -e fixed" }
    elseif i %% 5 == 4 then
        job(name) { needs = needs and { { needs, on = "done" } }, run = "./witness 0.01" }
    elseif i %% 5 == 0 then
        job(name) { needs = needs, when = function() return true end, run = "./witness 0" }
    else
        job(name) { needs = needs, run = function(_, ctx)
            ctx.exec({ "./witness", "0.01" }, { check = true })
        end }
    end
end
]]

local FAULTS = {
    ["a halted run that goes on"] = [[
        SELECT j.id, state FROM job j JOIN run r ON r.id = j.run WHERE r.halted
            AND state IN (0, 1, 4) AND NOT EXISTS (SELECT 1 FROM dep WHERE child = seq AND cond)]],
    ["a run that counts its failures wrong"] = [[
        SELECT id, failed FROM run WHERE failed <> (SELECT count(*) FROM job WHERE run = run.id
            AND (state IN (5, 6) OR (state = 7 AND cause NOT IN (11, 13))))]],
    ["a job has succeeded more than once"] = [[
        SELECT id, count(*) FROM attempt a JOIN job ON seq = job
            WHERE a.cause = 1 AND a.exit_code = 0 AND a.token > 0 AND state = 3
            GROUP BY seq HAVING count(*) > 1]],
}

local function check(h)
    h:check()
    for what, sql in pairs(FAULTS) do
        for _, row in ipairs(t.sql(h.store, sql)) do
            error(what .. ": " .. table.concat(row, " "), 2)
        end
    end
end

-- Deeds of one round; each gets the harness and the worker that lives.
local DEEDS = {
    function(_, worker) worker:kill "KILL" end,
    function(_, worker)
        local guardian = Harness.guardian(worker:pid())
        worker:kill "KILL"
        if guardian then t.kill(guardian, "KILL") end
    end,
    function(_, worker)
        local guardian = Harness.guardian(worker:pid())
        if guardian then t.kill(guardian, "KILL") end
    end,
    function(h) return t.q(h.store, "runs", "cancel", "last") end,
    function(h, worker)
        local cancel = t.spawn { t.binary, "--store", h.store, "runs", "cancel", "last" }
        worker:kill "KILL"
        cancel:wait()
    end,
    function(h)
        local resume = t.spawn { t.binary, "--store", h.store, "run", "--resume", "--detach",
                                 h:path "jobs.lua" }
        local at = t.now() + h.random() * 0.03
        t.eventually(function() return t.now() >= at end)
        resume:kill "KILL"
        resume:wait()
    end,
    function(_, worker) worker:kill "QUIT" end,
}

local function take_up(h)
    local got = t.q(h.store, "run", "--resume", "--detach", h:path "jobs.lua")
    -- 3: there is nothing to go on with.
    assert(got.code == 0 or got.code == 3, got.err)
    return got.code == 0
end

local function soak(...)
    local h = Harness.new()
    t.write_file(h:path "jobs.lua", TEXT:format(h.dir, JOBS))
    local got = t.q(h.store, "run", "--detach", h:path "jobs.lua", ...)
    assert.equal(0, got.code, got.err)
    local worker = h:start_worker()
    for _ = 1, Harness.kills do
        local at = t.now() + h.random() * 0.15
        t.eventually(function() return t.now() >= at end)
        DEEDS[h.random(#DEEDS)](h, worker)
        check(h)
        if h.random(2) == 1 then take_up(h) end
        if h.random(4) == 1 then t.write_file(h:path "fixed", "") end
        if h.random(4) == 1 then os.remove(h:path "fixed") end
        if not worker:running() then worker = h:start_worker() end
        check(h)
    end
    worker:kill "TERM"
    worker:wait(20)
    t.write_file(h:path "fixed", "")
    for _ = 1, 5 do
        take_up(h)
        assert.equal(0, t.q(h.store, "worker", "start", "-c", "4", "--until-empty").code)
        check(h)
    end
    assert.is_false(take_up(h))
    assert.same({ { "3", tostring(JOBS) } },
                t.sql(h.store, "SELECT state, count(*) FROM job GROUP BY 1"))
    assert.same({}, t.processes(h.store))
end

describe("a run that is cancelled and taken up again while its workers are killed", function()
    it("comes to its end, each job once", function() soak() end)

    it("and that stops at the first failure", function() soak "--fail-fast" end)
end)
