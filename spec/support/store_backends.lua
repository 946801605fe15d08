-- What the contract specs run against, and what must hold of every store.

local t = require "support"

local function same(expected, got, what)
    for key, value in pairs(expected) do
        if got[key] ~= value then
            error(("%s: %s is %s, not %s"):format(what, key, tostring(got[key]), value), 3)
        end
    end
end

-- What must hold of the tables at any time; each query must find nothing.
local SQLITE_CHECKS = {
    ["the counters are not the jobs counted"] = [[
        SELECT queue || state FROM (SELECT queue, state, n FROM counter UNION ALL
        SELECT queue, state, -count(*) FROM job GROUP BY queue, state)
        GROUP BY queue, state HAVING sum(n) <> 0]],
    ["a job that may start stands not exactly once in line"] = [[
        SELECT seq FROM job j WHERE state IN (1, 4) AND 1 <>
        (SELECT count(*) FROM ready r WHERE r.lane = j.lane AND rank = -priority AND seq = j.seq) +
        (SELECT count(*) FROM timed t WHERE t.lane = j.lane AND t.run_at = j.run_at
         AND seq = j.seq)]],
    ["something else stands in line"] = [[
        SELECT seq FROM (SELECT seq FROM ready UNION ALL SELECT seq FROM timed)
        WHERE seq NOT IN (SELECT seq FROM job WHERE state IN (1, 4))]],
    ["a job has a worker or is running, not both"] = [[
        SELECT seq FROM job WHERE (state = 2) <> (worker <> 0)]],
    ["a waiting job waits for nothing, or is not in waiting"] = [[
        SELECT seq FROM job WHERE (state = 0 AND waits < 1) OR waits < 0]],
    ["a waiting job waits for more than is unfinished"] = [[
        SELECT seq FROM job j WHERE state = 0 AND waits > (SELECT count(*) FROM dep
        JOIN job p ON p.seq = parent WHERE child = j.seq)]],
    ["a waiting job waits for another number than its open needs"] = [[
        SELECT seq FROM job j WHERE state = 0 AND waits <>
        (SELECT count(*) FROM dep WHERE child = j.seq AND settled = 0)]],
    ["an unfinished job is not in the lane of its run"] = [[
        SELECT seq FROM job j LEFT JOIN run ON run.id = j.run WHERE state NOT IN (3, 5, 6, 7)
        AND lane <> iif(run = 0 OR detached, 0, run)]],
    ["a run does not count its jobs right"] = [[
        SELECT id FROM run WHERE left <> (SELECT count(*) FROM job j WHERE j.run = run.id
        AND state NOT IN (3, 5, 6, 7)) OR failed <> (SELECT count(*) FROM job j JOIN spec
        USING(seq) WHERE j.run = run.id AND (state = 6 OR state = 5 AND NOT allow_failure
        OR state = 7 AND cause NOT IN (11, 13)))]],
    ["a run has another number of jobs than it says"] = [[
        SELECT id FROM run WHERE last_seq - first_seq + 1 + added <>
        (SELECT count(*) FROM job j WHERE j.run = run.id)]],
    ["a run is finished with jobs left, or the other way round"] = [[
        SELECT id FROM run WHERE last_seq > 0 AND (left = 0) <> (finished_at > 0)]],
    ["a final job has no time of its end"] = [[
        SELECT seq FROM job WHERE state IN (3, 5, 6, 7) AND finished_at = 0]],
}

local function check_sqlite(url)
    local parts = {}
    for what, sql in pairs(SQLITE_CHECKS) do
        parts[#parts + 1] = ("SELECT '%s', (%s LIMIT 1) AS found"):format(what, sql)
    end
    local all = table.concat(parts, " UNION ALL ") -- one start of sqlite3 for all of them
    local rows = t.sql(url, ("SELECT * FROM (%s) WHERE found IS NOT NULL"):format(all))
    if #rows > 0 then error(table.concat(rows[1], ": "), 3) end
end

-- Each: name, open() -> a handle on a new store, close(handle), which checks the store as well.
return function(open)
    return {
        {
            name = "sqlite",
            open = function() return open(t.store()) end,
            close = function(s)
                same(s:tally(), s:counts(), "counters")
                check_sqlite(s.url)
                s:close()
            end,
        },
    }
end
