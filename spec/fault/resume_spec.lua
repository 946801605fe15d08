-- Whatever of a run is killed, at whatever moment: it is gone on with, each plan comes to its end,
-- and nothing that had completed runs again. KILLS=n kills per kind, SEED=n replays.

local lfs = require "lfs"
local t = require "support"
local Harness = require "fault.harness"
local plan = require "fault.resume_plan"

local KILLS = os.getenv("KILLS") and Harness.kills or 4

local function children(pid)
    local list = {}
    local file = pid and io.open(("/proc/%d/task/%d/children"):format(pid, pid))
    local text = file and file:read("*a") or ""
    if file then file:close() end
    for child in text:gmatch("%d+") do list[#list + 1] = tonumber(child) end
    return list
end

local function command_line(pid)
    local file = io.open(("/proc/%d/cmdline"):format(pid))
    local text = file and file:read("*a") or ""
    if file then file:close() end
    return text
end

local function worker_of(run)
    for _, pid in ipairs(children(run:pid())) do
        if command_line(pid):find("worker", 1, true) then return pid end
    end
end

local function guardian_of(run) return children(worker_of(run))[1] end

-- The oldest process of a program: its warm process, unless that has just been replaced.
local function warm_of(run)
    for _, pid in ipairs(children(guardian_of(run))) do
        if command_line(pid):find("lua-warm", 1, true) then return pid end
    end
end

local hits

local function kill(pid)
    if pid and t.kill(pid, "KILL") then hits = hits + 1 end
end

local function start(h, file, ...)
    return t.spawn({ t.binary, "--store", h.store, "run", file, "-j", "4", ... }, { cwd = h.dir })
end

local function has_begun(run)
    t.eventually(function() return run:err():find("^run %d+:") or not run:running() end, 20)
    return run:running()
end

-- The run, gone on with as soon as that can be, which is within 5 s. nil: it is complete.
local function resume(h, file)
    local before = t.now()
    while true do
        local run = start(h, file, "--resume")
        if has_begun(run) or run.code <= 1 then return run end
        if run.code == 3 then return nil end
        assert(run.code == 4, run:describe())
        assert(t.now() - before < 5, "not to be resumed within 5 s: " .. run:err())
    end
end

-- A random moment: so many lines of witnesses from now, and a little.
local function moment(h, run)
    local lines = h.random(0, 10)
    local function size() return lfs.attributes(h:path("seen"), "size") end
    local from = size()
    t.eventually(function() return size() >= from + lines * 25 or not run:running() end, 20,
                 "work goes on")
    local at = t.now() + h.random() * 0.008
    t.eventually(function() return t.now() >= at end)
end

-- Until the last run is complete: what died three times with its worker is given another chance.
local function finish(h, file, run)
    for _ = 1, 10 do
        if not run then return end
        run:wait(60)
        run = resume(h, file)
    end
    error "the run does not come to its end"
end

-- `strike` does something to a run. It may live on, then it must come to its end.
local function kill_often(strike)
    local h = Harness.new()
    local file = plan.write(h)
    local run = start(h, file)
    hits = 0
    for _ = 1, KILLS do
        has_begun(run)
        moment(h, run)
        strike(run, h)
        local before = plan.completed(h)
        if not run:running() then run = resume(h, file) end
        h:check()
        if not run then
            plan.check_final(h)
            run = start(h, file)
        end
        has_begun(run)
        plan.check_kept(h, before)
    end
    local before = plan.completed(h)
    finish(h, file, run)
    assert.is_true(hits >= KILLS / 2, hits .. " of " .. KILLS .. " kills hit something")
    plan.check_kept(h, before)
    plan.check_final(h)
end

local function ends(run)
    run:wait(30)
end

-- With its signal once, or again when the first was heard.
local function signalled(name, times)
    return function(run)
        if run:kill(name) then hits = hits + 1 end
        if times == 2 then
            t.eventually(function()
                return run:out():find("stopping", 1, true) or not run:running()
            end, 10)
            run:kill(name)
        end
        ends(run)
    end
end

describe("run --resume completes each plan, and runs nothing again, after kill -9 of", function()
    it("the front end", function()
        kill_often(function(run)
            kill(run:pid())
            ends(run)
        end)
    end)

    it("the worker", function()
        kill_often(function(run) kill(worker_of(run)) end)
    end)

    it("the guardian", function()
        kill_often(function(run) kill(guardian_of(run)) end)
    end)

    it("the warm process", function()
        kill_often(function(run) kill(warm_of(run)) end)
    end)

    it("front end and worker", function()
        kill_often(function(run)
            local worker = worker_of(run)
            kill(run:pid())
            kill(worker)
            ends(run)
        end)
    end)

    it("worker and guardian", function()
        kill_often(function(run, h)
            local both = { worker_of(run), guardian_of(run) }
            if h.random(2) == 1 then both = { both[2], both[1] } end
            for _, pid in pairs(both) do kill(pid) end
        end)
    end)

    it("front end, worker and guardian", function()
        kill_often(function(run)
            local worker, guardian = worker_of(run), guardian_of(run)
            kill(run:pid())
            kill(worker)
            kill(guardian)
            ends(run)
        end)
    end)

    it("every process of the run", function()
        kill_often(function(run, h)
            local pids = t.processes(h.store)
            for i = #pids, 2, -1 do
                local j = h.random(i)
                pids[i], pids[j] = pids[j], pids[i]
            end
            for _, pid in ipairs(pids) do kill(pid) end
            kill(run:pid())
            ends(run)
        end)
    end)
end)

describe("run --resume completes each plan, and runs nothing again, after", function()
    for _, name in ipairs { "TERM", "INT" } do
        it("SIG" .. name, function() kill_often(signalled(name, 1)) end)
        it("SIG" .. name .. " twice", function() kill_often(signalled(name, 2)) end)
    end

    it("SIGTERM to every process of its group", function()
        kill_often(function(run)
            if run:kill("TERM", true) then hits = hits + 1 end
            ends(run)
        end)
    end)
end)
