-- A jobs file with all kinds of jobs, which tell of themselves as the witnesses of the harness do,
-- and what must have come of it in the end.

local lfs = require "lfs"
local t = require "support"

local plan = { groups = 4, jobs = 64, added = 4 }

local TEXT = [[
defaults { cwd = %q, backoff = { "fixed", base = "10ms" } }

local function append(name, ...)
    local file = assert(io.open(name, "a"))
    file:write(table.concat({ ... }, " "), "\n")
    file:close()
end

local function uptime()
    local file = assert(io.open "/proc/uptime")
    local now = file:read "*n"
    file:close()
    return ("%%.2f"):format(now)
end

local function witness(what)
    append("seen", os.getenv "QUEUECTL_JOB_ID", os.getenv "QUEUECTL_TOKEN", what, uptime())
end

local function step(ctx)
    witness "start"
    ctx.exec { "sleep", "0.01" }
    witness "end"
end

local tell = ' && echo "$QUEUECTL_JOB_NAME $VALUE" >>values'

for i = 1, %d do
    local function name(word) return word .. "-" .. i end
    local first = job(name "shell") { run = "./witness 0.01 && true",
        needs = i > 2 and { { "last-" .. i - 2, on = "done" } } or nil }
    local argv = job(name "argv") { run = { "./witness", "0.01" }, needs = first }
    local lua = job(name "lua") { needs = first, outputs = { "value" }, run = function(_, ctx)
        step(ctx)
        return { value = "v" .. i }
    end }
    job(name "token") { run = "./witness 0" .. tell, env = { VALUE = lua.out.value } }
    job(name "given") { needs = lua, run = function(_, ctx)
        step(ctx)
        append("values", name "given", ctx.outputs[name "lua"].value)
    end }
    job(name "yes") { needs = argv, when = function() return true end, run = "./witness 0" }
    local no = job(name "no") { when = function() return false end, run = "./witness 0" }
    job(name "afterno") { needs = { { no, on = "done" } }, run = "./witness 0" }
    job(name "adder") { needs = first, run = function(_, ctx)
        ctx.enqueue { name = name "added", run = "./witness 0.01" }
        step(ctx)
    end }
    job(name "flaky") { retries = 2, needs = argv,
        run = "./witness 0 && exit $((QUEUECTL_ATTEMPT < 3))" }
    local bad = job(name "bad") { retries = 0, allow_failure = true, needs = argv,
        run = "./witness 0 && exit 3" }
    local all = job(name "matrix") { matrix = { a = { 1, 2 }, b = { "x", "y" } }, needs = lua,
        run = "./witness 0.01" }
    job(name "last") { needs = { { bad, on = "done" }, { all, on = "done" } }, run = function(_, ctx)
        step(ctx)
    end }
end
]]

function plan.write(h)
    return t.write_file(h:path("jobs.lua"), TEXT:format(h.dir, plan.groups))
end

-- Completed jobs, each with the number of times it has begun.
function plan.completed(h)
    local begun = {}
    local rows = t.sql(h.store, "SELECT id, starts FROM job WHERE state = 3")
    for id in t.read_file(h:path("seen")):gmatch("(%S+) %d+ start ") do
        begun[id] = (begun[id] or 0) + 1
    end
    local completed = {}
    for _, row in ipairs(rows) do completed[row[1]] = row[2] .. "/" .. begun[row[1]] end
    return completed
end

-- What had completed has not been started since.
function plan.check_kept(h, before)
    local now = plan.completed(h)
    for id, times in pairs(before) do
        if now[id] ~= times then
            error(("completed job %s ran again: starts/begun %s, then %s"):format(id, times,
                  tostring(now[id])), 2)
        end
    end
end

local FAULTS = {
    ["a job is not what it should be"] = [[
        SELECT name, state, cause, error FROM job JOIN spec USING(seq) WHERE state <>
            CASE WHEN name GLOB 'no-*' THEN 7 WHEN name GLOB 'bad-*' THEN 5 ELSE 3 END]],
    ["a job has succeeded more than once"] = [[
        SELECT name, count(*) FROM attempt JOIN spec ON seq = job
            WHERE cause = 1 AND exit_code = 0 GROUP BY seq HAVING count(*) > 1]],
    ["a run does not have the jobs it should, or counts wrong"] = ([[
        SELECT r.id, r.left, r.failed, r.added, (SELECT count(*) FROM job WHERE run = r.id) FROM run r
            WHERE r.left <> 0 OR r.failed <> 0 OR r.added <> %d
            OR (SELECT count(*) FROM job WHERE run = r.id) <> %d]]):format(plan.added,
        plan.jobs + plan.added),
    ["an added job is there more than once"] = [[
        SELECT run, name, count(*) FROM job JOIN spec USING(seq) GROUP BY run, name
            HAVING count(*) > 1]],
    ["a worker that has gone and is still listed"] = "SELECT id, pid FROM worker",
}

local function check_values(h, complain)
    local told = {}
    for line in t.read_file(h:path("values")):gmatch("[^\n]+") do
        local number, value = line:match("^%a+%-(%d+) v(%d+)$")
        if not number or number ~= value then complain("wrong value: " .. line) end
        told[line] = true
    end
    for i = 1, plan.groups do
        for _, name in ipairs { "token", "given" } do
            local line = ("%s-%d v%d"):format(name, i, i)
            if not told[line] then complain("was never told: " .. line) end
        end
    end
end

-- Of each completed job: its last attempt has begun and ended.
local function check_ends(h, complain)
    local ended = {}
    for id, token in t.read_file(h:path("seen")):gmatch("(%S+) (%d+) end ") do
        ended[id .. " " .. token] = (ended[id .. " " .. token] or 0) + 1
    end
    for _, row in ipairs(t.sql(h.store, "SELECT id, starts FROM job WHERE state = 3")) do
        local times = ended[row[1] .. " " .. row[2]] or 0
        if times ~= 1 then
            complain(("job %s, start %s, has ended %d times"):format(row[1], row[2], times))
        end
    end
end

-- All runs are complete.
function plan.check_final(h)
    local complaints = {}
    local function complain(text) complaints[#complaints + 1] = text end
    h:check()
    for what, sql in pairs(FAULTS) do
        for _, row in ipairs(t.sql(h.store, sql)) do
            complain(what .. ": " .. table.concat(row, " "))
        end
    end
    check_values(h, complain)
    check_ends(h, complain)
    local left = t.processes(h.store)
    if #left > 0 then complain("processes left: " .. table.concat(left, " ")) end
    for name in lfs.dir(h.store .. ".run") do
        if name:find("%.lock$") or name:find("%.out$") then complain("a file is left: " .. name) end
    end
    if #complaints > 0 then
        error(("%d faults: %s"):format(#complaints, table.concat(complaints, "\n", 1,
              math.min(#complaints, 10))), 2)
    end
end

return plan
