-- Load made of witness jobs, faults put into it, and the oracle that looks at what came out.
--
-- A witness job writes `id token start uptime` when it begins and `id token end uptime` when it
-- ends, each with one appending write to one file: the order of the lines is the order of events.

local lfs = require "lfs"
local t = require "support"

local Harness = {}
Harness.__index = Harness

Harness.kills = tonumber(os.getenv("KILLS")) or 12
Harness.loops = tonumber(os.getenv("LOOPS")) or 16

local WITNESS = [[
#!/bin/sh
read -r up rest </proc/uptime
echo "$QUEUECTL_JOB_ID $QUEUECTL_TOKEN start $up" >>%s/seen
sleep $1
read -r up rest </proc/uptime
echo "$QUEUECTL_JOB_ID $QUEUECTL_TOKEN end $up" >>%s/seen
]]

-- Adds jobs, one after the other, until the file `stop` is there or $2 are added; what the program
-- has said goes to files.
local LOOP = [[
i=0
while [ ! -e stop ] && [ $i -lt $2 ]; do
    i=$((i+1))
    queuectl --store queue.db enqueue "./witness 0.0$((i % 4))" >>acked-$1 2>>said-$1 ||
        echo "exit $?" >>said-$1
done
]]

function Harness.new(random)
    local dir = t.tmpdir()
    local h = setmetatable({ dir = dir, store = dir .. "/queue.db", random = random or t.rng(),
                             acked = {}, loops_started = 0, loops_running = {} }, Harness)
    t.write_file(dir .. "/witness", (WITNESS:gsub("%%s", dir)))
    assert(t.run({ "chmod", "+x", dir .. "/witness" }).code == 0)
    t.write_file(dir .. "/seen", "")
    assert(t.q(h.store, "init").code == 0)
    return h
end

function Harness:path(name)
    return self.dir .. "/" .. name
end

-- ---- load ----

function Harness:enqueue(count)
    local lines = {}
    for i = 1, count do lines[i] = ("./witness 0.0%d"):format(self.random(0, 3)) end
    local got = t.q(self.store, "enqueue", "--cwd", self.dir, "-f", "-",
                    { stdin = table.concat(lines, "\n") .. "\n" })
    assert(got.code == 0, got.err)
    for id in got.out:gmatch("[^\n]+") do self.acked[#self.acked + 1] = id end
end

-- Somebody who enqueues all the time, or `count` times.
function Harness:start_loop(count)
    self.loops_started = self.loops_started + 1
    local loop = t.spawn({ "sh", "-c", LOOP, "loop", self.loops_started, count or 1000000 },
                         { cwd = self.dir })
    self.loops_running[#self.loops_running + 1] = loop
end

-- Ends the loops (finished = false: waits until they have done their count); what they were
-- answered. Returns what was said on stderr.
function Harness:end_loops(at_once)
    if at_once then t.write_file(self:path("stop"), "") end
    local said = {}
    for number, loop in ipairs(self.loops_running) do
        assert(loop:wait(120) == 0)
        for id in t.read_file(self:path("acked-" .. number)):gmatch("[^\n]+") do
            self.acked[#self.acked + 1] = id
        end
        said[#said + 1] = t.read_file(self:path("said-" .. number))
    end
    self.loops_running = {}
    return table.concat(said)
end

function Harness:start_worker(...)
    local worker = t.spawn { t.binary, "--store", self.store, "worker", "start", "-c", "4", ... }
    t.eventually(function() return worker:err():find("event=started", 1, true) end, 10,
                 "worker started")
    return worker
end

-- Writes a jobs file of so many witness jobs in chains; its path.
function Harness:jobs_file(name, count)
    local text = ([[
        defaults { cwd = %q }
        for i = 1, %d do
            job("j" .. i) { run = "./witness 0.0" .. i %% 4, needs = i > 8 and "j" .. i - 8 or nil }
        end
    ]]):format(self.dir, count)
    return t.write_file(self:path(name), text)
end

-- ---- faults ----

-- Work goes on: so many more lines of witnesses.
function Harness:progress(lines, timeout_s)
    local from = lfs.attributes(self:path("seen"), "size")
    if lines == 0 then return end
    return t.eventually(function()
        return lfs.attributes(self:path("seen"), "size") >= from + lines * 25
    end, timeout_s or 10, "witnesses at work")
end

-- A random moment: so many lines of witnesses from now, and a little.
function Harness:moment()
    self:progress(self.random(0, 12))
    local at = t.now() + self.random() * 0.008
    t.eventually(function() return t.now() >= at end)
end

function Harness.guardian(pid)
    local file = io.open(("/proc/%d/task/%d/children"):format(pid, pid))
    local text = file and file:read("*a") or ""
    if file then file:close() end
    return tonumber(text:match("%d+"))
end

-- The store's entry of the worker process: number and uid.
function Harness:entry(pid)
    local row = t.sql(self.store, ("SELECT id, uid FROM worker WHERE pid = %d"):format(pid))[1]
    return row and { id = tonumber(row[1]), uid = row[2] }
end

-- After its end: its jobs are taken over in time and nothing of them lives.
function Harness:assert_recovered(entry)
    if not entry then return end
    t.eventually(function()
        return t.sql(self.store, ("SELECT (SELECT count(*) FROM worker WHERE id = %d)"
            .. " + (SELECT count(*) FROM job WHERE worker = %d)"):format(entry.id,
            entry.id))[1][1] == "0"
    end, 5, "recovery of worker " .. entry.id)
    t.eventually(function() return #t.processes("QUEUECTL_WORKER=" .. entry.uid) == 0 end, 2,
                 "no process of worker " .. entry.id)
end

-- ---- the oracle ----

-- The last token and all attempts, as "id token", that witnesses told of.
local function check_witnesses(h, complain)
    local running, last, attempts = {}, {}, {}
    for line in t.read_file(h:path("seen")):gmatch("[^\n]+") do
        local id, token, what = line:match("^(%S+) (%d+) (%a+) [%d.]+$")
        token = tonumber(token)
        if what == "start" then
            if token <= (last[id] or 0) then complain("token does not increase: " .. line) end
            running[id], last[id] = token, token
            attempts[#attempts + 1] = id .. " " .. token
        elseif what ~= "end" then
            complain("strange line: " .. line)
        elseif running[id] ~= token then
            complain(("attempts overlap: %s, while %s runs"):format(line, tostring(running[id])))
        end
    end
    return last, attempts
end

-- Whatever ran has its record (a job that was taken but never started has none).
local function check_records(h, attempts, complain)
    local recorded = {}
    for _, row in ipairs(t.sql(h.store, "SELECT id, token FROM attempt JOIN job ON seq = job")) do
        recorded[row[1] .. " " .. row[2]] = true
    end
    for _, attempt in ipairs(attempts) do
        if not recorded[attempt] then complain("an attempt without a record: " .. attempt) end
    end
end

local STATE_FAULTS = {
    ["counters differ from the jobs"] = [[
        SELECT state, sum(n) FROM (SELECT state, n FROM counter
            UNION ALL SELECT state, -1 FROM job) GROUP BY state HAVING sum(n) <> 0]],
    ["more records of attempts than starts"] = [[
        SELECT id, starts FROM job WHERE starts < (state = 2) +
            (SELECT count(*) FROM attempt WHERE attempt.job = job.seq)]],
    ["a token that was never given"] = [[
        SELECT id, token FROM attempt JOIN job ON job.seq = attempt.job WHERE token > starts]],
    ["a job that may start and stands in no line, or in two"] = [[
        SELECT id, state FROM job WHERE (state IN (1, 4)) <>
            (SELECT count(*) FROM ready WHERE ready.seq = job.seq) +
            (SELECT count(*) FROM timed WHERE timed.seq = job.seq)]],
    ["a running job without a worker, or a worker without a running job"] = [[
        SELECT id, state FROM job WHERE (state = 2) <> (worker IN (SELECT id FROM worker))]],
    ["more tries than allowed, or deaths"] = [[
        SELECT job.id, tries, deaths FROM job JOIN spec USING(seq)
            WHERE tries > retries + 1 OR deaths > 3]],
    ["a run that counts wrong"] = [[
        SELECT id, left FROM run WHERE left <> (SELECT count(*) FROM job
            WHERE job.run = run.id AND state NOT IN (3, 5, 6, 7))]],
    ["a broken reference"] = "PRAGMA foreign_key_check",
}

local FINAL_FAULTS = {
    -- Three deaths are the only way in which a witness may not succeed, and its dependants.
    ["a job that did not end well"] = [[
        SELECT id, state, cause, deaths FROM job WHERE state <> 3
            AND NOT (state = 5 AND cause = 6 AND deaths = 3) AND NOT (state = 7 AND cause = 10)]],
    ["a worker that has gone and is still listed"] = "SELECT id, pid FROM worker",
}

local function check_store(h, faults, complain)
    for what, sql in pairs(faults) do
        for _, row in ipairs(t.sql(h.store, sql)) do
            complain(what .. ": " .. table.concat(row, " "))
        end
    end
end

local function check_acked(h, complain)
    local stored = {}
    for _, row in ipairs(t.sql(h.store, "SELECT id FROM job")) do stored[row[1]] = true end
    for _, id in ipairs(h.acked) do
        if not stored[id] then complain("lost although acknowledged: " .. id) end
    end
end

-- At any time; `final`: all work is done and no worker lives.
function Harness:check(final)
    local complaints = {}
    local function complain(text) complaints[#complaints + 1] = text end
    local integrity = t.sql(self.store, "PRAGMA integrity_check")[1][1]
    if integrity ~= "ok" then complain("integrity: " .. integrity) end
    check_store(self, STATE_FAULTS, complain)
    check_acked(self, complain)
    local last, attempts = check_witnesses(self, complain)
    if final then
        check_records(self, attempts, complain)
        check_store(self, FINAL_FAULTS, complain)
        for _, row in ipairs(t.sql(self.store, "SELECT id FROM job WHERE state = 3")) do
            if not last[row[1]] then complain("completed, and never ran: " .. row[1]) end
        end
        local left = t.processes(self.dir .. "/queue.db")
        if #left > 0 then complain("processes left: " .. table.concat(left, " ")) end
    end
    if #complaints > 0 then
        error(("%d faults: %s"):format(#complaints, table.concat(complaints, "\n", 1,
              math.min(#complaints, 10))), 2)
    end
end

-- True if no job was given up.
function Harness:all_completed()
    return t.sql(self.store, "SELECT count(*) FROM job WHERE state <> 3")[1][1] == "0"
end

-- Lets everything come to its end and looks once more.
function Harness:finish()
    local said = self:end_loops(true)
    local worker = self:start_worker("--until-empty")
    local code = worker:wait(60)
    assert(code == 0, worker:err())
    self:check(true)
    return said
end

return Harness
